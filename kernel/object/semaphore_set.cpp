// SPDX-License-Identifier: MIT
// SemaphoreSet: members, events, and the table that a set may be bound to.
#include "kernel/object/semaphore_set.h"

#include "base/container_of.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/budget.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

// --- the door

void SemaphoreSet::take_door_locked() {
    uint64_t seen = door_closed;
    // Acquire: pairs with the release of whoever stood in the door, for some dozens of instructions
    // with interrupts off.
    while ((seen = door_.exchange(door_closed, std::memory_order_acquire)) == door_closed) {
        spin_wait();
    }
    closed_ = true;
    if (!names_thread(seen)) return;
    Thread& thread = thread_behind(seen);
    thread.alone_at.store(nullptr, std::memory_order_relaxed);
    thread.status.store(ThreadStatus::blocked, std::memory_order_relaxed);
    thread.wait_kind = WaitKind::set;
    thread.resume = Resume::status;
    thread.message.rax = 0;
    thread.message.rdx = 0;
    thread.waits_on_set.store(this, std::memory_order_relaxed);
    queue_.push_back(thread.link);
    thread.begin_wait();
}

void SemaphoreSet::open_door_locked() {
    // A queued thread stays queued: it is the next event's, and comes through the door again then.
    if (ended_ || !queue_.empty() || !ready_.empty()) return;
    closed_ = false;
    // Release: pairs with the fast paths' exchange, an acquire.
    door_.store(table_ == nullptr ? door_open : door_to(*table_), std::memory_order_release);
}

bool SemaphoreSet::cancel(Thread& thread) {
    Guard guard(*this);  // which moves the thread to the queue
    return thread.win_wait(WaitRecord::dead);
}

// --- records

SetMember* SemaphoreSet::allocate_locked() {
    SetMember* member;
    if (free_head_ != 0) {
        member = &records_[free_head_ - 1];
        free_head_ = member->next_free;
    } else if (fresh_ < room_) {
        // Safety: the storage is zeroed, large enough and aligned to a page.
        member = new (&records_[fresh_++]) SetMember;
    } else {
        return nullptr;
    }
    ++used_;
    member->set = this;
    // Its last user may have left while it was ready.
    member->linked = false;
    member->closed = false;
    return member;
}

void SemaphoreSet::free_locked(SetMember& member) {
    member.semaphore = nullptr;
    member.next_free = free_head_;
    free_head_ = index_of(member) + 1;
    --used_;
}

void SemaphoreSet::forget(SetMember& member) {
    Guard guard(*this);
    free_locked(member);
}

bool SemaphoreSet::attach(SetMember& member, Semaphore& semaphore) {
    Guard guard(*this);
    if (ended_) return false;
    member.semaphore = &semaphore;
    return true;
}

void SemaphoreSet::unlink(SetMember& member) {
    Guard guard(*this);
    member.semaphore = nullptr;
    if (!ready_.is_linked(member)) return;
    ready_.remove(member);
    if (ready_.empty() && table_ != nullptr) static_cast<void>(table_->note_events(false));
}

Result<void> SemaphoreSet::add(Semaphore& semaphore, uint64_t key, uint64_t seen) {
    SetMember* member;
    {
        Guard guard(*this);
        if (ended_) return Error::closed;
        member = allocate_locked();
        if (member == nullptr) return Error::limit;
    }
    member->key = key;
    member->last = seen;
    const auto joined = semaphore.join(*member);
    if (!joined.ok()) forget(*member);
    return joined;
}

Result<void> SemaphoreSet::take_out(Semaphore& semaphore, SetMember*& removed) {
    removed = semaphore.leave(*this);
    if (removed == nullptr) return Error::not_found;
    return {};
}

// --- events

// True: the caller hands work_ to the reaper, without the lock or with it (rank `reaper` is above).
bool SemaphoreSet::start_work_locked() {
    again_ = true;
    if (working_) return false;
    working_ = true;
    return true;
}

SetMember* SemaphoreSet::pop_locked() {
    SetMember* member = ready_.pop_front();
    if (member != nullptr && ready_.empty() && table_ != nullptr)
        static_cast<void>(table_->note_events(false));
    return member;
}

void SemaphoreSet::push_locked(SetMember& member) {
    const bool first = ready_.empty();
    ready_.push_back(member);
    if (!first || table_ == nullptr) return;
    // A server thread may have begun to wait since it was looked for one: it goes by what the table
    // was told, which is told now.
    if (table_->note_events(true) && start_work_locked()) reap(work_);
}

