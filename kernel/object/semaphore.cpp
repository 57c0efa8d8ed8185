// SPDX-License-Identifier: MIT
// Semaphore: the kernel's half of the protocol in semaphore.h.
#include "kernel/object/semaphore.h"

#include "base/container_of.h"
#include "kernel/assert.h"
#include "kernel/object/budget.h"
#include "kernel/object/semaphore_set.h"
#include "kernel/object/semaphore_words.h"
#include "kernel/object/stock.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

[[gnu::always_inline]] inline void Semaphore::let_go(const Bound& bound) {
    unregister_semaphore_word(*this, bound.word);
    // Safety: the address of the word that was registered, in a page that is pinned still.
    bound.memory->unpin_one_paid(reinterpret_cast<const std::byte*>(bound.word));
    release(*bound.memory);
}

// The end of a semaphore: its last handle, or its budget.
struct SemaphoreEnd {
    static void die(Object& object) { static_cast<Semaphore&>(object).die(); }
    static bool detach(Object& object) { return static_cast<Semaphore&>(object).detach(); }
    static void destruct(Object& object) { static_cast<Semaphore&>(object).~Semaphore(); }
    static bool unwatch(Object& object) { return static_cast<Semaphore&>(object).unwatch(); }

    static Work::Step wake_step(Work& work) {
        auto& semaphore = container_of(work, &Semaphore::wake_work_);
        const bool dead = semaphore.dead.load(std::memory_order_acquire);
        if (!semaphore.wake_some(dead ? Status(Error::closed) : Status())) return Work::Step::more;
        bool retires;
        {
            Semaphore::Guard guard(semaphore);
            if (semaphore.due_locked()) return Work::Step::more;
            semaphore.waking_ = false;
            retires = semaphore.detached_;
        }
        // A detach() that found waking_ set left the rest to us.
        if (retires) finish_retire(semaphore);
        return Work::Step::done;
    }

    // In the plain case nothing is looked up, and the budget's lock is taken once.
    static void end(Object& object) {
        auto& semaphore = static_cast<Semaphore&>(object);
        Semaphore::Bound bound;
        if (!semaphore.end_quietly(bound)) return end_in_steps(object);
        if (bound.memory != nullptr) semaphore.let_go(bound);
        semaphore.budget->disown(semaphore, bound.memory != nullptr ? 1 : 0);
        rest_in_stock(semaphore, Semaphore::stock_kind);
    }

    // The pin is paid for already.
    [[gnu::always_inline]] static Result<void> bind_word(Semaphore& semaphore, MemoryObject& memory,
                                                         uint64_t offset) {
        // Merely looked up: its last handle may just have been closed. Not held by a Ref, which
        // costs nine instructions.
        if (!try_retain(memory)) return Status(Error::bad_handle, 0, 3);
        const auto pinned = memory.pin_one_paid(offset / abi::page_size);
        if (!pinned.ok()) [[unlikely]] {
            release(memory);
            return pinned.status();
        }
        std::byte* page = *pinned;
        // Safety: a pinned page; the offset is aligned and within it. Programs change the word at
        // any time, so it is only ever accessed as an atomic.
        auto* word = reinterpret_cast<std::atomic<uint64_t>*>(page + offset % abi::page_size);
        semaphore.word_ = word;
        if (!register_semaphore_word(semaphore)) [[unlikely]] {
            semaphore.word_ = &semaphore.own_word_;
            memory.unpin_one_paid(page);
            release(memory);
            return Error::busy;
        }
        semaphore.memory_ = &memory;
        semaphore.offset_ = offset;
        return {};
    }
};

const ObjectKind Semaphore::kind_table = {.type = abi::ObjectType::semaphore,
                                          .detach = SemaphoreEnd::detach,
                                          .die = SemaphoreEnd::die,
                                          .destruct = SemaphoreEnd::destruct,
                                          .unwatch = SemaphoreEnd::unwatch,
                                          .light = true,
                                          .end = SemaphoreEnd::end,
                                          .stock = Semaphore::stock_kind};

bool Semaphore::unwatch() {
    // Relaxed: whoever set it had a reference, and the last of these has gone.
    return !was_watched.load(std::memory_order_relaxed) || remove_watches_of(*this);
}

