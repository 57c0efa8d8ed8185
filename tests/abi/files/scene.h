// SPDX-License-Identifier: MIT
// What the tests of files share: the services' roots, and a folder for each case.
#pragma once

#include "runtime/file.h"
#include "tests/guest/harness.h"
#include "tests/guest/ledger.h"

namespace annulus::test {

inline Directory files(const Context& test) {
    const auto root = test.environment().handle<Directory>("files");
    return root.ok() ? *root : Directory();
}

inline constexpr uint64_t open_to_write = abi::open_read | abi::open_write | abi::open_create;

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

// True if the file holds just this text.
inline bool holds(File file, std::string_view text) {
    std::byte bytes[256];
    const auto count = file.read_at(0, bytes);
    // Safety: any bytes may be looked at as characters.
    return count.ok() && std::string_view(reinterpret_cast<char*>(bytes), *count) == text;
}

// An empty folder of this name, opened to read and write.
inline Result<Owned<Directory>> new_folder(const Context& test, std::string_view name) {
    return files(test).open<Directory>(name,
                                       open_to_write | abi::open_exclusive | abi::open_directory);
}

// What a client in a process of its own needs.
inline Result<Budget> client_budget(const Context& test) {
    abi::BudgetLimits limits = {};
    for (uint64_t& each : limits.amount) each = 24;
    amount(limits, abi::Resource::pins) = 256;
    amount(limits, abi::Resource::handles) = 256;
    amount(limits, abi::Resource::pages) = 768;
    amount(limits, abi::Resource::reserved_pages) = 768;
    amount(limits, abi::Resource::kernel_bytes) = 1 << 19;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 40;
    return test.budget().create_budget(limits);
}

}  // namespace annulus::test
