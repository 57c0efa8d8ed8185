// SPDX-License-Identifier: MIT
// Channels with a structure in them, and blocking on top: what programs, drivers and services use.
//
// The client makes the channel and hands the other end over in an open:
//
//     auto made = TRY(PacketChannel::create(channel::packets_geometry(8, 11)));  // 256 x 2 KiB
//     const Object interface = TRY(open(network, "", 0, Deadline::never(),
//     std::move(made.theirs))); PacketChannel& packets = made.mine;
//
// The server attaches to the end that came (after geometry_of(), if it limits what it maps):
//
//     auto packets = PacketChannel::attach(end);      // wrong_version: answer that, `end` is kept
//
// Then both work on `packets->sender()` and `packets->receiver()` (channel/packet_queue.h), and
// sleep by wait_received(), wait_returned() or wait_either(). A thread that waits for other things
// too asks with prepare_wait(), waits for end() among the others, and passes what it heard on to
// heard().
//
// When a structure finds that the peer lies, the next wait answers faulted with the channel::Fault
// as extra, and has shut the channel down for both ends; check() does the same without waiting.
// closed: the peer is gone and nothing that it sent is left. Each channel is used by one thread at
// a time.
#pragma once

#include "channel/byte_stream.h"
#include "channel/latest_value.h"
#include "channel/message_queue.h"
#include "channel/packet_queue.h"
#include "channel/request_queue.h"
#include "runtime/channel_end.h"
#include "runtime/stream.h"

#include <string_view>

namespace annulus {

// A channel with one end of a Pair (BytePair, MessagePair, PacketPair) in it.
template <template <typename> typename Pair, channel::Structure structure>
class StructuredChannel {
public:
    using Ends = Pair<ChannelBell>;

    StructuredChannel(StructuredChannel&&) = default;
    StructuredChannel& operator=(StructuredChannel&&) = delete;

    // Errors of ChannelEnd::geometry_of.
    static Result<channel::Geometry> geometry_of(ChannelReference end) {
        return ChannelEnd::geometry_of(end, structure);
    }

    ChannelEnd& end() { return end_; }
    const ChannelEnd& end() const { return end_; }

    // faulted if the structure has caught the peer lying; the channel is shut down then.
    Result<void> check() {
        if (pair_.fault() == channel::Fault::none) return {};
        return end_.refuse(pair_.fault());
    }

protected:
    explicit StructuredChannel(ChannelEnd end)
        : end_(std::move(end)),
          // The length was checked against the geometry, so the structure fits.
          pair_(Ends::attach(end_.memory(), end_.geometry(), end_.side(), end_.bell()).value()) {}

    template <typename Ask>
    Result<void> wait(Ask ask, Deadline deadline) {
        return end_.wait(ask, [&] { return pair_.fault(); }, deadline);
    }

    ChannelEnd end_;
    Ends pair_;
};

// Two streams of bytes. A transport: a Stream (runtime/stream.h) can stand for it.
class ByteChannel final : public StructuredChannel<channel::BytePair, channel::Structure::bytes>,
                          public StreamTransport {
public:
    struct Made;
    // Two streams of 2^stream_log2 bytes. Errors of ChannelEnd::create.
    static Result<Made> create(uint8_t stream_log2 = 16, const ChannelPlace& place = {});
    // Errors of ChannelEnd::attach.
    static Result<ByteChannel> attach(Channel& end, const ChannelPlace& place = {});

    // Reads at least one byte, and no more than `bytes` holds. 0: the peer has finished.
    Result<size_t> read(std::span<std::byte> bytes, Deadline deadline = Deadline::never()) override;
    // Fills `bytes`. closed if the stream ended before.
    Result<void> read_all(std::span<std::byte> bytes, Deadline deadline = Deadline::never());
    // Writes at least one byte of `bytes` unless it is empty, and answers how many.
    Result<size_t> write_some(std::span<const std::byte> bytes,
                              Deadline deadline = Deadline::never()) override;
    // Writes all of `bytes`. After an error some may be written.
    Result<void> write(std::span<const std::byte> bytes, Deadline deadline = Deadline::never());
    Result<void> write(std::string_view text, Deadline deadline = Deadline::never()) {
        return write(std::as_bytes(std::span(text)), deadline);
    }
    // Returns when the peer has read everything.
    Result<void> sync(Deadline deadline = Deadline::never()) override {
        return wait([&] { return pair_.writer.prepare_drain(); }, deadline);
    }
    // Nothing will follow; the peer's reads answer 0 when they have got the rest.
    void finish() { pair_.writer.finish(); }

    // In place: channel/byte_stream.h.
    channel::ByteWriter<ChannelBell>& writer() { return pair_.writer; }
    channel::ByteReader<ChannelBell>& reader() { return pair_.reader; }
    // Until there is a byte to read (or the end), or room for one. `wanted` saves wake-ups.
    Result<void> wait_readable(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return wait([&] { return pair_.reader.prepare_wait(wanted); }, deadline);
    }
    Result<void> wait_writable(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return wait([&] { return pair_.writer.prepare_wait(wanted); }, deadline);
    }

private:
    using StructuredChannel::StructuredChannel;
};

struct ByteChannel::Made {
    ByteChannel mine;
    Channel theirs;
};

// Two queues of 64-byte messages.
class MessageChannel
    : public StructuredChannel<channel::MessagePair, channel::Structure::messages> {
public:
    struct Made;
    // Two queues of 2^slots_log2 messages. Errors of ChannelEnd::create.
    static Result<Made> create(uint8_t slots_log2, const ChannelPlace& place = {});
    // Errors of ChannelEnd::attach.
    static Result<MessageChannel> attach(Channel& end, const ChannelPlace& place = {});

    channel::MessageSender<ChannelBell>& sender() { return pair_.sender; }
    channel::MessageReceiver<ChannelBell>& receiver() { return pair_.receiver; }
    // Until there is a message, or room for one.
    Result<void> wait_received(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return wait([&] { return pair_.receiver.prepare_wait(wanted); }, deadline);
    }
    Result<void> wait_sendable(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return wait([&] { return pair_.sender.prepare_wait(wanted); }, deadline);
    }

private:
    using StructuredChannel::StructuredChannel;
};

struct MessageChannel::Made {
    MessageChannel mine;
    Channel theirs;
};

// Two packet queues with their buffers.
class PacketChannel : public StructuredChannel<channel::PacketPair, channel::Structure::packets> {
public:
    struct Made;
    // Errors of ChannelEnd::create.
    static Result<Made> create(channel::Geometry geometry, const ChannelPlace& place = {});
    // Errors of ChannelEnd::attach.
    static Result<PacketChannel> attach(Channel& end, const ChannelPlace& place = {});

