// SPDX-License-Identifier: MIT
// Faults of every kind in user code: how the process ends, and what a watcher can do instead.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "tests/guest/small_process.h"

namespace annulus::test::cases {

namespace {

using abi::EndReason;
using abi::FaultKind;

constexpr uint64_t unmapped = 0x500000;
constexpr uint64_t non_canonical = uint64_t{1} << 63 | 0x1000;

struct Fault {
    const char* name;
    SmallProgram program;
    uint64_t argument;
    FaultKind kind;
    uint64_t address = 0;  // of the access; 0: not compared
    uint64_t skip = 0;     // bytes of the instruction, after which it exits with 77; 0: not tried
};

constexpr Fault faults[] = {
    {"read nothing", small_read, unmapped, FaultKind::page_read, unmapped, 3},
    {"read null", small_read, 0, FaultKind::page_read, 0, 3},
    {"read the guard below user memory", small_read, abi::user_begin - 8, FaultKind::page_read,
     abi::user_begin - 8, 3},
    {"read the last page", small_read, abi::user_end, FaultKind::page_read, abi::user_end, 3},
    {"read the kernel", small_read, 0xffffffff80000000, FaultKind::page_read, 0xffffffff80000000,
     3},
    {"read non-canonical", small_read, non_canonical, FaultKind::protection, 0, 3},
    {"write nothing", small_write, unmapped, FaultKind::page_write, unmapped, 3},
    {"write code", small_write, small_code, FaultKind::page_write, small_code, 3},
    {"write the kernel", small_write, 0xffffffff80000000, FaultKind::page_write, 0xffffffff80000000,
     3},
    {"write non-canonical", small_write, non_canonical, FaultKind::protection, 0, 3},
    {"execute nothing", small_jump, unmapped, FaultKind::page_execute, unmapped},
    {"execute the stack", small_jump, small_stack, FaultKind::page_execute, small_stack},
    {"execute the kernel", small_jump, 0xffffffff80000000, FaultKind::page_execute,
     0xffffffff80000000},
    {"execute non-canonical", small_jump, non_canonical, FaultKind::protection},
    {"divide by zero", small_divide, 0, FaultKind::divide, 0, 2},
    {"invalid instruction", small_invalid, 0, FaultKind::invalid_instruction, 0, 2},
    {"halt", small_halt, 0, FaultKind::protection},
    {"disable interrupts", small_disable_interrupts, 0, FaultKind::protection},
    {"read a port", small_port_in, 0, FaultKind::protection},
    {"write a port", small_port_out, 0, FaultKind::protection},
    {"write a model-specific register", small_write_msr, 0, FaultKind::protection},
    {"read a control register", small_read_control, 0, FaultKind::protection},
    {"write a control register", small_write_control, 0, FaultKind::protection},
    {"load a descriptor table", small_load_table, 0, FaultKind::protection},
    {"store a descriptor table", small_store_table, 0, FaultKind::protection},
    {"swap bases", small_swap_base, 0, FaultKind::protection},
    {"invalidate a page", small_invalidate, 0, FaultKind::protection},
    {"software interrupt 0x80", small_old_call, 0, FaultKind::protection},
    {"software interrupt 0x20", small_interrupt_gate, 0, FaultKind::protection},
    {"software page fault", small_page_fault_gate, 0, FaultKind::protection},
    {"breakpoint", small_breakpoint, 0, FaultKind::breakpoint},
    {"single step", small_single_step, 0, FaultKind::debug},
    {"floating point", small_floating, 0, FaultKind::floating_point, 0, 1},
    {"stack overflow", small_overflow_stack, 0, FaultKind::page_write, small_stack - 8},
};

Deadline soon() { return Deadline::after(seconds(10)); }

Result<Semaphore> make_semaphore(Context& test) {
    return test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
}

// One process whose faults are watched, and its stopped thread.
struct Watched {
    SmallProcess process;
    Semaphore ended;
    Semaphore faulted;
};
Result<Watched> make_watched(Context& test, MemoryReference code) {
    auto process = TRY(SmallProcess::create(test.budget(), code));
    auto ended = TRY(make_semaphore(test));
    auto faulted = TRY(make_semaphore(test));
    TRY(process.add_data(test.budget()));
    TRY(process.process().watch_exit(ended));
    TRY(process.process().watch_fault(faulted));
    return Watched{std::move(process), std::move(ended), std::move(faulted)};
}

void die_of(Context& test, MemoryReference code, const Fault& fault) {
    const auto ended = MUST(make_semaphore(test));
    const auto process = MUST(SmallProcess::create(test.budget(), code));
    EXPECT_OK(process.process().watch_exit(ended));
    const auto thread = MUST(process.start(fault.program, fault.argument));
    if (!wait_for(ended, soon()).ok()) return test.fail("{}: no end", fault.name);
    const auto state = MUST(process.process().get_state());
    const auto end = MUST(thread.get_state());
    if (state.reason != EndReason::faulted || end.reason != EndReason::faulted ||
        end.fault != fault.kind || state.exit_code != static_cast<uint64_t>(fault.kind)) {
        test.fail("{}: process reason {} code {}, thread reason {} kind {}, not kind {}",
                  fault.name, static_cast<uint64_t>(state.reason), state.exit_code,
                  static_cast<uint64_t>(end.reason), static_cast<uint64_t>(end.fault),
                  static_cast<uint64_t>(fault.kind));
    }
    if (fault.address != 0 && end.fault_address != fault.address) {
        test.fail("{}: at {x}, not {x}", fault.name, end.fault_address, fault.address);
    }
}

// Stops at the fault, shows it, skips the instruction, and ends well.
void survive(Context& test, MemoryReference code, const Fault& fault) {
    const auto watched = MUST(make_watched(test, code));
    const ProcessReference process = watched.process.process();
    const auto started = MUST(watched.process.start(fault.program, fault.argument));
    if (!wait_for(watched.faulted, soon()).ok()) return test.fail("{}: no fault", fault.name);
    const auto thread = MUST(process.get_faulted());
    const auto state = MUST(thread.get_state());
    EXPECT_EQ(state.reason, EndReason::alive);
    EXPECT_EQ(state.stopped, 1u);
    if (state.fault != fault.kind) {
        return test.fail("{}: kind {}", fault.name, static_cast<uint64_t>(state.fault));
    }
    EXPECT_EQ(MUST(process.get_state()).reason, EndReason::alive);
    auto registers = MUST(thread.get_registers());
    EXPECT_EQ(registers.rdi, fault.argument);
    registers.rip += fault.skip;
    EXPECT_OK(thread.set_registers(registers));
    EXPECT_OK(thread.set_resume());
    if (!wait_for(watched.ended, soon()).ok()) return test.fail("{}: no end", fault.name);
    const auto end = MUST(process.get_state());
    if (end.reason != EndReason::exited || end.exit_code != 77) {
        test.fail("{}: resumed, it ended for reason {} with {}", fault.name,
                  static_cast<uint64_t>(end.reason), end.exit_code);
    }
    EXPECT_EQ(MUST(thread.get_state()).fault, FaultKind::none);
}

}  // namespace

}  // namespace annulus::test::cases

