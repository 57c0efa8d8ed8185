// SPDX-License-Identifier: MIT
// What lwIP gets from its surroundings: time and random numbers.
#include "services/net/lwip/port.h"

#include <array>
#include <bit>

#include <lwip/sys.h>

#include "services/net/lwip/hooks.h"

namespace annulus::net {
namespace {

constinit uint64_t time_ns = 0;
constinit uint64_t key[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};
constinit uint64_t drawn = 0;

struct Mixer {
    uint64_t v0, v1, v2, v3;

    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
};

// SipHash-2-4 of two words under the key (Aumasson and Bernstein, 2012).
uint64_t keyed_hash(uint64_t first, uint64_t second) {
    Mixer mixer = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                   key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    constexpr uint64_t length_word = uint64_t{16} << 56;
    for (const uint64_t word : std::array{first, second, length_word}) {
        mixer.v3 ^= word;
        mixer.round();
        mixer.round();
        mixer.v0 ^= word;
    }
    mixer.v2 ^= 0xff;
    for (unsigned i = 0; i < 4; i++) mixer.round();
    return mixer.v0 ^ mixer.v1 ^ mixer.v2 ^ mixer.v3;
}

}  // namespace

void set_stack_time(uint64_t now) {
    if (now > time_ns) time_ns = now;
}

void seed_stack(uint64_t seed) {
    key[0] = keyed_hash(seed, 1);
    key[1] = keyed_hash(seed, 2);
    drawn = 0;
}

uint64_t stack_random() { return keyed_hash(++drawn, 0); }

}  // namespace annulus::net

extern "C" {

u32_t sys_now() { return static_cast<u32_t>(annulus::net::time_ns / 1'000'000); }

unsigned annulus_lwip_random() { return static_cast<unsigned>(annulus::net::stack_random()); }

u32_t annulus_lwip_sequence_number(const ip_addr_t* local, u16_t local_port,
                                   const ip_addr_t* remote, u16_t remote_port) {
    const uint64_t addresses =
        uint64_t{ip4_addr_get_u32(local)} << 32 | uint64_t{ip4_addr_get_u32(remote)};
    const uint64_t ports = uint64_t{local_port} << 16 | remote_port | uint64_t{1} << 63;
    // RFC 6528: a clock of 4 microseconds, and an offset that depends on the connection.
    const uint64_t ticks = annulus::net::time_ns / 4'000;
    return static_cast<u32_t>(ticks + annulus::net::keyed_hash(addresses, ports));
}
}
