// SPDX-License-Identifier: MIT
// Reads what the boot loader passed, copying and checking all of it.
#pragma once

#include "boot/memory_map.h"

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace annulus::arch {

// The first `size` bytes of physical memory, as boot code sees them.
class PhysicalWindow {
public:
    PhysicalWindow(const std::byte* base, uint64_t size) : base_(base), size_(size) {}

    // The bytes at a physical address; empty when they are not entirely inside.
    std::span<const std::byte> at(uint64_t address, uint64_t length) const {
        if (address >= size_ || length > size_ - address) return {};
        return {base_ + address, static_cast<size_t>(length)};
    }
    uint64_t size() const { return size_; }

    // Copies a structure out, whatever its alignment; false when it is not inside.
    template <typename T>
    bool read(uint64_t address, T& to) const {
        const auto bytes = at(address, sizeof(T));
        if (bytes.empty()) return false;
        __builtin_memcpy(&to, bytes.data(), sizeof(T));
        return true;
    }

private:
    const std::byte* base_;
    uint64_t size_;
};

enum class StartProblem : uint8_t {
    none,
    bad_magic,
    old_version,  // no memory map
    unreadable,   // a structure lies beyond the window
    too_many_map_entries,
    kernel_outside_ram,
    archive_outside_ram,  // or overlaps the kernel
};

std::string_view describe(StartProblem problem);

inline constexpr size_t command_line_max = 2048;  // longer ones are cut off

struct StartInfo {
    MemoryMap map;
    PhysicalRange archive;  // empty when there is no module
    uint64_t rsdp = 0;
    uint32_t module_count = 0;
    std::array<char, command_line_max> command_line_storage{};
    size_t command_line_size = 0;

    std::string_view command_line() const {
        return {command_line_storage.data(), command_line_size};
    }
};

// Fills `info` (fresh) from the structure at `start`. `kernel` is where the loader put this kernel,
// page aligned; `limit` the first physical address that cannot be used.
StartProblem read_start_info(const PhysicalWindow& window, uint64_t start, PhysicalRange kernel,
                             uint64_t limit, StartInfo& info);

}  // namespace annulus::arch
