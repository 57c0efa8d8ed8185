// SPDX-License-Identifier: MIT
// Sockets by synchronous calls, and connections through channels.

#include "runtime/network.h"

namespace annulus {

namespace {

// Reads a record that must come whole.
template <typename Record>
Result<Record> read_record(abi::Handle object, Deadline deadline) {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::get, abi::net_get);
    Record record{};
    const auto answer = system::call_buffer(object, operation, system::buffer_out(record), 0, 0, 0,
                                            0, 0, 0, deadline.at);
    if (!answer.status.ok()) return answer.status;
    if (answer.bytes_out != sizeof(Record)) return Error::wrong_version;
    return record;
}

// What the end of a connection's channel says about the connection.
Result<void> meaning(const Result<void>& waited) {
    if (waited.ok()) return waited;
    const Status status = waited.status();
    if (status.code() == Error::closed) return Error::server_died;
    if (status.code() != Error::faulted) return status;
    if (status.extra() == abi::net_stream_reset) return Error::closed;
    if (status.extra() == abi::net_stream_timed_out) return Error::timed_out;
    return status;
}

}  // namespace

Result<void> Connection::shut_down(uint64_t sides, Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::shutdown, abi::net_shutdown);
    return system::call_buffer(value(), operation, {}, sides, 0, 0, 0, 0, 0, deadline.at).status;
}

Result<void> Connection::set_option(abi::ConnectionOption option, uint64_t setting,
                                    Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::set, abi::net_set);
    return system::call_buffer(value(), operation, {}, static_cast<uint64_t>(option), setting, 0, 0,
                               0, 0, deadline.at)
        .status;
}

Result<abi::ConnectionState> Connection::state(Deadline deadline) const {
    return read_record<abi::ConnectionState>(value(), deadline);
}

Result<Owned<Connection>> Listener::accept(Deadline deadline, Channel peer) const {
    const unsigned mask = peer.empty() ? 0 : 1u << 0;
    const uint64_t operation =
        abi::operation_word(abi::Verb::accept, abi::net_accept, mask) | abi::call_takes_handles;
    const auto answer =
        system::call_buffer(value(), operation, {}, peer.value(), 0, 0, 0, 0, 0, deadline.at);
    if (mask != 0) settle_moved(answer, 0, peer);
    if (!answer.status.ok()) return answer.status;
    // A server that answers without a handle has broken the protocol.
    if ((answer.handle_mask & 1) == 0) return Error::faulted;
    return Owned<Connection>(answer.words[0]);
}

Result<abi::ListenerState> Listener::state(Deadline deadline) const {
    return read_record<abi::ListenerState>(value(), deadline);
}

Result<abi::NetworkState> Network::state(Deadline deadline) const {
    return read_record<abi::NetworkState>(value(), deadline);
}

Result<ConnectionChannel::Made> ConnectionChannel::connect(Network network, std::string_view path,
                                                           Deadline deadline, uint8_t stream_log2) {
    auto made = TRY(ByteChannel::create(stream_log2));
    Object theirs = std::move(made.theirs);
    Object opened = TRY(open(network, path, abi::open_read | abi::open_write, deadline, theirs));
    Owned<Connection> connection(opened.release());
    const Connection reference = connection;
    return Made{std::move(connection), ConnectionChannel(std::move(made.mine), reference)};
}

Result<ConnectionChannel::Made> ConnectionChannel::accept(Listener listener, Deadline deadline,
                                                          uint8_t stream_log2) {
    auto made = TRY(ByteChannel::create(stream_log2));
    auto connection = TRY(listener.accept(deadline, std::move(made.theirs)));
    const Connection reference = connection;
    return Made{std::move(connection), ConnectionChannel(std::move(made.mine), reference)};
}

Result<ConnectionChannel> ConnectionChannel::attach(Connection connection, Deadline deadline,
                                                    uint8_t stream_log2) {
    auto made = TRY(ByteChannel::create(stream_log2));
    constexpr uint64_t operation = abi::operation_word(abi::Verb::share, abi::net_share, 1u << 0);
    const auto answer = system::call_buffer(connection.value(), operation, {}, made.theirs.value(),
                                            0, 0, 0, 0, 0, deadline.at);
    settle_moved(answer, 0, made.theirs);
    if (!answer.status.ok()) return answer.status;
    return ConnectionChannel(std::move(made.mine), connection);
}

Result<size_t> ConnectionChannel::read(std::span<std::byte> bytes, Deadline deadline) {
    for (;;) {
        const size_t count = reader().read(bytes);
        if (count != 0 || bytes.empty() || reader().ended()) return count;
        TRY(wait_readable(deadline));
    }
}

Result<size_t> ConnectionChannel::write_some(std::span<const std::byte> bytes, Deadline deadline) {
    if (writer().finished()) return Error::wrong_state;
    for (;;) {
        const size_t count = writer().write(bytes);
        if (count != 0 || bytes.empty()) return count;
        TRY(wait_writable(deadline));
    }
}

Result<void> ConnectionChannel::write(std::span<const std::byte> bytes, Deadline deadline) {
    while (!bytes.empty()) bytes = bytes.subspan(TRY(write_some(bytes, deadline)));
    return {};
}

Result<void> ConnectionChannel::wait_writable(Deadline deadline) {
    return meaning(channel_.wait_writable(deadline, writer().capacity() / 2));
}

Result<void> ConnectionChannel::wait_readable(Deadline deadline) {
    return meaning(channel_.wait_readable(deadline));
}

}  // namespace annulus