// Gives the event to the first thread that still waits. Links of waits that ended otherwise are
// dropped on the way: their record decides.
Thread* SemaphoreSet::grant_locked(const SetEventTaken& event) {
    if (table_ != nullptr) return table_->grant_event(event);
    while (WaitLink* link = queue_.pop_front()) {
        Thread& thread = *link->thread;
        const bool won = thread.win_wait(WaitRecord::granted);
        // Release: pairs with the acquire of a canceller, who then leaves the link alone. Only now:
        // it may begin another wait at once, which would be granted.
        thread.waits_on_set.store(nullptr, std::memory_order_release);
        if (!won) continue;
        give_set_event(thread, event);
        return &thread;
    }
    return nullptr;
}

bool SemaphoreSet::somebody_waits_locked() const {
    return table_ != nullptr ? table_->has_waiting_server() : !queue_.empty();
}

SemaphoreSet::Placed SemaphoreSet::place(SetMember& member, uint64_t value, uint64_t units) {
    Guard guard(*this);
    Thread* woken = ended_ ? nullptr : grant_locked({member.key, value, false});
    if (woken != nullptr) --units;
    member.linked = units > 0;
    if (units == 0) return {woken};
    push_locked(member);
    if (woken != nullptr && somebody_waits_locked() && start_work_locked()) reap(work_);
    return {woken};
}

Thread* SemaphoreSet::close(SetMember& member) {
    Guard guard(*this);
    member.semaphore = nullptr;
    if (ready_.is_linked(member)) {
        member.closed = true;
        return nullptr;
    }
    Thread* woken = ended_ ? nullptr : grant_locked({member.key, 0, true});
    if (woken != nullptr) {
        free_locked(member);
    } else {
        member.closed = true;
        push_locked(member);
    }
    return woken;
}

Result<bool> SemaphoreSet::take_first(SetEventTaken& event) {
    SetMember* member;
    Semaphore* semaphore;
    {
        Guard guard(*this);
        member = pop_locked();
        if (member == nullptr) return Error::not_found;
        semaphore = member->semaphore;
        if (member->closed) {
            event = {member->key, 0, true};
            free_locked(*member);
            return true;
        }
    }
    // Safety: the semaphore had not ended a moment ago, so its memory lasts until the kernel is
    // left; so does the record's meaning (forget() comes after a grace period).
    return semaphore->take_for_set(*member, event);
}

Result<bool> SemaphoreSet::take(SetEventTaken& event) {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        const auto taken = take_first(event);
        if (!taken.ok()) return false;
        if (*taken) return true;
    }
    return Error::try_again;
}

Result<bool> SemaphoreSet::take_or_queue(SetEventTaken& event, Thread& thread, bool poll) {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        {
            Guard guard(*this);
            if (ended_) return Error::closed;
            if (table_ != nullptr) return Error::busy;
            if (ready_.empty()) {
                if (poll) return Error::timed_out;
                thread.waits_on_set.store(this, std::memory_order_relaxed);
                queue_.push_back(thread.link);
                thread.begin_wait();
                return false;
            }
        }
        const auto taken = take_first(event);
        if (taken.ok() && *taken) return true;
    }
    return Error::try_again;
}

void SemaphoreSet::unqueue(Thread& thread) {
    Guard guard(*this);
    if (thread.waits_on_set.load(std::memory_order_relaxed) != this) return;
    thread.waits_on_set.store(nullptr, std::memory_order_relaxed);
    queue_.remove(thread.link);
}

// What is first on the list goes to somebody who waits. False: there is neither.
bool SemaphoreSet::pump_one() {
    SetMember* member;
    Semaphore* semaphore;
    Thread* woken = nullptr;
    {
        Guard guard(*this);
        if (ended_ || !somebody_waits_locked()) return false;
        member = pop_locked();
        if (member == nullptr) return false;
        semaphore = member->semaphore;
        if (member->closed) {
            woken = grant_locked({member->key, 0, true});
            if (woken == nullptr) {
                push_locked(*member);
            } else {
                free_locked(*member);
            }
        }
    }
    // Safety: as in take_first().
    if (semaphore != nullptr) woken = semaphore->place_again(*member);
    if (woken == nullptr) return semaphore != nullptr;
    disarm_deadline(*woken);
    make_ready(*woken);
    return true;
}

// --- the table

Result<void> SemaphoreSet::bind(Table& table) {
    Guard guard(*this);
    if (ended_) return Error::closed;
    if (table_ != nullptr || !queue_.empty()) return Error::busy;
    TRY(table.set_events(this, !ready_.empty()));
    table_ = &table;
    if (!ready_.empty() && start_work_locked()) reap(work_);
    return {};
}

void SemaphoreSet::unbind() {
    {
        Guard guard(*this);
        if (table_ == nullptr) return;
        table_->forget_events();
        table_ = nullptr;
    }
    release_later(*this);
}

