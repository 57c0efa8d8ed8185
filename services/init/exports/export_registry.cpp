// SPDX-License-Identifier: MIT
// What programs have published.
#include "services/init/exports/export_registry.h"

#include <utility>

namespace annulus::init {

uint32_t ExportRegistry::begin_run(uint16_t program) {
    uint32_t& run = runs_[program];
    run += run % 2 == 0 ? 1 : 2;
    return run;
}

size_t ExportRegistry::end_run(uint16_t program, std::span<abi::Handle> withdrawn) {
    uint32_t& run = runs_[program];
    run += run % 2;
    size_t count = 0;
    const Range provides = manifest_.programs[program].provides;
    for (size_t i = 0; i < provides.count; i++) {
        const Export ended = std::exchange(exports_[provides.first + i], {});
        if (ended.object != abi::no_handle) withdrawn[count++] = ended.object;
    }
    return count;
}

abi::Error ExportRegistry::publish(uint16_t program, uint32_t run, std::string_view name,
                                   Export object) {
    if (run != runs_[program] || run % 2 == 0) return abi::Error::wrong_state;
    const Range provides = manifest_.programs[program].provides;
    for (size_t i = 0; i < provides.count; i++) {
        if (manifest_.provides[provides.first + i].name != name) continue;
        Export& place = exports_[provides.first + i];
        if (place.object != abi::no_handle) return abi::Error::exists;
        place = object;
        return abi::Error::ok;
    }
    return abi::Error::not_granted;
}

bool ExportRegistry::can_start(const Program& program) const {
    for (const Give& give : manifest_.gives_of(program)) {
        if (!give.is_awaited()) continue;
        if (exports_[give.index].object == abi::no_handle) return false;
    }
    return true;
}

}  // namespace annulus::init
