// SPDX-License-Identifier: MIT
// Ring: what an operation does, and how it ends.
#include "arch/clock.h"
#include "base/align.h"
#include "base/container_of.h"
#include "kernel/object/process.h"
#include "kernel/object/ring_nops.h"
#include "kernel/schedule/scheduler.h"

#include <stddef.h>
#include <string.h>

#include <algorithm>
#include <bit>

namespace annulus::kernel {

// --- waiting
// --------------------------------------------------------------------------------------

void RingOperation::arm_deadline() {
    const uint64_t at = deadline.load(std::memory_order_relaxed);
    if (at == abi::deadline_never) return;
    timer_armed = true;
    start_timer(timer, at, timer_cpu);
}

void RingOperation::disarm_deadline() {
    if (!timer_armed) return;
    timer_armed = false;
    stop_timer(timer, timer_cpu);
}

RingOperation& operation_at(WaitLink& place) { return container_of(place, &RingOperation::place); }

// The caller holds the lock and knows the operation to be the one it means.
bool Ring::claim_locked(RingOperation& operation) {
    WaitRecord waiting = WaitRecord::waiting;
    // Acquire-release: the winner sees the wait as it was set up and nobody else ends it now.
    return operation.record.compare_exchange_strong(waiting, WaitRecord::dead,
                                                    std::memory_order_acq_rel);
}

void Ring::give_up(RingOperation& operation, Error error) {
    Status status = error;
    if (Table* table = operation.table.load(std::memory_order_acquire)) {
        status = table->cancel(operation, error);
    }
    finish(operation, status);
}

void Ring::deadline_passed(Timer& timer) {
    RingOperation& operation = container_of(timer, &RingOperation::timer);
    Ring& ring = *operation.ring;
    {
        SpinGuard guard(ring.lock_);
        // It may have fired for an earlier use of the record.
        if (operation.state != OperationState::started) return;
        if (operation.deadline.load(std::memory_order_relaxed) > arch::now_ns()) return;
        if (!claim_locked(operation)) return;
    }
    if (operation.entry.verb == abi::ring_timer) return ring.finish(operation, {});
    ring.give_up(operation, Error::timed_out);
}

// Advisory: it may have begun to end already. What a server has taken ends with an unknown outcome,
// and its slot is an orphan, as after a deadline. Chains of equal hash are cut at chunk_items.
Error Ring::cancel(const RingOperation& canceller) {
    const uint64_t user_data = canceller.entry.words[0];
    RingOperation* found = nullptr;
    {
        SpinGuard guard(lock_);
        unsigned looked_at = 0;
        for (RingOperation& operation : buckets_[bucket_of(user_data)]) {
            if (++looked_at > abi::chunk_items) break;
            if (operation.entry.user_data != user_data || &operation == &canceller) continue;
            found = &operation;
            break;
        }
        if (found == nullptr) return Error::not_found;
        const bool begun =
            found->state == OperationState::started || found->next_step != NextStep::begin;
        if (!begun) {
            found->doomed = true;
            return Error::ok;
        }
        if (!claim_locked(*found)) return Error::wrong_state;
    }
    give_up(*found, Error::cancelled);
    return Error::ok;
}

// --- the end of an operation
// ----------------------------------------------------------------------

// Its record is free; the next in its chain is ready.
[[gnu::always_inline]] inline void Ring::retire_operation_locked(RingOperation& operation,
                                                                 bool failed) {
    if (chain_tail_ == &operation) {
        chain_tail_ = nullptr;
        chain_failed_ = failed;
    }
    if (operation.uses_memory) {
        operation.uses_memory = false;
        --registered_[operation.entry.memory].uses;
    }
    if (RingOperation* follower = operation.follower) {
        operation.follower = nullptr;
        follower->doomed = follower->doomed || failed;
        make_ready_locked(*follower, NextStep::begin);
    }
    Bucket::remove(operation);
    operation.state = OperationState::free;
    free_.push_back(operation);
}

void Ring::finish(RingOperation& operation, Status status, uint32_t count) {
    operation.disarm_deadline();
    Ref<ServedObject> object;  // released after the lock
    {
        SpinGuard guard(lock_);
        object = std::move(operation.object);
        post_locked(operation.entry.user_data, status, count);
        // Relaxed: a timer that fires late looks at it under this lock.
        operation.deadline.store(abi::deadline_never, std::memory_order_relaxed);
        retire_operation_locked(operation, !status.ok());
        publish_locked();
    }
    completion_watches.fire();
}

void Ring::finish_later(RingOperation& operation, Status status) {
    SpinGuard guard(lock_);
    operation.result = status;
    make_ready_locked(operation, NextStep::complete);
}

void Ring::continue_later(RingOperation& operation) {
    SpinGuard guard(lock_);
    make_ready_locked(operation, NextStep::submit);
}

void Ring::make_ready_locked(RingOperation& operation, NextStep step) {
    operation.state = OperationState::ready;
    operation.next_step = step;
    ready_.push_back(operation);
    queue_work_locked();
}

void Ring::queue_work_locked() {
    if (work_queued_) return;
    work_queued_ = true;
    work_.priority = has_locked(Hindrance::ended) ? abi::priority_count - 1 : priority_;
    reap(work_);
}

// --- registered memory
// ----------------------------------------------------------------------------

std::byte* Ring::registered_byte(const RingOperation& operation, uint32_t offset) {
    // Without the lock: it stays as it was when the operation counted its use.
    const Registered& registered = registered_[operation.entry.memory];
    return registered.addresses[offset / abi::page_size] + offset % abi::page_size;
}

void Ring::copy_in(const RingOperation& operation, uint32_t offset, std::byte* to, uint32_t size) {
    while (size > 0) {
        const uint32_t room = static_cast<uint32_t>(abi::page_size) - offset % abi::page_size;
        const uint32_t part = std::min(size, room);
        memcpy(to, registered_byte(operation, offset), part);
        offset += part, to += part, size -= part;
    }
}

void Ring::copy_out(const RingOperation& operation, uint32_t offset, const std::byte* from,
                    uint32_t size) {
    while (size > 0) {
        const uint32_t room = static_cast<uint32_t>(abi::page_size) - offset % abi::page_size;
        const uint32_t part = std::min(size, room);
        memcpy(registered_byte(operation, offset), from, part);
        offset += part, from += part, size -= part;
    }
}

void Ring::finish_answered(RingOperation& operation) {
    const Status status = operation.result;
    if (status.ok() && operation.has(abi::ring_words)) {
        abi::RingWords block = {};
        memcpy(block.words, operation.words, sizeof(block.words));
        block.handle_mask = operation.answer_mask;
        block.bytes_out = operation.answer_bytes;
        copy_out(operation, operation.entry.words_block * uint32_t{sizeof(block)},
                 reinterpret_cast<const std::byte*>(&block), sizeof(block));
    }
    const bool bytes = operation.entry.capacity_out != 0;
    finish(operation, status,
           bytes ? operation.answer_bytes : static_cast<uint32_t>(operation.words[0]));
}

// --- beginning
// ------------------------------------------------------------------------------------

namespace {

// The detail is where the field lies in the entry.
Status wrong_field(size_t offset) {
    return Status(Error::bad_argument, static_cast<uint16_t>(offset));
}

}  // namespace

// What each kind of operation does when it begins. Each ends it, or leaves it waiting. What a
// request passes through has one caller each, and is inlined: its frames were a fifth of its way.
struct RingStart {
    // Checks what the entry says about memory, and counts the use.
    [[gnu::always_inline]] static Status use_memory_locked(Ring& ring, RingOperation& operation)
        REQUIRES(ring.lock_) {
        const abi::SubmissionEntry& entry = operation.entry;
        const uint32_t size = std::max(entry.bytes_in, entry.capacity_out);
        const bool words = operation.has(abi::ring_words);
        if (size == 0 && !words) return {};
        if (entry.memory >= abi::ring_memories_max)
            return wrong_field(offsetof(abi::SubmissionEntry, memory));
        Ring::Registered& registered = ring.registered_[entry.memory];
        if (!registered.memory || registered.busy)
            return wrong_field(offsetof(abi::SubmissionEntry, memory));
        const uint64_t end = uint64_t{registered.pages} * abi::page_size;
        if (!range_fits(entry.offset, size, end)) return Error::out_of_range;
        if (words &&
            !range_fits(entry.words_block * sizeof(abi::RingWords), sizeof(abi::RingWords), end)) {
            return Error::out_of_range;
        }
        if ((entry.capacity_out > 0 || words) && !registered.writable) {
            return Status(Error::no_right, static_cast<uint16_t>(abi::Verb::write));
        }
        ++registered.uses;
        operation.uses_memory = true;
        return {};
    }

