// SPDX-License-Identifier: MIT
// What programs have published: the objects behind the manifest's provided names. Policy-free; the
// caller locks, and owns the handles that come back.
//
// A program publishes in runs, one from each start to its end. What a run published goes with it,
// and a request that a dead run left behind cannot publish for the next.
#pragma once

#include <stdint.h>

#include <array>
#include <span>
#include <string_view>

#include "abi/handle.h"
#include "abi/status.h"
#include "services/init/manifest.h"

namespace annulus::init {

struct Export {
    abi::Handle object = abi::no_handle;  // none: not published now
    abi::ObjectType type = abi::ObjectType::none;
};

class ExportRegistry {
public:
    // The manifest outlives the registry.
    explicit ExportRegistry(const Manifest& manifest) : manifest_(manifest) {}

    // Starts a run of the program, which has published nothing, and answers its number.
    uint32_t begin_run(uint16_t program);

    // Ends the program's run. Its objects, which nobody finds any more, are put into `withdrawn`,
    // which has room for as many as the program provides; answers how many there are.
    size_t end_run(uint16_t program, std::span<abi::Handle> withdrawn);

    // With ok the registry has taken the object over. not_granted: the program does not provide
    // this name; exists: it is published; wrong_state: the run is over.
    abi::Error publish(uint16_t program, uint32_t run, std::string_view name, Export object);

    // What is published under `provides[index]`.
    [[nodiscard]] const Export& at(uint16_t index) const { return exports_[index]; }

    // True if everything that the program is handed by others is published.
    [[nodiscard]] bool can_start(const Program& program) const;

private:
    const Manifest& manifest_;
    std::array<Export, manifest_provides_max> exports_{};
    std::array<uint32_t, manifest_programs_max> runs_{};  // odd: runs
};

}  // namespace annulus::init
