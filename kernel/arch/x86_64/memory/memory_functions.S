// SPDX-License-Identifier: MIT
// memcpy, memmove, memset, memcmp, memchr, strlen: the functions that the compiler calls by
// itself. In assembly, as the compiler would turn a C++ loop back into a call of the same function.
//
// Whole words by string instructions, then bytes: one counted instruction for 8 bytes under the
// emulator's instruction counter, and near memory speed on hardware.

.text

// memcpy(to, from, size) -> to
.balign 16
.global memcpy
memcpy:
    movq %rdi, %rax
copy_forward:
    movq %rdx, %rcx
    shrq $3, %rcx
    rep movsq
    movl %edx, %ecx
    andl $7, %ecx
    rep movsb
    ret

// memmove(to, from, size) -> to
.balign 16
.global memmove
memmove:
    movq %rdi, %rax
    movq %rdi, %rcx
    subq %rsi, %rcx
    cmpq %rdx, %rcx
    jae copy_forward        // `to` is below `from`, or beyond its end (unsigned difference)
    leaq -1(%rdi, %rdx), %rdi
    leaq -1(%rsi, %rdx), %rsi
    std
    movl %edx, %ecx
    andl $7, %ecx
    rep movsb
    subq $7, %rdi
    subq $7, %rsi
    movq %rdx, %rcx
    shrq $3, %rcx
    rep movsq
    cld
    ret

// memset(to, byte, size) -> to
.balign 16
.global memset
memset:
    movq %rdi, %r8
    movzbl %sil, %eax
    movabsq $0x0101010101010101, %rcx
    imulq %rcx, %rax
    movq %rdx, %rcx
    shrq $3, %rcx
    rep stosq
    movl %edx, %ecx
    andl $7, %ecx
    rep stosb
    movq %r8, %rax
    ret

// memcmp(a, b, size) -> difference of the first bytes that differ
.balign 16
.global memcmp
memcmp:
    xorl %eax, %eax
    movq %rdx, %rcx
    testq %rcx, %rcx        // sets the zero flag for size 0, where the loop leaves it alone
    repe cmpsb
    je 1f
    movzbl -1(%rdi), %eax
    movzbl -1(%rsi), %ecx
    subl %ecx, %eax
1:  ret

// strlen(text)
.balign 16
.global strlen
strlen:
    movq %rdi, %rdx
    xorl %eax, %eax
    movq $-1, %rcx
    repne scasb
    leaq -1(%rdi), %rax
    subq %rdx, %rax
    ret

// memchr(from, byte, size) -> the first such byte, or null
.balign 16
.global memchr
memchr:
    movl %esi, %eax
    movq %rdx, %rcx
    testq %rcx, %rcx
    jz 1f
    repne scasb
    jne 1f
    leaq -1(%rdi), %rax
    ret
1:  xorl %eax, %eax
    ret
