// SPDX-License-Identifier: MIT
// The two sides of a ring's queues: the kernel's account, and the client's entries and completions.
#include "kernel/object/ring_queue.h"

#include "runtime/ring_queues.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace annulus {
namespace {

using kernel::RingQueue;

TEST(ring_queue, keeps_a_completion_slot_for_every_entry) {
    RingQueue queue(4);
    uint32_t count = 0;
    ASSERT_TRUE(queue.submitted(4, count));
    EXPECT_EQ(count, 4);
    for (uint32_t i = 0; i < 4; ++i) {
        ASSERT_NE(queue.room(), 0);
        EXPECT_EQ(queue.take(), i);
    }
    EXPECT_EQ(queue.room(), 0);
    EXPECT_EQ(queue.complete(), 0);
    EXPECT_EQ(queue.room(), 0);
    EXPECT_TRUE(queue.note_read(1));
    EXPECT_EQ(queue.room(), 1);
    EXPECT_EQ(queue.in_flight(), 3);
    EXPECT_EQ(queue.unread(), 0);
}

TEST(ring_queue, refuses_tails_beyond_the_queue) {
    RingQueue queue(8);
    uint32_t count = 0;
    EXPECT_TRUE(queue.submitted(8, count));
    EXPECT_FALSE(queue.submitted(9, count));
    EXPECT_FALSE(queue.submitted(0x80000000, count));
    EXPECT_FALSE(queue.submitted(0xffffffff, count));
    ASSERT_TRUE(queue.submitted(3, count));
    queue.take();
    EXPECT_FALSE(queue.submitted(0, count));
    EXPECT_TRUE(queue.submitted(9, count));
}

TEST(ring_queue, refuses_heads_that_go_back_or_past_what_was_written) {
    RingQueue queue(8);
    for (int i = 0; i < 3; ++i) queue.take();
    for (int i = 0; i < 3; ++i) queue.complete();
    EXPECT_FALSE(queue.note_read(4));
    EXPECT_TRUE(queue.note_read(2));
    EXPECT_FALSE(queue.note_read(1));
    EXPECT_FALSE(queue.note_read(0xffffffff));
    EXPECT_TRUE(queue.note_read(2));
    EXPECT_TRUE(queue.note_read(3));
    EXPECT_EQ(queue.completion_head(), 3);
}

// The kernel's part, on the same memory as the client's.
class Kernel {
public:
    Kernel(std::byte* begin, uint32_t entries) : begin_(begin), queue_(entries) {}

