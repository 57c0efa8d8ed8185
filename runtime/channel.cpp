// SPDX-License-Identifier: MIT
// Typed channels: making them, and bytes with blocking.
#include "runtime/channel.h"

namespace annulus {

Result<ByteChannel::Made> ByteChannel::create(uint8_t stream_log2, const ChannelPlace& place) {
    auto made = TRY(ChannelEnd::create(channel::bytes_geometry(stream_log2), place));
    return Made{ByteChannel(std::move(made.mine)), std::move(made.theirs)};
}

Result<ByteChannel> ByteChannel::attach(Channel& end, const ChannelPlace& place) {
    return ByteChannel(TRY(ChannelEnd::attach(end, channel::Structure::bytes, place)));
}

Result<MessageChannel::Made> MessageChannel::create(uint8_t slots_log2, const ChannelPlace& place) {
    auto made = TRY(ChannelEnd::create(channel::messages_geometry(slots_log2), place));
    return Made{MessageChannel(std::move(made.mine)), std::move(made.theirs)};
}

Result<MessageChannel> MessageChannel::attach(Channel& end, const ChannelPlace& place) {
    return MessageChannel(TRY(ChannelEnd::attach(end, channel::Structure::messages, place)));
}

Result<PacketChannel::Made> PacketChannel::create(channel::Geometry geometry,
                                                  const ChannelPlace& place) {
    if (geometry.structure != channel::Structure::packets) return Error::bad_argument;
    auto made = TRY(ChannelEnd::create(geometry, place));
    return Made{PacketChannel(std::move(made.mine)), std::move(made.theirs)};
}

Result<PacketChannel> PacketChannel::attach(Channel& end, const ChannelPlace& place) {
    return PacketChannel(TRY(ChannelEnd::attach(end, channel::Structure::packets, place)));
}

Result<RequestChannel::Made> RequestChannel::create(channel::Geometry geometry,
                                                    const ChannelPlace& place) {
    if (geometry.structure != channel::Structure::requests) return Error::bad_argument;
    auto made = TRY(ChannelEnd::create(geometry, place));
    return Made{RequestChannel(std::move(made.mine)), std::move(made.theirs)};
}

Result<AnswerChannel> AnswerChannel::attach(Channel& end, const ChannelPlace& place) {
    return AnswerChannel(TRY(ChannelEnd::attach(end, channel::Structure::requests, place)));
}

Result<LatestChannel::Made> LatestChannel::create(uint8_t value_log2, const ChannelPlace& place) {
    auto made = TRY(ChannelEnd::create(channel::latest_geometry(value_log2), place));
    return Made{LatestChannel(std::move(made.mine)), std::move(made.theirs)};
}

Result<LatestChannel> LatestChannel::attach(Channel& end, const ChannelPlace& place) {
    return LatestChannel(TRY(ChannelEnd::attach(end, channel::Structure::latest, place)));
}

Result<void> LatestChannel::read_newer(std::span<std::byte> into, Deadline deadline) {
    for (;;) {
        switch (pair_.reader.read(into)) {
            case channel::Reading::newer: return {};
            case channel::Reading::overtaken: return Error::try_again;
            case channel::Reading::unchanged: break;
        }
        TRY(wait_newer(deadline));
    }
}

Result<size_t> ByteChannel::read(std::span<std::byte> bytes, Deadline deadline) {
    for (;;) {
        const size_t count = pair_.reader.read(bytes);
        if (count != 0 || bytes.empty() || pair_.reader.ended()) return count;
        TRY(wait_readable(deadline));
    }
}

Result<void> ByteChannel::read_all(std::span<std::byte> bytes, Deadline deadline) {
    while (!bytes.empty()) {
        const size_t count = TRY(read(bytes, deadline));
        if (count == 0) return Error::closed;
        bytes = bytes.subspan(count);
    }
    return {};
}

Result<size_t> ByteChannel::write_some(std::span<const std::byte> bytes, Deadline deadline) {
    if (pair_.writer.finished()) return Error::wrong_state;
    for (;;) {
        const size_t count = pair_.writer.write(bytes);
        if (count != 0 || bytes.empty()) return count;
        TRY(wait_writable(deadline));
    }
}

Result<void> ByteChannel::write(std::span<const std::byte> bytes, Deadline deadline) {
    while (!bytes.empty()) {
        const size_t count = TRY(write_some(bytes, deadline));
        bytes = bytes.subspan(count);
    }
    return {};
}

}  // namespace annulus
