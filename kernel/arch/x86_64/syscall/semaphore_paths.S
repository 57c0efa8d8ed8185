// SPDX-License-Identifier: MIT
// The fast paths of wait, signal and signal_and_wait: through a semaphore's door (semaphore.h).
//
// They serve plain semaphores, one unit, no deadline, and threads that may be switched to by
// loading a few registers. In any other case they leave the semaphore as they found it and go to
// the C++ code (kernel/syscall/wait.cpp).
//
// A channel's end is a semaphore; signalling one rings another, its `bell`. What a handle names
// lasts until the kernel is left, so `bell` is read in each call and never kept.
//
// Registers. A caller treats all but rsp and rbp as lost, so there is nothing else to keep. From
// the first two instructions on rbx is the user's stack pointer and rsp points to the running
// thread's record; rcx and r11 stay the way back to user mode, which is written to the record only
// when the thread blocks. Operands keep their registers until nothing can go wrong any more.
//
// Order. x86 stores are seen in order, and each way out of a door is a plain store: a release. The
// way in is an exchange: an acquire. A thread's record is complete before a door names it.

#include "kernel/arch/x86_64/syscall/paths.h.S"

.text

// To the running thread's record.
.macro enter_light
    movq %rsp, %rbx
    movq %gs:cpu_current, %rsp
.endm

// The whole look-up: in bounds, this generation, of one of two types, not busy, the right,
// no lease. Destroys r13 and r14.
.macro find_handle recent, handle, handle_low, object, object_low, type, or_type, right, slow
    movl \handle_low, \object_low
    cmpl thread_handle_count(%rsp), \object_low
    jae \slow
    shlq $5, \object
    addq thread_handles(%rsp), \object
    movq entry_word(\object), %r13
    movq %r13, %r14
    xorq \handle, %r14  // slots are below 65536: bits 24-31 of the handle are 0
    shrq $24, %r14
    cmpq \type, %r14
    je 1f
    cmpq \or_type, %r14
    jne \slow
1:
    btl \right, %r13d
    jnc \slow
    cmpq $0, entry_lease(\object)
    jne \slow
    movq entry_object(\object), %r14
    cmpq %r13, entry_word(\object)  // the entry did not change meanwhile
    jne \slow
    movq \handle, \recent+recent_handle(%rsp)
    movq \object, \recent+recent_entry(%rsp)
    movq %r13, \recent+recent_word(%rsp)
    movq %r14, \recent+recent_object(%rsp)
    movq %r14, \object
.endm

.macro find_semaphore recent, handle, handle_low, object, object_low, right, slow
    find_handle \recent, \handle, \handle_low, \object, \object_low, \
        $type_semaphore, $type_channel, \right, \slow
.endm
.macro find_set recent, handle, handle_low, object, object_low, slow
    find_handle \recent, \handle, \handle_low, \object, \object_low, \
        $type_set, $type_set, $right_wait_bit, \slow
.endm

// What to wait for, which is not the semaphore that the thread waited for last: ends at NAME_found
// with a semaphore, or at `on_set` with a set.
.macro find_waited name, handle, handle_low, object, object_low, scratch, on_set
\name\()_find:
    take_recent thread_waited_set, \handle, \object, \scratch, \name\()_find_semaphore
    jmp \on_set
\name\()_find_semaphore:
    find_semaphore thread_waited, \handle, \handle_low, \object, \object_low, \
        $right_wait_bit, \name\()_find_set
    jmp \name\()_found
\name\()_find_set:
    find_set thread_waited_set, \handle, \handle_low, \object, \object_low, \name\()_slow
    jmp \on_set
.endm

// From what a handle names to what signalling it rings.
.macro find_bell object, slow
    movq semaphore_bell(\object), \object
    testq \object, \object
    jz \slow
.endm

// The thread blocks.
.macro save_waiter semaphore
    save_return
    movq \semaphore, thread_alone_at(%rsp)
.endm

// K off, which was set while somebody waited: only the kernel writes the word until then.
.macro clear_kernel_bit semaphore, scratch
    movq semaphore_word(\semaphore), \scratch
    andb $0x7f, 7(\scratch)
.endm

