// SPDX-License-Identifier: MIT
// Finding all functions: bus by bus, through bridges.
#pragma once

#include "services/pci/config/function.h"

#include <stdint.h>

#include <array>

namespace annulus::pci {

inline constexpr unsigned buses_max = 256;

// Calls visit(address, function) for every function on buses first..last that can be reached from
// the first, each bus once, whatever the bridges claim. `source.space(bus, device, function)`
// answers a ConfigSpace&, or null where there is none.
template <typename Source, typename Visit>
void walk_buses(Source& source, unsigned first, unsigned last, Visit visit) {
    std::array<uint8_t, buses_max> queue;
    std::array<bool, buses_max> known{};
    unsigned queued = 0;
    const auto add = [&](unsigned bus) {
        if (bus < first || bus > last || bus >= buses_max || known[bus]) return;
        known[bus] = true;
        queue[queued++] = static_cast<uint8_t>(bus);
    };
    add(first);
    for (unsigned next = 0; next < queued; ++next) {
        const unsigned bus = queue[next];
        for (unsigned device = 0; device < 32; ++device) {
            for (unsigned number = 0; number < 8; ++number) {
                ConfigSpace* space = source.space(bus, device, number);
                Function function;
                const bool there = space != nullptr && read_function(*space, function);
                if (there) {
                    visit(static_cast<uint16_t>(bus << 8 | device << 3 | number), function);
                    if (function.is_bridge) add(function.secondary_bus);
                }
                if (number == 0 && !(there && function.has_siblings)) break;
            }
        }
    }
}

}  // namespace annulus::pci
