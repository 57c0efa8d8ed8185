// SPDX-License-Identifier: MIT
// The curves: what an operation costs as its size, or the number of those concerned, grows.
#include "bench/linux/conversation.h"
#include "bench/linux/exchange.h"
#include "bench/linux/measure.h"
#include "bench/linux/peer.h"
#include "bench/linux/rows.h"
#include "bench/linux/sets.h"

#include <string.h>
#include <sys/socket.h>

#include <array>

namespace annulus::bench {
namespace {

constexpr size_t size_max = 16 << 20;

// Fewer rounds for what takes long.
uint64_t rounds_for(size_t size) { return std::max<uint64_t>(2, rounds / (1 + size / 4096)); }

// A message of `size` bytes there, one byte back; the receiver has it in memory of its own.
uint64_t by_descriptors(int to_peer, int at_peer, int answer_in, int answer_out, size_t size) {
    static std::array<char, size_max> bytes;
    const Peer peer([&] {
        read_whole(at_peer, bytes.data(), size);
        write_whole(answer_out, bytes.data(), 1);
    });
    return cost(
        [&] {
            char answer;
            write_whole(to_peer, bytes.data(), size);
            read_whole(answer_in, &answer, 1);
        },
        1, rounds_for(size));
}

// The peer has one call for its answer and for the next message that it waits for.
uint64_t by_uring(const int (&ends)[2], size_t size) {
    // Not the program's own data: io_uring registers no pages that a file backs. And no more than
    // the message, since each side gets pages of its own when it registers them.
    void* bytes = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (bytes == MAP_FAILED) fail("mmap");
    uint64_t each;
    {
        const Peer peer([&] {
            Conversation theirs(ends[1], bytes, size);
            theirs.exchange(0, size);
            for (;;) theirs.exchange(1, size);
        });
        Conversation mine(ends[0], bytes, size);
        each = cost([&] { mine.exchange(size, 1); }, 1, rounds_for(size));
    }
    munmap(bytes, size);
    return each;
}

struct SharedMessage {
    Turn mine;
    Turn theirs;
    std::array<char, size_max> bytes;
};

uint64_t by_shared_memory(SharedMessage& message, size_t size) {
    static std::array<char, size_max> bytes;
    const Peer peer([&] {
        message.theirs.take();
        memcpy(bytes.data(), message.bytes.data(), size);
        message.mine.give();
    });
    return cost(
        [&] {
            memcpy(message.bytes.data(), bytes.data(), size);
            message.theirs.give();
            message.mine.take();
        },
        1, rounds_for(size));
}

void message_sizes() {
    auto& message = shared<SharedMessage>();
    const Pipes pipes;
    int ends[2];
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    for (size_t size = 1; size <= size_max; size *= 4) {
        report_point("message", "pipe", size,
                     by_descriptors(pipes.to_peer[1], pipes.to_peer[0], pipes.from_peer[0],
                                    pipes.from_peer[1], size));
        report_point("message", "unix stream", size,
                     by_descriptors(ends[0], ends[1], ends[0], ends[1], size));
        report_point("message", "shared memory + futex", size, by_shared_memory(message, size));
        report_point("message", "io_uring, unix stream", size, by_uring(ends, size));
    }
}

void wait_sets() {
    for (unsigned members = 1; members <= 10'000; members *= 10) {
        report_point("set", "epoll", members, epoll_round_trip(members));
    }
    for (unsigned words = 1; words <= 128; words *= 2) {
        report_point("set", "futex_waitv", words, waitv_round_trip(words));
    }
}

void batches_of_nops() {
    for (unsigned batch = 1; batch <= 256; batch *= 2) {
        report_point("batch", "io_uring NOP", batch, uring_nop(batch));
    }
}

}  // namespace

void measure_curves() {
    measure_clients(Figure::instructions);
    message_sizes();
    wait_sets();
    batches_of_nops();
}

}  // namespace annulus::bench
