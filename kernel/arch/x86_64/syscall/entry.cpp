// SPDX-License-Identifier: MIT
// Where SYSCALL arrives: the fast paths of call and reply_and_wait, and the way to all others;
// enter goes to C++ without saving the message.
//
// The functions are naked: what is written is what runs. The fast paths do what kernel/object/
// table_call.cpp and table_serve.cpp do, for the plain case: no handles, no deadline, no lease, no
// bytes but a page at most for the server, a server thread that waits (call) or nothing else to
// serve (reply), nobody more urgent on this CPU. In any other case they change nothing and leave to
// the C++ code; tests/abi/table runs both.
//
// They go through the table's door (table.h): an exchange with zero, an acquire, takes it; the one
// store that gives it back is a release, as every store here. While it is closed by them, the list
// behind it, the slots of its threads and the table's room are theirs.
//
// Registers. rsp points to the running thread's record: interrupts are off, and NMI, double fault
// and machine check have stacks of their own. Message registers stay where they are, so that the
// words of a request or an answer pass from one program to the other untouched.
#include "kernel/arch/x86_64/syscall/offsets.h"

#include "arch/switch.h"
#include "arch/trap.h"

namespace annulus::kernel {

extern "C" [[noreturn]] void kernel_system_call(Thread& thread);

}  // namespace annulus::kernel

using annulus::kernel::FastPathOffsets;

