// SPDX-License-Identifier: MIT
// Ring: making one, registered memory, reserved handle values, the rings of a process.
#include "kernel/object/ring.h"

#include "base/align.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/ring_nops.h"
#include "kernel/object/ring_storage.h"

#include <bit>
#include <new>

namespace annulus::kernel {

Result<Ref<Ring>> Ring::create(Budget& budget, Process& process, uint64_t entries,
                               MemoryObject& memory, uint64_t offset, uint64_t allowed) {
    if (!std::has_single_bit(entries) || entries > abi::ring_entries_max) {
        return Status(Error::bad_argument, 0);
    }
    if (offset % abi::page_size != 0) return Status(Error::bad_argument, 2);
    if ((allowed & ~uint64_t{abi::ring_allow_all}) != 0) return Status(Error::bad_argument, 3);
    const auto count = static_cast<uint32_t>(entries);
    if (!range_fits(offset, abi::ring_bytes(count), memory.pages() * abi::page_size)) {
        return Error::out_of_range;
    }
    // The ring's own end gives everything back that was charged so far.
    auto ring = TRY(budget.create<Ring>());
    ring->process_ = Ref<Process>::share(process);
    ring->allowed_ = static_cast<uint32_t>(allowed);
    ring->prepare_nops();
    TRY(budget.charge(abi::Resource::slots, entries));
    ring->charged_slots_ = count;
    void* storage = TRY(allocate_table_pages(budget, ring_storage_pages(count)));
    ring->use_storage(storage, count);
    TRY(ring->use_queues(memory, offset / abi::page_size));
    TRY(process.rings.add(*ring));
    return ring;
}

void Ring::prepare_nops() {
    SpinGuard guard(lock_);
    set_locked(Hindrance::no_nops, (allowed_ & abi::ring_allow(abi::ring_nop)) == 0);
    recent_.entry = process_->handles.entries();  // never null
}

// The operations' records, then the landings.
void Ring::use_storage(void* storage, uint32_t count) {
    SpinGuard guard(lock_);
    queue_ = RingQueue(count);
    operations_ = static_cast<RingOperation*>(storage);
    for (uint32_t i = 0; i < count; ++i) {
        auto* operation = new (&operations_[i]) RingOperation;
        operation->ring = this;
        operation->timer.callback = deadline_passed;
        free_.push_back(*operation);
    }
    // Safety: zeroed memory behind the records, counted by ring_storage_pages().
    landings_ = reinterpret_cast<uint64_t*>(operations_ + count);
}

Result<void> Ring::use_queues(MemoryObject& memory, uint64_t first) {
    uint32_t entries;
    {
        SpinGuard guard(lock_);
        entries = queue_.entries();
    }
    const uint32_t count =
        static_cast<uint32_t>((abi::ring_bytes(entries) + abi::page_size - 1) / abi::page_size);
    // Merely looked up: its last handle may just have been closed.
    if (!try_retain(memory)) return Status(Error::bad_handle, 0, 2);
    auto held = Ref<MemoryObject>::adopt(memory);
    TRY(memory.pin(*budget, first, count));
    memory_ = std::move(held);
    first_page_ = first;
    page_count_ = count;
    submissions_at_ = abi::ring_submissions(entries);
    for (uint32_t i = 0; i < count; ++i) {
        pages_[i] = static_cast<std::byte*>(memory.pinned_address(first + i));
    }
    indices_ = pages_[0];
    // Relaxed: nobody else has the ring yet.
    for (const uint32_t index : {abi::ring_submission_tail, abi::ring_submission_head,
                                 abi::ring_completion_tail, abi::ring_completion_head}) {
        index_at(index).store(0, std::memory_order_relaxed);
    }
    return {};
}

// --- registered memory
// ----------------------------------------------------------------------------

Result<void> Ring::register_memory(uint64_t index, MemoryObject& memory, uint64_t offset,
                                   uint64_t pages, bool writable) {
    if (index >= abi::ring_memories_max) return Status(Error::bad_argument, 0);
    if (offset % abi::page_size != 0) return Status(Error::bad_argument, 2);
    if (pages == 0 || pages > abi::ring_memory_pages_max) return Status(Error::bad_argument, 3);
    // Found in a handle table: its last reference may just be going.
    if (!try_retain(memory)) return Error::bad_handle;
    Ref<MemoryObject> held = Ref<MemoryObject>::adopt(memory);
    Registered& registered = registered_[index];
    {
        SpinGuard guard(lock_);
        if (has_locked(Hindrance::ended)) return Error::closed;
        if (registered.memory || registered.busy) return Error::busy;
        registered.busy = true;
    }
    const uint64_t first = offset / abi::page_size;
    const auto pinned = pin_pages(memory, first, pages);
    {
        SpinGuard guard(lock_);
        registered.busy = false;
        if (pinned.ok() && !has_locked(Hindrance::ended)) {
            registered.memory = std::move(held);
            registered.addresses = *pinned;
            registered.first = first;
            registered.pages = static_cast<uint32_t>(pages);
            registered.uses = 0;
            registered.writable = writable;
            return {};
        }
    }
    if (!pinned.ok()) return pinned.status();
    // The ring has ended meanwhile, and its clearing up may have passed this place.
    unpin_pages(memory, *pinned, first, pages);
    return Error::closed;
}

// Pins the pages and keeps where each is, so that bytes can be copied under any lock.
Result<std::byte**> Ring::pin_pages(MemoryObject& memory, uint64_t first, uint64_t count) {
    void* storage = TRY(budget->allocate_bytes(count * sizeof(std::byte*)));
    if (const auto pinned = memory.pin(*budget, first, count); !pinned.ok()) {
        budget->free_bytes(storage, count * sizeof(std::byte*));
        return pinned.status();
    }
    auto** addresses = static_cast<std::byte**>(storage);
    for (uint64_t i = 0; i < count; ++i) {
        addresses[i] = static_cast<std::byte*>(memory.pinned_address(first + i));
    }
    return addresses;
}

void Ring::unpin_pages(MemoryObject& memory, std::byte** addresses, uint64_t first,
                       uint64_t count) {
    budget->free_bytes(addresses, count * sizeof(std::byte*));
    memory.unpin(*budget, first, count);
}

Result<void> Ring::unregister_memory(uint64_t index) {
    if (index >= abi::ring_memories_max) return Status(Error::bad_argument, 0);
    Registered& registered = registered_[index];
    {
        SpinGuard guard(lock_);
        if (registered.busy) return Error::busy;
        if (!registered.memory) return Error::not_found;
        if (registered.uses != 0) return Error::busy;
        registered.busy = true;
    }
    forget(registered);
    return {};
}

// It is `busy`: nobody else touches it.
void Ring::forget(Registered& registered) {
    Ref<MemoryObject> memory;  // released after the lock
    {
        SpinGuard guard(lock_);
        memory = std::move(registered.memory);
    }
    unpin_pages(*memory, registered.addresses, registered.first, registered.pages);
    SpinGuard guard(lock_);
    registered.busy = false;
}

// --- landings
// -------------------------------------------------------------------------------------

Result<void> Ring::reserve_landings(uint64_t first, uint64_t count, uint64_t* values) {
    if (count == 0 || count > abi::moved_handles_max) return Status(Error::bad_argument, 1);
    HandleTable& handles = process_->handles;
    SpinGuard guard(lock_);
    if (!range_fits(first, count, queue_.entries())) return Status(Error::bad_argument, 0);
    if (has_locked(Hindrance::ended) || process_->ended()) return Error::closed;
    for (uint64_t i = 0; i < count; ++i) {
        if (landings_[first + i] != abi::no_handle) return Error::busy;
    }
    for (uint64_t i = 0; i < count; ++i) {
        const auto value = handles.reserve_value();
        if (!value.ok()) {
            while (i-- > 0) {
                handles.release_value(landings_[first + i]);
                landings_[first + i] = abi::no_handle;
            }
            return value.status();
        }
        landings_[first + i] = *value;
        values[i] = *value;
    }
    return {};
}

Result<void> Ring::take_landings(const RingOperation& operation, unsigned count, uint64_t* values) {
    const abi::SubmissionEntry& entry = operation.entry;
    SpinGuard guard(lock_);
    // A process that has ended closes its handles: none may arrive behind that.
    if (process_->ended() || count > entry.landing_count) return Error::no_room;
    if (!range_fits(entry.landing, count, queue_.entries())) return Error::no_room;
    for (unsigned i = 0; i < count; ++i) {
        values[i] = landings_[entry.landing + i];
        if (values[i] == abi::no_handle) return Error::no_room;
    }
    for (unsigned i = 0; i < count; ++i) landings_[entry.landing + i] = abi::no_handle;
    return {};
}

void Ring::return_landings(const RingOperation& operation, unsigned count, const uint64_t* values) {
    SpinGuard guard(lock_);
    for (unsigned i = 0; i < count; ++i) landings_[operation.entry.landing + i] = values[i];
}

// --- the rings of a process
// -----------------------------------------------------------------------

Result<void> RingList::add(Ring& ring) {
    SpinGuard guard(lock_);
    // Relaxed: changes under the lock only.
    const uint32_t count = count_.load(std::memory_order_relaxed);
    if (count == abi::process_rings_max) return Error::limit;
    count_.store(count + 1, std::memory_order_relaxed);
    rings_.push_back(ring);
    return {};
}

void RingList::remove(Ring& ring) {
    SpinGuard guard(lock_);
    if (!IntrusiveList<Ring, RingOfProcess>::is_linked(ring)) return;
    rings_.remove(ring);
    count_.fetch_sub(1, std::memory_order_relaxed);
}

void RingList::tell_all() {
    SpinGuard guard(lock_);
    for (Ring& ring : rings_) ring.note_handle_closed();
}

}  // namespace annulus::kernel
