// SPDX-License-Identifier: MIT
// Turning the machine off on a program's behalf.
#include "kernel/object/power.h"

#include "abi/operations.h"
#include "arch/power.h"

namespace annulus::kernel {

namespace {
bool detach_power(Object&) { return true; }
void die_power(Object&) {}
void destruct_power(Object& object) { static_cast<Power&>(object).~Power(); }
}  // namespace

const ObjectKind Power::kind_table = {abi::ObjectType::power, detach_power, die_power,
                                      destruct_power};

Status Power::now(uint64_t kind) {
    switch (kind) {
        case abi::power_off: arch::power_off(false);
        case abi::power_off_failed: arch::power_off(true);
        case abi::power_reboot: arch::reboot();
        default: return Error::bad_argument;
    }
}

}  // namespace annulus::kernel
