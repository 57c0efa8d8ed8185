// SPDX-License-Identifier: MIT
// What each client of a file system uses of it, and how much it may. Policy-free.
//
// A client is a key, the same for all that one budget opened. Nobody gets more than the limits of a
// client, so one of them cannot take everything.
#pragma once

#include "base/result.h"

#include <stddef.h>
#include <stdint.h>

namespace annulus::memory_files {

struct Amount {
    uint64_t pages = 0;   // of data, and of the tables that find them
    uint64_t nodes = 0;   // files and directories
    uint64_t opened = 0;  // objects that are open on them
};

struct Limits {
    Amount all;
    Amount client;
};

// One client's use. Lives as long as it uses anything.
struct Account {
    uint64_t client = 0;
    Amount used;
    Account* next = nullptr;
};

class Accounts {
public:
    explicit Accounts(const Limits& limits) : limits_(limits) {}
    Accounts(const Accounts&) = delete;
    Accounts& operator=(const Accounts&) = delete;
    ~Accounts();

    // One of what `client`, whose account is the result, uses. no_budget (of all, or of the heap),
    // limit (of this client).
    Result<Account*> take_node(uint64_t client) { return take(client, &Amount::nodes); }
    Result<Account*> take_opened(uint64_t client) { return take(client, &Amount::opened); }
    Result<void> take_page(Account& account) { return take_from(account, &Amount::pages); }

    // What was taken. The account may be gone afterwards.
    void release_node(Account& account) { release(account, &Amount::nodes); }
    void release_opened(Account& account) { release(account, &Amount::opened); }
    void release_page(Account& account) { release(account, &Amount::pages); }

    const Amount& used() const { return used_; }
    const Limits& limits() const { return limits_; }

private:
    using Kind = uint64_t Amount::*;

    Result<Account*> take(uint64_t client, Kind kind);
    Result<void> take_from(Account& account, Kind kind);
    void release(Account& account, Kind kind);
    Account* find(uint64_t client) const;
    void drop_unused(Account& account);

    Limits limits_;
    Amount used_;
    Account* first_ = nullptr;
};

}  // namespace annulus::memory_files
