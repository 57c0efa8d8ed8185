// SPDX-License-Identifier: MIT
// Finding a client's account.
#include "services/net/stack/accounts.h"

namespace annulus::net {

Accounts::Account* Accounts::join(uint64_t client) {
    Account* found = nullptr;
    for (Account& account : accounts_) {
        if (account.members_ != 0 && account.client_ == client) {
            found = &account;
            break;
        }
        if (account.members_ == 0 && found == nullptr) found = &account;
    }
    if (found == nullptr) return nullptr;
    found->client_ = client;
    found->members_++;
    return found;
}

}  // namespace annulus::net
