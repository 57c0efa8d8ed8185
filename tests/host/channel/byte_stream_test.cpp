// SPDX-License-Identifier: MIT
// Byte streams: order, wrap-round, wake-ups, the end, and writers and readers that lie.
#include "tests/host/channel/shared_memory.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace annulus::channel {
namespace {

constexpr Geometry small = bytes_geometry(min_stream_log2);
constexpr uint32_t capacity = 1 << min_stream_log2;

std::vector<std::byte> numbered(size_t count, unsigned first) {
    std::vector<std::byte> bytes(count);
    for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(first + i);
    return bytes;
}

class ByteStreamTest : public testing::Test {
protected:
    SharedMemory memory{small};
    unsigned rings_of_first = 0;
    unsigned rings_of_second = 0;
    BytePair<CountingBell> first =
        BytePair<CountingBell>::attach(memory.bytes(), small, Side::first, {&rings_of_second})
            .value();
    BytePair<CountingBell> second =
        BytePair<CountingBell>::attach(memory.bytes(), small, Side::second, {&rings_of_first})
            .value();
    const BytesLayout at = bytes_layout(small);

    std::vector<std::byte> read_all() {
        std::vector<std::byte> into(4 * capacity);
        into.resize(second.reader.read(into));
        return into;
    }
};

TEST_F(ByteStreamTest, CarriesBytesBothWays) {
    EXPECT_EQ(first.writer.write(numbered(10, 1)), 10u);
    EXPECT_EQ(second.writer.write(numbered(5, 100)), 5u);
    EXPECT_EQ(read_all(), numbered(10, 1));
    std::array<std::byte, 8> back;
    EXPECT_EQ(first.reader.read(back), 5u);
    EXPECT_EQ(back[4], std::byte{104});
    EXPECT_EQ(rings_of_first + rings_of_second, 0u) << "nobody asked to be woken";
}

TEST_F(ByteStreamTest, FillsToTheCapacityAndNotBeyond) {
    EXPECT_EQ(first.writer.write(numbered(capacity + 9, 0)), capacity);
    EXPECT_EQ(first.writer.write(numbered(1, 0)), 0u);
    EXPECT_TRUE(first.writer.reserve().empty());
    EXPECT_EQ(read_all(), numbered(capacity, 0));
    EXPECT_EQ(first.writer.write(numbered(3, 7)), 3u);
    EXPECT_EQ(read_all(), numbered(3, 7));
}

TEST_F(ByteStreamTest, KeepsOrderForAnyPieces) {
    std::mt19937 random(7);
    unsigned written = 0;
    unsigned read = 0;
    for (int round = 0; round < 20000; ++round) {
        written += first.writer.write(numbered(random() % (2 * capacity), written));
        std::vector<std::byte> into(random() % (2 * capacity));
        into.resize(second.reader.read(into));
        ASSERT_EQ(into, numbered(into.size(), read));
        read += into.size();
    }
    EXPECT_GT(read, 100 * capacity);
    EXPECT_EQ(second.fault(), Fault::none);
}

TEST_F(ByteStreamTest, NothingIsVisibleBeforePublication) {
    const UntrustedBytes room = first.writer.reserve(20);
    ASSERT_EQ(room.size(), capacity);
    ASSERT_TRUE(room.store(0, numbered(20, 1)));
    first.writer.commit(12);
    EXPECT_TRUE(second.reader.peek().empty());
    first.writer.commit(8);
    first.writer.publish();
    ASSERT_EQ(second.reader.peek().size(), 20u);
    second.reader.release(20);
    EXPECT_EQ(first.writer.reserve(capacity).size(), capacity - 20u) << "up to the wrap";
    first.writer.commit(capacity - 20);
    EXPECT_EQ(first.writer.reserve(1).size(), 0u) << "released, but not yet published";
    second.reader.publish();
    EXPECT_EQ(first.writer.reserve(1).size(), 20u);
}

TEST_F(ByteStreamTest, WakesOnceForEachRequestAndOnlyWhenReached) {
    EXPECT_EQ(second.reader.prepare_wait(10), Wait::sleep);
    first.writer.write(numbered(9, 0));
    EXPECT_EQ(rings_of_second, 0u);
    first.writer.write(numbered(1, 0));
    EXPECT_EQ(rings_of_second, 1u);
    first.writer.write(numbered(20, 0));
    EXPECT_EQ(rings_of_second, 1u) << "the request was claimed";
    EXPECT_EQ(second.reader.prepare_wait(), Wait::ready);
    EXPECT_EQ(memory.look(at.ring[0] + consumer_request_offset + 4), 0u) << "withdrawn";
    EXPECT_EQ(second.reader.prepare_wait(31), Wait::ready) << "nobody sleeps on a part";
    EXPECT_EQ(read_all().size(), 30u);
    EXPECT_EQ(second.reader.prepare_wait(), Wait::sleep);
    first.writer.write(numbered(1, 0));
    EXPECT_EQ(rings_of_second, 2u);
}

TEST_F(ByteStreamTest, WriterIsWokenWhenThereIsRoom) {
    first.writer.write(numbered(capacity, 0));
    EXPECT_EQ(first.writer.prepare_wait(40), Wait::sleep);
    std::vector<std::byte> into(39);
    second.reader.read(into);
    EXPECT_EQ(rings_of_first, 0u);
    second.reader.read(std::span(into).first(1));
    EXPECT_EQ(rings_of_first, 1u);
    EXPECT_EQ(first.writer.prepare_wait(40), Wait::ready);
}

TEST_F(ByteStreamTest, WaitingPublishesWhatWasDone) {
    first.writer.write(numbered(capacity, 0));
    EXPECT_EQ(first.writer.prepare_wait(), Wait::sleep);
    second.reader.release(static_cast<uint32_t>(second.reader.peek().size()));
    EXPECT_EQ(second.reader.prepare_wait(), Wait::sleep) << "else both would sleep for ever";
    EXPECT_EQ(rings_of_first, 1u);
}

TEST_F(ByteStreamTest, ARunCanBePassedAfterAsking) {
    EXPECT_EQ(first.writer.write(numbered(20, 1)), 20u);
    EXPECT_EQ(second.reader.peek().size(), 20u);
    EXPECT_EQ(second.reader.prepare_wait(), Wait::ready);
    second.reader.release(15);
    EXPECT_EQ(second.reader.peek().size(), 5u);
    EXPECT_GE(first.writer.reserve(30).size(), 30u);
    EXPECT_EQ(first.writer.prepare_wait(), Wait::ready);
    first.writer.commit(30);
    first.writer.publish();
    second.reader.release(5);
    EXPECT_EQ(second.reader.peek(30).size(), 30u);
}

TEST_F(ByteStreamTest, EndsAfterTheLastByte) {
    EXPECT_EQ(second.reader.prepare_wait(64), Wait::sleep);
    first.writer.write(numbered(3, 0));
    first.writer.finish();
    EXPECT_EQ(rings_of_second, 1u);
    EXPECT_FALSE(second.reader.ended()) << "there are bytes left";
    EXPECT_EQ(read_all().size(), 3u);
    EXPECT_TRUE(second.reader.ended());
    EXPECT_EQ(second.reader.prepare_wait(), Wait::ready);
    EXPECT_EQ(first.writer.write(numbered(1, 0)), 0u);
    memory.scribble(at.ring[0] + finished_offset, 0);
    EXPECT_TRUE(second.reader.ended()) << "the end is for ever";
    EXPECT_FALSE(first.reader.ended()) << "the other direction goes on";
}

TEST_F(ByteStreamTest, RefusesAProducerIndexBeyondTheCapacity) {
    first.writer.write(numbered(10, 0));
    EXPECT_EQ(second.reader.peek(1).size(), 10u);
    memory.scribble(at.ring[0], capacity + 1);
    EXPECT_TRUE(second.reader.peek(11).empty());
    EXPECT_EQ(second.fault(), Fault::producer_index);
    memory.scribble(at.ring[0], 10);
    EXPECT_TRUE(second.reader.peek(1).empty()) << "a fault is for ever";
    EXPECT_EQ(second.reader.prepare_wait(), Wait::faulted);
    EXPECT_FALSE(second.reader.ended());
    EXPECT_EQ(first.fault(), Fault::none);
}

TEST_F(ByteStreamTest, RefusesAProducerIndexThatGoesBack) {
    first.writer.write(numbered(10, 0));
    EXPECT_EQ(second.reader.peek().size(), 10u);
    memory.scribble(at.ring[0], 9);
    EXPECT_TRUE(second.reader.peek(11).empty());
    EXPECT_EQ(second.fault(), Fault::producer_index);
}

TEST_F(ByteStreamTest, RefusesAConsumerIndexAheadOfTheProducer) {
    first.writer.write(numbered(10, 0));
    memory.scribble(at.ring[0] + consumer_index_offset, 11);
    EXPECT_TRUE(first.writer.reserve(capacity).empty());
    EXPECT_EQ(first.fault(), Fault::consumer_index);
}

TEST_F(ByteStreamTest, RefusesTheConsumptionOfWhatIsNotPublished) {
    first.writer.reserve();
    first.writer.commit(10);
    memory.scribble(at.ring[0] + consumer_index_offset, 5);
    EXPECT_TRUE(first.writer.reserve(capacity).empty());
    EXPECT_EQ(first.fault(), Fault::consumer_index);
}

TEST_F(ByteStreamTest, AnyIndexIsEitherRightOrAFault) {
    std::mt19937 random(3);
    for (int round = 0; round < 3000; ++round) {
        SharedMemory shared(small);
        unsigned rings = 0;
        auto reader = ByteReader<CountingBell>::attach(shared.bytes(), small, 0, {&rings}).value();
        uint32_t told = 0;
        for (int step = 0; step < 8; ++step) {
            const uint32_t index = random() % 2 == 0 ? told + random() % (2 * capacity) : random();
            shared.scribble(at.ring[0], index);
            const bool right = index - told <= capacity;
            std::vector<std::byte> into(2 * capacity);
            const size_t count = reader.read(into);
            ASSERT_EQ(reader.fault() == Fault::none, right);
            if (!right) break;
            ASSERT_EQ(count, index - told);
            told = index;
        }
    }
}

TEST_F(ByteStreamTest, ScribbledRequestsDoNoHarm) {
    std::mt19937_64 random(5);
    for (int round = 0; round < 1000; ++round) {
        memory.scribble_request(at.ring[0] + consumer_request_offset, random());
        first.writer.write(numbered(1, 0));
        ASSERT_EQ(read_all().size(), 1u);
    }
    EXPECT_LE(rings_of_second, 1000u);
    EXPECT_EQ(first.fault(), Fault::none);
}

TEST_F(ByteStreamTest, RefusesMemoryThatIsTooSmall) {
    const auto less = memory.bytes().first(small.length() - page);
    EXPECT_FALSE(BytePair<CountingBell>::attach(less, small, Side::first, {&rings_of_first}));
    EXPECT_FALSE(BytePair<CountingBell>::attach(memory.bytes(), messages_geometry(4), Side::first,
                                                {&rings_of_first}));
}

TEST_F(ByteStreamTest, MisuseStopsTheProgram) {
    EXPECT_DEATH(second.reader.release(1), "");
    EXPECT_DEATH(first.writer.commit(capacity + 1), "");
}

}  // namespace
}  // namespace annulus::channel
