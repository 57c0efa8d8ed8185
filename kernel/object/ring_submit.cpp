// SPDX-License-Identifier: MIT
// Ring: taking entries from the submission queue, and writing completions.
#include "base/align.h"
#include "kernel/object/process.h"
#include "kernel/object/ring.h"
#include "kernel/schedule/scheduler.h"

#include <string.h>

namespace annulus::kernel {

// Safety, here and below: the queues' pages are pinned, and offsets are those of abi/ring.h for
// this number of entries. Programs change the memory at any time, so it is only ever accessed as
// atomics, each word once.
std::atomic<uint32_t>& Ring::index_at(uint32_t offset) const {
    return *reinterpret_cast<std::atomic<uint32_t>*>(pages_[0] + offset);
}

std::atomic<uint64_t>* Ring::entry_at(uint32_t place) const {
    const uint32_t offset = submissions_at_ + place * uint32_t{sizeof(abi::SubmissionEntry)};
    return reinterpret_cast<std::atomic<uint64_t>*>(pages_[offset / abi::page_size] +
                                                    offset % abi::page_size);
}

// Looks at the client's indices. False: they are wrong, and the ring takes no entries any more.
bool Ring::refresh_locked(uint32_t& submitted) {
    // Acquire: pairs with the client's release: its entries, and what it read, came before.
    const uint32_t tail = index_at(abi::ring_submission_tail).load(std::memory_order_acquire);
    const uint32_t head = index_at(abi::ring_completion_head).load(std::memory_order_acquire);
    if (!queue_.note_read(head) || !queue_.submitted(tail, submitted)) faulted_ = true;
    return !faulted_;
}

// Writes the completion of an entry that was taken. publish_locked() shows it to the client.
void Ring::post_locked(uint64_t user_data, Status status, uint32_t count) {
    write_completion(queue_.complete(), user_data, status, count);
}

void Ring::write_completion(uint32_t place, uint64_t user_data, Status status,
                            uint32_t count) const {
    const uint32_t offset = abi::ring_completions + place * uint32_t{sizeof(abi::CompletionEntry)};
    auto* words = reinterpret_cast<std::atomic<uint64_t>*>(pages_[offset / abi::page_size] +
                                                           offset % abi::page_size);
    const uint64_t low = static_cast<uint32_t>(status.bits);
    const uint64_t high = status.ok() ? count : status.extra();
    // Relaxed: the release in publish_locked() orders both.
    words[0].store(user_data, std::memory_order_relaxed);
    words[1].store(high << 32 | low, std::memory_order_relaxed);
}

void Ring::publish_locked() {
    // Release: pair with the client's acquire: it sees the completions, and may use the entries'
    // places again.
    index_at(abi::ring_completion_tail).store(queue_.completion_tail(), std::memory_order_release);
    index_at(abi::ring_submission_head).store(queue_.submission_head(), std::memory_order_release);
    if (waiter_ != nullptr && queue_.unread() >= waiter_count_) wake_waiter_locked({});
}

void Ring::wake_waiter_locked(Status status) {
    Thread* thread = waiter_;
    waiter_ = nullptr;
    if (thread == nullptr) return;
    WaitRecord waiting = WaitRecord::waiting;
    // Acquire-release: the winner sees the thread's complete state and publishes the grant.
    if (!thread->wait_record.compare_exchange_strong(waiting, WaitRecord::granted,
                                                     std::memory_order_acq_rel)) {
        return;
    }
    thread->message.rax = status.bits;
    disarm_deadline(*thread);
    make_ready(*thread);
}

// Completes nops outside chains, which need no record, until another entry comes. How many.
uint32_t Ring::complete_nops_locked(uint32_t limit) {
    if (chain_open_ || (allowed_ & abi::ring_allow(abi::ring_nop)) == 0) return 0;
    RingQueue queue = queue_;  // in registers
    const HandleTable& handles = process_->handles;
    if (limit > queue.room()) limit = queue.room();
    uint32_t count = 0;
    for (; count < limit; ++count) {
        const std::atomic<uint64_t>* words = entry_at(queue.next());
        // Relaxed: ordered by the acquire of the tail. Whoever takes another entry reads this word
        // anew, and relies on nothing that was seen here.
        if ((words[0].load(std::memory_order_relaxed) & 0xffff) != abi::ring_nop) break;
        const abi::Handle handle = words[1].load(std::memory_order_relaxed);
        const uint64_t user_data = words[2].load(std::memory_order_relaxed);
        queue.take();
        Status status;
        if (handle != abi::no_handle && !handles.plainly_valid(handle)) {
            status = handles.find(handle, abi::ObjectType::any, 0).status();
        }
        write_completion(queue.complete(), user_data, status, 0);
    }
    queue_ = queue;
    return count;
}

// Makes an operation of an entry. Null: it waits for the one before it.
RingOperation* Ring::accept_locked(const std::atomic<uint64_t>* words, Thread& caller) {
    queue_.take();
    RingOperation& operation = *free_.pop_front();  // there are as many as entries
    uint64_t copy[sizeof(abi::SubmissionEntry) / sizeof(uint64_t)];
    for (unsigned i = 0; i < sizeof(copy) / sizeof(copy[0]); ++i) {
        // Relaxed: ordered by the acquire of the tail. Each word is read once.
        copy[i] = words[i].load(std::memory_order_relaxed);
    }
    memcpy(&operation.entry, copy, sizeof(copy));
    operation.state = OperationState::started;
    operation.next_step = NextStep::begin;
    operation.doomed = false;
    operation.hops = static_cast<uint8_t>(caller.hops + 1);
    operation.priority = caller.priority;
    operation.progress = 0;
    operation.answer_mask = 0;
    operation.answer_bytes = 0;
    operation.taken.store(false, std::memory_order_relaxed);
    operation.record.store(WaitRecord::idle, std::memory_order_relaxed);
    buckets_[bucket_of(operation.entry.user_data)].push_back(operation);
    return place_in_chain_locked(operation);
}

RingOperation* Ring::place_in_chain_locked(RingOperation& operation) {
    const bool follows = chain_open_;
    RingOperation* before = chain_tail_;
    operation.doomed = follows && chain_failed_;
    chain_open_ = operation.has(abi::ring_link);
    chain_tail_ = chain_open_ ? &operation : nullptr;
    chain_failed_ = false;
    if (!follows || before == nullptr) return &operation;
    before->follower = &operation;
    operation.state = OperationState::chained;
    return nullptr;
}

// Takes entries until one has to be begun without the lock (returned), or none is left.
RingOperation* Ring::take_entries_locked(uint32_t submitted, uint32_t limit, Thread& caller,
                                         Taken& taken) {
    const uint32_t most = taken.count + submitted < limit ? taken.count + submitted : limit;
    while (taken.count < most) {
        taken.count += complete_nops_locked(most - taken.count);
        if (taken.count == most) break;
        if (queue_.room() == 0) {
            taken.status = Error::try_again;
            break;
        }
        ++taken.count;
        if (RingOperation* operation = accept_locked(entry_at(queue_.next()), caller)) {
            return operation;
        }
    }
    return nullptr;
}

Ring::Taken Ring::submit_some(Thread& caller, uint32_t limit) {
    Taken taken;
    bool completed = false;  // without an operation: finish() tells of the others
    if (limit > abi::chunk_items) limit = abi::chunk_items;
    for (;;) {
        RingOperation* operation = nullptr;
        {
            SpinGuard guard(lock_);
            uint32_t submitted = 0;
            if (ended_) {
                taken.status = Error::closed;
            } else if (!refresh_locked(submitted)) {
                taken.status = Error::faulted;
            } else {
                priority_ = caller.priority;
                const uint32_t before = queue_.completion_tail();
                operation = take_entries_locked(submitted, limit, caller, taken);
                completed = completed || queue_.completion_tail() != before;
                publish_locked();
            }
        }
        if (operation == nullptr) break;
        start(*operation);
    }
    if (completed) completion_watches.fire();
    return taken;
}

Result<void> Ring::begin_submitting(const Thread& caller) {
    // Landings and moved handles are those of the process that made the ring.
    if (caller.process != process_.get()) return Error::wrong_state;
    SpinGuard guard(lock_);
    if (submitting_) return Error::busy;
    submitting_ = true;
    return {};
}

void Ring::end_submitting() {
    SpinGuard guard(lock_);
    submitting_ = false;
}

Result<bool> Ring::wait_for(Thread& thread, uint64_t count, uint64_t deadline) {
    SpinGuard guard(lock_);
    uint32_t submitted = 0;
    if (count > queue_.entries()) return Status(Error::bad_argument, 2);
    if (ended_) return Error::closed;
    static_cast<void>(refresh_locked(submitted));  // completions still come when it is faulted
    if (queue_.unread() >= count) return true;
    if (deadline == abi::deadline_poll) return Error::timed_out;
    if (waiter_ != nullptr) return Error::busy;
    waiter_ = &thread;
    waiter_count_ = static_cast<uint32_t>(count);
    thread.wait_kind = WaitKind::ring;
    thread.status = ThreadStatus::blocked;
    arm_deadline(thread, deadline);
    // Release: whoever ends the wait sees all of the above.
    thread.wait_record.store(WaitRecord::waiting, std::memory_order_release);
    return false;
}

void Ring::cancel_wait(Thread& thread) {
    SpinGuard guard(lock_);
    if (waiter_ == &thread) waiter_ = nullptr;
}

Ring::Counts Ring::counts() {
    SpinGuard guard(lock_);
    uint32_t submitted = 0;
    if (!faulted_) static_cast<void>(refresh_locked(submitted));
    return {queue_.entries(), queue_.in_flight(), queue_.unread(), faulted_};
}

}  // namespace annulus::kernel
