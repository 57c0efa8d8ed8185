// SPDX-License-Identifier: MIT
// Sockets by synchronous calls.

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

Result<Owned<Connection>> Listener::accept(Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::accept, abi::net_accept);
    const auto answer = system::call_buffer(value(), operation, {}, 0, 0, 0, 0, 0, 0, deadline.at);
    if (!answer.status.ok()) return answer.status;
    // A server that answers without a handle has broken the protocol.
    if ((answer.handle_mask & 1) == 0) return Error::faulted;
    return Owned<Connection>(answer.words[0]);
}

Result<abi::NetworkState> Network::state(Deadline deadline) const {
    return read_record<abi::NetworkState>(value(), deadline);
}

}  // namespace annulus
