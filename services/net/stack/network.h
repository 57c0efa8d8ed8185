// SPDX-License-Identifier: MIT
// The network: opens sockets by path, keeps their accounts, drives lwIP's timers. Policy-free.
//
// lwIP's state is global, so there is one Network in a program. Everything happens in one thread.
#pragma once

#include "services/net/stack/interface.h"
#include "services/net/stack/path.h"
#include "services/net/stack/socket.h"

namespace annulus::net {

class Network final : private SocketOwner {
public:
    // `seed` starts the random numbers of ports and sequence numbers.
    Network(Answers& answers, uint64_t seed);

    // The object that opens every path; the network's own, never closed for good.
    Node& root();

    Interface& interface() { return interface_; }

    // Does what is due: timers, deadlines, packets of the machine to itself. Call it after
    // requests and frames, and when next_turn() has come. Times in nanoseconds.
    void turn(uint64_t now);
    [[nodiscard]] uint64_t next_turn() const;

private:
    // Stands for the beginning of a path, and opens what lies below.
    class Prefix final : public Socket {
    public:
        explicit Prefix(Network& network) : network_(network) {}
        Outcome handle(const Call& call) override;
        [[nodiscard]] abi::Rights rights() const override;
        [[nodiscard]] abi::Protocol protocol() const override { return abi::Protocol::network; }
        void closed() override;
        uint64_t expire(uint64_t /*now*/) override { return abi::deadline_never; }

    private:
        Outcome open(const Call& call);
        Outcome open_prefix(const JoinedPath& path, const Call& call);
        Outcome get_state(const Call& call) const;

        Network& network_;
        JoinedPath path_;
    };

    Error add(Socket& socket, Kind kind) override;
    void remove(Socket& socket, Kind kind) override;
    Error admit(Socket& socket, Kind kind, uint64_t request) override;
    void dismiss(Socket& socket, Kind kind) override;
    Result<Place> place_for_stream(Socket& socket) override;
    bool may_send(Socket& socket, unsigned blocks) override;
    void note_blocks(Socket& socket, unsigned blocks) override;
    void note_deadline(uint64_t deadline) override {
        if (deadline < next_deadline_) next_deadline_ = deadline;
    }
    void want_retry() override { retry_wanted_ = true; }
    void note_work(Socket& socket) override;
    [[nodiscard]] uint64_t now() const override { return now_; }
    Answers& answers() override { return answers_; }

    Outcome open_socket(const SocketPath& path, const Call& call);
    void do_work();
    void expire(uint64_t now);

    Answers& answers_;
    Interface interface_;
    Prefix root_;
    IntrusiveList<Socket, SocketLink> sockets_;
    IntrusiveList<Socket, WorkLink> busy_;
    Accounts accounts_;
    uint64_t now_ = 0;
    uint64_t next_deadline_ = abi::deadline_never;  // not later than the earliest of all requests
    bool retry_wanted_ = false;
};

}  // namespace annulus::net
