// SPDX-License-Identifier: MIT
// Where SYSCALL arrives, and the ways out that C++ code takes.
//
// The number chooses a path: the fast ones (table_paths.S, semaphore_paths.S, set_paths.S), that of
// enter, which leaves most of the message alone (ring_path.S), or the general one.
//
// Registers. On the fast paths rsp points to the running thread's record: interrupts are off, and
// NMI, double fault and machine check have stacks of their own. Message registers stay where they
// are, so that the words of a request or an answer pass from one program to the other untouched.

#include "kernel/arch/x86_64/syscall/paths.h.S"

// By number, from 0 on, so that there is one bound to test.
.section .rodata.system_call_paths, "a"
.balign 64
system_call_paths:
    .rept 0x1000
    .quad slow_call_number
    .endr
    .quad fast_call, fast_reply, light_enter, light_wait
    .quad slow_call_number, light_signal, light_signal_and_wait

.text

.balign 16
.global syscall_entry
syscall_entry:
    swapgs
    cmpq $0x1006, %rax
    ja slow_call_number
    jmpq *system_call_paths(,%rax,8)

// --- any other case: save the message, continue in C++ on an empty kernel stack
.global slow_call_number
slow_call_number:
    movq %rsp, %gs:cpu_user_rsp
    movq %gs:cpu_current, %rsp
    movq %rcx, thread_rip(%rsp)
    movq %r11, thread_rflags(%rsp)
    movq %gs:cpu_user_rsp, %rcx
    movq %rcx, thread_rsp(%rsp)

// The same with the way back in the thread's record, which is in rsp.
.global slow_entry
slow_entry:
    movq %rax, thread_message+message_rax(%rsp)
    movq %rdi, thread_message+message_rdi(%rsp)
    movq %rsi, thread_message+message_rsi(%rsp)
    movq %rdx, thread_message+message_rdx(%rsp)
    movq %r8, thread_message+message_r8(%rsp)
    movq %r9, thread_message+message_r9(%rsp)
    movq %r10, thread_message+message_r10(%rsp)
    movq %r12, thread_message+message_r12(%rsp)
    movq %r13, thread_message+message_r13(%rsp)
    movq %r14, thread_message+message_r14(%rsp)
    movq %r15, thread_message+message_r15(%rsp)
    movq %rbx, thread_message+message_rbx(%rsp)
    movq %rbp, thread_message+message_rbp(%rsp)
    movq %rsp, %rdi
    movq %gs:cpu_kernel_stack_top, %rsp
    xorl %ebp, %ebp
    pushq $0
    jmp kernel_system_call

// To user mode with some of the message that rdi points to. rsi: a ReturnState.
.macro load_return
    movq return_rip(%rsi), %rcx
    movq return_rflags(%rsi), %r11
    movq return_rsp(%rsi), %rsp
.endm
.macro load_results
    movq message_rax(%rdi), %rax
    movq message_rsi(%rdi), %rsi
    movq message_rdx(%rdi), %rdx
    movq message_r8(%rdi), %r8
    movq message_r9(%rdi), %r9
    movq message_r10(%rdi), %r10
    movq message_r12(%rdi), %r12
    movq message_r13(%rdi), %r13
    movq message_rbx(%rdi), %rbx
.endm

.balign 16
.global return_with_message
return_with_message:
    load_return
    load_results
    movq message_r14(%rdi), %r14
    movq message_r15(%rdi), %r15
    movq message_rbp(%rdi), %rbp
    movq message_rdi(%rdi), %rdi
    swapgs
    sysretq

.balign 16
.global return_with_results
return_with_results:
    load_return
    load_results
    xorl %edi, %edi
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    xorl %ebp, %ebp
    swapgs
    sysretq

.balign 16
.global return_with_status
return_with_status:
    load_return
    movq message_rax(%rdi), %rax
    movq message_rdx(%rdi), %rdx
    movq message_rbp(%rdi), %rbp
    xorl %edi, %edi
    xorl %esi, %esi
    clear_numbered_registers
    xorl %ebx, %ebx
    swapgs
    sysretq
