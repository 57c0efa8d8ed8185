// SPDX-License-Identifier: MIT
// The serial console as a stream.
#include "drivers/console/serial/console.h"

#include "abi/stream.h"
#include "runtime/clock.h"

namespace annulus::serial {

Answer SerialConsole::handle(Request& request) {
    if (request.is(abi::Verb::read, abi::stream_read)) return start_read(request);
    if (request.is(abi::Verb::write, abi::stream_write)) return start_write(request);
    if (request.is(abi::Verb::sync, abi::stream_sync)) return start_sync(request);
    if (request.is(abi::Verb::get, abi::get_protocol)) {
        return Answer::with_words(abi::Protocol::stream, abi::stream_version,
                                  request.block_bytes());
    }
    return Error::bad_operation;
}

Answer SerialConsole::start_read(const Request& request) {
    if (request.word(0) != 0) return Status(Error::bad_argument, 0);
    if (request.space().empty()) return Answer::with_bytes(0);
    const uint64_t deadline = request.deadline().at;
    {
        Lock lock(mutex_);
        if (!received_.add_read({request.id(), request.space(), deadline})) return Error::limit;
        answer_reads_locked();
    }
    // It may be earlier than the one that the other thread waits for.
    if (deadline != abi::deadline_never) static_cast<void>(signal(wake_));
    return Answer::later();
}

Answer SerialConsole::start_write(const Request& request) {
    if (request.word(0) != 0) return Status(Error::bad_argument, 0);
    if (request.bytes().empty()) return Answer::with_words(0);
    return enqueue(request.id(), request.bytes());
}

Answer SerialConsole::start_sync(const Request& request) { return enqueue(request.id(), {}); }

// Most writes are short and find the transmitter empty: then this is their answer.
Answer SerialConsole::enqueue(uint64_t request, std::span<const std::byte> bytes) {
    Lock lock(mutex_);
    if (!transmits_.add(request, bytes)) return Error::limit;
    const auto answered = transmit_locked(request);
    if (!answered.ok()) panic("the ports are gone");
    return *answered ? Answer::with_words(bytes.size()) : Answer::later();
}

// An edge that comes while the line is masked is lost, so the device is asked once more after it
// was unmasked.
void SerialConsole::add_early(std::byte byte) {
    Lock lock(mutex_);
    received_.add_byte(byte);
}

Result<void> SerialConsole::interrupted() {
    Lock lock(mutex_);
    do {
        TRY(receive_locked());
        TRY(transmit_locked(0));
        TRY(line_.set_acknowledge());
    } while (TRY(uart_.asks_for_interrupt()));
    return {};
}

Result<void> SerialConsole::receive_locked() {
    while (TRY(uart_.status()).has_data()) {
        // Without a reader for 4096 bytes the newest are lost, as on the wire.
        received_.add_byte(TRY(uart_.receive()));
    }
    answer_reads_locked();
    return {};
}

void SerialConsole::answer_reads_locked() {
    ReceiveQueue::Filled filled;
    while (received_.fill_first(filled)) {
        const Answer answer = Answer::with_bytes(filled.bytes);
        const auto outcome =
            system::reply_and_wait(server_.table().value(), filled.request, answer.reply(),
                                   abi::deadline_poll, abi::reply_only);
        const bool gone = (outcome.status.detail() & abi::delivery_client_gone) != 0;
        received_.finish_first(gone ? 0 : filled.bytes);
    }
}

// Hands over as much as the transmitter takes. True: that finished the request `current`, which is
// not answered here.
Result<bool> SerialConsole::transmit_locked(uint64_t current) {
    bool finished = false;
    while (!transmits_.empty()) {
        if (!TRY(uart_.status()).takes_batch()) break;
        finished = answer_writes_locked(current, true) || finished;
        std::byte buffer[transmit_batch];
        const auto batch = transmits_.next_batch(buffer);
        if (!batch.empty()) TRY(uart_.transmit(batch));
        finished = answer_writes_locked(current, false) || finished;
    }
    TRY(uart_.set_transmit_interrupt(!transmits_.empty()));
    return finished;
}

bool SerialConsole::answer_writes_locked(uint64_t current, bool drained) {
    bool finished = false;
    TransmitQueue::Finished write;
    while (transmits_.take_finished(write, drained)) {
        if (write.request == current) {
            finished = true;
        } else {
            static_cast<void>(server_.reply(write.request, Answer::with_words(write.bytes)));
        }
    }
    return finished;
}

void SerialConsole::end_expired_reads() {
    Lock lock(mutex_);
    uint64_t request;
    while (received_.take_expired(now(), request)) {
        static_cast<void>(server_.reply(request, Error::timed_out));
    }
}

Deadline SerialConsole::next_deadline() {
    Lock lock(mutex_);
    return {received_.next_deadline()};
}

}  // namespace annulus::serial
