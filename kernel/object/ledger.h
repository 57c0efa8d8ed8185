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
        for (unsigned i = 0; i < abi::resource_count; ++i) limit_[i] = limits.amount[i];
    }

    // no_budget: detail names the resource. wrong_state: closed.
    Result<void> charge(abi::Resource resource, uint64_t amount) {
        if (closed_) return Error::wrong_state;
        const unsigned i = index(resource);
        if (amount > limit_[i] - used_[i] - lent_[i]) return refusal(i);
        used_[i] += amount;
        return {};
    }

    void uncharge(abi::Resource resource, uint64_t amount) {
        const unsigned i = index(resource);
        kernel_assert(amount <= used_[i], "more uncharged than charged");
        used_[i] -= amount;
        if (closed_) limit_[i] -= amount;
    }

    // Sets a child's limits aside, all or none. Errors as for charge.
    Result<void> lend(const abi::BudgetLimits& limits) {
        if (closed_) return Error::wrong_state;
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            if (limits.amount[i] > limit_[i] - used_[i] - lent_[i]) return refusal(i);
        }
        for (unsigned i = 0; i < abi::resource_count; ++i) lent_[i] += limits.amount[i];
        return {};
    }

    void take_back(const ResourceAmounts& amounts) {
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            const uint64_t amount = amounts.amount[i];
            kernel_assert(amount <= lent_[i], "more taken back than lent");
            lent_[i] -= amount;
            if (closed_) limit_[i] -= amount;
        }
    }

    // Ends the ledger and says what goes back to the parent now. Again: nothing.
    ResourceAmounts close() {
        ResourceAmounts surplus;
        if (closed_) return surplus;
        closed_ = true;
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            surplus.amount[i] = limit_[i] - used_[i] - lent_[i];
            limit_[i] = used_[i] + lent_[i];
        }
        return surplus;
    }

    bool closed() const { return closed_; }
    bool nothing_used() const {
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            if (used_[i] != 0 || lent_[i] != 0) return false;
        }
        return true;
    }

    void read(abi::BudgetLedger& to) const {
        for (unsigned i = 0; i < abi::resource_count; ++i) {
            to.limit[i] = closed_ ? 0 : limit_[i];
            to.used[i] = closed_ ? 0 : used_[i];
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

    uint64_t limit_[abi::resource_count] = {};
    uint64_t used_[abi::resource_count] = {};
    uint64_t lent_[abi::resource_count] = {};
    bool closed_ = false;
};

}  // namespace annulus::kernel
