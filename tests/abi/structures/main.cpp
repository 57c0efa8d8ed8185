// SPDX-License-Identifier: MIT
// Structures over channels: data between processes, waiting, ends, attaching, streams.
#include "tests/abi/structures/peers.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

#include <algorithm>
#include <array>

const char* const annulus::test::suite = "structures";

namespace annulus::test::cases {
namespace {

// Sends everything back, until the stream ends.
void echo_bytes(Child::Word* words) {
    ChildEnd given(words);
    auto channel = ByteChannel::attach(given.end, given.place);
    if (!channel.ok()) return;
    std::array<std::byte, 700> bytes;
    for (;;) {
        const auto count = channel->read(bytes);
        if (!count.ok()) return;
        if (*count == 0) break;
        if (!channel->write(std::span(bytes).first(*count)).ok()) return;
    }
    channel->finish();
    static_cast<void>(channel->sync());
}

// Copies every packet into a buffer of its own direction and sends it back.
void echo_packets(Child::Word* words) {
    ChildEnd given(words);
    auto channel = PacketChannel::attach(given.end, given.place);
    if (!channel.ok()) return;
    for (;;) {
        while (const auto packet = channel->receiver().receive()) {
            auto buffer = channel->sender().acquire();
            for (; !buffer; buffer = channel->sender().acquire()) {
                if (!channel->wait_returned().ok()) return;
            }
            const uint64_t value = packet->bytes.at<uint64_t>(0).value().freeze();
            buffer->bytes.at<uint64_t>(0).value().store(~value);
            channel->sender().send({.buffer = buffer->number,
                                    .offset = 0,
                                    .length = 8,
                                    .flags = 0,
                                    .metadata = packet->descriptor.metadata});
            channel->receiver().release(packet->descriptor.buffer);
        }
        channel->sender().publish();
        channel->receiver().publish();
        if (!channel->wait_received().ok()) return;
    }
}

void ignore(Child::Word*) {}

}  // namespace
}  // namespace annulus::test::cases

TEST(bytes, "bytes go to another process and back, in order, through a stream that is full") {
    auto made = MUST(ByteChannel::create(10));
    auto child = MUST(start_peer(test, std::move(made.theirs), echo_bytes));
    ByteChannel& channel = made.mine;
    constexpr uint64_t total = 100'000;
    uint64_t written = 0;
    uint64_t seen = 0;
    std::array<std::byte, 900> bytes;
    while (seen < total && !test.failed()) {
        // As much as the stream takes without waiting, then read what came back.
        while (written < total) {
            const auto room = channel.writer().reserve();
            const auto count = std::min<uint64_t>({room.size(), bytes.size(), total - written});
            if (count == 0) break;
            for (uint64_t i = 0; i < count; ++i) bytes[i] = pattern(written + i);
            EXPECT(room.store(0, std::span(bytes).first(count)));
            channel.writer().commit(static_cast<uint32_t>(count));
            written += count;
        }
        channel.writer().publish();
        if (written == total) channel.finish();
        const size_t count = MUST(channel.read(bytes, patience()));
        for (size_t i = 0; i < count; ++i) EXPECT_EQ(bytes[i], pattern(seen + i));
        seen += count;
    }
    EXPECT_EQ(MUST(channel.read(bytes, patience())), 0);
    EXPECT_OK(child.wait(patience()));
}

TEST(packets, "packets go to another process and back without being lost, doubled or reordered") {
    auto made = MUST(PacketChannel::create(channel::packets_geometry(3, 8)));
    auto child = MUST(start_peer(test, std::move(made.theirs), echo_packets));
    PacketChannel& channel = made.mine;
    constexpr uint64_t total = 3000;
    uint64_t sent = 0;
    uint64_t seen = 0;
    while (seen < total && !test.failed()) {
        while (sent < total) {
            const auto buffer = channel.sender().acquire();
            if (!buffer) break;
            buffer->bytes.at<uint64_t>(16).value().store(sent);
            channel.sender().send({.buffer = buffer->number,
                                   .offset = 16,
                                   .length = 8,
                                   .flags = 0,
                                   .metadata = {sent, 0}});
            ++sent;
        }
        channel.sender().publish();
        while (const auto packet = channel.receiver().receive()) {
            EXPECT_EQ(packet->descriptor.metadata[0], seen);
            EXPECT_EQ(packet->bytes.at<uint64_t>(0).value().freeze(), ~seen);
            channel.receiver().release(packet->descriptor.buffer);
            ++seen;
        }
        channel.receiver().publish();
        EXPECT_OK(channel.check());
        if (seen < total) EXPECT_OK(channel.wait_either(patience()));
    }
}

TEST(stream, "a program that uses a Stream works over a channel unchanged") {
    const auto greet = [](Stream stream, std::span<std::byte> answer) -> Result<void> {
        TRY(stream.write("hello"));
        TRY(stream.sync(patience()));
        return stream.read_all(answer, patience());
    };
    auto made = MUST(ByteChannel::create(12));
    auto child = MUST(start_peer(test, std::move(made.theirs), echo_bytes));
    std::array<std::byte, 5> answer{};
    EXPECT_OK(greet(Stream(made.mine), answer));
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(answer.data()), 5), "hello");
}