// NOLINTNEXTLINE(readability-function-size): assembly, whose parts are its labels
extern "C" [[gnu::naked]] void syscall_entry() {
    asm volatile(
        "swapgs\n\t"
        "cmpq $0x1006, %%rax\n\t"
        "ja slow_call_number\n\t"
        "jmpq *system_call_paths(,%%rax,8)\n"

        // To the running thread's record, in which the way back to user mode is kept.
        ".macro enter_thread\n\t"
        "movq %%rsp, %%gs:%c[scratch]\n\t"
        "movq %%gs:%c[current], %%rsp\n\t"
        "movq %%rcx, %c[rip](%%rsp)\n\t"
        "movq %%r11, %c[rflags](%%rsp)\n\t"
        "movq %%gs:%c[scratch], %%rcx\n\t"
        "movq %%rcx, %c[rsp](%%rsp)\n\t"
        ".endm\n\t"

        // By number, from 0 on, so that there is one bound to test.
        ".pushsection .rodata.system_call_paths, \"a\"\n\t"
        ".balign 64\n"
        "system_call_paths:\n\t"
        ".rept 0x1000\n\t"
        ".quad slow_call_number\n\t"
        ".endr\n\t"
        ".quad fast_call, fast_reply, light_enter, light_wait\n\t"
        ".quad slow_call_number, light_signal, light_signal_and_wait\n\t"
        ".popsection\n"

        // --- any other case: save the message, continue in C++ on an empty kernel stack
        ".globl fast_switch, reply_undo\n"
        "slow_call_number:\n\t"
        "enter_thread\n"
        ".globl slow_entry\n"
        "slow_entry:\n\t"
        "movq %%rax, %c[message]+0(%%rsp)\n\t"
        "movq %%rdi, %c[message]+8(%%rsp)\n\t"
        "movq %%rsi, %c[message]+16(%%rsp)\n\t"
        "movq %%rdx, %c[message]+24(%%rsp)\n\t"
        "movq %%r8, %c[message]+32(%%rsp)\n\t"
        "movq %%r9, %c[message]+40(%%rsp)\n\t"
        "movq %%r10, %c[message]+48(%%rsp)\n\t"
        "movq %%r12, %c[message]+56(%%rsp)\n\t"
        "movq %%r13, %c[message]+64(%%rsp)\n\t"
        "movq %%r14, %c[message]+72(%%rsp)\n\t"
        "movq %%r15, %c[message]+80(%%rsp)\n\t"
        "movq %%rbx, %c[message]+88(%%rsp)\n\t"
        "movq %%rbp, %c[message]+96(%%rsp)\n\t"
        "movq %%rsp, %%rdi\n\t"
        "movq %%gs:%c[stack_top], %%rsp\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "pushq $0\n\t"
        "jmp kernel_system_call\n"

        // --- enter: the operands are arguments. It comes back here when that was all. Then rbx and
        // r12-r15 are still the caller's, and rbp is 0.
        ".balign 16\n"
        "light_enter:\n\t"
        "movq %%gs:%c[current], %%r8\n\t"
        "movq %%rcx, %c[rip](%%r8)\n\t"
        "movq %%r11, %c[rflags](%%r8)\n\t"
        "movq %%rsp, %c[rsp](%%r8)\n\t"
        "movq %%gs:%c[stack_top], %%rsp\n\t"
        "movq %%r10, %%rcx\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "call kernel_enter\n\t"
        "movq %%gs:%c[current], %%r8\n\t"
        "movq %c[rip](%%r8), %%rcx\n\t"
        "movq %c[rflags](%%r8), %%r11\n\t"
        "movq %c[message]+16(%%r8), %%rsi\n\t"
        "movq %c[rsp](%%r8), %%rsp\n\t"
        "xorl %%edi, %%edi\n\t"
        "xorl %%r8d, %%r8d\n\t"
        "xorl %%r9d, %%r9d\n\t"
        "xorl %%r10d, %%r10d\n\t"
        "swapgs\n\t"
        "sysretq\n"

        // --- what the two paths share
        // To the running thread's record. `scratch` becomes the user's stack pointer, which no one
        // needs from there on.
        ".macro enter_fast scratch\n\t"
        "movq %%rsp, \\scratch\n\t"
        "movq %%gs:%c[current], %%rsp\n\t"
        "movq %%rcx, %c[rip](%%rsp)\n\t"
        "movq %%r11, %c[rflags](%%rsp)\n\t"
        "movq \\scratch, %c[rsp](%%rsp)\n\t"
        ".endm\n\t"

        // Opens or closes user memory, as in trap/macros.h.S.
        ".macro smap instruction\n"
        "777:\n\t"
        "\\instruction\n\t"
        ".pushsection .smap_sites, \"a\"\n\t"
        ".quad 777b\n\t"
        ".popsection\n\t"
        ".endm\n\t"

        // What rdi names, if the thread used it last for this purpose and its entry has not changed
        // since; one look at the word is enough: see RecentHandle. Leaves the word in r11.
        ".macro recent_target recent, scratch, missing\n\t"
        "cmpq %%rdi, \\recent+%c[recent_handle](%%rsp)\n\t"
        "jne \\missing\n\t"
        "movq \\recent+%c[recent_entry](%%rsp), \\scratch\n\t"
        "movq \\recent+%c[recent_word](%%rsp), %%r11\n\t"
        "cmpq %%r11, %c[entry_word](\\scratch)\n\t"
        "jne \\missing\n\t"
        ".endm\n\t"

        // The whole look-up: in bounds, this generation, the type, not busy, no lease. It is
        // remembered. Leaves the word in r11 and the object in rax; destroys rcx.
        ".macro find_target recent, type, slow\n\t"
        "movl %%edi, %%ecx\n\t"
        "cmpl %c[handle_count](%%rsp), %%ecx\n\t"
        "jae \\slow\n\t"
        "shlq $5, %%rcx\n\t"
        "addq %c[handles](%%rsp), %%rcx\n\t"
        "movq %c[entry_word](%%rcx), %%r11\n\t"
        "movq %%r11, %%rax\n\t"
        "xorq %%rdi, %%rax\n\t"  // slots are below 65536: bits 24-31 of rdi are 0
        "shrq $24, %%rax\n\t"
        "cmpq \\type, %%rax\n\t"
        "jne \\slow\n\t"
        "cmpq $0, %c[entry_lease](%%rcx)\n\t"
        "jne \\slow\n\t"
        "movq %c[entry_object](%%rcx), %%rax\n\t"
        "cmpq %%r11, %c[entry_word](%%rcx)\n\t"  // the entry did not change meanwhile
        "jne \\slow\n\t"
        ".endm\n\t"
        ".macro remember_target recent\n\t"
        "movq %%rdi, \\recent+%c[recent_handle](%%rsp)\n\t"
        "movq %%rcx, \\recent+%c[recent_entry](%%rsp)\n\t"
        "movq %%r11, \\recent+%c[recent_word](%%rsp)\n\t"
        "movq %%rax, \\recent+%c[recent_object](%%rsp)\n\t"
        ".endm\n\t"

        // To the thread in rsp, with rax as its status. Destroys rcx and r11.
        ".macro switch_fast\n\t"
        ".if %c[counting]\n\t"  // costs instructions: in its own variant only
        "incq %%gs:%c[entries]\n\t"
        ".endif\n\t"
        "movq %%gs:%c[self], %%rcx\n\t"
        "movq %%rsp, %%gs:%c[current]\n\t"
        "movq %%rcx, %c[cpu](%%rsp)\n\t"
        "movq %c[page_table](%%rsp), %%rcx\n\t"
        "cmpq %%gs:%c[loaded_root], %%rcx\n\t"
        "je 1f\n\t"
        "movq %%rcx, %%gs:%c[loaded_root]\n\t"
        ".if %c[counting]\n\t"
        "incq %%gs:%c[root_loads]\n\t"
        ".endif\n\t"
        "movq %%rcx, %%cr3\n"
        "1:\n\t"
        "movq %c[fs_base](%%rsp), %%rcx\n\t"
        "wrfsbase %%rcx\n\t"
        "movq %c[gs_base](%%rsp), %%r11\n\t"
        "movq %c[rip](%%rsp), %%rcx\n\t"
        "swapgs\n\t"
        "wrgsbase %%r11\n\t"  // the user's, now that it is in place
        "movq %c[rflags](%%rsp), %%r11\n\t"
        "movq %c[rsp](%%rsp), %%rsp\n\t"
        "sysretq\n\t"
        ".endm\n\t"

        // --- call, up to where there is no way back
        // `header` gathers the request's header. With `bytes` rbx and r15 are the buffer. Leaves
        // the server thread in rcx, the table in r14 and the object in rdi.
        ".macro begin_call name, header, header_low, bytes\n\t"
        "movl %c[next_hops](%%rsp), \\header_low\n\t"
        "cmpl %[hops_limit], \\header_low\n\t"
        "ja \\name\\()_slow\n\t"
        "recent_target %c[called], %%rcx, \\name\\()_find\n"
        "\\name\\()_found:\n\t"
        "btl %%esi, %%r11d\n\t"  // bit number modulo 32: the verb
        "jnc \\name\\()_slow\n\t"
        "movq %c[called]+%c[recent_object](%%rsp), %%rdi\n\t"
        "movq %c[object_entrance](%%rdi), %%r14\n\t"
        ".if \\bytes\n\t"
        "cmpq %%rbx, %c[short_bytes](%%r14)\n\t"  // no room for an answer, and few enough to copy
                                                  // in the door
        "jb \\name\\()_slow_found\n\t"
        "cmpq short_buffers_end(%%rip), %%r15\n\t"
        "ja \\name\\()_slow_found\n\t"
        ".endif\n\t"
        // Through the door, to the thread that waited last: its address is negative.
        "xorl %%ecx, %%ecx\n\t"
        "xchgq %%rcx, %c[table_door](%%r14)\n\t"
        "testq %%rcx, %%rcx\n\t"
        "jns \\name\\()_nobody\n\t"
        "cmpb $0, %c[slow_reasons](%%rcx)\n\t"
        "jne \\name\\()_undo\n\t"
        "movzbl %c[priority](%%rsp), %%eax\n\t"
        "cmpb %c[priority](%%rcx), %%al\n\t"  // which it keeps from the last request
        "jne \\name\\()_lend\n"
        "\\name\\()_lent:\n\t"
        "cmpq $0, %%gs:%c[ready]\n\t"
        "jne \\name\\()_ready\n"
        "\\name\\()_first:\n\t"
        "decl %c[room](%%r14)\n\t"
        "js \\name\\()_full\n\t"
        ".endm\n\t"

        // --- call, the rest
        ".macro end_call header, header_low, operation, server, one, one_low, two\n\t"
        "leal 0x100(\\header), \\one_low\n\t"
        "movl \\one_low, %c[next_hops](\\server)\n\t"
        "orq \\operation, \\header\n\t"
        "orq %c[called]+%c[recent_rights](%%rsp), \\header\n\t"
        // Into the server thread's slot.
        "movq %c[slot](\\server), \\one\n\t"
        "movq %%rsp, %c[slot_caller](\\one)\n\t"
        "movq %c[object_client](%%rdi), \\two\n\t"
        "movq \\two, %c[slot_account](\\one)\n\t"
        "incl %c[client_held](\\two)\n\t"
        "movq \\one, %c[request](%%rsp)\n\t"
        "movq %c[client_key](\\two), %%r15\n\t"
        "movq %c[slot_id](\\one), %%rsi\n\t"
        "movq %c[object_cookie](%%rdi), %%rdi\n\t"
        // Out of the list of waiting threads, and out of the door: a release.
        "movq %c[next_waiting](\\server), \\one\n\t"
        "movq $0, %c[next_waiting](\\server)\n\t"
        "movq \\one, %c[table_door](%%r14)\n\t"
        "movq \\server, %%rsp\n\t"
        ".endm\n\t"

        // --- call, where it is not plain
        ".macro leave_call name\n"
        "\\name\\()_find:\n\t"
        "find_target %c[called], %[served_type], \\name\\()_slow\n\t"
        "remember_target %c[called]\n\t"
        "movq %%r11, %%rax\n\t"
        "shlq $40, %%rax\n\t"  // rights: bits 0-23 to 32-55
        "shrq $8, %%rax\n\t"
        "movq %%rax, %c[called]+%c[recent_rights](%%rsp)\n\t"
        "jmp \\name\\()_found\n"
        // Another priority than last time: the client lends its own, up to the server's ceiling.
        "\\name\\()_lend:\n\t"
        "movzbl %c[ceiling](%%rcx), %%r11d\n\t"
        "cmpl %%eax, %%r11d\n\t"
        "cmoval %%eax, %%r11d\n\t"
        "movzbl %c[own_priority](%%rcx), %%eax\n\t"
        "cmpl %%eax, %%r11d\n\t"
        "cmovbl %%eax, %%r11d\n\t"
        "movb %%r11b, %c[priority](%%rcx)\n\t"
        "jmp \\name\\()_lent\n"
        // Somebody is ready on this CPU: in the way is only someone more urgent than the server, or
        // an equal when no time slice has begun.
        "\\name\\()_ready:\n\t"
        "bsrq %%gs:%c[ready], %%rax\n\t"
        "cmpb %c[priority](%%rcx), %%al\n\t"
        "jb \\name\\()_first\n\t"
        "ja \\name\\()_undo\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"
        "jne \\name\\()_first\n\t"
        "jmp \\name\\()_undo\n"
        "\\name\\()_full:\n\t"
        "incl %c[room](%%r14)\n\t"
        "jmp \\name\\()_undo\n"
        "\\name\\()_nobody:\n\t"
        "jz \\name\\()_slow_found\n"  // closed
        "\\name\\()_undo:\n\t"
        "movq %%rcx, %c[table_door](%%r14)\n"
        "\\name\\()_slow_found:\n\t"
        "movq %c[called]+%c[recent_handle](%%rsp), %%rdi\n"
        "\\name\\()_slow:\n\t"
        "movl $0x1000, %%eax\n\t"
        "jmp slow_entry\n\t"
        ".endm\n\t"

        // --- call without a deadline, bytes or moved handles, and a selector below 256
        // Free: rax rcx r11 rbx rbp r14 r15.
        ".balign 16\n"
        "fast_call:\n\t"
        "testq $-0xff0010, %%rsi\n\t"
        "jnz call_flags\n\t"
        "enter_fast %%rbp\n\t"
        "begin_call call, %%rbx, %%ebx, 0\n\t"
        "end_call %%rbx, %%ebx, %%rsi, %%rcx, %%r11, %%r11d, %%rax\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "orq $-1, %%r14\n\t"
        "xorl %%eax, %%eax\n\t"
        "switch_fast\n\t"
        "leave_call call\n\t"

        // --- call with bytes for the server, at most what its table copies in the door
        // The bytes go straight to the block of the server thread's slot. A fault leaves all as it
        // was: the general way copies them again, and finds what is wrong or brings in the page.
        // Free: rax rcx r11 rbp r14. The other flags are tested here, where they cost others
        // nothing.
        ".balign 16\n"
        "call_flags:\n\t"
        "movabsq %[bytes_only], %%rbp\n\t"
        "testq %%rbp, %%rsi\n\t"
        "jnz slow_call_number\n\t"
        "enter_fast %%r14\n\t"
        "begin_call bytes, %%rbp, %%ebp, 1\n\t"
        "movl %%esi, %%eax\n\t"  // the operation without its flag
        "movq %%rcx, %%r11\n\t"
        "movq %c[slot](%%rcx), %%rdi\n\t"
        "movq %c[slot_block](%%rdi), %%rdi\n\t"
        "movq %%r15, %%rsi\n\t"
        "movq %%gs:%c[stack_top], %%rsp\n\t"  // for a fault
        "movl %%ebx, %%ecx\n\t"
        "shrl $3, %%ecx\n\t"
        "smap stac\n"
        "bytes_words:\n\t"
        "rep movsq\n\t"
        "movl %%ebx, %%ecx\n\t"
        "andl $7, %%ecx\n"
        "bytes_rest:\n\t"
        "rep movsb\n\t"
        "smap clac\n\t"
        "movq %%gs:%c[current], %%rsp\n\t"
        "movq %c[called]+%c[recent_object](%%rsp), %%rdi\n\t"
        "end_call %%rbp, %%ebp, %%rax, %%r11, %%rcx, %%ecx, %%rsi\n\t"
        "xchgq %%rbx, %%rbp\n\t"  // the header, and the lengths
        "orq $-1, %%r14\n\t"
        "xorl %%eax, %%eax\n\t"
        "switch_fast\n"
        "bytes_fault:\n\t"
        "smap clac\n\t"
        "movq %%gs:%c[current], %%rsp\n\t"
        "movl %%eax, %%esi\n\t"
        "btsq $39, %%rsi\n\t"
        "movq %%r11, %%rcx\n\t"
        "incl %c[room](%%r14)\n\t"
        "jmp bytes_undo\n\t"
        "leave_call bytes\n\t"
        ".pushsection .exception_table, \"a\"\n\t"
        ".balign 8\n\t"
        ".quad bytes_words, bytes_fault, 0\n\t"
        ".quad bytes_rest, bytes_fault, 0\n\t"
        ".popsection\n\t"
        ".pushsection .rodata.short_buffers, \"a\"\n\t"
        ".balign 8\n"
        "short_buffers_end:\n\t"
        ".quad %c[last_buffer]\n\t"
        ".popsection\n\t"

        // --- reply_and_wait without a deadline, bytes, moved handles or flags
        // Free: rax rcx r11 rbp r14; rbx is zero.
        ".balign 16\n"
        "fast_reply:\n\t"
        "testq %%rbx, %%rbx\n\t"
        "jnz slow_call_number\n\t"
        "enter_fast %%r14\n\t"
        "recent_target %c[served], %%rcx, reply_find\n\t"
        "movq %c[served]+%c[recent_object](%%rsp), %%r14\n"
        "reply_found:\n\t"
        // Through the door; beyond it a list of waiting threads, maybe empty.
        "xorl %%eax, %%eax\n\t"
        "xchgq %%rax, %c[table_door](%%r14)\n\t"
        "testq %%rax, %%rax\n\t"
        "jz reply_slow\n\t"
        // The request: in the slot of the one taken last, and its client waits.
        "movq %c[slot](%%rsp), %%r11\n\t"
        "cmpq %c[slot_id](%%r11), %%rsi\n\t"
        "jne reply_nothing\n\t"
        "movq %c[slot_caller](%%r11), %%rcx\n\t"
        "testq %%rcx, %%rcx\n\t"
        "jz reply_undo\n\t"
        "cmpb $0, %c[slow_reasons](%%rcx)\n\t"
        "jne reply_undo\n\t"
        "cmpq $0, %%gs:%c[ready]\n\t"
        "jne reply_ready\n"
        "reply_first:\n\t"
        // The request is over: its slot is this thread's for the next one.
        "movq %c[slot_account](%%r11), %%rdi\n\t"
        "decl %c[client_held](%%rdi)\n\t"
        "incl %c[room](%%r14)\n\t"
        "movq %%rbx, %c[slot_caller](%%r11)\n\t"
        "addq %[next_epoch], %c[slot_id](%%r11)\n\t"
        "movq %%rbx, %c[request](%%rcx)\n\t"
        // To the front of the waiting threads, and out of the door: a release.
        "movq %%rax, %c[next_waiting](%%rsp)\n\t"
        "testq %%rax, %%rax\n\t"
        "js reply_second\n"
        "reply_listed:\n\t"
        "movq %%rsp, %c[table_door](%%r14)\n\t"
        "movq %%rcx, %%rsp\n\t"
        "movq %%r15, %%rax\n\t"
        "xorl %%esi, %%esi\n\t"
        "xorl %%edi, %%edi\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "xorl %%r14d, %%r14d\n\t"
        "xorl %%r15d, %%r15d\n\t"
        "switch_fast\n"

        "fast_switch:\n\t"
        "switch_fast\n"
        "reply_second:\n\t"
        "movq %%rsp, %c[previous_waiting](%%rax)\n\t"
        "jmp reply_listed\n"
        "reply_ready:\n\t"
        "bsrq %%gs:%c[ready], %%rdi\n\t"
        "cmpb %c[priority](%%rcx), %%dil\n\t"
        "jb reply_first\n\t"
        "ja reply_undo_found\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"
        "jne reply_first\n"
        "reply_undo_found:\n\t"
        "movq %c[served]+%c[recent_handle](%%rsp), %%rdi\n"
        "reply_undo:\n\t"
        "movq %%rax, %c[table_door](%%r14)\n"
        "reply_slow:\n\t"
        "movl $0x1001, %%eax\n\t"
        "jmp slow_entry\n"
        "reply_find:\n\t"
        "find_target %c[served], %[table_type], reply_slow\n\t"
        "btl $16, %%r11d\n\t"  // the right to serve
        "jnc reply_slow\n\t"
        // Among the table's servers already; and so its slot, if it has one, is this table's.
        "cmpq %%rax, %c[serving](%%rsp)\n\t"
        "jne reply_slow\n\t"
        "remember_target %c[served]\n\t"
        "movq %%rax, %%r14\n\t"
        "jmp reply_found"
        :
        :
        [bytes_only] "i"(~uint64_t{0xff000f} & ~annulus::abi::call_buffer),
        [called] "i"(FastPathOffsets::called), [ceiling] "i"(FastPathOffsets::ceiling),
        [client_held] "i"(FastPathOffsets::client_held),
        [client_key] "i"(FastPathOffsets::client_key),
        [counting] "i"(annulus::kernel::counters ? 1 : 0), [cpu] "i"(FastPathOffsets::cpu),
        [current] "i"(FastPathOffsets::current), [entries] "i"(FastPathOffsets::entries),
        [entry_lease] "i"(FastPathOffsets::entry_lease),
        [entry_object] "i"(FastPathOffsets::entry_object),
        [entry_word] "i"(FastPathOffsets::entry_word), [fs_base] "i"(FastPathOffsets::fs_base),
        [gs_base] "i"(FastPathOffsets::gs_base), [handle_count] "i"(FastPathOffsets::handle_count),
        [handles] "i"(FastPathOffsets::handles),
        [hops_limit] "i"(annulus::abi::hops_max << annulus::kernel::Thread::hops_shift),
        [last_buffer] "i"(annulus::abi::user_end - annulus::abi::page_size),
        [loaded_root] "i"(FastPathOffsets::loaded_root), [message] "i"(FastPathOffsets::message),
        [next_epoch] "i"(annulus::abi::request_epoch), [next_hops] "i"(FastPathOffsets::next_hops),
        [next_waiting] "i"(FastPathOffsets::next_waiting),
        [object_client] "i"(FastPathOffsets::object_client),
        [object_cookie] "i"(FastPathOffsets::object_cookie),
        [object_entrance] "i"(FastPathOffsets::object_entrance),
        [own_priority] "i"(FastPathOffsets::own_priority),
        [page_table] "i"(FastPathOffsets::page_table),
        [previous_waiting] "i"(FastPathOffsets::previous_waiting),
        [priority] "i"(FastPathOffsets::priority), [ready] "i"(FastPathOffsets::ready),
        [recent_entry] "i"(FastPathOffsets::recent_entry),
        [recent_handle] "i"(FastPathOffsets::recent_handle),
        [recent_object] "i"(FastPathOffsets::recent_object),
        [recent_rights] "i"(FastPathOffsets::recent_rights),
        [recent_word] "i"(FastPathOffsets::recent_word), [request] "i"(FastPathOffsets::request),
        [rflags] "i"(FastPathOffsets::rflags), [rip] "i"(FastPathOffsets::rip),
        [room] "i"(FastPathOffsets::room), [root_loads] "i"(FastPathOffsets::root_loads),
        [rsp] "i"(FastPathOffsets::rsp), [scratch] "i"(FastPathOffsets::scratch),
        [self] "i"(FastPathOffsets::self), [served] "i"(FastPathOffsets::served),
        [served_type] "i"(annulus::abi::ObjectType::served),
        [serving] "i"(FastPathOffsets::serving), [short_bytes] "i"(FastPathOffsets::short_bytes),
        [slice_end] "i"(FastPathOffsets::slice_end), [slot] "i"(FastPathOffsets::slot),
        [slot_account] "i"(FastPathOffsets::slot_account),
        [slot_block] "i"(FastPathOffsets::slot_block),
        [slot_caller] "i"(FastPathOffsets::slot_caller), [slot_id] "i"(FastPathOffsets::slot_id),
        [slow_reasons] "i"(FastPathOffsets::slow_reasons),
        [stack_top] "i"(FastPathOffsets::stack_top), [table_door] "i"(FastPathOffsets::table_door),
        [table_type] "i"(annulus::abi::ObjectType::table));
}

