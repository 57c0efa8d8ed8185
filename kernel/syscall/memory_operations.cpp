// SPDX-License-Identifier: MIT
// Operations on memory objects, and the one that makes them.
//
// Bytes go through a small buffer on the stack: the copy from or to user memory may fault, so no
// lock is held and no page of the object is looked at while it runs.
#include "base/align.h"
#include "kernel/memory/memory_object.h"
#include "kernel/object/lease.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

namespace {

constexpr uint64_t bounce_size = 512;
// Bytes of one transfer between two preemption points.
constexpr uint64_t transfer_chunk = abi::chunk_items * abi::page_size;

// References in thread.progress[] are plain pointers that own one reference.
template <typename T>
T& held(Thread& thread, unsigned index) {
    // Safety: the handler that set the operation up put a T* there.
    return *reinterpret_cast<T*>(thread.progress[index]);
}
template <typename T>
uint64_t hold(Ref<T> object) {
    return reinterpret_cast<uint64_t>(object.leak());
}
// The same for an object that was looked up without a reference. False: its last one just went.
template <typename T>
bool hold_found(Thread& thread, unsigned index, T& object) {
    if (!try_retain(object)) return false;
    thread.progress[index] = reinterpret_cast<uint64_t>(&object);
    return true;
}

// Hands the finished object in progress[0] to the caller, with all rights, and ends the operation.
[[noreturn]] void finish_with_memory(Thread& thread) {
    auto inserted = thread.process->handles.insert(
        Ref<Object>::adopt(held<MemoryObject>(thread, 0)), abi::all_rights, 0, false);
    if (!inserted.ok()) finish_operation(thread, inserted.status());
    finish_operation(thread, {}, *inserted, 0, 1);
}

// --- budget.create.memory: progress = object, bytes that are committed
// ----------------------------

void create_step(Thread& thread);
void create_abandon(Thread& thread) { release(held<MemoryObject>(thread, 0)); }
constexpr LongOperation create_operation = {create_step, create_abandon};

void create_step(Thread& thread) {
    auto& memory = held<MemoryObject>(thread, 0);
    const uint64_t end = memory.pages() * abi::page_size;
    const auto committed = memory.commit_some(thread.progress[1], end);
    if (!committed.ok()) {
        create_abandon(thread);
        finish_operation(thread, committed.status());
    }
    if (thread.progress[1] < end) continue_later(thread, create_operation);
    finish_with_memory(thread);
}

// --- memory.create.clone: progress = clone, source's root, first page
// -----------------------------

enum ClonePhase : uint64_t { share_pages, protect_source, flush_source };

void clone_step(Thread& thread);
void clone_abandon(Thread& thread) {
    auto& source = held<MemoryObject>(thread, 1);
    source.cancel_clone(held<MemoryObject>(thread, 0));
    release(held<MemoryObject>(thread, 0));
    release(source);
}
constexpr LongOperation clone_operation = {clone_step, clone_abandon};

void clone_step(Thread& thread) {
    auto& clone = held<MemoryObject>(thread, 0);
    auto& source = held<MemoryObject>(thread, 1);
    const uint64_t first = thread.progress[2];
    if (thread.progress[3] == share_pages) {
        const auto filled = source.clone_some(clone, first);
        if (!filled.ok()) {
            clone_abandon(thread);
            finish_operation(thread, filled.status());
        }
        if (*filled) thread.progress[3] = protect_source;
        continue_later(thread, clone_operation);
    }
    if (thread.progress[3] == protect_source) {
        if (!source.protect_some(clone, first)) continue_later(thread, clone_operation);
        thread.progress[3] = flush_source;
        continue_after_grace(thread, clone_operation, true);
    }
    release(source);
    finish_with_memory(thread);
}

// --- memory.set.commit: progress = object, offset, end
// --------------------------------------------

void commit_step(Thread& thread);
void commit_abandon(Thread& thread) { release(held<MemoryObject>(thread, 0)); }
constexpr LongOperation commit_operation = {commit_step, commit_abandon};

void commit_step(Thread& thread) {
    const auto committed =
        held<MemoryObject>(thread, 0).commit_some(thread.progress[1], thread.progress[2]);
    if (committed.ok() && thread.progress[1] < thread.progress[2]) {
        continue_later(thread, commit_operation);
    }
    commit_abandon(thread);
    finish_operation(thread, committed.status());
}

// --- memory.write.bytes: progress = object, offset, user address, bytes left
// ----------------------

struct Transfer {
    uint64_t offset;   // in the object
    uint64_t address;  // in user memory
    uint64_t left;
};

// Up to one chunk; busy: a grace period is needed first. Moves the transfer on.
Result<void> write_some(MemoryObject& memory, Transfer& transfer) {
    uint8_t bounce[bounce_size];
    const uint64_t stop =
        transfer.left > transfer_chunk ? transfer.left - transfer_chunk : uint64_t{0};
    while (transfer.left > stop) {
        const uint64_t part = transfer.left < bounce_size ? transfer.left : bounce_size;
        if (!arch::copy_from_user(bounce, {transfer.address}, part)) return Error::bad_address;
        TRY(memory.copy_in(transfer.offset, bounce, part));
        transfer.offset += part;
        transfer.address += part;
        transfer.left -= part;
    }
    return {};
}

void write_step(Thread& thread);
void write_abandon(Thread& thread) { release(held<MemoryObject>(thread, 0)); }
constexpr LongOperation write_operation = {write_step, write_abandon};

void write_step(Thread& thread) {
    Transfer transfer = {thread.progress[1], thread.progress[2], thread.progress[3]};
    const auto written = write_some(held<MemoryObject>(thread, 0), transfer);
    thread.progress[1] = transfer.offset;
    thread.progress[2] = transfer.address;
    thread.progress[3] = transfer.left;
    if (written.error() == Error::busy) continue_after_grace(thread, write_operation, true);
    if (written.ok() && transfer.left > 0) continue_later(thread, write_operation);
    write_abandon(thread);
    finish_operation(thread, written.status());
}

}  // namespace

