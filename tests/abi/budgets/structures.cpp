// SPDX-License-Identifier: MIT
// Instructions of messages and streams through channels.
#include "runtime/channel.h"
#include "tests/abi/budgets/measure.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

constexpr unsigned batch = 32;
constexpr uint32_t buffer = 4096;

// The other side, in a process of its own. More urgent than on_one_cpu(), so that it runs when it
// is woken and sleeps again before this side goes on: one wake for each batch, and both are
// counted.
Result<Spawned> start_peer(Context& test, std::string_view name, ChannelReference end) {
    const auto image = TRY(Peer::image(test));
    const Grant grants[] = {{name, end}};
    return spawn(image, {.budget = test.budget(), .grants = grants});
}

// Hides from the compiler what the message is.
void touch(channel::Message& message) { asm volatile("" ::"r"(&message) : "memory"); }
void touch(std::array<channel::Message, batch>& messages) {
    asm volatile("" ::"r"(&messages) : "memory");
}

}  // namespace
}  // namespace annulus::test::cases

TEST(message, "a message of 64 bytes to a running receiver stays in its budget") {
    // Room for every message that is measured: the receiver need not make any meanwhile.
    auto made = MUST(MessageChannel::create(11));
    auto receiver = MUST(MessageChannel::attach(made.theirs));
    auto& sender = made.mine.sender();
    channel::Message message{};
    // Once round, so that neither side's pages are touched for the first time when it counts.
    while (sender.send(message)) {
    }
    sender.publish();
    while (receiver.receiver().receive(message)) {
    }
    receiver.receiver().publish();
    measure(test, "13", "64 B message to a running receiver", [&] {
        touch(message);
        if (!sender.send(message)) __builtin_trap();
        sender.publish();
    });
    const uint64_t begin = cycles();
    unsigned received = 0;
    for (; receiver.receiver().receive(message); ++received) touch(message);
    report_count("instructions_to_receive_64_bytes", (cycles() - begin) / received);
    EXPECT_EQ(received, warm_up + rounds);
}

TEST(message_batch, "messages in batches of 32, one wake for each, stay in their budget") {
    auto made = MUST(MessageChannel::create(6));
    const auto child = MUST(start_peer(test, "messages", made.theirs));
    auto& sender = made.mine.sender();
    std::array<channel::Message, batch> messages{};
    const auto send_batch = [&] {
        touch(messages);
        if (sender.send(messages) != batch) __builtin_trap();
        sender.publish();
    };
    EXPECT_OK(on_one_cpu([&] {
        measure(test, "13", "64 B message in batches of 32 with one wake", send_batch, batch);
    }));
    EXPECT_OK(child.process.remove_kill(0));
}

TEST(stream, "a stream through buffers of 4 KiB, 32 a batch, stays in its budget") {
    auto made = MUST(ByteChannel::create(18));
    const auto child = MUST(start_peer(test, "bytes", made.theirs));
    auto& writer = made.mine.writer();
    const auto write_batch = [&] {
        for (unsigned i = 0; i < batch; ++i) {
            if (writer.reserve(buffer).size() < buffer) __builtin_trap();
            writer.commit(buffer);
        }
        writer.publish();
    };
    EXPECT_OK(on_one_cpu([&] {
        measure(test, "15", "1 KiB of a stream in buffers of 4 KiB, 32 a batch", write_batch,
                batch * buffer / 1024);
    }));
    EXPECT_OK(child.process.remove_kill(0));
}
