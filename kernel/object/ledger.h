// SPDX-License-Identifier: MIT
// Ledger: the arithmetic of one budget: limits, what is used, what is lent to children. No locks.
//
// Invariant, for each resource: used + lent <= limit, and the sum does not overflow.
// A closed ledger takes no charges; its limit is what is still used or lent, and shrinks with it,
// so that everything else is back with the parent already. Reading it shows zeros.
#pragma once

#include "abi/records.h"
#include "base/result.h"
#include "kernel/assert.h"

#include <stdint.h>

namespace annulus::kernel {

struct ResourceAmounts {
    uint64_t amount[abi::resource_count] = {};
};

class Ledger {
public:
    constexpr explicit Ledger(const abi::BudgetLimits& limits) {
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            limit_[i] = limits.amount[i];
            free_[i] = limits.amount[i];
        }
    }

    // no_budget: detail names the resource. wrong_state: closed.
    Result<void> charge(abi::Resource resource, uint64_t amount) {
        if (closed_) return Error::wrong_state;
        const unsigned i = index(resource);
        if (amount > free_[i]) return refusal(i);
        free_[i] -= amount;
        return {};
    }

    // An object's record and its pins, both or neither. no_budget. The ledger is not closed.
    Result<void> charge_object(uint64_t bytes, uint64_t pins) {
        const unsigned b = index(abi::Resource::kernel_bytes);
        const unsigned p = index(abi::Resource::pins);
        if (bytes > free_[b]) return refusal(b);
        if (pins > free_[p]) return refusal(p);
        free_[b] -= bytes;
        free_[p] -= pins;
        return {};
    }

    void uncharge(abi::Resource resource, uint64_t amount) { give_back(index(resource), amount); }
    [[gnu::always_inline]] void uncharge_object(uint64_t bytes, uint64_t pins) {
        give_back(index(abi::Resource::kernel_bytes), bytes);
        give_back(index(abi::Resource::pins), pins);
    }

    // Sets a child's limits aside, all or none. Errors as for charge.
    Result<void> lend(const abi::BudgetLimits& limits) {
        if (closed_) return Error::wrong_state;
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            if (limits.amount[i] > free_[i]) return refusal(i);
        }
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            lent_[i] += limits.amount[i];
            free_[i] -= limits.amount[i];
        }
        return {};
    }

    void take_back(const ResourceAmounts& amounts) {
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            const uint64_t amount = amounts.amount[i];
            kernel_assert(amount <= lent_[i], "more taken back than lent");
            lent_[i] -= amount;
            if (closed_) {
                limit_[i] -= amount;
            } else {
                free_[i] += amount;
            }
        }
    }

    // Ends the ledger and says what goes back to the parent now. Again: nothing.
    ResourceAmounts close() {
        ResourceAmounts surplus;
        if (closed_) return surplus;
        closed_ = true;
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            surplus.amount[i] = free_[i];
            limit_[i] -= free_[i];
            free_[i] = 0;
        }
        return surplus;
    }

    bool closed() const { return closed_; }
    bool nothing_used() const {
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            if (free_[i] != limit_[i]) return false;
        }
        return true;
    }

    void read(abi::BudgetLedger& to) const {
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            to.limit[i] = closed_ ? 0 : limit_[i];
            to.used[i] = closed_ ? 0 : used(i);
            to.lent[i] = closed_ ? 0 : lent_[i];
        }
    }

private:
    static constexpr unsigned index(abi::Resource resource) {
        return static_cast<unsigned>(resource);
    }
    static Status refusal(unsigned resource) {
        return Status(Error::no_budget, static_cast<uint16_t>(resource));
    }

    [[gnu::always_inline]] void give_back(unsigned resource, uint64_t amount) {
        if (closed_) [[unlikely]] {
            kernel_assert(amount <= used(resource), "more uncharged than charged");
            limit_[resource] -= amount;
            return;
        }
        free_[resource] += amount;
        kernel_assert(free_[resource] <= limit_[resource], "more uncharged than charged");
    }
    uint64_t used(unsigned resource) const {
        return limit_[resource] - lent_[resource] - free_[resource];
    }

    // What can still be charged or lent; the rest of the limit is lent or used.
    uint64_t free_[abi::resource_count] = {};
    uint64_t limit_[abi::resource_count] = {};
    uint64_t lent_[abi::resource_count] = {};
    bool closed_ = false;
};

}  // namespace annulus::kernel
