// SPDX-License-Identifier: MIT
// The network interface (abi/packet.h): what its clients may ask, and the work between one of them
// and the device.
//
// Two threads. The server's answers requests: it prepares a Port for a client that attaches. The
// worker's takes the Port, starts the device for it, and moves packets until the client goes; then
// it resets the device, which gives all buffers back, before the Port and its memory go. So a
// device that runs always belongs to one Port.
// Locking: `mutex_` guards what both threads touch; the device is the worker's, but for its address
// and link state, which anybody may read.
#pragma once

#include "drivers/network/virtio/port.h"
#include "runtime/mutex.h"
#include "runtime/server.h"

namespace annulus::virtio {

class Interface final : public ServedByThis {
public:
    static Result<std::unique_ptr<Interface>> create(Device& device, const Server& server,
                                                     BudgetReference budget);

    Answer handle(Request& request) override;

    // The worker's loop. Returns only with an error: the device cannot be trusted any more.
    Result<void> work();

    // The client's attachment number `session` has no handles any more. The server's thread.
    void detach(uint64_t session);

    Interface(Device& device, const Server& server, Mutex mutex, Semaphore control,
              Semaphore queues_fired, Semaphore config_fired)
        : device_(device),
          server_(server),
          mutex_(std::move(mutex)),
          control_(std::move(control)),
          queues_fired_(std::move(queues_fired)),
          config_fired_(std::move(config_fired)) {}

private:
    // What the worker waits for.
    enum class Event : uint8_t { control, queues, config, bell };

    Answer info(const Request& request);
    Answer statistics(const Request& request) const;
    Answer watch_link(Request& request);
    Answer open(Request& request);
    Result<Served> attach(Channel end, uint64_t request);

    Result<void> serve(Port& port, uint64_t session);
    Result<Event> wait_for_event(const Port* port);
    void tell_link_changed();

    Device& device_;
    const Server& server_;
    Mutex mutex_;
    Semaphore control_;  // rings when the server's thread has changed something for the worker
    Semaphore queues_fired_;
    Semaphore config_fired_;
    Counters counters_;
    // Relaxed: control_ rings after it was written, and the worker looks again.
    std::atomic<uint64_t> leaving_{0};  // the session that was detached last
    uint64_t session_ GUARDED_BY(mutex_) = 0;
    bool attached_ GUARDED_BY(mutex_) = false;
    std::unique_ptr<Port> waiting_ GUARDED_BY(mutex_);  // for the worker to take
    std::array<Semaphore, abi::packet_watches_max> link_watches_ GUARDED_BY(mutex_);
};

}  // namespace annulus::virtio
