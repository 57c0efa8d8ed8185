// SPDX-License-Identifier: MIT
// Split virtqueues with an honest and a hostile device.
#include "drivers/network/virtio/queue/split_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/host/virtio/fake_device.h"

namespace annulus::virtio {
namespace {

constexpr uint32_t buffer_length = 1518;

TEST(SplitQueue, HandsBuffersToTheDeviceAndBack) {
    FakeDevice device(8);
    SplitQueue queue = device.queue(Access::device_writes);
    ASSERT_EQ(queue.slots(), 4u);
    for (uint32_t i = 0; i < 4; ++i) queue.add(100 + i, 0x5000 + i, buffer_length);
    EXPECT_EQ(queue.free_slots(), 0u);
    EXPECT_FALSE(device.has_next());
    EXPECT_TRUE(queue.publish());
    EXPECT_FALSE(queue.publish());
    for (uint32_t i = 0; i < 4; ++i) {
        ASSERT_TRUE(device.has_next());
        const auto buffer = device.next();
        EXPECT_EQ(buffer.head, 2 * i);
        EXPECT_EQ(buffer.address, 0x5000 + i);
        EXPECT_EQ(buffer.length, buffer_length);
        EXPECT_TRUE(buffer.writable);
        EXPECT_GE(buffer.header, FakeDevice::physical + SplitQueue::layout(8).headers);
    }
    EXPECT_FALSE(device.has_next());
    EXPECT_FALSE(queue.take().has_value());
    device.finish(4, header_size + 60);
    device.finish(0, header_size);
    const auto first = queue.take();
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(first->token, 102u);
    EXPECT_EQ(first->length, 60u);
    EXPECT_EQ(queue.take()->token, 100u);
    EXPECT_FALSE(queue.take().has_value());
    EXPECT_EQ(queue.in_flight(), 2u);
    EXPECT_FALSE(queue.faulted());
}

TEST(SplitQueue, SentBuffersHaveNoLength) {
    FakeDevice device(4);
    SplitQueue queue = device.queue(Access::device_reads);
    queue.add(7, 0x5000, 60);
    EXPECT_TRUE(queue.publish());
    EXPECT_FALSE(device.next().writable);
    device.finish(0, 0xffffffff);
    EXPECT_EQ(queue.take()->length, 0u);
}

TEST(SplitQueue, RefusesSizesAndMemory) {
    FakeDevice device(8);
    const auto make = [&](UntrustedBytes bytes, uint32_t size) {
        return SplitQueue::create(bytes, 0, size, Access::device_reads, true).has_value();
    };
    EXPECT_TRUE(make(device.bytes(), 8));
    for (const uint32_t size : {0u, 1u, 2u, 6u, 16u, 512u, 0x80000000u}) {
        EXPECT_FALSE(make(device.bytes(), size)) << size;
    }
    EXPECT_FALSE(make(device.bytes().first(device.bytes().size() - 1), 8));
    for (const uint32_t size : {queue_size_min, queue_size_max}) {
        EXPECT_TRUE(make(FakeDevice(size).bytes(), size)) << size;
    }
    for (const uint32_t size :
         {queue_size_min - 1, queue_size_min / 2, queue_size_max + 1, 2 * queue_size_max}) {
        EXPECT_FALSE(make(FakeDevice(4 * queue_size_max).bytes(), size)) << size;
    }
}

TEST(SplitQueue, NotifiesWhenTheDeviceAsks) {
    FakeDevice device(8);
    SplitQueue queue = device.queue(Access::device_reads);
    queue.add(0, 0, 1);
    EXPECT_TRUE(queue.publish());  // 0 was asked for
    queue.add(1, 0, 1);
    EXPECT_FALSE(queue.publish());
    device.notify_at(3);
    queue.add(2, 0, 1);
    EXPECT_FALSE(queue.publish());
    queue.add(3, 0, 1);
    EXPECT_TRUE(queue.publish());
}

TEST(SplitQueue, WithoutTheEventIndexFlagsSayIt) {
    FakeDevice device(8);
    SplitQueue queue = device.queue(Access::device_reads, false);
    queue.add(0, 0, 1);
    EXPECT_TRUE(queue.publish());
    device.set_flags(1);
    queue.add(1, 0, 1);
    EXPECT_FALSE(queue.publish());
}

TEST(SplitQueue, AsksForInterruptsAndLooksAgain) {
    FakeDevice device(16);
    SplitQueue queue = device.queue(Access::device_writes);
    for (uint32_t i = 0; i < 8; ++i) queue.add(i, 0, buffer_length);
    EXPECT_TRUE(queue.publish());
    EXPECT_TRUE(queue.prepare_wait(3));
    EXPECT_EQ(device.interrupt_at(), 2);
    EXPECT_TRUE(queue.prepare_wait(100));
    EXPECT_EQ(device.interrupt_at(), 7);
    device.finish(0, header_size);
    EXPECT_FALSE(queue.prepare_wait());
    EXPECT_TRUE(queue.take().has_value());
    EXPECT_TRUE(queue.prepare_wait());
    EXPECT_EQ(device.interrupt_at(), 1);
}

// Each hostile act, after which nothing is taken any more.
class HostileDevice : public testing::Test {
protected:
    HostileDevice() {
        for (uint32_t i = 0; i < 3; ++i) queue_.add(i, 0x5000, buffer_length);
        EXPECT_TRUE(queue_.publish());
    }
    void expect_fault() {
        EXPECT_FALSE(queue_.take().has_value());
        EXPECT_TRUE(queue_.faulted());
        EXPECT_FALSE(queue_.take().has_value());
        EXPECT_FALSE(queue_.prepare_wait());
        EXPECT_FALSE(queue_.publish());
    }

