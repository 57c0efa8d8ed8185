// SPDX-License-Identifier: MIT
// Operations on processes, except mapping (map_operations.cpp).
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/semaphore.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

Status process_create_thread(Invocation& invocation) {
    const auto& words = invocation.words;
    if (words[1] >= abi::user_end) return invocation.bad(1);
    if (words[4] >= abi::priority_count) return invocation.bad(4);
    // A thread that starts and cannot be named would be hard to find again.
    TRY(invocation.reserve_slot());
    const ThreadStart start{.entry = words[0],
                            .stack = words[1],
                            .argument = words[2],
                            .fs_base = words[3],
                            .priority = static_cast<uint8_t>(words[4]),
                            .affinity = words[5]};
    auto made = create_thread(invocation.object<Process>(), start);
    if (!made.ok()) return made.status();
    const auto thread = Ref<Thread>::share(**made);
    invocation.set_results(0);
    const auto given = invocation.give(0, std::move(*made), abi::all_rights);
    // An arriving handle took the last slot meanwhile.
    if (!given.ok()) kill_thread(*thread, abi::EndReason::killed, 0);
    return given.status();
}

Status process_share_install(Invocation& invocation) {
    constexpr unsigned mask = 1;
    auto& to = invocation.object<Process>();
    // A process that ends after this look takes its handles apart only when this CPU has left the
    // kernel.
    if (to.started() || to.ended()) return Error::wrong_state;
    uint64_t handle = invocation.words[0];
    HandleTable& from = invocation.process.handles;
    TRY(from.mark_busy(&handle, mask));
    const auto moved = HandleTable::move(from, to.handles, &handle, mask);
    if (!moved.ok()) {
        from.unmark_busy(&handle, mask);
        return moved.status();
    }
    invocation.set_results(handle);
    return {};
}

Status process_remove_kill(Invocation& invocation) {
    const uint64_t code = invocation.words[0];
    invocation.set_results(0);
    invocation.object<Process>().kill(abi::EndReason::killed, code);
    return {};
}

Status process_get_state(Invocation& invocation) {
    abi::ProcessState state;
    invocation.object<Process>().read_state(state);
    invocation.set_results(0);
    return invocation.write_record(state).status();
}

Status process_get_faulted(Invocation& invocation) {
    auto thread = invocation.object<Process>().faulted_thread();
    if (!thread.ok()) return thread.status();
    invocation.set_results(0);
    return invocation.give(0, std::move(*thread), abi::all_rights).status();
}

Status process_watch_exit(Invocation& invocation) {
    Semaphore& semaphore = *TRY(invocation.operand<Semaphore>(0));
    const auto added =
        invocation.object<Process>().watch_exit(*invocation.process.budget, semaphore);
    invocation.set_results(0);
    return added.status();
}

Status process_watch_fault(Invocation& invocation) {
    Semaphore& semaphore = *TRY(invocation.operand<Semaphore>(0));
    const auto added =
        invocation.object<Process>().watch_fault(*invocation.process.budget, semaphore);
    invocation.set_results(0);
    return added.status();
}

}  // namespace annulus::kernel
