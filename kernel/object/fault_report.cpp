// SPDX-License-Identifier: MIT
// Writing the report of a program that dies of a fault.
#include "kernel/object/fault_report.h"

#include "arch/user_access.h"
#include "kernel/log.h"
#include "kernel/object/process.h"

namespace annulus::kernel {

namespace {

constexpr unsigned stack_words = 8;
constexpr unsigned frames_max = 16;
constexpr const char* fault_names[] = {
    "no fault",
    "a read",
    "a write",
    "an instruction fetch",
    "a division",
    "an invalid instruction",
    "a protection violation",
    "a misaligned access",
    "a breakpoint",
    "a debug exception",
    "floating point",
    "lack of memory",
    "an overflow",
};

const char* name_of(abi::FaultKind kind) {
    const auto index = static_cast<unsigned>(kind);
    return index < sizeof(fault_names) / sizeof(fault_names[0]) ? fault_names[index] : "a fault";
}

void report_registers(const arch::TrapFrame& frame) {
    log("  rax {x16} rbx {x16} rcx {x16} rdx {x16}", frame.rax, frame.rbx, frame.rcx, frame.rdx);
    log("  rsi {x16} rdi {x16} rbp {x16} rsp {x16}", frame.rsi, frame.rdi, frame.rbp, frame.rsp);
    log("  r8  {x16} r9  {x16} r10 {x16} r11 {x16}", frame.r8, frame.r9, frame.r10, frame.r11);
    log("  r12 {x16} r13 {x16} r14 {x16} r15 {x16}", frame.r12, frame.r13, frame.r14, frame.r15);
    log("  rip {x16} rflags {x}", frame.rip, frame.rflags);
}

void report_stack(uint64_t rsp) {
    for (unsigned i = 0; i < stack_words; ++i) {
        const arch::UserAddress address{(rsp & ~uint64_t{7}) + i * sizeof(uint64_t)};
        uint64_t word;
        if (!arch::read_user_u64(word, address)) {
            log("  stack at {x16}: not readable", address.value);
            return;
        }
        log("  stack at {x16}: {x16}", address.value, word);
    }
}

// Each frame begins with the caller's frame pointer and the return address. Frames lie at rising
// addresses, so the walk ends even on a stack made to mislead it.
void report_callers(const arch::TrapFrame& frame) {
    uint64_t pointer = frame.rbp;
    for (unsigned i = 0; i < frames_max; ++i) {
        uint64_t next;
        uint64_t back;
        if (!arch::read_user_u64(next, {pointer}) ||
            !arch::read_user_u64(back, {pointer + sizeof(uint64_t)}) || back == 0) {
            return;
        }
        log("  called from {x16}", back);
        if (next <= pointer) return;
        pointer = next;
    }
}

}  // namespace

void report_fault(Process& process, const Thread& thread) {
    log("process {} dies: {} at {x16}, instruction {x16}", process.id(), name_of(thread.fault),
        uint64_t{thread.fault_address}, thread.frame.rip);
    uint64_t begin;
    if (process.space.find_mapping(thread.frame.rip, begin)) {
        log("  the instruction is byte {x} of what is mapped at {x16}", thread.frame.rip - begin,
            begin);
    }
    report_registers(thread.frame);
    report_stack(thread.frame.rsp);
    report_callers(thread.frame);
}

}  // namespace annulus::kernel