void Semaphore::die() {
    // Those beyond one chunk go with the last reference; meanwhile their signals are refused.
    static_cast<void>(remove_watches_of(*this));
    Thread* woken = nullptr;
    {
        Guard guard(*this);
        dead.store(true, std::memory_order_release);
        if (member_ != nullptr) woken = leave_closed_locked();
    }
    wake(woken);
    if (!wake_some(Error::closed)) wake_rest();
}

// False while the reaper still wakes waiters: it finishes the retirement then.
bool Semaphore::detach() {
    die();
    Bound bound;
    {
        Guard guard(*this);
        bound = unbind_locked();
    }
    if (bound.memory != nullptr) {
        let_go(bound);
        budget->uncharge(abi::Resource::pins, 1);
    }
    Guard guard(*this);
    detached_ = true;
    return !waking_;
}

Semaphore::Semaphore() : Semaphore(kind_table, sizeof(Semaphore)) {}

Semaphore::Semaphore(const ObjectKind& kind, uint32_t size)
    : Object(kind, nullptr, size), closed_(true) {
    wake_work_.step = SemaphoreEnd::wake_step;
    // Above all programs: who waits must not wait for the signaller to sleep.
    wake_work_.priority = abi::priority_count - 1;
}

Result<Semaphore*> Semaphore::create(Budget& budget, SemaphoreMode mode, uint64_t initial,
                                     MemoryObject* memory, uint64_t offset) {
    if (memory != nullptr) {
        if (offset % sizeof(uint64_t) != 0) return Status(Error::bad_argument, 3);
        if (offset / abi::page_size >= memory->pages()) return Error::out_of_range;
        initial = 0;
    } else if (initial > abi::semaphore_max || (mode == SemaphoreMode::binary && initial > 1)) {
        return Status(Error::bad_argument, 1);
    } else if (offset != 0) {
        return Status(Error::bad_argument, 3);
    }
    auto* semaphore = take_record<Semaphore>();
    if (semaphore == nullptr) return Error::no_memory;
    semaphore->begin(budget, mode, initial);
    const Status owned = budget.own(*semaphore, memory != nullptr ? 1 : 0);
    if (!owned.ok()) [[unlikely]] {
        rest_in_stock(*semaphore, stock_kind);
        return owned;
    }
    if (memory == nullptr) return semaphore;
    const auto bound = SemaphoreEnd::bind_word(*semaphore, *memory, offset);
    if (bound.ok()) [[likely]]
        return semaphore;
    budget.uncharge(abi::Resource::pins, 1);
    release(*semaphore);
    return bound.status();
}

void Semaphore::take_door_locked() {
    uint64_t seen = door_closed;
    // Acquire: pairs with the release of whoever stood in the door. A fast path does so for some
    // ten instructions with interrupts off, and one that comes meanwhile takes its turn at `lock_`.
    while ((seen = door_.exchange(door_closed, std::memory_order_acquire)) == door_closed) {
        spin_wait();
    }
    closed_ = true;
    if (!names_thread(seen)) return;
    Thread& thread = thread_behind(seen);
    thread.alone_at.store(nullptr, std::memory_order_relaxed);
    thread.status.store(ThreadStatus::blocked, std::memory_order_relaxed);
    thread.wait_kind = WaitKind::semaphore;
    thread.resume = Resume::status;
    thread.message.rax = 0;
    thread.message.rdx = 0;
    thread.link.index = 0;
    thread.link.seen = 0;
    queue_locked(thread.link);
    thread.begin_wait();
}

void Semaphore::leave_door_locked() {
    uint64_t door = member_ == nullptr ? door_open : door_to(*member_);
    if (WaitLink* link = queue_.front()) {
        Thread& thread = *link->thread;
        // The only waiter, for nothing else, for ever. Whoever cancels its wait either was first,
        // or finds `alone_at` and comes through the door.
        if (queue_.back() != link || link != &thread.link) return;
        if (thread.timer_armed.load(std::memory_order_relaxed)) return;
        if (!thread.win_wait(WaitRecord::idle)) return;
        queue_.remove(*link);
        link->queued.store(false, std::memory_order_relaxed);
        link->semaphore.store(nullptr, std::memory_order_relaxed);
        thread.alone_at.store(this, std::memory_order_relaxed);
        door = door_to_thread(thread);
    }
    closed_ = false;
    // Release: pairs with the fast paths' exchange, an acquire.
    door_.store(door, std::memory_order_release);
}

bool Semaphore::cancel(Thread& thread) {
    Guard guard(*this);  // which moves the thread to the queue
    return thread.win_wait(WaitRecord::dead);
}

