// SPDX-License-Identifier: MIT
// The fast paths of semaphore sets: a signal of a member, a wait on a set, and the table that a set
// is bound to.
//
// They go on where semaphore_paths.S found that a semaphore is a member, or that a handle names a
// set, with its registers: rbx the user's stack pointer, rsp the running thread's record, rcx and
// r11 the way back; rdi, rsi and r10 are kept until nothing can go wrong any more. A set is plain
// if its door (kernel/object/door.h) says so. In any other case every door is left as it was found,
// and the C++ code goes on (kernel/syscall/wait.cpp and set_wait.cpp,
// kernel/object/table_serve.cpp).
//
// Several doors are taken in turn, never waited for. Once a door names the running thread, another
// CPU may run it: from there on its record is not touched.

#include "kernel/arch/x86_64/syscall/paths.h.S"

.text

// The thread waits on a set whose door is open; rax is 0. The door is taken before the thread says
// where it waits: so whoever reads that finds an object that has not ended.
.macro wait_by_door set, closed, otherwise
    lock cmpxchgq \closed, set_door(\set)
    jne \otherwise
    save_return
    movq \set, thread_alone_at(%rsp)
    movq %rsp, set_door(\set)  // from here on others may find the thread
.endm

.global light_wait_on_set, signal_event, both_on_set, both_event, reply_nothing

// --- wait: r8 set; rsi array and r10 its length, which must be 0
.balign 16
light_wait_on_set:
    movq %rsi, %rax
    orq %r10, %rax
    jnz wait_slow
    movabsq $door_closed, %r9
    wait_by_door %r8, %r9, wait_slow
    count_entry
    jmp wait_blocked

// --- signal: r8 semaphore, rax what its door said: the member's record, or shut
.balign 16
signal_event:
    btq $door_address_bit, %rax
    jnc signal_slow
    movq %rax, %r12
    btsq $door_thread_bit, %r12
    movq member_set(%r12), %r13
    movabsq $door_closed, %r9
    xchgq %r9, set_door(%r13)
    btq $door_thread_bit, %r9
    jnc signal_event_other
    // r9: the thread.
    begin_wake signal_event, %r9, %r14, %r14d, %r14b
    count_entry
    movl $wait_state_ready, thread_wait_state(%r9)
    movq member_key(%r12), %r14
    movq %r14, thread_message+message_rdx(%r9)
    leaq thread_node(%r9), %r14
    xorl %r12d, %r12d
    movq %r12, thread_alone_at(%r9)
    movq %r14, %gs:cpu_next
    movq %r12, set_door(%r13)
    movq %rax, semaphore_door(%r8)
    xorl %eax, %eax
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    jmp light_return

    give_way signal_event, %r9, %r14, %r14b
    count_entry
    save_return
    movl $wait_state_ready, thread_wait_state(%rsp)
    movq $0, thread_message+message_rdx(%rsp)
    movq member_key(%r12), %rdx
    movq $0, thread_alone_at(%r9)
    leaq thread_node(%rsp), %r14
    movq %r14, %gs:cpu_next
    movq $0, set_door(%r13)
    movq %rax, semaphore_door(%r8)
    movq %r9, %rsp
    xorl %eax, %eax
    jmp light_switch_to
signal_event_other:
    testq %r9, %r9
    jz signal_event_undo  // nobody waits
    btq $door_address_bit, %r9
    jnc signal_event_leave  // the lock's holder is in
signal_event_undo:
    movq %r9, set_door(%r13)
signal_event_leave:
    movq %rax, semaphore_door(%r8)
    jmp signal_slow

// --- signal_and_wait on a set: r8 semaphore to signal, r9 set to wait on, rdx 0
.balign 16
both_on_set:
    testq %r10, %r10
    jnz both_slow
    movabsq $door_closed, %r14
    movq %r14, %r12
    xchgq %r12, semaphore_door(%r8)
    btq $door_thread_bit, %r12
    jnc both_set_event
    // r12: the thread to switch to.
    cmpb $0, thread_slow_reasons(%r12)
    jne both_set_undo
    unless_others_first thread_priority(%r12), both_set_undo
    wait_by_door %r9, %r14, both_set_undo
    count_entry
    movq %rax, thread_alone_at(%r12)
    movq semaphore_word(%r8), %r13
    andb $0x7f, 7(%r13)  // K off
    movq %rax, semaphore_door(%r8)
    movq %r12, %rsp
    jmp both_switch
both_set_undo:
    movq %r12, semaphore_door(%r8)
    jmp both_slow
both_set_event:
    testq %r12, %r12
    jz both_set_undo
    movl $1, %edx

