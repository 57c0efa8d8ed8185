// SPDX-License-Identifier: MIT
// Streams by synchronous calls: one request moves at most what the server's block holds.

#include "runtime/stream.h"

#include "abi/stream.h"

namespace annulus {

namespace {

// The most bytes that are asked for in one request.
constexpr size_t request_max = UINT32_MAX;

template <typename Byte>
std::span<Byte> one_request(std::span<Byte> bytes) {
    return bytes.first(bytes.size() < request_max ? bytes.size() : request_max);
}

}  // namespace

Result<size_t> Stream::read(std::span<std::byte> bytes, Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::read, abi::stream_read);
    const auto answer = system::call_buffer(
        value(), operation, system::buffer_out(one_request(bytes)), 0, 0, 0, 0, 0, 0, deadline.at);
    if (!answer.status.ok()) return answer.status;
    return static_cast<size_t>(answer.bytes_out);
}

Result<void> Stream::read_all(std::span<std::byte> bytes, Deadline deadline) const {
    while (!bytes.empty()) {
        const size_t count = TRY(read(bytes, deadline));
        if (count == 0) return Error::closed;
        bytes = bytes.subspan(count);
    }
    return {};
}

Result<size_t> Stream::write_some(std::span<const std::byte> bytes, Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::write, abi::stream_write);
    bytes = one_request(bytes);
    const auto answer = system::call_buffer(value(), operation, system::buffer_in(bytes), 0, 0, 0,
                                            0, 0, 0, deadline.at);
    if (!answer.status.ok()) return answer.status;
    // A server that claims more than it was given has broken the protocol.
    if (answer.words[0] > bytes.size()) return Error::faulted;
    return static_cast<size_t>(answer.words[0]);
}

Result<void> Stream::write(std::span<const std::byte> bytes, Deadline deadline) const {
    while (!bytes.empty()) {
        const size_t count = TRY(write_some(bytes, deadline));
        if (count == 0) return Error::faulted;  // the protocol promises at least one byte
        bytes = bytes.subspan(count);
    }
    return {};
}

Result<void> Stream::sync(Deadline deadline) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::sync, abi::stream_sync);
    return system::call_buffer(value(), operation, {}, 0, 0, 0, 0, 0, 0, deadline.at).status;
}

}  // namespace annulus
