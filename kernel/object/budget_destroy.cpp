// SPDX-License-Identifier: MIT
// Destroying a budget: everything that it paid for ends, then its ledger reads zero.
//
//   1 end_dependents  no new charges; processes are killed, child budgets destroyed the same way
//   2 wait            until these are gone: what they held is given back by themselves
//   3 end_objects     die() for everything left, watches included
//   4 sweep           handles that others have to dead objects are taken away
//   5 revoke          its lease cells end
//   6 settle          a grace period, so that memory is really free; again from 3 while objects are
//                     left; then the limits go back to the parent and `done` is signalled
//
// Children end first, because each is a dependent of its parent. The destruction of a child inside
// that of its parent is one and the same. Each step handles at most abi::chunk_items objects; the
// objects that a walk has passed wait in a second list, so that a step can begin anywhere.
//
// Remains. An object can be held a little longer by the kernel itself (a long operation that ends
// by itself, somebody's mapping). After rounds_max rounds the ledger is closed all the same: what
// is left is inert, its owner's parent has the amount set aside, and gets it when it goes
// (ledger.h). So nobody can keep a destruction from ending.
#include "kernel/object/budget.h"
#include "kernel/object/lease.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/cpu.h"

namespace annulus::kernel {

struct BudgetDestroyer {
    static constexpr unsigned rounds_max = 8;

    static Work::Step step(Work& work) {
        Budget& budget = *static_cast<Budget::DestroyWork&>(work).budget;
        switch (budget.phase_) {
            case Budget::Phase::none: break;
            case Budget::Phase::end_dependents: return end_dependents(budget);
            case Budget::Phase::wait: return wait(budget);
            case Budget::Phase::end_objects: return end_objects(budget);
            case Budget::Phase::sweep: return sweep(budget);
            case Budget::Phase::revoke: return revoke(budget);
            case Budget::Phase::settle: return settle(budget);
        }
        return Work::Step::done;
    }

    // Calls end_object for up to chunk_items objects; true when all were seen.
    static bool walk(Budget& budget, bool dependents_only) {
        for (unsigned i = 0; i < abi::chunk_items; ++i) {
            Object* object;
            bool held;
            {
                SpinGuard guard(budget.lock_);
                object = budget.owned_.pop_front();
                if (object == nullptr) {
                    budget.owned_.splice_back(budget.passed_);
                    return true;
                }
                budget.passed_.push_back(*object);
                const bool dependent = object->type() == abi::ObjectType::process ||
                                       object->type() == abi::ObjectType::budget;
                // One that is being retired right now unlinks itself.
                held = (dependent || !dependents_only) && try_retain(*object);
            }
            if (!held) continue;
            end_object(*object);
            release(*object);
        }
        return false;
    }

    static Work::Step end_dependents(Budget& budget) {
        {
            SpinGuard guard(budget.lock_);
            // An object is being made on another CPU: it is adopted before that CPU leaves the
            // kernel, and none begins any more.
            if (budget.creating_ != 0) return Work::Step::more;
        }
        if (walk(budget, true)) budget.phase_ = Budget::Phase::wait;
        return Work::Step::more;
    }

    static Work::Step wait(Budget& budget) {
        SpinGuard guard(budget.lock_);
        if (budget.dependents_ != 0) {
            budget.parked_ = true;
            return Work::Step::done;
        }
        budget.phase_ = Budget::Phase::end_objects;
        return Work::Step::more;
    }

    static Work::Step end_objects(Budget& budget) {
        if (!walk(budget, false)) return Work::Step::more;
        {
            SpinGuard guard(budget.end_lock_);
            // It may be one of the objects that just died; then nobody can hear it.
            if (budget.done_ && budget.done_->dead.load(std::memory_order_acquire)) {
                release_later(*budget.done_.leak());
            }
        }
        budget.phase_ = Budget::Phase::sweep;
        return Work::Step::more;
    }

    static Work::Step sweep(Budget& budget) {
        budget.phase_ = Budget::Phase::revoke;
        if (empty(budget)) return Work::Step::more;
        budget.destroy_sweep_.priority = budget.destroy_work_.priority;
        sweep_dead_handles(budget.destroy_sweep_);
        return Work::Step::done;
    }

    static void swept(HandleSweep& sweep) {
        reap(static_cast<Budget::DestroySweep&>(sweep).budget->destroy_work_);
    }

    static Work::Step revoke(Budget& budget) {
        if (!revoke_leases_of(budget, abi::chunk_items)) return Work::Step::more;
        budget.phase_ = Budget::Phase::settle;
        budget.was_empty_ = empty(budget);
        after_retired(budget.destroy_grace_);
        return Work::Step::done;
    }

    static void grace_ended(GraceItem& item) {
        reap(static_cast<Budget::DestroyGrace&>(item).budget->destroy_work_);
    }

    static Work::Step settle(Budget& budget) {
        {
            // Objects that are on their way out get there by themselves, however long it takes.
            SpinGuard guard(budget.lock_);
            if (budget.ending_.load(std::memory_order_relaxed) != 0) {
                budget.parked_ = true;
                return Work::Step::done;
            }
        }
        // Empty before the grace period: all memory is free by now.
        if (!budget.was_empty_ && budget.rounds_ < rounds_max) {
            ++budget.rounds_;
            budget.phase_ = Budget::Phase::end_objects;
            return Work::Step::more;
        }
        finish(budget);
        return Work::Step::done;
    }

    static void finish(Budget& budget) {
        budget.close();
        Ref<Semaphore> done;
        {
            SpinGuard guard(budget.end_lock_);
            budget.ended_ = true;
            done = std::move(budget.done_);
            budget.done_watches_.fire_last();
        }
        // Before the signal: whoever hears it finds the parent's ledger without the destruction.
        release(budget);
        // A semaphore at its limit was signalled often enough.
        if (done) (void)done->signal().ok();
    }

    static bool empty(Budget& budget) {
        SpinGuard guard(budget.lock_);
        return budget.owned_.empty() && budget.passed_.empty() && budget.creating_ == 0;
    }
};

// Once; later calls do nothing. The destruction holds a reference.
void Budget::begin_destruction() {
    {
        SpinGuard guard(lock_);
        // Release: pairs with the acquire in destroyed().
        if (destroyed_.exchange(true, std::memory_order_release)) return;
    }
    retain(*this);
    const Thread* caller = this_cpu().current;
    phase_ = Phase::end_dependents;
    destroy_work_.budget = this;
    destroy_work_.step = BudgetDestroyer::step;
    destroy_work_.priority =
        caller == nullptr ? static_cast<uint8_t>(priority_ceiling_) : caller->priority;
    destroy_grace_.budget = this;
    destroy_grace_.done = BudgetDestroyer::grace_ended;
    destroy_sweep_.budget = this;
    destroy_sweep_.done = BudgetDestroyer::swept;
    reap(destroy_work_);
}

Result<void> Budget::destroy(Ref<Semaphore> done, Budget& payer) {
    if (parent_ == nullptr) return Error::wrong_state;
    // Merely looked up: its last handle may just have been closed.
    if (!try_retain(*this)) return Error::bad_handle;
    const auto held = Ref<Budget>::adopt(*this);
    if (done) {
        SpinGuard guard(end_lock_);
        if (!ended_ && !done_) {
            done_ = std::move(done);
        } else {
            TRY(done_watches_.add(payer, *done, false));
        }
    }
    begin_destruction();
    return {};
}

}  // namespace annulus::kernel
