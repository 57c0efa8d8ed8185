// SPDX-License-Identifier: MIT
// The end of objects: unhooked and uncharged at once, freed in batches, one grace period each.
//
//   retire() -> the CPU's batch -> pending -> (a grace period begins) -> waiting -> (it ends) ->
//   freed in chunks
//
// A batch makes the global lists, the grace period and its interrupts cost next to nothing for each
// object. Objects that are not light skip it. Items of after_retired() go the same way, behind the
// objects that were retired before them.
// Locking: `retired_lock` guards the pending lists and period_running; the waiting lists belong to
// whoever runs the period. A batch has a lock of its own. None is held with another.
#include "kernel/object/object.h"

#include "abi/limits.h"
#include "kernel/assert.h"
#include "kernel/cpu_index.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/object/budget.h"
#include "kernel/object/stock.h"
#include "kernel/schedule/grace.h"
#include "kernel/schedule/reaper.h"

namespace annulus::kernel {

namespace {

struct alignas(64) Batch {
    SpinLock lock{LockRank::retired};
    IntrusiveList<Object, RetiredLink> objects GUARDED_BY(lock);
    // Written under the lock; others may look whether there is any.
    std::atomic<uint32_t> count{0};
    uint32_t bytes GUARDED_BY(lock) = 0;
};
constinit Batch batches[max_cpus];

constinit SpinLock retired_lock{LockRank::retired};
constinit IntrusiveList<Object, RetiredLink> pending;
constinit IntrusiveList<Object, RetiredLink> waiting;
constinit IntrusiveList<GraceItem, GraceLink> pending_barriers;
constinit IntrusiveList<GraceItem, GraceLink> waiting_barriers;
constinit bool period_running = false;
constinit GraceItem period;

constinit SpinLock late_lock{LockRank::retired};
constinit IntrusiveList<Object, RetiredLink> late_references;
constinit bool late_queued = false;

void period_done(GraceItem&);

// Moves what is pending under way. True: the caller calls grace_after(period), without the lock.
bool begin_period_locked() REQUIRES(retired_lock) {
    if (period_running || (pending.empty() && pending_barriers.empty())) return false;
    period_running = true;
    period.done = period_done;
    waiting.splice_back(pending);
    waiting_barriers.splice_back(pending_barriers);
    return true;
}

// Frees up to chunk_items objects; barriers follow when all are freed. Run by one at a time: what
// is waiting changes only when no period runs.
Work::Step free_step(Work&) {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        if (Object* object = waiting.pop_front()) {
            free_record(*object);
            continue;
        }
        if (GraceItem* barrier = waiting_barriers.pop_front()) {
            barrier->done(*barrier);
            continue;
        }
        bool begin;
        {
            SpinGuard guard(retired_lock);
            period_running = false;
            begin = begin_period_locked();
        }
        if (begin) grace_after(period);
        return Work::Step::done;
    }
    return Work::Step::more;
}

constinit Work free_work;

void period_done(GraceItem&) {
    if (free_step(free_work) == Work::Step::done) return;
    free_work.step = free_step;
    // Above all programs: whoever makes garbage must not outrun its removal.
    free_work.priority = abi::priority_count - 1;
    reap(free_work);
}

// Moves objects, and a barrier or none behind them, under way to being freed.
void begin_freeing(IntrusiveList<Object, RetiredLink>& objects, GraceItem* barrier) {
    bool begin;
    {
        SpinGuard guard(retired_lock);
        pending.splice_back(objects);
        if (barrier != nullptr) pending_barriers.push_back(*barrier);
        begin = begin_period_locked();
    }
    if (begin) grace_after(period);
}

// Moves a batch behind `to`.
void empty_batch(Batch& batch, IntrusiveList<Object, RetiredLink>& to) {
    SpinGuard guard(batch.lock);
    to.splice_back(batch.objects);
    batch.count.store(0, std::memory_order_relaxed);
    batch.bytes = 0;
}

// At most max_cpus batches.
void free_batches_before(GraceItem* barrier) {
    IntrusiveList<Object, RetiredLink> objects;
    for (Batch& batch : batches) empty_batch(batch, objects);
    begin_freeing(objects, barrier);
}

// True: the batch is full.
bool add_to_batch(Batch& batch, Object& object) {
    SpinGuard guard(batch.lock);
    batch.objects.push_back(object);
    // Relaxed: see the declaration.
    const uint32_t count = batch.count.load(std::memory_order_relaxed) + 1;
    batch.count.store(count, std::memory_order_relaxed);
    batch.bytes += object.size;
    return count >= batch_objects || batch.bytes >= batch_bytes;
}

Work::Step late_step(Work&) {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        Object* object;
        {
            SpinGuard guard(late_lock);
            object = late_references.pop_front();
            if (object == nullptr) {
                late_queued = false;
                return Work::Step::done;
            }
        }
        release(*object);
    }
    return Work::Step::more;
}