    [[gnu::always_inline]] static void read_words(Ring& ring, RingOperation& operation) {
        for (uint64_t& word : operation.words) word = 0;
        if (operation.has(abi::ring_words)) {
            abi::RingWords block;
            ring.copy_in(operation, operation.entry.words_block * uint32_t{sizeof(block)},
                         reinterpret_cast<std::byte*>(&block), sizeof(block));
            memcpy(operation.words, block.words, sizeof(block.words));
        }
        operation.words[0] = operation.entry.words[0];
        operation.words[1] = operation.entry.words[1];
    }

    // An absolute deadline, whatever the entry says.
    [[gnu::always_inline]] static void set_deadline(RingOperation& operation) {
        uint64_t deadline = operation.entry.deadline;
        if (operation.has(abi::ring_relative)) {
            const uint64_t now = arch::now_ns();
            deadline = deadline < abi::deadline_never - now ? now + deadline : abi::deadline_never;
        }
        // Relaxed: whoever sees the wait sees it by the record's release.
        operation.deadline.store(deadline, std::memory_order_relaxed);
    }

    static void timer(Ring& ring, RingOperation& operation) {
        set_deadline(operation);
        SpinGuard guard(ring.lock_);
        // Release: whoever ends the wait sees the operation as it is. The timer's interrupt comes
        // after this.
        operation.record.store(WaitRecord::waiting, std::memory_order_release);
        operation.arm_deadline();
    }

