// SPDX-License-Identifier: MIT
// Requests to another process's served object by a ring, one or many at once.
#include "runtime/ring.h"
#include "tests/abi/budgets/measure.h"

using namespace annulus;

namespace {

constexpr uint32_t batch_max = 32;

// Submits `batch` requests with room for `bytes` of answer each, and waits for all. How many
// failed.
uint64_t request_batch(ClientRing& ring, ObjectReference object, uint32_t batch, uint32_t bytes) {
    uint64_t failed = 0;
    for (uint32_t i = 0; i < batch; ++i) {
        *ring.prepare() = ring_read(object, 0, {0, i * bytes, bytes}, i);
    }
    failed += ring.submit(batch).ok() ? 0 : 1;
    uint32_t taken = 0;
    for (abi::CompletionEntry done; ring.next(done); ++taken) failed += done.ok() ? 0 : 1;
    return failed + (batch - taken);
}

}  // namespace

TEST(ring_requests, "requests by a ring cost less together, and stay in their budget") {
    struct Row {
        const char* name;
        uint32_t batch;
        uint32_t bytes;
    };
    constexpr Row rows[] = {{"request by a ring, batch 1", 1, 0},
                            {"request by a ring, batch 32", batch_max, 0},
                            {"4 KiB by a ring, batch 32", batch_max, abi::page_size}};
    const auto image = MUST(Peer::image(test));
    const auto blocks = MUST(test.budget().create_memory(batch_max * 2, 0));
    const auto table = MUST(test.budget().create_table(batch_max * 2, abi::page_size, blocks, 0));
    const auto object = MUST(table.create_object(7, abi::all_rights, 0));
    const Grant grants[] = {{"table", table}};
    const std::string_view arguments[] = {"answers"};
    const auto child = MUST(Peer::start(test, image, grants, arguments));
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), batch_max));
    const auto memory = MUST(test.budget().create_memory(batch_max, 0));
    EXPECT_OK(ring.handle().set_register(0, memory, 0, batch_max));
    uint64_t failed = 0;
    for (const Row& row : rows) {
        measure(
            test, "12r", row.name,
            [&] { failed += request_batch(ring, object, row.batch, row.bytes); }, row.batch);
    }
    EXPECT_EQ(failed, 0);
    Peer::stop(test, child);
}
