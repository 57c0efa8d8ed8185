// SPDX-License-Identifier: MIT
// Latest values: the newest one whole, nothing twice, and a peer that writes what it likes.
#include "tests/host/channel/shared_memory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <functional>
#include <vector>

namespace annulus::channel {
namespace {

constexpr uint8_t value_log2 = 5;

class LatestValueTest : public testing::Test {
protected:
    using Value = std::array<uint64_t, 4>;

    void write(uint64_t n) {
        const Value value = {n, ~n, n * 3, n};
        writer.write(std::as_bytes(std::span(value)));
    }
    // The value's number, checked to be whole.
    uint64_t read(Reading expected = Reading::newer) {
        Value value{};
        EXPECT_EQ(reader.read(std::as_writable_bytes(std::span(value))), expected);
        if (expected != Reading::newer) return 0;
        EXPECT_EQ(value[1], ~value[0]);
        EXPECT_EQ(value[2], value[0] * 3);
        EXPECT_EQ(value[3], value[0]);
        return value[0];
    }

    SharedMemory memory{latest_geometry(value_log2)};
    unsigned rings = 0;
    LatestWriter<CountingBell> writer =
        LatestWriter<CountingBell>::attach(memory.bytes(), memory.geometry(), 0, {&rings}).value();
    LatestReader reader = LatestReader::attach(memory.bytes(), memory.geometry(), 0).value();
};

TEST_F(LatestValueTest, ReadsTheNewestAndNothingTwice) {
    read(Reading::unchanged);
    for (uint64_t n = 1; n < 100; ++n) {
        write(n);
        EXPECT_EQ(read(), n);
        read(Reading::unchanged);
    }
    for (uint64_t n = 100; n < 120; ++n) write(n);
    EXPECT_EQ(read(), 119u);
    read(Reading::unchanged);
}

TEST_F(LatestValueTest, WakesOnceForEachRequest) {
    write(1);
    EXPECT_EQ(rings, 0u);
    EXPECT_EQ(reader.prepare_wait(), Wait::ready);
    EXPECT_EQ(read(), 1u);
    EXPECT_EQ(reader.prepare_wait(), Wait::sleep);
    write(2);
    write(3);
    EXPECT_EQ(rings, 1u);
    EXPECT_EQ(read(), 3u);
    EXPECT_EQ(reader.prepare_wait(), Wait::sleep);
    write(4);
    EXPECT_EQ(rings, 2u);
}

TEST_F(LatestValueTest, DirectionsAreIndependent) {
    unsigned other_rings = 0;
    auto pair = LatestPair<CountingBell>::attach(memory.bytes(), memory.geometry(), Side::second,
                                                 {&other_rings})
                    .value();
    write(5);
    Value value{};
    EXPECT_EQ(pair.reader.read(std::as_writable_bytes(std::span(value))), Reading::newer);
    EXPECT_EQ(value[0], 5u);
    pair.writer.write(std::as_bytes(std::span(value)));
    auto first = LatestReader::attach(memory.bytes(), memory.geometry(), 1).value();
    EXPECT_EQ(first.read(std::as_writable_bytes(std::span(value))), Reading::newer);
    EXPECT_EQ(value[0], 5u);
    EXPECT_EQ(read(), 5u) << "the other direction's reader has read nothing";
}

TEST_F(LatestValueTest, NumbersGoRound) {
    // As if 2^32 - 3 values had been written: the reader takes any number.
    write(1);
    EXPECT_EQ(read(), 1u);
    const Value last = {9, ~uint64_t{9}, 27, 9};
    for (const uint32_t n : {0xfffffffdu, 0xffffffffu, 0u, 1u}) {
        const uint64_t slot = latest_layout(memory.geometry()).slots[0] + n % 4 * 32;
        ASSERT_TRUE(memory.bytes().store(slot, std::as_bytes(std::span(last))));
        memory.scribble(producer_index_offset, n);
        EXPECT_EQ(read(), 9u);
    }
}

TEST_F(LatestValueTest, AnyNumberIsSomeSlot) {
    // Sanitizers see the memory's end.
    for (const uint32_t lie : {3u, 4u, 0x7fffffffu, 0x80000000u, 0xfffffffeu, UINT32_MAX}) {
        memory.scribble(producer_index_offset, lie);
        Value value{};
        EXPECT_EQ(reader.read(std::as_writable_bytes(std::span(value))), Reading::newer);
        memory.scribble_request(consumer_request_offset, ~uint64_t{0} - lie);
        write(lie);
    }
    EXPECT_LE(rings, 6u) << "one for each value at most";
}

TEST_F(LatestValueTest, TheSmallestAndTheLargest) {
    for (const uint8_t log2 : {min_value_log2, max_value_log2}) {
        const Geometry geometry = latest_geometry(log2);
        SharedMemory large(geometry);
        auto to = LatestWriter<CountingBell>::attach(large.bytes(), geometry, 1, {&rings}).value();
        auto from = LatestReader::attach(large.bytes(), geometry, 1).value();
        EXPECT_EQ(to.value_size(), geometry.size());
        std::vector<std::byte> out(geometry.size());
        std::vector<std::byte> in(geometry.size());
        for (unsigned n = 1; n < 9; ++n) {
            std::ranges::fill(out, static_cast<std::byte>(n));
            to.write(out);
            ASSERT_EQ(from.read(in), Reading::newer);
            ASSERT_EQ(in, out);
        }
    }
}

TEST_F(LatestValueTest, RefusesMemoryThatIsTooSmall) {
    const Geometry geometry = memory.geometry();
    const UntrustedBytes cut = memory.bytes().first(latest_layout(geometry).slots[1] + 127);
    EXPECT_FALSE(LatestReader::attach(cut, geometry, 1));
    EXPECT_FALSE(LatestReader::attach(memory.bytes(), bytes_geometry(12), 0));
}

TEST_F(LatestValueTest, MisuseStopsTheProgram) {
    std::array<std::byte, 31> wrong{};
    EXPECT_DEATH(writer.write(wrong), "");
    EXPECT_DEATH(static_cast<void>(reader.read(wrong)), "");
}

// Takes a page of shared memory away; whoever touches it next runs `then` first, in the middle of
// whatever it does.
class Interruption {
public:
    Interruption(uintptr_t address, std::function<void()> then) : then_(std::move(then)) {
        // Safety: a whole page within channel memory, which the test owns.
        page_ = reinterpret_cast<void*>(address & ~(page - 1));
        current = this;
        struct sigaction action = {};
        action.sa_handler = [](int) { current->run(); };
        action.sa_flags = SA_NODEFER;
        sigaction(SIGSEGV, &action, &before_);
        EXPECT_EQ(mprotect(page_, page, PROT_NONE), 0);
    }
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;
    ~Interruption() {
        EXPECT_TRUE(ran_);
        sigaction(SIGSEGV, &before_, nullptr);
    }

private:
    void run() {
        // A second fault is a bug of the test's: the memory is there from now on.
        if (ran_ || mprotect(page_, page, PROT_READ | PROT_WRITE) != 0) abort();
        ran_ = true;
        then_();
    }

