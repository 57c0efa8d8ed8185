// SPDX-License-Identifier: MIT
// Waiting on many, and batches.
#include "bench/linux/sets.h"

#include "bench/linux/measure.h"
#include "bench/linux/peer.h"
#include "bench/linux/uring.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <time.h>

#include <array>
#include <vector>

namespace annulus::bench {

constexpr unsigned waitv_max = 128;

EpollSet::EpollSet(unsigned members)
    : set_(static_cast<int>(must("epoll_create1", epoll_create1(0)))), events_(members) {
    for (int& event : events_) {
        event = static_cast<int>(must("eventfd", eventfd(0, EFD_NONBLOCK)));
        epoll_event member = {.events = EPOLLIN, .data = {.fd = event}};
        must("epoll_ctl", epoll_ctl(set_, EPOLL_CTL_ADD, event, &member));
    }
}

EpollSet::~EpollSet() {
    for (const int event : events_) close(event);
    close(set_);
}

// Blocks on one of `members` eventfds, of which the last is signalled by a peer, which waits for
// an answer: the same exchange as in row 5, one side through epoll.
uint64_t epoll_round_trip(unsigned members) {
    const EpollSet waited(members);
    const int theirs = static_cast<int>(must("eventfd", eventfd(0, 0)));
    uint64_t each;
    {
        const Peer peer([&] {
            epoll_event ready;
            eventfd_t units;
            if (epoll_wait(waited.set(), &ready, 1, -1) != 1) fail("epoll_wait");
            eventfd_read(ready.data.fd, &units);
            eventfd_write(theirs, 1);
        });
        each = cost([&] {
            eventfd_t units;
            eventfd_write(waited.events().back(), 1);
            eventfd_read(theirs, &units);
        });
    }
    close(theirs);
    return each;
}

// The peer runs on `cpu`; `measure` gets the round trip.
template <typename Measure>
static auto with_waitv(unsigned words, int cpu, Measure measure) {
    struct Words {
        Turn theirs;
        std::array<std::atomic<uint32_t>, waitv_max> mine;
    };
    auto& shared_words = shared<Words>();
    std::atomic<uint32_t>& last = shared_words.mine[words - 1];
    std::array<futex_waitv, waitv_max> waiters = {};
    for (unsigned i = 0; i < words; ++i) {
        waiters[i].uaddr = reinterpret_cast<uint64_t>(&shared_words.mine[i]);
        waiters[i].flags = FUTEX_32;
    }
    const Peer peer(
        [&] {
            shared_words.theirs.take();
            last.store(1, std::memory_order_release);
            futex_wake(last);
        },
        cpu);
    return measure([&] {
        shared_words.theirs.give();
        while (last.exchange(0, std::memory_order_acquire) == 0) {
            syscall(SYS_futex_waitv, waiters.data(), words, 0, nullptr, CLOCK_MONOTONIC);
        }
    });
}

uint64_t waitv_round_trip(unsigned words) {
    return with_waitv(words, Peer::any_cpu, [](auto round) { return cost(round); });
}

Spread waitv_in_time(unsigned words) {
    return with_waitv(words, 1, [](auto round) { return spread(round); });
}

template <typename Measure>
static auto with_nops(unsigned batch, Measure measure) {
    Uring ring(256);
    return measure([&] {
        for (unsigned i = 0; i < batch; ++i) ring.prepare().opcode = IORING_OP_NOP;
        ring.submit_and_reap();
    });
}

uint64_t uring_nop(unsigned batch) {
    return with_nops(batch, [&](auto round) { return cost(round, batch); });
}

Spread uring_nop_in_time(unsigned batch) {
    return with_nops(batch, [&](auto round) { return spread(round, batch); });
}

}  // namespace annulus::bench
