// SPDX-License-Identifier: MIT
// The way of an operation on a kernel object.
//
// It does what kernel/syscall/dispatch.cpp does, for the plain case: the handle has no lease, the
// operation exists and its plan (kernel/syscall/plans.h) is met, the handler succeeds, and nothing
// is to be done on leaving. The message stays in registers until all checks are done. In any other
// case it changes nothing and leaves to the C++ code, or to kernel_operation_done() after the
// handler. Debug builds take the C++ code alone, which also checks the answers.

#include "kernel/arch/x86_64/syscall/paths.h.S"

.global operation_call, operation_typed

.text

// --- a call that is not plainly a request: it has flags, moved handles or a selector from 256 on.
// Free: rax rcx r11 rbp. A call without a buffer has rbx and r15 free, too.
.balign 16
operation_call:
    .if debug_build
    jmp slow_call_number
    .endif
    enter_thread %rbp
    movl %edi, %ecx
    cmpl thread_handle_count(%rsp), %ecx
    jae operation_slow
    shlq $5, %rcx
    addq thread_handles(%rsp), %rcx
    movq entry_word(%rcx), %r11
    movq %r11, %rax
    xorq %rdi, %rax
    shrq $24, %rax

// The same from the paths to servers: rsp is the thread's record; rcx the entry, whose word is r11;
// rax its type if it has the handle's generation and is not busy, and more than any type otherwise.
operation_typed:
    .if debug_build
    jmp operation_slow
    .endif
    decq %rax                       // 0 is the type of free entries
    cmpq $object_type_count-1, %rax
    jae operation_slow
    cmpq $0, entry_lease(%rcx)
    jne operation_slow
    movq entry_object(%rcx), %rbp
    cmpq %r11, entry_word(%rcx)     // the entry did not change meanwhile
    jne operation_slow

    // The plan: see place_of(), for a type more than what is in rax.
    movq %rsi, thread_message+message_rsi(%rsp)
    btl $31, %esi
    adcl %eax, %eax
    movl %esi, %ecx
    shrl $12, %ecx
    orl %esi, %ecx
    shll $8, %eax
    movb %cl, %al
    movzbl operation_places+places_of_type(%rax), %eax
    movl %eax, %ecx
    shll $plan_size_shift, %ecx
    btrq $call_buffer_bit, %rsi
    jc 1f
    xorl %ebx, %ebx
    xorl %r15d, %r15d
1:  cmpq operation_plans+plan_operation(%rcx), %rsi
    jne operation_undo
    movl %r11d, %esi
    notl %esi
    testl %esi, operation_plans+plan_right(%rcx)
    jne operation_undo
    testl %ebx, operation_plans+plan_bytes_mask(%rcx)
    jne operation_undo
    // Words that the operation does not have are zero.
    movzbl operation_plans+plan_operands(%rcx), %esi
    movq %rdi, thread_message+message_rdi(%rsp)
    xorl %edi, %edi
    jmpq *operation_words(,%rsi,8)
operation_words_0:
    orq %rdx, %rdi
operation_words_1:
    orq %r8, %rdi
operation_words_2:
    orq %r9, %rdi
operation_words_3:
    orq %r10, %rdi
operation_words_4:
    orq %r12, %rdi
operation_words_5:
    orq %r13, %rdi
    jnz operation_undo_words
operation_words_6:
    movq %rdx, thread_message+message_rdx(%rsp)
    movq %r8, thread_message+message_r8(%rsp)
    movq %r9, thread_message+message_r9(%rsp)
    movq %r10, thread_message+message_r10(%rsp)
    movq %r12, thread_message+message_r12(%rsp)
    movq %r13, thread_message+message_r13(%rsp)
    movq %r15, thread_message+message_r15(%rsp)
    movq %rbx, thread_message+message_rbx(%rsp)
    count_entry
    // An Invocation on an empty kernel stack. The handler keeps rbx.
    movq %rsp, %rbx
    movq %gs:cpu_kernel_stack_top, %rsp
    leaq thread_message+message_rdx(%rbx), %rdx
    pushq $0
    pushq %rax
    pushq %rdx
    pushq $0
    pushq %r11
    pushq %rbp
    pushq thread_process(%rbx)
    pushq %rbx
    movq %rsp, %rdi
    xorl %ebp, %ebp
    callq *operation_plans+plan_handler(%rcx)

    movq %rsp, %rdi
    testw %ax, %ax
    jne operation_done
    cmpb $0, invocation_slot_reserved(%rdi)
    jne operation_done
    cmpq $0, grace_periods+grace_missing
    jne operation_done
    cmpq $0, grace_periods+grace_ended
    jne operation_done
    cmpb $0, thread_dying(%rbx)
    jne operation_done
    cmpb $0, %gs:cpu_resched
    jne operation_done
    movl invocation_arrived_mask(%rdi), %esi
    movl invocation_bytes_out(%rdi), %edi
    movq thread_message+message_rdx(%rbx), %rdx
    movq thread_message+message_r8(%rbx), %r8
    movq thread_message+message_r9(%rbx), %r9
    movq thread_message+message_r10(%rbx), %r10
    movq thread_message+message_r12(%rbx), %r12
    movq thread_message+message_r13(%rbx), %r13
    movq thread_rip(%rbx), %rcx
    movq thread_rflags(%rbx), %r11
    movq thread_rsp(%rbx), %rsp
    movl %edi, %ebx
    xorl %edi, %edi
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    swapgs
    sysretq

operation_done:
    movq %rax, %rsi
    callq kernel_operation_done

operation_undo_words:
    movq thread_message+message_rdi(%rsp), %rdi
operation_undo:
    movq thread_message+message_rsi(%rsp), %rsi
operation_slow:
    movl $0x1000, %eax
    jmp slow_entry

// By the number of operands.
.pushsection .rodata.operation_words, "a"
.balign 8
operation_words:
    .quad operation_words_0, operation_words_1, operation_words_2, operation_words_3
    .quad operation_words_4, operation_words_5, operation_words_6
.popsection
