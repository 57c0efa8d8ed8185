// SPDX-License-Identifier: MIT
// Ports: a range of I/O ports that one program may read and write, through the kernel.
#pragma once

#include "kernel/object/budget.h"

namespace annulus::kernel {

class Ports final : public Object {
public:
    // The range was claimed from the hardware factory; it goes back with the object.
    Ports(Budget* payer, uint32_t size, uint32_t base, uint32_t count)
        : Object(kind_table, payer, size), base_(base), count_(count) {}

    // The absolute port, if an access of `width` bytes (1, 2 or 4) lies in the range. out_of_range.
    Result<uint16_t> port(uint64_t relative, uint64_t width) const {
        if (relative >= count_ || width > count_ - relative) return Error::out_of_range;
        return static_cast<uint16_t>(base_ + relative);
    }

    static const ObjectKind kind_table;

private:
    friend struct PortsEnd;
    uint32_t base_;
    uint32_t count_;
};

}  // namespace annulus::kernel
