// SPDX-License-Identifier: MIT
// Network interfaces by synchronous calls.
#include "runtime/packet_interface.h"

#include "abi/directory.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"

namespace annulus {

namespace {

constexpr Duration busy_pause = milliseconds(5);

template <typename Record>
Result<Record> get_record(ServedReference object, uint16_t selector) {
    Record record;
    const auto answer = system::call_buffer(
        object.value(), abi::operation_word(abi::Verb::get, selector), system::buffer_out(record));
    if (!answer.status.ok()) return answer.status;
    if (answer.bytes_out < sizeof(record)) return Error::faulted;
    return record;
}

}  // namespace

Result<abi::PacketInterfaceInfo> PacketInterface::info() const {
    return get_record<abi::PacketInterfaceInfo>(*this, abi::packet_get_info);
}

Result<abi::PacketStatistics> PacketInterface::statistics() const {
    return get_record<abi::PacketStatistics>(*this, abi::packet_get_statistics);
}

Result<void> PacketInterface::watch_link(SemaphoreReference semaphore) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::watch, abi::packet_watch_link, 1);
    auto copy = TRY(semaphore.get_duplicate(abi::right_signal, 0));
    const auto answer = system::call_words(value(), operation, copy.handle.value());
    settle_moved(answer, 0, copy.handle);
    return answer.status;
}

Result<Served> PacketInterface::attach(Channel& peer, Deadline deadline) const {
    constexpr unsigned moves_word_1 = 2;
    constexpr uint64_t operation =
        abi::operation_word(abi::Verb::open, abi::directory_open, moves_word_1) |
        abi::call_takes_handles;
    for (;;) {
        const auto answer = system::call_words(value(), operation, 0, peer.value());
        settle_moved(answer, 1, peer);  // a refused end comes back, for the next attempt
        if (answer.status.ok()) {
            if ((answer.handle_mask & 1) == 0) return Error::faulted;
            return Served(answer.words[0]);
        }
        if (answer.status.code() != Error::busy || now() >= deadline.at) return answer.status;
        const BinarySemaphore never = TRY(BinarySemaphore::create());
        static_cast<void>(wait_for(never.handle(), Deadline::after(busy_pause)));
    }
}

}  // namespace annulus
