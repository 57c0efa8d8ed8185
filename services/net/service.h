// SPDX-License-Identifier: MIT
// Serves the network's objects through a table: requests become calls, nodes become handles.
#pragma once

#include "runtime/server.h"
#include "services/net/stack/network.h"

namespace annulus::net {

class Service final : public BesideRequests, private Answers {
public:
    Service(const Server& server, uint64_t seed) : server_(server), network_(*this, seed) {}

    // A handle to the network itself.
    Result<Served> make_root();

    Interface& interface() { return network_.interface(); }

    Deadline turn() override;

private:
    class ServedNode;

    bool answer(uint64_t request, const Outcome& outcome) override;
    Result<Served> make_handle(Node& node, uint64_t payer, ServedNode*& record);
    Answer give(uint64_t request, const Outcome& outcome, ServedNode*& record);
    Answer handle(Node& node, Request& request);

    const Server& server_;
    Network network_;
};

}  // namespace annulus::net
