// SPDX-License-Identifier: MIT
// Prepares the web server for clients on the host: files to ask for, and an address.

#include "runtime/file.h"
#include "runtime/network.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"

#include <array>

const char* const annulus::test::suite = "web";

namespace {

using namespace annulus;

// tools/test/web.py makes the same bytes.
constexpr std::byte content(size_t at) { return static_cast<std::byte>(at * 13 + at / 253); }

Result<void> write_file(Directory files, std::string_view path, size_t size) {
    const auto file = TRY(files.open<File>(path, abi::open_write | abi::open_create));
    std::array<std::byte, 16384> part;
    for (size_t done = 0; done < size;) {
        const size_t count = size - done < part.size() ? size - done : part.size();
        for (size_t i = 0; i < count; i++) part[i] = content(done + i);
        TRY(file.write_at(done, std::span(part).first(count)));
        done += count;
    }
    return {};
}

}  // namespace

TEST(files, "the files that clients will ask for are written") {
    struct Example {
        std::string_view name;
        size_t size;
    };
    constexpr Example examples[] = {
        {"size-0", 0},         {"size-1", 1},
        {"size-1460", 1460},   {"size-16384", 16384},
        {"size-65537", 65537}, {"size-1048576", 1048576},
        {"index.html", 2000},  {"docs/index.html", 300},
        {"docs/a b.txt", 100}, {"size-16777216", 16777216},
    };
    const auto files = MUST(test.environment().handle<Directory>("files"));
    EXPECT_OK(files.create_directory("docs"));
    for (const Example& example : examples) {
        EXPECT_OK(write_file(files, example.name, example.size));
    }
}

TEST(address, "the network gets an address by DHCP") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    const auto pause = MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, {}, 0));
    for (unsigned i = 0; i < 1000 && MUST(network.state()).address == 0; i++) {
        static_cast<void>(wait_for(pause, Deadline::after(milliseconds(10))));
    }
    const auto state = MUST(network.state());
    EXPECT_EQ(state.address >> 8, 0x0a0002);
    EXPECT_EQ(state.link_up, 1);
}
