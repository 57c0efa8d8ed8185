// SPDX-License-Identifier: MIT
// Peers that die in the middle, lie about one thing, or scribble over everything.
#include "runtime/semaphore.h"
#include "tests/abi/structures/peers.h"
#include "tests/guest/ledger.h"

namespace annulus::test::cases {
namespace {

using channel::Fault;

void write_for_ever(Child::Word* words) {
    ChildEnd given(words);
    auto channel = ByteChannel::attach(given.end, given.place);
    if (!channel.ok()) return;
    std::array<std::byte, 61> bytes;
    for (uint64_t position = 0;; position += bytes.size()) {
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(position + i);
        if (!channel->write(bytes).ok()) return;
        words[rounds].fetch_add(1);
    }
}

// Sends numbers, a message or packet each, and counts what was published.
void send_messages_for_ever(Child::Word* words) {
    ChildEnd given(words);
    auto channel = MessageChannel::attach(given.end, given.place);
    if (!channel.ok()) return;
    std::array<channel::Message, 3> batch{};
    for (uint64_t number = 0;;) {
        for (unsigned i = 0; i < batch.size(); ++i) batch[i] = {{number + i, ~(number + i)}};
        const uint32_t count = channel->sender().send(batch);
        number += count;
        if (count == 0 && !channel->wait_sendable().ok()) return;
        channel->sender().publish();
        words[rounds].store(number);
    }
}

void send_packets_for_ever(Child::Word* words) {
    ChildEnd given(words);
    auto channel = PacketChannel::attach(given.end, given.place);
    if (!channel.ok()) return;
    for (uint64_t number = 0;; ++number) {
        auto buffer = channel->sender().acquire();
        for (; !buffer; buffer = channel->sender().acquire()) {
            if (!channel->wait_returned().ok()) return;
        }
        channel->sender().send({.buffer = buffer->number,
                                .offset = 0,
                                .length = 8,
                                .flags = 0,
                                .metadata = {number, ~number}});
        channel->sender().publish();
        words[rounds].store(number + 1);
    }
}

// The next number, checked, or nothing.
std::optional<uint64_t> next_number(MessageChannel& channel) {
    channel::Message message;
    if (!channel.receiver().receive(message)) return std::nullopt;
    channel.receiver().publish();
    return message.words[1] == ~message.words[0] ? message.words[0] : ~uint64_t{0};
}
std::optional<uint64_t> next_number(PacketChannel& channel) {
    const auto packet = channel.receiver().receive();
    if (!packet) return std::nullopt;
    const auto [number, inverse] = packet->descriptor.metadata;
    channel.receiver().release(packet->descriptor.buffer);
    channel.receiver().publish();
    return inverse == ~number ? number : ~uint64_t{0};
}

// Takes some, kills the peer, takes the rest: all that was published, in order; then it is closed.
template <typename Kind>
void outlive(Context& test, typename Kind::Made made, void (*peer)(Child::Word*), uint64_t some) {
    auto child = MUST(start_peer(test, std::move(made.theirs), peer));
    uint64_t seen = 0;
    const auto take = [&] {
        while (const auto number = next_number(made.mine)) EXPECT_EQ(*number, seen++);
    };
    while (seen < some && !test.failed()) {
        EXPECT_OK(made.mine.wait_received(patience()));
        take();
    }
    EXPECT_OK(child.kill());
    Result<void> more = made.mine.wait_received(patience());
    for (; more.ok() && !test.failed(); more = made.mine.wait_received(patience())) take();
    EXPECT_ERROR(more, Error::closed);
    EXPECT(seen >= child.words()[rounds].load());
    EXPECT_ERROR(made.mine.wait_received(patience()), Error::closed);
    EXPECT_ERROR(system::signal(made.mine.end().end().value()), Error::closed);
}

// Writes random words over all of the memory, and rings.
void scribble_for_ever(Child::Word* words) {
    const ChannelReference end(words[own_end].load());
    const ProcessReference process(words[own_process].load());
    const auto memory = end.get_memory();
    if (!memory.ok()) return;
    const auto address =
        process.map(*memory, 0, words[length].load(), 0, abi::map_read | abi::map_write);
    if (!address.ok()) return;
    // Safety: it was just mapped there.
    const auto bytes =
        UntrustedBytes::at_address(reinterpret_cast<void*>(*address), words[length].load());
    uint64_t random = 0x9e3779b97f4a7c15;
    for (uint64_t i = 0;; ++i) {
        random = random * 6364136223846793005 + 1442695040888963407;
        // Mostly the rings' words, with values that a peer could have meant.
        const uint64_t line = (random >> 40) % 16 * channel::line_size;
        const uint64_t any = (random >> 40) % (bytes.size() / 4) * 4;
        const uint32_t value =
            i % 16 == 0 ? static_cast<uint32_t>(random >> 32) : static_cast<uint32_t>(random >> 60);
        bytes.atomic_at<uint32_t>(i % 3 == 0 ? any : line).value().store_relaxed(value);
        words[rounds].fetch_add(1);
        if (i % 64 == 0) system::signal(end.value());
    }
}

// Uses every operation; true while the channel goes on.
Result<void> use(PacketChannel& channel) {
    for (unsigned i = 0; i < 8; ++i) {
        if (const auto buffer = channel.sender().acquire()) {
            channel.sender().send(
                {.buffer = buffer->number, .offset = 0, .length = 8, .flags = 0, .metadata = {}});
        }
        if (const auto packet = channel.receiver().receive()) {
            std::array<std::byte, 14> header;
            static_cast<void>(packet->bytes.freeze(0, header));
            channel.receiver().release(packet->descriptor.buffer);
        }
    }
    channel.sender().publish();
    channel.receiver().publish();
    TRY(channel.check());
    return channel.wait_either(Deadline::after(milliseconds(2)));
}
Result<void> use(MessageChannel& channel) {
    std::array<channel::Message, 5> several{};
    static_cast<void>(channel.sender().send(several));
    static_cast<void>(channel.receiver().receive(several));
    static_cast<void>(channel.receiver().receive(several[0]));
    channel.receiver().publish();
    TRY(channel.check());
    TRY(channel.wait_received(Deadline::after(milliseconds(2))));
    return channel.wait_sendable(Deadline::after(milliseconds(2)));
}
Result<void> use(ByteChannel& channel) {
    std::array<std::byte, 100> bytes{};
    const auto written = channel.write_some(bytes, Deadline::poll());
    if (!written.ok() && written.error() != Error::timed_out) return written.status();
    const auto count = channel.read(bytes, Deadline::after(milliseconds(2)));
    if (!count.ok()) return count.status();
    // The scribbles may have ended the stream for the reader; the writer is still there.
    return *count != 0 ? Result<void>() : channel.wait_writable(Deadline::after(milliseconds(2)));
}

// Uses a channel whose peer scribbles until it faults, which is counted, or was used enough: of the
// scribbles one in 16 is any number, so an index that cannot be is met long before that.
template <typename Kind>
void survive(Context& test, typename Kind::Made made, unsigned& faults) {
    auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
    child.words()[own_process] = MUST(child.lend(child.process()));
    child.words()[length] = made.mine.end().geometry().length();
    child.words()[own_end] = MUST(child.give(std::move(made.theirs)));
    EXPECT_OK(child.start(scribble_for_ever));
    while (child.words()[rounds].load() < 100 && !test.failed()) {
        const auto rung = wait_for(SemaphoreReference(made.mine.end().end().value()), patience());
        made.mine.end().heard(rung.value_or(0));
    }
    for (unsigned i = 0; i < 200; ++i) {
        const Result<void> result = use(made.mine);
        if (result.ok() || result.error() == Error::timed_out) continue;
        EXPECT_EQ(result.error(), Error::faulted);
        const auto state = MUST(made.mine.end().end().get_state());
        EXPECT_EQ(state.faulted, 1);
        EXPECT(state.reason > 0 && state.reason < channel::fault_count);
        EXPECT_ERROR(use(made.mine), Error::faulted);
        ++faults;
        return;
    }
}

// Four channels, each of which must have been caught lying.
template <typename Kind>
void survive_four(Context& test, uint8_t size_log2, std::string_view counter) {
    unsigned faults = 0;
    for (unsigned trial = 0; trial < 4; ++trial) {
        auto made = MUST(Kind::create(size_log2));
        survive<Kind>(test, std::move(made), faults);
    }
    EXPECT_EQ(faults, 4);
    report_count(counter, faults);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(peer_killed, "what a killed peer had published is read, and then the stream is closed") {
    uint64_t left = 0;
    for (unsigned trial = 0; trial < 12; ++trial) {
        auto made = MUST(ByteChannel::create(9));
        auto child = MUST(start_peer(test, std::move(made.theirs), cases::write_for_ever));
        uint64_t seen = 0;
        std::array<std::byte, 97> bytes;
        const auto take = [&]() -> Result<size_t> {
            const size_t count = TRY(made.mine.read(bytes, patience()));
            for (size_t i = 0; i < count; ++i) EXPECT_EQ(bytes[i], pattern(seen + i));
            seen += count;
            return count;
        };
        // Wakes up late, so that there is something left when the peer dies.
        while (seen < trial * 333 && !test.failed()) {
            EXPECT_OK(made.mine.wait_readable(patience(), 300));
            MUST(take());
        }
        EXPECT_OK(child.kill());
        const uint64_t before = seen;
        Result<size_t> last = take();
        while (last.ok() && *last != 0 && !test.failed()) {
            const Result<size_t> next = take();
            if (!next.ok()) {
                EXPECT_EQ(next.error(), Error::closed);
                break;
            }
        }
        if (!last.ok()) EXPECT_EQ(last.error(), Error::closed);
        left += seen - before;
        EXPECT(seen >= child.words()[rounds].load() * 61);
        EXPECT_ERROR(made.mine.read(bytes, patience()), Error::closed);
        uint64_t written = 0;
        for (;; ++written) {
            const auto result = made.mine.write_some(bytes, patience());
            if (result.ok()) continue;
            EXPECT_EQ(result.error(), Error::closed);
            break;
        }
        EXPECT(written <= 6);
    }
    report_count("bytes_of_the_dead", left);
}

TEST(message_peer_killed, "what a killed peer had sent is received, and then it is closed") {
    for (const uint64_t some : {0, 1, 50, 1000}) {
        auto made = MUST(MessageChannel::create(4));
        cases::outlive<MessageChannel>(test, std::move(made), cases::send_messages_for_ever, some);
    }
}

TEST(packet_peer_killed, "the same for packets") {
    for (const uint64_t some : {0, 1, 50, 1000}) {
        auto made = MUST(PacketChannel::create(channel::packets_geometry(3, 7)));
        cases::outlive<PacketChannel>(test, std::move(made), cases::send_packets_for_ever, some);
    }
}

TEST(fault, "a lie about an index shuts the channel down for both ends, with the reason") {
    auto both = MUST(make_both<ByteChannel>(uint8_t{10}));
    std::array<std::byte, 8> bytes{};
    both.second.end().memory().atomic_at<uint32_t>(0).value().store_relaxed(5000);
    const auto result = both.second.read(bytes);
    EXPECT_ERROR(result, Error::faulted);
    EXPECT_EQ(result.status().extra(), static_cast<uint32_t>(channel::Fault::producer_index));
    EXPECT_EQ(MUST(both.first.end().end().get_state()).reason,
              static_cast<uint64_t>(channel::Fault::producer_index));
    EXPECT_ERROR(both.first.read(bytes, patience()), Error::faulted);
    EXPECT_ERROR(both.second.read(bytes), Error::faulted);
}

TEST(first_reason, "a channel that was shut down keeps the first reason") {
    auto both = MUST(make_both<MessageChannel>(uint8_t{2}));
    both.first.end().shut_down(4711);
    both.second.end().memory().atomic_at<uint32_t>(0).value().store_relaxed(5);
    channel::Message message;
    EXPECT(!both.second.receiver().receive(message));
    EXPECT_ERROR(both.second.check(), Error::faulted);
    EXPECT_EQ(MUST(both.second.end().end().get_state()).reason, 4711);
    const auto waited = both.first.wait_received(patience());
    EXPECT_ERROR(waited, Error::faulted);
    EXPECT_EQ(waited.status().extra(), 4711);
}

TEST(scribbled_packets, "a peer that writes over all the memory faults the channel, nothing else") {
    const auto before = settled_ledger(test.budget());
    unsigned faults = 0;
    for (unsigned trial = 0; trial < 4; ++trial) {
        auto made = MUST(PacketChannel::create(channel::packets_geometry(3, 7)));
        cases::survive<PacketChannel>(test, std::move(made), faults);
    }
    EXPECT_EQ(faults, 4);
    report_count("faulted_packet_channels", faults);
    expect_returned(test, test.budget(), before, "scribbled channels", 16);
}

TEST(scribbled_messages, "the same for message queues") {
    cases::survive_four<MessageChannel>(test, 3, "faulted_message_channels");
}

TEST(scribbled_bytes, "the same for byte streams") {
    cases::survive_four<ByteChannel>(test, 8, "faulted_byte_channels");
}
