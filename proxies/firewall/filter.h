// SPDX-License-Identifier: MIT
// The decision over one frame: may it pass, and why.
//
// A frame passes if a rule lets a conversation begin with it, or if it answers one:
//   TCP   the addresses and ports of a rule, mirrored, and ACK set: it opens nothing
//   UDP, ICMP echo   a frame the other way passed within the last 60 seconds (a flow)
//   ARP   a rule must allow each direction
// ICMP errors (unreachable, time exceeded) pass if a rule allows icmp that way.
//
// Flows are kept in a table of fixed size; a new one takes the place of the oldest of its eight
// neighbours, so whoever opens very many can at most make others forget theirs.
//
// Not thread-safe. Time and work per frame are bounded by the number of rules.
#pragma once

#include "proxies/firewall/rules.h"

namespace annulus::firewall {

enum class Verdict : uint8_t {
    allowed,      // by a rule
    answer,       // to something that a rule allowed
    not_allowed,  // no rule
    short_frame,  // and below: FrameFault
    unknown_protocol,
    bad_header,
    fragment,
};

inline constexpr size_t verdict_count = 7;

constexpr bool passes(Verdict verdict) { return verdict <= Verdict::answer; }

class Filter {
public:
    static constexpr size_t flows_max = 1024;
    static constexpr uint64_t flow_ns = 60'000'000'000;

    // The rules stay in place until there are others.
    explicit Filter(std::span<const Rule> rules) : rules_(rules) {}

    // From now on these count. Flows stay, so what answers one still passes until it is too old.
    void set_rules(std::span<const Rule> rules) { rules_ = rules; }

    // Decides over a frame of `length` bytes; `headers`: a private copy of its first
    // min(length, headers_max). `now` is monotonic, in nanoseconds.
    Verdict decide(Direction direction, std::span<const uint8_t> headers, size_t length,
                   uint64_t now);

    // Frames by verdict since the beginning.
    std::span<const uint64_t, verdict_count> counts() const { return counts_; }

private:
    // A conversation, seen from the sender of its first frame. The sender's own address is no part
    // of it, and neither is a broadcast's receiver: a host without an address gets its answer from
    // somebody else than it asked, and under the address that it is given (RFC 2131, 4.1).
    struct FlowName {
        uint32_t peer = 0;  // whom it was sent to
        uint16_t own_port = 0;
        uint16_t peer_port = 0;
        Protocol protocol{};
        Direction direction{};  // of the first frame
        bool operator==(const FlowName&) const = default;
    };
    struct Flow {
        FlowName name;
        bool used = false;
        uint64_t seen = 0;
    };
    static constexpr size_t neighbours = 8;

    Verdict judge(Direction direction, const Frame& frame, uint64_t now);
    bool begins(Direction direction, const Frame& frame) const;
    bool answers_tcp(Direction direction, const Frame& frame) const;
    bool answers_flow(Direction direction, const Frame& frame, uint64_t now) const;
    void remember(Direction direction, const Frame& frame, uint64_t now);
    static size_t first_place(const FlowName& name);

    std::span<const Rule> rules_;
    std::array<Flow, flows_max> flows_{};
    std::array<uint64_t, verdict_count> counts_{};
};

}  // namespace annulus::firewall