uint64_t Semaphore::value() {
    Guard guard(*this);
    return value_locked();
}

uint64_t Semaphore::answer() {
    // Without the lock but for the value: an answer changes once.
    return answer_for(mode_ == SemaphoreMode::sequence ? value() : 0);
}

Semaphore::State Semaphore::state() {
    Guard guard(*this);
    if (memory_ == nullptr) return {value_locked(), 0, 0};
    return {value_locked(), memory_->id(), offset_};
}

// Grants the wait that the link is for, if it can still be granted; what its record was, or idle.
// The link is not `queued` any more.
static WaitRecord claim(WaitLink& link) {
    std::atomic<WaitRecord>& record = link.thread->wait_record;
    // Sequentially consistent, as the store to `queued` before: see WaitLink. The record first: if
    // it is of a new wait, the link's number is that one's, too.
    WaitRecord seen = record.load();
    const uint64_t wait = link.wait.load(std::memory_order_relaxed);
    while (seen == record_of(WaitRecord::waiting, wait) ||
           seen == record_of(WaitRecord::arming, wait)) {
        // Acquire-release: the winner sees the thread's complete state and publishes the grant.
        if (record.compare_exchange_strong(seen, granted_through(link.index),
                                           std::memory_order_acq_rel)) {
            return seen;
        }
    }
    return WaitRecord::idle;
}

void Semaphore::queue_locked(WaitLink& link) {
    // Relaxed: the thread's own, or under the lock.
    link.semaphore.store(this, std::memory_order_relaxed);
    link.queued.store(true, std::memory_order_relaxed);
    queue_.push_back(link);
}

// The first waiter that is still waiting, granted and out of the queue. Links of waits that ended
// otherwise are dropped on the way, chunk_items of them at most: with a queue that is not empty
// then, a unit must not go to the count, past a live waiter.
Semaphore::Popped Semaphore::pop_waiter_locked(uint64_t value) {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        WaitLink* link = queue_.pop_front();
        if (link == nullptr) break;
        Thread& thread = *link->thread;
        // Sequentially consistent: see WaitLink.
        link->queued.store(false);
        const WaitRecord before = claim(*link);
        const bool asleep = is_waiting(before);
        if (asleep) {
            thread.granted_value = value;
            thread.message.rdx = value;  // for one that came through the door
        }
        // Only now: a thread that reads null without the lock may begin another wait at once, and
        // would be granted that one. Release: pairs with the acquire of whoever looks.
        link->semaphore.store(nullptr, std::memory_order_release);
        if (before != WaitRecord::idle) return {&thread, asleep};
    }
    return {nullptr, false};
}

Result<uint64_t> Semaphore::take_or_queue(WaitLink& link, uint64_t seen, bool poll) {
    Guard guard(*this);
    if (dead.load(std::memory_order_relaxed)) return Error::closed;
    const uint64_t value = enter_word_locked();
    if (mode_ == SemaphoreMode::sequence) {
        if (value != seen) {
            leave_word_locked(value);
            return value;
        }
    } else if (value > 0) {
        // A thread that waits for several claims its own wait before it takes the unit: another
        // semaphore may have granted already.
        Thread& thread = *link.thread;
        WaitRecord arming = record_of(WaitRecord::arming, thread.waits);
        if (!thread.wait_record.compare_exchange_strong(arming, granted_through(link.index),
                                                        std::memory_order_acq_rel) &&
            is_granted(arming)) {
            leave_word_locked(value);
            return Error::busy;
        }
        leave_word_locked(mode_ == SemaphoreMode::binary ? 0 : value - 1);
        return answer_for(value);
    }
    if (poll) {
        leave_word_locked(value);
        return Error::timed_out;
    }
    link.seen = seen;
    queue_locked(link);
    Thread& thread = *link.thread;
    if (thread.wait_record.load(std::memory_order_relaxed) == WaitRecord::idle) {
        // Whoever cancels the wait takes this lock before it unlinks.
        thread.begin_wait();
    }
    leave_word_locked(value);
    return Error::try_again;
}

void Semaphore::unqueue(WaitLink& link) {
    Guard guard(*this);
    if (link.semaphore.load(std::memory_order_relaxed) != this) return;
    link.queued.store(false, std::memory_order_relaxed);
    link.semaphore.store(nullptr, std::memory_order_relaxed);
    queue_.remove(link);
    // The hint is lowered only by whoever has the lock: keep is recomputed.
    leave_word_locked(enter_word_locked());
}