// The rest of a switch: to the thread in rsp. rax is 0, the status of the call that it
// blocked in, and rdx the value: 0, or the key of a set's event.
.macro light_switch
    movq %rsp, %gs:cpu_current
    load_page_table %rsp, %rcx
    movq thread_fs_base(%rsp), %rcx
    wrfsbase %rcx
    movq thread_gs_base(%rsp), %r11
    movq thread_rip(%rsp), %rcx
    movq thread_message+message_rbp(%rsp), %rbp
    xorl %edi, %edi
    xorl %esi, %esi
    xorl %ebx, %ebx
    clear_numbered_registers
    leave_to_thread
.endm

.global light_signal, light_wait, light_signal_and_wait, light_return
.global signal_slow, wait_slow, both_slow, wait_blocked, both_switch, light_switch_to

// --- signal: rdi semaphore, rsi units
.balign 16
light_signal:
    enter_light
    cmpq $1, %rsi
    jne signal_other
    take_recent thread_signalled, %rdi, %r8, %r9, signal_find
signal_found:
    find_bell %r8, signal_slow
    movabsq $door_closed, %rax
    xchgq %rax, semaphore_door(%r8)
    btq $62, %rax  // in every address of the kernel; neither open nor closed
    jnc signal_nobody
    // rax: the thread.
    begin_wake signal, %rax, %r9, %r9d, %r9b
    count_entry
    movl $wait_state_ready, thread_wait_state(%rax)
    clear_kernel_bit %r8, %r9
    leaq thread_node(%rax), %r9
    xorl %eax, %eax
    movq %rax, thread_alone_at-thread_node(%r9)
    movq %rax, thread_message+message_rdx-thread_node(%r9)
    movq %r9, %gs:cpu_next
    movq %rax, semaphore_door(%r8)
light_return:  // rax is 0: the status
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    movq %rbx, %rsp
    xorl %ebx, %ebx
    swapgs
    sysretq

signal_undo:
    movq %rax, semaphore_door(%r8)
    jmp signal_slow

    give_way signal, %rax, %r9, %r9b
    count_entry
    save_return
    movl $wait_state_ready, thread_wait_state(%rsp)
    movq $0, thread_message+message_rdx(%rsp)
    movq $0, thread_alone_at(%rax)
    clear_kernel_bit %r8, %r9
    leaq thread_node(%rsp), %r9
    movq %r9, %gs:cpu_next
    movq $0, semaphore_door(%r8)
    movq %rax, %rsp
    xorl %eax, %eax
    xorl %edx, %edx
light_switch_to:
    light_switch

// Nobody waits, or it is a member of a set, or the door was shut.
signal_nobody:
    testq %rax, %rax
    jnz signal_event
    movq semaphore_word(%r8), %r9
    movq (%r9), %rax
    movq %rax, %r12
    shrq $62, %r12  // K, or the greatest value
    jnz signal_leave
    leaq 1(%rax), %r12
    cmpb $mode_counting, semaphore_mode(%r8)
    jne signal_binary
signal_count:
    lock cmpxchgq %r12, (%r9)  // also where nothing changes: another CPU may take
    jne signal_leave
    xorl %eax, %eax
    movq %rax, semaphore_door(%r8)
    count_entry
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    jmp light_return
signal_binary:
    movq %rax, %r12
    orq $1, %r12
    jmp signal_count
signal_leave:
    movq $0, semaphore_door(%r8)
    jmp signal_slow

// No units: only the handle is checked.
signal_other:
    testq %rsi, %rsi
    jnz signal_slow
    take_recent thread_signalled, %rdi, %r8, %r9, signal_find
signal_checked:
    cmpq %r8, semaphore_bell(%r8)  // whether an end can ring is more than its handle says
    jne signal_slow
    count_entry
    xorl %eax, %eax
    jmp light_return

signal_find:
    find_semaphore thread_signalled, %rdi, %edi, %r8, %r8d, $right_signal_bit, signal_slow
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    testq %rsi, %rsi
    jnz signal_found
    jmp signal_checked
signal_slow:
    movl $0x1005, %eax

// To C++, with rax the number of the call.
light_slow:
    movq %rcx, thread_rip(%rsp)
    movq %r11, thread_rflags(%rsp)
    movq %rbx, thread_rsp(%rsp)
    jmp slow_entry

