// SPDX-License-Identifier: MIT
// Paths of devices (abi/pci.h), and what they match.
#pragma once

#include "services/pci/config/function.h"

#include <stdint.h>

#include <optional>
#include <string_view>

namespace annulus::pci {

class DevicePath {
public:
    // Nothing if the text is no path of a device.
    static std::optional<DevicePath> parse(std::string_view text);

    // Whether the function at `address` (bus << 8 | device << 3 | function) has what is asked for.
    [[nodiscard]] bool matches(uint16_t address, const Function& function) const;
    // How many devices that match come before.
    [[nodiscard]] uint32_t index() const { return index_; }

private:
    enum class Kind : uint8_t { id, classes, place };
    Kind kind_ = Kind::id;
    uint32_t first_ = 0;
    uint32_t second_ = 0;
    uint32_t index_ = 0;
};

}  // namespace annulus::pci
