// SPDX-License-Identifier: MIT
// Entry stubs of all 256 vectors, and the ways back to the interrupted context.
//
// Every stub makes the stack a TrapFrame. Three kinds follow:
//   from user mode      on the CPU's kernel stack; GS is the program's until SWAPGS
//   from kernel mode    on the stack that was in use; GS is the kernel's
//   on their own stack  NMI, double fault, machine check: may hit anywhere, also between SYSCALL
// and                       SWAPGS, where GS is the program's and the stack too. They do not look
// at the                       saved CS or at GS: the word above their frame points to the CPU's
// area.

#include "generated/offsets.h.S"
#include "kernel/arch/x86_64/trap/macros.h.S"

.set msr_gs_base, 0xc0000101

.macro push_registers
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    // The flags that the interrupted context chose mean nothing to the kernel.
    cld
    smap_instruction clac
.endm

// Leaves the stack at rip.
.macro pop_registers
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    addq $16, %rsp
.endm

.text

// 256 stubs of 16 bytes. The vectors for which the CPU pushes an error code itself: Intel SDM
// vol. 3, table 6-1, and AMD APM vol. 2, 8.2 for 29 and 30.
.balign 16
.global trap_stubs
trap_stubs:
.set vector, 0
.rept 256
    .balign 16
    .set pushes_error, vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
    .if !(pushes_error || vector == 21 || vector == 29 || vector == 30)
    pushq $0
    .endif
    .byte 0x68                      // pushq with a 32-bit operand: all stubs alike
    .long vector
    .if vector == 2 || vector == 8 || vector == 18
    jmp trap_own_stack
    .else
    jmp trap_common
    .endif
    .set vector, vector + 1
.endr
    .balign 16

trap_common:
    push_registers
    testb $3, frame_cs(%rsp)
    jz trap_in_kernel
    swapgs
    xorl %ebp, %ebp                 // ends backtraces
    movq %rsp, %rdi
    call kernel_trap_from_user
    pop_registers
    swapgs
    iretq

trap_in_kernel:
    movq %rsp, %rdi
    call arch_trap_from_kernel
    pop_registers
    iretq

trap_own_stack:
    push_registers
    movl $msr_gs_base, %ecx
    rdmsr
    movl %eax, %r12d
    movl %edx, %r13d
    movq frame_size(%rsp), %rax
    movq %rax, %rdx
    shrq $32, %rdx
    wrmsr
    movq %rsp, %rdi
    call arch_trap_on_own_stack
    movl $msr_gs_base, %ecx
    movl %r12d, %eax
    movl %r13d, %edx
    wrmsr
    pop_registers
    iretq

// [[noreturn]] void annulus::arch::return_to_user(const TrapFrame&). The frame is only read; pushes
// cannot happen while the stack pointer is inside it, as interrupts are off and NMIs have a stack.
.global return_to_user
return_to_user:
    movq %rdi, %rsp
    pop_registers
    swapgs
    iretq