// --- signal_and_wait of a member: r8 its semaphore, r12 what the door said: its record, or
// shut; r9 what to wait for, a set if rdx is not 0, else a semaphore; r14 closed
both_event:
    btq $door_address_bit, %r12
    jnc both_event_slow
    btsq $door_thread_bit, %r12
    movq member_set(%r12), %r15
    movq %r14, %r13
    xchgq %r13, set_door(%r15)
    btq $door_thread_bit, %r13
    jnc both_event_other
    // r13: the thread to switch to.
    cmpb $0, thread_slow_reasons(%r13)
    jne both_event_undo
    unless_others_first thread_priority(%r13), both_event_undo
    testl %edx, %edx
    jnz both_event_on_set
    lock cmpxchgq %r14, semaphore_door(%r9)  // rax is 0: open
    jne both_event_undo
    movq semaphore_word(%r9), %rdx
    lock cmpxchgq %r14, (%rdx)  // from no units to K
    jne both_event_unit
    save_return
    movq %r9, thread_alone_at(%rsp)
    movq %rsp, semaphore_door(%r9)  // from here on others may find the thread
both_event_blocked:
    count_entry
    movq member_key(%r12), %rdx
    btrq $door_thread_bit, %r12
    movq %rax, thread_alone_at(%r13)
    movq %rax, set_door(%r15)
    movq %r12, semaphore_door(%r8)
    movq %r13, %rsp
    jmp both_switch
both_event_on_set:
    wait_by_door %r9, %r14, both_event_undo
    jmp both_event_blocked
both_event_unit:
    movq $0, semaphore_door(%r9)
both_event_undo:
    movq %r13, set_door(%r15)
both_event_leave:
    btrq $door_thread_bit, %r12
    movq %r12, semaphore_door(%r8)
both_event_slow:
    xorl %edx, %edx
    jmp both_slow

// No thread waits by the set's door.
both_event_other:
    testq %r13, %r13
    jz both_event_undo
    btq $door_address_bit, %r13
    jnc both_event_leave  // the lock's holder is in
    testl %edx, %edx
    jnz both_event_undo
    // r13: the table that the set is bound to. The event goes to the server thread that waited
    // last, as in table_events.cpp.
    btsq $door_thread_bit, %r13
    xorl %r15d, %r15d
    xchgq %r15, table_door(%r13)  // the thread
    testq %r15, %r15
    jz both_table_leave
    jns both_table_undo  // none waits
    cmpb $0, thread_slow_reasons(%r15)
    jne both_table_undo
    unless_others_first thread_own_priority(%r15), both_table_undo
    lock cmpxchgq %r14, semaphore_door(%r9)  // rax is 0: open
    jne both_table_undo
    movq semaphore_word(%r9), %rdx
    lock cmpxchgq %r14, (%rdx)  // from no units to K
    jne both_table_unit
    save_return
    movq %r9, thread_alone_at(%rsp)
    movq %rsp, semaphore_door(%r9)  // from here on others may find the thread
    xorl %eax, %eax
    // Its slot is free.
    movq thread_slot(%r15), %rcx
    movb $state_free, slot_state(%rcx)
    movl table_free_head(%r13), %edx
    movl %edx, slot_next_free(%rcx)
    movl slot_id(%rcx), %edx
    andl $slot_index_mask, %edx
    incl %edx
    movl %edx, table_free_head(%r13)
    movzbl thread_own_priority(%r15), %edx
    movb %dl, thread_priority(%r15)
    movl $next_hops_first, thread_next_hops(%r15)
    movb %al, table_event_next(%r13)
    // Out of the list of waiting threads, and out of the door: a release.
    movq thread_next_waiting(%r15), %rdx
    movq %rax, thread_next_waiting(%r15)
    movq %rdx, table_door(%r13)
    movq member_key(%r12), %rdi
    movq member_set(%r12), %rdx
    btrq $door_thread_bit, %r13
    btrq $door_thread_bit, %r12
    movq %r13, set_door(%rdx)
    movq %r12, semaphore_door(%r8)
    movq %r15, %rsp
    movl $status_event, %eax
    xorl %esi, %esi
    xorl %edx, %edx
    xorl %ebx, %ebx
    xorl %ebp, %ebp
    clear_numbered_registers
    jmp switch_to_message
both_table_unit:
    movq $0, semaphore_door(%r9)
both_table_undo:
    movq %r15, table_door(%r13)
both_table_leave:
    btrq $door_thread_bit, %r13
    movq member_set(%r12), %r15
    jmp both_event_undo

// --- reply_and_wait with no such request: r14 the table, rax the list behind its door.
// Without any request the thread waits for one, or for an event.
.balign 16
reply_nothing:
    testq %rsi, %rsi
    jnz reply_undo
    cmpb $0, thread_slow_reasons(%rsp)
    jne reply_undo
    // The slot for the next request.
    movl table_free_head(%r14), %ecx
    testl %ecx, %ecx
    jz reply_undo
    decl %ecx
    imulq $slot_size, %rcx, %rcx
    addq table_slots(%r14), %rcx
    movl slot_next_free(%rcx), %r11d
    movl %r11d, table_free_head(%r14)
    movb $state_reserved, slot_state(%rcx)
    movq %rcx, thread_slot(%rsp)
    // To the front of the waiting threads, and out of the door: from here on others may find
    // the thread.
    movq %rax, thread_next_waiting(%rsp)
    testq %rax, %rax
    jns 1f
    movq %rsp, thread_previous_waiting(%rax)
1:
    movq %rsp, table_door(%r14)
    count_entry
    xorl %eax, %eax

    jmp wait_blocked
