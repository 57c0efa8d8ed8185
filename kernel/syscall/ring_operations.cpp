// SPDX-License-Identifier: MIT
// Operations on rings, and the one that makes them.
#include "kernel/object/budget.h"
#include "kernel/object/ring.h"
#include "kernel/object/semaphore.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

Status budget_create_ring(Invocation& invocation) {
    const auto memory = invocation.operand<MemoryObject>(1);
    if (!memory.ok()) return memory.status();
    auto made = Ring::create(invocation.object<Budget>(), invocation.process, invocation.words[0],
                             **memory, invocation.words[2], invocation.words[3]);
    if (!made.ok()) return made.status();
    invocation.set_results(0);
    return invocation.give(0, std::move(*made), abi::all_rights).status();
}

Status ring_set_register(Invocation& invocation) {
    const auto memory = invocation.find_operand(1);
    if (!memory.ok()) return memory.status();
    const bool writable = (memory->rights & abi::right_of(abi::Verb::write)) != 0;
    const auto registered = invocation.object<Ring>().register_memory(
        invocation.words[0], static_cast<MemoryObject&>(*memory->object), invocation.words[2],
        invocation.words[3], writable);
    invocation.set_results(0);
    return registered.status();
}

Status ring_remove_unregister(Invocation& invocation) {
    const auto removed = invocation.object<Ring>().unregister_memory(invocation.words[0]);
    invocation.set_results(0);
    return removed.status();
}

Status ring_create_landing(Invocation& invocation) {
    uint64_t values[abi::moved_handles_max] = {};
    const auto reserved = invocation.object<Ring>().reserve_landings(invocation.words[0],
                                                                     invocation.words[1], values);
    invocation.set_results(values[0], values[1], values[2], values[3]);
    return reserved.status();
}

Status ring_get_state(Invocation& invocation) {
    const Ring::Counts counts = invocation.object<Ring>().counts();
    invocation.set_results(counts.entries, counts.in_flight, counts.unread, counts.faulted ? 1 : 0);
    return {};
}

Status ring_watch_completion(Invocation& invocation) {
    auto semaphore = invocation.operand<Semaphore>(0);
    if (!semaphore.ok()) return semaphore.status();
    auto& ring = invocation.object<Ring>();
    invocation.set_results(0);
    return ring.watch_completions(*invocation.process.budget, **semaphore).status();
}

}  // namespace annulus::kernel
