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

Result<Account*> Accounts::take_node(uint64_t client) {
    if (used_.nodes >= limits_.all.nodes) return no_room();
    Account* account = find(client);
    if (account != nullptr && account->used.nodes >= limits_.client.nodes) return Error::limit;
    if (account == nullptr) {
        account = new (std::nothrow) Account{client, {}, first_};
        if (account == nullptr) return no_room();
        first_ = account;
    }
    ++account->used.nodes;
    ++used_.nodes;
    return account;
}

Result<void> Accounts::take_page(Account& account) {
    if (account.used.pages >= limits_.client.pages) return Error::limit;
    if (used_.pages >= limits_.all.pages) return no_room();
    ++account.used.pages;
    ++used_.pages;
    return {};
}

void Accounts::release_node(Account& account) {
    --account.used.nodes;
    --used_.nodes;
    drop_unused(account);
}

void Accounts::release_page(Account& account) {
    --account.used.pages;
    --used_.pages;
    drop_unused(account);
}

void Accounts::drop_unused(Account& account) {
    if (account.used.nodes != 0 || account.used.pages != 0) return;
    Account** link = &first_;
    while (*link != &account) link = &(*link)->next;
    *link = account.next;
    delete &account;
}

}  // namespace annulus::memory_files
