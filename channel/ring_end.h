// SPDX-License-Identifier: MIT
// One end of a ring: free-running indices, the check of the peer's index, publication, requests.
//
// A ring has a producer and a consumer and 2^n places. Each side writes its own index and reads the
// other's; an index counts places since the beginning, modulo 2^32, and is reduced to a place only
// when memory is touched. An end keeps everything that it relies on in private memory:
//
//        consumer's                     producer's
//        index                          index
//   ------+------------------------------+------------      consumer: available = producer - own
//         |<--------- filled ----------->|                  producer: available = capacity - filled
//
//   own         how far this end has got, published or not
//   published   what the peer was last told
//   known       how much further this end may get by the peer's index as it was last read; it is
//               read again only when that is used up
//
// A peer's index is accepted if it neither goes back nor beyond what the ring allows; anything
// else trips the latch, and the end has nothing available ever after.
#pragma once

#include "channel/fault.h"
#include "channel/geometry.h"
#include "channel/wake.h"

#include <optional>

namespace annulus::channel {

enum class Role : uint8_t { producer, consumer };

// What to do after asking to be woken.
enum class Wait : uint8_t {
    sleep,    // nothing there: wait for the doorbell, then look again
    ready,    // there is something now
    faulted,  // the latch has tripped; nothing will ever come
};

// Used by one thread at a time. The latch and the doorbell are passed in by the structure that
// holds the end, so that the structure can be moved.
template <Role role>
class RingEnd {
public:
    // The words of the ring begin at `offset` of `memory`; nothing if they do not fit. Capacity is
    // a power of two up to 2^30. The ring is new: its words are zero.
    static std::optional<RingEnd> attach(UntrustedBytes memory, uint64_t offset,
                                         uint32_t capacity) {
        const auto words = memory.subspan(offset, ring_words_size);
        if (!words || !is_power_of_two(capacity) || capacity > max_capacity) return std::nullopt;
        const auto producer = words->atomic_at<uint32_t>(producer_index_offset);
        const auto consumer = words->atomic_at<uint32_t>(consumer_index_offset);
        const auto by_consumer = words->atomic_at<uint64_t>(consumer_request_offset);
        const auto by_producer = words->atomic_at<uint64_t>(producer_request_offset);
        if (!producer || !consumer || !by_consumer || !by_producer) return std::nullopt;
        if constexpr (role == Role::producer) {
            return RingEnd(*producer, *consumer, *by_producer, *by_consumer, capacity);
        } else {
            return RingEnd(*consumer, *producer, *by_consumer, *by_producer, capacity);
        }
    }

    uint32_t capacity() const { return capacity_; }

    // The free-running index of the next place.
    uint32_t position() const { return own_; }

    // Places to fill (producer) or to read (consumer) without looking at shared memory.
    uint32_t known() const { return known_; }

    // At least `wanted` if there are so many; looks at the peer's index only if fewer are known.
    [[gnu::always_inline]] uint32_t available(uint32_t wanted, FaultLatch& latch) {
        if (known() >= wanted) [[likely]]
            return known();
        return refresh(latch);
    }

    // What is available of `wanted`: at most that.
    [[gnu::always_inline]] uint32_t available_up_to(size_t wanted, FaultLatch& latch) {
        const uint32_t most = wanted < capacity_ ? static_cast<uint32_t>(wanted) : capacity_;
        const uint32_t count = available(most, latch);
        return count < most ? count : most;
    }

    // Reads the peer's index. What is available then; 0 after a fault.
    [[gnu::noinline]] uint32_t refresh(FaultLatch& latch) { return look(latch); }

    // Passes `count` places: no more than are known(). The peer does not see it before publish().
    [[gnu::always_inline]] void advance(uint32_t count) {
        known_ -= count;
        own_ += count;
    }

    // True if something was passed and not published.
    bool unpublished() const { return own_ != published_; }

    // Tells the peer how far this end has got, and wakes it if it asked for that.
    template <Doorbell Bell>
    [[gnu::always_inline]] void publish(Bell& peer) {
        if (!unpublished()) return;
        published_ = own_;
        wake::publish(own_word_, own_, peer_request_, peer);
    }

