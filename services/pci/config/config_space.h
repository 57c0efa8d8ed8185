// SPDX-License-Identifier: MIT
// One function's configuration space, wherever it lies.
#pragma once

#include <stdint.h>

namespace annulus::pci {

inline constexpr uint32_t config_size = 4096;  // of a PCI Express function

class ConfigSpace {
public:
    // `width` is 1, 2 or 4 bytes; `offset` is a multiple of it, below config_size. Where nobody
    // answers, all bits are set.
    virtual uint32_t read(uint32_t offset, uint32_t width) = 0;
    virtual void write(uint32_t offset, uint32_t width, uint32_t value) = 0;

protected:
    ~ConfigSpace() = default;
};

}  // namespace annulus::pci
