// SPDX-License-Identifier: MIT
// The fast paths of call and reply_and_wait.
//
// They do what kernel/object/table_call.cpp and table_serve.cpp do, for the plain case: no handles,
// no deadline, no lease, a page of bytes at most each way, a server thread that waits (call) or
// nothing else to serve (reply), nobody more urgent on this CPU. In any other case they change
// nothing and leave to the C++ code; tests/abi/table runs both.
//
// They go through the table's door (table.h): an exchange with zero, an acquire, takes it; the one
// store that gives it back is a release, as every store here. While it is closed by them, the list
// behind it, the slots of its threads and the table's room are theirs.

#include "kernel/arch/x86_64/syscall/paths.h.S"

.global fast_call, fast_reply, reply_undo, switch_to_message

.text

// What rdi names, if the thread used it last for this purpose and its entry has not changed
// since; one look at the word is enough: see RecentHandle. Leaves the word in r11.
.macro recent_target recent, scratch, missing
    cmpq %rdi, \recent+recent_handle(%rsp)
    jne \missing
    movq \recent+recent_entry(%rsp), \scratch
    movq \recent+recent_word(%rsp), %r11
    cmpq %r11, entry_word(\scratch)
    jne \missing
.endm

// The whole look-up: in bounds, this generation, the type, not busy, no lease. It is
// remembered. Leaves the word in r11 and the object in rax; destroys rcx. At `other` rcx is the
// entry, and rax not the type.
.macro find_target recent, type, slow, other
    movl %edi, %ecx
    cmpl thread_handle_count(%rsp), %ecx
    jae \slow
    shlq $5, %rcx
    addq thread_handles(%rsp), %rcx
    movq entry_word(%rcx), %r11
    movq %r11, %rax
    xorq %rdi, %rax  // slots are below 65536: bits 24-31 of rdi are 0
    shrq $24, %rax
    cmpq \type, %rax
    jne \other
    cmpq $0, entry_lease(%rcx)
    jne \slow
    movq entry_object(%rcx), %rax
    cmpq %r11, entry_word(%rcx)  // the entry did not change meanwhile
    jne \slow
.endm
.macro remember_target recent
    movq %rdi, \recent+recent_handle(%rsp)
    movq %rcx, \recent+recent_entry(%rsp)
    movq %r11, \recent+recent_word(%rsp)
    movq %rax, \recent+recent_object(%rsp)
.endm

// --- call, up to where there is no way back
// `header` gathers the request's header. With `bytes` rbx and r15 are the buffer. Leaves
// the server thread in rcx, the table in r14 and the object in rdi.
.macro begin_call name, header, header_low, bytes
    movl thread_next_hops(%rsp), \header_low
    cmpl $next_hops_max, \header_low
    ja \name\()_slow
    recent_target thread_called, %rax, \name\()_find
\name\()_found:
    btl %esi, %r11d  // bit number modulo 32: the verb
    jnc \name\()_slow
    movq thread_called+recent_object(%rsp), %rdi
    movq object_entrance(%rdi), %r14
    .if \bytes
    movq %rbx, %rcx
    shrq $32, %rcx
    cmpq %rcx, table_block(%r14)  // more room than a block: C++ cuts it
    jb \name\()_slow_found
    cmpl %ebx, table_short_bytes(%r14)  // few enough to copy in the door
    jb \name\()_slow_found
    cmpq short_buffers_end(%rip), %r15
    ja \name\()_slow_found
    .endif
    // Through the door, to the thread that waited last: its address is negative.
    xorl %ecx, %ecx
    xchgq %rcx, table_door(%r14)
    testq %rcx, %rcx
    jns \name\()_nobody
    // Once more: the handle is closed before the object ends, and the end takes the door. Whoever
    // came too late must not reach a server that was told, nor an account that is gone.
    cmpq %r11, entry_word(%rax)
    jne \name\()_undo
    // Its priority, which it keeps from the last request, and no slow reasons.
    movzbl thread_priority(%rsp), %eax
    cmpw thread_priority(%rcx), %ax
    jne \name\()_lend
\name\()_lent:
    unless_others_first thread_priority(%rcx), \name\()_undo
    decl table_room(%r14)
    js \name\()_full
.endm

// --- call, the rest
// With `room` for an answer's bytes the slot becomes as C++ leaves it, with rbx and r15 the buffer;
// without it names the thread that waits, and nothing else says that the request is taken. `two`
// may be r15.
.macro end_call header, header_low, operation, server, one, one_low, two, room
    leal 0x100(\header), \one_low
    movl \one_low, thread_next_hops(\server)
    orq \operation, \header
    orq thread_called+recent_rights(%rsp), \header
    // Into the server thread's slot.
    movq thread_slot(\server), \one
    .if \room
    movq %rsp, slot_client(\one)
    movq %rbx, slot_lengths(\one)
    movb $state_taken, slot_state(\one)
    movq %r15, thread_message+message_r15(%rsp)
    .else
    movq %rsp, slot_caller(\one)
    .endif
    movq object_client(%rdi), \two
    movq \two, slot_account(\one)
    incl client_held(\two)
    movq \one, thread_request(%rsp)
    movq client_key(\two), %r15
    movq slot_id(\one), %rsi
    movq object_cookie(%rdi), %rdi
    // Out of the list of waiting threads, and out of the door: a release.
    movq thread_next_waiting(\server), \one
    movq $0, thread_next_waiting(\server)
    movq \one, table_door(%r14)
    movq \server, %rsp
