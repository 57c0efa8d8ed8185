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

// What user mode must not see of the kernel, or of another program, beside rdi, rsi, rdx and rbx.
.macro clear_numbered_registers
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
.endm

// To the running thread's record, where the way back is kept. Destroys `scratch`.
.macro enter_thread scratch
    movq %rsp, \scratch
    movq %gs:cpu_current, %rsp
    movq %rcx, thread_rip(%rsp)
    movq %r11, thread_rflags(%rsp)
    movq \scratch, thread_rsp(%rsp)
.endm

// What user mode needs, when it comes to the thread in rsp again. rbx is its stack pointer.
.macro save_return
    movq %rcx, thread_rip(%rsp)
    movq %r11, thread_rflags(%rsp)
    movq %rbx, thread_rsp(%rsp)
    movq %rbp, thread_message+message_rbp(%rsp)
.endm

// Waking `thread`, which waited, from the thread in rsp: NAME_wakes if it becomes ready on this
// CPU, where it waited, before all that are ready already; NAME_gives_way if it is more urgent, so
// that it runs at once and the thread in rsp next; else NAME_undo, since somebody has to be told.
// `low` and `byte` are parts of `scratch`. begin_wake ends at NAME_wakes, give_way at
// NAME_gives_way.
.macro begin_wake name, thread, scratch, low, byte
    cmpb $0, thread_slow_reasons(\thread)
    jne \name\()_undo
    movq %gs:cpu_self, \scratch
    cmpq \scratch, thread_cpu(\thread)
    jne \name\()_undo
    movq %gs:cpu_next, \scratch
    orq %gs:cpu_ready, \scratch
    jnz \name\()_ready
\name\()_first:
    movzbl thread_priority(\thread), \low
    cmpb \byte, thread_priority(%rsp)
    jbe \name\()_urgent
\name\()_wakes:
.endm
.macro give_way name, thread, scratch, byte
// Others are ready: it goes first only if it is more urgent than they.
\name\()_ready:
    cmpq $0, %gs:cpu_next
    jne \name\()_undo
    bsrq %gs:cpu_ready, \scratch
    cmpb \byte, thread_priority(\thread)
    ja \name\()_first
    jmp \name\()_undo
// An equal: a time slice must be running.
\name\()_urgent:
    jb \name\()_preempts
    cmpq $0, %gs:cpu_slice_end
    jne \name\()_wakes
    jmp \name\()_undo
\name\()_preempts:
    cmpq $0, %gs:cpu_slice_end
    jne \name\()_undo
    cmpb $0, thread_slow_reasons(%rsp)
    jne \name\()_undo
    movq %gs:cpu_ready, \scratch
    testq \scratch, \scratch
    jz \name\()_gives_way
    bsrq \scratch, \scratch
    cmpb \byte, thread_priority(%rsp)
    jbe \name\()_undo
\name\()_gives_way:
.endm

// Goes on if the CPU may be given to a thread of `its_priority`, in memory: in the way is only
// somebody more urgent who is ready, or an equal without a time slice. Leaves `scratch`, of which
// `low` and `byte` are parts, zero. The order of the first two looks: see RunQueue::settle().
.macro unless_others_first its_priority, otherwise, scratch=%rax, low=%eax, byte=%al
    movq %gs:cpu_next, \scratch
    orq %gs:cpu_ready, \scratch
    jz 4f
    movq %gs:cpu_next, \scratch     // before all in the queue
    testq \scratch, \scratch
    jz 1f
    movb thread_priority-thread_node(\scratch), \byte
    jmp 2f
1:  bsrq %gs:cpu_ready, \scratch
2:  cmpb \its_priority, \byte
    ja \otherwise
    jb 3f
    cmpq $0, %gs:cpu_slice_end
    je \otherwise
3:  xorl \low, \low
4:
.endm

// What `handle` names, if it is the one that the thread used last for this purpose and its
// entry has not changed since. One look at the word is enough: see RecentHandle.
.macro take_recent recent, handle, object, scratch, missing, thread=%rsp
    cmpq \handle, \recent+recent_handle(\thread)
    jne \missing
    movq \recent+recent_entry(\thread), \object
    movq \recent+recent_word(\thread), \scratch
    cmpq \scratch, entry_word(\object)
    jne \missing
    movq \recent+recent_object(\thread), \object
.endm
