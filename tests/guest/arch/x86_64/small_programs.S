// SPDX-License-Identifier: MIT
// Programs of a few instructions, for processes that need no runtime. tests/guest/small_process.h
//
// They are copied to other processes as they are, so each is position-independent and uses nothing
// but its argument, in rdi. System calls: abi/system_call.h.

    .section .rodata.small_programs, "a", @progbits
    .balign 16
    .globl small_begin
    .hidden small_begin
small_begin:

.macro program name
    .globl small_\name
    .hidden small_\name
    .balign 16
small_\name:
.endm

.macro exit_now
    mov $0x1007, %eax
    syscall
.endm

program spin
1:  pause
    jmp 1b

program exit
    exit_now

// Exits with the first 32 bits of time, or is refused them.
program read_time
    rdtsc
    xor %edi, %edi
    exit_now

// A system call with the registers of runtime/system_call.h's struct Registers at the argument,
// then exit with its status.
program call
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
    mov %rax, %rdi
    exit_now

// Faults. Each goes on to exit with 77 when its faulting instruction is skipped.
program read
    mov (%rdi), %rax
    mov $77, %edi
    exit_now

program write
    mov %rax, (%rdi)
    mov $77, %edi
    exit_now

program jump
    jmp *%rdi

program divide
    xor %ecx, %ecx
    xor %edx, %edx
    mov $1, %eax
    div %ecx
    mov $77, %edi
    exit_now

program invalid
    ud2
    mov $77, %edi
    exit_now

program halt
    hlt
    exit_now

program disable_interrupts
    cli
    exit_now

program port_in
    mov $0x64, %edx
    in %dx, %al
    exit_now

program port_out
    mov $0x80, %edx
    out %al, %dx
    exit_now

program write_msr
    mov $0xc0000080, %ecx
    wrmsr
    exit_now

program read_control
    mov %cr3, %rax
    exit_now

program write_control
    mov %rdi, %cr4
    exit_now

program load_table
    lgdt (%rsp)
    exit_now

program store_table
    sub $16, %rsp
    sgdt (%rsp)
    exit_now

program swap_base
    swapgs
    exit_now

program invalidate
    invlpg (%rsp)
    exit_now

program old_call
    int $0x80
    exit_now

program interrupt_gate
    int $0x20
    exit_now

program page_fault_gate
    int $14
    exit_now

program breakpoint
    int3
    mov $77, %edi
    exit_now

program single_step
    pushf
    orq $0x100, (%rsp)
    popf
    nop
    mov $77, %edi
    exit_now

program alignment
    pushf
    orq $0x40000, (%rsp)
    popf
    mov -15(%rsp), %rax
    mov $77, %edi
    exit_now

// One by zero with the exception unmasked; it is raised by the instruction that waits for it.
program floating
    sub $8, %rsp
    fninit
    movw $0x037b, (%rsp)
    fldcw (%rsp)
    fldz
    fld1
    fdiv %st(1), %st
    fwait
    mov $77, %edi
    exit_now

program overflow_stack
1:  push %rax
    jmp 1b

// Faults until the argument is an address that can be read, and exits with what is there.
program retry
1:  mov (%rdi), %rdi
    exit_now

// Reads the address that it finds at the address, for ever.
program follow
1:  mov (%rdi), %rdi
    jmp 1b

// Writes each of 1500 pages from the address on, for ever.
program walk
1:  mov %rdi, %rsi
    mov $1500, %ecx
2:  mov %rsi, (%rsi)
    add $4096, %rsi
    dec %ecx
    jnz 2b
    jmp 1b

    .globl small_end
    .hidden small_end
small_end:

    .section .note.GNU-stack, "", @progbits
