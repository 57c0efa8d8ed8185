// SPDX-License-Identifier: MIT
// Budget: the account that pays for pages and kernel objects, and the only factory of them.
//
// Budgets form a tree. A child's limits are reserved in its parent when it is made, so a charge
// looks at one budget only and whatever a budget promises, it can pay.
//
// Lifetime: the objects that it pays for hold one reference to their budget together, and every
// lease cell holds one; the child's record is paid by the parent. So a budget ends when its last
// handle goes and nothing is charged to it, or it is destroyed (budget_destroy.cpp); then its
// limits go back to the parent. Locking: `lock_` guards the ledger and the lists of owned objects.
// `end_lock_` (rank `process`) guards who is told of the destruction's end.
#pragma once

#include "abi/records.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/object/ledger.h"
#include "kernel/object/object.h"
#include "kernel/object/process_list.h"
#include "kernel/object/watch.h"
#include "kernel/schedule/grace.h"
#include "kernel/schedule/reaper.h"

#include <new>
#include <utility>

namespace annulus::kernel {

struct LeaseCell;
struct LeaseOfBudget;

class Budget final : public Object {
public:
    // The root of the tree. Its record is static and its limits are the machine.
    static Budget& root();
    static void init_root(const abi::BudgetLimits& limits);

    // A child whose limits are reserved here. no_budget: detail names the resource.
    // too_deep: abi::budget_depth_max. bad_argument: weight or ceiling is out of range. The
    // reference that comes back is the caller's.
    Result<Ref<Budget>> create_child(const abi::BudgetLimits& limits);

    // Takes `amount` or nothing. no_budget: detail names the resource. wrong_state: destroyed.
    // Locks held must rank below `budget`, here and in uncharge.
    Result<void> charge(abi::Resource resource, uint64_t amount);
    void uncharge(abi::Resource resource, uint64_t amount);
    // Moves a charge that exists here to another budget, which must be able to pay.
    Result<void> move_charge(abi::Resource resource, uint64_t amount, Budget& to);

    // Makes an object that this budget pays for: charges kernel_bytes, constructs
    // T(budget, size, arguments...), links it in. The caller owns the one reference. The
    // constructor must not fail, must set every member, and must leave the object fit for
    // detach().
    template <typename T, typename... Arguments>
    Result<Ref<T>> create(Arguments&&... arguments) {
        constexpr uint64_t charged = ObjectHeap::charged_size(sizeof(T));
        static_assert(charged != 0);
        if (const Status status = begin_object(charged); !status.ok()) return status;
        void* storage = object_heap().allocate_unset(sizeof(T));
        if (storage == nullptr) [[unlikely]]
            return abandon_object(charged);
        // Safety: fresh memory of the right size and alignment, owned by nobody else.
        T* object = new (storage)
            T(this, static_cast<uint32_t>(sizeof(T)), std::forward<Arguments>(arguments)...);
        adopt(*object);
        return Ref<T>::adopt(*object);
    }

    // Pays for an object that was just made, and for `pins`, and links it in; all or nothing.
    // no_budget, wrong_state: destroyed. disown() takes both back and unlinks the object.
    Status own(Object& object, uint64_t pins);
    void disown(Object& object, uint64_t pins);

    // Kernel memory that is not an object (arrays, tables), zeroed; charged as kernel_bytes.
    Result<void*> allocate_bytes(uint64_t size);
    void free_bytes(void* storage, uint64_t size);

    // Something charged here is on its way out by itself, however long that takes; the destruction
    // waits for it. retire() and disown_late() call these for an object that does not end plainly;
    // one whose die() left work to the reaper may, too. Each note_ending() has its note_ended().
    // What depends on another program is not on its way out by itself: while a close notice waits
    // for its server, its object does not count.
    void note_ending() {
        // Relaxed: the count goes down later, by way of the same object.
        ending_.fetch_add(1, std::memory_order_relaxed);
    }
    void note_ended();
    // Called by finish_retire(): as disown(), and as note_ended().
    void disown_late(Object& object);
    // One of its processes is gone, or one of its children closed; once for each.
    void dependent_gone(abi::ObjectType type);

