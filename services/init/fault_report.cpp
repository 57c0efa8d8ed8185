// SPDX-License-Identifier: MIT
// Says on the log why a program was ended by a fault.
#include "services/init/fault_report.h"

#include "abi/records.h"

namespace annulus::init {
namespace {

std::string_view describe(abi::FaultKind kind) {
    switch (kind) {
        case abi::FaultKind::none: return "no fault";
        case abi::FaultKind::page_read: return "read where it may not";
        case abi::FaultKind::page_write: return "wrote where it may not";
        case abi::FaultKind::page_execute: return "executed where it may not";
        case abi::FaultKind::divide: return "divided by zero or overflowed in a division";
        case abi::FaultKind::invalid_instruction: return "executed an invalid instruction";
        case abi::FaultKind::protection: return "broke a protection rule";
        case abi::FaultKind::alignment: return "used a misaligned address";
        case abi::FaultKind::breakpoint: return "reached a breakpoint";
        case abi::FaultKind::debug: return "raised a debug exception";
        case abi::FaultKind::floating_point: return "raised a floating point exception";
        case abi::FaultKind::no_memory: return "has no memory left for a page";
        case abi::FaultKind::overflow: return "overflowed";
    }
    return "faulted";
}

}  // namespace

void report_fault(SystemLog& log, std::string_view program, ThreadReference thread,
                  uint64_t image_base) {
    const auto state = thread.get_state();
    const auto read = thread.get_registers();
    if (!state.ok() || !read.ok()) {
        log.say("{} faulted; its registers cannot be read", program);
        return;
    }
    const abi::ThreadRegisters& r = *read;
    log.say("{} {}: address {x16}, instruction {x16}", program, describe(state->fault),
            state->fault_address, r.rip);
    log.say("  the program lies at {x16}", image_base);
    log.say("  rax {x16} rbx {x16} rcx {x16} rdx {x16}", r.rax, r.rbx, r.rcx, r.rdx);
    log.say("  rsi {x16} rdi {x16} rbp {x16} rsp {x16}", r.rsi, r.rdi, r.rbp, r.rsp);
    log.say("  r8  {x16} r9  {x16} r10 {x16} r11 {x16}", r.r8, r.r9, r.r10, r.r11);
    log.say("  r12 {x16} r13 {x16} r14 {x16} r15 {x16}", r.r12, r.r13, r.r14, r.r15);
}

}  // namespace annulus::init
