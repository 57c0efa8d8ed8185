// SPDX-License-Identifier: MIT
// The fast paths of call and reply_and_wait.
//
// They do what kernel/object/table_call.cpp and table_serve.cpp do, for the plain case: no handles,
// no deadline, no lease, no bytes but a page at most for the server, a server thread that waits
// (call) or nothing else to serve (reply), nobody more urgent on this CPU. In any other case they
// change nothing and leave to the C++ code; tests/abi/table runs both.
//
// They go through the table's door (table.h): an exchange with zero, an acquire, takes it; the one
// store that gives it back is a release, as every store here. While it is closed by them, the list
// behind it, the slots of its threads and the table's room are theirs.

#include "kernel/arch/x86_64/syscall/paths.h.S"

.global fast_call, fast_reply, reply_undo, switch_to_message

.text

// To the running thread's record. `scratch` becomes the user's stack pointer, which no one
// needs from there on.
.macro enter_fast scratch
    movq %rsp, \scratch
    movq %gs:cpu_current, %rsp
    movq %rcx, thread_rip(%rsp)
    movq %r11, thread_rflags(%rsp)
    movq \scratch, thread_rsp(%rsp)
.endm

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
// remembered. Leaves the word in r11 and the object in rax; destroys rcx.
.macro find_target recent, type, slow
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
    jne \slow
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
    recent_target thread_called, %rcx, \name\()_find
\name\()_found:
    btl %esi, %r11d  // bit number modulo 32: the verb
    jnc \name\()_slow
    movq thread_called+recent_object(%rsp), %rdi
    movq object_entrance(%rdi), %r14
    .if \bytes
    cmpq %rbx, table_short_bytes(%r14)  // no room for an answer, and few enough to copy
    // in the door
    jb \name\()_slow_found
    cmpq short_buffers_end(%rip), %r15
    ja \name\()_slow_found
    .endif
    // Through the door, to the thread that waited last: its address is negative.
    xorl %ecx, %ecx
    xchgq %rcx, table_door(%r14)
    testq %rcx, %rcx
    jns \name\()_nobody
    cmpb $0, thread_slow_reasons(%rcx)
    jne \name\()_undo
    movzbl thread_priority(%rsp), %eax
    cmpb thread_priority(%rcx), %al  // which it keeps from the last request
    jne \name\()_lend
\name\()_lent:
    cmpq $0, %gs:cpu_ready
    jne \name\()_ready
\name\()_first:
    decl table_room(%r14)
    js \name\()_full
.endm

// --- call, the rest
.macro end_call header, header_low, operation, server, one, one_low, two
    leal 0x100(\header), \one_low
    movl \one_low, thread_next_hops(\server)
    orq \operation, \header
    orq thread_called+recent_rights(%rsp), \header
    // Into the server thread's slot.
    movq thread_slot(\server), \one
    movq %rsp, slot_caller(\one)
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
    find_target thread_called, $type_served, \name\()_slow
    remember_target thread_called
    movq %r11, %rax
    shlq $40, %rax  // rights: bits 0-23 to 32-55
    shrq $8, %rax
    movq %rax, thread_called+recent_rights(%rsp)
    jmp \name\()_found
    // Another priority than last time: the client lends its own, up to the server's ceiling.
\name\()_lend:
    movzbl thread_ceiling(%rcx), %r11d
    cmpl %eax, %r11d
    cmoval %eax, %r11d
    movzbl thread_own_priority(%rcx), %eax
    cmpl %eax, %r11d
    cmovbl %eax, %r11d
    movb %r11b, thread_priority(%rcx)
    jmp \name\()_lent
    // Somebody is ready on this CPU: in the way is only someone more urgent than the server, or
    // an equal when no time slice has begun.
\name\()_ready:
    bsrq %gs:cpu_ready, %rax
    cmpb thread_priority(%rcx), %al
    jb \name\()_first
    ja \name\()_undo
    cmpq $0, %gs:cpu_slice_end
    jne \name\()_first
    jmp \name\()_undo
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
    enter_fast %rbp
    begin_call call, %rbx, %ebx, 0
    end_call %rbx, %ebx, %rsi, %rcx, %r11, %r11d, %rax
    xorl %ebp, %ebp
    orq $-1, %r14
    xorl %eax, %eax
    switch_with_message
    leave_call call

// --- call with bytes for the server, at most what its table copies in the door
// The bytes go straight to the block of the server thread's slot. A fault leaves all as it
// was: the general way copies them again, and finds what is wrong or brings in the page.
// Free: rax rcx r11 rbp r14. The other flags are tested here, where they cost others
// nothing.
.balign 16
call_flags:
    movabsq $call_not_bytes, %rbp
    testq %rbp, %rsi
    jnz slow_call_number
    enter_fast %r14
    begin_call bytes, %rbp, %ebp, 1
    movl %esi, %eax  // the operation without its flag
    movq %rcx, %r11
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
    end_call %rbp, %ebp, %rax, %r11, %rcx, %ecx, %rsi
    xchgq %rbx, %rbp  // the header, and the lengths
    orq $-1, %r14
    xorl %eax, %eax
    switch_with_message
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

// --- reply_and_wait without a deadline, bytes, moved handles or flags
// Free: rax rcx r11 rbp r14; rbx is zero.
.balign 16
fast_reply:
    testq %rbx, %rbx
    jnz slow_call_number
    enter_fast %r14
    recent_target thread_served, %rcx, reply_find
    movq thread_served+recent_object(%rsp), %r14
reply_found:
    // Through the door; beyond it a list of waiting threads, maybe empty.
    xorl %eax, %eax
    xchgq %rax, table_door(%r14)
    testq %rax, %rax
    jz reply_slow
    // The request: in the slot of the one taken last, and its client waits.
    movq thread_slot(%rsp), %r11
    cmpq slot_id(%r11), %rsi
    jne reply_nothing
    movq slot_caller(%r11), %rcx
    testq %rcx, %rcx
    jz reply_undo
    cmpb $0, thread_slow_reasons(%rcx)
    jne reply_undo
    cmpq $0, %gs:cpu_ready
    jne reply_ready
reply_first:
    // The request is over: its slot is this thread's for the next one.
    movq slot_account(%r11), %rdi
    decl client_held(%rdi)
    incl table_room(%r14)
    movq %rbx, slot_caller(%r11)
    addq $request_epoch, slot_id(%r11)
    movq %rbx, thread_request(%rcx)
    // To the front of the waiting threads, and out of the door: a release.
    movq %rax, thread_next_waiting(%rsp)
    testq %rax, %rax
    js reply_second
reply_listed:
    movq %rsp, table_door(%r14)
    movq %rcx, %rsp
    movq %r15, %rax
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    switch_with_message

switch_to_message:
    switch_with_message
reply_second:
    movq %rsp, thread_previous_waiting(%rax)
    jmp reply_listed
reply_ready:
    bsrq %gs:cpu_ready, %rdi
    cmpb thread_priority(%rcx), %dil
    jb reply_first
    ja reply_undo_found
    cmpq $0, %gs:cpu_slice_end
    jne reply_first
reply_undo_found:
    movq thread_served+recent_handle(%rsp), %rdi
reply_undo:
    movq %rax, table_door(%r14)
reply_slow:
    movl $0x1001, %eax
    jmp slow_entry
reply_find:
    find_target thread_served, $type_table, reply_slow
    btl $16, %r11d  // the right to serve
    jnc reply_slow
    // Among the table's servers already; and so its slot, if it has one, is this table's.
    cmpq %rax, thread_serving(%rsp)
    jne reply_slow
    remember_target thread_served
    movq %rax, %r14

    jmp reply_found
