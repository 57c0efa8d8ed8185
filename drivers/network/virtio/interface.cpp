// SPDX-License-Identifier: MIT
// The network interface.
#include "drivers/network/virtio/interface.h"

#include "abi/directory.h"
#include "abi/operations.h"
#include "runtime/log.h"

#include <algorithm>
#include <new>

namespace annulus::virtio {

namespace {

bool no_words(const Request& request, unsigned except = abi::message_words) {
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if (i != except && request.word(i) != 0) return false;
    }
    return true;
}

template <typename Record>
Answer answer_record(const Request& request, const Record& record) {
    const auto space = request.space();
    if (space.size() < sizeof(record)) return Error::too_many;
    __builtin_memcpy(space.data(), &record, sizeof(record));
    return Answer::with_bytes(sizeof(record));
}

// What the client holds: its last close detaches.
class Attachment final : public ServedByThis {
public:
    Attachment(Interface& interface, uint64_t session) : interface_(interface), session_(session) {}
    Answer handle(Request&) override { return Error::bad_operation; }
    void closed() override {
        interface_.detach(session_);
        delete this;
    }

private:
    Interface& interface_;
    uint64_t session_;
};

}  // namespace

Result<std::unique_ptr<Interface>> Interface::create(Device& device, const Server& server,
                                                     BudgetReference budget) {
    const auto doorbell = [&] {
        return budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0);
    };
    auto control = TRY(doorbell());
    auto queues = TRY(doorbell());
    auto config = TRY(doorbell());
    TRY(device.interrupt(interrupt_queues).watch_fire(queues));
    TRY(device.interrupt(interrupt_config).watch_fire(config));
    std::unique_ptr<Interface> made(
        new (std::nothrow) Interface(device, server, TRY(Mutex::create()), std::move(control),
                                     std::move(queues), std::move(config)));
    if (made == nullptr) return Error::no_memory;
    return made;
}

Answer Interface::handle(Request& request) {
    using abi::Verb;
    if (request.is(Verb::get, abi::packet_get_info)) return info(request);
    if (request.is(Verb::get, abi::packet_get_statistics)) return statistics(request);
    if (request.is(Verb::watch, abi::packet_watch_link)) return watch_link(request);
    if (request.is(Verb::open, abi::directory_open)) return open(request);
    if (request.is(Verb::get, abi::get_protocol)) {
        return Answer::with_words(abi::Protocol::packet, abi::packet_version,
                                  request.block_bytes());
    }
    return Error::bad_operation;
}

Answer Interface::info(const Request& request) {
    if (!no_words(request)) return Error::bad_argument;
    abi::PacketInterfaceInfo info{};
    std::copy(device_.address().begin(), device_.address().end(), info.address);
    info.mtu = mtu;
    info.link = device_.link_up() ? 1 : 0;
    Lock lock(mutex_);
    info.attached = attached_ ? 1 : 0;
    return answer_record(request, info);
}

Answer Interface::statistics(const Request& request) const {
    if (!no_words(request)) return Error::bad_argument;
    const auto read = [](const std::atomic<uint64_t>& counter) {
        return counter.load(std::memory_order_relaxed);
    };
    return answer_record(request, abi::PacketStatistics{
                                      .received_packets = read(counters_.received_packets),
                                      .received_bytes = read(counters_.received_bytes),
                                      .sent_packets = read(counters_.sent_packets),
                                      .sent_bytes = read(counters_.sent_bytes),
                                      .refused_packets = read(counters_.refused_packets),
                                      .interrupts = read(counters_.interrupts),
                                      .attachments = read(counters_.attachments),
                                  });
}

Answer Interface::watch_link(Request& request) {
    Semaphore semaphore = request.take_handle<Semaphore>(0);
    if (semaphore.empty() || !no_words(request, 0)) return Error::bad_argument;
    Lock lock(mutex_);
    const auto free = std::find_if(link_watches_.begin(), link_watches_.end(),
                                   [](const Semaphore& one) { return one.empty(); });
    if (free == link_watches_.end()) return Error::limit;
    *free = std::move(semaphore);
    return {};
}

// Watches whose semaphores are gone make room.
void Interface::tell_link_changed() {
    Lock lock(mutex_);
    for (Semaphore& semaphore : link_watches_) {
        if (semaphore.empty()) continue;
        const auto told = signal(semaphore);
        if (!told.ok() && told.error() != Error::limit) semaphore.close();
    }
}

Answer Interface::open(Request& request) {
    Channel end = request.take_handle<Channel>(1);
    if (!request.bytes().empty()) return Error::not_found;
    if (end.empty()) return Status(Error::bad_argument, 1);
    if (!no_words(request, 1)) return Error::bad_argument;
    {
        Lock lock(mutex_);
        if (attached_) return Error::busy;
        attached_ = true;
    }
    auto attachment = attach(std::move(end), request.id());
    if (attachment.ok()) return Answer::with_handle(std::move(*attachment));
    Lock lock(mutex_);
    attached_ = false;
    return attachment.status();
}

Result<Served> Interface::attach(Channel end, uint64_t request) {
    auto port = TRY(Port::create(std::move(end), device_.pci(), counters_));
    uint64_t session;
    {
        Lock lock(mutex_);
        session = ++session_;
    }
    std::unique_ptr<Attachment> attachment(new (std::nothrow) Attachment(*this, session));
    if (attachment == nullptr) return Error::no_memory;
    Served handle = TRY(server_.make_object(*attachment, abi::all_rights, request));
    static_cast<void>(attachment.release());
    {
        Lock lock(mutex_);
        waiting_ = std::move(port);
    }
    TRY(signal(control_));
    return handle;
}

void Interface::detach(uint64_t session) {
    leaving_.store(session, std::memory_order_relaxed);
    static_cast<void>(signal(control_));
}

Result<Interface::Event> Interface::wait_for_event(const Port* port) {
    const abi::WaitEntry entries[] = {{control_.value(), 0},
                                      {queues_fired_.value(), 0},
                                      {config_fired_.value(), 0},
                                      {port != nullptr ? port->end().value() : 0, 0}};
    const auto answer = system::wait_any(entries, port != nullptr ? 4 : 3, abi::deadline_never);
    if (!answer.status.ok()) return answer.status;
    const auto event = static_cast<Event>(answer.index);
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
        if (leaving_.load(std::memory_order_relaxed) == session || port.check_fault()) return {};
        const bool moved = port.move(device_);
        if (device_.queue(receive_queue).faulted() || device_.queue(transmit_queue).faulted()) {
            return Error::faulted;
        }
        if (moved) continue;
        // The bell rings, too, when the client is gone: then there is nothing in the channel.
        if (bell_rang && port.ended()) return {};
        bell_rang = false;
        if (!port.prepare_wait(device_)) continue;
        bell_rang = TRY(wait_for_event(&port)) == Event::bell;
    }
}

Result<void> Interface::work() {
    for (;;) {
        std::unique_ptr<Port> port;
        uint64_t session;
        {
            Lock lock(mutex_);
            port = std::move(waiting_);
            session = session_;
        }
        if (port == nullptr) {
            TRY(wait_for_event(nullptr));
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
        Lock lock(mutex_);
        attached_ = false;
    }
}

}  // namespace annulus::virtio
