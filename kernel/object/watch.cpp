// SPDX-License-Identifier: MIT
// Watches: adding, telling, and removing them from either end.
#include "kernel/object/watch.h"

#include "kernel/object/budget.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/reaper.h"

namespace annulus::kernel {

namespace {

constinit SpinLock watch_lock{LockRank::watch};
// Lists with watchers that are still to be told; guarded by watch_lock.
constinit IntrusiveList<WatchList, TellingList> telling;
constinit bool tell_queued = false;
constinit Work tell_work;

}  // namespace

struct WatchLists {
    // Unlinks a watch; the caller releases its reference, without the lock.
    static void unlink_locked(Watch& watch) REQUIRES(watch_lock) {
        WatchList& source = *watch.source;
        source.watches_.remove(watch);
        source.count_.fetch_sub(1, std::memory_order_relaxed);
        watch.semaphore->watches.remove(watch);
        watch.source = nullptr;
        watch.semaphore = nullptr;
    }

    // Tells up to `limit` watchers, and takes from it; true when all were told.
    static bool tell_locked(WatchList& list, unsigned& limit) REQUIRES(watch_lock) {
        for (;;) {
            Watch* watch = list.watches_.front();
            if (watch == nullptr || watch->round == list.round_) return true;
            if (limit == 0) return false;
            --limit;
            watch->round = list.round_;
            list.watches_.remove(*watch);
            list.watches_.push_back(*watch);
            // A semaphore at its limit was signalled often enough.
            (void)watch->semaphore->signal().ok();
        }
    }

    static Work::Step tell_step(Work&) {
        SpinGuard guard(watch_lock);
        unsigned limit = abi::chunk_items;
        while (WatchList* list = telling.front()) {
            if (!tell_locked(*list, limit)) return Work::Step::more;
            telling.remove(*list);
        }
        tell_queued = false;
        return Work::Step::done;
    }

    // Takes the watch out of its lists, if it is in any.
    static void end(Watch& watch) {
        {
            SpinGuard guard(watch_lock);
            if (watch.source == nullptr) return;
            unlink_locked(watch);
        }
        release(watch);
    }
};

namespace {

bool detach_watch(Object& object) {
    object.budget->uncharge(abi::Resource::wait_records, 1);
    return true;
}
void die_watch(Object& object) { WatchLists::end(static_cast<Watch&>(object)); }
void destruct_watch(Object& object) { static_cast<Watch&>(object).~Watch(); }

}  // namespace

const ObjectKind Watch::kind_table = {.type = abi::ObjectType::none,
                                      .detach = detach_watch,
                                      .die = die_watch,
                                      .destruct = destruct_watch,
                                      .light = true};

Result<void> WatchList::add(Budget& budget, Semaphore& semaphore, bool single) {
    if (single && !empty()) return Error::busy;
    TRY(budget.charge(abi::Resource::wait_records, 1));
    auto made = budget.create<Watch>();
    if (!made.ok()) {
        budget.uncharge(abi::Resource::wait_records, 1);
        return made.status();
    }
    Watch& watch = **made;
    // The semaphore was merely looked up: it may be on its way out.
    if (!try_retain(semaphore)) return Error::closed;
    Error error = Error::ok;
    bool over;
    {
        SpinGuard guard(watch_lock);
        over = over_;
        if (ended_) {
            error = Error::bad_handle;
        } else if (semaphore.dead.load(std::memory_order_acquire)) {
            error = Error::closed;
        } else if (single && !watches_.empty()) {
            error = Error::busy;
        } else {
            watch.semaphore = &semaphore;
            watch.source = this;
            watch.round = round_;
            watches_.push_back(watch);
            count_.fetch_add(1, std::memory_order_relaxed);
            semaphore.watches.push_back(watch);
            semaphore.was_watched.store(true, std::memory_order_relaxed);
            made->leak();
        }
    }
    if (error == Error::ok && over) (void)semaphore.signal().ok();
    release_later(semaphore);
    return error == Error::ok ? Result<void>() : Result<void>(error);
}

void WatchList::fire() {
    if (!empty()) tell_all(false);
}

void WatchList::fire_last() { tell_all(true); }

void WatchList::tell_all(bool last) {
    bool queue = false;
    {
        SpinGuard guard(watch_lock);
        over_ = over_ || last;
        ++round_;
        unsigned limit = abi::chunk_items;
        if (WatchLists::tell_locked(*this, limit)) return;
        if (!telling.is_linked(*this)) telling.push_back(*this);
        queue = !tell_queued;
        tell_queued = true;
    }
    if (!queue) return;
    tell_work.step = WatchLists::tell_step;
    tell_work.priority = abi::priority_count - 1;
    reap(tell_work);
}

bool WatchList::clear_some(unsigned& limit) {
    for (; limit > 0; --limit) {
        Watch* watch;
        {
            SpinGuard guard(watch_lock);
            watch = watches_.front();
            if (watch == nullptr) {
                if (telling.is_linked(*this)) telling.remove(*this);
                ended_ = true;
                return true;
            }
            WatchLists::unlink_locked(*watch);
        }
        release(*watch);
    }
    return false;
}

void WatchList::clear() {
    // At most what others added meanwhile.
    for (unsigned limit = abi::chunk_items; !clear_some(limit);) limit = abi::chunk_items;
}

bool remove_watches_of(Semaphore& semaphore) {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        Watch* watch;
        {
            SpinGuard guard(watch_lock);
            watch = semaphore.watches.front();
            if (watch == nullptr) return true;
            WatchLists::unlink_locked(*watch);
        }
        release(*watch);
    }
    return false;
}

}  // namespace annulus::kernel
