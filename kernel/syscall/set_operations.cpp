// SPDX-License-Identifier: MIT
// Operations on semaphore sets, the one that makes them, and the binding to a table.
#include "kernel/object/budget.h"
#include "kernel/object/channel.h"
#include "kernel/object/semaphore_set.h"
#include "kernel/object/table.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

namespace {

// The semaphore that operand `index` names: one, or the own bell of a channel's end.
Result<Semaphore*> member_operand(Invocation& invocation, unsigned index) {
    const Found found = TRY(invocation.find_operand(index));
    if (found.type == abi::ObjectType::semaphore) return static_cast<Semaphore*>(found.object);
    if (found.type != abi::ObjectType::channel) return Status(Error::wrong_type, 0, index + 1);
    return static_cast<Semaphore*>(static_cast<ChannelEnd*>(found.object));
}

// --- set.remove.member: progress = set, record. The record waits for a grace period, because
// another CPU may have it in hand.

SemaphoreSet& held_set(Thread& thread) {
    // Safety: the handler that set the operation up put a SemaphoreSet* there.
    return *reinterpret_cast<SemaphoreSet*>(thread.progress[0]);
}

void forget_member(Thread& thread) {
    SemaphoreSet& set = held_set(thread);
    // Safety: as above, a SetMember* of this set.
    set.forget(*reinterpret_cast<SetMember*>(thread.progress[1]));
    release(set);
}
void remove_step(Thread& thread) {
    forget_member(thread);
    finish_operation(thread, {});
}
constexpr LongOperation remove_operation = {remove_step, forget_member};

}  // namespace

Status budget_create_set(Invocation& invocation) {
    const uint64_t room = invocation.words[0];
    if (room == 0 || room > abi::set_members_max) return invocation.bad(0);
    auto set = SemaphoreSet::create(invocation.object<Budget>(), static_cast<uint32_t>(room));
    if (!set.ok()) return set.status();
    invocation.set_results(0);
    return invocation.give(0, std::move(*set), abi::all_rights).status();
}

Status set_create_member(Invocation& invocation) {
    Semaphore& semaphore = *TRY(member_operand(invocation, 0));
    const auto [key, seen] = std::array{invocation.words[1], invocation.words[2]};
    if (seen != 0 && semaphore.mode() != SemaphoreMode::sequence) return invocation.bad(2);
    invocation.set_results(0);
    return invocation.object<SemaphoreSet>().add(semaphore, key, seen).status();
}

Status set_remove_member(Invocation& invocation) {
    Semaphore& semaphore = *TRY(member_operand(invocation, 0));
    auto& set = invocation.object<SemaphoreSet>();
    // Merely looked up: its last handle may just have been closed.
    if (!try_retain(set)) return Error::bad_handle;
    SetMember* member = nullptr;
    if (const auto taken = set.take_out(semaphore, member); !taken.ok()) {
        release(set);
        return taken.status();
    }
    invocation.caller.progress[0] = reinterpret_cast<uint64_t>(&set);
    invocation.caller.progress[1] = reinterpret_cast<uint64_t>(member);
    continue_after_grace(invocation.caller, remove_operation, false);
}

Status set_get_state(Invocation& invocation) {
    const auto counts = invocation.object<SemaphoreSet>().counts();
    invocation.set_results(counts.members, counts.room, counts.ready ? 1 : 0, counts.bound ? 1 : 0);
    return {};
}

Status table_set_events(Invocation& invocation) {
    SemaphoreSet& set = *TRY(invocation.operand<SemaphoreSet>(0));
    if (!try_retain(set)) return Status(Error::bad_handle, 0, 1);
    const auto bound = set.bind(invocation.object<Table>());
    if (!bound.ok()) release(set);
    invocation.set_results(0);
    return bound.status();
}

}  // namespace annulus::kernel
