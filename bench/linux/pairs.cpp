// SPDX-License-Identifier: MIT
// The curves in time, on two CPUs: both sides are awake all the time, each on a CPU of its own. By
// the default policy, since first in, first out lets what is awake starve the kernel's own threads.
#include "bench/linux/conversation.h"
#include "bench/linux/exchange.h"
#include "bench/linux/measure.h"
#include "bench/linux/peer.h"
#include "bench/linux/rows.h"
#include "bench/linux/sets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <vector>

namespace annulus::bench {
namespace {

constexpr size_t size_max = 16 << 20;
constexpr int second = 1;

// Whether a call that does not block has to be tried again.
bool again(ssize_t result) {
    if (result > 0) return false;
    if (result == 0 || errno != EAGAIN) fail("a side that is awake");
    return true;
}
void read_awake(int from, char* to, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t part = read(from, to + done, size - done);
        if (!again(part)) done += static_cast<size_t>(part);
    }
}
void write_awake(int to, const char* from, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t part = write(to, from + done, size - done);
        if (!again(part)) done += static_cast<size_t>(part);
    }
}
void never_block(int file) { must("O_NONBLOCK", fcntl(file, F_SETFL, O_NONBLOCK)); }

Spread by_descriptors(int to_peer, int at_peer, int answer_in, int answer_out, size_t size) {
    static std::array<char, size_max> bytes;
    const Peer peer(
        [&] {
            read_awake(at_peer, bytes.data(), size);
            write_awake(answer_out, bytes.data(), 1);
        },
        second);
    return spread([&] {
        char answer;
        write_awake(to_peer, bytes.data(), size);
        read_awake(answer_in, &answer, 1);
    });
}

Spread by_uring(const int (&ends)[2], size_t size) {
    void* bytes = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (bytes == MAP_FAILED) fail("mmap");
    Spread each;
    {
        const Peer peer(
            [&] {
                Conversation theirs(ends[1], bytes, size, true);
                theirs.exchange(0, size);
                for (;;) theirs.exchange(1, size);
            },
            second);
        Conversation mine(ends[0], bytes, size, true);
        each = spread([&] { mine.exchange(size, 1); });
    }
    munmap(bytes, size);
    return each;
}

struct SharedMessage {
    Turn mine;
    alignas(128) Turn theirs;
    alignas(128) std::array<char, size_max> bytes;
};

Spread by_shared_memory(SharedMessage& message, size_t size, bool awake) {
    static std::array<char, size_max> bytes;
    const auto take = [awake](Turn& turn) { awake ? turn.take_awake() : turn.take(); };
    const Peer peer(
        [&] {
            take(message.theirs);
            memcpy(bytes.data(), message.bytes.data(), size);
            message.mine.give();
        },
        second);
    return spread([&] {
        memcpy(message.bytes.data(), bytes.data(), size);
        message.theirs.give();
        take(message.mine);
    });
}

void message_sizes() {
    auto& message = shared<SharedMessage>();
    const Pipes pipes;
    for (const int* both : {pipes.to_peer, pipes.from_peer}) {
        never_block(both[0]);
        never_block(both[1]);
    }
    int ends[2];
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    int awake_ends[2];
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, awake_ends));
    for (size_t size = 1; size <= size_max; size *= 4) {
        report_time("message", "pipe", size,
                    by_descriptors(pipes.to_peer[1], pipes.to_peer[0], pipes.from_peer[0],
                                   pipes.from_peer[1], size));
        report_time(
            "message", "unix stream", size,
            by_descriptors(awake_ends[0], awake_ends[1], awake_ends[0], awake_ends[1], size));
        report_time("message", "io_uring, unix stream", size, by_uring(ends, size));
        report_time("message", "shared memory", size, by_shared_memory(message, size, true));
        report_time("message", "shared memory + futex, sleeping", size,
                    by_shared_memory(message, size, false));
    }
}

struct Hop {
    Turn mine;
    alignas(128) Turn theirs;
    alignas(128) std::array<uint64_t, 8> bytes;
};

// 64 bytes to a peer that looks for them, and back, each copied out of the shared memory.
Spread hop() {
    auto& both = shared<Hop>();
    const auto round = [&](Turn& from, Turn& to) {
        std::array<uint64_t, 8> bytes;
        from.take_awake();
        bytes = both.bytes;
        asm volatile("" ::"r"(&bytes) : "memory");
        both.bytes = bytes;
        to.give();
    };
    const Peer peer([&] { round(both.theirs, both.mine); }, second);
    both.mine.give();
    return spread([&] { round(both.mine, both.theirs); }, 2);
}

Spread futex_wake_up() {
    auto& both = shared<Hop>();
    const Peer peer(
        [&] {
            both.theirs.take();
            both.mine.give();
        },
        second);
    return spread(
        [&] {
            both.theirs.give();
            both.mine.take();
        },
        2);
}

Spread eventfd_wake_up() {
    const int mine = static_cast<int>(must("eventfd", eventfd(0, 0)));
    const int theirs = static_cast<int>(must("eventfd", eventfd(0, 0)));
    Spread each;
    {
        const Peer peer(
            [&] {
                eventfd_t units;
                eventfd_read(theirs, &units);
                eventfd_write(mine, 1);
            },
            second);
        each = spread(
            [&] {
                eventfd_t units;
                eventfd_write(theirs, 1);
                eventfd_read(mine, &units);
            },
            2);
    }
    close(mine);
    close(theirs);
    return each;
}

Spread epoll_awake(unsigned members) {
    const EpollSet waited(members);
    const int theirs = static_cast<int>(must("eventfd", eventfd(0, EFD_NONBLOCK)));
    Spread each;
    {
        const Peer peer(
            [&] {
                epoll_event ready;
                eventfd_t units;
                if (epoll_wait(waited.set(), &ready, 1, 0) != 1) return;
                eventfd_read(ready.data.fd, &units);
                eventfd_write(theirs, 1);
            },
            second);
        each = spread([&] {
            eventfd_t units;
            eventfd_write(waited.events().back(), 1);
            while (eventfd_read(theirs, &units) != 0) {
            }
        });
    }
    close(theirs);
    return each;
}

}  // namespace

void measure_pairs() {
    measure_clients(Figure::time);
    stay_on(0);
    message_sizes();
    report_time("27", "64 B in shared memory", 0, hop());
    report_time("27", "futex", 0, futex_wake_up());
    report_time("27", "eventfd", 0, eventfd_wake_up());
    for (unsigned members = 1; members <= 10'000; members *= 10) {
        report_time("set", "epoll", members, epoll_awake(members));
    }
    for (unsigned words = 1; words <= 128; words *= 2) {
        report_time("set", "futex_waitv, sleeping", words, waitv_in_time(words));
    }
    for (unsigned batch = 1; batch <= 256; batch *= 2) {
        report_time("batch", "io_uring NOP", batch, uring_nop_in_time(batch));
    }
}

}  // namespace annulus::bench
