// SPDX-License-Identifier: MIT
// The curve of the number of client processes: all call one server, which this process is.
#include "bench/linux/exchange.h"
#include "bench/linux/measure.h"
#include "bench/linux/peer.h"
#include "bench/linux/rows.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <memory>
#include <vector>

namespace annulus::bench {
namespace {

constexpr unsigned clients_max = 256;

// Has `clients` processes run `call(i)` for ever, and measures what answering one costs.
template <typename Call, typename AnswerOne>
void measure(const char* way, unsigned clients, Figure figure, Call call, AnswerOne answer_one) {
    std::vector<std::unique_ptr<Peer>> peers;
    for (unsigned i = 0; i < clients; ++i) {
        peers.push_back(std::make_unique<Peer>([&call, i] { call(i); }));
    }
    for (unsigned i = 0; i < 2 * clients; ++i) answer_one();
    if (figure == Figure::time) {
        report_time("clients", way, clients, spread(answer_one));
    } else {
        report_point("clients", way, clients,
                     cost(answer_one, 1, std::max<uint64_t>(rounds, clients)));
    }
}

// A queue of requests in shared memory: places are taken in turn, and there is one for each client.
struct Queue {
    std::array<std::atomic<uint32_t>, clients_max> requests;  // 0: none, else 1 + the client
    std::atomic<uint32_t> next;
    Turn server;
    std::array<Turn, clients_max> answers;
};

void by_futex(unsigned clients, Figure figure) {
    auto& queue = shared<Queue>();
    uint32_t taken = 0;
    measure(
        "shared memory + futex", clients, figure,
        [&](unsigned client) {
            const uint32_t place = queue.next.fetch_add(1, std::memory_order_relaxed);
            queue.requests[place % clients_max].store(1 + client, std::memory_order_release);
            queue.server.give();
            queue.answers[client].take();
        },
        [&] {
            auto& request = queue.requests[taken++ % clients_max];
            uint32_t client;
            while ((client = request.exchange(0, std::memory_order_acquire)) == 0) {
                queue.server.take();
            }
            queue.answers[client - 1].give();
        });
}

// One pipe for the requests of all, and one for the answers to each.
void by_pipe(unsigned clients, Figure figure) {
    int requests[2];
    must("pipe", pipe(requests));
    std::vector<std::array<int, 2>> answers(clients);
    for (auto& one : answers) must("pipe", pipe(one.data()));
    std::array<uint16_t, clients_max> got;
    size_t count = 0;
    size_t at = 0;
    measure(
        "pipes", clients, figure,
        [&](unsigned client) {
            const auto number = static_cast<uint16_t>(client);
            must("write", write(requests[1], &number, sizeof(number)));
            char byte;
            read_whole(answers[client][0], &byte, 1);
        },
        [&] {
            if (at == count) {
                count =
                    static_cast<size_t>(must("read", read(requests[0], got.data(), sizeof(got)))) /
                    sizeof(got[0]);
                at = 0;
            }
            write_whole(answers[got[at++]][1], "", 1);
        });
    for (const int end : requests) close(end);
    for (const auto& one : answers) {
        for (const int end : one) close(end);
    }
}

// A socket of datagrams: the sender's address says whom to answer.
void by_datagrams(unsigned clients, Figure figure) {
    const auto name = [](unsigned number) {
        sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%u", number);
        return address;
    };
    const auto open = [&](unsigned number) {
        const int made = static_cast<int>(must("socket", socket(AF_UNIX, SOCK_DGRAM, 0)));
        const sockaddr_un address = name(number);
        must("bind", bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
        return made;
    };
    const int server = open(clients_max);
    const sockaddr_un to = name(clients_max);
    std::vector<int> sockets;
    for (unsigned i = 0; i < clients; ++i) {
        sockets.push_back(open(i));
        must("connect",
             connect(sockets.back(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)));
    }
    measure(
        "unix datagrams", clients, figure,
        [&](unsigned client) {
            char byte = 0;
            must("send", send(sockets[client], &byte, 1, 0));
            must("recv", recv(sockets[client], &byte, 1, 0));
        },
        [&] {
            char byte;
            sockaddr_un from;
            socklen_t length = sizeof(from);
            auto* address = reinterpret_cast<sockaddr*>(&from);
            must("recvfrom", recvfrom(server, &byte, 1, 0, address, &length));
            must("sendto", sendto(server, &byte, 1, 0, address, length));
        });
    close(server);
    for (const int one : sockets) close(one);
}

}  // namespace

void measure_clients(Figure figure) {
    for (unsigned clients = 1; clients <= clients_max; clients *= 4) {
        by_futex(clients, figure);
        by_pipe(clients, figure);
        by_datagrams(clients, figure);
    }
}

}  // namespace annulus::bench