extern "C" [[gnu::naked]] void return_with_message(const void*, const annulus::arch::ReturnState*) {
    asm volatile(
        "movq 0(%rsi), %rcx\n\t"
        "movq 8(%rsi), %r11\n\t"
        "movq 16(%rsi), %rsp\n\t"
        "movq 0(%rdi), %rax\n\t"
        "movq 16(%rdi), %rsi\n\t"
        "movq 24(%rdi), %rdx\n\t"
        "movq 32(%rdi), %r8\n\t"
        "movq 40(%rdi), %r9\n\t"
        "movq 48(%rdi), %r10\n\t"
        "movq 56(%rdi), %r12\n\t"
        "movq 64(%rdi), %r13\n\t"
        "movq 72(%rdi), %r14\n\t"
        "movq 80(%rdi), %r15\n\t"
        "movq 88(%rdi), %rbx\n\t"
        "movq 96(%rdi), %rbp\n\t"
        "movq 8(%rdi), %rdi\n\t"
        "swapgs\n\t"
        "sysretq");
}

extern "C" [[gnu::naked]] void return_with_results(const void*, const annulus::arch::ReturnState*) {
    asm volatile(
        "movq 0(%rsi), %rcx\n\t"
        "movq 8(%rsi), %r11\n\t"
        "movq 16(%rsi), %rsp\n\t"
        "movq 0(%rdi), %rax\n\t"
        "movq 16(%rdi), %rsi\n\t"
        "movq 24(%rdi), %rdx\n\t"
        "movq 32(%rdi), %r8\n\t"
        "movq 40(%rdi), %r9\n\t"
        "movq 48(%rdi), %r10\n\t"
        "movq 56(%rdi), %r12\n\t"
        "movq 64(%rdi), %r13\n\t"
        "movq 88(%rdi), %rbx\n\t"
        "xorl %edi, %edi\n\t"
        "xorl %r14d, %r14d\n\t"
        "xorl %r15d, %r15d\n\t"
        "xorl %ebp, %ebp\n\t"
        "swapgs\n\t"
        "sysretq");
}

extern "C" [[gnu::naked]] void return_with_status(const void*, const annulus::arch::ReturnState*) {
    asm volatile(
        "movq 0(%rdi), %rax\n\t"
        "movq 24(%rdi), %rdx\n\t"
        "movq 96(%rdi), %rbp\n\t"
        "movq 0(%rsi), %rcx\n\t"
        "movq 8(%rsi), %r11\n\t"
        "movq 16(%rsi), %rsp\n\t"
        "xorl %edi, %edi\n\t"
        "xorl %esi, %esi\n\t"
        "xorl %r8d, %r8d\n\t"
        "xorl %r9d, %r9d\n\t"
        "xorl %r10d, %r10d\n\t"
        "xorl %r12d, %r12d\n\t"
        "xorl %r13d, %r13d\n\t"
        "xorl %r14d, %r14d\n\t"
        "xorl %r15d, %r15d\n\t"
        "xorl %ebx, %ebx\n\t"
        "swapgs\n\t"
        "sysretq");
}