// --- wait: rdi semaphore or set, rdx deadline
.balign 16
light_wait:
    enter_light
    incq %rdx  // never; and the value to return is 0
    jnz wait_slow
    take_recent thread_waited, %rdi, %r8, %r9, wait_find
wait_found:
    xorl %eax, %eax
    movabsq $door_closed, %r12  // which is also K
    lock cmpxchgq %r12, semaphore_door(%r8)
    jne wait_slow
    movq semaphore_word(%r8), %r9
    lock cmpxchgq %r12, (%r9)  // from no units to K
    jne wait_unit
    count_entry
    save_waiter %r8
    movq %rsp, semaphore_door(%r8)  // from here on others may find the thread
wait_blocked:  // rax is 0
    cmpq $0, %gs:cpu_ready
    jne wait_ready
wait_next:
    xorl %r9d, %r9d
    xchgq %r9, %gs:cpu_next
    testq %r9, %r9
    jz wait_schedule
    leaq -thread_node(%r9), %rsp
    movq thread_message+message_rdx(%rsp), %rdx
    light_switch

// Others are ready: the next is the first only if it is more urgent than they.
wait_ready:
    movq %gs:cpu_next, %r9
    testq %r9, %r9
    jz wait_schedule
    bsrq %gs:cpu_ready, %r10
    cmpb %r10b, thread_priority-thread_node(%r9)
    ja wait_next
wait_schedule:
    movq %gs:cpu_kernel_stack_top, %rsp
    xorl %ebp, %ebp
    pushq $0
    jmp kernel_schedule

// The word is not 0: units to take, or another CPU was there just now.
wait_unit:
    testq %rax, %rax
    jle wait_leave
    leaq -1(%rax), %r12
    cmpb $mode_counting, semaphore_mode(%r8)
    jne wait_binary
wait_take:
    lock cmpxchgq %r12, (%r9)
    jne wait_leave
    xorl %eax, %eax
    movq %rax, semaphore_door(%r8)
    count_entry
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    jmp light_return
wait_binary:
    xorl %r12d, %r12d
    jmp wait_take
wait_leave:
    movq $0, semaphore_door(%r8)
    jmp wait_slow
    find_waited wait, %rdi, %edi, %r8, %r8d, %r9, light_wait_on_set
wait_slow:
    decq %rdx
    movl $0x1003, %eax
    jmp light_slow

// --- signal_and_wait: rdi semaphore to signal, rsi semaphore or set to wait for, rdx
// deadline
.balign 16
light_signal_and_wait:
    enter_light
    incq %rdx
    jnz both_slow
    take_recent thread_signalled, %rdi, %r8, %r12, both_find_signalled
both_signalled:
    find_bell %r8, both_slow
    take_recent thread_waited, %rsi, %r9, %r12, both_find
both_found:
    movabsq $door_closed, %r14  // which is also K
    movq %r14, %r12
    xchgq %r12, semaphore_door(%r8)
    btq $62, %r12
    jnc both_nobody
    // r12: the thread to switch to.
    cmpb $0, thread_slow_reasons(%r12)
    jne both_undo
    unless_others_first thread_priority(%r12), both_undo
    lock cmpxchgq %r14, semaphore_door(%r9)  // rax is 0: open
    jne both_undo
    movq semaphore_word(%r9), %r13
    lock cmpxchgq %r14, (%r13)  // from no units to K
    jne both_unit
    count_entry
    save_waiter %r9
    movq %rax, thread_alone_at(%r12)
    clear_kernel_bit %r8, %r13
    movq %rax, semaphore_door(%r8)
    movq %rsp, semaphore_door(%r9)  // from here on others may find the thread
    movq %r12, %rsp
both_switch:
    movq %gs:cpu_self, %rcx
    movq %rcx, thread_cpu(%rsp)
    light_switch

both_unit:
    movq $0, semaphore_door(%r9)
both_undo:
    movq %r12, semaphore_door(%r8)
    jmp both_slow
both_nobody:
    testq %r12, %r12
    jz both_undo
    jmp both_event
both_find_signalled:
    find_semaphore thread_signalled, %rdi, %edi, %r8, %r8d, $right_signal_bit, both_slow
    jmp both_signalled
    find_waited both, %rsi, %esi, %r9, %r9d, %r12, both_on_set
both_slow:
    decq %rdx
    movl $0x1006, %eax

    jmp light_slow
