// SPDX-License-Identifier: MIT
// The wake-up protocol: how a side that publishes decides whether its peer must be woken.
//
// Both sides follow numbered steps. Leaving any one out loses a wake-up or rings without end;
// `tests/models/channel` shows this for each of them on processors with store buffers.
//
//   publisher                                 sleeper
//   P1 store the index (release)              S1 store the request: "wake me at index k"
//   P2 full fence                             S2 full fence
//   P3 load the request; not asked, or        S3 check the index again; if there is something,
//      k not reached: done                       withdraw the request and do not sleep
//   P4 exchange the request for 0;            S4 sleep until the doorbell rings, then begin
//      ring only if it was asked                 anew: a ring is a hint, the index is the truth
//
// P2 and S2 make it impossible that P3 misses the request and S3 misses the index. P4 makes rings
// at most as many as requests, whoever publishes how often. Indices run freely modulo 2^32 and
// capacities stay far below 2^31, so "k reached" is a signed comparison.
//
// A peer may write anything into the request: at worst it is woken too often or never, which is
// its own loss; the publisher's cost is one system call for each publication.
#pragma once

#include "base/untrusted.h"

#include <atomic>

namespace annulus::channel {

// What a structure needs to wake the peer. ring() is called after P4; it must not need the
// structure. Coalescing: any number of rings before the peer looks are one.
template <typename T>
concept Doorbell = requires(T bell) { bell.ring(); };

namespace wake {

// A request word: this bit and the index in the lower half; 0 is "not asked".
inline constexpr uint64_t asked = uint64_t{1} << 32;

// True if the request asks to be woken at `index` or before.
constexpr bool reached(uint64_t request, uint32_t index) {
    return (request & asked) != 0 &&
           static_cast<int32_t>(index - static_cast<uint32_t>(request)) >= 0;
}

// P4, out of line: the peer sleeps, so it is not urgent.
template <Doorbell Bell>
[[gnu::noinline, gnu::cold]] void claim_and_ring(UntrustedAtomic<uint64_t> request, Bell& peer) {
    if ((request.exchange(0) & asked) != 0) peer.ring();
}

// P1 to P4. One call for a whole batch is cheaper than one for each entry.
template <Doorbell Bell>
[[gnu::always_inline]] inline void publish(UntrustedAtomic<uint32_t> index, uint32_t value,
                                           UntrustedAtomic<uint64_t> request, Bell& peer) {
    // P1. Order: release, with the acquire of whoever loads the index: entries come first.
    index.store_release(value);
    // P2. Pairs with S2.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // P3. Order: relaxed; the fence is what counts.
    const uint64_t asks = request.load_relaxed();
    if (asks != 0 && reached(asks, value)) [[unlikely]]
        claim_and_ring(request, peer);
}

// P2 to P4 for an announcement that is no index (the stream's end): rings whoever has asked.
template <Doorbell Bell>
void announce(UntrustedAtomic<uint64_t> request, Bell& peer) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    claim_and_ring(request, peer);
}

// S1 to S3. `ready` looks at shared memory again. True: sleep, the doorbell will ring once the
// index reaches `at`. False: there is something, and no request is left.
template <typename Ready>
[[nodiscard]] bool ask(UntrustedAtomic<uint64_t> request, uint32_t at, Ready ready) {
    // S1. Order: relaxed; the fence is what counts.
    request.store_relaxed(asked | at);
    // S2. Pairs with P2.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // S3.
    if (!ready()) return true;
    // A publisher that claimed the request meanwhile rings once for nothing, which is allowed.
    request.store_relaxed(0);
    return false;
}

}  // namespace wake

}  // namespace annulus::channel
