// SPDX-License-Identifier: MIT
// What the supervisor decides: start and stop order, and restarts.
#include "services/init/supervisor_policy.h"

namespace annulus::init {
namespace {

using Placed = std::array<bool, manifest_programs_max>;

bool is_ready(const Manifest& manifest, const Program& program, const Placed& placed) {
    for (const Give& give : manifest.gives_of(program)) {
        if (give.is_awaited() && !placed[manifest.provider_of(give)]) return false;
    }
    return true;
}

}  // namespace

void ProgramOrder::append(uint16_t program) {
    if (count_ < programs_.size()) programs_[count_++] = program;
}

void ProgramOrder::reverse() {
    for (size_t at = 0; at < count_ / 2; at++) {
        const uint16_t program = programs_[at];
        programs_[at] = programs_[count_ - 1 - at];
        programs_[count_ - 1 - at] = program;
    }
}

ProgramOrder start_order(const Manifest& manifest) {
    ProgramOrder order;
    Placed placed{};
    bool progress = true;
    while (progress) {
        progress = false;
        for (size_t index = 0; index < manifest.program_count; index++) {
            if (placed[index] || !is_ready(manifest, manifest.programs[index], placed)) continue;
            placed[index] = true;
            order.append(static_cast<uint16_t>(index));
            progress = true;
        }
    }
    return order;
}

ProgramOrder stop_order(const Manifest& manifest) {
    ProgramOrder order = start_order(manifest);
    order.reverse();
    return order;
}

bool RestartHistory::may_restart(const ExitPolicy& policy, uint64_t now_ns) {
    const size_t allowed = policy.restarts < times_.size() ? policy.restarts : times_.size();
    if (allowed == 0) return false;
    if (recorded_ >= allowed) {
        // With the one that many restarts ago outside the window, fewer lie inside.
        const uint64_t time = times_[(recorded_ - allowed) % times_.size()];
        if (now_ns < time || now_ns - time < policy.window_ns) return false;
    }
    times_[recorded_++ % times_.size()] = now_ns;
    return true;
}

ExitAction decide_end(const Program& program, abi::EndReason reason, RestartHistory& history,
                      uint64_t now_ns) {
    const bool exited = reason == abi::EndReason::exited;
    const ExitPolicy& policy = exited ? program.on_exit : program.on_fault;
    if (policy.action != ExitAction::restart) return policy.action;
    return history.may_restart(policy, now_ns) ? ExitAction::restart : policy.otherwise;
}

}  // namespace annulus::init