Status budget_create_memory(Invocation& invocation) {
    auto& budget = invocation.object<Budget>();
    const uint64_t pages = invocation.words[0];
    auto created = MemoryObject::create(budget, pages, invocation.words[1]);
    if (!created.ok()) return created.status();
    Ref<MemoryObject> memory = std::move(created).value();
    if (memory->memory_kind() == MemoryKind::on_demand || pages <= abi::chunk_items) {
        invocation.set_results(0);
        return invocation.give(0, std::move(memory), abi::all_rights).status();
    }
    Thread& caller = invocation.caller;
    caller.progress[0] = hold(std::move(memory));
    caller.progress[1] = abi::chunk_items * abi::page_size;
    continue_later(caller, create_operation);
}

// A transfer longer than one chunk is cut short; the result says how many bytes there are.
Status memory_read_bytes(Invocation& invocation) {
    auto& memory = invocation.object<MemoryObject>();
    const uint64_t size = invocation.capacity_out();
    uint64_t offset = invocation.words[0];
    if (!range_fits(offset, size, memory.pages() * abi::page_size)) return Error::out_of_range;
    uint64_t left = size < transfer_chunk ? size : transfer_chunk;
    uint8_t bounce[bounce_size];
    uint32_t done = 0;
    while (left > 0) {
        const uint64_t part = left < bounce_size ? left : bounce_size;
        const auto copied = memory.copy_out(offset, bounce, part);
        if (!copied.ok()) return copied.status();
        if (!arch::copy_to_user(invocation.buffer() + done, bounce, part))
            return Error::bad_address;
        offset += part;
        left -= part;
        done += static_cast<uint32_t>(part);
    }
    invocation.set_results(0);
    invocation.bytes_out = done;
    return {};
}

