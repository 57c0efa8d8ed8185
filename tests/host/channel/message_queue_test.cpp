// SPDX-License-Identifier: MIT
// Message queues and the indices below them: batches, wrap-round at 2^32, wake-ups, lies.
#include "tests/host/channel/shared_memory.h"

#include <gtest/gtest.h>

namespace annulus::channel {
namespace {

constexpr Geometry eight = messages_geometry(3);

struct Queue {
    SharedMemory memory{eight};
    unsigned rings = 0;
    unsigned rings_back = 0;
    MessageSender<CountingBell> sender =
        MessageSender<CountingBell>::attach(memory.bytes(), eight, 0, {&rings}).value();
    MessageReceiver<CountingBell> receiver =
        MessageReceiver<CountingBell>::attach(memory.bytes(), eight, 0, {&rings_back}).value();
};

TEST(MessageQueue, KeepsOrderAndContents) {
    Queue queue;
    Message message;
    for (uint64_t i = 0; i < 1000; ++i) {
        ASSERT_TRUE(queue.sender.send({{i, i + 1, i + 2, 0, 0, 0, 0, ~i}}));
        queue.sender.publish();
        ASSERT_TRUE(queue.receiver.receive(message));
        ASSERT_EQ(message.words[0], i);
        ASSERT_EQ(message.words[7], ~i);
        queue.receiver.publish();
    }
    EXPECT_FALSE(queue.receiver.receive(message));
}

TEST(MessageQueue, HoldsItsCapacity) {
    Queue queue;
    for (uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(queue.sender.send({{i}}));
    EXPECT_FALSE(queue.sender.send({{8}}));
    Message message;
    EXPECT_FALSE(queue.receiver.receive(message)) << "nothing was published";
    queue.sender.publish();
    for (uint64_t i = 0; i < 8; ++i) {
        ASSERT_TRUE(queue.receiver.receive(message));
        ASSERT_EQ(message.words[0], i);
    }
    EXPECT_FALSE(queue.sender.send({{8}})) << "their places were not given back";
    queue.receiver.publish();
    EXPECT_TRUE(queue.sender.send({{8}}));
}

TEST(MessageQueue, ABatchIsOneRing) {
    Queue queue;
    EXPECT_EQ(queue.receiver.prepare_wait(), Wait::sleep);
    for (uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(queue.sender.send({{i}}));
    queue.sender.publish();
    EXPECT_EQ(queue.rings, 1u);
}

TEST(MessageQueue, SeveralAtOnceGoRoundTheEnd) {
    Queue queue;
    uint64_t sent = 0;
    uint64_t received = 0;
    for (size_t size = 0; size <= 12; ++size) {
        for (unsigned repeat = 0; repeat < 9; ++repeat) {
            std::array<Message, 12> out{};
            for (size_t i = 0; i < size; ++i) out[i] = {{sent + i, 1, 2, 3, 4, 5, 6, ~(sent + i)}};
            const uint32_t count = queue.sender.send(std::span(out).first(size));
            ASSERT_EQ(count, size < 8 ? size : 8) << "as many as there is room for";
            sent += count;
            queue.sender.publish();
            std::array<Message, 12> in{};
            ASSERT_EQ(queue.receiver.receive(std::span(in).first(3)), count < 3 ? count : 3);
            const uint32_t first = count < 3 ? count : 3;
            ASSERT_EQ(queue.receiver.receive(std::span(in).subspan(first)), count - first);
            queue.receiver.publish();
            for (uint32_t i = 0; i < count; ++i, ++received) {
                ASSERT_EQ(in[i].words[0], received);
                ASSERT_EQ(in[i].words[6], 6u);
                ASSERT_EQ(in[i].words[7], ~received);
            }
            EXPECT_EQ(in[count < 12 ? count : 0].words[0], count < 12 ? 0 : in[0].words[0]);
        }
    }
    EXPECT_EQ(sent, received);
}

TEST(MessageQueue, RefusesAProducerIndexBeyondTheCapacityOrBack) {
    for (const uint32_t lie : {9u, 0x80000000u, UINT32_MAX}) {
        Queue queue;
        queue.memory.scribble(producer_index_offset, lie);
        Message message;
        std::array<Message, 8> some;
        EXPECT_FALSE(queue.receiver.receive(message));
        EXPECT_EQ(queue.receiver.fault(), Fault::producer_index);
        queue.memory.scribble(producer_index_offset, 1);
        EXPECT_EQ(queue.receiver.receive(some), 0u) << "a fault stays";
        EXPECT_EQ(queue.receiver.prepare_wait(), Wait::faulted);
    }
    Queue queue;
    for (uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(queue.sender.send(Message{{i}}));
    queue.sender.publish();
    std::array<Message, 2> two;
    EXPECT_EQ(queue.receiver.receive(two), 2u);
    queue.memory.scribble(producer_index_offset, 3);
    std::array<Message, 4> four;
    EXPECT_EQ(queue.receiver.receive(four), 0u);
    EXPECT_EQ(queue.receiver.fault(), Fault::producer_index);
}

TEST(MessageQueue, RefusesAConsumerIndexAheadOfTheProducer) {
    for (const uint32_t lie : {3u, 0x80000000u, UINT32_MAX}) {
        Queue queue;
        std::array<Message, 8> some{};
        EXPECT_EQ(queue.sender.send(std::span(some).first(2)), 2u);
        queue.sender.publish();
        queue.memory.scribble(consumer_index_offset, lie);
        EXPECT_EQ(queue.sender.send(some), 0u);
        EXPECT_EQ(queue.sender.fault(), Fault::consumer_index);
        EXPECT_FALSE(queue.sender.send(Message{}));
    }
}

TEST(MessageQueue, AMessageThatChangesMeanwhileIsOneOrTheOther) {
    Queue queue;
    ASSERT_TRUE(queue.sender.send(Message{{1, 1, 1, 1, 1, 1, 1, 1}}));
    queue.sender.publish();
    Message message{};
    ASSERT_TRUE(queue.receiver.receive(message));
    // What the peer writes now changes no copy.
    const uint64_t entry = messages_layout(eight).entries[0];
    for (uint64_t i = 0; i < message_size; i += 4) {
        queue.memory.scribble(entry + i, 7);
    }
    for (const uint64_t word : message.words) EXPECT_EQ(word, 1u);
}

TEST(MessageQueue, OneSlotWorks) {
    const Geometry one = messages_geometry(0);
    SharedMemory memory(one);
    unsigned rings = 0;
    auto sender = MessageSender<CountingBell>::attach(memory.bytes(), one, 1, {&rings}).value();
    auto receiver = MessageReceiver<CountingBell>::attach(memory.bytes(), one, 1, {&rings}).value();
    Message message;
    for (uint64_t i = 0; i < 10; ++i) {
        ASSERT_TRUE(sender.send({{i}}));
        ASSERT_FALSE(sender.send({{i}}));
        sender.publish();
        ASSERT_TRUE(receiver.receive(message));
        receiver.publish();
    }
}

// A peer that has got far: both indices of an end and of the memory near 2^32.
TEST(RingEnd, IndicesWrapRound) {
    SharedMemory memory(eight);
    unsigned rings = 0;
    CountingBell bell{&rings};
    FaultLatch latch;
    auto producer = RingEnd<Role::producer>::attach(memory.bytes(), 0, 1u << 30).value();
    auto consumer = RingEnd<Role::consumer>::attach(memory.bytes(), 0, 1u << 30).value();
    uint64_t passed = 0;
    while (passed < (uint64_t{1} << 32) + 5) {
        const uint32_t step = 3u << 28;
        ASSERT_EQ(consumer.prepare_wait(step, latch, bell), Wait::sleep);
        ASSERT_EQ(producer.refresh(latch), 1u << 30);
        producer.advance(step - 1);
        producer.publish(bell);
        ASSERT_EQ(rings, 0u);
        producer.advance(1);
        producer.publish(bell);
        ASSERT_EQ(rings, 1u);
        rings = 0;
        ASSERT_EQ(consumer.refresh(latch), step);
        consumer.advance(step);
        consumer.publish(bell);
        passed += step;
    }
    EXPECT_FALSE(latch.tripped());
}

TEST(RingEnd, RefusesCapacitiesThatItCannotCount) {
    SharedMemory memory(eight);
    EXPECT_FALSE(RingEnd<Role::producer>::attach(memory.bytes(), 0, 0));
    EXPECT_FALSE(RingEnd<Role::producer>::attach(memory.bytes(), 0, 12));
    // max_capacity and 2 * max_capacity.
    EXPECT_TRUE(RingEnd<Role::producer>::attach(memory.bytes(), 0, 1u << 30));
    EXPECT_FALSE(RingEnd<Role::producer>::attach(memory.bytes(), 0, 1u << 31));
    EXPECT_FALSE(RingEnd<Role::producer>::attach(memory.bytes(), eight.length(), 8));
    EXPECT_FALSE(RingEnd<Role::producer>::attach(memory.bytes(), 2, 8)) << "unaligned";
}

TEST(Wake, ReachedCountsAcrossTheWrap) {
    EXPECT_FALSE(wake::reached(0, 0));
    EXPECT_FALSE(wake::reached(5, 7)) << "not asked";
    EXPECT_TRUE(wake::reached(wake::asked | 5, 5));
    EXPECT_TRUE(wake::reached(wake::asked | 5, 6));
    EXPECT_FALSE(wake::reached(wake::asked | 5, 4));
    EXPECT_FALSE(wake::reached(wake::asked | 2, UINT32_MAX - 1));
    EXPECT_TRUE(wake::reached(wake::asked | (UINT32_MAX - 1), 2));
    EXPECT_TRUE(wake::reached(wake::asked | 5 | uint64_t{7} << 40, 5)) << "other bits are ignored";
}

TEST(Fault, EveryReasonHasASentence) {
    for (uint16_t i = 0; i < fault_count; ++i) {
        EXPECT_STRNE(describe(static_cast<Fault>(i)), "unknown fault");
    }
    EXPECT_STREQ(describe(static_cast<Fault>(fault_count)), "unknown fault");
}

}  // namespace
}  // namespace annulus::channel
