// SPDX-License-Identifier: MIT
// The operations that every object has: info, duplicate, close, revoke.
#include "kernel/object/lease.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

namespace {

void revoke_step(Thread& thread);
// A killed thread leaves the rest to the reaper.
constexpr LongOperation revoke_operation = {revoke_step, [](Thread&) {}};

void revoke_step(Thread& thread) {
    if (!revoke_some()) continue_later(thread, revoke_operation);
    finish_operation(thread, {});
}

}  // namespace

Status any_get_info(Invocation& invocation) {
    // It has no operands: the other words are zero.
    invocation.words[0] = static_cast<uint64_t>(invocation.type());
    invocation.words[1] = invocation.rights();
    return {};
}

Status any_get_duplicate(Invocation& invocation) {
    const auto rights = static_cast<abi::Rights>(invocation.words[0] & invocation.rights());
    const uint64_t flags = invocation.words[1];
    if ((flags & ~abi::duplicate_revocable) != 0) return invocation.unknown_flags(1);
    Lease lease = invocation.target_lease;
    const bool revocable = (flags & abi::duplicate_revocable) != 0;
    if (revocable) {
        auto made = create_lease(lease, *invocation.process.budget, &invocation.process);
        if (!made.ok()) return made.status();
        lease = *made;
    } else {
        retain_lease(lease);
    }
    // The handle was found under protection of the grace period; another thread may just have
    // closed it, and with it the object's last reference.
    if (!try_retain(*invocation.target)) {
        release_lease(lease);
        return Error::bad_handle;
    }
    invocation.set_results(0, revocable ? lease : 0);
    const auto given = invocation.give(0, Ref<Object>::adopt(*invocation.target), rights, lease);
    if (!given.ok()) release_lease(lease);
    return given.status();
}

Status any_close_close(Invocation& invocation) {
    // It has no operands: the words are zero.
    const auto closed = invocation.process.handles.close(invocation.caller.message.rdi);
    if (closed.ok()) invocation.process.rings.note_handle_closed();
    return closed.status();
}

Status any_close_revoke(Invocation& invocation) {
    const Lease lease = invocation.words[0];
    invocation.set_results(0);
    // The answer says that all below is revoked, too; the reaper alone would be on its way still,
    // when another CPU goes on with the caller.
    if (!TRY(revoke_lease(lease, &invocation.process))) {
        continue_later(invocation.caller, revoke_operation);
    }
    return {};
}

}  // namespace annulus::kernel
