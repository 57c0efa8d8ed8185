// SPDX-License-Identifier: MIT
// Rules first, then answers; whatever is left does not pass.
#include "proxies/firewall/filter.h"

namespace annulus::firewall {

namespace {

constexpr uint8_t icmp_echo_reply = 0;
constexpr uint8_t icmp_echo = 8;

Frame mirrored(const Frame& frame) {
    Frame other = frame;
    other.source = frame.destination;
    other.destination = frame.source;
    other.source_port = frame.destination_port;
    other.destination_port = frame.source_port;
    return other;
}

Direction opposite(Direction direction) {
    return direction == Direction::in ? Direction::out : Direction::in;
}

Verdict verdict_of(FrameFault fault) {
    constexpr auto first = static_cast<unsigned>(Verdict::short_frame);
    return static_cast<Verdict>(first + static_cast<unsigned>(fault) - 1);
}
static_assert(static_cast<unsigned>(FrameFault::short_frame) == 1);

bool makes_flow(const Frame& frame) {
    return frame.protocol == Protocol::udp ||
           (frame.protocol == Protocol::icmp && frame.icmp_type == icmp_echo);
}

bool can_answer_flow(const Frame& frame) {
    return frame.protocol == Protocol::udp ||
           (frame.protocol == Protocol::icmp && frame.icmp_type == icmp_echo_reply);
}

constexpr uint32_t broadcast = 0xffffffff;

}  // namespace

// Whoever sends can guess the places of flows, and so make others forget theirs: no more.
size_t Filter::first_place(const FlowName& name) {
    uint64_t key = uint64_t{name.peer} << 32 | uint64_t{name.own_port} << 16 | name.peer_port;
    key += static_cast<uint64_t>(name.protocol) * 2 + static_cast<uint64_t>(name.direction);
    key *= 0x9e3779b97f4a7c15;  // 2^64 divided by the golden ratio: the upper bits are well mixed
    return (key >> 32) % (flows_max / neighbours) * neighbours;
}

bool Filter::begins(Direction direction, const Frame& frame) const {
    for (const Rule& rule : rules_) {
        if (rule.allows(direction, frame)) return true;
    }
    return false;
}

bool Filter::answers_tcp(Direction direction, const Frame& frame) const {
    return frame.protocol == Protocol::tcp && frame.acknowledges &&
           begins(opposite(direction), mirrored(frame));
}

bool Filter::answers_flow(Direction direction, const Frame& frame, uint64_t now) const {
    if (!can_answer_flow(frame)) return false;
    for (const uint32_t peer : {frame.source, broadcast}) {
        const FlowName name = {peer, frame.destination_port, frame.source_port, frame.protocol,
                               opposite(direction)};
        const size_t first = first_place(name);
        for (size_t i = first; i < first + neighbours; ++i) {
            const Flow& flow = flows_[i];
            if (flow.used && flow.name == name && now - flow.seen <= flow_ns) return true;
        }
    }
    return false;
}

void Filter::remember(Direction direction, const Frame& frame, uint64_t now) {
    const FlowName name = {frame.destination, frame.source_port, frame.destination_port,
                           frame.protocol, direction};
    const size_t first = first_place(name);
    Flow* place = &flows_[first];
    for (size_t i = first; i < first + neighbours; ++i) {
        Flow& flow = flows_[i];
        if (flow.used && flow.name == name) {
            place = &flow;
            break;
        }
        if (place->used && (!flow.used || flow.seen < place->seen)) place = &flow;
    }
    *place = {name, true, now};
}

Verdict Filter::judge(Direction direction, const Frame& frame, uint64_t now) {
    if (begins(direction, frame)) {
        if (makes_flow(frame)) remember(direction, frame, now);
        return Verdict::allowed;
    }
    const bool answer = answers_tcp(direction, frame) || answers_flow(direction, frame, now);
    return answer ? Verdict::answer : Verdict::not_allowed;
}

Verdict Filter::decide(Direction direction, std::span<const uint8_t> headers, size_t length,
                       uint64_t now) {
    Frame frame;
    const FrameFault fault = read_frame(headers, length, frame);
    const Verdict verdict =
        fault == FrameFault::none ? judge(direction, frame, now) : verdict_of(fault);
    ++counts_[static_cast<size_t>(verdict)];
    return verdict;
}

}  // namespace annulus::firewall
