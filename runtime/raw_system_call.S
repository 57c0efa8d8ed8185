// SPDX-License-Identifier: MIT
// A system call with all registers taken from, and stored to, memory: for tests and fuzzers.

    .text
    .globl annulus_raw_system_call
    .type annulus_raw_system_call, @function
// void annulus_raw_system_call(Registers* registers): offsets as in runtime/system_call.h.
annulus_raw_system_call:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdi
    mov %rdi, %rcx
    mov 0(%rcx), %rax
    mov 8(%rcx), %rbx
    mov 16(%rcx), %rdx
    mov 24(%rcx), %rsi
    mov 32(%rcx), %rdi
    mov 40(%rcx), %rbp
    mov 48(%rcx), %r8
    mov 56(%rcx), %r9
    mov 64(%rcx), %r10
    mov 72(%rcx), %r12
    mov 80(%rcx), %r13
    mov 88(%rcx), %r14
    mov 96(%rcx), %r15
    syscall
    pop %rcx
    mov %rax, 0(%rcx)
    mov %rbx, 8(%rcx)
    mov %rdx, 16(%rcx)
    mov %rsi, 24(%rcx)
    mov %rdi, 32(%rcx)
    mov %rbp, 40(%rcx)
    mov %r8, 48(%rcx)
    mov %r9, 56(%rcx)
    mov %r10, 64(%rcx)
    mov %r12, 72(%rcx)
    mov %r13, 80(%rcx)
    mov %r14, 88(%rcx)
    mov %r15, 96(%rcx)
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .size annulus_raw_system_call, . - annulus_raw_system_call

    .section .note.GNU-stack, "", @progbits
