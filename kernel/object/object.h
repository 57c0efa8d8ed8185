// SPDX-License-Identifier: MIT
// Object: what every kernel object has in common: type, references, payer.
//
// Lifetime. An object lives while references hold it: one for each handle entry that names it and
// one for each kernel structure that says so at its declaration. When the last one goes, the object
// is *retired*: ObjectKind::detach unhooks it from everything at once, its charge is given back,
// and its memory is freed after a grace period (kernel/schedule/grace.h), because another CPU may
// have looked it up without taking a reference. So a pointer found in a handle table is good until
// the kernel is left, without any counting on the fast path.
//
// Death. Destroying a budget ends objects that others may still hold: ObjectKind::die makes the
// object useless (waiters wake with `closed`, a table faults), then every foreign handle is taken
// away, so that the last reference goes as above.
#pragma once

#include "abi/handle.h"
#include "base/intrusive_list.h"
#include "base/result.h"
#include "kernel/memory/object_heap.h"

#include <stddef.h>
#include <stdint.h>

#include <atomic>

namespace annulus::kernel {

class Budget;
struct GraceItem;
struct Object;
struct OwnedByBudget;
struct RetiredLink;

// Which stock (kernel/object/stock.h) keeps the records of a kind.
enum class StockKind : uint8_t { none, semaphore, channel };
inline constexpr unsigned stock_kinds = 2;

// The end of an object, step by step: its watches, detach(), and then finish_retire().
void end_in_steps(Object& object);

// The behaviour that differs by type.
struct ObjectKind {
    abi::ObjectType type;
    // The last reference went. Unhooks the object and gives back what it charged beyond its own
    // record (pages, slots, ...). May hand long work to the reaper by returning false; then
    // finish_retire(object) is called by it later. Called without locks, interrupts off.
    bool (*detach)(Object&);
    // Its budget is being destroyed while others hold it. Idempotent. Called without locks.
    void (*die)(Object&);
    // Runs the destructor; the memory is freed by the caller.
    void (*destruct)(Object&);
    // Before detach, if not null: removes up to abi::chunk_items watches of the object; true when
    // none is left. Otherwise the reaper calls it again. Called without locks.
    bool (*unwatch)(Object&) = nullptr;
    // Nobody but the heap waits for the memory: destruct gives nothing back. Such objects are
    // freed many at a time, see retire().
    bool light = false;
    // All of the end of an object whose last reference went. A kind may do at once, up to
    // free_after_grace(), what is plain: nobody waits for the object, watches it or has it in a
    // set; it calls end_in_steps() otherwise. Called without locks, interrupts off.
    void (*end)(Object&) = end_in_steps;
    // Of a record that is part of another object's, to which it has a reference: that object, which
    // is all that its budget knows.
    Object& (*whole)(Object&) = nullptr;
    // Of a light kind: where its records wait to be used again, instead of being freed.
    StockKind stock = StockKind::none;
};

struct Object : ListNode<OwnedByBudget>, ListNode<RetiredLink> {
    Object(const ObjectKind& kind, Budget* payer, uint32_t size)
        : kind(&kind),
          budget(payer),
          size(size),
          charged(static_cast<uint32_t>(ObjectHeap::charged_size(size))) {}
    // A record that is used again.
    void begin_life(Budget& payer) {
        budget = &payer;
        // Relaxed: nobody else knows the record yet.
        references.store(1, std::memory_order_relaxed);
        dead.store(false, std::memory_order_relaxed);
        retired.store(false, std::memory_order_relaxed);
    }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;

    abi::ObjectType type() const { return kind->type; }

    const ObjectKind* kind;
    Budget* budget;  // pays for the record; null only for the root budget and statics
    std::atomic<uint32_t> references{1};
    uint32_t size;                     // bytes of the record as allocated
    uint32_t charged;                  // for them: ObjectHeap::charged_size()
    std::atomic<bool> dead{false};     // die() ran
    std::atomic<bool> retired{false};  // finish_retire() ran
};

// Takes a reference. The caller has one, or found the object under protection of the grace period
// and uses try_retain.
inline void retain(Object& object) {
    // Relaxed: whoever has a reference may make another; nothing is published by it.
    object.references.fetch_add(1, std::memory_order_relaxed);
}

// False when the last reference is already gone.
inline bool try_retain(Object& object) {
    uint32_t count = object.references.load(std::memory_order_relaxed);
    while (count != 0) {
        // Acquire: pairs with the release in release(): sees what earlier holders wrote.
        if (object.references.compare_exchange_weak(count, count + 1, std::memory_order_acquire)) {
            return true;
        }
    }
    return false;
}

// The end of an object whose last reference went: detaches, uncharges, and frees after a grace
// period. Light objects first wait, on the CPU that retired them, until there are batch_objects of
// them or batch_bytes, or the CPU is idle, or somebody asks by after_retired() or
// free_retired_soon(). Between here and its end no grace period ends, so a destruction of its
// budget that does not find it any more waits for it all the same.
inline void retire(Object& object) { object.kind->end(object); }
inline constexpr uint32_t batch_objects = 16;
inline constexpr uint32_t batch_bytes = 8192;
// Second half of retire() for objects whose detach() returned false: uncharges and frees. A second
// call in the same step of the kernel does nothing.
void finish_retire(Object& object);
// Puts a light object into this CPU's batch, or stock: unhooked from everything, and paid by
// nobody.
void free_after_grace(Object& object);
// What a stock has no room for.
void free_surplus(IntrusiveList<Object, RetiredLink>& objects);

// Ends an object whose budget is destroyed: runs ObjectKind::die once. The caller has a reference
// and no locks.
void end_object(Object& object);

// Like release(), but allowed under locks of ranks below `retired`: the last reference is given
// back by the reaper.
void release_later(Object& object);

// Calls item.done after the memory of everything retired so far is free again. The item's fields
// are as for grace_after().
void after_retired(GraceItem& item);

// Lets go of what waits for company: on this CPU, because it has nothing else to do; on all,
// because memory ran out. Locks held must rank below `retired`.
void free_retired_here();
void free_retired_soon();

// Gives a reference back. No lock of rank `process` or above may be held: the object may be
// retired.
inline void release(Object& object) {
    // Acquire-release: the last holder sees all earlier holders' writes before it retires.
    if (object.references.fetch_sub(1, std::memory_order_acq_rel) == 1) retire(object);
}

// Owns one reference. Passed in a register: whoever is called gives it back.
template <typename T>
class [[clang::trivial_abi]] Ref {
public:
    Ref() = default;
    // Takes over a reference that the caller owns.
    static Ref adopt(T& object) { return Ref(&object); }
    // Takes another reference.
    static Ref share(T& object) {
        retain(object);
        return Ref(&object);
    }
    Ref(Ref&& other) : object_(other.leak()) {}
    Ref& operator=(Ref&& other) {
        T* old = object_;
        object_ = other.leak();
        if (old != nullptr) release(*old);
        return *this;
    }
    ~Ref() {
        if (object_ != nullptr) release(*object_);
    }

    T* get() const { return object_; }
    T& operator*() const { return *object_; }
    T* operator->() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }
    // Gives up ownership without releasing.
    T* leak() {
        T* object = object_;
        object_ = nullptr;
        return object;
    }
    void reset() { *this = Ref(); }

private:
    explicit Ref(T* object) : object_(object) {}
    T* object_ = nullptr;
};

}  // namespace annulus::kernel
