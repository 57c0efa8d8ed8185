// SPDX-License-Identifier: MIT
// What the supervisor decides, without doing it: start and stop order, and restarts.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <span>

#include "abi/records.h"
#include "services/init/manifest.h"

namespace annulus::init {

// Programs as indices into Manifest::programs.
class ProgramOrder {
public:
    void append(uint16_t program);
    void reverse();
    [[nodiscard]] std::span<const uint16_t> programs() const {
        return std::span(programs_).first(count_);
    }

private:
    std::array<uint16_t, manifest_programs_max> programs_{};
    size_t count_ = 0;
};

// Every program after all that it is handed something by; among those, the manifest's order.
// Complete for a manifest that parse_manifest accepted; programs on a cycle would be left out.
[[nodiscard]] ProgramOrder start_order(const Manifest& manifest);

// The reverse: nobody loses a provider that it still uses.
[[nodiscard]] ProgramOrder stop_order(const Manifest& manifest);

// When one program was last restarted.
class RestartHistory {
public:
    // True, and the restart recorded, if fewer than `restarts` of the recorded ones lie less than
    // `window_ns` before `now_ns`. A clock that went back counts as no time having passed.
    bool may_restart(const ExitPolicy& policy, uint64_t now_ns);

private:
    std::array<uint64_t, manifest_restarts_max> times_{};  // a ring of the latest
    size_t recorded_ = 0;                                  // in all, ever
};

// What to do now that the program ended. Exits follow its on_exit policy, every other end its
// on_fault policy; both share one history. A restart is recorded in it.
[[nodiscard]] ExitAction decide_end(const Program& program, abi::EndReason reason,
                                    RestartHistory& history, uint64_t now_ns);

}  // namespace annulus::init
