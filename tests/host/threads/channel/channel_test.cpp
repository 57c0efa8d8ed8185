// SPDX-License-Identifier: MIT
// Two threads over one channel memory: nothing is lost, doubled or reordered, and nobody
// oversleeps.
#include "tests/host/channel/shared_memory.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace annulus::channel {
namespace {

// A binary semaphore, as the kernel's doorbells are.
class Sleeper {
public:
    void ring() {
        const std::lock_guard guard(mutex_);
        rung_ = true;
        ++rings_;
        condition_.notify_one();
    }
    void wait() {
        std::unique_lock guard(mutex_);
        condition_.wait(guard, [&] { return rung_; });
        rung_ = false;
        ++waits_;
    }
    unsigned rings() {
        const std::lock_guard guard(mutex_);
        return rings_;
    }
    unsigned waits() {
        const std::lock_guard guard(mutex_);
        return waits_;
    }

private:
    std::mutex mutex_;
    std::condition_variable condition_;
    bool rung_ = false;
    unsigned rings_ = 0;
    unsigned waits_ = 0;
};

struct Bell {
    Sleeper* peer;

    void ring() { peer->ring(); }
};

// Sleeps if there is nothing; counts how often the peer was asked.
template <typename End>
void pause(End& end, Sleeper& own, uint32_t wanted, unsigned& asked) {
    const Wait wait = end.prepare_wait(wanted);
    ASSERT_NE(wait, Wait::faulted);
    ++asked;
    if (wait == Wait::sleep) own.wait();
}

constexpr uint64_t messages = 300'000;

TEST(ChannelThreads, MessagesArriveOnceAndInOrder) {
    const Geometry geometry = messages_geometry(4);
    SharedMemory memory(geometry);
    Sleeper sender_sleeps;
    Sleeper receiver_sleeps;
    auto sender =
        MessageSender<Bell>::attach(memory.bytes(), geometry, 0, {&receiver_sleeps}).value();
    auto receiver =
        MessageReceiver<Bell>::attach(memory.bytes(), geometry, 0, {&sender_sleeps}).value();
    unsigned asked_by_sender = 0;
    unsigned asked_by_receiver = 0;
    std::thread other([&] {
        for (uint64_t i = 0; i < messages;) {
            while (i < messages && sender.send({{i, ~i}})) {
                if (++i % 5 == 0) sender.publish();
            }
            sender.publish();
            if (i < messages) pause(sender, sender_sleeps, 1 + i % 7, asked_by_sender);
        }
    });
    for (uint64_t i = 0; i < messages;) {
        Message message;
        while (receiver.receive(message)) {
            ASSERT_EQ(message.words[0], i);
            ASSERT_EQ(message.words[1], ~i);
            if (++i % 3 == 0) receiver.publish();
        }
        if (i < messages) pause(receiver, receiver_sleeps, 1, asked_by_receiver);
    }
    receiver.publish();
    other.join();
    EXPECT_LE(receiver_sleeps.rings(), asked_by_receiver) << "a request is claimed once";
    EXPECT_LE(sender_sleeps.rings(), asked_by_sender);
}

TEST(ChannelThreads, MessagesSeveralAtOnceArriveOnceAndInOrder) {
    const Geometry geometry = messages_geometry(4);
    SharedMemory memory(geometry);
    Sleeper sender_sleeps;
    Sleeper receiver_sleeps;
    auto sender =
        MessageSender<Bell>::attach(memory.bytes(), geometry, 0, {&receiver_sleeps}).value();
    auto receiver =
        MessageReceiver<Bell>::attach(memory.bytes(), geometry, 0, {&sender_sleeps}).value();
    std::thread other([&] {
        unsigned asked = 0;
        std::array<Message, 20> batch{};
        for (uint64_t i = 0; i < messages;) {
            const size_t size = std::min<uint64_t>(1 + i % batch.size(), messages - i);
            for (size_t k = 0; k < size; ++k) batch[k] = {{i + k, 0, 0, 0, 0, 0, 0, ~(i + k)}};
            const uint32_t count = sender.send(std::span(batch).first(size));
            sender.publish();
            i += count;
            if (count == 0) pause(sender, sender_sleeps, 1, asked);
        }
    });
    unsigned asked = 0;
    std::array<Message, 7> batch;
    for (uint64_t i = 0; i < messages;) {
        const uint32_t count = receiver.receive(batch);
        receiver.publish();
        for (uint32_t k = 0; k < count; ++k, ++i) {
            ASSERT_EQ(batch[k].words[0], i);
            ASSERT_EQ(batch[k].words[7], ~i);
        }
        // No more than what surely comes.
        const auto wanted = static_cast<uint32_t>(std::min<uint64_t>(1 + i % 5, messages - i));
        if (count == 0) pause(receiver, receiver_sleeps, wanted, asked);
    }
    other.join();
}

TEST(ChannelThreads, LatestValuesAreWholeAndNewer) {
    const Geometry geometry = latest_geometry(8);
    SharedMemory memory(geometry);
    Sleeper reader_sleeps;
    using Value = std::array<uint64_t, 32>;
    constexpr uint64_t last = 200'000;
    auto writer = LatestWriter<Bell>::attach(memory.bytes(), geometry, 0, {&reader_sleeps}).value();
    auto reader = LatestReader::attach(memory.bytes(), geometry, 0).value();
    std::thread other([&] {
        Value value;
        for (uint64_t n = 1; n <= last; ++n) {
            value.fill(n);
            writer.write(std::as_bytes(std::span(value)));
        }
    });
    uint64_t seen = 0;
    uint64_t read = 0;
    while (seen < last) {
        Value value;
        switch (reader.read(std::as_writable_bytes(std::span(value)))) {
            case Reading::newer:
                ASSERT_GT(value[0], seen);
                for (const uint64_t word : value) ASSERT_EQ(word, value[0]);
                seen = value[0];
                ++read;
                break;
            case Reading::unchanged:
                if (reader.prepare_wait() == Wait::sleep) reader_sleeps.wait();
                break;
            case Reading::overtaken: break;
        }
    }
    other.join();
    EXPECT_GT(read, 0u);
    EXPECT_EQ(seen, last) << "the last value is never lost";
}

TEST(ChannelThreads, BytesArriveOnceAndInOrder) {
    const Geometry geometry = bytes_geometry(8);
    SharedMemory memory(geometry);
    Sleeper writer_sleeps;
    Sleeper reader_sleeps;
    auto writer = ByteWriter<Bell>::attach(memory.bytes(), geometry, 1, {&reader_sleeps}).value();
    auto reader = ByteReader<Bell>::attach(memory.bytes(), geometry, 1, {&writer_sleeps}).value();
    constexpr uint64_t total = 3'000'000;
    unsigned asked = 0;
    std::thread other([&] {
        unsigned asked_by_writer = 0;
        std::vector<std::byte> chunk;
        for (uint64_t i = 0; i < total;) {
            chunk.resize(std::min<uint64_t>(1 + i % 300, total - i));
            for (size_t k = 0; k < chunk.size(); ++k)
                chunk[k] = static_cast<std::byte>((i + k) * 7);
            const size_t count = writer.write(chunk);
            if (count == 0) pause(writer, writer_sleeps, 1 + i % 256, asked_by_writer);
            i += count;
        }
        writer.finish();
    });
    uint64_t i = 0;
    std::vector<std::byte> into(200);
    while (!reader.ended()) {
        const size_t count = reader.read(std::span(into).first(1 + i % 200));
        for (size_t k = 0; k < count; ++k) {
            ASSERT_EQ(into[k], static_cast<std::byte>((i + k) * 7));
        }
        i += count;
        if (count == 0 && !reader.ended()) pause(reader, reader_sleeps, 1 + i % 256, asked);
    }
    other.join();
    EXPECT_EQ(i, total);
    EXPECT_EQ(reader.fault(), Fault::none);
}

TEST(ChannelThreads, PacketsGoRound) {
    const Geometry geometry = packets_geometry(3, 8);
    SharedMemory memory(geometry);
    Sleeper sender_sleeps;
    Sleeper receiver_sleeps;
    auto sender =
        PacketSender<Bell>::attach(memory.bytes(), geometry, 0, {&receiver_sleeps}).value();
    auto receiver =
        PacketReceiver<Bell>::attach(memory.bytes(), geometry, 0, {&sender_sleeps}).value();
    constexpr uint64_t packets = 200'000;
    unsigned asked = 0;
    std::thread other([&] {
        unsigned asked_by_sender = 0;
        for (uint64_t i = 0; i < packets;) {
            const auto buffer = sender.acquire();
            if (!buffer) {
                pause(sender, sender_sleeps, 1 + i % 8, asked_by_sender);
                continue;
            }
            buffer->bytes.at<uint64_t>(16).value().store(~i);
            sender.send({.buffer = buffer->number,
                         .offset = 16,
                         .length = 8,
                         .flags = 0,
                         .metadata = {i, 0}});
            if (++i % 4 == 0) sender.publish();
        }
        sender.publish();
    });
    for (uint64_t i = 0; i < packets;) {
        while (const auto packet = receiver.receive()) {
            ASSERT_EQ(packet->descriptor.metadata[0], i);
            ASSERT_EQ(packet->bytes.at<uint64_t>(0).value().freeze(), ~i);
            receiver.release(packet->descriptor.buffer);
            ++i;
        }
        if (i < packets) pause(receiver, receiver_sleeps, 1, asked);
    }
    other.join();
    EXPECT_EQ(sender.fault(), Fault::none);
    EXPECT_EQ(receiver.fault(), Fault::none);
}

TEST(ChannelThreads, RequestsAreAnsweredOnce) {
    const Geometry geometry = requests_geometry(3, 8);
    SharedMemory memory(geometry);
    Sleeper asker_sleeps;
    Sleeper answerer_sleeps;
    auto asker =
        RequestAsker<Bell>::attach(memory.bytes(), geometry, Side::first, {&answerer_sleeps})
            .value();
    auto answerer =
        RequestAnswerer<Bell>::attach(memory.bytes(), geometry, Side::second, {&asker_sleeps})
            .value();
    constexpr uint64_t requests = 200'000;
    std::thread other([&] {
        unsigned asked = 0;
        for (uint64_t i = 0; i < requests;) {
            while (const auto request = answerer.next()) {
                const auto word = answerer.bytes_of(request->slot).at<uint64_t>(16).value();
                word.store(word.freeze() + request->place);
                answerer.answer({.slot = request->slot, .count = 8, .status = request->place});
                if (++i % 3 == 0) answerer.publish();
            }
            // No more than what surely comes.
            const uint32_t wanted = i + 8 <= requests ? 1 + i % 3 : 1;
            if (i < requests) pause(answerer, answerer_sleeps, wanted, asked);
        }
        answerer.publish();
    });
    unsigned asked = 0;
    std::array<uint64_t, 8> sent{};
    uint64_t next = 0;
    for (uint64_t done = 0; done < requests;) {
        while (next < requests) {
            const auto slot = asker.acquire();
            if (!slot) break;
            sent[*slot] = next;
            asker.bytes_of(*slot).at<uint64_t>(16).value().store(~next);
            asker.send({.slot = *slot,
                        .operation = 0,
                        .place = next++,
                        .length = 24,
                        .flags = 0,
                        .word = 0});
            if (next % 5 == 0) asker.publish();
        }
        asker.publish();
        const uint64_t before = done;
        while (const auto answer = asker.take()) {
            ASSERT_EQ(answer->status, sent[answer->slot]);
            ASSERT_EQ(asker.bytes_of(answer->slot).at<uint64_t>(16).value().freeze(), UINT64_MAX);
            asker.release(answer->slot);
            ++done;
        }
        // With free slots it asks first: the other end may wait for more requests.
        if (done == before) pause(asker, asker_sleeps, 1, asked);
    }
    other.join();
    EXPECT_EQ(asker.fault(), Fault::none);
    EXPECT_EQ(answerer.fault(), Fault::none);
}

// A peer that flips an index at full speed: the end faults or goes on, but stays in its memory.
TEST(ChannelThreads, FlippingIndicesDoNoHarm) {
    const Geometry geometry = packets_geometry(3, 8);
    SharedMemory memory(geometry);
    const PacketsLayout at = packets_layout(geometry);
    Sleeper nobody;
    std::atomic<bool> stop = false;
    std::thread hostile([&] {
        uint32_t value = 1;
        // Order: relaxed; it only has to stop some time.
        while (!stop.load(std::memory_order_relaxed)) {
            value = value * 1664525 + 1013904223;
            memory.scribble(at.active_ring[0], value >> 28);
            memory.scribble(at.active_entries[0] + (value >> 8) % 256 / 4 * 4, value >> 27);
            memory.scribble_request(at.free_ring[0] + consumer_request_offset, value);
        }
    });
    unsigned faults = 0;
    uint64_t received = 0;
    uint64_t victims = 0;
    // On a loaded machine the peer may not have run while the first ones are gone through.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (; victims < 20'000 || (faults == 0 && std::chrono::steady_clock::now() < end); ++victims) {
        auto receiver =
            PacketReceiver<Bell>::attach(memory.bytes(), geometry, 0, {&nobody}).value();
        for (int turn = 0; turn < 4; ++turn) {
            while (const auto packet = receiver.receive()) {
                std::array<std::byte, 8> header;
                static_cast<void>(packet->bytes.freeze(0, header));
                receiver.release(packet->descriptor.buffer);
                ++received;
            }
        }
        faults += receiver.fault() != Fault::none ? 1 : 0;
    }
    stop.store(true, std::memory_order_relaxed);
    hostile.join();
    EXPECT_GT(faults, 0u);
    EXPECT_LE(received, victims * 8 * 4);
}

}  // namespace
}  // namespace annulus::channel