.endm

// --- call, where it is not plain
.macro leave_call name
\name\()_find:
    find_target thread_called, $type_served, \name\()_slow, operation_typed
    remember_target thread_called
    movq %r11, %rax
    shlq $40, %rax  // rights: bits 0-23 to 32-55
    shrq $8, %rax
    movq %rax, thread_called+recent_rights(%rsp)
    movq %rcx, %rax
    jmp \name\()_found
    // Another priority than last time: the client lends its own, up to the server's ceiling.
\name\()_lend:
    cmpb $0, thread_slow_reasons(%rcx)
    jne \name\()_undo
    movzbl thread_ceiling(%rcx), %r11d
    cmpl %eax, %r11d
    cmoval %eax, %r11d
    movzbl thread_own_priority(%rcx), %eax
    cmpl %eax, %r11d
    cmovbl %eax, %r11d
    movb %r11b, thread_priority(%rcx)
    jmp \name\()_lent
\name\()_full:
    incl table_room(%r14)
    jmp \name\()_undo
\name\()_nobody:
    jz \name\()_slow_found  // closed
\name\()_undo:
    movq %rcx, table_door(%r14)
\name\()_slow_found:
    movq thread_called+recent_handle(%rsp), %rdi
\name\()_slow:
    movl $0x1000, %eax
    jmp slow_entry
.endm

// --- call without a deadline, bytes or moved handles, and a selector below 256
// Free: rax rcx r11 rbx rbp r14 r15.
.balign 16
fast_call:
    testq $-0xff0010, %rsi
    jnz call_flags
    enter_thread %rbp
    begin_call call, %rbx, %ebx, 0
    end_call %rbx, %ebx, %rsi, %rcx, %r11, %r11d, %r15, 0
    xorl %ebp, %ebp
    orq $-1, %r14
    switch_with_message  // rax is 0 since unless_others_first
    leave_call call

// --- call with bytes for the server, at most what its table copies in the door, or room for its
// answer's
// The bytes go straight to the block of the server thread's slot. A fault leaves all as it was: the
// general way copies them again, and finds what is wrong or brings in the page.
// Free: rax rcx r11 rbp r14. The other flags are tested here, where they cost others nothing.
.balign 16
call_flags:
    movabsq $call_not_bytes, %rbp
    testq %rbp, %rsi
    jnz operation_call
    enter_thread %r14
    begin_call bytes, %rbp, %ebp, 1
    movl %esi, %eax  // the operation without its flag
    movq %rcx, %r11
    testl %ebx, %ebx
    jz bytes_copied
    movq thread_slot(%rcx), %rdi
    movq slot_block(%rdi), %rdi
    movq %r15, %rsi
    movq %gs:cpu_kernel_stack_top, %rsp  // for a fault
    movl %ebx, %ecx
    shrl $3, %ecx
    smap_instruction stac
bytes_words:
    rep movsq
    movl %ebx, %ecx
    andl $7, %ecx
bytes_rest:
    rep movsb
    smap_instruction clac
    movq %gs:cpu_current, %rsp
    movq thread_called+recent_object(%rsp), %rdi
bytes_copied:
    movq %rbx, %rcx
    shrq $32, %rcx
    jnz bytes_with_room
    end_call %rbp, %ebp, %rax, %r11, %rcx, %ecx, %rsi, 0
bytes_delivered:
    xchgq %rbx, %rbp  // the header, and the lengths
    orq $-1, %r14
    xorl %eax, %eax
    switch_with_message
bytes_with_room:
    end_call %rbp, %ebp, %rax, %r11, %rcx, %ecx, %rsi, 1
    jmp bytes_delivered
bytes_fault:
    smap_instruction clac
    movq %gs:cpu_current, %rsp
    movl %eax, %esi
    btsq $39, %rsi
    movq %r11, %rcx
    incl table_room(%r14)
    jmp bytes_undo
    leave_call bytes
.pushsection .exception_table, "a"
.balign 8
    .quad bytes_words, bytes_fault, 0
    .quad bytes_rest, bytes_fault, 0
.popsection
.pushsection .rodata.short_buffers, "a"
.balign 8
short_buffers_end:
    .quad buffer_last
.popsection

// --- reply_and_wait, up to the request that is answered
// Leaves the table in r14, the list behind its door in rax and the slot in r11.
.macro begin_reply name, no_request
    enter_thread %r14
    recent_target thread_served, %rcx, \name\()_find
    movq thread_served+recent_object(%rsp), %r14