    FakeDevice device_{8};
    SplitQueue queue_ = device_.queue(Access::device_writes);
};

TEST_F(HostileDevice, FinishesMoreThanItHas) {
    device_.set_used(4);
    expect_fault();
}
TEST_F(HostileDevice, GoesBack) {
    device_.finish(0, header_size);
    EXPECT_TRUE(queue_.take().has_value());
    device_.set_used(0);
    expect_fault();
}
TEST_F(HostileDevice, NamesADescriptorThatThereIsNot) {
    device_.finish(8, header_size);
    expect_fault();
}
TEST_F(HostileDevice, NamesTheMiddleOfAChain) {
    device_.finish(1, header_size);
    expect_fault();
}
TEST_F(HostileDevice, NamesAHugeDescriptor) {
    device_.finish(0x80000000, header_size);
    expect_fault();
}
TEST_F(HostileDevice, NamesABufferThatItDoesNotHave) {
    device_.finish(6, header_size);
    expect_fault();
}
TEST_F(HostileDevice, FinishesABufferTwice) {
    device_.finish(2, header_size);
    device_.finish(2, header_size);
    EXPECT_TRUE(queue_.take().has_value());
    expect_fault();
}
TEST_F(HostileDevice, WroteLessThanTheHeader) {
    device_.finish(0, header_size - 1);
    expect_fault();
}
TEST_F(HostileDevice, WroteMoreThanThereIsRoomFor) {
    device_.finish(0, header_size + buffer_length + 1);
    expect_fault();
}
TEST_F(HostileDevice, ClaimsAnEnormousLength) {
    device_.finish(0, 0xffffffff);
    expect_fault();
}

// Indices pass 2^16 several times; buffers finish in any order.
TEST(SplitQueue, RunsForLong) {
    std::mt19937 random(3);
    FakeDevice device(16);
    SplitQueue queue = device.queue(Access::device_writes);
    std::vector<uint16_t> held;
    std::map<uint32_t, uint64_t> given;
    uint32_t next = 0;
    uint32_t taken = 0;
    while (taken < 300000) {
        for (unsigned i = random() % 4; i > 0 && queue.free_slots() != 0; --i) {
            given[next] = 0x1000 + next;
            queue.add(next, 0x1000 + next, buffer_length);
            ++next;
        }
        static_cast<void>(queue.publish());
        while (device.has_next()) held.push_back(device.next().head);
        for (unsigned i = random() % 4; i > 0 && !held.empty(); --i) {
            std::swap(held[random() % held.size()], held.back());
            device.finish(held.back(), header_size + random() % (buffer_length + 1));
            held.pop_back();
        }
        while (const auto done = queue.take()) {
            ASSERT_EQ(given.erase(done->token), 1u);
            ++taken;
        }
        ASSERT_FALSE(queue.faulted());
        ASSERT_EQ(queue.in_flight(), given.size());
    }
}

// Random words all over the memory: the sanitized build watches the bounds.
TEST(SplitQueue, SurvivesNoise) {
    std::mt19937_64 random(4);
    for (int round = 0; round < 3000; ++round) {
        FakeDevice device(16);
        SplitQueue queue =
            device.queue(round % 2 == 0 ? Access::device_writes : Access::device_reads);
        std::map<uint32_t, int> given;
        for (uint32_t i = 0; i < 40 && !queue.faulted(); ++i) {
            if (queue.free_slots() != 0) {
                queue.add(i, 0x1000, buffer_length);
                ++given[i];
            }
            static_cast<void>(queue.publish());
            device.memory()[random() % device.memory().size()] = random() & random() & 0x000f000f;
            while (const auto done = queue.take()) {
                ASSERT_EQ(given.erase(done->token), 1u);
                ASSERT_LE(done->length, buffer_length);
            }
            static_cast<void>(queue.prepare_wait());
        }
    }
}

}  // namespace
}  // namespace annulus::virtio
