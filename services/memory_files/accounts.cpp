// SPDX-License-Identifier: MIT
// What each client of a file system uses of it.
#include "services/memory_files/accounts.h"

#include "abi/records.h"

#include <new>

namespace annulus::memory_files {
namespace {

constexpr Status no_room() {
    return Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pages));
}

}  // namespace

Accounts::~Accounts() {
    while (first_ != nullptr) {
        Account* account = first_;
        first_ = account->next;
        delete account;
    }
}

Account* Accounts::find(uint64_t client) const {
    Account* account = first_;
    while (account != nullptr && account->client != client) account = account->next;
    return account;
}

Result<Account*> Accounts::take(uint64_t client, Kind kind) {
    Account* account = find(client);
    if (account == nullptr) {
        account = new (std::nothrow) Account{client, {}, first_};
        if (account == nullptr) return no_room();
        first_ = account;
    }
    const auto taken = take_from(*account, kind);
    if (taken.ok()) return account;
    drop_unused(*account);
    return taken.status();
}

Result<void> Accounts::take_from(Account& account, Kind kind) {
    if (account.used.*kind >= limits_.client.*kind) return Error::limit;
    if (used_.*kind >= limits_.all.*kind) return no_room();
    ++(account.used.*kind);
    ++(used_.*kind);
    return {};
}

void Accounts::release(Account& account, Kind kind) {
    --(account.used.*kind);
    --(used_.*kind);
    drop_unused(account);
}

void Accounts::drop_unused(Account& account) {
    const Amount& used = account.used;
    if (used.nodes != 0 || used.pages != 0 || used.opened != 0) return;
    Account** link = &first_;
    while (*link != &account) link = &(*link)->next;
    *link = account.next;
    delete &account;
}

}  // namespace annulus::memory_files
