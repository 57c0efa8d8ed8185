// SPDX-License-Identifier: MIT
// Ring: taking entries from the submission queue, and writing completions.
#include "kernel/object/process.h"
#include "kernel/object/ring_nops.h"
#include "kernel/schedule/scheduler.h"

#include <string.h>
#include <algorithm>

namespace annulus::kernel {

void Ring::wake_waiter_locked(Status status) {
    Thread* thread = waiter_;
    waiter_ = nullptr;
    set_locked(Hindrance::waiter, false);
    if (thread == nullptr) return;
    if (!thread->win_wait(WaitRecord::granted)) return;
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
    const uint32_t count = most == 0 || !next_is_nop_locked() ? 0 : complete_nops_locked(most);
    show_indices_locked();
    const bool watched = !completion_watches.empty();
    if (watched) {
        run_.length = 0;
    } else if (run_.length == 0 && count != 0) {
        find_run_locked();
    }
    return {count, queue_.unread(), count == wanted, watched && count > 0};
}

// Completions of which nobody is told come before the watch: the watcher looks at the queue first.
Result<void> Ring::watch_completions(Budget& budget, Semaphore& semaphore) {
    TRY(completion_watches.add(budget, semaphore, true));
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

[[gnu::always_inline]] inline RingOperation* Ring::place_in_chain_locked(RingOperation& operation) {
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

// Whether the next entry may be one that needs no record. There is one.
[[gnu::always_inline]] inline bool Ring::next_is_nop_locked() const {
    const std::atomic<uint64_t>* entry = word_at(submission_at(queue_.next()));
    // Relaxed: as in complete_known_locked(). Whoever takes the entry reads this word anew.
    return static_cast<uint16_t>(entry[0].load(std::memory_order_relaxed)) == abi::ring_nop;
}

// Takes entries until one has to be begun without the lock (returned), or `most` are taken, which
// were submitted.
[[gnu::always_inline]] inline RingOperation* Ring::take_entries_locked(uint32_t most,
                                                                       Thread& caller,
                                                                       Taken& taken) {
    while (taken.count < most) {
        if (queue_.room() == 0) {
            taken.status = Error::try_again;
            break;
        }
        if (next_is_nop_locked()) {
            const uint32_t left = std::min(most - taken.count, queue_.room());
            const uint32_t nops = complete_nops_locked(left);
            taken.count += nops;
            if (nops != 0) continue;
        }
        ++taken.count;
        if (RingOperation* operation =
                accept_locked(word_at(submission_at(queue_.next())), caller)) {
            return operation;
        }
    }
    return nullptr;
}

// The client's indices are looked at once, and the kernel's shown when all entries are taken.
Ring::Taken Ring::submit_some(Thread& caller, uint32_t limit) {
    Taken taken;
    bool completed = false;  // without an operation: finish() tells of the others
    uint32_t most = 0;
    for (bool first = true;; first = false) {
        RingOperation* operation = nullptr;
        {
            SpinGuard guard(lock_);
            if (has_locked(Hindrance::ended)) {
                taken.status = Error::closed;
            } else if (first && !refresh_locked(most)) {
                taken.status = Error::faulted;
            } else {
                if (first) {
                    most = std::min({most, limit, uint32_t{abi::chunk_items}});
                    priority_ = caller.priority;
                }
                const uint32_t before = queue_.completion_tail();
                operation = take_entries_locked(most, caller, taken);
                completed = completed || queue_.completion_tail() != before;
                if (operation == nullptr) publish_locked();
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
    thread.begin_wait();
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
