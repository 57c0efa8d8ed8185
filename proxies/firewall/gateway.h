// SPDX-License-Identifier: MIT
// The firewall as a network interface: to its client it is one, to the interface behind it is a
// client.
#pragma once

#include "proxies/firewall/passage.h"
#include "runtime/packet_server.h"

namespace annulus::firewall {

class Gateway final : public PacketServer<Passage> {
public:
    static Result<std::unique_ptr<Gateway>> create(const Server& server, PacketInterface behind,
                                                   std::span<const Rule> rules,
                                                   BudgetReference budget);

    // The worker's loop: until the interface behind has died, or the semaphores are gone.
    Result<void> work();

    Gateway(const Server& server, Parts parts, PacketInterface behind, Semaphore link_changed,
            std::span<const Rule> rules)
        : PacketServer(server, std::move(parts)),
          behind_(behind),
          link_changed_(std::move(link_changed)),
          filter_(rules) {}

private:
    enum class Event : uint8_t { control, link, client, behind };

    Result<abi::PacketInterfaceInfo> info() override { return behind_.info(); }
    abi::PacketStatistics statistics() override;
    Result<std::unique_ptr<Passage>> make_port(Channel end) override {
        return Passage::create(std::move(end), behind_, filter_, traffic_);
    }

    Result<void> serve(Passage& passage, uint64_t session);
    Result<Event> wait_for_event(const Passage* passage);

    PacketInterface behind_;
    Semaphore link_changed_;
    Filter filter_;  // the worker's
    Traffic traffic_;
    std::atomic<uint64_t> attachments_{0};
};

}  // namespace annulus::firewall
