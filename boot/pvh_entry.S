// SPDX-License-Identifier: MIT
// From the PVH entry (32-bit, paging off) to 64-bit code in the kernel's own address range.
//
// The loader gives the physical address of hvm_start_info in ebx; no stack and no descriptor table
// (Xen's docs/misc/pvh.pandoc). The page tables made here map the first 4 GiB three times, at 0, at
// the direct map and, the first GiB, at the kernel image. They are dropped by arch_start.

.set image_offset, 0xffffffff80000000

.section .note.pvh, "a", @note
.balign 4
.long 4                 // bytes of the name
.long 4                 // bytes of the value
.long 18                // XEN_ELFNOTE_PHYS32_ENTRY
.asciz "Xen"
.long pvh_start

.section .boot, "ax"
.code32
.global pvh_start
pvh_start:
    cli
    cld
    movl %ebx, %ebp
    movl $(boot_stack_end - image_offset), %esp

    // Long mode and no-execute pages are required (Intel SDM vol. 2, CPUID 80000001h).
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    andl $((1 << 29) | (1 << 20)), %edx
    cmpl $((1 << 29) | (1 << 20)), %edx
    jne no_long_mode

    // 2048 entries of 2 MiB: present, writable, large. The four tables are one after the other.
    movl $(early_level2 - image_offset), %edi
    movl $0x83, %eax
    xorl %ecx, %ecx
1:  movl %eax, (%edi, %ecx, 8)
    movl $0, 4(%edi, %ecx, 8)
    addl $0x200000, %eax
    incl %ecx
    cmpl $2048, %ecx
    jne 1b

    movl $(early_level3 - image_offset), %edi
    movl $(early_level2 - image_offset + 3), %eax
    movl %eax, (%edi)
    addl $4096, %eax
    movl %eax, 8(%edi)
    addl $4096, %eax
    movl %eax, 16(%edi)
    addl $4096, %eax
    movl %eax, 24(%edi)
    movl $(early_level3_image - image_offset), %edi
    movl $(early_level2 - image_offset + 3), 510 * 8(%edi)
    movl $(early_level4 - image_offset), %edi
    movl $(early_level3 - image_offset + 3), (%edi)
    movl $(early_level3 - image_offset + 3), 256 * 8(%edi)
    movl $(early_level3_image - image_offset + 3), 511 * 8(%edi)

    // Intel SDM vol. 3, 9.8.5: PAE, the table, long mode (and no-execute), then paging.
    movl %cr4, %eax
    orl $(1 << 5), %eax
    movl %eax, %cr4
    movl %edi, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $((1 << 8) | (1 << 11)), %eax
    wrmsr
    movl %cr0, %eax
    andl $~((1 << 2) | (1 << 3) | (1 << 29) | (1 << 30)), %eax
    orl $((1 << 31) | (1 << 16) | (1 << 5) | (1 << 1) | 1), %eax
    movl %eax, %cr0

    lgdtl early_descriptors_register
    ljmpl $8, $1f
.code64
1:  movabsq $start_64, %rax
    jmpq *%rax

.code32
no_long_mode:
    movl $no_long_mode_text, %esi
1:  lodsb
    testb %al, %al
    jz 2f
    movw $0x3f8, %dx
    outb %al, %dx
    jmp 1b
2:  movl $0x11, %eax        // the emulator's exit device, if any: status 35
    movw $0xf4, %dx
    outl %eax, %dx
3:  hlt
    jmp 3b
no_long_mode_text:
    .asciz "panic: this CPU lacks 64-bit mode or no-execute pages\r\n"

// Null, kernel code, kernel data, marked accessed so that the CPU does not write here.
.balign 8
early_descriptors:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
early_descriptors_register:
    .word 23
    .long early_descriptors

.section .text
.code64
start_64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq $boot_stack_end, %rsp
    movl %ebp, %edi
    xorl %ebp, %ebp         // ends backtraces
    call arch_start
    ud2

.section .bss.page_aligned, "aw", @nobits
.balign 4096
.global early_level4
early_level4:       .skip 4096
early_level3:       .skip 4096
early_level3_image: .skip 4096
early_level2:       .skip 4 * 4096
    .skip 16384
boot_stack_end:
