// SPDX-License-Identifier: MIT
// Where SYSCALL arrives, and the way back by SYSRET.
//
// The functions are naked: what is written is what runs. Operands are offsets into Thread, Message
// and Cpu, computed by the compiler, so that the C++ definitions stay the only ones.
#include "arch/switch.h"
#include "arch/trap.h"
#include "kernel/schedule/cpu.h"

#include <stddef.h>

// Thread and Cpu have base classes, for which offsetof is conditionally supported; clang does.
#pragma clang diagnostic ignored "-Winvalid-offsetof"

namespace annulus::kernel {

extern "C" [[noreturn]] void kernel_system_call(Thread& thread);

namespace {

constexpr size_t current = offsetof(Cpu, current);
constexpr size_t scratch = offsetof(arch::CpuLocal, user_rsp);
constexpr size_t stack_top = offsetof(arch::CpuLocal, kernel_stack_top);
constexpr size_t rip = offsetof(Thread, user_rip);
constexpr size_t rflags = offsetof(Thread, user_rflags);
constexpr size_t rsp = offsetof(Thread, user_rsp);
constexpr size_t message = offsetof(Thread, message);

static_assert(rflags == rip + offsetof(arch::ReturnState, rflags) &&
              rsp == rip + offsetof(arch::ReturnState, rsp));

}  // namespace
}  // namespace annulus::kernel

using namespace annulus::kernel;

// Saves the whole message in the current thread and continues in C++ on an empty kernel stack. The
// stack pointer serves as the pointer to the thread meanwhile: interrupts are off, and NMI, double
// fault and machine check have stacks of their own.
extern "C" [[gnu::naked]] void syscall_entry() {
    asm volatile(
        "swapgs\n\t"
        "movq %%rsp, %%gs:%c[scratch]\n\t"
        "movq %%gs:%c[current], %%rsp\n\t"
        "movq %%rcx, %c[rip](%%rsp)\n\t"
        "movq %%r11, %c[rflags](%%rsp)\n\t"
        "movq %%gs:%c[scratch], %%rcx\n\t"
        "movq %%rcx, %c[rsp](%%rsp)\n\t"
        "movq %%rax, %c[message]+0(%%rsp)\n\t"
        "movq %%rdi, %c[message]+8(%%rsp)\n\t"
        "movq %%rsi, %c[message]+16(%%rsp)\n\t"
        "movq %%rdx, %c[message]+24(%%rsp)\n\t"
        "movq %%r8, %c[message]+32(%%rsp)\n\t"
        "movq %%r9, %c[message]+40(%%rsp)\n\t"
        "movq %%r10, %c[message]+48(%%rsp)\n\t"
        "movq %%r12, %c[message]+56(%%rsp)\n\t"
        "movq %%r13, %c[message]+64(%%rsp)\n\t"
        "movq %%r14, %c[message]+72(%%rsp)\n\t"
        "movq %%r15, %c[message]+80(%%rsp)\n\t"
        "movq %%rbx, %c[message]+88(%%rsp)\n\t"
        "movq %%rbp, %c[message]+96(%%rsp)\n\t"
        "movq %%rsp, %%rdi\n\t"
        "movq %%gs:%c[stack_top], %%rsp\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "pushq $0\n\t"
        "jmp kernel_system_call"
        :
        : [scratch] "i"(scratch), [current] "i"(current), [rip] "i"(rip), [rflags] "i"(rflags),
          [rsp] "i"(rsp), [message] "i"(message), [stack_top] "i"(stack_top));
}

extern "C" [[gnu::naked]] void return_with_message(const void*, const annulus::arch::ReturnState*) {
    asm volatile(
        "movq 0(%rsi), %rcx\n\t"
        "movq 8(%rsi), %r11\n\t"
        "movq 16(%rsi), %rsp\n\t"
        "movq 0(%rdi), %rax\n\t"
        "movq 16(%rdi), %rsi\n\t"
        "movq 24(%rdi), %rdx\n\t"
        "movq 32(%rdi), %r8\n\t"
        "movq 40(%rdi), %r9\n\t"
        "movq 48(%rdi), %r10\n\t"
        "movq 56(%rdi), %r12\n\t"
        "movq 64(%rdi), %r13\n\t"
        "movq 72(%rdi), %r14\n\t"
        "movq 80(%rdi), %r15\n\t"
        "movq 88(%rdi), %rbx\n\t"
        "movq 96(%rdi), %rbp\n\t"
        "movq 8(%rdi), %rdi\n\t"
        "swapgs\n\t"
        "sysretq");
}

extern "C" [[gnu::naked]] void return_with_status(uint64_t, uint64_t,
                                                  const annulus::arch::ReturnState*) {
    asm volatile(
        "movq %rdi, %rax\n\t"
        "movq 0(%rdx), %rcx\n\t"
        "movq 8(%rdx), %r11\n\t"
        "movq 16(%rdx), %rsp\n\t"
        "movq %rsi, %rdx\n\t"
        "xorl %edi, %edi\n\t"
        "xorl %esi, %esi\n\t"
        "xorl %r8d, %r8d\n\t"
        "xorl %r9d, %r9d\n\t"
        "xorl %r10d, %r10d\n\t"
        "xorl %r12d, %r12d\n\t"
        "xorl %r13d, %r13d\n\t"
        "xorl %r14d, %r14d\n\t"
        "xorl %r15d, %r15d\n\t"
        "xorl %ebx, %ebx\n\t"
        "xorl %ebp, %ebp\n\t"
        "swapgs\n\t"
        "sysretq");
}
