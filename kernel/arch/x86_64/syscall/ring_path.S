// SPDX-License-Identifier: MIT
// The path of enter: one entry alone that checks a known handle, and the way to C++ for all else
// (kernel/syscall/enter.cpp).
//
// The short way completes exactly what Ring::complete_known_locked() would with a run of one: the
// ring is the one that the thread entered last, its run is not empty (ring.h: so nothing hinders,
// nobody is to be told, and there is room), the client has read every completion and submitted one
// entry, a nop with the handle that was checked last. In any other case it leaves the ring as it
// found it. It trusts nothing that lies in the queues, and reads each word there once.
//
// Registers. rbx, rbp and r12-r15 are the caller's, on every way; rcx and r11 stay the way back.
// rdi can be had again from the thread's record; rsi and r10 stay until nothing can go wrong any
// more. rdi, r8 and r9 come back with indices and an entry's user_data, which the caller can read.
//
// Order. x86 loads are seen in order, and stores, too: that of the client's tail is an acquire,
// those of the kernel's indices are releases. The lock is taken by an exchange and left by a store.

#include "kernel/arch/x86_64/syscall/paths.h.S"

.text

.global light_enter, enter_undo, enter_slow

// --- enter: rdi ring, rsi completions to wait for, r10 deadline
.balign 16
light_enter:
    movq %gs:cpu_current, %r8
    take_recent thread_entered, %rdi, %rdx, %rax, enter_slow, %r8
    cmpq $1, %rsi  // so it does not only wait, either
    ja enter_slow
    lock btsl $0, ring_lock(%rdx)
    jc enter_slow
    subl $1, ring_run_length(%rdx)
    jb enter_undo
    // One entry was submitted. rax: the indices; r9: what the submission head will be.
    movq ring_indices(%rdx), %rax
    movl ring_submission_head(%rdx), %r9d
    incl %r9d
    cmpl queue_submission_tail(%rax), %r9d
    jne enter_undo
    // The handle that was checked last still is what it was, and is the entry's.
    movq ring_recent+recent_entry(%rdx), %r8
    movq ring_recent+recent_word(%rdx), %rdi
    cmpq %rdi, entry_word(%r8)
    jne enter_undo
    movq ring_run_entry(%rdx), %r8
    cmpw $ring_nop, submission_verb(%r8)  // and no flags
    jne enter_undo
    movq ring_recent+recent_handle(%rdx), %rdi
    cmpq %rdi, submission_handle(%r8)
    jne enter_undo
    // All completions were read. rdi: the completion tail.
    movl ring_completion_tail(%rdx), %edi
    cmpl queue_completion_head(%rax), %edi
    jne enter_undo
    count_entry
    // The completion: no error, no count.
    movq ring_run_completion(%rdx), %rsi
    movq submission_user_data(%r8), %r8
    movq %r8, (%rsi)
    movq $0, completion_status(%rsi)
    // The ring's account: all read, one taken and completed.
    movl %edi, ring_completion_head(%rdx)
    incl %edi
    movl %edi, ring_completion_tail(%rdx)
    movl %r9d, ring_submission_head(%rdx)
    addq $submission_size, ring_run_entry(%rdx)
    addq $completion_size, ring_run_completion(%rdx)
    // For the client to see.
    movl %edi, queue_completion_tail(%rax)
    movl %r9d, queue_submission_head(%rax)
    movl $0, ring_lock(%rdx)
    xorl %eax, %eax
    movl $1, %edx
    movl $1, %esi
    swapgs
    sysretq

// The run is as long as it was, and rdi is known.
enter_undo:
    incl ring_run_length(%rdx)
    movl $0, ring_lock(%rdx)
    movq %gs:cpu_current, %r8
    movq thread_entered+recent_handle(%r8), %rdi

// The operands become arguments. It comes back here when that was all: then C++ has kept what the
// caller gets back, but for rbp.
enter_slow:
    movq %rcx, %rax
    movq %gs:cpu_current, %rcx
    movq %rax, thread_rip(%rcx)
    movq %r11, thread_rflags(%rcx)
    movq %rsp, thread_rsp(%rcx)
    movq %rbx, thread_message+message_rbx(%rcx)
    movq %rbp, thread_message+message_rbp(%rcx)
    movq %r12, thread_message+message_r12(%rcx)
    movq %r13, thread_message+message_r13(%rcx)
    movq %r14, thread_message+message_r14(%rcx)
    movq %r15, thread_message+message_r15(%rcx)
    movq %gs:cpu_kernel_stack_top, %rsp
    movq %r10, %rdx
    xorl %ebp, %ebp
    call kernel_enter
    movq %gs:cpu_current, %r8
    movq thread_rip(%r8), %rcx
    movq thread_rflags(%r8), %r11
    movq thread_message+message_rsi(%r8), %rsi
    movq thread_message+message_rbp(%r8), %rbp
    movq thread_rsp(%r8), %rsp
    xorl %edi, %edi
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    swapgs
    sysretq
