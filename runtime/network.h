// SPDX-License-Identifier: MIT
// Sockets behind handles, by synchronous calls. They are opened by path, as files are:
//
//   const auto listener = TRY(network.open<Listener>("tcp/listen/80", abi::open_read));
//   const auto connection = TRY(listener.accept());
//   TRY(connection.write("hello\n"));
//
// For many bytes, through a channel, with the same operations and in place (channel/byte_stream.h):
//
//   auto made = TRY(ConnectionChannel::connect(network, "tcp/connect/10.0.2.2/80"));
//   const Stream stream(made.bytes, made.connection);
#pragma once

#include "abi/net.h"
#include "runtime/channel.h"
#include "runtime/directory.h"
#include "runtime/stream.h"

namespace annulus {

// Names a served object that knows a connection's part of abi/net.h. Does not own the handle.
class Connection : public Stream {
public:
    using Reference = Connection;
    using Stream::Stream;

    // `sides`: abi::shutdown_send, abi::shutdown_receive, or both.
    Result<void> shut_down(uint64_t sides, Deadline deadline = Deadline::never()) const;
    Result<void> set_option(abi::ConnectionOption option, uint64_t value,
                            Deadline deadline = Deadline::never()) const;
    Result<abi::ConnectionState> state(Deadline deadline = Deadline::never()) const;
};

// Names a listening port. Does not own the handle.
class Listener : public ServedReference {
public:
    using Reference = Listener;
    using ServedReference::ServedReference;

    // The next connection, of which the caller owns the handle. `peer`, the end of a channel or
    // empty, moves to the network; on an error it may be gone.
    Result<Owned<Connection>> accept(Deadline deadline = Deadline::never(),
                                     Channel peer = {}) const;
    Result<abi::ListenerState> state(Deadline deadline = Deadline::never()) const;
};

// Names the network, or a prefix of its paths. Does not own the handle.
class Network : public Directory {
public:
    using Reference = Network;
    using Directory::Directory;

    // Of the network itself only.
    Result<abi::NetworkState> state(Deadline deadline = Deadline::never()) const;
};

// The bytes of a connection in memory shared with the network: no request moves them, and the
// kernel is entered to sleep and to wake only. Does not own the connection. Errors beside those of
// abi/net.h: closed: the peer has reset the connection; timed_out also when the peer does not
// answer any more; server_died: the network has.
class ConnectionChannel final : public StreamTransport {
public:
    struct Made;
    static constexpr uint8_t usual_log2 = 15;

    // Streams of 2^stream_log2 bytes each way, at most 2^net_stream_log2_max. Errors also of
    // ByteChannel::create.
    static Result<Made> connect(Network network, std::string_view path,
                                Deadline deadline = Deadline::never(),
                                uint8_t stream_log2 = usual_log2);
    static Result<Made> accept(Listener listener, Deadline deadline = Deadline::never(),
                               uint8_t stream_log2 = usual_log2);
    // For a connection that was used by calls; none is under way. After an error it is used so
    // still.
    static Result<ConnectionChannel> attach(Connection connection,
                                            Deadline deadline = Deadline::never(),
                                            uint8_t stream_log2 = usual_log2);

    Result<size_t> read(std::span<std::byte> bytes, Deadline deadline = Deadline::never()) override;
    Result<size_t> write_some(std::span<const std::byte> bytes,
                              Deadline deadline = Deadline::never()) override;
    // Writes all of `bytes`. After an error some may be written.
    Result<void> write(std::span<const std::byte> bytes, Deadline deadline = Deadline::never());
    // Returns when the peer has acknowledged what was written.
    Result<void> sync(Deadline deadline = Deadline::never()) override {
        return connection_.sync(deadline);
    }
    // Nothing will follow: the peer reads the end of the stream after what was written.
    void finish() { channel_.finish(); }

    // For use in place: reserve() and commit(), peek() and release().
    channel::ByteWriter<ChannelBell>& writer() { return channel_.writer(); }
    channel::ByteReader<ChannelBell>& reader() { return channel_.reader(); }
    // Until there is room (half of the stream at best, which saves wake-ups), or a byte or the end.
    Result<void> wait_writable(Deadline deadline = Deadline::never());
    Result<void> wait_readable(Deadline deadline = Deadline::never());

private:
    ConnectionChannel(ByteChannel channel, Connection connection)
        : channel_(std::move(channel)), connection_(connection) {}

    ByteChannel channel_;
    Connection connection_;
};

struct ConnectionChannel::Made {
    // The channel goes first: what it holds is still sent when the connection is closed.
    Owned<Connection> connection;
    ConnectionChannel bytes;
};

}  // namespace annulus
