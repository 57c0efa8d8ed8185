// SPDX-License-Identifier: MIT
// The other end of a socket under measurement: sends back what it gets.
//
// The argument says how: `udp` on port 7000; `tcp` on 7001, by calls; `tcp channel` on 7002, with
// the bytes in shared memory. Gives a unit of `open` when the port is open.
#include "runtime/network.h"
#include "runtime/program.h"
#include "runtime/system_call.h"

#include <array>

using namespace annulus;

namespace {

// A read of a datagram needs room for the longest.
constexpr size_t room = abi::net_datagram_bytes_max;

Result<void> say_open(Environment& environment) {
    const auto open = TRY(environment.handle<Semaphore>("open"));
    return Result<void>(system::signal(open.value()));
}

// Each datagram back to where it came from.
Result<void> echo_datagrams(Environment& environment, Network network) {
    constexpr uint64_t both = abi::open_read | abi::open_write;
    const auto socket = TRY(network.open<Stream>("udp/bind/7000", both));
    TRY(say_open(environment));
    constexpr uint64_t read = abi::operation_word(abi::Verb::read, 0);
    constexpr uint64_t write = abi::operation_word(abi::Verb::write, 0);
    std::array<std::byte, room> bytes;
    for (;;) {
        const auto got = system::call_buffer(socket.value(), read, system::buffer_out(bytes));
        if (!got.status.ok()) return got.status;
        const std::span<const std::byte> datagram(bytes.data(), got.bytes_out);
        const auto sent =
            system::call_buffer(socket.value(), write, system::buffer_in(datagram), got.words[0]);
        if (!sent.status.ok()) return sent.status;
    }
}

template <typename Bytes>
Result<void> echo(Bytes& stream) {
    std::array<std::byte, room> bytes;
    for (;;) {
        const size_t got = TRY(stream.read(bytes));
        if (got == 0) return {};
        TRY(stream.write(std::span(bytes).first(got)));
    }
}

Result<void> echo_stream(Environment& environment, Network network, bool shared) {
    const auto listener = TRY(network.open<Listener>(shared ? "tcp/listen/7002" : "tcp/listen/7001",
                                                     abi::open_read | abi::open_write));
    TRY(say_open(environment));
    if (shared) {
        auto made = TRY(ConnectionChannel::accept(listener));
        TRY(made.connection.set_option(abi::ConnectionOption::no_delay, 1));
        return echo(made.bytes);
    }
    const auto connection = TRY(listener.accept());
    TRY(connection.set_option(abi::ConnectionOption::no_delay, 1));
    return echo(connection);
}

}  // namespace

Result<void> annulus::program_main(Environment& environment) {
    const auto network = TRY(environment.handle<Network>("net"));
    if (environment.argument_count() != 1) return Error::bad_argument;
    const std::string_view wanted = environment.argument(0);
    if (wanted == "udp") return echo_datagrams(environment, network);
    return echo_stream(environment, network, wanted == "tcp channel");
}
