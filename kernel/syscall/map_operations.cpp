// SPDX-License-Identifier: MIT
// process.map.*: what a process sees.
#include "base/align.h"
#include "kernel/memory/address_space.h"
#include "kernel/syscall/invocation.h"

#include <bit>

namespace annulus::kernel {

namespace {

// What a handle to memory lets its holder do with a mapping.
uint64_t allowed_access(abi::Rights rights) {
    uint64_t access = 0;
    if (rights & abi::right_of(abi::Verb::read)) access |= abi::map_read;
    if (rights & abi::right_of(abi::Verb::write)) access |= abi::map_write;
    if (rights & abi::right_execute) access |= abi::map_execute;
    return access;
}

abi::Rights needed_rights(uint64_t flags) {
    abi::Rights rights = 0;
    if (flags & abi::map_read) rights |= abi::right_of(abi::Verb::read);
    if (flags & abi::map_write) rights |= abi::right_of(abi::Verb::write);
    if (flags & abi::map_execute) rights |= abi::right_execute;
    return rights;
}

// --- unmap and protect: progress = process, address reached, end, flags, status, flush
// ------------

enum Progress : unsigned { process_held, reached, range_end, access, outcome, needs_flush };

Process& held_process(Thread& thread) {
    // Safety: start_change() put it there, with a reference.
    return *reinterpret_cast<Process*>(thread.progress[process_held]);
}

void change_abandon(Thread& thread) { release(held_process(thread)); }

[[noreturn]] void finish_change(Thread& thread) {
    change_abandon(thread);
    finish_operation(thread, Status(thread.progress[outcome]));
}
void flushed_step(Thread& thread) { finish_change(thread); }
constexpr LongOperation flush_operation = {flushed_step, change_abandon};

// One chunk. What was changed before an error is flushed, too.
[[noreturn]] void change_step(Thread& thread, const LongOperation& operation,
                              const Result<uint64_t>& changed, bool flush) {
    if (flush) thread.progress[needs_flush] = 1;
    if (changed.ok()) {
        thread.progress[reached] = *changed;
        if (*changed < thread.progress[range_end]) continue_later(thread, operation);
    } else {
        thread.progress[outcome] = changed.status().bits;
    }
    if (thread.progress[needs_flush]) continue_after_grace(thread, flush_operation, true);
    finish_change(thread);
}

void unmap_step(Thread& thread);
constexpr LongOperation unmap_operation = {unmap_step, change_abandon};
void unmap_step(Thread& thread) {
    bool flush = false;
    const auto changed = held_process(thread).space.unmap(thread.progress[reached],
                                                          thread.progress[range_end], flush);
    change_step(thread, unmap_operation, changed, flush);
}

void protect_step(Thread& thread);
constexpr LongOperation protect_operation = {protect_step, change_abandon};
void protect_step(Thread& thread) {
    bool flush = false;
    const auto changed = held_process(thread).space.protect(
        thread.progress[reached], thread.progress[range_end], thread.progress[access], flush);
    change_step(thread, protect_operation, changed, flush);
}

// Checks the range, which is words 0 and 1.
Status check_range(const Invocation& invocation) {
    const uint64_t address = invocation.words[0];
    const uint64_t length = invocation.words[1];
    if (!is_aligned(address, abi::page_size)) return invocation.bad(0);
    if (length == 0 || !is_aligned(length, abi::page_size)) return invocation.bad(1);
    if (!arch::in_user_range({address}, length)) return Error::out_of_range;
    return {};
}

// False: the process was looked up without a reference, and its last one just went.
bool start_change(Invocation& invocation, uint64_t flags) {
    Thread& caller = invocation.caller;
    auto& process = invocation.object<Process>();
    if (!try_retain(process)) return false;
    caller.progress[process_held] = reinterpret_cast<uint64_t>(&process);
    caller.progress[reached] = invocation.words[0];
    caller.progress[range_end] = invocation.words[0] + invocation.words[1];
    caller.progress[access] = flags;
    caller.progress[outcome] = 0;
    caller.progress[needs_flush] = 0;
    return true;
}

}  // namespace

Status process_map_map(Invocation& invocation) {
    const auto found = invocation.find_operand(0);
    if (!found.ok()) return found.status();
    const uint64_t flags = invocation.words[4];
    const abi::Rights missing = needed_rights(flags) & ~found->rights;
    if (missing != 0) {
        return Status(Error::no_right, static_cast<uint16_t>(std::countr_zero(missing)), 1);
    }
    auto& memory = *static_cast<MemoryObject*>(found->object);
    const auto mapped = invocation.object<Process>().space.map(
        memory, invocation.words[1], invocation.words[2], invocation.words[3], flags,
        allowed_access(found->rights), found->lease);
    if (!mapped.ok()) return mapped.status();
    invocation.set_results(*mapped);
    return {};
}

Status process_map_unmap(Invocation& invocation) {
    const Status checked = check_range(invocation);
    if (!checked.ok()) return checked;
    if (!start_change(invocation, 0)) return Error::bad_handle;
    unmap_step(invocation.caller);
    __builtin_unreachable();
}

Status process_map_protect(Invocation& invocation) {
    const Status checked = check_range(invocation);
    if (!checked.ok()) return checked;
    if (!start_change(invocation, invocation.words[2])) return Error::bad_handle;
    protect_step(invocation.caller);
    __builtin_unreachable();
}

}  // namespace annulus::kernel