    // After destruction all zeros.
    void read_ledger(abi::BudgetLedger& to);
    uint32_t cpu_weight() const { return cpu_weight_; }
    uint32_t priority_ceiling() const { return priority_ceiling_; }
    Budget* parent() const { return parent_; }
    // Names the budget to the servers that it is a client of; above 0, and never reused.
    uint64_t key() const { return key_; }
    bool destroyed() const { return destroyed_.load(std::memory_order_acquire); }

    // Destroys everything under this budget in chunks by the reaper, then signals `done` (may be
    // empty). Returns at once. wrong_state for the root; bad_handle: it ends, and was
    // merely looked up. Any number may wait for the end of one
    // destruction; from the second on, `payer` pays for a watch (no_budget).
    Result<void> destroy(Ref<Semaphore> done, Budget& payer);

    // Signalled, by the reaper, after a charge was refused; refusals coalesce.
    WatchList exhausted_watches;

    Budget(Budget* payer, uint32_t size, Budget* parent, const abi::BudgetLimits& limits);

    static const ObjectKind kind_table;

    // Lease cells that it pays for; guarded by the lease lock.
    IntrusiveList<LeaseCell, LeaseOfBudget> leases;

private:
    friend struct BudgetEnd;
    friend struct BudgetDestroyer;

    // Steps of the destruction; see budget_destroy.cpp.
    enum class Phase : uint8_t { none, end_dependents, wait, end_objects, sweep, revoke, settle };
    struct DestroyWork : Work {
        Budget* budget = nullptr;
    };
    struct DestroyGrace : GraceItem {
        Budget* budget = nullptr;
    };
    struct DestroySweep : HandleSweep {
        Budget* budget = nullptr;
    };
    struct RefusalWork : Work {
        Budget* budget = nullptr;
    };

    Status begin_object(uint64_t charged);
    Status abandon_object(uint64_t charged);
    Status refuse_object(Status status, bool last);
    [[gnu::noinline]] Status give_up_object(Status status);
    [[gnu::noinline]] void disowned(uint64_t charged, uint64_t pins, bool last);
    void adopt(Object& object);
    Status add_object_locked() REQUIRES(lock_);
    bool remove_object_locked() REQUIRES(lock_) { return --object_count_ == 0; }
    bool unpark_locked() REQUIRES(lock_);
    void note_refusal();
    Status charge_locked(abi::Resource resource, uint64_t amount) REQUIRES(lock_);
    void pass_on(abi::Resource resource, uint64_t amount);
    void pass_to_parents(const ResourceAmounts& amounts);
    void close();
    void begin_destruction();

    SpinLock lock_{LockRank::budget};
    Ledger ledger_ GUARDED_BY(lock_);
    IntrusiveList<Object, OwnedByBudget> owned_ GUARDED_BY(lock_);
    IntrusiveList<Object, OwnedByBudget> passed_ GUARDED_BY(lock_);  // owned, the walk was there
    uint32_t object_count_ GUARDED_BY(lock_) = 0;  // with those that are being made
    uint32_t child_count_ GUARDED_BY(lock_) = 0;   // that are not closed
    uint32_t dependents_ GUARDED_BY(lock_) = 0;    // processes not gone, children not closed
    uint32_t creating_ GUARDED_BY(lock_) = 0;      // objects between allocation and adoption
    bool parked_ GUARDED_BY(lock_) = false;        // the destruction waits for the two counts
    std::atomic<uint32_t> ending_{0};              // see note_ending()
    Budget* parent_;  // the payer of this record, which holds a reference for it
    uint32_t depth_;
    uint64_t key_;
    uint32_t cpu_weight_;
    uint32_t priority_ceiling_;
    std::atomic<bool> destroyed_{false};  // written under lock_
    std::atomic<bool> refusal_queued_{false};
    RefusalWork refusal_work_;

    SpinLock end_lock_{LockRank::process};
    bool ended_ GUARDED_BY(end_lock_) = false;
    Ref<Semaphore> done_ GUARDED_BY(end_lock_);
    WatchList done_watches_;
    Phase phase_ = Phase::none;  // from here on: the destroyer's alone
    bool was_empty_ = false;
    uint8_t rounds_ = 0;
    DestroyWork destroy_work_;
    DestroyGrace destroy_grace_;
    DestroySweep destroy_sweep_;
};

}  // namespace annulus::kernel
