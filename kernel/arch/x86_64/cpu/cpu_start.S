// SPDX-License-Identifier: MIT
// Where the other CPUs start: 16-bit code, copied to the page at 0x8000, that goes straight to
// 64-bit.
//
// A start-up signal sets CS to the page and IP to 0 (Intel SDM vol. 3, 8.4.4.1). The page table
// given here maps this page at its own address as well as the kernel.

.set start_page, 0x8000

.section .rodata
.balign 16
.global cpu_start_begin, cpu_start_end, cpu_start_root, cpu_start_stack, cpu_start_index
cpu_start_begin:
.code16
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    // PAE; the root; long mode and no-execute pages; then protection and paging at once, which
    // enters long mode from real mode directly.
    movl $(1 << 5), %eax
    movl %eax, %cr4
    movl cpu_start_root - cpu_start_begin, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $((1 << 8) | (1 << 11)), %eax
    wrmsr
    movl %cr0, %eax
    // Caches on: a start-up CPU may come with CD and NW set.
    andl $~((1 << 2) | (1 << 3) | (1 << 29) | (1 << 30)), %eax
    orl $((1 << 31) | (1 << 16) | (1 << 5) | (1 << 1) | 1), %eax
    movl %eax, %cr0
    lgdtl descriptors_register - cpu_start_begin
    ljmpl $8, $(start_page + (enter_64 - cpu_start_begin))

.code64
enter_64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movq cpu_start_stack(%rip), %rsp
    movl cpu_start_index(%rip), %edi
    xorl %ebp, %ebp                 // ends backtraces
    movabsq $arch_start_cpu, %rax
    callq *%rax
    ud2

.balign 8
descriptors:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
descriptors_register:
    .word 23
    .long start_page + (descriptors - cpu_start_begin)
.balign 8
cpu_start_stack: .quad 0
cpu_start_index: .quad 0
cpu_start_root:  .long 0
cpu_start_end:
