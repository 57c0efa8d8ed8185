// SPDX-License-Identifier: MIT
// Watch: a persistent link from something that happens to the semaphore that it signals.
//
// A watch is a kernel object without a handle, charged to the watcher's budget (wait_records and
// its bytes). It stands in two lists: the source's, and its semaphore's, so that either end can go
// first and take the watch with it. Being listed is its one reference.
//
//   source: WatchList <-> watch <-> watch            the list rotates while watchers are told, so
//                           |         |              that a step can begin anywhere
//                      semaphore  semaphore
//
// Locking: both lists and the links are guarded by the one watch lock (rank `watch`), held for at
// most chunk_items steps. Watches are made and removed rarely; signalling many is rare, too.
#pragma once

#include "abi/limits.h"
#include "base/intrusive_list.h"
#include "base/result.h"
#include "kernel/object/object.h"

namespace annulus::kernel {

class Budget;
class Semaphore;
class WatchList;
struct WatchOfSource;
struct WatchOfSemaphore;
struct TellingList;

class Watch final : public Object,
                    public ListNode<WatchOfSource>,
                    public ListNode<WatchOfSemaphore> {
public:
    Watch(Budget* payer, uint32_t size) : Object(kind_table, payer, size) {}
    Semaphore* semaphore = nullptr;  // no reference: the semaphore's end removes the watch
    WatchList* source = nullptr;     // null: in no list
    uint32_t round = 0;              // of the source, when it was told last

    static const ObjectKind kind_table;
};

// The watches of one event of one source.
class WatchList : public ListNode<TellingList> {
public:
    // Adds a watch paid by `budget`. After fire_last() the semaphore is signalled at once. busy:
    // `single` and there is one. closed: the semaphore ends. bad_handle: the source does, which was
    // merely looked up. no_budget.
    Result<void> add(Budget& budget, Semaphore& semaphore, bool single);
    // Signals every watcher with one unit, the first chunk_items at once and the rest by the
    // reaper. Any context; locks held must rank below `watch`. A watcher that waits to be told is
    // told once for several calls.
    void fire();
    // The same for an event that comes once, by its only call: whoever watches before, meanwhile or
    // later gets one unit for it, and no more.
    void fire_last();
    // The source ends: removes up to `limit` watches, and takes from it; true when none is left,
    // and none is added any more. No locks.
    bool clear_some(unsigned& limit);
    // The rest, and forgets whom to tell: for detach(), after ObjectKind::unwatch.
    void clear();
    // Without the lock: the answer may be old at once.
    bool empty() const { return count_.load(std::memory_order_relaxed) == 0; }

private:
    friend struct WatchLists;
    void tell_all(bool last);
    IntrusiveList<Watch, WatchOfSource> watches_;
    std::atomic<uint32_t> count_{0};
    uint32_t round_ = 0;
    bool over_ = false;   // fire_last() was called
    bool ended_ = false;  // clear_some() found no more
};

// The semaphore ends: removes up to abi::chunk_items watches that signal it; true when none is
// left. No locks.
bool remove_watches_of(Semaphore& semaphore);

}  // namespace annulus::kernel
