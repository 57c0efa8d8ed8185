// SPDX-License-Identifier: MIT
// The firewall as a network interface.
#include "proxies/firewall/gateway.h"

#include <new>

namespace annulus::firewall {

Result<std::unique_ptr<Gateway>> Gateway::create(const Server& server, PacketInterface behind,
                                                 std::span<const Rule> rules,
                                                 BudgetReference budget) {
    auto link_changed =
        TRY(budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    TRY(behind.watch_link(link_changed));
    constexpr auto members = static_cast<unsigned>(Event::count);
    std::unique_ptr<Gateway> made(new (std::nothrow) Gateway(
        server, TRY(make_parts(budget)), behind, TRY(SemaphoreSet::create(budget, members)),
        std::move(link_changed), rules));
    if (made == nullptr) return Error::no_memory;
    TRY(made->events_.add(made->control(), static_cast<uint64_t>(Event::control)));
    TRY(made->events_.add(made->link_changed_, static_cast<uint64_t>(Event::link)));
    return made;
}

abi::PacketStatistics Gateway::statistics() {
    const auto read = [](const std::atomic<uint64_t>& counter) {
        return counter.load(std::memory_order_relaxed);
    };
    constexpr auto in = static_cast<size_t>(Direction::in);
    constexpr auto out = static_cast<size_t>(Direction::out);
    return {
        .received_packets = read(traffic_.packets[in]),
        .received_bytes = read(traffic_.bytes[in]),
        .sent_packets = read(traffic_.packets[out]),
        .sent_bytes = read(traffic_.bytes[out]),
        .refused_packets = read(traffic_.dropped),
        .interrupts = 0,
        .attachments = read(attachments_),
    };
}

Result<Gateway::Event> Gateway::wait_for_event() {
    const auto event = static_cast<Event>(TRY(events_.wait()).key);
    if (event == Event::link) tell_link_changed();
    return event;
}

// Until the client goes or breaks its rules. An error: the interface behind did.
Result<void> Gateway::serve(Passage& passage, uint64_t session) {
    // A bell rings, too, when its peer is gone: then there is nothing in the channel.
    auto rang = Event::control;
    while (!leaving(session)) {
        if (passage.move()) continue;
        if (rang == Event::client && passage.client_ended()) return {};
        if (rang == Event::behind && passage.behind_ended()) return Error::server_died;
        rang = Event::control;
        if (passage.prepare_wait()) {
            rang = TRY(wait_for_event());
        } else if (passage.client_ended()) {
            return {};
        } else if (passage.behind_ended()) {
            return Error::server_died;
        }
    }
    return {};
}

Result<void> Gateway::work() {
    for (;;) {
        uint64_t session = 0;
        const auto passage = take_port(session);
        if (passage == nullptr) {
            TRY(wait_for_event());
            continue;
        }
        attachments_.fetch_add(1, std::memory_order_relaxed);
        const auto served = serve(*passage, session);
        if (!served.ok()) {
            passage->shut_down(abi::packet_device_failed);
            return served;
        }
        port_gone();
    }
}

}  // namespace annulus::firewall
