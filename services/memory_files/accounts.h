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
    uint64_t pages = 0;  // of data, and of the tables that find them
    uint64_t nodes = 0;  // files and directories
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

    // A node of `client`, whose account is in the result. no_budget (of all, or of the heap), limit
    // (of this client).
    Result<Account*> take_node(uint64_t client);
    Result<void> take_page(Account& account);

    // What was taken. The account may be gone afterwards.
    void release_node(Account& account);
    void release_page(Account& account);

    const Amount& used() const { return used_; }
    const Limits& limits() const { return limits_; }

private:
    Account* find(uint64_t client) const;
    void drop_unused(Account& account);

    Limits limits_;
    Amount used_;
    Account* first_ = nullptr;
};

}  // namespace annulus::memory_files
