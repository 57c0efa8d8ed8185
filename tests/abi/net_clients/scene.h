// SPDX-License-Identifier: MIT
// Clients of the network that are processes of their own, so that they can be killed; and what the
// network is asked about them.
#pragma once

#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/programs.h"
#include "runtime/renewable.h"
#include "tests/guest/child.h"
#include "tests/guest/ledger.h"

#include <array>

namespace annulus::test {

// Words of a client's block.
enum Word : unsigned {
    network_word,
    budget_word,
    process_word,
    silent_word,
    clock_word,  // where the clock page is mapped
    port_word,   // the first of ports that it may use
    done,
    count,
    failures,
};

constexpr size_t part_bytes = 4096;
using Part = std::array<std::byte, part_bytes>;

// The bytes that clients send: what was lost or came twice shows.
constexpr std::byte byte_at(size_t at) { return static_cast<std::byte>(at * 7 + at / 255); }
inline void fill(Part& part, size_t from) {
    for (size_t i = 0; i < part.size(); i++) part[i] = byte_at(from + i);
}
inline size_t wrong_bytes(std::span<const std::byte> part, size_t from) {
    size_t wrong = 0;
    for (size_t i = 0; i < part.size(); i++) wrong += part[i] != byte_at(from + i) ? 1 : 0;
    return wrong;
}

// Ends a test in which something hangs, long before the boot's own limit.
inline Deadline soon() { return Deadline::after(seconds(20)); }

// The network as it is provided now.
Network network_of(const Context& test);
// Asks for the next run of it; server_died while there is none.
Result<void> renew_network(const Context& test);

// What `net` has in use. Stands still once it has done what it was asked for.
abi::BudgetLedger network_ledger(const Context& test);
// Waits until the network has forgotten all connections, and has in use what it had `before`.
void expect_forgotten(Context& test, const abi::BudgetLedger& before);

// Calls `act` with the number of each round. After each but the first waits until the network has
// in use what it had after the first. A failed round is the last.
template <typename Act>
void in_rounds(Context& test, unsigned rounds, Act act) {
    abi::BudgetLedger before{};
    for (unsigned round = 0; round < rounds && !test.failed(); round++) {
        if (round == 1) before = network_ledger(test);
        act(round);
        if (round != 0 && !test.failed()) expect_forgotten(test, before);
    }
}

// A process with a budget of its own, and so a client of its own.
class Client {
public:
    static Result<Client> create(Context& test);
    // Starts `entry` and waits until it has set `done`; what it did is in the words.
    Result<void> run(void (*entry)(Child::Word*));
    Result<void> start(void (*entry)(Child::Word*));
    bool rests() const { return word(done) != 0; }
    void kill(Context& test);
    // After its end: waits until its budget has everything back. The network holds a channel until
    // what is in it was sent.
    void expect_all_back(Context& test) const;

    Child::Word* words() const { return child_.words(); }
    uint64_t word(Word index) const { return words()[index].load(); }

private:
    Client(Budget budget, const abi::BudgetLedger& before, Child child, Semaphore silent)
        : budget_(std::move(budget)),
          before_(before),
          child_(std::move(child)),
          silent_(std::move(silent)) {}

    Budget budget_;
    abi::BudgetLedger before_;
    Child child_;
    Thread thread_;
    Semaphore silent_;
};

// In a client's process, which has nothing but its words.
namespace in_client {

inline Network network(const Child::Word* words) { return Network(words[network_word].load()); }

inline Result<ByteChannel::Made> make_channel(const Child::Word* words) {
    return ByteChannel::create(12, {.budget = BudgetReference(words[budget_word].load()),
                                    .process = ProcessReference(words[process_word].load())});
}

// A moment from now.
inline Deadline shortly(const Child::Word* words) {
    // Safety: the clock page is mapped there as long as the process lives.
    const auto* page = reinterpret_cast<const abi::ClockPage*>(words[clock_word].load());
    return later(clock_time(*page, read_cycles()), milliseconds(15));
}

// Says that it is done, and waits to be killed.
inline void rest(Child::Word* words) {
    words[done].store(1);
    for (;;) static_cast<void>(system::wait(words[silent_word].load(), 0, abi::deadline_never));
}

}  // namespace in_client

}  // namespace annulus::test
