// SPDX-License-Identifier: MIT
// The firewall as a network interface: to its client it is one, to the interface behind it is a
// client.
#pragma once

#include "proxies/firewall/passage.h"
#include "runtime/packet_server.h"
#include "runtime/renewable.h"
#include "runtime/semaphore_set.h"

namespace annulus::firewall {

class Gateway final : public PacketServer<Passage> {
public:
    using Behind = Renewable<PacketInterface>;

    static Result<std::unique_ptr<Gateway>> create(const Server& server, Behind behind,
                                                   std::unique_ptr<Rules> rules,
                                                   BudgetReference budget);

    // From its return on what passes is judged by these. The server's thread.
    void replace_rules(std::unique_ptr<Rules> rules);

    // What was decided so far.
    struct Decisions {
        size_t rules;  // in force
        std::array<uint64_t, verdict_count> by_verdict;
    };
    Decisions decisions();

    // The worker's loop: until the interface behind has died and is not renewable, or the
    // semaphores are gone.
    Result<void> work();

    Gateway(const Server& server, Parts parts, Mutex behind_mutex, Behind behind,
            SemaphoreSet events, Semaphore link_changed, Mutex filter_mutex,
            std::unique_ptr<Rules> rules)
        : PacketServer(server, std::move(parts)),
          behind_mutex_(std::move(behind_mutex)),
          behind_(std::move(behind)),
          events_(std::move(events)),
          link_changed_(std::move(link_changed)),
          filter_mutex_(std::move(filter_mutex)),
          rules_(std::move(rules)),
          filter_(rules_->all()) {}

private:
    // Keys of `events_`.
    enum class Event : uint8_t { control, link, client, behind };

    Result<abi::PacketInterfaceInfo> info() override;
    abi::PacketStatistics statistics() override;
    Result<std::unique_ptr<Passage>> make_port(Channel& end) override;

    Result<void> attach(Passage& passage);
    Result<void> reconnect(Passage& passage, uint64_t session);
    Result<void> renew() REQUIRES(behind_mutex_);
    Result<void> serve(Passage& passage, uint64_t session);
    bool move(Passage& passage);
    Result<Event> wait_for_event(Deadline deadline = Deadline::never());

    // Held for requests to the interface behind, so that no handle is used after it was renewed.
    Mutex behind_mutex_;
    Behind behind_ GUARDED_BY(behind_mutex_);
    SemaphoreSet events_;
    Semaphore link_changed_;
    // Held while packets are judged, so that no rules go away under them.
    Mutex filter_mutex_;
    std::unique_ptr<Rules> rules_ GUARDED_BY(filter_mutex_);
    Filter filter_ GUARDED_BY(filter_mutex_);
    Traffic traffic_;
    std::atomic<uint64_t> attachments_{0};
};

}  // namespace annulus::firewall
