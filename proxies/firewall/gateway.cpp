// SPDX-License-Identifier: MIT
// The firewall as a network interface.
#include "proxies/firewall/gateway.h"

#include <algorithm>
#include <new>

namespace annulus::firewall {

Result<std::unique_ptr<Gateway>> Gateway::create(const Server& server, Behind behind,
                                                 std::unique_ptr<Rules> rules,
                                                 BudgetReference budget) {
    auto link_changed =
        TRY(budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    TRY(behind.object().watch_link(link_changed));
    // Places of removed members are free only after a moment: clients may come and go faster.
    constexpr unsigned members = 16;
    std::unique_ptr<Gateway> made(new (std::nothrow) Gateway(
        server, TRY(make_parts(budget)), TRY(Mutex::create()), std::move(behind),
        TRY(SemaphoreSet::create(budget, members)), std::move(link_changed), TRY(Mutex::create()),
        std::move(rules)));
    if (made == nullptr) return Error::no_memory;
    TRY(made->events_.add(made->control(), static_cast<uint64_t>(Event::control)));
    TRY(made->events_.add(made->link_changed_, static_cast<uint64_t>(Event::link)));
    return made;
}

// The interface behind was restarted, or answers server_died again.
Result<void> Gateway::renew() {
    TRY(behind_.renew());
    TRY(behind_.object().watch_link(link_changed_));
    // It may have changed while nobody told.
    tell_link_changed();
    return {};
}

Result<abi::PacketInterfaceInfo> Gateway::info() {
    Lock lock(behind_mutex_);
    auto info = behind_.object().info();
    if (!is_gone(info.error()) || !renew().ok()) return info;
    return behind_.object().info();
}

Result<void> Gateway::attach(Passage& passage) {
    Lock lock(behind_mutex_);
    const auto attached = passage.attach(behind_.object());
    if (!is_gone(attached.error())) return attached;
    TRY(renew());
    return passage.attach(behind_.object());
}

Result<std::unique_ptr<Passage>> Gateway::make_port(Channel& end) {
    auto passage = TRY(Passage::create(end, traffic_,
                                       {events_.handle(), static_cast<uint64_t>(Event::client),
                                        static_cast<uint64_t>(Event::behind)}));
    TRY(attach(*passage));
    return passage;
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

Result<Gateway::Event> Gateway::wait_for_event(Deadline deadline) {
    const auto event = static_cast<Event>(TRY(events_.wait(deadline)).key);
    if (event == Event::link) tell_link_changed();
    return event;
}

// The interface behind has gone: attaches to the next one, however long that takes to come. An
// error: there will be none. The client stays; what it sends waits.
Result<void> Gateway::reconnect(Passage& passage, uint64_t session) {
    {
        Lock lock(behind_mutex_);
        if (!behind_.can_renew()) return Error::server_died;
    }
    for (GrowingPause pause;;) {
        // First, so that one that breaks off again and again does not keep this thread busy. Bells
        // that ring meanwhile are looked after later, but for a client that leaves.
        const auto until = Deadline::after(pause.next());
        while (wait_for_event(until).ok() && !leaving(session)) {
        }
        if (leaving(session) || passage.client_ended() || attach(passage).ok()) return {};
    }
}

bool Gateway::move(Passage& passage) {
    Lock lock(filter_mutex_);
    return passage.move(filter_);
}

void Gateway::replace_rules(std::unique_ptr<Rules> rules) {
    Lock lock(filter_mutex_);
    filter_.set_rules(rules->all());
    rules_ = std::move(rules);
}

Gateway::Decisions Gateway::decisions() {
    Lock lock(filter_mutex_);
    Decisions decisions = {rules_->all().size(), {}};
    std::copy_n(filter_.counts().begin(), verdict_count, decisions.by_verdict.begin());
    return decisions;
}

// Until the client goes or breaks its rules. An error: the interface behind did, and there will be
// no other.
Result<void> Gateway::serve(Passage& passage, uint64_t session) {
    // A bell rings, too, when its peer is gone: then there is nothing in the channel.
    auto rang = Event::control;
    while (!leaving(session)) {
        if (!passage.attached()) {
            TRY(reconnect(passage, session));
            if (!passage.attached()) return {};
        }
        if (move(passage)) continue;
        if (rang == Event::client && passage.client_ended()) return {};
        bool behind_ended = rang == Event::behind && passage.behind_ended();
        rang = Event::control;
        if (!behind_ended) {
            if (passage.prepare_wait()) {
                rang = TRY(wait_for_event());
                continue;
            }
            if (passage.client_ended()) return {};
            behind_ended = passage.behind_ended();
        }
        if (behind_ended) passage.let_go_of_behind();
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
