// SPDX-License-Identifier: MIT
// Ring: taking entries from the submission queue, and writing completions.
#include "kernel/object/process.h"
#include "kernel/object/ring_nops.h"
#include "kernel/schedule/scheduler.h"

#include <string.h>

namespace annulus::kernel {

// Writes the completion of an entry that was taken. publish_locked() shows it to the client.
void Ring::post_locked(uint64_t user_data, Status status, uint32_t count) {
    run_.length = 0;
    write_completion(word_at(completion_at(queue_.complete())), user_data, status, count);
}

void Ring::write_completion(std::atomic<uint64_t>* words, uint64_t user_data, Status status,
                            uint32_t count) {
    const uint64_t high = status.ok() ? count : status.extra();
    // Relaxed: the release in show_indices_locked() orders both.
    words[0].store(user_data, std::memory_order_relaxed);
    words[1].store(high << 32 | static_cast<uint32_t>(status.bits), std::memory_order_relaxed);
}

void Ring::publish_locked() {
    run_.length = 0;
    show_indices_locked();
    if (waiter_ != nullptr && queue_.unread() >= waiter_count_) wake_waiter_locked({});
}

void Ring::wake_waiter_locked(Status status) {
    Thread* thread = waiter_;
    waiter_ = nullptr;
    set_locked(Hindrance::waiter, false);
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

// The next entry, if it is a nop. It is the run's first, and there is room for its completion.
bool Ring::complete_nop_locked() {
    // Relaxed: as in complete_known_locked().
    const uint64_t first = run_.entry[0].load(std::memory_order_relaxed);
    if (static_cast<uint16_t>(first) != abi::ring_nop) return false;
    const abi::Handle handle = run_.entry[1].load(std::memory_order_relaxed);
    Status status;
    if (handle != abi::no_handle && !process_->handles.remember(handle, recent_)) {
        status = process_->handles.find(handle, abi::ObjectType::any, 0).status();
    }
    const uint64_t user_data = run_.entry[2].load(std::memory_order_relaxed);
    write_completion(run_.completion, user_data, status, 0);
    run_ = {run_.length - 1, run_.entry + Run::entry_words,
            run_.completion + Run::completion_words};
    queue_.pass(1);
    return true;
}

// From the next entry on.
void Ring::find_run_locked() {
    constexpr auto page = static_cast<uint32_t>(abi::page_size);
    const uint32_t entry_place = queue_.next();
    const uint32_t completion_place = queue_.completion_tail() & (queue_.entries() - 1);
    const uint32_t entry = submission_at(entry_place);
    const uint32_t completion = completion_at(completion_place);
    run_.length = std::min({queue_.entries() - queue_.in_flight(), queue_.entries() - entry_place,
                            queue_.entries() - completion_place,
                            (page - entry % page) / uint32_t{sizeof(abi::SubmissionEntry)},
                            (page - completion % page) / uint32_t{sizeof(abi::CompletionEntry)}});
    run_.entry = word_at(entry);
    run_.completion = word_at(completion);
}

// Nops outside chains until another entry comes. There are `limit` entries, and room. How many.
uint32_t Ring::complete_nops_locked(uint32_t limit) {
    if (has_locked(Hindrance::chain) || has_locked(Hindrance::no_nops)) return 0;
    uint32_t done = 0;
    while (done < limit) {
        if (run_.length == 0) find_run_locked();
        const uint32_t most = std::min(limit - done, run_.length);
        if (const uint32_t known = complete_known_locked(most); known != 0) {
            done += known;
        } else if (complete_nop_locked()) {
            ++done;
        } else {
            break;
        }
    }
    return done;
}

Ring::Nops Ring::complete_nops(const Thread& caller, uint64_t limit) {
    if (caller.process != process_.get()) return {};
    SpinGuard guard(lock_);
    uint32_t submitted;
    if (hindrances_ != 0 || !refresh_locked(submitted)) return {};
    const auto wanted = static_cast<uint32_t>(std::min<uint64_t>(submitted, limit));
    const uint32_t most = std::min({wanted, queue_.room(), uint32_t{abi::chunk_items}});
    const uint32_t count = complete_nops_locked(most);
    show_indices_locked();
    const bool watched = !completion_watches.empty();
    if (watched) {
        run_.length = 0;
    } else if (run_.length == 0) {
        find_run_locked();
    }
    return {count, queue_.unread(), count == wanted, watched && count > 0};
}

// Completions of which nobody is told come before the watch: the watcher looks at the queue first.
Result<void> Ring::watch_completions(Budget& budget, Semaphore& semaphore) {
    TRY(completion_watches.add(budget, semaphore, true, false));
    SpinGuard guard(lock_);
    run_.length = 0;
    return {};
}

// Makes an operation of an entry. Null: it waits for the one before it.
RingOperation* Ring::accept_locked(const std::atomic<uint64_t>* words, Thread& caller) {
    queue_.take();
    run_.length = 0;
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
    operation.hops = static_cast<uint8_t>(caller.hops() + 1);
    operation.priority = caller.priority;
    operation.progress = 0;
    operation.answer_mask = 0;
    operation.answer_bytes = 0;
    operation.record.store(WaitRecord::idle, std::memory_order_relaxed);
    buckets_[bucket_of(operation.entry.user_data)].push_back(operation);
    return place_in_chain_locked(operation);
}

RingOperation* Ring::place_in_chain_locked(RingOperation& operation) {
    const bool follows = has_locked(Hindrance::chain);
    RingOperation* before = chain_tail_;
    operation.doomed = follows && chain_failed_;
    const bool goes_on = operation.has(abi::ring_link);
    set_locked(Hindrance::chain, goes_on);
    chain_tail_ = goes_on ? &operation : nullptr;
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
        taken.count += complete_nops_locked(std::min(most - taken.count, queue_.room()));
        if (taken.count == most) break;
        if (queue_.room() == 0) {
            taken.status = Error::try_again;
            break;
        }
        ++taken.count;
        if (RingOperation* operation =
                accept_locked(word_at(submission_at(queue_.next())), caller)) {
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
            if (has_locked(Hindrance::ended)) {
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
    if (has_locked(Hindrance::submitting)) return Error::busy;
    set_locked(Hindrance::submitting, true);
    return {};
}

void Ring::end_submitting() {
    SpinGuard guard(lock_);
    set_locked(Hindrance::submitting, false);
}

Result<bool> Ring::wait_for(Thread& thread, uint64_t count, uint64_t deadline) {
    SpinGuard guard(lock_);
    uint32_t submitted = 0;
    if (count > queue_.entries()) return Status(Error::bad_argument, 2);
    if (has_locked(Hindrance::ended)) return Error::closed;
    static_cast<void>(refresh_locked(submitted));  // completions still come when it is faulted
    if (queue_.unread() >= count) return true;
    if (deadline == abi::deadline_poll) return Error::timed_out;
    if (waiter_ != nullptr) return Error::busy;
    waiter_ = &thread;
    set_locked(Hindrance::waiter, true);
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
    if (waiter_ != &thread) return;
    waiter_ = nullptr;
    set_locked(Hindrance::waiter, false);
}

Ring::Counts Ring::counts() {
    SpinGuard guard(lock_);
    uint32_t submitted = 0;
    const bool right = !has_locked(Hindrance::faulted) && refresh_locked(submitted);
    return {queue_.entries(), queue_.in_flight(), queue_.unread(), !right};
}

}  // namespace annulus::kernel
