// SPDX-License-Identifier: MIT
// Ring: its work item, which goes on with what could not be done at once, and its end.
//
// A step of the work does one of these, at most abi::chunk_items items, in this order:
//   ready    operations whose turn has come
//   sweep    after a handle was closed: ends operations on objects without a handle
//   end      ends whatever waits, until nothing is in flight
//   clear    without references: unpins registered memory, gives reserved handle values back; then
//            a grace period, for whoever lost an operation's wait and is on the way to its record
#include "base/container_of.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/ring.h"
#include "kernel/object/ring_storage.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

struct RingWork {
    static Work::Step step(Work& work) {
        Ring& ring = container_of(work, &Ring::work_);
        if (run_some(ring) || sweep_some(ring) || end_some(ring)) return Work::Step::more;
        SpinGuard guard(ring.lock_);
        if (!ring.ready_.empty() || ring.sweep_wanted_) return Work::Step::more;
        if (ring.has_locked(Ring::Hindrance::ended) && ring.unreferenced_) {
            // Nothing can queue the work again.
            grace_after(ring.end_grace_);
            return Work::Step::done;
        }
        // An end that came after end_some().
        if (ring.has_locked(Ring::Hindrance::ended) && ring.queue_.in_flight() != 0)
            return Work::Step::more;
        ring.work_queued_ = false;
        return Work::Step::done;
    }

    // True when there may be more.
    static bool run_some(Ring& ring) {
        for (unsigned i = 0; i < abi::chunk_items; ++i) {
            RingOperation* operation;
            {
                SpinGuard guard(ring.lock_);
                operation = ring.ready_.pop_front();
                if (operation == nullptr) return false;
                operation->state = OperationState::started;
            }
            ring.start(*operation);
        }
        return true;
    }

    static bool sweep_some(Ring& ring) {
        for (unsigned i = 0; i < abi::chunk_items; ++i) {
            RingOperation* nameless = nullptr;
            bool searched = false;
            {
                SpinGuard guard(ring.lock_);
                if (!begin_sweep_locked(ring)) return false;
                nameless = sweep_one_locked(ring, searched);
            }
            if (nameless != nullptr) ring.give_up(*nameless, Error::closed);
            if (searched) return true;  // that was a chunk by itself
        }
        return true;
    }

    static bool begin_sweep_locked(Ring& ring) REQUIRES(ring.lock_) {
        // The table of handles may be gone.
        if (ring.process_->ended()) ring.sweep_wanted_ = ring.sweeping_ = false;
        if (!ring.sweeping_ && ring.sweep_wanted_) {
            ring.sweep_wanted_ = false;
            ring.sweeping_ = true;
            ring.sweep_at_ = 0;
            ring.sweep_object_ = nullptr;
        }
        return ring.sweeping_;
    }

    // Looks at one operation, or at a chunk of the handles for one. The operation whose wait it
    // ended.
    static RingOperation* sweep_one_locked(Ring& ring, bool& searched) REQUIRES(ring.lock_) {
        if (ring.sweep_at_ == ring.queue_.entries()) {
            ring.sweeping_ = false;
            return nullptr;
        }
        RingOperation& operation = ring.operations_[ring.sweep_at_];
        const Object* object = operation.object.get();
        const HandleTable& handles = ring.process_->handles;
        const bool waits = operation.state == OperationState::started && object != nullptr;
        if (!waits || handles.names(operation.entry.handle, *object)) {
            ++ring.sweep_at_;
            return nullptr;
        }
        if (ring.sweep_object_ != object) {
            ring.sweep_object_ = object;
            ring.sweep_slot_ = 0;
        }
        searched = true;
        const abi::Handle other = handles.find_name(*object, ring.sweep_slot_, abi::chunk_items);
        if (other != abi::no_handle) {
            operation.entry.handle = other;
        } else if (ring.sweep_slot_ < handles.size()) {
            return nullptr;
        }
        ++ring.sweep_at_;
        ring.sweep_object_ = nullptr;
        if (other != abi::no_handle) return nullptr;
        if (Ring::claim_locked(operation)) return &operation;
        // Somebody is about to end it, or failed to and lets it wait on.
        ring.sweep_wanted_ = true;
        return nullptr;
    }

