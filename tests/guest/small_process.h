// SPDX-License-Identifier: MIT
// Processes of a few instructions: cheap enough to make ten thousand, simple enough to die in every
// way there is.
//
//   0x400000  the small programs, read-only and executable, shared by all
//   0x800000  stack: one page, nothing below and above
//   0xa00000  data: one page, if wanted
#pragma once

#include "runtime/semaphore.h"
#include "runtime/system_call.h"
#include "tests/guest/ledger.h"

namespace annulus::test {

// Code bytes; see arch/<name>/small_programs.S.
using SmallProgram = const std::byte*;
extern "C" {
[[gnu::visibility("hidden")]] extern const std::byte small_begin[], small_end[], small_spin[],
    small_exit[], small_read_time[], small_call[], small_read[], small_write[], small_jump[],
    small_divide[], small_invalid[], small_halt[], small_disable_interrupts[], small_port_in[],
    small_port_out[], small_write_msr[], small_read_control[], small_write_control[],
    small_load_table[], small_store_table[], small_swap_base[], small_invalidate[],
    small_old_call[], small_interrupt_gate[], small_page_fault_gate[], small_breakpoint[],
    small_single_step[], small_alignment[], small_floating[], small_overflow_stack[], small_retry[],
    small_follow[], small_walk[];
}

inline constexpr uint64_t small_code = 0x400000;
inline constexpr uint64_t small_stack = 0x800000;
inline constexpr uint64_t small_stack_top = small_stack + abi::page_size - 64;
inline constexpr uint64_t small_data = 0xa00000;
inline constexpr unsigned small_priority = 10;

// Where a program lies in each small process.
inline uint64_t small_address(SmallProgram program) {
    return small_code + static_cast<uint64_t>(program - small_begin);
}

// The memory that holds the programs. One will do for any number of processes.
Result<Memory> make_small_code(BudgetReference budget);

class SmallProcess {
public:
    SmallProcess() = default;  // none

    // `budget` pays for the process and its stack.
    static Result<SmallProcess> create(BudgetReference budget, MemoryReference code,
                                       uint64_t handles = 16, uint64_t flags = 0);

    // Maps a page, too, into which data is written from outside.
    Result<void> add_data(BudgetReference budget);
    Result<void> write_data(uint64_t offset, std::span<const std::byte> bytes) const {
        return data_.write_bytes(offset, bytes);
    }

    // The value of a duplicate there. Before the first start.
    Result<abi::Handle> lend(ObjectReference object, abi::Rights rights = abi::all_rights) const;

    Result<Thread> start(SmallProgram program, uint64_t argument = 0,
                         unsigned priority = small_priority) const;
    // A thread that makes one system call and exits with its status. `place`: 0..15, one for each
    // thread.
    Result<Thread> start_call(unsigned place, const system::Registers& registers) const;

    ProcessReference process() const { return process_; }

private:
    explicit SmallProcess(Process process) : process_(std::move(process)) {}
    Process process_;
    Memory data_;
};

// Registers of the blocking system calls.
system::Registers wait_registers(abi::Handle semaphore, uint64_t deadline);
system::Registers wait_any_registers(uint64_t entries, uint64_t count, uint64_t deadline);
system::Registers signal_and_wait_registers(abi::Handle wake, abi::Handle sleep, uint64_t deadline);
system::Registers call_registers(abi::Handle object, uint64_t operation, uint64_t word_0 = 0);
inline constexpr uint64_t duplicate_word =
    abi::operation_word(abi::Verb::get, 0xff01) | abi::call_takes_handles;
system::Registers serve_registers(abi::Handle table, uint64_t deadline);

}  // namespace annulus::test
