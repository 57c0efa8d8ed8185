// SPDX-License-Identifier: MIT
// Stock: records of objects that ended, kept by each CPU for the next ones of the same kind.
//
//   the last reference goes -> resting -> (enough of them: a grace period) -> ready -> made again
//                                                                        \-> freed, if it is full
//
// A record is ready after its grace period, so nobody can have a pointer from its last life; it
// stays constructed, and no budget pays for it. What is in stock is not promised to any budget:
// for each kind and CPU at most `stock_max` ready records, and what one grace period and its batch
// need. Locking: one lock for each CPU's stock (rank `retired`), so that another CPU can empty it;
// held alone.
#pragma once

#include "kernel/cpu_index.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/object/object.h"
#include "kernel/schedule/grace.h"

#include <new>

namespace annulus::kernel {

inline constexpr unsigned stock_max = 48;
inline constexpr unsigned stock_batch = 24;

struct Stock;

// The records of one kind.
struct Shelf : GraceItem {
    IntrusiveList<Object, RetiredLink> ready;
    IntrusiveList<Object, RetiredLink> resting;
    IntrusiveList<Object, RetiredLink> flying;  // their grace period is under way
    uint32_t ready_count = 0;
    uint32_t resting_count = 0;
    uint32_t flying_count = 0;
    // Whose it is; set when `flying` is used first.
    Stock* stock = nullptr;
    StockKind kind = StockKind::none;
};

struct alignas(128) Stock {
    SpinLock lock{LockRank::retired};
    Shelf shelves[stock_kinds] GUARDED_BY(lock);
};

// One for each CPU.
extern Stock stocks[max_cpus];

constexpr unsigned shelf_of(StockKind kind) { return static_cast<unsigned>(kind) - 1; }

// A record of this kind, which is not StockKind::none, or null. It is the caller's, and in no list.
inline Object* take_from_stock(StockKind kind) {
    Stock& stock = stocks[cpu_index()];
    SpinGuard guard(stock.lock);
    Shelf& shelf = stock.shelves[shelf_of(kind)];
    if (shelf.ready_count == 0) return nullptr;
    --shelf.ready_count;
    // The one that was used last: its lines may still be in the cache.
    return shelf.ready.pop_front();
}

// Begins a grace period for what rests on the CPU's shelf, unless one is under way.
void begin_flight(Stock& stock, StockKind kind);

// Takes a record that nobody has a reference to: unhooked from everything, and paid by nobody.
inline void rest_in_stock(Object& object, StockKind kind) {
    Stock& stock = stocks[cpu_index()];
    uint32_t count;
    {
        SpinGuard guard(stock.lock);
        Shelf& shelf = stock.shelves[shelf_of(kind)];
        shelf.resting.push_front(object);
        count = ++shelf.resting_count;
    }
    if (count >= stock_batch) [[unlikely]]
        begin_flight(stock, kind);
}

// Frees what is ready on all CPUs, and begins grace periods for what rests. Locks held must rank
// below `retired`.
void empty_stocks();

// For a record that is neither in stock nor known to anybody.
void free_record(Object& object);

// Fresh memory for one, or null; when there is none, the stocks give theirs.
void* allocate_record(uint32_t size);

// A record of T: from stock, or constructed by T(). Null: no memory. The caller sets what its new
// life needs.
template <typename T>
[[gnu::always_inline]] inline T* take_record() {
    if (Object* object = take_from_stock(T::stock_kind)) [[likely]]
        return static_cast<T*>(object);
    void* storage = allocate_record(sizeof(T));
    if (storage == nullptr) return nullptr;
    // Safety: fresh memory of the right size and alignment, owned by nobody else.
    return new (storage) T();
}

}  // namespace annulus::kernel
