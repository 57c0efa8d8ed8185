// SPDX-License-Identifier: MIT
// What the ways into the kernel and out of it share: names of places, and macros.
//
// Where a register's use is not said, it stays as it is.

#include "generated/offsets.h.S"
#include "kernel/arch/x86_64/trap/macros.h.S"

.macro count_entry
    .if counting        // costs instructions: in its own variant only
    incq %gs:cpu_entries
    .endif
.endm

// Loads the page table of `thread`, unless it is loaded. Destroys `scratch`.
.macro load_page_table thread, scratch
    movq thread_page_table(\thread), \scratch
    cmpq %gs:cpu_loaded_root, \scratch
    je 1f
    movq \scratch, %gs:cpu_loaded_root
    .if counting
    incq %gs:cpu_root_loads
    .endif
    movq \scratch, %cr3
1:
.endm

// The last steps of a switch to the thread in rsp, whose page table is loaded. r11 is its GS base.
.macro leave_to_thread
    swapgs
    wrgsbase %r11       // the user's, now that it is in place
    movq thread_rflags(%rsp), %r11
    movq thread_rsp(%rsp), %rsp
    sysretq
.endm

// To the thread in rsp, with rax as its status and all message registers as they are. Destroys rcx
// and r11.
.macro switch_with_message
    count_entry
    movq %gs:cpu_self, %rcx
    movq %rsp, %gs:cpu_current
    movq %rcx, thread_cpu(%rsp)
    load_page_table %rsp, %rcx
    movq thread_fs_base(%rsp), %rcx
    wrfsbase %rcx
    movq thread_gs_base(%rsp), %r11
    movq thread_rip(%rsp), %rcx
    leave_to_thread
.endm

// What user mode needs, when it comes to the thread in rsp again. rbx is its stack pointer.
.macro save_return
    movq %rcx, thread_rip(%rsp)
    movq %r11, thread_rflags(%rsp)
    movq %rbx, thread_rsp(%rsp)
    movq %rbp, thread_message+message_rbp(%rsp)
.endm
