// SPDX-License-Identifier: MIT
// Rows without a budget about two programs: memory handed over, and sockets. The same work as
// bench/linux/resources.cpp does on Linux.
#include "bench/programs/bench_curves/report.h"
#include "runtime/network.h"

#include <array>

namespace annulus::test::cases {
namespace {

constexpr size_t echo_size = 64;
// A read of a datagram needs room for the longest.
constexpr size_t room = abi::net_datagram_bytes_max;

// Starts the program at the other end of a socket, and waits until its port is open.
Result<Spawned> start_echo(Context& test, Network network, std::string_view kind) {
    const auto image = TRY(Peer::image(test, "programs/bench_echo"));
    const auto open = TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const Grant grants[] = {{"net", network}, {"open", open}, {"budget", test.budget()}};
    const std::string_view arguments[] = {kind};
    Spawned peer = TRY(Peer::start(test, image, grants, arguments));
    TRY(Result<void>(system::wait(open.value(), abi::deadline_never)));
    return peer;
}

// 64 bytes there and back. `stream`: a Stream, or what has its operations.
template <typename Bytes>
void measure_echo(Context& test, std::string_view name, Bytes& stream) {
    std::array<std::byte, room> bytes = {};
    const auto message = std::span(bytes).first(echo_size);
    uint64_t failed = 0;
    figure(test, "24", name, [&] {
        failed += stream.write(message).ok() ? 0 : 1;
        for (size_t done = 0; done < echo_size;) {
            const auto part = stream.read(bytes);
            if (!part.ok() || *part == 0) {
                ++failed;
                return;
            }
            done += *part;
        }
    });
    EXPECT_EQ(failed, 0u);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(handing_over, "buffers are handed to another process and come back") {
    const auto image = MUST(Peer::image(test));
    for (const uint8_t size_log2 : {12, 16}) {
        auto made = MUST(PacketChannel::create(channel::packets_geometry(1, size_log2)));
        const Grant grants[] = {{"packets", made.theirs}, {"budget", test.budget()}};
        const auto peer = MUST(Peer::start(test, image, grants));
        auto& sender = made.mine.sender();
        const uint32_t size = 1u << size_log2;
        const std::array<std::byte, 8> first = {};
        uint64_t failed = 0;
        char name[48];
        figure(test, "14", format(name, "{} B handed over and back", size), [&] {
            const auto buffer = sender.acquire();
            if (!buffer || !buffer->bytes.store(0, first)) {
                ++failed;
                return;
            }
            sender.send({.buffer = buffer->number,
                         .offset = 0,
                         .length = size,
                         .flags = 0,
                         .metadata = {}});
            failed += made.mine.wait_returned().ok() ? 0 : 1;
            failed += sender.collect() == 2 ? 0 : 1;
        });
        EXPECT_EQ(failed, 0u);
        Peer::stop(test, peer);
    }
}

TEST(udp, "64 bytes there and back by UDP, both ends of this machine") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    const auto peer = MUST(start_echo(test, network, "udp"));
    const auto socket =
        MUST(network.open<Stream>("udp/connect/127.0.0.1/7000", abi::open_read | abi::open_write));
    measure_echo(test, "UDP", socket);
    Peer::stop(test, peer);
}

TEST(tcp, "64 bytes there and back by TCP, both ends of this machine") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    {
        const auto peer = MUST(start_echo(test, network, "tcp"));
        const auto connection = MUST(network.open<Connection>("tcp/connect/127.0.0.1/7001",
                                                              abi::open_read | abi::open_write));
        EXPECT_OK(connection.set_option(abi::ConnectionOption::no_delay, 1));
        measure_echo(test, "TCP by calls", connection);
        Peer::stop(test, peer);
    }
    {
        const auto peer = MUST(start_echo(test, network, "tcp channel"));
        auto made = MUST(ConnectionChannel::connect(network, "tcp/connect/127.0.0.1/7002"));
        EXPECT_OK(made.connection.set_option(abi::ConnectionOption::no_delay, 1));
        measure_echo(test, "TCP through channels", made.bytes);
        Peer::stop(test, peer);
    }
}
