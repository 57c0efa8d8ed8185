// SPDX-License-Identifier: MIT
// Waiting on many, and batches.
#include "bench/linux/sets.h"

#include "bench/linux/measure.h"
#include "bench/linux/peer.h"
#include "bench/linux/uring.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <vector>

namespace annulus::bench {

// Blocks on one of `members` eventfds, of which the last is signalled by a peer, which waits for
// an answer: the same exchange as in row 5, one side through epoll.
uint64_t epoll_round_trip(unsigned members) {
    const int set = static_cast<int>(must("epoll_create1", epoll_create1(0)));
    std::vector<int> events(members);
    for (int& event : events) {
        event = static_cast<int>(must("eventfd", eventfd(0, EFD_NONBLOCK)));
        epoll_event member = {.events = EPOLLIN, .data = {.fd = event}};
        must("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, event, &member));
    }
    const int theirs = static_cast<int>(must("eventfd", eventfd(0, 0)));
    uint64_t each;
    {
        const Peer peer([&] {
            epoll_event ready;
            eventfd_t units;
            if (epoll_wait(set, &ready, 1, -1) != 1) fail("epoll_wait");
            eventfd_read(ready.data.fd, &units);
            eventfd_write(theirs, 1);
        });
        each = cost([&] {
            eventfd_t units;
            eventfd_write(events.back(), 1);
            eventfd_read(theirs, &units);
        });
    }
    for (const int event : events) close(event);
    close(theirs);
    close(set);
    return each;
}

uint64_t uring_nop(unsigned batch) {
    Uring ring(256);
    return cost(
        [&] {
            for (unsigned i = 0; i < batch; ++i) ring.prepare().opcode = IORING_OP_NOP;
            ring.submit_and_reap();
        },
        batch);
}

}  // namespace annulus::bench