\name\()_found:
    // Through the door; beyond it a list of waiting threads, maybe empty.
    xorl %eax, %eax
    xchgq %rax, table_door(%r14)
    testq %rax, %rax
    jz \name\()_slow
    // The request: in the slot of the one taken last.
    movq thread_slot(%rsp), %r11
    cmpq slot_id(%r11), %rsi
    jne \no_request
.endm

// --- reply_and_wait, whether to switch to the client in `client`. Destroys rdi.
.macro check_client name, client
    cmpb $0, thread_slow_reasons(\client)
    jne \name\()_undo
    unless_others_first thread_priority(\client), \name\()_undo_found, %rdi, %edi, %dil
.endm

// --- reply_and_wait, the end of the request: its slot is this thread's for the next one. `zero` is
// 0. Destroys rdi.
.macro end_request client, zero
    movq slot_account(%r11), %rdi
    decl client_held(%rdi)
    incl table_room(%r14)
    addq $request_epoch, slot_id(%r11)
    movq \zero, thread_request(\client)
.endm

// --- reply_and_wait, the wait for the next request, and the way to the client
// To the front of the waiting threads, and out of the door: a release.
.macro end_reply name, client
    movq %rax, thread_next_waiting(%rsp)
    testq %rax, %rax
    js \name\()_second
\name\()_listed:
    movq %rsp, table_door(%r14)
    movq \client, %rsp
    movq %r15, %rax  // and it stays there, too: the client may see it twice
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    xorl %r14d, %r14d
    switch_with_message
\name\()_second:
    movq %rsp, thread_previous_waiting(%rax)
    jmp \name\()_listed
.endm

// --- reply_and_wait, where it is not plain
.macro leave_reply name
\name\()_undo_found:
    movq thread_served+recent_handle(%rsp), %rdi
\name\()_undo:
    movq %rax, table_door(%r14)
\name\()_slow:
    movl $0x1001, %eax
    jmp slow_entry
\name\()_find:
    find_target thread_served, $type_table, \name\()_slow, \name\()_slow
    btl $16, %r11d  // the right to serve
    jnc \name\()_slow
    // Among the table's servers already; and so its slot, if it has one, is this table's.
    cmpq %rax, thread_serving(%rsp)
    jne \name\()_slow
    remember_target thread_served
    movq %rax, %r14
    jmp \name\()_found
.endm

// --- reply_and_wait without a deadline, bytes, moved handles or flags
// Free: rax rcx r11 rbp r14; rbx is zero.
.balign 16
fast_reply:
    testq %rbx, %rbx
    jnz reply_flags
    begin_reply reply, reply_nothing
    movq slot_caller(%r11), %rcx
    testq %rcx, %rcx
    jz reply_undo
    check_client reply, %rcx
    movq %rbx, slot_caller(%r11)
    end_request %rcx, %rbx
    end_reply reply, %rcx

switch_to_message:
    switch_with_message

    leave_reply reply

// --- reply_and_wait with a page of bytes at most, which the client has room for
// They are copied in the door, with the client's page table loaded. A fault leaves all as it was:
// the general way copies them as the client's own last step, and brings in the page.
// Free: rax rcx r11 rbp, and without a deadline r14.
.balign 16
reply_flags:
    movq %rbx, %rbp
    shrq $32, %rbp  // moved handles and flags
    jnz slow_call_number
    begin_reply answer, answer_undo
    cmpq %rbx, table_short_bytes(%r14)
    jb answer_undo
    cmpb $state_taken, slot_state(%r11)
    jne answer_undo
    cmpl %ebx, slot_lengths+4(%r11)  // the room
    jb answer_undo
    movq slot_client(%r11), %rbp
    movq thread_message+message_r15(%rbp), %rcx
    cmpq short_buffers_end(%rip), %rcx
    ja answer_undo
    check_client answer, %rbp
    movq %rcx, %rdi
    movq slot_block(%r11), %rsi
    load_page_table %rbp, %rcx
    movq %gs:cpu_kernel_stack_top, %rsp  // for a fault
    movl %ebx, %ecx
    shrl $3, %ecx
    smap_instruction stac
answer_words:
    rep movsq
    movl %ebx, %ecx
    andl $7, %ecx
answer_rest:
    rep movsb
    smap_instruction clac
    movq %gs:cpu_current, %rsp
    xorl %ecx, %ecx
    movb $state_reserved, slot_state(%r11)
    movq %rcx, slot_client(%r11)
    movq %rcx, slot_lengths(%r11)
    end_request %rbp, %rcx
    end_reply answer, %rbp
answer_fault:
    smap_instruction clac
    movq %gs:cpu_current, %rsp
    load_page_table %rsp, %rcx
    movq slot_id(%r11), %rsi
    jmp answer_undo_found
    leave_reply answer

.pushsection .exception_table, "a"
.balign 8
    .quad answer_words, answer_fault, 0
    .quad answer_rest, answer_fault, 0
.popsection
