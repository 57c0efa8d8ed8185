// SPDX-License-Identifier: MIT
// Tests of the writes that wait for a serial port.
#include "drivers/console/serial/transmit_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace annulus::serial {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string next(TransmitQueue& queue) {
    std::array<std::byte, transmit_batch> buffer;
    const auto batch = queue.next_batch(buffer);
    return {reinterpret_cast<const char*>(batch.data()), batch.size()};
}

// The request that is finished, or 0.
uint64_t finished(TransmitQueue& queue, bool drained) {
    TransmitQueue::Finished result{};
    return queue.take_finished(result, drained) ? result.request : 0;
}

TEST(transmit_queue, sends_a_write_in_batches_and_finishes_it_once) {
    TransmitQueue queue;
    const std::string text(transmit_batch + 5, 'x');
    ASSERT_TRUE(queue.add(1, bytes_of(text)));
    EXPECT_EQ(finished(queue, true), 0u);
    EXPECT_EQ(next(queue), text.substr(0, transmit_batch));
    EXPECT_EQ(finished(queue, false), 0u);
    EXPECT_EQ(next(queue), text.substr(transmit_batch));
    TransmitQueue::Finished result{};
    ASSERT_TRUE(queue.take_finished(result, false));
    EXPECT_EQ(result.request, 1u);
    EXPECT_EQ(result.bytes, text.size());
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(next(queue), "");
}

TEST(transmit_queue, a_batch_joins_writes_in_their_order) {
    TransmitQueue queue;
    ASSERT_TRUE(queue.add(1, bytes_of("one,")));
    ASSERT_TRUE(queue.add(2, bytes_of("two,")));
    ASSERT_TRUE(queue.add(3, bytes_of("three, which is longer")));
    EXPECT_EQ(next(queue), "one,two,three, w");
    EXPECT_EQ(finished(queue, false), 1u);
    EXPECT_EQ(finished(queue, false), 2u);
    EXPECT_EQ(finished(queue, false), 0u);
    EXPECT_EQ(next(queue), "hich is longer");
    EXPECT_EQ(finished(queue, false), 3u);
}

TEST(transmit_queue, a_sync_waits_until_all_before_it_has_left) {
    TransmitQueue queue;
    ASSERT_TRUE(queue.add(1, bytes_of("a")));
    ASSERT_TRUE(queue.add(2, {}));
    ASSERT_TRUE(queue.add(3, bytes_of("b")));
    EXPECT_EQ(next(queue), "a");
    EXPECT_EQ(finished(queue, false), 1u);
    EXPECT_EQ(finished(queue, false), 0u);
    EXPECT_EQ(finished(queue, true), 2u);
    EXPECT_EQ(next(queue), "b");
    EXPECT_EQ(finished(queue, false), 3u);
}

TEST(transmit_queue, refuses_more_requests_than_a_table_has) {
    TransmitQueue queue;
    for (uint64_t request = 1; request <= requests_max; request++) {
        ASSERT_TRUE(queue.add(request, bytes_of("x")));
    }
    EXPECT_FALSE(queue.add(99, bytes_of("x")));
    EXPECT_EQ(next(queue), std::string(requests_max, 'x'));  // requests_max + 1 did not fit
    EXPECT_EQ(finished(queue, false), 1u);
    EXPECT_TRUE(queue.add(99, bytes_of("y")));
}

}  // namespace
}  // namespace annulus::serial
