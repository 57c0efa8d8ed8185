// SPDX-License-Identifier: MIT
// Serves the network's objects through a table: requests become calls, nodes become handles.
#pragma once

#include <optional>

#include "runtime/renewable.h"
#include "runtime/server.h"
#include "services/net/driver_link.h"
#include "services/net/stack/network.h"
#include "services/net/streams.h"

namespace annulus::net {

class Service final : public BesideRequests, private Answers {
public:
    // Bells of `events`, which is bound to the server's table, come with the keys below. `alarm`
    // signals a member of it, with alarm_key.
    Service(const Server& server, SetReference events, Timer alarm, uint64_t seed)
        : server_(server),
          events_(events),
          streams_(events, first_stream_key),
          network_(*this, seed),
          alarm_(std::move(alarm)) {}

    // A handle to the network itself.
    Result<Served> make_root();

    using Driver = Renewable<PacketInterface>;

    // Attaches to `driver` and brings the interface up; `link_bell`, a member of the set with
    // link_key, rings when its cable is plugged or pulled. A driver that dies is looked for again
    // if it is renewable; if not, the program ends with it.
    Result<void> start(Driver driver, SemaphoreReference link_bell,
                       const std::optional<FixedAddress>& fixed);

    // One program may wait for accept and read on all its connections at once, and write besides.
    static constexpr unsigned server_slots = 256;

    static constexpr uint64_t frames_key = 1;  // the link's end has rung
    static constexpr uint64_t link_key = 2;    // the cable was plugged or pulled
    static constexpr uint64_t alarm_key = 3;   // it is time for the next turn
    static constexpr uint64_t first_stream_key = 16;
    // Places of removed members are free only after a moment.
    static constexpr unsigned events_max = 3 + Streams::most + 16;

    Deadline turn() override;
    void event(uint64_t key, bool closed) override;

private:
    class ServedNode;
    class Brought;

    bool answer(uint64_t request, const Outcome& outcome) override;
    // A handle that the answer to a request will give.
    struct Prepared {
        Served handle;
        ServedNode* record = nullptr;
    };

    Result<uint64_t> prepare(uint64_t request, Node& node) override;
    Result<Prepared> make_handle(Node& node, uint64_t payer);
    Prepared take_prepared(uint64_t request, const Outcome& outcome);
    static Answer give(const Outcome& outcome, Prepared& prepared);
    Answer handle(Node& node, Request& request);
    void look_after_link();
    void reconnect();
    Result<void> link_up_again();
    Deadline wait_until(uint64_t next);

    const Server& server_;
    SetReference events_;
    Streams streams_;
    std::array<Prepared, server_slots> prepared_;  // by the slot of the request
    Network network_;
    std::optional<Driver> driver_;
    SemaphoreReference link_bell_;
    std::unique_ptr<DriverLink> link_;  // null: there is no interface, or none now
    uint64_t reconnect_at_ = 0;         // the next attempt, while there is none now
    GrowingPause reconnect_pause_;
    Timer alarm_;
    uint64_t alarm_at_ = abi::deadline_never;  // never: it is not armed
    bool rang_ = false;                        // the driver has rung, or has gone
    bool link_changed_ = false;
};

}  // namespace annulus::net
