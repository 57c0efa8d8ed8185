// SPDX-License-Identifier: MIT
// What all sockets share: a place in the network's list and in its accounts. Policy-free.
#pragma once

#include "base/intrusive_list.h"
#include "services/net/stack/accounts.h"
#include "services/net/stack/node.h"

namespace annulus::net {

struct SocketLink;
struct WorkLink;

// A Node of the network. One that no client knows yet (a connection that waits for accept) is one.
class Socket : public Node, public ListNode<SocketLink>, public ListNode<WorkLink> {
public:
    // Does what had to wait for room in lwIP's memory.
    virtual void retry() {}

    // Does what note_work() announced; it may delete itself.
    virtual void work() {}

    virtual ~Socket() = default;

private:
    friend class Network;
    Accounts::Account* account_ = nullptr;  // of the client that has it; null: nobody's
    unsigned blocks_ = 0;                   // of lwIP's memory, on that account
};

// What sockets need of the network that they belong to.
class SocketOwner {
public:
    // Counts a socket of `kind` and lists it. limit: there are too many. Undone by remove().
    virtual Error add(Socket& socket, Kind kind) = 0;
    virtual void remove(Socket& socket, Kind kind) = 0;

    // `socket`, which was added, is the answer to `request`: it counts for the client who asks.
    // limit: that has too many; or an error of Answers::prepare. Undone by dismiss() or remove().
    virtual Error admit(Socket& socket, Kind kind, uint64_t request) = 0;
    virtual void dismiss(Socket& socket, Kind kind) = 0;

    // A place for a channel of `socket`, which counts for the same client. limit: that has too
    // many.
    virtual Result<Place> place_for_stream(Socket& socket) = 0;

    // Whether `socket`, which has `blocks` blocks of lwIP's memory for what is sent, may have more.
    // Notes how many it has, as note_blocks() does.
    virtual bool may_send(Socket& socket, unsigned blocks) = 0;
    virtual void note_blocks(Socket& socket, unsigned blocks) = 0;

    // A request waits whose deadline is this.
    virtual void note_deadline(uint64_t deadline) = 0;

    // retry() is wanted for sockets after other work.
    virtual void want_retry() = 0;

    // work() is wanted once all frames and requests at hand are done with. Undone by remove().
    virtual void note_work(Socket& socket) = 0;

    [[nodiscard]] virtual uint64_t now() const = 0;

    virtual Answers& answers() = 0;

protected:
    ~SocketOwner() = default;
};

// The stream of a channel that came with a request to `socket`, on the account of its client.
Result<std::unique_ptr<ClientStream>> take_channel(SocketOwner& owner, Socket& socket,
                                                   BroughtEnd& brought);

}  // namespace annulus::net