TEST(deadlines, "waiting for data or room ends at the deadline, and nothing is lost by it") {
    auto both = MUST(make_both<ByteChannel>(uint8_t{7}));
    std::array<std::byte, 200> bytes{};
    EXPECT_ERROR(both.first.read(bytes, Deadline::poll()), Error::timed_out);
    EXPECT_ERROR(both.first.read(bytes, Deadline::after(milliseconds(1))), Error::timed_out);
    EXPECT_EQ(MUST(both.first.write_some(bytes)), 128);
    EXPECT_ERROR(both.first.write_some(bytes, Deadline::poll()), Error::timed_out);
    EXPECT_ERROR(both.first.sync(Deadline::poll()), Error::timed_out);
    EXPECT_EQ(MUST(both.second.read(bytes)), 128);
    EXPECT_OK(both.first.sync(Deadline::poll()));
}

TEST(finished, "a stream that its writer finished ends, and the other direction goes on") {
    auto both = MUST(make_both<ByteChannel>(uint8_t{8}));
    std::array<std::byte, 16> bytes{};
    EXPECT_OK(both.first.write("abc"));
    both.first.finish();
    EXPECT_ERROR(both.first.write_some(bytes), Error::wrong_state);
    EXPECT_EQ(MUST(both.second.read(bytes)), 3);
    EXPECT_EQ(MUST(both.second.read(bytes)), 0);
    EXPECT_OK(both.second.write("defg"));
    EXPECT_EQ(MUST(both.first.read(bytes)), 4);
}

TEST(sleepers, "a sleeper is woken once there is something, however many there are before") {
    EXPECT_OK(on_one_cpu([&] {
        auto both = MUST(make_both<MessageChannel>(uint8_t{4}));
        unsigned received = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                channel::Message message;
                while (received < 40) {
                    if (both.second.receiver().receive(message)) {
                        if (message.words[0] != received++) return;
                    } else if (!both.second.wait_received(patience(), 3).ok()) {
                        return;
                    }
                }
            },
            eager));
        for (uint64_t i = 0; i < 40; ++i) {
            while (!both.first.sender().send({{i}})) {
                EXPECT_OK(both.first.wait_sendable(patience()));
            }
            if (i % 4 == 3) both.first.sender().publish();
        }
        EXPECT_OK(crew.join(patience()));
        EXPECT_EQ(received, 40);
    }));
}

TEST(attaching, "an end that holds something else is refused, and stays with whoever has it") {
    auto made = MUST(MessageChannel::create(4));
    EXPECT_ERROR(ByteChannel::attach(made.theirs), Error::wrong_version);
    EXPECT(!made.theirs.empty());
    EXPECT_OK(MessageChannel::attach(made.theirs));
    EXPECT(made.theirs.empty());

    const auto make = [&](uint64_t pages, uint32_t structure, uint32_t version) -> Result<Channel> {
        const Memory memory = TRY(test.budget().create_memory(pages, 0));
        auto ends = TRY(
            test.budget().create_channel(memory, 0, pages * abi::page_size, structure, version));
        return std::move(ends.second);
    };
    const channel::Geometry wanted = channel::bytes_geometry(12);
    const uint64_t pages = wanted.length() / abi::page_size;
    auto right = MUST(make(pages, wanted.word(), channel::layout_version));
    auto shorter = MUST(make(pages - 1, wanted.word(), channel::layout_version));
    auto newer = MUST(make(pages, wanted.word(), channel::layout_version + 1));
    auto larger = MUST(make(pages, channel::bytes_geometry(30).word(), channel::layout_version));
    EXPECT_ERROR(ByteChannel::attach(shorter), Error::wrong_version);
    EXPECT_ERROR(ByteChannel::attach(newer), Error::wrong_version);
    EXPECT_ERROR(ByteChannel::attach(larger), Error::wrong_version);
    EXPECT_OK(ByteChannel::attach(right));
    EXPECT_ERROR(ChannelEnd::create({}), Error::bad_argument);
}

TEST(account, "channels give everything back, mappings included") {
    const auto before = settled_ledger(test.budget());
    for (unsigned i = 0; i < 20; ++i) {
        auto both = MUST(make_both<PacketChannel>(channel::packets_geometry(4, 11)));
        const auto buffer = both.first.sender().acquire();
        both.first.sender().send(
            {.buffer = buffer->number, .offset = 0, .length = 1, .flags = 0, .metadata = {}});
        both.first.sender().publish();
        EXPECT(both.second.receiver().receive().has_value());
    }
    expect_returned(test, test.budget(), before, "channels", 8);
}

TEST(silence, "a peer that never says anything costs its client a deadline and nothing else") {
    auto made = MUST(PacketChannel::create(channel::packets_geometry(2, 8)));
    auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
    MUST(child.give(std::move(made.theirs)));
    EXPECT_ERROR(made.mine.wait_received(Deadline::after(milliseconds(5))), Error::timed_out);
    EXPECT_OK(child.start(cases::ignore));
    EXPECT_ERROR(made.mine.wait_received(patience()), Error::closed);
}
