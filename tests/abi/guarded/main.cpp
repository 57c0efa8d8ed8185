// SPDX-License-Identifier: MIT
// Behind a firewall: two web servers, both of which answer inside. What the host sees of them is
// asked from there (tools/test/web.py).
#include "runtime/network.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"

#include <array>

const char* const annulus::test::suite = "guarded";

namespace annulus::test::cases {
namespace {

Deadline soon() { return Deadline::after(seconds(30)); }

// Whether a web server answers at this address inside.
Result<bool> answers(const Context& test, std::string_view path) {
    constexpr std::string_view request =
        "GET / HTTP/1.1\r\nHost: annulus\r\nConnection: close\r\n\r\n";
    const auto network = TRY(test.environment().handle<Network>("net"));
    const auto connection =
        TRY(network.open<Connection>(path, abi::open_read | abi::open_write, soon()));
    TRY(connection.write(std::as_bytes(std::span(request)), soon()));
    std::array<char, 12> status{};
    const auto bytes = std::as_writable_bytes(std::span(status));
    size_t size = 0;
    while (size < bytes.size()) {
        const size_t count = TRY(connection.read(bytes.subspan(size), soon()));
        if (count == 0) break;
        size += count;
    }
    return std::string_view(status.data(), size) == "HTTP/1.1 200";
}

}  // namespace
}  // namespace annulus::test::cases

TEST(both_serve, "inside, both web servers answer") {
    EXPECT(MUST(answers(test, "tcp/connect/127.0.0.1/80")));
    EXPECT(MUST(answers(test, "tcp/connect/127.0.0.1/81")));
}

TEST(address, "the network gets an address by DHCP through the firewall") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    const auto pause = MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, {}, 0));
    for (unsigned i = 0; i < 1000 && MUST(network.state()).address == 0; i++) {
        static_cast<void>(wait_for(pause, Deadline::after(milliseconds(10))));
    }
    EXPECT_EQ(MUST(network.state()).address >> 8, 0x0a0002);
}