TEST(fault_kinds, "a fault ends the process with its kind, and the kernel goes on") {
    const auto code = MUST(make_small_code(test.budget()));
    for (const Fault& fault : faults) die_of(test, code, fault);
    report_count("kinds of faults", sizeof(faults) / sizeof(faults[0]));
}

TEST(fault_skipped, "a watcher sees the fault, and can step over the instruction") {
    const auto code = MUST(make_small_code(test.budget()));
    for (const Fault& fault : faults) {
        if (fault.skip != 0) survive(test, code, fault);
    }
}

TEST(alignment, "an unaligned access with alignment checks asked for faults or succeeds") {
    const auto code = MUST(make_small_code(test.budget()));
    const auto ended = MUST(make_semaphore(test));
    const auto process = MUST(SmallProcess::create(test.budget(), code));
    EXPECT_OK(process.process().watch_exit(ended));
    const auto thread = MUST(process.start(small_alignment));
    EXPECT_OK(wait_for(ended, soon()));
    const auto end = MUST(thread.get_state());
    if (end.reason == EndReason::exited) {
        EXPECT_EQ(end.exit_code, 77u);  // an emulator without the check
    } else {
        EXPECT_EQ(end.fault, FaultKind::alignment);
    }
}

TEST(fault_retried, "a fault comes again until its cause is mended; registers can be changed") {
    const auto code = MUST(make_small_code(test.budget()));
    const auto watched = MUST(make_watched(test, code));
    const ProcessReference process = watched.process.process();
    const uint64_t answer = 4711;
    EXPECT_OK(watched.process.write_data(8, std::as_bytes(std::span(&answer, 1))));
    const auto started = MUST(watched.process.start(small_retry, unmapped));
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_OK(wait_for(watched.faulted, soon()));
        const auto thread = MUST(process.get_faulted());
        EXPECT_EQ(MUST(thread.get_state()).fault_address, unmapped);
        EXPECT_OK(thread.set_resume());
    }
    EXPECT_OK(wait_for(watched.faulted, soon()));
    const auto thread = MUST(process.get_faulted());
    auto registers = MUST(thread.get_registers());
    EXPECT_EQ(registers.rip, small_address(small_retry));
    EXPECT_EQ(registers.rsp, small_stack_top);
    registers.rdi = small_data + 8;
    EXPECT_OK(thread.set_registers(registers));
    EXPECT_OK(thread.set_resume());
    EXPECT_OK(wait_for(watched.ended, soon()));
    EXPECT_EQ(MUST(process.get_state()).exit_code, answer);
}