    // Closing goes through the ring so that it can be the end of a chain.
    static void close(Ring& ring, RingOperation& operation) {
        HandleTable& handles = ring.process_->handles;
        const auto closed = handles.close(operation.entry.handle);
        if (closed.ok()) ring.process_->rings.note_handle_closed();
        ring.finish(operation, closed.status());
    }

    // What the entry's handle names, unless a right is missing. The one that was looked up just
    // before is not looked up again.
    [[gnu::always_inline]] static Status look_up_locked(Ring& ring,
                                                        const abi::SubmissionEntry& entry,
                                                        Found& found) REQUIRES(ring.lock_) {
        const abi::Rights needed = abi::right_of(static_cast<abi::Verb>(entry.verb));
        const HandleTable& handles = ring.process_->handles;
        RecentHandle& recent = ring.recent_;
        // Relaxed: the object was seen when the entry got this word.
        const bool known = entry.handle == recent.handle &&
                           recent.entry->word.load(std::memory_order_relaxed) == recent.word;
        if (!known && !handles.remember(entry.handle, recent)) {
            const auto looked_up = handles.find(entry.handle, abi::ObjectType::any, needed);
            if (looked_up.ok()) found = *looked_up;
            return looked_up.status();
        }
        found = {recent.object, type_in(recent.word), rights_in(recent.word), 0};
        const abi::Rights missing = needed & ~found.rights;
        if (missing == 0) return {};
        return Status(Error::no_right, static_cast<uint16_t>(std::countr_zero(missing)));
    }

    // What the operation needs to be kept until its end.
    [[gnu::always_inline]] static Status use_locked(Ring& ring, RingOperation& operation,
                                                    Found& found) REQUIRES(ring.lock_) {
        if (const Status wrong = look_up_locked(ring, operation.entry, found); !wrong.ok()) {
            return wrong;
        }
        const bool served = found.type == abi::ObjectType::served;
        if (!served && found.type != abi::ObjectType::memory) return Error::not_supported;
        const Status wrong = use_memory_locked(ring, operation);
        if (!wrong.ok() || !served) return wrong;
        auto& object = static_cast<ServedObject&>(*found.object);
        if (!try_retain(object)) return Error::bad_handle;
        operation.object = Ref<ServedObject>::adopt(object);
        return {};
    }

    [[gnu::always_inline]] static void request(Ring& ring, RingOperation& operation,
                                               const Found& found) {
        auto& object = static_cast<ServedObject&>(*found.object);
        operation.rights = found.rights;
        set_deadline(operation);
        read_words(ring, operation);
        // Safety: as in Table::call.
        Table* table = object.table.load(std::memory_order_acquire);
        if (table == nullptr) return ring.finish(operation, object.end_status);
        table->begin(operation);
    }

