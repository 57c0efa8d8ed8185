// SPDX-License-Identifier: MIT
// The serial console as a stream (abi/stream.h) for any number of clients.
//
// Reads and writes are answered when they are done, each kind in the order of arrival. Bytes pass
// unchanged: what Ctrl-C means, and whether a line ends with CR or LF, is for the reader to say.
// Locking: `mutex_` guards everything; two threads call, the server's and the interrupt's.
#pragma once

#include "drivers/console/serial/receive_queue.h"
#include "drivers/console/serial/transmit_queue.h"
#include "drivers/console/serial/uart.h"
#include "runtime/mutex.h"
#include "runtime/server.h"

namespace annulus::serial {

class SerialConsole final : public ServedByThis {
public:
    // `wake` wakes the thread that waits for interrupts and for next_deadline().
    SerialConsole(Uart uart, InterruptReference line, SemaphoreReference wake, const Server& server,
                  Mutex mutex)
        : uart_(uart), line_(line), wake_(wake), server_(server), mutex_(std::move(mutex)) {}

    Answer handle(Request& request) override;

    // A byte that arrived before the driver was there.
    void add_early(std::byte byte);

    // Serves the device after an interrupt, and unmasks the line.
    Result<void> interrupted();

    // Ends reads whose clients do not wait any more.
    void end_expired_reads();

    // When end_expired_reads is due.
    Deadline next_deadline();

private:
    Answer start_read(const Request& request);
    Answer start_write(const Request& request);
    Answer start_sync(const Request& request);
    Answer enqueue(uint64_t request, std::span<const std::byte> bytes);

    Result<void> receive_locked() REQUIRES(mutex_);
    void answer_reads_locked() REQUIRES(mutex_);
    Result<bool> transmit_locked(uint64_t current) REQUIRES(mutex_);
    bool answer_writes_locked(uint64_t current, bool drained) REQUIRES(mutex_);

    Uart uart_;
    InterruptReference line_;
    SemaphoreReference wake_;
    const Server& server_;
    Mutex mutex_;
    ReceiveQueue received_ GUARDED_BY(mutex_);
    TransmitQueue transmits_ GUARDED_BY(mutex_);
};

}  // namespace annulus::serial