    static inline Interruption* current = nullptr;
    void* page_ = nullptr;
    std::function<void()> then_;
    struct sigaction before_ = {};
    bool ran_ = false;
};

TEST(LatestValue, ACopyThatTheWriterOvertookIsBegunAnew) {
    const Geometry geometry = latest_geometry(13);
    for (uint64_t meanwhile = 1; meanwhile < 9; ++meanwhile) {
        SharedMemory memory(geometry);
        unsigned rings = 0;
        auto writer =
            LatestWriter<CountingBell>::attach(memory.bytes(), geometry, 0, {&rings}).value();
        auto reader = LatestReader::attach(memory.bytes(), geometry, 0).value();
        std::vector<uint64_t> out(geometry.size() / 8);
        std::vector<uint64_t> in(out.size());
        const auto write = [&](uint64_t n) {
            std::ranges::fill(out, n);
            writer.write(std::as_bytes(std::span(out)));
        };
        write(1);
        const uint64_t slot = latest_layout(geometry).slots[0] + 1 % latest_slots * 8192;
        const Interruption interruption(memory.bytes().address() + slot + page, [&] {
            for (uint64_t n = 2; n < 2 + meanwhile; ++n) write(n);
        });
        ASSERT_EQ(reader.read(std::as_writable_bytes(std::span(in))), Reading::newer);
        // Two more leave the slot alone, and so do three, but then the next may have begun.
        EXPECT_EQ(in[0], meanwhile < 3 ? 1 : 1 + meanwhile);
        for (const uint64_t word : in) ASSERT_EQ(word, in[0]) << meanwhile;
    }
}

TEST(LatestValue, AWriterThatIsAlwaysFasterMakesNobodyLoop) {
    const Geometry geometry = latest_geometry(13);
    SharedMemory memory(geometry);
    auto reader = LatestReader::attach(memory.bytes(), geometry, 0).value();
    std::vector<std::byte> in(geometry.size());
    memory.scribble(producer_index_offset, 1);
    // Each time the reader comes to the middle of a slot, the number is three further on.
    uint32_t number = 1;
    std::function<void()> again;
    std::vector<std::unique_ptr<Interruption>> interruptions;
    const auto interrupt = [&] {
        const uint64_t slot = latest_layout(geometry).slots[0] + number % latest_slots * 8192;
        interruptions.push_back(
            std::make_unique<Interruption>(memory.bytes().address() + slot + page, again));
    };
    again = [&] {
        number += 3;
        memory.scribble(producer_index_offset, number);
        if (interruptions.size() < latest_detail::attempts) interrupt();
    };
    interrupt();
    EXPECT_EQ(reader.read(in), Reading::overtaken);
    EXPECT_EQ(interruptions.size(), latest_detail::attempts);
    while (!interruptions.empty()) interruptions.pop_back();
    EXPECT_EQ(reader.read(in), Reading::newer) << "once it is left alone";
}

}  // namespace
}  // namespace annulus::channel
