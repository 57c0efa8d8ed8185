// SPDX-License-Identifier: MIT
// The stocks of all CPUs: their grace periods, and what happens when memory runs out.
#include "kernel/object/stock.h"

#include "base/container_of.h"

namespace annulus::kernel {

constinit Stock stocks[max_cpus];

namespace {

void flight_done(GraceItem& item) {
    auto& shelf = static_cast<Shelf&>(item);
    Stock& stock = *shelf.stock;
    IntrusiveList<Object, RetiredLink> surplus;
    bool again;
    {
        SpinGuard guard(stock.lock);
        if (shelf.ready_count + shelf.flying_count <= stock_max) {
            shelf.ready.splice_front(shelf.flying);
            shelf.ready_count += shelf.flying_count;
        } else {
            surplus.splice_back(shelf.flying);
        }
        shelf.flying_count = 0;
        again = shelf.resting_count >= stock_batch;
    }
    // They are freed in chunks, after one more grace period.
    if (!surplus.empty()) free_surplus(surplus);
    if (again) begin_flight(stock, shelf.kind);
}

}  // namespace

void begin_flight(Stock& stock, StockKind kind) {
    GraceItem* period;
    {
        SpinGuard guard(stock.lock);
        Shelf& shelf = stock.shelves[shelf_of(kind)];
        if (shelf.flying_count != 0 || shelf.resting_count == 0) return;
        shelf.flying.splice_back(shelf.resting);
        shelf.flying_count = shelf.resting_count;
        shelf.resting_count = 0;
        shelf.stock = &stock;
        shelf.kind = kind;
        shelf.done = flight_done;
        period = &shelf;
    }
    grace_after(*period);
}

void free_record(Object& object) {
    const uint32_t size = object.size;
    object.kind->destruct(object);
    object_heap().free(&object, size);
}

void* allocate_record(uint32_t size) {
    void* storage = object_heap().allocate_unset(size);
    if (storage != nullptr) return storage;
    free_retired_soon();
    empty_stocks();
    return object_heap().allocate_unset(size);
}

void empty_stocks() {
    for (Stock& stock : stocks) {
        // At most stock_kinds times stock_max records.
        IntrusiveList<Object, RetiredLink> records;
        {
            SpinGuard guard(stock.lock);
            for (Shelf& shelf : stock.shelves) {
                records.splice_back(shelf.ready);
                shelf.ready_count = 0;
            }
        }
        while (Object* record = records.pop_front()) free_record(*record);
        for (unsigned i = 1; i <= stock_kinds; ++i) begin_flight(stock, static_cast<StockKind>(i));
    }
}

}  // namespace annulus::kernel