    channel::PacketSender<ChannelBell>& sender() { return pair_.sender; }
    channel::PacketReceiver<ChannelBell>& receiver() { return pair_.receiver; }

    // Until a packet is there; until a buffer has come back; until either.
    Result<void> wait_received(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return wait([&] { return pair_.receiver.prepare_wait(wanted); }, deadline);
    }
    Result<void> wait_returned(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return wait([&] { return pair_.sender.prepare_wait(wanted); }, deadline);
    }
    Result<void> wait_either(Deadline deadline = Deadline::never()) {
        return wait([&] { return prepare_wait(); }, deadline);
    }
    // For those who sleep by other means: asks for both. A fault comes first.
    [[nodiscard]] channel::Wait prepare_wait() {
        const channel::Wait packets = pair_.receiver.prepare_wait();
        const channel::Wait buffers = pair_.sender.prepare_wait();
        return packets > buffers ? packets : buffers;
    }

private:
    using StructuredChannel::StructuredChannel;
};
static_assert(channel::Wait::faulted > channel::Wait::ready &&
              channel::Wait::ready > channel::Wait::sleep);

struct PacketChannel::Made {
    PacketChannel mine;
    Channel theirs;
};

// The end of a request queue that asks.
class RequestChannel
    : public StructuredChannel<channel::RequestAsker, channel::Structure::requests> {
public:
    struct Made;
    // Errors of ChannelEnd::create.
    static Result<Made> create(channel::Geometry geometry, const ChannelPlace& place = {});

    channel::RequestAsker<ChannelBell>& asker() { return pair_; }
    const channel::RequestAsker<ChannelBell>& asker() const { return pair_; }
    // Until there is an answer.
    Result<void> wait_answered(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return wait([&] { return pair_.prepare_wait(wanted); }, deadline);
    }

private:
    using StructuredChannel::StructuredChannel;
};

struct RequestChannel::Made {
    RequestChannel mine;
    Channel theirs;
};

// The end that answers.
class AnswerChannel
    : public StructuredChannel<channel::RequestAnswerer, channel::Structure::requests> {
public:
    // Errors of ChannelEnd::attach.
    static Result<AnswerChannel> attach(Channel& end, const ChannelPlace& place = {});

    channel::RequestAnswerer<ChannelBell>& answerer() { return pair_; }
    // Until there is a request.
    Result<void> wait_asked(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return wait([&] { return pair_.prepare_wait(wanted); }, deadline);
    }

private:
    using StructuredChannel::StructuredChannel;
};

// One value each way, of which only the newest counts (channel/latest_value.h).
class LatestChannel : public StructuredChannel<channel::LatestPair, channel::Structure::latest> {
public:
    struct Made;
    // Values of 2^value_log2 bytes. Errors of ChannelEnd::create.
    static Result<Made> create(uint8_t value_log2, const ChannelPlace& place = {});
    // Errors of ChannelEnd::attach.
    static Result<LatestChannel> attach(Channel& end, const ChannelPlace& place = {});

    channel::LatestWriter<ChannelBell>& writer() { return pair_.writer; }
    channel::LatestReader& reader() { return pair_.reader; }

    // The peer's newest value, once there is one that was not read before. `into` has the size of a
    // value. try_again: the peer was faster each time. closed: it is gone, and its last value was
    // read.
    Result<void> read_newer(std::span<std::byte> into, Deadline deadline = Deadline::never());
    // Until there is a newer value.
    Result<void> wait_newer(Deadline deadline = Deadline::never()) {
        return wait([&] { return pair_.reader.prepare_wait(); }, deadline);
    }

private:
    using StructuredChannel::StructuredChannel;
};

struct LatestChannel::Made {
    LatestChannel mine;
    Channel theirs;
};

}  // namespace annulus
