// SPDX-License-Identifier: MIT
// Reading, writing and probing pages in tests of memory.
#pragma once

#include "abi/operations.h"
#include "tests/guest/ledger.h"

#include <array>
#include <bit>

namespace annulus::test {

inline constexpr uint64_t page = abi::page_size;
inline constexpr uint64_t read_write = abi::map_read | abi::map_write;

// One word of an object, through its handle.
inline Result<uint64_t> word_of(MemoryReference memory, uint64_t offset) {
    std::array<std::byte, 8> bytes;
    TRY(memory.read_bytes(offset, bytes));
    return std::bit_cast<uint64_t>(bytes);
}
inline Result<void> set_word(MemoryReference memory, uint64_t offset, uint64_t value) {
    return memory.write_bytes(offset, std::as_bytes(std::span(&value, 1)));
}

// A word of a mapping.
inline volatile uint64_t& word_at(uint64_t address) {
    // Safety: the caller has mapped it.
    return *reinterpret_cast<volatile uint64_t*>(address);
}

// What an access to this process's address would do, found out without a fault: the kernel makes
// it and says bad_address.
class Probe {
public:
    static Result<Probe> create(BudgetReference budget) {
        return Probe(TRY(budget.create_memory(1, 0)));
    }
    // Safety (both): the kernel reaches the byte through the page table, and recovers.
    bool readable(uint64_t address) const {
        return scratch_.write_bytes(0, {reinterpret_cast<const std::byte*>(address), 1}).ok();
    }
    bool writable(uint64_t address) const {
        if (!readable(address)) return false;
        // Writes back what was there.
        return scratch_.read_bytes(0, {reinterpret_cast<std::byte*>(address), 1}).ok();
    }

private:
    explicit Probe(Memory scratch) : scratch_(std::move(scratch)) {}
    Memory scratch_;
};

}  // namespace annulus::test
