// SPDX-License-Identifier: MIT
// Operations on semaphores, tables, served objects and timers.
#include "kernel/object/budget.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/table.h"
#include "kernel/object/timer_object.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

Status semaphore_get_state(Invocation& invocation) {
    auto& semaphore = invocation.object<Semaphore>();
    const Semaphore::State state = semaphore.state();
    invocation.set_results(static_cast<uint64_t>(semaphore.mode()), state.value, state.memory_id,
                           state.offset);
    return {};
}

Status table_create_object(Invocation& invocation) {
    auto& table = invocation.object<Table>();
    const auto [cookie, rights, request] =
        std::array{invocation.words[0], invocation.words[1], invocation.words[2]};
    if ((rights & ~uint64_t{abi::all_rights}) != 0) return invocation.bad(1);
    Budget* payer = invocation.process.budget;
    if (request != 0) {
        auto client = table.client_budget(request);
        if (!client.ok()) return client.status();
        payer = *client;
    }
    // The server would get a close notice for an object that it never had.
    TRY(invocation.reserve_slot());
    auto object = table.create_object(*payer, cookie);
    if (!object.ok()) return object.status();
    invocation.set_results(0);
    return invocation
        .give(0, Ref<ServedObject>::adopt(*(*object).leak()), static_cast<abi::Rights>(rights))
        .status();
}

Status table_get_state(Invocation& invocation) {
    const Table::Counts counts = invocation.object<Table>().counts();
    invocation.set_results(counts.slots, counts.free, counts.queued, counts.taken, counts.orphans,
                           counts.clients);
    return {};
}

Status table_get_client(Invocation& invocation) {
    const auto object = invocation.operand<ServedObject>(0);
    if (!object.ok()) return object.status();
    const auto key = invocation.object<Table>().client_key(**object);
    if (!key.ok()) return key.status();
    invocation.set_results(*key);
    return {};
}

Status table_shutdown_fault(Invocation& invocation) {
    const uint64_t reason = invocation.words[0];
    if (reason > 0xffffffff) return invocation.bad(0);
    invocation.object<Table>().end(TableState::faulted,
                                   Status(Error::faulted, 0, static_cast<uint32_t>(reason)));
    invocation.set_results(0);
    return {};
}

Status served_watch_server_death(Invocation& invocation) {
    auto semaphore = invocation.operand<Semaphore>(0);
    if (!semaphore.ok()) return semaphore.status();
    auto& object = invocation.object<ServedObject>();
    invocation.set_results(0);
    return object.death_watches.add(*invocation.process.budget, **semaphore, false).status();
}

Status timer_set_arm(Invocation& invocation) {
    const uint64_t deadline = invocation.words[0];
    const uint64_t period = invocation.words[1];
    invocation.set_results(0);
    return invocation.object<TimerObject>().arm(deadline, period).status();
}

Status timer_set_cancel(Invocation& invocation) {
    invocation.set_results(invocation.object<TimerObject>().cancel() ? 1 : 0);
    return {};
}

}  // namespace annulus::kernel