constinit Work late_work;

// Objects with more watches than one step removes.
constinit SpinLock watched_lock{LockRank::retired};
constinit IntrusiveList<Object, RetiredLink> watched;
constinit bool watched_queued = false;
constinit Work watched_work;

void detach(Object& object) {
    if (object.kind->detach(object)) finish_retire(object);
}

Work::Step watched_step(Work&) {
    Object* object;
    {
        SpinGuard guard(watched_lock);
        object = watched.front();
        if (object == nullptr) {
            watched_queued = false;
            return Work::Step::done;
        }
    }
    // Nobody else takes it from the list.
    if (!object->kind->unwatch(*object)) return Work::Step::more;
    {
        SpinGuard guard(watched_lock);
        watched.remove(*object);
    }
    detach(*object);
    return Work::Step::more;
}

void unwatch_later(Object& object) {
    {
        SpinGuard guard(watched_lock);
        watched.push_back(object);
        if (watched_queued) return;
        watched_queued = true;
    }
    watched_work.step = watched_step;
    watched_work.priority = abi::priority_count - 1;
    reap(watched_work);
}

}  // namespace

void end_in_steps(Object& object) {
    if (object.budget != nullptr) object.budget->note_ending();
    if (object.kind->unwatch != nullptr && !object.kind->unwatch(object)) {
        unwatch_later(object);
    } else {
        detach(object);
    }
}

void finish_retire(Object& object) {
    // Acquire-release: whoever comes second sees that the first was here.
    if (object.retired.exchange(true, std::memory_order_acq_rel)) return;
    if (object.kind->whole != nullptr) {
        Object& whole = object.kind->whole(object);
        whole.budget->note_ended();
        return release(whole);
    }
    const bool light = object.kind->light;
    if (object.budget != nullptr) object.budget->disown_late(object);
    if (light) return free_after_grace(object);
    IntrusiveList<Object, RetiredLink> objects;
    objects.push_back(object);
    begin_freeing(objects, nullptr);
}

void free_after_grace(Object& object) {
    if (object.kind->stock != StockKind::none) return rest_in_stock(object, object.kind->stock);
    if (add_to_batch(batches[cpu_index()], object)) free_retired_here();
}

void free_surplus(IntrusiveList<Object, RetiredLink>& objects) { begin_freeing(objects, nullptr); }

void free_retired_here() {
    Batch& batch = batches[cpu_index()];
    // Relaxed: only this CPU adds to it.
    if (batch.count.load(std::memory_order_relaxed) == 0) return;
    IntrusiveList<Object, RetiredLink> objects;
    empty_batch(batch, objects);
    begin_freeing(objects, nullptr);
}

void free_retired_soon() { free_batches_before(nullptr); }

void end_object(Object& object) {
    // Acquire: pairs with the release of the first caller.
    if (object.dead.load(std::memory_order_acquire)) return;
    object.kind->die(object);
    // Release: pairs with the acquire of whoever takes the object for dead.
    object.dead.store(true, std::memory_order_release);
}

void release_later(Object& object) {
    uint32_t count = object.references.load(std::memory_order_relaxed);
    while (count > 1) {
        // Release: pairs with the acquire of the last holder.
        if (object.references.compare_exchange_weak(count, count - 1, std::memory_order_release)) {
            return;
        }
    }
    // Ours is the only reference, so nobody else can be here with the same object.
    bool queue;
    {
        SpinGuard guard(late_lock);
        late_references.push_back(object);
        queue = !late_queued;
        late_queued = true;
    }
    if (!queue) return;
    late_work.step = late_step;
    late_work.priority = abi::priority_count - 1;
    reap(late_work);
}

void after_retired(GraceItem& item) { free_batches_before(&item); }

}  // namespace annulus::kernel