    // Publishes, then asks to be woken when `wanted` places (1 to the capacity) are available.
    // Ready if there is any: if both sides slept with a part, each waiting for more, neither would
    // ever be woken.
    template <Doorbell Bell>
    [[nodiscard, gnu::always_inline]] Wait prepare_wait(uint32_t wanted, FaultLatch& latch,
                                                        Bell& peer) {
        return prepare_wait(wanted, latch, peer, [] { return false; });
    }

    // The same, and `also` says whether there is another reason not to sleep.
    template <Doorbell Bell, typename Also>
    [[nodiscard, gnu::always_inline]] Wait prepare_wait(uint32_t wanted, FaultLatch& latch,
                                                        Bell& peer, Also also) {
        if (wanted == 0) wanted = 1;
        if (wanted > capacity_) wanted = capacity_;
        return ask(wanted, 1, latch, peer, also);
    }

    // Publishes, then asks to be woken when everything is available: for a producer, when the
    // consumer has passed all. Safe, because a consumer does not sleep on a part.
    template <Doorbell Bell>
    [[nodiscard]] Wait prepare_wait_all(FaultLatch& latch, Bell& peer) {
        return ask(capacity_, capacity_, latch, peer, [] { return false; });
    }

    // Wakes the peer if it has asked for anything: for announcements beside the index.
    template <Doorbell Bell>
    void announce(Bell& peer) {
        wake::announce(peer_request_, peer);
    }

private:
    static constexpr uint32_t max_capacity = uint32_t{1} << 30;

    RingEnd(UntrustedAtomic<uint32_t> own, UntrustedAtomic<uint32_t> peer,
            UntrustedAtomic<uint64_t> own_request, UntrustedAtomic<uint64_t> peer_request,
            uint32_t capacity)
        : own_word_(own),
          peer_word_(peer),
          own_request_(own_request),
          peer_request_(peer_request),
          capacity_(capacity),
          known_(bias()) {}

    // An empty ring is all the producer's.
    uint32_t bias() const { return role == Role::producer ? capacity_ : 0; }

    // refresh(), for where it is not the exception.
    [[gnu::always_inline]] uint32_t look(FaultLatch& latch) {
        if (latch.tripped()) return give_up();
        // Order: acquire, with the release of the peer's publication: entries are complete
        // (consumer), or were read for the last time (producer).
        const uint32_t seen = peer_word_.load_acquire();
        // Both differences are counted from what the peer may know; modulo 2^32, so that a jump
        // and a step back show as a large number and a small one.
        const uint32_t before = own_ + known_ - published_;
        const uint32_t now = seen + bias() - published_;
        if (now > capacity_ || now < before) [[unlikely]] {
            latch.trip(role == Role::producer ? Fault::consumer_index : Fault::producer_index);
            return give_up();
        }
        known_ = seen + bias() - own_;
        return known_;
    }

    template <Doorbell Bell, typename Also>
    [[gnu::always_inline]] Wait ask(uint32_t wanted, uint32_t enough, FaultLatch& latch, Bell& peer,
                                    Also also) {
        publish(peer);
        const auto ready = [&] [[gnu::always_inline]] {
            return look(latch) >= enough || latch.tripped() || also();
        };
        // To look first is cheaper than to ask and withdraw; what counts is the look in between.
        const bool sleep = !ready() && wake::ask(own_request_, own_ + wanted - bias(), ready);
        if (latch.tripped()) return Wait::faulted;
        return sleep ? Wait::sleep : Wait::ready;
    }

    uint32_t give_up() {
        known_ = 0;
        return 0;
    }

    UntrustedAtomic<uint32_t> own_word_;
    UntrustedAtomic<uint32_t> peer_word_;
    UntrustedAtomic<uint64_t> own_request_;   // ours: "wake me"
    UntrustedAtomic<uint64_t> peer_request_;  // the peer's: "wake me"
    uint32_t capacity_;
    uint32_t known_;  // how much further this end may get, by the peer's index
    uint32_t own_ = 0;
    uint32_t published_ = 0;
};

}  // namespace annulus::channel