    // Ends operations while there are any; then, without references, gives back what it holds.
    static bool end_some(Ring& ring) {
        for (unsigned i = 0; i < abi::chunk_items; ++i) {
            RingOperation* operation = nullptr;
            {
                SpinGuard guard(ring.lock_);
                if (!ring.has_locked(Ring::Hindrance::ended)) return false;
                if (ring.queue_.in_flight() == 0) break;
                if (ring.end_at_ == ring.queue_.entries()) {
                    ring.end_at_ = 0;
                    return true;
                }
                operation = &ring.operations_[ring.end_at_++];
                const bool waits = operation->state == OperationState::started;
                if (!waits || !Ring::claim_locked(*operation)) operation = nullptr;
            }
            if (operation != nullptr) ring.give_up(*operation, Error::closed);
        }
        return clear_some(ring);
    }

    static bool clear_some(Ring& ring) {
        uint32_t at;
        {
            SpinGuard guard(ring.lock_);
            if (ring.queue_.in_flight() != 0) return true;
            if (!ring.unreferenced_) return false;
            at = ring.clear_at_++;
        }
        if (at < abi::ring_memories_max) {
            Ring::Registered& registered = ring.registered_at(at);
            bool forgotten_here;
            {
                SpinGuard guard(ring.lock_);
                // Busy: a call that began before the end registers or forgets it, and cleans up.
                forgotten_here = registered.memory && !registered.busy;
                if (forgotten_here) registered.busy = true;
            }
            if (forgotten_here) ring.forget(registered);
            return true;
        }
        SpinGuard guard(ring.lock_);
        const uint32_t begin = (at - abi::ring_memories_max) * abi::chunk_items;
        for (uint32_t i = begin; i < begin + abi::chunk_items; ++i) {
            if (ring.landings_ == nullptr || i >= ring.queue_.entries()) return false;
            if (ring.landings_[i] == abi::no_handle) continue;
            ring.process_->handles.release_value(ring.landings_[i]);
            ring.landings_[i] = abi::no_handle;
        }
        return true;
    }

    // Operations that had to wait for a grace period.
    static void repeat(GraceItem& item) {
        Ring& ring = container_of(item, &Ring::repeat_grace_);
        SpinGuard guard(ring.lock_);
        ring.repeat_waiting_ = false;
        ring.ready_.splice_back(ring.repeating_);
        ring.queue_work_locked();
    }
};

struct RingEnd {
    static void die(Object& object) { static_cast<Ring&>(object).end(false); }

    // The reaper finishes the retirement.
    static bool detach(Object& object) {
        auto& ring = static_cast<Ring&>(object);
        if (ring.process_) ring.process_->rings.remove(ring);
        ring.completion_watches.clear();
        ring.end(true);
        return false;
    }

    static void free_resources(GraceItem& item) {
        Ring& ring = container_of(item, &Ring::end_grace_);
        Budget& budget = *ring.budget;
        if (ring.memory_) {
            ring.memory_->unpin(budget, ring.first_page_, ring.page_count_);
            ring.memory_.reset();
        }
        if (ring.operations_ != nullptr) {
            free_table_pages(budget, ring.operations_, ring_storage_pages(ring.charged_slots_));
        }
        budget.uncharge(abi::Resource::slots, ring.charged_slots_);
        ring.process_.reset();
        finish_retire(ring);
    }

    static void destruct(Object& object) { static_cast<Ring&>(object).~Ring(); }
};

const ObjectKind Ring::kind_table = {abi::ObjectType::ring, RingEnd::detach, RingEnd::die,
                                     RingEnd::destruct};

Ring::Ring(Budget* payer, uint32_t size) : Object(kind_table, payer, size) {
    work_.step = RingWork::step;
    repeat_grace_.done = RingWork::repeat;
    repeat_grace_.flush = true;
    end_grace_.done = RingEnd::free_resources;
}

void Ring::end(bool unreferenced) {
    SpinGuard guard(lock_);
    set_locked(Hindrance::ended, true);
    unreferenced_ = unreferenced_ || unreferenced;
    end_at_ = 0;
    wake_waiter_locked(Error::closed);
    queue_work_locked();
}

void Ring::note_handle_closed() {
    SpinGuard guard(lock_);
    if (queue_.in_flight() == 0) return;
    sweep_wanted_ = true;
    queue_work_locked();
}

}  // namespace annulus::kernel
