// SPDX-License-Identifier: MIT
// A client of a network interface.
#include "tests/guest/packet_client.h"

#include "abi/operations.h"

#include <algorithm>

namespace annulus::test {

namespace {

constexpr size_t shortest_frame = 60;
constexpr std::array<uint8_t, 4> own_ip = {10, 0, 2, 15}, gateway_ip = {10, 0, 2, 2};

// Appends to a frame.
class Writer {
public:
    explicit Writer(Frame& frame) : frame_(frame) {}
    void byte(unsigned value) { frame_.bytes[frame_.size++] = static_cast<std::byte>(value); }
    void number(unsigned value) { byte(value >> 8), byte(value & 0xff); }
    template <size_t size>
    void all(const std::array<uint8_t, size>& bytes) {
        for (const uint8_t one : bytes) byte(one);
    }
    void repeat(unsigned value, unsigned count) {
        for (unsigned i = 0; i < count; ++i) byte(value);
    }

private:
    Frame& frame_;
};

unsigned number_at(const Frame& frame, size_t at) {
    return static_cast<unsigned>(frame.bytes[at]) << 8 | static_cast<unsigned>(frame.bytes[at + 1]);
}

// The Internet check sum (RFC 1071) of a header.
unsigned check_sum(const Frame& frame, size_t from, size_t size) {
    unsigned sum = 0;
    for (size_t i = 0; i < size; i += 2) sum += number_at(frame, from + i);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

}  // namespace

Frame resolution_request(const std::array<uint8_t, 6>& address) {
    Frame frame;
    Writer to(frame);
    to.repeat(0xff, 6), to.all(address), to.number(0x0806);
    to.number(1), to.number(0x0800), to.byte(6), to.byte(4), to.number(1);
    to.all(address), to.all(own_ip), to.repeat(0, 6), to.all(gateway_ip);
    frame.size = shortest_frame;
    return frame;
}

bool is_resolution_answer(const Frame& frame) {
    if (frame.size < 42 || number_at(frame, 12) != 0x0806 || number_at(frame, 20) != 2) {
        return false;
    }
    for (size_t i = 0; i < gateway_ip.size(); ++i) {
        if (static_cast<uint8_t>(frame.bytes[28 + i]) != gateway_ip[i]) return false;
    }
    return true;
}

Frame discover(const std::array<uint8_t, 6>& address) {
    constexpr unsigned body = 236 + 4 + 4, udp = 8 + body, ip = 20 + udp;
    Frame frame;
    Writer to(frame);
    to.repeat(0xff, 6), to.all(address), to.number(0x0800);
    to.byte(0x45), to.byte(0), to.number(ip), to.repeat(0, 4), to.byte(64), to.byte(17);
    to.number(0), to.repeat(0, 4), to.repeat(0xff, 4);
    to.number(68), to.number(67), to.number(udp), to.number(0);
    to.byte(1), to.byte(1), to.byte(6), to.byte(0), to.repeat(0x5a, 4), to.repeat(0, 20);
    to.all(address), to.repeat(0, 10 + 192);
    to.byte(99), to.byte(130), to.byte(83), to.byte(99);  // the cookie of RFC 2131
    to.byte(53), to.byte(1), to.byte(1), to.byte(255);    // discover
    const unsigned sum = check_sum(frame, 14, 20);
    frame.bytes[24] = static_cast<std::byte>(sum >> 8);
    frame.bytes[25] = static_cast<std::byte>(sum);
    return frame;
}

bool is_offer(const Frame& frame) {
    constexpr size_t operation = 14 + 20 + 8;
    return frame.size > operation + 240 && number_at(frame, 12) == 0x0800 &&
           number_at(frame, 34) == 67 && static_cast<unsigned>(frame.bytes[operation]) == 2;
}

Result<PacketChannel::Made> device_channel(channel::Geometry geometry) {
    return PacketChannel::create(geometry, {.memory_flags = abi::memory_contiguous});
}

Result<Client> Client::attach(PacketInterface interface, channel::Geometry geometry) {
    auto made = TRY(device_channel(geometry));
    auto attachment = TRY(interface.attach(made.theirs, Deadline::after(seconds(10))));
    Client client(std::move(made.mine), std::move(attachment));
    const auto info = TRY(interface.info());
    std::copy(std::begin(info.address), std::end(info.address), client.address_.begin());
    return client;
}

bool Client::send(const Frame& frame) {
    auto& sender = channel_.sender();
    const auto buffer = sender.acquire();
    if (!buffer) return false;
    static_cast<void>(buffer->bytes.store(0, std::span(frame.bytes).first(frame.size)));
    sender.send({.buffer = buffer->number,
                 .offset = 0,
                 .length = static_cast<uint32_t>(frame.size),
                 .flags = 0,
                 .metadata = {}});
    sender.publish();
    return true;
}

bool Client::take(Frame& frame) {
    auto& receiver = channel_.receiver();
    const auto packet = receiver.receive();
    if (!packet) return false;
    frame.size = std::min<size_t>(packet->descriptor.length, frame.bytes.size());
    static_cast<void>(packet->bytes.freeze(0, std::span(frame.bytes).first(frame.size)));
    receiver.release(packet->descriptor.buffer);
    receiver.publish();
    return true;
}

Result<void> Client::receive(Frame& frame, Deadline deadline) {
    while (!take(frame)) TRY(channel_.wait_received(deadline));
    return {};
}

Result<void> Client::ask(const Frame& frame, bool (*wanted)(const Frame&), Deadline deadline) {
    if (!send(frame)) return Error::try_again;
    Frame answer;
    do {
        TRY(receive(answer, deadline));
    } while (!wanted(answer));
    return {};
}

Result<uint64_t> reason_after_jump(PacketInterface interface, Deadline deadline) {
    const auto geometry = channel::packets_geometry(5, 11);
    auto made = TRY(device_channel(geometry));
    const ChannelReference end = made.mine.end().end();
    const auto attachment = TRY(interface.attach(made.theirs, deadline));
    const auto memory = TRY(end.get_memory());
    const uint64_t offset = channel::packets_layout(geometry).active_ring[0];
    const uint32_t index = 0x40000000;
    TRY(memory.write_bytes(offset, std::as_bytes(std::span(&index, 1))));
    TRY(Result<void>(system::signal(end.value())));
    for (;;) {
        const auto state = TRY(end.get_state());
        if (state.faulted != 0) return state.reason;
        TRY(Result<void>(system::wait(end.value(), 0, deadline.at).status));
    }
}

}  // namespace annulus::test
