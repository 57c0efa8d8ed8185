// SPDX-License-Identifier: MIT
// The network interface.
#include "drivers/network/virtio/interface.h"

#include "runtime/log.h"

#include <algorithm>
#include <new>

namespace annulus::virtio {

Result<std::unique_ptr<Interface>> Interface::create(Device& device, const Server& server,
                                                     BudgetReference budget) {
    const auto doorbell = [&] {
        return budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0);
    };
    auto queues = TRY(doorbell());
    auto config = TRY(doorbell());
    auto manager_died = TRY(doorbell());
    TRY(device.pci().watch_server_death(manager_died));
    TRY(device.interrupt(interrupt_queues).watch_fire(queues));
    TRY(device.interrupt(interrupt_config).watch_fire(config));
    // Places of removed members are free only after a moment: clients may come and go faster.
    constexpr unsigned members = 16;
    std::unique_ptr<Interface> made(new (std::nothrow) Interface(
        device, server, TRY(make_parts(budget)), TRY(SemaphoreSet::create(budget, members)),
        std::move(queues), std::move(config), std::move(manager_died)));
    if (made == nullptr) return Error::no_memory;
    const auto add = [&](SemaphoreReference member, Event event) {
        return made->events_.add(member, static_cast<uint64_t>(event));
    };
    TRY(add(made->control(), Event::control));
    TRY(add(made->queues_fired_, Event::queues));
    TRY(add(made->config_fired_, Event::config));
    TRY(add(made->manager_died_, Event::manager));
    return made;
}

Result<abi::PacketInterfaceInfo> Interface::info() {
    abi::PacketInterfaceInfo info{};
    std::copy(device_.address().begin(), device_.address().end(), info.address);
    info.mtu = mtu;
    info.link = device_.link_up() ? 1 : 0;
    return info;
}

abi::PacketStatistics Interface::statistics() {
    const auto read = [](const std::atomic<uint64_t>& counter) {
        return counter.load(std::memory_order_relaxed);
    };
    return {
        .received_packets = read(counters_.received_packets),
        .received_bytes = read(counters_.received_bytes),
        .sent_packets = read(counters_.sent_packets),
        .sent_bytes = read(counters_.sent_bytes),
        .refused_packets = read(counters_.refused_packets),
        .interrupts = read(counters_.interrupts),
        .attachments = read(counters_.attachments),
    };
}

Result<Interface::Event> Interface::wait_for_event() {
    const auto event = static_cast<Event>(TRY(events_.wait()).key);
    if (event == Event::manager) {
        // Its successor stops all DMA and knows no driver: only a new start is served by it. Nobody
        // but this program can stop the device before its memory goes. An end by itself says that
        // there is no device, and is final; this one is a fault.
        static_cast<void>(device_.stop());
        log("the PCI manager has died");
        __builtin_trap();
    }
    if (event == Event::queues) {
        counters_.interrupts.fetch_add(1, std::memory_order_relaxed);
        TRY(device_.interrupt(interrupt_queues).set_acknowledge());
    } else if (event == Event::config) {
        TRY(device_.interrupt(interrupt_config).set_acknowledge());
        tell_link_changed();
    }
    return event;
}

// Until the client goes or breaks its rules. An error: the device did.
Result<void> Interface::serve(Port& port, uint64_t session) {
    // At first true: the bell may have been heard by somebody else.
    bool bell_rang = true;
    for (;;) {
        if (leaving(session) || port.check_fault()) return {};
        const bool moved = port.move(device_);
        if (device_.queue(receive_queue).faulted() || device_.queue(transmit_queue).faulted()) {
            return Error::faulted;
        }
        if (moved) continue;
        // The bell rings, too, when the client is gone: then there is nothing in the channel.
        if (bell_rang && port.ended()) return {};
        bell_rang = false;
        if (!port.prepare_wait(device_)) continue;
        bell_rang = TRY(wait_for_event()) == Event::bell;
    }
}

Result<void> Interface::work() {
    for (;;) {
        uint64_t session = 0;
        auto port = take_port(session);
        if (port == nullptr) {
            TRY(wait_for_event());
            continue;
        }
        counters_.attachments.fetch_add(1, std::memory_order_relaxed);
        auto served = device_.start();
        if (served.ok()) served = serve(*port, session);
        if (!served.ok()) {
            log("the device failed: {}", abi::name_of(served.error()));
            port->shut_down(abi::packet_device_failed);
        }
        // Before the memory goes: a device that does not let go of it must not run on.
        TRY(device_.stop());
        port.reset();
        port_gone();
    }
}

}  // namespace annulus::virtio
