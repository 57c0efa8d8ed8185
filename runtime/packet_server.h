// SPDX-License-Identifier: MIT
// Serving a network interface (abi/packet.h): what clients ask, and who is attached.
//
// Two threads. The server's answers requests: for a client that attaches it has a Port made of the
// client's end. The worker's takes the Port, moves packets until the client leaves, and lets it go:
//
//     for (;;) {
//         auto port = interface.take_port(session);
//         if (port == nullptr) ... wait for control(), and for other events
//         ... until interface.leaving(session): move packets, wait
//         port.reset();
//         interface.port_gone();                       // the next client may attach
//     }
#pragma once

#include "abi/packet.h"
#include "runtime/channel.h"
#include "runtime/mutex.h"
#include "runtime/server.h"

#include <array>
#include <atomic>
#include <memory>

namespace annulus {

// What clients of an interface need.
inline constexpr abi::Rights packet_interface_rights = abi::right_of(abi::Verb::get) |
                                                       abi::right_of(abi::Verb::open) |
                                                       abi::right_of(abi::Verb::watch);

// What does not depend on the Port. Locking: the mutex guards what both threads touch.
class PacketServerBase : public ServedByThis {
public:
    // Semaphore and mutex that a server is made with.
    struct Parts {
        Mutex mutex;
        Semaphore control;
    };
    static Result<Parts> make_parts(BudgetReference budget);

    Answer handle(Request& request) final;

    // The attachment of a session has no handles any more. The server's thread.
    void detach(uint64_t session);

    // Rings when a Port waits to be taken or a session is leaving.
    SemaphoreReference control() const { return control_; }
    // Whether the session's client has detached.
    bool leaving(uint64_t session) const {
        // Relaxed: control() rings after it was written, and the worker looks again.
        return leaving_.load(std::memory_order_relaxed) == session;
    }

protected:
    PacketServerBase(const Server& server, Parts parts)
        : server_(server), mutex_(std::move(parts.mutex)), control_(std::move(parts.control)) {}
    ~PacketServerBase() = default;

    // Asked by the server's thread. `attached` is filled in here.
    virtual Result<abi::PacketInterfaceInfo> info() = 0;
    virtual abi::PacketStatistics statistics() = 0;
    // Makes a Port of a client's end and keeps it for the worker. An end that is refused stays
    // where it is.
    virtual Result<void> keep_port(Channel& end) = 0;
    virtual void drop_port() = 0;

    // To the semaphores of watch 0; watches whose semaphores are gone make room.
    void tell_link_changed();

    uint64_t session() REQUIRES(mutex_) { return session_; }

    const Server& server_;
    Mutex mutex_;
    bool attached_ GUARDED_BY(mutex_) = false;

private:
    Answer answer_info(const Request& request);
    Answer answer_statistics(const Request& request);
    Answer watch_link(Request& request);
    Answer open(Request& request);
    Result<Served> attach(Channel& end, uint64_t request);

    Semaphore control_;
    std::atomic<uint64_t> leaving_{0};  // the session that was detached last
    uint64_t session_ GUARDED_BY(mutex_) = 0;
    std::array<Semaphore, abi::packet_watches_max> link_watches_ GUARDED_BY(mutex_);
};

template <typename Port>
class PacketServer : public PacketServerBase {
public:
    // The client that has attached and its session, or null. The worker's thread.
    std::unique_ptr<Port> take_port(uint64_t& session) {
        Lock lock(mutex_);
        session = this->session();
        return std::move(waiting_);
    }

    // The worker has let go of the Port that it took.
    void port_gone() {
        Lock lock(mutex_);
        attached_ = false;
    }

protected:
    using PacketServerBase::PacketServerBase;
    ~PacketServer() = default;

    // The server's thread. Its errors are the client's answer.
    virtual Result<std::unique_ptr<Port>> make_port(Channel& end) = 0;

private:
    Result<void> keep_port(Channel& end) final {
        auto port = TRY(make_port(end));
        Lock lock(mutex_);
        waiting_ = std::move(port);
        return {};
    }

    void drop_port() final {
        std::unique_ptr<Port> port;
        Lock lock(mutex_);
        port = std::move(waiting_);
    }

    std::unique_ptr<Port> waiting_ GUARDED_BY(mutex_);
};

}  // namespace annulus