SemaphoreSet::Counts SemaphoreSet::counts() {
    Guard guard(*this);
    return {used_, room_, !ready_.empty(), table_ != nullptr};
}

// --- creation and end

namespace {

constexpr uint64_t pages_for(uint64_t room) {
    return (room * sizeof(SetMember) + abi::page_size - 1) / abi::page_size;
}

}  // namespace

struct SetEnd {
    // One waiter or one member less. False when none is left.
    static bool end_one(SemaphoreSet& set) {
        Thread* woken = nullptr;
        Semaphore* semaphore = nullptr;
        SetMember* member = nullptr;
        {
            SemaphoreSet::Guard guard(set);
            if (WaitLink* link = set.queue_.pop_front()) {
                Thread& thread = *link->thread;
                const bool won = thread.win_wait(WaitRecord::granted);
                thread.waits_on_set.store(nullptr,
                                          std::memory_order_release);  // as in grant_locked
                if (won) {
                    woken = &thread;
                    thread.message.rax = Status(Error::closed).bits;
                    thread.resume = Resume::status;
                    thread.wait_kind = WaitKind::none;
                }
            } else {
                if (set.end_cursor_ >= set.fresh_) return false;
                member = &set.records_[set.end_cursor_++];
                semaphore = member->semaphore;
            }
        }
        // Safety: as in SemaphoreSet::take_first().
        if (semaphore != nullptr) semaphore->leave_ending(*member);
        if (woken != nullptr) {
            disarm_deadline(*woken);
            make_ready(*woken);
        }
        return true;
    }

    static Work::Step step(Work& work) {
        SemaphoreSet& set = container_of(work, &SemaphoreSet::work_);
        bool ended;
        {
            SemaphoreSet::Guard guard(set);
            ended = set.ended_;
            set.again_ = false;
        }
        for (unsigned i = 0; i < abi::chunk_items; ++i) {
            if (ended ? end_one(set) : set.pump_one()) continue;
            bool retire;
            {
                SemaphoreSet::Guard guard(set);
                if (set.again_) return Work::Step::more;
                set.working_ = false;
                retire = set.unreferenced_;
            }
            if (retire) grace_after(set.end_grace_);
            return Work::Step::done;
        }
        return Work::Step::more;
    }

    // Nobody has a record in hand any more: an addition or a removal that looked the set up before
    // its last handle went, or a member that ends.
    static void free_storage(GraceItem& item) {
        SemaphoreSet& set = container_of(item, &SemaphoreSet::end_grace_);
        if (set.records_ != nullptr) {
            free_table_pages(*set.budget, set.records_, pages_for(set.room_));
            set.budget->uncharge(abi::Resource::wait_records, set.room_);
        }
        finish_retire(set);
    }

    static void die(Object& object) {
        auto& set = static_cast<SemaphoreSet&>(object);
        set.unbind();
        bool start;
        {
            SemaphoreSet::Guard guard(set);
            set.ended_ = true;
            start = (!set.queue_.empty() || set.used_ > 0) && set.start_work_locked();
        }
        if (start) reap(set.work_);
    }

    // The end of a grace period finishes the retirement.
    static bool detach(Object& object) {
        auto& set = static_cast<SemaphoreSet&>(object);
        die(object);
        {
            SemaphoreSet::Guard guard(set);
            set.unreferenced_ = true;
            if (set.working_) return false;
        }
        grace_after(set.end_grace_);
        return false;
    }

    static void destruct(Object& object) { static_cast<SemaphoreSet&>(object).~SemaphoreSet(); }
};

const ObjectKind SemaphoreSet::kind_table = {abi::ObjectType::set, SetEnd::detach, SetEnd::die,
                                             SetEnd::destruct};

SemaphoreSet::SemaphoreSet(Budget* payer, uint32_t size, uint32_t room)
    : Object(kind_table, payer, size), room_(room) {
    work_.step = SetEnd::step;
    end_grace_.done = SetEnd::free_storage;
    // Above all programs: who waits must not wait for the signaller to sleep.
    work_.priority = abi::priority_count - 1;
}

Result<Ref<SemaphoreSet>> SemaphoreSet::create(Budget& budget, uint32_t room) {
    auto set = TRY(budget.create<SemaphoreSet>(room));
    TRY(budget.charge(abi::Resource::wait_records, room));
    auto storage = allocate_table_pages(budget, pages_for(room));
    if (!storage.ok()) {
        budget.uncharge(abi::Resource::wait_records, room);
        return storage.status();
    }
    set->records_ = static_cast<SetMember*>(*storage);
    return set;
}

}  // namespace annulus::kernel
