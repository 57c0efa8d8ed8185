// SPDX-License-Identifier: MIT
// The named limits of the hardware factory and of ports: at the limit, and one above.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "tests/guest/harness.h"

#include <array>
#include <memory>

namespace annulus::test::cases {
namespace {

// As in the kernel.
constexpr unsigned port_ranges_max = 128;
constexpr unsigned register_ranges_max = 512;
constexpr uint32_t string_max = 4096;

constexpr uint64_t free_ports = 0x2000;                 // nothing answers there
constexpr uint64_t free_registers = uint64_t{1} << 38;  // neither RAM nor any device
constexpr unsigned device_ranges = 2;                   // that this program's device may hold

// Takes what `make(index)` answers until it answers limit, which must be after `least` to `most`.
// Then one that is closed makes room for exactly one.
template <typename Kind, unsigned most, typename Make>
void fill(Context& test, unsigned least, Make make) {
    const auto held = std::unique_ptr<Kind[]>(new (std::nothrow) Kind[most + 1]);
    if (held == nullptr) return test.fail("no memory");
    unsigned count = 0;
    for (; count <= most; ++count) {
        auto made = make(count);
        if (!made.ok()) {
            EXPECT_ERROR(made, Error::limit);
            break;
        }
        held[count] = std::move(made).value();
    }
    EXPECT(count >= least && count <= most);
    if (test.failed()) return;
    held[count / 2].close();
    // It is gone in the background; until then its range is busy.
    const Deadline end = Deadline::after(seconds(10));
    for (;;) {
        auto again = make(count / 2);
        if (again.ok()) {
            held[count / 2] = std::move(again).value();
            break;
        }
        if (now() >= end.at) return test.fail("no room after one was closed");
    }
    EXPECT_ERROR(make(count), Error::limit);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(most_port_ranges, "128 ranges of ports are handed out, and no more until one comes back") {
    const auto hardware = MUST(test.environment().handle<Hardware>("hardware"));
    // The one that would be port_ranges_max + 1 answers limit.
    fill<Ports, port_ranges_max>(test, port_ranges_max, [&](unsigned index) {
        return hardware.create_ports(test.budget(), free_ports + 2 * index, 1);
    });
}

TEST(most_register_ranges, "512 ranges of registers are handed out, and no more") {
    const auto hardware = MUST(test.environment().handle<Hardware>("hardware"));
    // The one that would be register_ranges_max + 1 answers limit.
    fill<Memory, register_ranges_max>(
        test, register_ranges_max - device_ranges, [&](unsigned index) {
            return hardware.create_registers(
                test.budget(), free_registers + 2 * index * abi::page_size, abi::page_size);
        });
}

TEST(longest_string, "a string of 4096 bytes goes through a port at once, one more is too_many") {
    const auto hardware = MUST(test.environment().handle<Hardware>("hardware"));
    const auto ports = MUST(hardware.create_ports(test.budget(), free_ports, 1));
    static std::array<std::byte, string_max + 1> bytes;
    const std::span whole(bytes);
    EXPECT_EQ(MUST(ports.read_string(0, whole.first(string_max))), string_max);
    EXPECT_ERROR(ports.read_string(0, whole), Error::too_many);
    EXPECT_OK(ports.write_string(0, whole.first(string_max)));
    EXPECT_ERROR(ports.write_string(0, whole), Error::too_many);
}