    // memory.read.bytes and memory.write.bytes: at most a registered range, so one step does it.
    static Status copy(Ring& ring, RingOperation& operation, MemoryObject& memory) {
        const abi::SubmissionEntry& entry = operation.entry;
        const bool reads = entry.verb == abi::ring_verb(abi::Verb::read);
        const uint32_t size = reads ? entry.capacity_out : entry.bytes_in;
        if ((reads ? entry.bytes_in : entry.capacity_out) != 0) {
            return reads ? wrong_field(offsetof(abi::SubmissionEntry, bytes_in))
                         : wrong_field(offsetof(abi::SubmissionEntry, capacity_out));
        }
        if (entry.words[1] != 0) return wrong_field(offsetof(abi::SubmissionEntry, words[1]));
        if (!range_fits(entry.words[0], size, memory.pages() * abi::page_size)) {
            return Error::out_of_range;
        }
        while (operation.progress < size) {
            const auto done = static_cast<uint32_t>(operation.progress);
            std::byte* bytes = ring.registered_byte(operation, entry.offset + done);
            const uint32_t room =
                static_cast<uint32_t>(abi::page_size) - (entry.offset + done) % abi::page_size;
            const uint32_t part = std::min(size - done, room);
            const uint64_t at = entry.words[0] + done;
            const auto copied =
                reads ? memory.copy_out(at, bytes, part) : memory.copy_in(at, bytes, part);
            if (!copied.ok()) return copied.status();
            operation.progress += part;
        }
        return {};
    }

    static void on_memory(Ring& ring, RingOperation& operation, const Found& found) {
        const abi::SubmissionEntry& entry = operation.entry;
        const bool known = entry.selector == 0 && entry.verb <= abi::ring_verb(abi::Verb::write);
        const bool plain = entry.moved_mask == 0 && !operation.has(abi::ring_words);
        if (!known || !plain) return ring.finish(operation, Error::not_supported);
        const Status status = copy(ring, operation, static_cast<MemoryObject&>(*found.object));
        if (status.code() == Error::busy) return repeat(ring, operation);
        ring.finish(operation, status, static_cast<uint32_t>(operation.progress));
    }

    // A page is being made private: again, after a grace period.
    static void repeat(Ring& ring, RingOperation& operation) {
        bool begin;
        {
            SpinGuard guard(ring.lock_);
            --ring.registered_[operation.entry.memory].uses;
            operation.uses_memory = false;
            operation.state = OperationState::ready;
            operation.next_step = NextStep::begin;
            ring.repeating_.push_back(operation);
            begin = !ring.repeat_waiting_;
            ring.repeat_waiting_ = true;
        }
        if (begin) grace_after(ring.repeat_grace_);
    }

    [[gnu::always_inline]] static void on_object(Ring& ring, RingOperation& operation) {
        const abi::SubmissionEntry& entry = operation.entry;
        if (entry.selector >= 0xff00) {
            const bool closes =
                entry.verb == abi::ring_verb(abi::Verb::close) && entry.selector == 0xff00;
            if (closes) return close(ring, operation);
            return ring.finish(operation, Error::not_supported);
        }
        if (entry.landing_count > abi::moved_handles_max) {
            return ring.finish(operation,
                               wrong_field(offsetof(abi::SubmissionEntry, landing_count)));
        }
        Found found;
        Status wrong;
        {
            SpinGuard guard(ring.lock_);
            wrong = use_locked(ring, operation, found);
        }
        if (!wrong.ok()) return ring.finish(operation, wrong);
        if (found.type == abi::ObjectType::served) return request(ring, operation, found);
        on_memory(ring, operation, found);
    }

    [[gnu::always_inline]] static void begin(Ring& ring, RingOperation& operation) {
        const abi::SubmissionEntry& entry = operation.entry;
        if (entry.verb >= abi::ring_verb_count) {
            return ring.finish(operation, Error::bad_operation);
        }
        if ((ring.allowed_ & abi::ring_allow(entry.verb)) == 0) {
            return ring.finish(operation, Error::not_granted);
        }
        if ((entry.flags & ~abi::ring_flags_all) != 0) {
            return ring.finish(operation, Error::not_supported);
        }
        switch (entry.verb) {
            case abi::ring_nop: return nop(ring, operation);
            case abi::ring_timer: return timer(ring, operation);
            case abi::ring_cancel: return ring.finish(operation, ring.cancel(operation));
            default: return on_object(ring, operation);
        }
    }

    static void nop(Ring& ring, RingOperation& operation) {
        const abi::Handle handle = operation.entry.handle;
        Status status;
        if (handle != abi::no_handle) {
            status = ring.process_->handles.find(handle, abi::ObjectType::any, 0).status();
        }
        ring.finish(operation, status);
    }
};

// The operation is `started` and in the caller's hands. No locks.
void Ring::start(RingOperation& operation) {
    switch (operation.next_step) {
        case NextStep::complete: return finish(operation, operation.result);
        case NextStep::submit: return Table::submit_granted(operation);
        case NextStep::begin: break;
    }
    // The table of handles lasts until a grace period after the process's end.
    if (operation.doomed || process_->ended()) return finish(operation, Error::cancelled);
    RingStart::begin(*this, operation);
}

}  // namespace annulus::kernel
