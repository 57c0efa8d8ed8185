// SPDX-License-Identifier: MIT
// A function that exists only in a test: registers with writable bits, and a list of capabilities.
#pragma once

#include "services/pci/config/function.h"

#include <array>
#include <cstring>

namespace annulus::pci {

class FakeSpace final : public ConfigSpace {
public:
    FakeSpace() {
        set(0x00, 4, 0x10411af4);
        set(0x08, 4, 0x02000001);
        set(0x2c, 4, 0x11001af4);
        writable(0x04, 2, 0xffff);
    }

    uint32_t read(uint32_t offset, uint32_t width) override {
        uint32_t value = 0;
        for (uint32_t i = 0; i < width; ++i) value |= uint32_t{bytes_.at(offset + i)} << 8 * i;
        return value;
    }
    void write(uint32_t offset, uint32_t width, uint32_t value) override {
        for (uint32_t i = 0; i < width; ++i) {
            const uint8_t mask = writable_.at(offset + i);
            uint8_t& byte = bytes_.at(offset + i);
            byte = static_cast<uint8_t>((byte & ~mask) | ((value >> 8 * i) & mask));
        }
    }

    void set(uint32_t offset, uint32_t width, uint32_t value) {
        for (uint32_t i = 0; i < width; ++i) {
            bytes_.at(offset + i) = static_cast<uint8_t>(value >> 8 * i);
        }
    }
    void writable(uint32_t offset, uint32_t width, uint32_t mask) {
        for (uint32_t i = 0; i < width; ++i) {
            writable_.at(offset + i) = static_cast<uint8_t>(mask >> 8 * i);
        }
    }
    // A memory BAR; wide ones take two registers.
    void set_bar(unsigned index, uint64_t address, uint64_t size, bool wide) {
        const uint32_t at = 0x10 + 4 * index;
        set(at, 4, static_cast<uint32_t>(address) | (wide ? 4 : 0));
        writable(at, 4, static_cast<uint32_t>(~(size - 1)) & ~uint32_t{15});
        if (!wide) return;
        set(at + 4, 4, static_cast<uint32_t>(address >> 32));
        writable(at + 4, 4, static_cast<uint32_t>(~(size - 1) >> 32));
    }
    // Appends to the list of capabilities.
    void add_capability(uint8_t at, uint8_t id) {
        set(0x06, 2, 0x10);
        set(last_link_, 1, at);
        set(at, 1, id);
        last_link_ = at + 1u;
    }

private:
    std::array<uint8_t, config_size> bytes_{};
    std::array<uint8_t, config_size> writable_{};
    uint32_t last_link_ = 0x34;
};

}  // namespace annulus::pci
