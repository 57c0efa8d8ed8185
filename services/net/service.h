// SPDX-License-Identifier: MIT
// Serves the network's objects through a table: requests become calls, nodes become handles.
#pragma once

#include "runtime/server.h"
#include "services/net/driver_link.h"
#include "services/net/stack/network.h"

namespace annulus::net {

class Service final : public BesideRequests, private Answers {
public:
    Service(const Server& server, uint64_t seed) : server_(server), network_(*this, seed) {}

    // A handle to the network itself.
    Result<Served> make_root();

    // Brings the interface up over `link`. Events of the table's set: frames_key when the link's
    // end rings, link_key when the cable was plugged or pulled.
    void start(std::unique_ptr<DriverLink> link, const std::optional<FixedAddress>& fixed);
    static constexpr uint64_t frames_key = 1;
    static constexpr uint64_t link_key = 2;

    Deadline turn() override;
    void event(uint64_t key, bool closed) override;

private:
    class ServedNode;

    bool answer(uint64_t request, const Outcome& outcome) override;
    Result<Served> make_handle(Node& node, uint64_t payer, ServedNode*& record);
    Answer give(uint64_t request, const Outcome& outcome, ServedNode*& record);
    Answer handle(Node& node, Request& request);
    void leave_if_broken();

    const Server& server_;
    Network network_;
    std::unique_ptr<DriverLink> link_;  // null: there is no interface
    bool rang_ = false;                 // the driver has rung, or has gone
    bool link_changed_ = false;
};

}  // namespace annulus::net
