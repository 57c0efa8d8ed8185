// SPDX-License-Identifier: MIT
// Packet queues: buffers go round and every lie about them is caught before memory is touched.
#include "tests/host/channel/shared_memory.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace annulus::channel {
namespace {

constexpr Geometry four = packets_geometry(2, 8);

class PacketQueueTest : public testing::Test {
protected:
    SharedMemory memory{four};
    const PacketsLayout at = packets_layout(four);
    unsigned rings_of_sender = 0;
    unsigned rings_of_receiver = 0;
    PacketSender<CountingBell> sender =
        PacketSender<CountingBell>::attach(memory.bytes(), four, 0, {&rings_of_receiver}).value();
    PacketReceiver<CountingBell> receiver =
        PacketReceiver<CountingBell>::attach(memory.bytes(), four, 0, {&rings_of_sender}).value();

    void send(uint64_t tag) {
        const auto buffer = sender.acquire();
        ASSERT_TRUE(buffer);
        buffer->bytes.at<uint64_t>(8).value().store(tag);
        sender.send(
            {.buffer = buffer->number, .offset = 8, .length = 8, .flags = 3, .metadata = {tag, 0}});
    }

    // The peer writes an entry by itself and publishes it.
    void forge(const PacketDescriptor& packet, uint32_t index) {
        memory.bytes()
            .array_at<PacketDescriptor>(at.active_entries[0], 4)
            .value()
            .wrapped(index)
            .store(packet);
        memory.scribble(at.active_ring[0], index + 1);
    }
    void forge_return(uint32_t number, uint32_t index) {
        memory.bytes()
            .array_at<uint32_t>(at.free_entries[0], 4)
            .value()
            .wrapped(index)
            .store(number);
        memory.scribble(at.free_ring[0], index + 1);
    }
};

TEST_F(PacketQueueTest, BuffersGoRound) {
    for (uint64_t round = 0; round < 1000; ++round) {
        send(round);
        sender.publish();
        const auto packet = receiver.receive();
        ASSERT_TRUE(packet);
        ASSERT_EQ(packet->descriptor.metadata[0], round);
        ASSERT_EQ(packet->descriptor.flags, 3u);
        ASSERT_EQ(packet->bytes.size(), 8u);
        ASSERT_EQ(packet->bytes.at<uint64_t>(0).value().freeze(), round);
        receiver.release(packet->descriptor.buffer);
        receiver.publish();
    }
    EXPECT_EQ(sender.fault(), Fault::none);
    EXPECT_EQ(receiver.fault(), Fault::none);
}

TEST_F(PacketQueueTest, AllBuffersCanBeLentAndReturnedInAnyOrder) {
    std::mt19937 random(11);
    std::vector<uint32_t> held;
    uint64_t sent = 0;
    uint64_t received = 0;
    for (int step = 0; step < 50000; ++step) {
        switch (random() % 4) {
            case 0:
                if (sender.owned() != 0 || sender.collect() != 0) send(sent++);
                break;
            case 1:
                sender.publish();
                while (const auto packet = receiver.receive()) {
                    ASSERT_EQ(packet->descriptor.metadata[0], received++);
                    held.push_back(packet->descriptor.buffer);
                }
                break;
            case 2:
                if (!held.empty()) {
                    std::swap(held[random() % held.size()], held.back());
                    receiver.release(held.back());
                    held.pop_back();
                }
                break;
            default: receiver.publish();
        }
        ASSERT_EQ(sender.fault(), Fault::none);
        ASSERT_EQ(receiver.fault(), Fault::none);
    }
    EXPECT_GT(received, 5000u);
}

TEST_F(PacketQueueTest, NoBufferIsNoPacket) {
    for (uint64_t i = 0; i < 4; ++i) send(i);
    EXPECT_FALSE(sender.acquire());
    EXPECT_EQ(sender.prepare_wait(2), Wait::sleep);
    std::vector<uint32_t> held;
    while (const auto packet = receiver.receive()) held.push_back(packet->descriptor.buffer);
    ASSERT_EQ(held.size(), 4u);
    receiver.release(held[2]);
    receiver.publish();
    EXPECT_EQ(rings_of_sender, 0u);
    receiver.release(held[0]);
    receiver.publish();
    EXPECT_EQ(rings_of_sender, 1u);
    EXPECT_EQ(sender.acquire()->number, held[0]) << "the last returned is the warmest";
}

TEST_F(PacketQueueTest, AcquiredBuffersCanBeSentInAnyOrderOrPutBack) {
    const auto a = sender.acquire();
    const auto b = sender.acquire();
    EXPECT_EQ(sender.owned(), 2u);
    sender.send({.buffer = b->number, .offset = 0, .length = 1, .flags = 0, .metadata = {}});
    sender.put_back(a->number);
    EXPECT_EQ(sender.owned(), 3u);
    sender.publish();
    EXPECT_EQ(receiver.receive()->descriptor.buffer, b->number);
    EXPECT_EQ(sender.bytes_of(1).address(),
              memory.bytes().address() + packets_layout(four).buffers[0] + 256);
}

TEST_F(PacketQueueTest, ReceiverSleepsUntilThereArePackets) {
    EXPECT_EQ(receiver.prepare_wait(2), Wait::sleep);
    send(1);
    sender.publish();
    EXPECT_EQ(rings_of_receiver, 0u);
    send(2);
    sender.publish();
    EXPECT_EQ(rings_of_receiver, 1u);
    EXPECT_EQ(receiver.prepare_wait(2), Wait::ready);
}

TEST_F(PacketQueueTest, RefusesABufferThatThereIsNot) {
    forge({.buffer = 4, .offset = 0, .length = 1, .flags = 0, .metadata = {}}, 0);
    EXPECT_FALSE(receiver.receive());
    EXPECT_EQ(receiver.fault(), Fault::buffer_number);
}

TEST_F(PacketQueueTest, RefusesABufferThatIsHeld) {
    forge({.buffer = 1, .offset = 0, .length = 1, .flags = 0, .metadata = {}}, 0);
    EXPECT_TRUE(receiver.receive());
    forge({.buffer = 1, .offset = 0, .length = 1, .flags = 0, .metadata = {}}, 1);
    EXPECT_FALSE(receiver.receive());
    EXPECT_EQ(receiver.fault(), Fault::buffer_sent_twice);
    EXPECT_FALSE(receiver.receive());
    EXPECT_EQ(receiver.prepare_wait(), Wait::faulted);
}

TEST_F(PacketQueueTest, RefusesRangesBeyondTheBuffer) {
    struct Range {
        uint32_t offset;
        uint32_t length;
    };
    for (const Range range : {Range{0, 257}, Range{256, 1}, Range{257, 0}, Range{UINT32_MAX, 2},
                              Range{2, UINT32_MAX}, Range{UINT32_MAX, UINT32_MAX}}) {
        PacketQueueTest::memory.scribble(at.active_ring[0], 0);
        auto victim =
            PacketReceiver<CountingBell>::attach(memory.bytes(), four, 0, {&rings_of_sender})
                .value();
        forge({.buffer = 3,
               .offset = range.offset,
               .length = range.length,
               .flags = 0,
               .metadata = {}},
              0);
        EXPECT_FALSE(victim.receive());
        EXPECT_EQ(victim.fault(), Fault::buffer_range) << range.offset << "+" << range.length;
    }
    memory.scribble(at.active_ring[0], 0);
    forge({.buffer = 3, .offset = 256, .length = 0, .flags = 0, .metadata = {}}, 0);
    EXPECT_TRUE(receiver.receive()) << "nothing at the end is nothing wrong";
}

TEST_F(PacketQueueTest, RefusesReturnsOfBuffersThatWereNotLent) {
    send(0);
    sender.publish();
    forge_return(2, 0);
    EXPECT_EQ(sender.collect(), 0u);
    EXPECT_EQ(sender.fault(), Fault::buffer_not_lent);
    EXPECT_FALSE(sender.acquire()) << "a fault ends everything";
}

TEST_F(PacketQueueTest, RefusesABufferReturnedTwice) {
    for (uint64_t i = 0; i < 4; ++i) send(i);
    sender.publish();
    forge_return(2, 0);
    EXPECT_EQ(sender.collect(), 1u);
    forge_return(2, 1);
    sender.collect();
    EXPECT_EQ(sender.fault(), Fault::buffer_not_lent);
}

TEST_F(PacketQueueTest, RefusesReturnsThatDoNotExist) {
    send(0);
    sender.publish();
    forge_return(UINT32_MAX, 0);
    sender.collect();
    EXPECT_EQ(sender.fault(), Fault::buffer_number);
}

TEST_F(PacketQueueTest, RefusesMorePacketsThanBuffers) {
    memory.scribble(at.active_ring[0], 5);
    EXPECT_FALSE(receiver.receive());
    EXPECT_EQ(receiver.fault(), Fault::producer_index);
}

TEST_F(PacketQueueTest, AReceiverThatReturnsWithoutPassingIsCaught) {
    for (uint64_t i = 0; i < 4; ++i) send(i);
    sender.publish();
    for (uint32_t i = 0; i < 4; ++i) forge_return(i, i);
    EXPECT_EQ(sender.collect(), 4u);
    send(4);
    EXPECT_EQ(sender.fault(), Fault::consumer_index) << "no place for a packet in the active ring";
}

TEST_F(PacketQueueTest, PairsAreIndependentDirections) {
    SharedMemory shared(four);
    unsigned rings = 0;
    auto a = PacketPair<CountingBell>::attach(shared.bytes(), four, Side::first, {&rings}).value();
    auto b = PacketPair<CountingBell>::attach(shared.bytes(), four, Side::second, {&rings}).value();
    const auto there = a.sender.acquire();
    const auto back = b.sender.acquire();
    EXPECT_NE(there->bytes.address(), back->bytes.address());
    a.sender.send({.buffer = there->number, .offset = 0, .length = 9, .flags = 0, .metadata = {}});
    b.sender.send({.buffer = back->number, .offset = 0, .length = 7, .flags = 0, .metadata = {}});
    a.sender.publish();
    b.sender.publish();
    EXPECT_EQ(a.receiver.receive()->descriptor.length, 7u);
    EXPECT_EQ(b.receiver.receive()->descriptor.length, 9u);
    EXPECT_EQ(a.fault(), Fault::none);
}

TEST_F(PacketQueueTest, MisuseStopsTheProgram) {
    EXPECT_DEATH(receiver.release(0), "");
    EXPECT_DEATH(sender.put_back(0), "");
    EXPECT_DEATH(sender.send({.buffer = 0, .offset = 0, .length = 1, .flags = 0, .metadata = {}}),
                 "");
}

}  // namespace
}  // namespace annulus::channel