Status memory_write_bytes(Invocation& invocation) {
    auto& memory = invocation.object<MemoryObject>();
    Transfer transfer = {invocation.words[0], invocation.buffer().value, invocation.bytes_in()};
    if (!range_fits(transfer.offset, transfer.left, memory.pages() * abi::page_size)) {
        return Error::out_of_range;
    }
    const auto written = write_some(memory, transfer);
    const bool busy = written.error() == Error::busy;
    if (!busy && (!written.ok() || transfer.left == 0)) {
        invocation.set_results(0);
        return written.status();
    }
    Thread& caller = invocation.caller;
    if (!hold_found(caller, 0, memory)) return Error::bad_handle;
    caller.progress[1] = transfer.offset;
    caller.progress[2] = transfer.address;
    caller.progress[3] = transfer.left;
    if (busy) continue_after_grace(caller, write_operation, true);
    continue_later(caller, write_operation);
}

Status memory_get_size(Invocation& invocation) {
    auto& memory = invocation.object<MemoryObject>();
    invocation.set_results(memory.pages(), memory.flags(), memory.committed(), memory.id());
    return {};
}

Status memory_get_physical(Invocation& invocation) {
    const auto address = invocation.object<MemoryObject>().physical();
    if (!address.ok()) return address.status();
    invocation.set_results(*address);
    return {};
}

Status memory_create_range(Invocation& invocation) {
    const auto budget = invocation.operand<Budget>(0);
    if (!budget.ok()) return budget.status();
    auto range = invocation.object<MemoryObject>().create_range(**budget, invocation.words[1],
                                                                invocation.words[2]);
    if (!range.ok()) return range.status();
    const Lease lease = invocation.target_lease;
    retain_lease(lease);
    invocation.set_results(0);
    const auto given = invocation.give(0, std::move(range).value(), invocation.rights(), lease);
    if (!given.ok()) release_lease(lease);
    return given.status();
}

Status memory_create_clone(Invocation& invocation) {
    const auto budget = invocation.operand<Budget>(0);
    if (!budget.ok()) return budget.status();
    // Whoever may not read the memory must not read it through a clone.
    if (!(invocation.rights() & abi::right_of(abi::Verb::read))) {
        return Status(Error::no_right, static_cast<uint16_t>(abi::Verb::read));
    }
    auto& memory = invocation.object<MemoryObject>();
    const uint64_t offset = invocation.words[1];
    auto clone = memory.create_clone(**budget, offset, invocation.words[2]);
    if (!clone.ok()) return clone.status();
    const auto at = memory.place();
    if (!at.ok()) return at.status();
    Thread& caller = invocation.caller;
    if (!hold_found(caller, 1, *at->root)) return Error::bad_handle;
    caller.progress[0] = hold(std::move(clone).value());
    caller.progress[2] = at->first + offset / abi::page_size;
    caller.progress[3] = share_pages;
    continue_later(caller, clone_operation);
}

Status memory_set_commit(Invocation& invocation) {
    auto& memory = invocation.object<MemoryObject>();
    uint64_t offset = invocation.words[0];
    const uint64_t length = invocation.words[1];
    if (!is_aligned(offset, abi::page_size)) return invocation.bad(0);
    if (!is_aligned(length, abi::page_size)) return invocation.bad(1);
    if (!range_fits(offset, length, memory.pages() * abi::page_size)) return Error::out_of_range;
    const uint64_t end = offset + length;
    const auto committed = memory.commit_some(offset, end);
    if (!committed.ok() || offset == end) {
        invocation.set_results(0);
        return committed.status();
    }
    Thread& caller = invocation.caller;
    if (!hold_found(caller, 0, memory)) return Error::bad_handle;
    caller.progress[1] = offset;
    caller.progress[2] = end;
    continue_later(caller, commit_operation);
}

}  // namespace annulus::kernel
