// SPDX-License-Identifier: MIT
// Tests of the bytes that arrived and the reads that wait for them.
#include "drivers/console/serial/receive_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "abi/limits.h"

namespace annulus::serial {
namespace {

void arrive(ReceiveQueue& queue, std::string_view text) {
    for (const char c : text) ASSERT_TRUE(queue.add_byte(static_cast<std::byte>(c)));
}

// A read of a client, and what it gets.
struct Client {
    uint64_t request;
    std::vector<std::byte> space;
    uint64_t deadline = abi::deadline_never;

    Client(uint64_t id, size_t room, uint64_t until = abi::deadline_never)
        : request(id), space(room), deadline(until) {}
    bool ask(ReceiveQueue& queue) { return queue.add_read({request, space, deadline}); }
    std::string text(size_t count) const {
        return {reinterpret_cast<const char*>(space.data()), count};
    }
};

TEST(receive_queue, a_read_waits_for_bytes_and_gets_what_is_there) {
    ReceiveQueue queue;
    Client client(1, 10);
    ASSERT_TRUE(client.ask(queue));
    ReceiveQueue::Filled filled{};
    EXPECT_FALSE(queue.fill_first(filled));
    arrive(queue, "abc");
    ASSERT_TRUE(queue.fill_first(filled));
    EXPECT_EQ(filled.request, 1u);
    EXPECT_EQ(client.text(filled.bytes), "abc");
    queue.finish_first(filled.bytes);
    EXPECT_FALSE(queue.fill_first(filled));
}

TEST(receive_queue, reads_are_answered_in_order_and_share_the_bytes) {
    ReceiveQueue queue;
    Client first(1, 2);
    Client second(2, 10);
    ASSERT_TRUE(first.ask(queue) && second.ask(queue));
    arrive(queue, "abcde");
    ReceiveQueue::Filled filled{};
    ASSERT_TRUE(queue.fill_first(filled));
    EXPECT_EQ(filled.request, 1u);
    EXPECT_EQ(first.text(filled.bytes), "ab");
    queue.finish_first(filled.bytes);
    ASSERT_TRUE(queue.fill_first(filled));
    EXPECT_EQ(filled.request, 2u);
    EXPECT_EQ(second.text(filled.bytes), "cde");
}

TEST(receive_queue, bytes_of_a_client_that_left_go_to_the_next) {
    ReceiveQueue queue;
    Client gone(1, 10);
    Client next(2, 10);
    ASSERT_TRUE(gone.ask(queue) && next.ask(queue));
    arrive(queue, "abc");
    ReceiveQueue::Filled filled{};
    ASSERT_TRUE(queue.fill_first(filled));
    queue.finish_first(0);
    ASSERT_TRUE(queue.fill_first(filled));
    EXPECT_EQ(filled.request, 2u);
    EXPECT_EQ(next.text(filled.bytes), "abc");
}

TEST(receive_queue, keeps_its_capacity_and_drops_what_comes_later) {
    ReceiveQueue queue;
    for (size_t i = 0; i < ReceiveQueue::capacity; i++) {
        ASSERT_TRUE(queue.add_byte(static_cast<std::byte>(i % 251)));
    }
    EXPECT_FALSE(queue.add_byte(std::byte{7}));
    Client client(1, 3);
    ASSERT_TRUE(client.ask(queue));
    ReceiveQueue::Filled filled{};
    ASSERT_TRUE(queue.fill_first(filled));
    queue.finish_first(filled.bytes);
    EXPECT_EQ(client.space[2], std::byte{2});
    for (size_t i = 0; i < 3; i++) EXPECT_TRUE(queue.add_byte(std::byte{9}));
    EXPECT_FALSE(queue.add_byte(std::byte{9}));
    Client rest(2, ReceiveQueue::capacity);
    ASSERT_TRUE(rest.ask(queue));
    ASSERT_TRUE(queue.fill_first(filled));
    EXPECT_EQ(filled.bytes, ReceiveQueue::capacity);
    EXPECT_EQ(rest.space[0], std::byte{3});
    EXPECT_EQ(rest.space.back(), std::byte{9});
}

TEST(receive_queue, reads_expire_in_any_order) {
    ReceiveQueue queue;
    EXPECT_EQ(queue.next_deadline(), abi::deadline_never);
    Client late(1, 1, 200);
    Client early(2, 1, 100);
    Client never(3, 1);
    ASSERT_TRUE(late.ask(queue) && early.ask(queue) && never.ask(queue));
    EXPECT_EQ(queue.next_deadline(), 100u);
    uint64_t request = 0;
    EXPECT_FALSE(queue.take_expired(99, request));
    ASSERT_TRUE(queue.take_expired(100, request));
    EXPECT_EQ(request, 2u);
    EXPECT_EQ(queue.next_deadline(), 200u);
    ASSERT_TRUE(queue.take_expired(300, request));
    EXPECT_EQ(request, 1u);
    EXPECT_FALSE(queue.take_expired(300, request));
    arrive(queue, "x");
    ReceiveQueue::Filled filled{};
    ASSERT_TRUE(queue.fill_first(filled));
    EXPECT_EQ(filled.request, 3u);
}

}  // namespace
}  // namespace annulus::serial
