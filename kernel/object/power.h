// SPDX-License-Identifier: MIT
// Power: the right to turn the machine off or restart it.
#pragma once

#include "kernel/object/budget.h"

namespace annulus::kernel {

class Power final : public Object {
public:
    static Result<Ref<Power>> create(Budget& budget) { return budget.create<Power>(); }

    // Ends (abi::power_off, power_off_failed) or restarts (abi::power_reboot) the machine. Returns
    // only for another kind, with bad_argument.
    static Status now(uint64_t kind);

    Power(Budget* payer, uint32_t size) : Object(kind_table, payer, size) {}
    static const ObjectKind kind_table;
};

}  // namespace annulus::kernel
