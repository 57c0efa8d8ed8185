// SPDX-License-Identifier: MIT
// The rows about memory, handles, threads, processes, files and sockets.
#include "bench/linux/exchange.h"
#include "bench/linux/measure.h"
#include "bench/linux/peer.h"
#include "bench/linux/rows.h"
#include "bench/linux/sets.h"
#include "bench/linux/uring.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <utility>

namespace annulus::bench {
namespace {

constexpr size_t page = 4096;
constexpr uint64_t few = 20;  // rounds of what takes long

void waiting_on_several() {
    report("8", "futex_waitv of 1", waitv_round_trip(1));
    report("8", "futex_waitv of 8", waitv_round_trip(8));
    report("8", "futex_waitv of 128", waitv_round_trip(128));
}

// Each signal enters the kernel; one wait takes all that is ready, then each unit is read.
void many_ready() {
    constexpr unsigned members = 64;
    const EpollSet waited(members);
    report("11", "epoll of 64 eventfds",
           cost(
               [&] {
                   std::array<epoll_event, members> ready;
                   for (const int event : waited.events()) eventfd_write(event, 1);
                   if (epoll_wait(waited.set(), ready.data(), members, -1) != members)
                       fail("epoll_wait");
                   for (const epoll_event& one : ready) {
                       eventfd_t units;
                       eventfd_read(one.data.fd, &units);
                   }
               },
               members, few));
}

// `size` bytes there and back: written here, read there, written there, read here.
uint64_t there_and_back(size_t size) {
    const Pipes pipes;
    static std::array<char, 65536> bytes;
    const Peer peer([&] {
        read_whole(pipes.to_peer[0], bytes.data(), size);
        write_whole(pipes.from_peer[1], bytes.data(), size);
    });
    return cost(
        [&] {
            write_whole(pipes.to_peer[1], bytes.data(), size);
            read_whole(pipes.from_peer[0], bytes.data(), size);
        },
        1, few);
}

// Memory that both had before: nothing is copied, and the peer looks at its first bytes.
uint64_t shared_there_and_back() {
    struct Buffer {
        Turn mine;
        Turn theirs;
        std::atomic<uint64_t> first;
    };
    auto& buffer = shared<Buffer>();
    const Peer peer([&] {
        buffer.theirs.take();
        buffer.first.load(std::memory_order_relaxed);
        buffer.mine.give();
    });
    return cost([&] {
        buffer.first.store(1, std::memory_order_relaxed);
        buffer.theirs.give();
        buffer.mine.take();
    });
}

// A message of one byte with room for a descriptor.
struct DescriptorMessage {
    char byte = 0;
    iovec part = {&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
    msghdr message = {};

    DescriptorMessage() {
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
    }
    DescriptorMessage(const DescriptorMessage&) = delete;
    DescriptorMessage& operator=(const DescriptorMessage&) = delete;
};

void send_descriptor(int socket, int file) {
    DescriptorMessage sent;
    cmsghdr* head = CMSG_FIRSTHDR(&sent.message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &file, sizeof(int));
    must("sendmsg", sendmsg(socket, &sent.message, 0));
}
int receive_descriptor(int socket) {
    DescriptorMessage got;
    must("recvmsg", recvmsg(socket, &got.message, 0));
    const cmsghdr* head = CMSG_FIRSTHDR(&got.message);
    if (head == nullptr || head->cmsg_type != SCM_RIGHTS) fail("no descriptor came");
    int file;
    memcpy(&file, CMSG_DATA(head), sizeof(int));
    return file;
}

// Memory that the peer gets with its descriptor, maps, looks at, and lets go.
uint64_t memfd_there_and_back(size_t size) {
    int ends[2];
    must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    const int file = static_cast<int>(must("memfd_create", memfd_create("buffer", 0)));
    must("ftruncate", ftruncate(file, static_cast<off_t>(size)));
    uint64_t each;
    {
        const Peer peer([&] {
            const int got = receive_descriptor(ends[1]);
            void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, got, 0);
            if (memory == MAP_FAILED) fail("mmap");
            *static_cast<volatile char*>(memory) = 1;
            munmap(memory, size);
            close(got);
            write_whole(ends[1], "", 1);
        });
        each = cost([&] {
            char byte;
            send_descriptor(ends[0], file);
            read_whole(ends[0], &byte, 1);
        });
    }
    for (const int end : ends) close(end);
    close(file);
    return each;
}

void handing_over() {
    const uint64_t by_shared_memory = shared_there_and_back();
    for (const auto [size, name] : {std::pair(page, "4 KiB"), std::pair(page * 16, "64 KiB")}) {
        char way[64];
        const auto report_way = [&](const char* kind, uint64_t instructions) {
            snprintf(way, sizeof(way), "%s, %s", kind, name);
            report("14", way, instructions);
        };
        report_way("pipe", there_and_back(size));
        report_way("shared memory and futex", by_shared_memory);
        report_way("memfd by SCM_RIGHTS, mapped and unmapped", memfd_there_and_back(size));
    }
}

char* map_pages(size_t bytes, int flags, int file) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, file, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return static_cast<char*>(memory);
}
void touch(char* at) { *static_cast<volatile char*>(at) = 1; }

void mapping() {
    report("16", "mmap + touch + munmap, anonymous", cost([] {
               char* memory = map_pages(page, MAP_PRIVATE | MAP_ANONYMOUS, -1);
               touch(memory);
               munmap(memory, page);
           }));
    const int file = static_cast<int>(must("memfd_create", memfd_create("page", 0)));
    must("ftruncate", ftruncate(file, page));
    report("16", "mmap + touch + munmap of a memfd's page", cost([&] {
               char* memory = map_pages(page, MAP_SHARED, file);
               touch(memory);
               munmap(memory, page);
           }));
    close(file);
    constexpr size_t pages = 256;
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < batches; ++i) {
        char* memory = map_pages(pages * page, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        madvise(memory, pages * page, MADV_NOHUGEPAGE);
        const uint64_t begin = cycles();
        for (size_t at = 0; at < pages; ++at) touch(memory + at * page);
        best = std::min(best, (cycles() - begin) / pages);
        munmap(memory, pages * page);
    }
    report("17", "anonymous page fault", best);
}

void handles() {
    const int event = static_cast<int>(must("eventfd", eventfd(0, 0)));
    report("19", "dup + close", cost([&] { close(dup(event)); }));
    close(event);
}

void threads() {
    report(
        "20", "pthread_create + join",
        cost(
            [] {
                pthread_t thread;
                if (pthread_create(
                        &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) != 0) {
                    fail("pthread_create");
                }
                pthread_join(thread, nullptr);
            },
            1, few));
}

void processes() {
    report("21", "vfork + exec + exit + wait",
           cost(
               [] {
                   const pid_t child = static_cast<pid_t>(must("vfork", vfork()));
                   if (child == 0) {
                       execl("/end", "end", nullptr);
                       _exit(1);
                   }
                   waitpid(child, nullptr, 0);
               },
               1, few));
    report("21", "fork + exit + wait",
           cost(
               [] {
                   const pid_t child = static_cast<pid_t>(must("fork", fork()));
                   if (child == 0) _exit(0);
                   waitpid(child, nullptr, 0);
               },
               1, few));
}

void files() {
    constexpr unsigned batch = 32;
    static std::array<char, page * batch> bytes;
    const int file = static_cast<int>(must("open", open("/tmp/file", O_RDWR | O_CREAT, 0600)));
    write_whole(file, bytes.data(), bytes.size());
    report("22", "pread of 64 B, tmpfs", cost([&] { must("pread", pread(file, &bytes, 64, 0)); }));
    report("22", "pread of 4 KiB, tmpfs",
           cost([&] { must("pread", pread(file, &bytes, page, 0)); }));
    Uring ring(64);
    ring.fix({&file, 1}, bytes.data(), bytes.size());
    report("23", "io_uring, fixed file and buffer",
           cost(
               [&] {
                   for (unsigned i = 0; i < batch; ++i) {
                       io_uring_sqe& entry = ring.prepare();
                       entry.opcode = IORING_OP_READ_FIXED;
                       entry.flags = IOSQE_FIXED_FILE;
                       entry.addr = reinterpret_cast<uint64_t>(&bytes[i * page]);
                       entry.len = page;
                       entry.off = i * page;
                   }
                   ring.submit_and_reap();
               },
               batch, few));
    close(file);
}

void bring_up_loopback() {
    const int control = static_cast<int>(must("socket", socket(AF_INET, SOCK_DGRAM, 0)));
    ifreq request = {};
    strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
    must("SIOCGIFFLAGS", ioctl(control, SIOCGIFFLAGS, &request));
    request.ifr_flags |= IFF_UP;
    must("SIOCSIFFLAGS", ioctl(control, SIOCSIFFLAGS, &request));
    close(control);
}

// Two connected sockets of the loopback network.
void connect_ends(int type, int (&ends)[2]) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof(address);
    const int first = static_cast<int>(must("socket", socket(AF_INET, type, 0)));
    must("bind", bind(first, generic, length));
    must("getsockname", getsockname(first, generic, &length));
    if (type == SOCK_STREAM) must("listen", listen(first, 1));
    ends[1] = static_cast<int>(must("socket", socket(AF_INET, type, 0)));
    must("connect", connect(ends[1], generic, length));
    if (type == SOCK_STREAM) {
        const int on = 1;
        ends[0] = static_cast<int>(must("accept", accept(first, nullptr, nullptr)));
        for (const int end : ends) {
            must("TCP_NODELAY", setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
        }
        close(first);
    } else {
        must("getsockname", getsockname(ends[1], generic, &length));
        must("connect", connect(first, generic, length));
        ends[0] = first;
    }
}

void echo(const char* way, int type) {
    int ends[2];
    connect_ends(type, ends);
    {
        constexpr size_t size = 64;
        static std::array<char, size> bytes;
        const Peer peer([&] {
            read_whole(ends[1], bytes.data(), size);
            write_whole(ends[1], bytes.data(), size);
        });
        report("24", way, cost([&] {
                   write_whole(ends[0], bytes.data(), size);
                   read_whole(ends[0], bytes.data(), size);
               }));
    }
    for (const int end : ends) close(end);
}

}  // namespace

void measure_resources() {
    waiting_on_several();
    many_ready();
    handing_over();
    mapping();
    handles();
    threads();
    processes();
    files();
    bring_up_loopback();
    echo("UDP echo of 64 B", SOCK_DGRAM);
    echo("TCP echo of 64 B", SOCK_STREAM);
}

}  // namespace annulus::bench