// True when a queued thread is to be woken: units are owed, the sequence went on, or it all ended.
bool Semaphore::due_locked() const {
    if (queue_.empty()) return false;
    if (dead.load(std::memory_order_relaxed)) return true;
    if (mode_ == SemaphoreMode::sequence) return queue_.front()->seen != value_locked();
    return owed_units_ > 0;
}

bool Semaphore::wake_some(Status status) {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        Popped popped{};
        Thread* served = nullptr;
        bool more = false;
        {
            Guard guard(*this);
            uint64_t value = enter_word_locked();
            if (due_locked()) {
                popped = pop_waiter_locked(value);
                if (popped.thread != nullptr && owed_units_ > 0) --owed_units_;
            }
            if (queue_.empty() && mode_ != SemaphoreMode::sequence) {
                value += owed_units_;
                if (mode_ == SemaphoreMode::binary && value > 1) value = 1;
                owed_units_ = 0;
                if (member_ != nullptr) served = offer_locked(value);
            }
            leave_word_locked(value);
            more = due_locked();
        }
        wake(served);
        if (popped.thread == nullptr) return !more;
        if (!popped.asleep) continue;
        popped.thread->message.rax = status.bits;
        disarm_deadline(*popped.thread);
        make_ready(*popped.thread);
    }
    return false;
}

void Semaphore::wake_rest() {
    {
        Guard guard(*this);
        if (waking_) return;
        waking_ = true;
    }
    reap(wake_work_);
}

Result<void> Semaphore::signal(uint64_t units) {
    Popped popped{};
    Thread* served = nullptr;  // waits on the set
    bool more = false;
    {
        Guard guard(*this);
        if (dead.load(std::memory_order_relaxed)) return Error::closed;
        uint64_t value = enter_word_locked();
        // What the reaper still hands out may all come back to the count.
        const uint64_t room = abi::semaphore_max - owed_units_;
        if (value > room || units > room - value) {
            leave_word_locked(value);
            return Error::limit;
        }
        if (mode_ == SemaphoreMode::sequence) {
            value += 1;
            popped = pop_waiter_locked(value);
        } else {
            if (mode_ == SemaphoreMode::binary && units > 0) units = 1;
            if (units > 0 && owed_units_ == 0) popped = pop_waiter_locked(answer_for(0));
            if (popped.thread != nullptr) --units;
            if (queue_.empty()) {
                value = mode_ == SemaphoreMode::binary ? (value | units) : value + units;
            } else {
                owed_units_ += units;
            }
        }
        if (member_ != nullptr) served = offer_locked(value);
        leave_word_locked(value);
        more = !queue_.empty() && due_locked();
    }
    if (popped.asleep) wake(popped.thread);
    wake(served);
    if (more && !wake_some(Status())) wake_rest();
    return {};
}

void Semaphore::ring_last(uint64_t answer) {
    // Relaxed: the door may stand open for a moment longer, and wait or signal through it as
    // before; the lock that signal() takes shuts it, for good.
    answer_.store(answer, std::memory_order_relaxed);
    {
        SpinGuard guard(lock_);
        close_door_locked();
        if (queue_.empty() && member_ == nullptr) {
            own_word_.store(1, std::memory_order_relaxed);
            return;
        }
    }
    (void)signal().ok();  // if it has ended itself, nobody waits
}

Result<Thread*> Semaphore::signal_for_hand_off() {
    Popped popped{};
    bool counted = false;
    {
        Guard guard(*this);
        if (dead.load(std::memory_order_relaxed)) return Error::closed;
        const bool units = mode_ != SemaphoreMode::sequence && owed_units_ == 0;
        if (units && (!queue_.empty() || member_ != nullptr)) {
            uint64_t value = enter_word_locked();
            popped = pop_waiter_locked(answer_for(0));
            if (popped.thread == nullptr && queue_.empty() && member_ != nullptr && value == 0) {
                value = 1;
                counted = true;
                popped = {offer_locked(value), true};
            }
            leave_word_locked(value);
        }
    }
    if (counted && popped.thread == nullptr) return popped.thread;
    if (popped.thread == nullptr) {
        TRY(signal(1));
        return static_cast<Thread*>(nullptr);
    }
    if (!popped.asleep) return static_cast<Thread*>(nullptr);
    disarm_deadline(*popped.thread);
    return popped.thread;
}

}  // namespace annulus::kernel
