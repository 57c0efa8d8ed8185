// SPDX-License-Identifier: MIT
// The rows: one operation each, as a program on Linux would do it best.
#include "bench/linux/rows.h"

#include "bench/linux/exchange.h"
#include "bench/linux/measure.h"
#include "bench/linux/peer.h"
#include "bench/linux/sets.h"
#include "bench/linux/uring.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/sem.h>
#include <sys/socket.h>

#include <array>

namespace annulus::bench {
namespace {

void null_call() {
    report("1", "getppid", cost([] { syscall(SYS_getppid); }));
}

struct Turns {
    Turn mine;
    Turn theirs;
};

void futex_round_trip() {
    auto& turns = shared<Turns>();
    const Peer peer([&] {
        turns.theirs.take();
        turns.mine.give();
    });
    const uint64_t each = cost([&] {
        turns.theirs.give();
        turns.mine.take();
    });
    for (const char* row : {"2", "5", "6"}) report(row, "futex", each);
}

void pipe_round_trip() {
    const Pipes pipes;
    const Peer peer([&] {
        char byte = 0;
        read_whole(pipes.to_peer[0], &byte, 1);
        write_whole(pipes.from_peer[1], &byte, 1);
    });
    report("2", "pipe, 1 B", cost([&] {
               char byte = 0;
               write_whole(pipes.to_peer[1], &byte, 1);
               read_whole(pipes.from_peer[0], &byte, 1);
           }));
}

// `size` bytes there, one byte back.
uint64_t socket_round_trip(int type, size_t size) {
    int ends[2];
    must("socketpair", socketpair(AF_UNIX, type, 0, ends));
    static std::array<char, 65536> bytes;
    const Peer peer([&] {
        read_whole(ends[1], bytes.data(), size);
        write_whole(ends[1], bytes.data(), 1);
    });
    const uint64_t each = cost([&] {
        write_whole(ends[0], bytes.data(), size);
        read_whole(ends[0], bytes.data(), 1);
    });
    close(ends[0]);
    close(ends[1]);
    return each;
}

void eventfd_round_trip() {
    const int mine = static_cast<int>(must("eventfd", eventfd(0, 0)));
    const int theirs = static_cast<int>(must("eventfd", eventfd(0, 0)));
    {
        const Peer peer([&] {
            eventfd_t units;
            eventfd_read(theirs, &units);
            eventfd_write(mine, 1);
        });
        const uint64_t each = cost([&] {
            eventfd_t units;
            eventfd_write(theirs, 1);
            eventfd_read(mine, &units);
        });
        for (const char* row : {"2", "5", "6"}) report(row, "eventfd", each);
    }
    close(mine);
    close(theirs);
}

void free_semaphores() {
    auto& turn = shared<Turn>();
    report("4", "futex word, no system call", cost([&] {
               turn.give();
               turn.take();
           }));
    const int event = static_cast<int>(must("eventfd", eventfd(0, EFD_SEMAPHORE)));
    report("4", "eventfd", cost([&] {
               eventfd_t units;
               eventfd_write(event, 1);
               eventfd_read(event, &units);
           }));
    close(event);
    const int set = static_cast<int>(must("semget", semget(IPC_PRIVATE, 1, 0600)));
    report("4", "SysV semop", cost([&] {
               sembuf up = {0, 1, 0};
               sembuf down = {0, -1, 0};
               semop(set, &up, 1);
               semop(set, &down, 1);
           }));
    semctl(set, 0, IPC_RMID);
}

// A stream in buffers of 4 KiB, 32 a batch, from this process to another.
uint64_t stream_per_kib(int in, int out) {
    constexpr size_t piece = 4096;
    constexpr size_t batch = 32;
    static std::array<char, piece> bytes;
    int done[2];
    must("pipe", pipe(done));
    uint64_t each;
    {
        const Peer peer([&] {
            for (size_t i = 0; i < batch; ++i) read_whole(in, bytes.data(), piece);
            write_whole(done[1], bytes.data(), 1);
        });
        each = cost(
            [&] {
                for (size_t i = 0; i < batch; ++i) write_whole(out, bytes.data(), piece);
                char end;
                read_whole(done[0], &end, 1);
            },
            batch * piece / 1024, 20);
    }
    close(done[0]);
    close(done[1]);
    return each;
}

void streams() {
    int ends[2];
    must("pipe", pipe(ends));
    must("F_SETPIPE_SZ", fcntl(ends[1], F_SETPIPE_SZ, 1 << 18));
    report("15", "pipe of 256 KiB", stream_per_kib(ends[0], ends[1]));
    close(ends[0]);
    close(ends[1]);
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    report("15", "unix stream", stream_per_kib(ends[0], ends[1]));
    close(ends[0]);
    close(ends[1]);
}

// 32 messages of 64 bytes, then an answer: per message.
void messages() {
    constexpr size_t batch = 32;
    const Pipes pipes;
    static std::array<char, 64 * batch> bytes;
    const Peer peer([&] {
        read_whole(pipes.to_peer[0], bytes.data(), bytes.size());
        write_whole(pipes.from_peer[1], bytes.data(), 1);
    });
    report("13", "pipe, batch of 32 in one write",
           cost(
               [&] {
                   char end;
                   write_whole(pipes.to_peer[1], bytes.data(), bytes.size());
                   read_whole(pipes.from_peer[0], &end, 1);
               },
               batch));
}

// A message of 12 bytes, which is what fits, from one ring to another of the same process.
void ring_messages() {
    constexpr unsigned batch = 32;
    Uring sender(64);
    Uring receiver(64);
    report("13", "io_uring MSG_RING, batch of 32",
           cost(
               [&] {
                   for (unsigned i = 0; i < batch; ++i) {
                       io_uring_sqe& entry = sender.prepare();
                       entry.opcode = IORING_OP_MSG_RING;
                       entry.fd = receiver.descriptor();
                       entry.len = i;
                   }
                   sender.submit_and_reap();
                   unsigned received = 0;
                   receiver.submit_and_tell(batch, [&](uint64_t, int) { ++received; });
                   if (received != batch) fail("MSG_RING");
               },
               batch));
}

void making() {
    report("18", "eventfd + close", cost([] { close(eventfd(0, 0)); }));
    report("18", "pipe + 2 close", cost([] {
               int ends[2];
               if (pipe(ends) != 0) fail("pipe");
               close(ends[0]);
               close(ends[1]);
           }));
}

}  // namespace

void measure_rows() {
    null_call();
    futex_round_trip();
    pipe_round_trip();
    report("2", "unix stream, 1 B", socket_round_trip(SOCK_STREAM, 1));
    report("3", "unix stream, 512 B", socket_round_trip(SOCK_STREAM, 512));
    report("3", "unix seqpacket, 512 B", socket_round_trip(SOCK_SEQPACKET, 512));
    free_semaphores();
    eventfd_round_trip();
    report("10", "epoll of 1 eventfd", epoll_round_trip(1));
    report("10", "epoll of 1000 eventfds", epoll_round_trip(1000));
    report("12", "io_uring NOP, alone", uring_nop(1));
    report("12", "io_uring NOP, 128 at once", uring_nop(128));
    messages();
    ring_messages();
    streams();
    making();
}

}  // namespace annulus::bench
