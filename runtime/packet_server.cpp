// SPDX-License-Identifier: MIT
// What clients ask a network interface.
#include "runtime/packet_server.h"

#include "abi/directory.h"
#include "abi/operations.h"
#include "abi/protocol.h"
#include "runtime/semaphore.h"

#include <algorithm>
#include <new>

namespace annulus {

namespace {

// What the client holds: its last close detaches.
class Attachment final : public ServedByThis {
public:
    Attachment(PacketServerBase& server, uint64_t session) : server_(server), session_(session) {}
    Answer handle(Request&) override { return Error::bad_operation; }
    void closed() override {
        server_.detach(session_);
        delete this;
    }

private:
    PacketServerBase& server_;
    uint64_t session_;
};

}  // namespace

Result<PacketServerBase::Parts> PacketServerBase::make_parts(BudgetReference budget) {
    return Parts{TRY(Mutex::create()),
                 TRY(budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0))};
}

Answer PacketServerBase::handle(Request& request) {
    using abi::Verb;
    if (request.is(Verb::get, abi::packet_get_info)) return answer_info(request);
    if (request.is(Verb::get, abi::packet_get_statistics)) return answer_statistics(request);
    if (request.is(Verb::watch, abi::packet_watch_link)) return watch_link(request);
    if (request.is(Verb::open, abi::directory_open)) return open(request);
    if (request.is(Verb::get, abi::get_protocol)) {
        return Answer::with_words(abi::Protocol::packet, abi::packet_version,
                                  request.block_bytes());
    }
    return Error::bad_operation;
}

Answer PacketServerBase::answer_info(const Request& request) {
    if (!request.no_words_but(0)) return Error::bad_argument;
    auto info = this->info();
    if (!info.ok()) return info.status();
    Lock lock(mutex_);
    info->attached = attached_ ? 1 : 0;
    return answer_record(request, *info);
}

Answer PacketServerBase::answer_statistics(const Request& request) {
    if (!request.no_words_but(0)) return Error::bad_argument;
    return answer_record(request, statistics());
}

Answer PacketServerBase::watch_link(Request& request) {
    const auto brought = request.peek_handle<SemaphoreReference>(0);
    if (brought.empty() || !request.no_words_but(1u << 0)) return Error::bad_argument;
    Lock lock(mutex_);
    const auto free = std::find_if(link_watches_.begin(), link_watches_.end(),
                                   [](const Semaphore& one) { return one.empty(); });
    if (free == link_watches_.end()) return Error::limit;
    *free = request.take_handle<Semaphore>(0);
    return {};
}

void PacketServerBase::tell_link_changed() {
    Lock lock(mutex_);
    for (Semaphore& semaphore : link_watches_) {
        if (semaphore.empty()) continue;
        const auto told = signal(semaphore);
        if (!told.ok() && told.error() != Error::limit) semaphore.close();
    }
}

Answer PacketServerBase::open(Request& request) {
    if (!request.bytes().empty()) return Error::not_found;
    if (request.peek_handle<ChannelReference>(1).empty()) return Status(Error::bad_argument, 1);
    if (!request.no_words_but(1u << 1)) return Error::bad_argument;
    {
        Lock lock(mutex_);
        if (attached_) return Error::busy;
        attached_ = true;
    }
    Channel end = request.take_handle<Channel>(1);
    auto attachment = attach(end, request.id());
    request.put_back(1, std::move(end));
    if (attachment.ok()) {
        // Only now: after an error there must be nothing that the worker could have taken.
        static_cast<void>(signal(control_));
        return Answer::with_handle(std::move(*attachment));
    }
    drop_port();
    Lock lock(mutex_);
    attached_ = false;
    return attachment.status();
}

Result<Served> PacketServerBase::attach(Channel& end, uint64_t request) {
    uint64_t session;
    {
        Lock lock(mutex_);
        session = ++session_;
    }
    std::unique_ptr<Attachment> attachment(new (std::nothrow) Attachment(*this, session));
    if (attachment == nullptr) return Error::no_memory;
    Served handle = TRY(server_.make_object(*attachment, abi::all_rights, request));
    static_cast<void>(attachment.release());
    // Should this fail, the close of `handle` detaches a session that nobody serves.
    TRY(keep_port(end));
    return handle;
}

void PacketServerBase::detach(uint64_t session) {
    leaving_.store(session, std::memory_order_relaxed);
    static_cast<void>(signal(control_));
}

}  // namespace annulus
