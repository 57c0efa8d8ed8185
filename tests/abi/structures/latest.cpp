// SPDX-License-Identifier: MIT
// The latest value between two processes: whole, newest, woken, and with a peer that lies.
#include "tests/abi/structures/peers.h"

#include <array>

namespace annulus::test::cases {
namespace {

constexpr uint8_t value_log2 = 6;
constexpr unsigned value_words = (1u << value_log2) / sizeof(uint64_t);
using Value = std::array<uint64_t, value_words>;

void write(LatestChannel& channel, uint64_t number) {
    Value value;
    value.fill(number);
    channel.writer().write(std::as_bytes(std::span(value)));
}
bool whole(const Value& value) {
    for (const uint64_t word : value) {
        if (word != value[0]) return false;
    }
    return true;
}

// Writes 1 to `rounds`, as fast as it can, and ends.
void write_all(Child::Word* words) {
    ChildEnd given(words);
    auto channel = LatestChannel::attach(given.end, given.place);
    if (!channel.ok()) return;
    for (uint64_t i = 1; i <= words[rounds].load(); ++i) {
        write(*channel, i);
    }
}

// Writes random words to random places until it is killed.
void scribble(Child::Word* words) {
    ChildEnd given(words);
    auto channel = LatestChannel::attach(given.end, given.place);
    if (!channel.ok()) return;
    const UntrustedBytes memory = channel->end().memory();
    uint64_t state = 88172645463325252;
    for (uint64_t i = 0;; ++i) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        const uint64_t place = state % (memory.size() / sizeof(uint64_t)) * sizeof(uint64_t);
        memory.atomic_at<uint64_t>(place).value().store_relaxed(state);
        words[rounds].store(i);
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(latest, "what is read is a whole value, newer than the one before, and the last one comes") {
    constexpr uint64_t last = 20'000;
    auto made = MUST(LatestChannel::create(value_log2));
    auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
    child.words()[own_process] = MUST(child.lend(child.process()));
    child.words()[own_end] = MUST(child.give(std::move(made.theirs)));
    child.words()[rounds] = last;
    EXPECT_OK(child.start(write_all));
    Value value{};
    uint64_t seen = 0;
    while (seen < last && !test.failed()) {
        const auto got = made.mine.read_newer(std::as_writable_bytes(std::span(value)), patience());
        if (!got.ok() && got.error() == Error::try_again) continue;
        EXPECT_OK(got);
        EXPECT(whole(value));
        EXPECT(value[0] > seen);
        seen = value[0];
    }
    EXPECT_EQ(seen, last);
    EXPECT_ERROR(made.mine.read_newer(std::as_writable_bytes(std::span(value)), patience()),
                 Error::closed);
}

TEST(latest_waits, "without a newer value a reader sleeps until its deadline, or until one comes") {
    auto both = MUST(make_both<LatestChannel>(value_log2));
    Value value{};
    const auto into = std::as_writable_bytes(std::span(value));
    EXPECT_ERROR(both.second.read_newer(into, Deadline::after(milliseconds(5))), Error::timed_out);
    write(both.first, 1);
    write(both.first, 2);
    EXPECT_OK(both.second.read_newer(into, patience()));
    EXPECT_EQ(value[0], 2);
    EXPECT_ERROR(both.second.read_newer(into, Deadline::poll()), Error::timed_out);
    EXPECT_ERROR(both.first.read_newer(into, Deadline::poll()), Error::timed_out);
    write(both.second, 3);
    EXPECT_OK(both.first.read_newer(into, patience()));
    EXPECT_EQ(value[0], 3);
}

TEST(latest_scribbled, "a peer that writes over all the memory costs its reader time and no more") {
    auto made = MUST(LatestChannel::create(value_log2));
    auto child = MUST(start_peer(test, std::move(made.theirs), scribble));
    Value value{};
    uint64_t answers = 0;
    const uint64_t end = now() + milliseconds(300).nanoseconds;
    while (now() < end && !test.failed()) {
        const auto got = made.mine.read_newer(std::as_writable_bytes(std::span(value)),
                                              Deadline::after(milliseconds(2)));
        EXPECT(got.ok() || got.error() == Error::try_again || got.error() == Error::timed_out);
        ++answers;
    }
    EXPECT(answers > 0);
    EXPECT_OK(made.mine.check());
    EXPECT_OK(child.kill());
}

TEST(latest_attaching, "an end of another size or structure is refused, and stays") {
    const auto make = [&](uint8_t said, uint8_t real) -> Result<Channel> {
        const uint64_t pages = channel::latest_geometry(real).length() / abi::page_size;
        const Memory memory = TRY(test.budget().create_memory(pages, 0));
        auto ends = TRY(test.budget().create_channel(memory, 0, pages * abi::page_size,
                                                     channel::latest_geometry(said).word(),
                                                     channel::layout_version));
        return std::move(ends.second);
    };
    auto right = MUST(make(10, 10));
    auto longer = MUST(make(14, 10));
    auto beyond = MUST(make(60, 10));
    EXPECT_ERROR(LatestChannel::attach(longer), Error::wrong_version);
    EXPECT_ERROR(LatestChannel::attach(beyond), Error::wrong_version);
    EXPECT_ERROR(ByteChannel::attach(right), Error::wrong_version);
    EXPECT(!longer.empty() && !right.empty());
    EXPECT_OK(LatestChannel::attach(right));
}
