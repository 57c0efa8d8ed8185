// SPDX-License-Identifier: MIT
// Budget: charging, making objects, and the ordinary end of a budget.
#include "kernel/object/budget.h"

#include "kernel/assert.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/object/lease.h"
#include "kernel/object/semaphore.h"

namespace annulus::kernel {

namespace {

constexpr uint32_t cpu_weight_max = 1000;

bool is_dependent(abi::ObjectType type) {
    return type == abi::ObjectType::process || type == abi::ObjectType::budget;
}

// Relaxed: it only has to give each number once.
constinit std::atomic<uint64_t> next_key{1};

// Memory of the root's record: it is made when the machine is known, and never freed.
alignas(Budget) constinit unsigned char root_storage[sizeof(Budget)] = {};

}  // namespace

struct BudgetEnd {
    // The last reference went: nothing is charged here, except by children's remains.
    static bool detach(Object& object) {
        auto& budget = static_cast<Budget&>(object);
        budget.close();
        budget.exhausted_watches.clear();
        budget.done_watches_.clear();
        return true;
    }
    static void die(Object& object) { static_cast<Budget&>(object).begin_destruction(); }
    static void destruct(Object& object) { static_cast<Budget&>(object).~Budget(); }
    static bool unwatch(Object& object) {
        auto& budget = static_cast<Budget&>(object);
        unsigned limit = abi::chunk_items;
        return budget.exhausted_watches.clear_some(limit) && budget.done_watches_.clear_some(limit);
    }