TEST(fault_mapped, "memory mapped where a thread faulted lets it go on") {
    const auto code = MUST(make_small_code(test.budget()));
    const auto watched = MUST(make_watched(test, code));
    const ProcessReference process = watched.process.process();
    const auto started = MUST(watched.process.start(small_read, unmapped));
    EXPECT_OK(wait_for(watched.faulted, soon()));
    const auto memory = MUST(test.budget().create_memory(1, 0));
    EXPECT_OK(process.map(memory, 0, abi::page_size, unmapped, abi::map_read | abi::map_fixed));
    const auto thread = MUST(process.get_faulted());
    EXPECT_OK(thread.set_resume());
    EXPECT_OK(wait_for(watched.ended, soon()));
    EXPECT_EQ(MUST(process.get_state()).exit_code, 77u);
}

TEST(hostile_registers, "no registers given to a stopped thread reach the kernel's privileges") {
    const auto code = MUST(make_small_code(test.budget()));
    struct Change {
        const char* name;
        uint64_t rip, rflags, rsp;
        FaultKind then;
    };
    constexpr uint64_t kernel_address = 0xffffffff80000000;
    constexpr uint64_t all_flags = ~uint64_t{0};
    const Change changes[] = {
        {"non-canonical rip", non_canonical, 0x202, small_stack_top, FaultKind::page_execute},
        {"rip in the kernel", kernel_address, 0x202, small_stack_top, FaultKind::page_execute},
        {"rip at the end", abi::user_end, 0x202, small_stack_top, FaultKind::page_execute},
        {"rip beyond the end", uint64_t{1} << 47, 0x202, small_stack_top, FaultKind::page_execute},
        // I/O privilege, interrupts off, nested task, virtual 8086: taken away. Trap flag: kept.
        {"port with all flags", small_address(small_port_in), all_flags & ~uint64_t{0x100},
         small_stack_top, FaultKind::protection},
        {"halt without flags", small_address(small_halt), 0, small_stack_top,
         FaultKind::protection},
        {"stack in the kernel", small_address(small_overflow_stack), 0x202,
         kernel_address + abi::page_size, FaultKind::page_write},
    };
    for (const Change& change : changes) {
        const auto watched = MUST(make_watched(test, code));
        const ProcessReference process = watched.process.process();
        const auto started = MUST(watched.process.start(small_invalid));
        EXPECT_OK(wait_for(watched.faulted, soon()));
        const auto thread = MUST(process.get_faulted());
        auto registers = MUST(thread.get_registers());
        registers.rip = change.rip;
        registers.rflags = change.rflags;
        registers.rsp = change.rsp;
        const auto set = thread.set_registers(registers);
        if (set.ok()) {
            EXPECT_OK(thread.set_resume());
            if (!wait_for(watched.faulted, soon()).ok()) {
                return test.fail("{}: no second fault", change.name);
            }
            const auto state = MUST(MUST(process.get_faulted()).get_state());
            if (state.fault != change.then) {
                test.fail("{}: kind {}", change.name, static_cast<uint64_t>(state.fault));
            }
        }
        EXPECT_OK(process.remove_kill(0));
        EXPECT_OK(wait_for(watched.ended, soon()));
    }
    const auto watched = MUST(make_watched(test, code));
    const auto started = MUST(watched.process.start(small_invalid));
    EXPECT_OK(wait_for(watched.faulted, soon()));
    const auto thread = MUST(watched.process.process().get_faulted());
    const auto registers = MUST(thread.get_registers());
    for (const uint64_t base : {abi::user_end, uint64_t{1} << 47, ~uint64_t{0}, kernel_address}) {
        auto changed = registers;
        changed.fs_base = base;
        EXPECT_ERROR(thread.set_registers(changed), Error::bad_argument);
        changed = registers;
        changed.gs_base = base;
        EXPECT_ERROR(thread.set_registers(changed), Error::bad_argument);
    }
    EXPECT_EQ(MUST(thread.get_registers()).fs_base, registers.fs_base);
}

