// SPDX-License-Identifier: MIT
// Stopping the machine after a fatal error, with a report that needs no lock and no memory.
#include "kernel/arch/x86_64/debug/stop.h"

#include "arch/address.h"
#include "arch/console.h"
#include "arch/cpu.h"
#include "arch/cpu_local.h"
#include "arch/power.h"
#include "arch/smp.h"
#include "base/format.h"
#include "kernel/arch/x86_64/cpu/registers.h"
#include "kernel/arch/x86_64/debug/symbols.h"
#include "kernel/arch/x86_64/interrupt/local_apic.h"

#include <atomic>

extern "C" const char kernel_data_begin[], kernel_image_end[];

namespace annulus::arch {

namespace {

constexpr uint32_t nobody = ~uint32_t{0};
constexpr unsigned backtrace_max = 32;

// The CPU that stops the machine.
constinit std::atomic<uint32_t> stopper = nobody;
// How many others have stopped for it.
constinit std::atomic<uint32_t> stopped = 0;

// About a second. A CPU that takes no interrupt even then is reported and not awaited.
constexpr unsigned stop_spins_max = 10'000'000;

template <typename... Arguments>
void print(FormatPattern<std::type_identity_t<Arguments>...> pattern,
           const Arguments&... arguments) {
    char storage[320];
    console_write(format(storage, pattern, arguments...));
    console_write("\n");
}

// Stops the others, so that none writes into the report. Returns how many have stopped.
uint32_t stop_others(uint32_t count) {
    send_nmi_to_others();
    for (unsigned i = 0; i < stop_spins_max; ++i) {
        // Relaxed, with the addition in stop_this_cpu(): only the number matters.
        if (stopped.load(std::memory_order_relaxed) >= count) break;
        pause();
    }
    return stopped.load(std::memory_order_relaxed);
}

bool on_a_stack(uint64_t address) {
    const bool kernel_stack = address >= kernel_stacks_begin && address < kernel_image_offset;
    const bool image = address >= reinterpret_cast<uint64_t>(kernel_data_begin) &&
                       address < reinterpret_cast<uint64_t>(kernel_image_end) - 16;
    return (kernel_stack || image) && address % 8 == 0;
}

void print_code_address(uint64_t address) {
    const Symbol symbol = find_symbol(address);
    if (symbol.name.empty()) {
        print("  {x16}", address);
    } else {
        print("  {x16} {}+{x}", address, symbol.name, symbol.offset);
    }
}

// A frame begins with the caller's frame pointer and the return address.
void print_backtrace(uint64_t frame_pointer) {
    for (unsigned i = 0; i < backtrace_max && on_a_stack(frame_pointer); ++i) {
        // Safety: the address lies on a kernel stack; a guard page would only end the report early.
        const auto* frame = reinterpret_cast<const uint64_t*>(frame_pointer);
        // A return address may be the next function's first byte; the call is what matters.
        print_code_address(frame[1] - 1);
        if (frame[0] <= frame_pointer) break;
        frame_pointer = frame[0];
    }
}

void print_registers(const TrapFrame& f) {
    print("rip {x16} rsp {x16} flags {x} cs {x} ss {x}", f.rip, f.rsp, f.rflags, f.cs, f.ss);
    print("rax {x16} rbx {x16} rcx {x16} rdx {x16}", f.rax, f.rbx, f.rcx, f.rdx);
    print("rsi {x16} rdi {x16} rbp {x16} r8  {x16}", f.rsi, f.rdi, f.rbp, f.r8);
    print("r9  {x16} r10 {x16} r11 {x16} r12 {x16}", f.r9, f.r10, f.r11, f.r12);
    print("r13 {x16} r14 {x16} r15 {x16}", f.r13, f.r14, f.r15);
}

}  // namespace

bool machine_is_stopping() {
    // Relaxed: the value alone matters, nothing is read through it.
    return stopper.load(std::memory_order_relaxed) != nobody;
}

void stop_this_cpu() {
    stopped.fetch_add(1, std::memory_order_relaxed);
    halt_for_ever();
}

void leave_emulator(uint32_t code) { out32(0xf4, code); }

void stop_with_message(std::string_view message, const TrapFrame* frame) {
    disable_interrupts();
    const uint32_t own = this_cpu().index;
    uint32_t first = nobody;
    // Relaxed: the exchange itself decides who reports.
    if (!stopper.compare_exchange_strong(first, own, std::memory_order_relaxed)) {
        if (first == own) {
            console_write("panic again: the report ends here\n");
            leave_emulator(exit_code_panic);
        }
        halt_for_ever();
    }
    const uint32_t others = cpu_count() - 1;
    const uint32_t obeyed = stop_others(others);
    // A line may be half written by a CPU that has just been stopped.
    console_write("\n");
    print("panic: {} (cpu {}; {} of {} others stopped)", message, own, obeyed, others);
    if (frame) {
        print_registers(*frame);
        print("backtrace:");
        print_code_address(frame->rip);
        print_backtrace(frame->rbp);
    } else {
        print("backtrace:");
        print_backtrace(reinterpret_cast<uint64_t>(__builtin_frame_address(0)));
    }
    leave_emulator(exit_code_panic);
    halt_for_ever();
}

}  // namespace annulus::arch