    static Work::Step tell_refusal(Work& work) {
        Budget& budget = *static_cast<Budget::RefusalWork&>(work).budget;
        // Before the signals: a refusal from now on queues again.
        budget.refusal_queued_.store(false, std::memory_order_release);
        budget.exhausted_watches.fire();
        release(budget);
        return Work::Step::done;
    }
};

const ObjectKind Budget::kind_table = {abi::ObjectType::budget, BudgetEnd::detach, BudgetEnd::die,
                                       BudgetEnd::destruct, BudgetEnd::unwatch};

Budget::Budget(Budget* payer, uint32_t size, Budget* parent, const abi::BudgetLimits& limits)
    : Object(kind_table, payer, size),
      ledger_(limits),
      parent_(parent),
      depth_(parent == nullptr ? 0 : parent->depth_ + 1),
      key_(next_key.fetch_add(1, std::memory_order_relaxed)),
      cpu_weight_(limits.cpu_weight),
      priority_ceiling_(limits.priority_ceiling) {
    refusal_work_.budget = this;
    refusal_work_.step = BudgetEnd::tell_refusal;
    refusal_work_.priority = static_cast<uint8_t>(priority_ceiling_);
}

Budget& Budget::root() {
    // Safety: init_root() made it there before anybody else asks.
    return *std::launder(reinterpret_cast<Budget*>(root_storage));
}

void Budget::init_root(const abi::BudgetLimits& limits) {
    // Safety: static storage of the right size and alignment, used for nothing else.
    new (root_storage) Budget(nullptr, sizeof(Budget), nullptr, limits);
}

Result<Ref<Budget>> Budget::create_child(const abi::BudgetLimits& limits) {
    if (limits.cpu_weight == 0 || limits.cpu_weight > cpu_weight_max ||
        limits.priority_ceiling > priority_ceiling_) {
        return Error::bad_argument;
    }
    if (depth_ + 1 >= abi::budget_depth_max) return Error::too_deep;
    {
        SpinGuard guard(lock_);
        TRY(ledger_.lend(limits));
        ++child_count_;
    }
    auto child = create<Budget>(this, limits);
    if (!child.ok()) {
        ResourceAmounts amounts;
        for (unsigned i = 0; i < abi::resource_count; ++i) amounts.amount[i] = limits.amount[i];
        {
            SpinGuard guard(lock_);
            --child_count_;
        }
        // The destruction may have begun, and ended, meanwhile.
        pass_to_parents(amounts);
    }
    return child;
}

Result<void> Budget::charge(abi::Resource resource, uint64_t amount) {
    Status status;
    {
        SpinGuard guard(lock_);
        status = charge_locked(resource, amount);
    }
    if (status.code() == Error::no_budget) note_refusal();
    return status;
}

Status Budget::charge_locked(abi::Resource resource, uint64_t amount) {
    if (destroyed_.load(std::memory_order_relaxed)) return Error::wrong_state;
    return ledger_.charge(resource, amount).status();
}

void Budget::uncharge(abi::Resource resource, uint64_t amount) {
    {
        SpinGuard guard(lock_);
        ledger_.uncharge(resource, amount);
        if (!ledger_.closed()) [[likely]]
            return;
    }
    pass_on(resource, amount);
}

// What a closed ledger gave back.
void Budget::pass_on(abi::Resource resource, uint64_t amount) {
    ResourceAmounts amounts;
    amounts.amount[static_cast<unsigned>(resource)] = amount;
    if (parent_ != nullptr) parent_->pass_to_parents(amounts);
}

// Takes back what was lent to a child; a closed ledger passes it on. The chain is at most
// abi::budget_depth_max long.
void Budget::pass_to_parents(const ResourceAmounts& amounts) {
    for (Budget* budget = this; budget != nullptr; budget = budget->parent_) {
        SpinGuard guard(budget->lock_);
        budget->ledger_.take_back(amounts);
        if (!budget->ledger_.closed()) return;
    }
}

Result<void> Budget::move_charge(abi::Resource resource, uint64_t amount, Budget& to) {
    TRY(to.charge(resource, amount));
    uncharge(resource, amount);
    return {};
}

// The caller may hold locks that rank above `watch`, so the watchers are told by the reaper.
void Budget::note_refusal() {
    if (exhausted_watches.empty()) return;
    // Acquire: pairs with the release in tell_refusal(): the work item is free.
    if (refusal_queued_.exchange(true, std::memory_order_acquire)) return;
    // Somebody who may charge keeps the budget alive.
    if (!try_retain(*this)) return;
    reap(refusal_work_);
}

// Counts one object more. All of them hold one reference: the budget may be on its way out when it
// was merely looked up.
inline Status Budget::add_object_locked() {
    if (destroyed_.load(std::memory_order_relaxed)) [[unlikely]]
        return Error::wrong_state;
    if (object_count_ == 0 && !try_retain(*this)) [[unlikely]]
        return Error::wrong_state;
    ++object_count_;
    return {};
}

Status Budget::own(Object& object, uint64_t pins) {
    Status status;
    {
        SpinGuard guard(lock_);
        status = add_object_locked();
        if (!status.ok()) [[unlikely]]
            return status;
        status = ledger_.charge_object(object.charged, pins).status();
        if (status.ok()) [[likely]] {
            owned_.push_back(object);
            return status;
        }
    }
    return give_up_object(status);
}

// An object that was counted is not made.
Status Budget::give_up_object(Status status) {
    bool last;
    {
        SpinGuard guard(lock_);
        last = remove_object_locked();
    }
    return refuse_object(status, last);
}

void Budget::disown(Object& object, uint64_t pins) {
    const uint64_t charged = object.charged;
    bool last;
    bool closed;
    {
        SpinGuard guard(lock_);
        ledger_.uncharge_object(charged, pins);
        closed = ledger_.closed();
        owned_.remove(object);
        last = remove_object_locked();
    }
    if (closed || last) [[unlikely]]
        disowned(closed ? charged : 0, closed ? pins : 0, last);
}

// What a closed budget had reserved goes to its parents; its reference goes with its last object.
void Budget::disowned(uint64_t charged, uint64_t pins, bool last) {
    if (charged != 0) pass_on(abi::Resource::kernel_bytes, charged);
    if (pins != 0) pass_on(abi::Resource::pins, pins);
    if (last) release(*this);
}

// Pays for an object that is made now; adopt() or abandon_object() follows.
Status Budget::begin_object(uint64_t charged) {
    Status status;
    bool last = false;
    {
        SpinGuard guard(lock_);
        status = add_object_locked();
        if (!status.ok()) return status;
        status = ledger_.charge(abi::Resource::kernel_bytes, charged).status();
        if (status.ok()) {
            // Counted before the destruction looks for objects.
            ++creating_;
            return status;
        }
        last = remove_object_locked();
    }
    return refuse_object(status, last);
}

// There is no memory for it.
Status Budget::abandon_object(uint64_t charged) {
    free_retired_soon();
    uncharge(abi::Resource::kernel_bytes, charged);
    bool last;
    {
        SpinGuard guard(lock_);
        --creating_;
        last = remove_object_locked();
    }
    return refuse_object(Error::no_memory, last);
}

// `last`: the object that is not made was the only one.
Status Budget::refuse_object(Status status, bool last) {
    if (status.code() == Error::no_budget) note_refusal();
    if (last) release_later(*this);
    return status;
}

void Budget::adopt(Object& object) {
    SpinGuard guard(lock_);
    owned_.push_back(object);
    --creating_;
    if (is_dependent(object.type())) ++dependents_;
}

void Budget::disown_late(Object& object) {
    const uint64_t charged = object.charged;
    bool closed;
    bool go_on;
    bool last;
    {
        SpinGuard guard(lock_);
        ledger_.uncharge(abi::Resource::kernel_bytes, charged);
        closed = ledger_.closed();
        owned_.remove(object);
        last = remove_object_locked();
        ending_.fetch_sub(1, std::memory_order_relaxed);
        go_on = unpark_locked();
    }
    if (closed) [[unlikely]]
        pass_on(abi::Resource::kernel_bytes, charged);
    if (go_on) [[unlikely]]
        reap(destroy_work_);
    if (last) release(*this);
}

void Budget::note_ended() {
    bool go_on;
    {
        SpinGuard guard(lock_);
        ending_.fetch_sub(1, std::memory_order_relaxed);
        go_on = unpark_locked();
    }
    if (go_on) reap(destroy_work_);
}

// True: the caller queues the destruction, which waited for what is over now.
bool Budget::unpark_locked() {
    if (!parked_ || dependents_ != 0 || ending_.load(std::memory_order_relaxed) != 0) return false;
    parked_ = false;
    return true;
}

void Budget::dependent_gone(abi::ObjectType type) {
    bool go_on;
    {
        SpinGuard guard(lock_);
        kernel_assert(dependents_ > 0, "a dependent of a budget ended twice");
        --dependents_;
        if (type == abi::ObjectType::budget) --child_count_;
        go_on = unpark_locked();
    }
    if (go_on) reap(destroy_work_);
}

// Gives back to the parent what is not used; once.
void Budget::close() {
    ResourceAmounts surplus;
    {
        SpinGuard guard(lock_);
        if (ledger_.closed()) return;
        surplus = ledger_.close();
    }
    if (parent_ == nullptr) return;
    parent_->pass_to_parents(surplus);
    parent_->dependent_gone(abi::ObjectType::budget);
}

Result<void*> Budget::allocate_bytes(uint64_t size) {
    const uint64_t charged = ObjectHeap::charged_size(size);
    if (charged == 0) return Error::limit;
    TRY(charge(abi::Resource::kernel_bytes, charged));
    auto storage = object_heap().allocate(size);
    if (!storage.ok()) {
        free_retired_soon();
        uncharge(abi::Resource::kernel_bytes, charged);
    }
    return storage;
}

void Budget::free_bytes(void* storage, uint64_t size) {
    object_heap().free(storage, size);
    uncharge(abi::Resource::kernel_bytes, ObjectHeap::charged_size(size));
}

void Budget::read_ledger(abi::BudgetLedger& to) {
    SpinGuard guard(lock_);
    to = {};
    ledger_.read(to);
    to.cpu_weight = cpu_weight_;
    to.priority_ceiling = priority_ceiling_;
    to.children = ledger_.closed() ? 0 : child_count_;
    to.objects = ledger_.closed() ? 0 : object_count_;
}

}  // namespace annulus::kernel
