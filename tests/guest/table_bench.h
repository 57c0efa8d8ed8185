// SPDX-License-Identifier: MIT
// A table with its blocks and one object, and the steps of a server: for tests of tables and of
// what sends requests to them.
#pragma once

#include "abi/operations.h"
#include "runtime/clock.h"
#include "tests/guest/harness.h"

namespace annulus::test {

inline constexpr uint64_t op_get = abi::operation_word(abi::Verb::get, 1);
inline constexpr uint64_t bench_cookie = 0xc00c1e;

// The table in this process, its memory mapped, and an object that this program pays for.
class TableBench {
public:
    static Result<TableBench> create(const Context& test, uint64_t slots, uint64_t block = 0) {
        TableBench bench(test.process());
        if (block != 0) {
            const uint64_t pages = (slots * block + abi::page_size - 1) / abi::page_size;
            bench.memory_ = TRY(test.budget().create_memory(pages, 0));
            bench.size_ = pages * abi::page_size;
            bench.begin_ = TRY(bench.process_.map(bench.memory_, 0, bench.size_, 0,
                                                  abi::map_read | abi::map_write));
            bench.block_ = block;
        }
        bench.table = TRY(test.budget().create_table(slots, block, bench.memory_, 0));
        bench.object = TRY(bench.table.create_object(bench_cookie, abi::all_rights, 0));
        return bench;
    }
    TableBench(TableBench&& other)
        : table(std::move(other.table)),
          object(std::move(other.object)),
          process_(other.process_),
          memory_(std::move(other.memory_)),
          begin_(std::exchange(other.begin_, 0)),
          size_(other.size_),
          block_(other.block_) {}
    TableBench& operator=(TableBench&&) = delete;
    ~TableBench() {
        if (begin_ != 0) static_cast<void>(process_.map_unmap(begin_, size_));
    }

    // Safety: block 0 is mapped at begin_.
    std::byte* block(uint64_t request) const {
        return reinterpret_cast<std::byte*>(begin_ + abi::request_slot(request) * block_);
    }
    uint64_t free() const { return table.get_state().ok() ? table.get_state().value().free : 0; }

    Table table;
    Served object;

private:
    explicit TableBench(ProcessReference process) : process_(process) {}
    ProcessReference process_;
    Memory memory_;
    uint64_t begin_ = 0;
    uint64_t size_ = 0;
    uint64_t block_ = 0;
};

// One step of a server.
inline system::Delivery take(TableReference table, uint64_t deadline = abi::deadline_never) {
    return system::reply_and_wait(table.value(), 0, {}, deadline);
}
// The same, for a request that must come. A server thread that has taken a request keeps the
// client's priority until it waits again: so clients run meanwhile.
inline system::Delivery take_next(TableReference table) {
    return take(table, now() + seconds(10).nanoseconds);
}
inline system::Delivery answer(TableReference table, uint64_t request,
                               const system::Reply& reply = {}) {
    return system::reply_and_wait(table.value(), request, reply, 0, abi::reply_only);
}
inline bool is_close(const system::Delivery& delivery) {
    return (delivery.status.detail() & abi::delivery_close) != 0;
}

// Serves until the table ends; close notices are passed over. `handler` makes the reply.
template <typename Handler>
void serve(abi::Handle table, Handler handler) {
    system::Delivery delivery = system::reply_and_wait(table, 0, {}, abi::deadline_never);
    while (delivery.status.ok()) {
        const bool request = !is_close(delivery);
        const system::Reply reply = request ? handler(delivery) : system::Reply{};
        delivery = system::reply_and_wait(table, request ? delivery.request : 0, reply,
                                          abi::deadline_never);
    }
}

}  // namespace annulus::test