TEST(kill_stopped, "a thread stopped by a fault can be killed, alone or with its process") {
    const auto code = MUST(make_small_code(test.budget()));
    for (const bool whole : {false, true}) {
        const auto watched = MUST(make_watched(test, code));
        const ProcessReference process = watched.process.process();
        const auto first = MUST(watched.process.start(small_invalid));
        const auto second = MUST(watched.process.start(small_divide));
        EXPECT_OK(wait_for(watched.faulted, soon()));
        EXPECT_OK(wait_for(watched.faulted, soon()));
        if (whole) {
            EXPECT_OK(process.remove_kill(4));
        } else {
            EXPECT_OK(first.remove_kill(3));
            EXPECT_ERROR(first.set_resume(), Error::wrong_state);
            EXPECT_EQ(MUST(MUST(process.get_faulted()).get_state()).fault, FaultKind::divide);
            EXPECT_OK(second.remove_kill(4));
        }
        EXPECT_OK(wait_for(watched.ended, soon()));
        const auto state = MUST(process.get_state());
        EXPECT_EQ(state.reason, EndReason::killed);
        EXPECT_EQ(state.exit_code, 4u);
        EXPECT_ERROR(process.get_faulted(), Error::not_found);
    }
}

TEST(one_fault_watcher, "faults have one watcher; a second answers busy") {
    const auto code = MUST(make_small_code(test.budget()));
    const auto watched = MUST(make_watched(test, code));
    const auto other = MUST(make_semaphore(test));
    EXPECT_ERROR(watched.process.process().watch_fault(other), Error::busy);
    EXPECT_ERROR(watched.process.process().get_faulted(), Error::not_found);
}

TEST(watcher_gone, "without its watcher a fault ends the process again") {
    const auto code = MUST(make_small_code(test.budget()));
    auto watched = MUST(make_watched(test, code));
    watched.faulted.close();
    sleep_for(milliseconds(5));
    const auto thread = MUST(watched.process.start(small_invalid));
    EXPECT_OK(wait_for(watched.ended, soon()));
    EXPECT_EQ(MUST(watched.process.process().get_state()).reason, EndReason::faulted);
}
