// SPDX-License-Identifier: MIT
// The instructions that touch user memory. Each may fault and then continues at its exit label.
//
// Every function returns 1 in eax, or 0 after a fault. They use no stack besides the return
// address, so that a fault needs nothing undone but SMAP.

#include "kernel/arch/x86_64/trap/macros.h.S"

.text

// user_copy(to, from, size), in either direction. Words, then the remaining bytes: the word loop is
// the cheapest copy where the CPU has no fast byte moves, and as fast where it has.
.balign 16
.global user_copy
user_copy:
    smap_instruction stac
    movq %rdx, %rcx
    shrq $3, %rcx
1:  rep movsq
    movl %edx, %ecx
    andl $7, %ecx
2:  rep movsb
    smap_instruction clac
    movl $1, %eax
    ret
exception_entry 1b, user_fault
exception_entry 2b, user_fault

// user_zero(to, size)
.balign 16
.global user_zero
user_zero:
    smap_instruction stac
    xorl %eax, %eax
    movq %rsi, %rcx
    shrq $3, %rcx
1:  rep stosq
    movl %esi, %ecx
    andl $7, %ecx
2:  rep stosb
    smap_instruction clac
    movl $1, %eax
    ret
exception_entry 1b, user_fault
exception_entry 2b, user_fault

// user_load_u64(to, from)
.balign 16
.global user_load_u64
user_load_u64:
    smap_instruction stac
1:  movq (%rsi), %rax
    smap_instruction clac
    movq %rax, (%rdi)
    movl $1, %eax
    ret
exception_entry 1b, user_fault

// user_load_u32(to, from)
.balign 16
.global user_load_u32
user_load_u32:
    smap_instruction stac
1:  movl (%rsi), %eax
    smap_instruction clac
    movl %eax, (%rdi)
    movl $1, %eax
    ret
exception_entry 1b, user_fault

// user_store_u64(to, value)
.balign 16
.global user_store_u64
user_store_u64:
    smap_instruction stac
1:  movq %rsi, (%rdi)
    smap_instruction clac
    movl $1, %eax
    ret
exception_entry 1b, user_fault

user_fault:
    smap_instruction clac
    xorl %eax, %eax
    ret
