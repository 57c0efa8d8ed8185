// SPDX-License-Identifier: MIT
// Streams by synchronous calls: one request moves at most what the server's block holds. Those with
// a transport leave the moving to it.

#include "runtime/stream.h"

#include "abi/stream.h"
#include "runtime/transfer.h"

namespace annulus {

namespace {

constexpr uint64_t write_operation = abi::operation_word(abi::Verb::write, abi::stream_write);

}  // namespace

Result<size_t> Stream::read(std::span<std::byte> bytes, Deadline deadline) const {
    if (transport_ != nullptr) return transport_->read(bytes, deadline);
    constexpr uint64_t operation = abi::operation_word(abi::Verb::read, abi::stream_read);
    const auto answer = system::call_buffer(value(), operation, system::buffer_out(bytes), 0, 0, 0,
                                            0, 0, 0, deadline.at);
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
    if (transport_ != nullptr) return transport_->write_some(bytes, deadline);
    size_t most = transfer_max;
    return write_once(value(), write_operation, bytes, 0, deadline, most);
}

Result<void> Stream::write(std::span<const std::byte> bytes, Deadline deadline) const {
    size_t most = transfer_max;
    while (!bytes.empty()) {
        const size_t count =
            transport_ != nullptr
                ? TRY(transport_->write_some(bytes, deadline))
                : TRY(write_once(value(), write_operation, bytes, 0, deadline, most));
        if (count == 0) return Error::faulted;  // the protocol promises at least one byte
        bytes = bytes.subspan(count);
    }
    return {};
}

Result<void> Stream::sync(Deadline deadline) const {
    if (transport_ != nullptr) return transport_->sync(deadline);
    constexpr uint64_t operation = abi::operation_word(abi::Verb::sync, abi::stream_sync);
    return system::call_buffer(value(), operation, {}, 0, 0, 0, 0, 0, 0, deadline.at).status;
}

}  // namespace annulus
