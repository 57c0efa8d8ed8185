// SPDX-License-Identifier: MIT
// Who has how much of what all clients share. Policy-free.
//
// A client gets one more of a kind while it has no more of it than are left free: alone half of
// all, a second greedy one half of the rest, so there is always something for whoever comes.
#pragma once

#include <array>
#include <optional>
#include <utility>

#include <stddef.h>
#include <stdint.h>

#include "abi/net.h"

namespace annulus::net {

// send_block: a block of lwIP's memory for what is sent, at most a segment each.
enum class Kind : uint8_t { connection, listener, datagrams, prefix, stream, send_block };
inline constexpr size_t kinds = 6;

// Of the blocks in lwip/lwippools.h: the rest is for datagrams, acknowledgements and packets of
// the machine to itself.
inline constexpr unsigned send_blocks_max = 4096;

class Accounts {
public:
    // What one client has. In use as long as it has members.
    class Account {
    private:
        friend class Accounts;
        uint64_t client_ = 0;
        unsigned members_ = 0;  // 0: free
        std::array<unsigned, kinds> used_{};
    };

    // The client's account, with one member more; null: there are too many. Undone by leave().
    Account* join(uint64_t client);
    static void leave(Account& account) { account.members_--; }

    // All of a kind, whoever has them.
    [[nodiscard]] unsigned used(Kind kind) const { return used_[index(kind)]; }
    [[nodiscard]] bool none_left(Kind kind) const { return used(kind) >= most[index(kind)]; }
    void add(Kind kind) { used_[index(kind)]++; }
    void remove(Kind kind) { used_[index(kind)]--; }

    // Whether the client may have one more of what is free now.
    [[nodiscard]] bool may_have_more(const Account& account, Kind kind) const {
        const size_t which = index(kind);
        return used_[which] < most[which] && account.used_[which] < most[which] - used_[which];
    }
    // Whether it may have one that was added already.
    [[nodiscard]] bool may_have(const Account& account, Kind kind) const {
        const size_t which = index(kind);
        return account.used_[which] <= most[which] - used_[which];
    }
    // One that was added is the client's.
    static void assign(Account& account, Kind kind) { account.used_[index(kind)]++; }
    static void take_back(Account& account, Kind kind) { account.used_[index(kind)]--; }

    // The client has `now` blocks of a socket that had `before`.
    void count_blocks(Account& account, unsigned before, unsigned now) {
        const size_t which = index(Kind::send_block);
        used_[which] += now - before;
        account.used_[which] += now - before;
    }

private:
    static constexpr size_t index(Kind kind) { return static_cast<size_t>(kind); }

    // Each that is in use has a socket at least.
    static constexpr size_t accounts_max = abi::net_connections_max + abi::net_listeners_max +
                                           abi::net_datagram_sockets_max + abi::net_prefixes_max;
    static constexpr std::array<unsigned, kinds> most = {
        abi::net_connections_max, abi::net_listeners_max, abi::net_datagram_sockets_max,
        abi::net_prefixes_max,    abi::net_streams_max,   send_blocks_max};

    std::array<unsigned, kinds> used_{};
    std::array<Account, accounts_max> accounts_{};
};

// One of a kind that counts for a client, until this goes. The account outlives it.
class Place {
public:
    Place() = default;
    // No value: the client has too many.
    static std::optional<Place> take(Accounts& accounts, Accounts::Account& account, Kind kind) {
        if (!accounts.may_have_more(account, kind)) return std::nullopt;
        accounts.add(kind);
        Accounts::assign(account, kind);
        Place place;
        place.accounts_ = &accounts;
        place.account_ = &account;
        place.kind_ = kind;
        return place;
    }
    Place(Place&& other)
        : accounts_(std::exchange(other.accounts_, nullptr)),
          account_(other.account_),
          kind_(other.kind_) {}
    Place& operator=(Place&& other) {
        give_back();
        accounts_ = std::exchange(other.accounts_, nullptr);
        account_ = other.account_;
        kind_ = other.kind_;
        return *this;
    }
    ~Place() { give_back(); }

private:
    void give_back() {
        if (accounts_ == nullptr) return;
        Accounts::take_back(*account_, kind_);
        accounts_->remove(kind_);
        accounts_ = nullptr;
    }

    Accounts* accounts_ = nullptr;  // null: it is of none
    Accounts::Account* account_ = nullptr;
    Kind kind_{};
};

}  // namespace annulus::net