    // Takes entries, copying each once, and completes them; false: the client lied.
    bool run() {
        uint32_t submitted = 0;
        if (!queue_.note_read(index(abi::ring_completion_head).load(std::memory_order_acquire)) ||
            !queue_.submitted(index(abi::ring_submission_tail).load(std::memory_order_acquire),
                              submitted)) {
            return false;
        }
        for (; submitted > 0 && queue_.room() != 0; --submitted) {
            const uint32_t at = abi::ring_submissions(queue_.entries()) + queue_.take() * 64;
            auto* entry = reinterpret_cast<std::atomic<uint64_t>*>(begin_ + at);
            const uint64_t user_data = entry[2].load(std::memory_order_relaxed);
            auto* completion = reinterpret_cast<std::atomic<uint64_t>*>(
                begin_ + abi::ring_completions + queue_.complete() * 16);
            completion[0].store(user_data, std::memory_order_relaxed);
            completion[1].store(0, std::memory_order_relaxed);
        }
        index(abi::ring_completion_tail).store(queue_.completion_tail(), std::memory_order_release);
        index(abi::ring_submission_head).store(queue_.submission_head(), std::memory_order_release);
        return true;
    }

private:
    std::atomic<uint32_t>& index(uint32_t offset) {
        return *reinterpret_cast<std::atomic<uint32_t>*>(begin_ + offset);
    }
    std::byte* begin_;
    RingQueue queue_;
};

struct alignas(128) Line {
    std::byte bytes[128] = {};
};

std::vector<Line> queues_of(uint32_t entries) {
    return std::vector<Line>(abi::ring_bytes(entries) / sizeof(Line) + 1);
}

TEST(ring_queues, every_entry_is_completed_once_and_in_order_by_another_thread) {
    for (const uint32_t entries : {1u, 4u, 64u}) {
        auto memory = queues_of(entries);
        auto* begin = memory.front().bytes;
        RingQueues client(begin, entries);
        constexpr uint64_t total = 30'000;
        std::atomic<bool> stop = false;
        std::atomic<bool> lied = false;
        std::thread kernel([&] {
            Kernel side(begin, entries);
            while (!stop.load(std::memory_order_relaxed)) {
                if (!side.run()) lied = true;
                std::this_thread::yield();
            }
        });
        uint64_t sent = 0;
        uint64_t seen = 0;
        uint64_t wrong = 0;
        while (seen < total) {
            while (sent < total) {
                abi::SubmissionEntry* entry = client.prepare();
                if (entry == nullptr) break;
                entry->user_data = sent++;
            }
            client.publish();
            for (abi::CompletionEntry done; client.next(done);) wrong += done.user_data != seen++;
            std::this_thread::yield();
        }
        stop = true;
        kernel.join();
        EXPECT_FALSE(lied.load());
        EXPECT_EQ(wrong, 0);
    }
}

TEST(ring_queue, entries_that_complete_at_once_take_places_and_give_them_back_when_read) {
    RingQueue queue(4);
    queue.take();
    queue.pass(3);
    EXPECT_EQ(queue.in_flight(), 1);
    EXPECT_EQ(queue.unread(), 3);
    EXPECT_EQ(queue.room(), 0);
    EXPECT_EQ(queue.submission_head(), 4);
    queue.note_all_read();
    EXPECT_EQ(queue.room(), 3);
    EXPECT_EQ(queue.complete(), 3);
    EXPECT_EQ(queue.next(), 0);
}

TEST(ring_queues, pieces_end_where_the_queue_wraps_and_where_it_is_full) {
    auto memory = queues_of(8);
    RingQueues client(memory.front().bytes, 8);
    Kernel side(memory.front().bytes, 8);
    const auto write = [&](uint32_t count, uint64_t first) {
        const auto places = client.prepare_some(count);
        for (auto& place : places) RingQueues::write_nop(place, first++, 77);
        return places.size();
    };
    EXPECT_EQ(write(5, 0), 5);
    client.publish();
    EXPECT_TRUE(client.ready_some().empty());
    EXPECT_TRUE(side.run());
    EXPECT_EQ(client.ready_some().size(), 5);
    client.take_some(3);
    EXPECT_EQ(client.ready_some().size(), 2);
    EXPECT_EQ(client.ready_some()[0].user_data, 3);
    client.take_some(2);
    EXPECT_TRUE(client.ready_some().empty());
    EXPECT_EQ(write(8, 5), 3);  // to the end of the memory
    EXPECT_EQ(write(8, 8), 5);  // the queue is full, or will be when the kernel's head is seen
    EXPECT_EQ(write(8, 13), 0);
    EXPECT_EQ(client.prepare(), nullptr);
    client.publish();
    EXPECT_TRUE(side.run());
    uint64_t next = 5;
    while (true) {
        const auto done = client.ready_some();
        if (done.empty()) break;
        for (const auto& one : done) EXPECT_EQ(one.user_data, next++);
        client.take_some(done.size());
    }
    EXPECT_EQ(next, 13);
}

TEST(ring_queues, a_full_queue_prepares_nothing) {
    auto memory = queues_of(4);
    RingQueues client(memory.front().bytes, 4);
    for (int i = 0; i < 4; ++i) EXPECT_NE(client.prepare(), nullptr);
    EXPECT_EQ(client.prepare(), nullptr);
    client.publish();
    Kernel side(memory.front().bytes, 4);
    EXPECT_TRUE(side.run());
    EXPECT_EQ(client.ready(), 4);
    EXPECT_NE(client.prepare(), nullptr);
}

TEST(ring_queues, layouts_do_not_overlap) {
    for (uint32_t entries = 1; entries <= abi::ring_entries_max; entries *= 2) {
        EXPECT_GE(abi::ring_submissions(entries), abi::ring_completions + 16 * entries);
        EXPECT_EQ(abi::ring_submissions(entries) % 64, 0);
        EXPECT_EQ(abi::ring_bytes(entries), abi::ring_submissions(entries) + 64 * entries);
    }
    EXPECT_EQ(abi::ring_pages_max, 21);
}

}  // namespace
}  // namespace annulus
