// SPDX-License-Identifier: MIT
// Where a program's first thread begins.
//
// The parent starts it with the start block's address in rdi, the stack pointer at the stack's end
// and the thread pointer (fs_base) 64 bytes below that. Those 64 bytes are the thread's control
// block, and thread-local variables lie below them, so that the parent need not know their size:
//
//   stack end   +--------------------------------+ <- rsp at the start, a multiple of 64
//               | control block: its own address |
//               +--------------------------------+ <- fs_base
//               | thread-local variables         |
//               +--------------------------------+ <- multiple of 64
//               | frames of the first thread     |

    .text
    .globl _start
    .type _start, @function
_start:
    xor %ebp, %ebp                      // ends backtraces
    sub $64, %rsp
    mov %rdi, %r12
    mov %rsp, %r13                      // the control block
    call annulus_thread_storage_size    // a multiple of 64
    sub %rax, %rsp
    mov %r12, %rdi
    mov %r13, %rsi
    call annulus_start                  // does not return
    ud2
    .size _start, . - _start

    .section .note.GNU-stack, "", @progbits
