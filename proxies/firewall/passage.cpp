// SPDX-License-Identifier: MIT
// The way of packets through the firewall.
#include "proxies/firewall/passage.h"

#include "runtime/clock.h"

#include <algorithm>
#include <array>
#include <new>

namespace annulus::firewall {

namespace {

// Packets moved one way before the other way has its turn.
constexpr unsigned batch = 64;

// 128 buffers of 2 KiB each way, whatever the client brings: this program pays for them.
constexpr uint8_t buffers_log2 = 7;
constexpr uint8_t buffer_size_log2 = 11;

// How long a client that is just dying may hold up the next one.
constexpr Duration attach_patience = milliseconds(500);

void count(std::atomic<uint64_t>& counter, uint64_t amount) {
    counter.fetch_add(amount, std::memory_order_relaxed);
}

}  // namespace

Result<std::unique_ptr<Passage>> Passage::create(Channel& end, Traffic& traffic,
                                                 const Events& events) {
    const auto geometry = TRY(PacketChannel::geometry_of(end));
    if (geometry.size() < abi::packet_buffer_min) return Error::wrong_version;
    PacketChannel client = TRY(PacketChannel::attach(end));
    std::unique_ptr<Passage> passage(new (std::nothrow)
                                         Passage(std::move(client), traffic, events));
    if (passage == nullptr) return Error::no_memory;
    TRY(events.set.create_member(passage->client_.end().end(), events.client, 0));
    return passage;
}

Passage::~Passage() {
    static_cast<void>(events_.set.remove_member(client_.end().end()));
    let_go_of_behind();
}

void Passage::let_go_of_behind() {
    if (!behind_.has_value()) return;
    static_cast<void>(events_.set.remove_member(behind_->packets.end().end()));
    behind_.reset();
}

Result<void> Passage::attach(PacketInterface behind) {
    let_go_of_behind();
    const ChannelPlace place = {.memory_flags = abi::memory_contiguous};
    auto made = TRY(
        PacketChannel::create(channel::packets_geometry(buffers_log2, buffer_size_log2), place));
    Served attachment = TRY(behind.attach(made.theirs, Deadline::after(attach_patience)));
    TRY(events_.set.create_member(made.mine.end().end(), events_.behind, 0));
    behind_.emplace(std::move(made.mine), std::move(attachment));
    return {};
}

// Judges a packet, and copies it if it may pass: headers by way of private memory, so that nobody
// can change what was judged.
bool Passage::copy(Filter& filter, Direction direction, const channel::Packet& packet,
                   UntrustedBytes into, uint64_t time) {
    const size_t length = packet.bytes.size();
    if (length > into.size()) return false;
    std::array<std::byte, headers_max> copied;
    const auto headers = std::span(copied).first(std::min(length, headers_max));
    if (!packet.bytes.freeze(0, headers)) return false;
    // Safety: bytes may be looked at as unsigned characters.
    const std::span judged(reinterpret_cast<const uint8_t*>(headers.data()), headers.size());
    if (!passes(filter.decide(direction, judged, length, time))) return false;
    const auto payload = packet.bytes.subspan(headers.size(), length - headers.size());
    return payload && into.store(0, headers) && into.store(headers.size(), *payload);
}

bool Passage::forward(Filter& filter, Direction direction, PacketChannel& from, PacketChannel& to) {
    auto& receiver = from.receiver();
    auto& sender = to.sender();
    const auto index = static_cast<size_t>(direction);
    const uint64_t time = now();  // of all of the batch
    unsigned packets = 0;
    for (; packets < batch; ++packets) {
        const auto buffer = sender.acquire();
        if (!buffer) break;
        const auto packet = receiver.receive();
        if (!packet) {
            sender.put_back(buffer->number);
            break;
        }
        if (copy(filter, direction, *packet, buffer->bytes, time)) {
            const auto length = static_cast<uint32_t>(packet->bytes.size());
            sender.send({.buffer = buffer->number,
                         .offset = 0,
                         .length = length,
                         .flags = 0,
                         .metadata = {}});
            count(traffic_.packets[index], 1);
            count(traffic_.bytes[index], length);
        } else {
            sender.put_back(buffer->number);
            count(traffic_.dropped, 1);
        }
        receiver.release(packet->descriptor.buffer);
    }
    if (packets == 0) return false;
    sender.publish();
    receiver.publish();
    return true;
}

bool Passage::move(Filter& filter) {
    const bool in = forward(filter, Direction::in, behind_->packets, client_);
    return forward(filter, Direction::out, client_, behind_->packets) || in;
}

bool Passage::prepare_wait() {
    bool sleep = true;
    const auto ask = [&sleep](channel::Wait answer) {
        sleep = answer == channel::Wait::sleep && sleep;
    };
    const auto ask_one_way = [&ask](PacketChannel& from, PacketChannel& to) {
        // Without a buffer to put packets into, those that wait change nothing.
        if (to.sender().owned() != 0 || to.sender().collect() != 0) {
            ask(from.receiver().prepare_wait());
        } else {
            ask(to.sender().prepare_wait());
        }
    };
    ask_one_way(behind_->packets, client_);
    ask_one_way(client_, behind_->packets);
    return sleep;
}

}  // namespace annulus::firewall
