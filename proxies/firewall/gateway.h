// SPDX-License-Identifier: MIT
// The firewall as a network interface: to its client it is one, to the interface behind it is a
// client.
#pragma once

#include "proxies/firewall/passage.h"
#include "runtime/packet_server.h"
#include "runtime/semaphore_set.h"

namespace annulus::firewall {

class Gateway final : public PacketServer<Passage> {
public:
    static Result<std::unique_ptr<Gateway>> create(const Server& server, PacketInterface behind,
                                                   std::span<const Rule> rules,
                                                   BudgetReference budget);

    // The worker's loop: until the interface behind has died, or the semaphores are gone.
    Result<void> work();

    Gateway(const Server& server, Parts parts, PacketInterface behind, SemaphoreSet events,
            Semaphore link_changed, std::span<const Rule> rules)
        : PacketServer(server, std::move(parts)),
          behind_(behind),
          events_(std::move(events)),
          link_changed_(std::move(link_changed)),
          filter_(rules) {}

private:
    // Keys of `events_`.
    enum class Event : uint8_t { control, link, client, behind, count };

    Result<abi::PacketInterfaceInfo> info() override { return behind_.info(); }
    abi::PacketStatistics statistics() override;
    Result<std::unique_ptr<Passage>> make_port(Channel end) override {
        return Passage::create(std::move(end), behind_, filter_, traffic_,
                               {events_.handle(), static_cast<uint64_t>(Event::client),
                                static_cast<uint64_t>(Event::behind)});
    }

    Result<void> serve(Passage& passage, uint64_t session);
    Result<Event> wait_for_event();

    PacketInterface behind_;
    SemaphoreSet events_;
    Semaphore link_changed_;
    Filter filter_;  // the worker's
    Traffic traffic_;
    std::atomic<uint64_t> attachments_{0};
};

}  // namespace annulus::firewall
