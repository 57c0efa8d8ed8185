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
#include "runtime/packet_server.h"
#include "runtime/semaphore_set.h"

namespace annulus::virtio {

class Interface final : public PacketServer<Port> {
public:
    static Result<std::unique_ptr<Interface>> create(Device& device, const Server& server,
                                                     BudgetReference budget);

    // The worker's loop. Returns only with an error: the device cannot be trusted any more.
    Result<void> work();

    Interface(Device& device, const Server& server, Parts parts, SemaphoreSet events,
              Semaphore queues_fired, Semaphore config_fired, Semaphore manager_died)
        : PacketServer(server, std::move(parts)),
          device_(device),
          events_(std::move(events)),
          queues_fired_(std::move(queues_fired)),
          config_fired_(std::move(config_fired)),
          manager_died_(std::move(manager_died)) {}

private:
    // What the worker waits for: keys of `events_`.
    enum class Event : uint8_t { control, queues, config, bell, manager };

    Result<abi::PacketInterfaceInfo> info() override;
    abi::PacketStatistics statistics() override;
    Result<std::unique_ptr<Port>> make_port(Channel& end) override {
        return Port::create(end, device_.pci(), counters_, events_.handle(),
                            static_cast<uint64_t>(Event::bell));
    }

    Result<void> serve(Port& port, uint64_t session);
    Result<Event> wait_for_event();

    Device& device_;
    SemaphoreSet events_;
    Semaphore queues_fired_;
    Semaphore config_fired_;
    Semaphore manager_died_;
    Counters counters_;
};

}  // namespace annulus::virtio
