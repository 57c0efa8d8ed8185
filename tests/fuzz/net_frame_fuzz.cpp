// SPDX-License-Identifier: MIT
// Fuzz target of the network stack: any frames may arrive while a listener and a socket are open.
//
// The input is cut into frames by length bytes; a frame of a known kind gets sound checksums, so
// that what lies behind them is reached.
#include <algorithm>
#include <memory>
#include <vector>

#include "services/net/stack/network.h"

namespace {

using namespace annulus::net;
using annulus::Result;
using annulus::abi::Verb;

// Nobody waits for answers: sockets that are opened close again.
class Nobody final : public Answers {
public:
    bool answer(uint64_t, const Outcome& outcome) override {
        if (outcome.opened != nullptr) opened.push_back(outcome.opened);
        return true;
    }
    Result<uint64_t> prepare(uint64_t, Node&) override { return uint64_t{1}; }
    std::vector<Node*> opened;
};

class Drain final : public PacketLink {
public:
    bool send(std::span<const FramePart>) override { return true; }
};

struct Stage {
    Nobody nobody;
    Drain drain;
    Network network{nobody, 1};
    uint64_t now = 1'000'000'000;
    std::vector<std::byte> block = std::vector<std::byte>(4096);

    Stage() {
        const FixedAddress fixed = {0x0a00020f, 0xffffff00, 0x0a000202, 0x0a000203};
        network.interface().start(drain, {2, 0, 0, 0, 0, 1}, 1500, true, fixed);
        for (const std::string_view path : {"tcp/listen/80", "udp/bind/53"}) {
            Call call;
            call.verb = Verb::open;
            call.bytes = std::as_bytes(std::span(path));
            call.space = block;
            nobody.opened.push_back(network.root().handle(call).opened);
        }
        accept();
        network.turn(now);
    }
    void accept() {
        Call call;
        call.verb = Verb::accept;
        call.space = block;
        static_cast<void>(nobody.opened.front()->handle(call));
    }
};

// The sum over 16-bit words, as the protocols of the Internet have it (RFC 1071).
uint16_t checksum(const uint8_t* bytes, size_t size, uint32_t sum) {
    for (size_t i = 0; i < size; i++) sum += uint32_t{bytes[i]} << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

void mend(std::vector<uint8_t>& frame) {
    constexpr size_t ip = 14;
    constexpr size_t inner = ip + 20;
    if (frame.size() < inner + 8) return;
    const std::array<uint8_t, 10> start = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0};
    std::copy(start.begin(), start.end(), frame.begin());
    if (frame[12] != 8 || frame[13] != 0) return;
    const size_t total = frame.size() - ip;
    frame[ip] = 0x45;
    frame[ip + 2] = static_cast<uint8_t>(total >> 8);
    frame[ip + 3] = static_cast<uint8_t>(total);
    const std::array<uint8_t, 4> own = {10, 0, 2, 15};
    std::copy(own.begin(), own.end(), frame.begin() + ip + 16);
    const uint8_t protocol = frame[ip + 9];
    const size_t at = protocol == 6 ? 16 : protocol == 17 ? 6 : 2;
    if (inner + at + 2 <= frame.size()) {
        frame[inner + at] = frame[inner + at + 1] = 0;
        uint32_t pseudo = 0;
        if (protocol != 1) {
            pseudo = static_cast<uint16_t>(~checksum(&frame[ip + 12], 8, 0)) + protocol;
            pseudo += static_cast<uint32_t>(frame.size() - inner);
        }
        const uint16_t sum = checksum(&frame[inner], frame.size() - inner, pseudo);
        frame[inner + at] = static_cast<uint8_t>(sum >> 8);
        frame[inner + at + 1] = static_cast<uint8_t>(sum);
    }
    frame[ip + 10] = frame[ip + 11] = 0;
    const uint16_t sum = checksum(&frame[ip], 20, 0);
    frame[ip + 10] = static_cast<uint8_t>(sum >> 8);
    frame[ip + 11] = static_cast<uint8_t>(sum);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    static Stage& stage = *new Stage;
    while (size > 1) {
        const size_t length = std::min<size_t>(size_t{data[0]} * 6, size - 1);
        std::vector<uint8_t> frame(data + 1, data + 1 + length);
        if ((data[0] & 1) == 0) mend(frame);
        const auto space = stage.network.interface().receive_space(frame.size());
        if (!space.empty()) {
            std::copy_n(std::as_bytes(std::span(frame)).begin(), frame.size(), space.begin());
            stage.network.interface().receive();
        }
        stage.now += 1'000'000;
        stage.network.turn(stage.now);
        data += 1 + length;
        size -= 1 + length;
    }
    // Connections that came about end, and the next may come.
    while (stage.nobody.opened.size() > 2) {
        stage.nobody.opened.back()->closed();
        stage.nobody.opened.pop_back();
        stage.accept();
    }
    stage.now += 300'000'000;
    stage.network.turn(stage.now);
    return 0;
}
