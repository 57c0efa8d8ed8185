// SPDX-License-Identifier: MIT
// Where SYSCALL arrives: the fast paths of call and reply_and_wait, and the way to all others;
// enter goes to C++ without saving the message.
//
// The functions are naked: what is written is what runs. The fast paths do what kernel/object/
// table_call.cpp and table_serve.cpp do, for the plain case: no bytes, no handles, no deadline, no
// lease, a server thread that waits (call) or nothing else to serve (reply), nobody more urgent on
// this CPU. In any other case they change nothing and leave to the C++ code; tests/abi/table runs
// both and compares.
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
using annulus::kernel::SlotState;
using annulus::kernel::WaitRecord;

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
        ".globl fast_switch, unlock_slow_reply\n"
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

        // --- call
        // Free: rax rcx r11 rbp; after the first checks also r14 (it was all ones), rbx (zero),
        // r15.
        ".balign 16\n"
        "fast_call:\n\t"
        "enter_thread\n\t"
        "leaq 1(%%r14), %%rcx\n\t"  // no deadline, no bytes
        "orq %%rbx, %%rcx\n\t"
        "jnz slow_entry\n\t"
        "testq $-0xff0010, %%rsi\n\t"  // no moved handles, selector below 256
        "jnz slow_entry\n\t"
        "cmpb %[hops_max], %c[hops](%%rsp)\n\t"
        "jae slow_entry\n\t"
        // The handle: in bounds, this generation, a served object, not busy, the verb's right.
        "movl %%edi, %%ecx\n\t"
        "cmpl %c[handle_count](%%rsp), %%ecx\n\t"
        "jae slow_entry\n\t"
        "shlq $5, %%rcx\n\t"
        "addq %c[handles](%%rsp), %%rcx\n\t"
        "movq %c[entry_word](%%rcx), %%r11\n\t"
        "movq %%r11, %%rbp\n\t"
        "xorq %%rdi, %%rbp\n\t"  // slots are below 65536: bits 24-31 of rdi are 0
        "shrq $24, %%rbp\n\t"
        "cmpq %[served], %%rbp\n\t"
        "jne slow_entry\n\t"
        "btl %%esi, %%r11d\n\t"  // bit number modulo 32: the verb
        "jnc slow_entry\n\t"
        "cmpq $0, %c[entry_lease](%%rcx)\n\t"
        "jne slow_entry\n\t"
        "movq %c[entry_object](%%rcx), %%rax\n\t"
        "cmpq %%r11, %c[entry_word](%%rcx)\n\t"  // the entry did not change meanwhile
        "jne slow_call_early\n\t"
        "movq %c[object_table](%%rax), %%rbp\n\t"
        "testq %%rbp, %%rbp\n\t"
        "jz slow_call_early\n\t"
        "movq %%rax, %%r15\n\t"
        // The table's lock, if nobody has it.
        "lock btsl $0, %c[lock](%%rbp)\n\t"
        "jc slow_call\n\t"
        "cmpb $0, %c[plain](%%rbp)\n\t"
        "je unlock_slow_call\n\t"
        // The thread that waited last: rcx points to its link. It owns a slot.
        "movq %c[waiting](%%rbp), %%rcx\n\t"
        "leaq %c[waiting](%%rbp), %%rbx\n\t"
        "cmpq %%rbx, %%rcx\n\t"
        "je unlock_slow_call\n\t"
        "movl %c[thread_slot]-%c[link](%%rcx), %%r14d\n\t"
        "testl %%r14d, %%r14d\n\t"
        "jz unlock_slow_call\n\t"
        "cmpb $0, %c[slow_reasons]-%c[link](%%rcx)\n\t"
        "jne unlock_slow_call\n\t"
        "movzbl %c[priority](%%rsp), %%eax\n\t"
        "cmpb %c[own_priority]-%c[link](%%rcx), %%al\n\t"
        "ja call_lend\n"
        "call_lent:\n\t"
        "movl %c[used](%%rbp), %%eax\n\t"
        "cmpl %c[half](%%rbp), %%eax\n\t"
        "jae unlock_slow_call\n\t"
        "movq %%gs:%c[ready], %%rax\n\t"
        "testq %%rax, %%rax\n\t"
        "jnz call_ready\n"
        "call_claim:\n\t"
        // Whoever changes the record from waiting ends the wait: from here on there is no way back.
        "movl %[waiting_record], %%eax\n\t"
        "movl %[granted_record], %%ebx\n\t"
        "lock cmpxchgq %%rbx, %c[wait_record]-%c[link](%%rcx)\n\t"
        "jne unlock_slow_call\n\t"
        "movq (%%rcx), %%rax\n\t"  // out of the list of waiting threads
        "leaq %c[waiting](%%rbp), %%rbx\n\t"
        "movq %%rax, (%%rbx)\n\t"
        "movq %%rbx, 8(%%rax)\n\t"
        "movq $0, (%%rcx)\n\t"
        // The slot: r14 is its index + 1.
        "imulq %[slot_size], %%r14, %%rax\n\t"
        "addq %c[slots](%%rbp), %%rax\n\t"
        "movb %[taken], %c[slot_state]-%c[slot_size](%%rax)\n\t"
        "movq %%rsp, %c[slot_client]-%c[slot_size](%%rax)\n\t"
        "movq $0, %c[slot_lengths]-%c[slot_size](%%rax)\n\t"
        "movq %c[object_client](%%r15), %%rbx\n\t"
        "movq %%rbx, %c[slot_account]-%c[slot_size](%%rax)\n\t"
        "incl %c[client_held](%%rbx)\n\t"
        "incl %c[used](%%rbp)\n\t"
        "movl %c[slot_epoch]-%c[slot_size](%%rax), %%eax\n\t"
        // The client waits for the answer.
        "decl %%r14d\n\t"
        "movl %%r14d, %c[thread_slot](%%rsp)\n\t"
        "movl %%eax, %c[thread_epoch](%%rsp)\n\t"
        "movq %%rbp, %c[thread_table](%%rsp)\n\t"
        "movl %[in_request], %c[wait_state](%%rsp)\n\t"
        "movq %[waiting_record], %c[wait_record](%%rsp)\n\t"
        // The request's id and header; the server's state.
        "shlq $32, %%rax\n\t"
        "orq %%rax, %%r14\n\t"
        "movzbl %c[hops](%%rsp), %%eax\n\t"
        "incl %%eax\n\t"
        "movb %%al, %c[hops]-%c[link](%%rcx)\n\t"
        "shll $8, %%eax\n\t"
        "shlq $40, %%r11\n\t"  // rights: bits 0-23 to 32-55
        "shrq $8, %%r11\n\t"
        "orq %%rsi, %%rax\n\t"
        "orq %%r11, %%rax\n\t"
        "movq %%rbx, %%r11\n\t"
        "movq %%rax, %%rbx\n\t"
        "movq %%r14, %%rsi\n\t"
        "movl $0, %c[thread_slot]-%c[link](%%rcx)\n\t"
        "movl %[running], %c[wait_state]-%c[link](%%rcx)\n\t"
        "movq %c[object_cookie](%%r15), %%rdi\n\t"
        "movq %c[client_key](%%r11), %%r15\n\t"
        "movl $0, %c[lock](%%rbp)\n\t"  // a release, as every store here
        "leaq -%c[link](%%rcx), %%rsp\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "orq $-1, %%r14\n\t"
        "xorl %%eax, %%eax\n"

        // --- the rest of a switch: to the thread in rsp, with rax as its status
        // Free: rcx r11.
        "fast_switch:\n\t"
        ".if %c[counting]\n\t"  // costs instructions: in its own variant only
        "incq %%gs:%c[entries]\n\t"
        ".endif\n\t"
        "movq %%gs:%c[self], %%rcx\n\t"
        "movq %%rsp, %%gs:%c[current]\n\t"
        "movq %%rcx, %c[cpu](%%rsp)\n\t"
        "movq %c[page_table](%%rsp), %%rcx\n\t"
        "cmpq %%gs:%c[loaded_root], %%rcx\n\t"
        "je fast_same_space\n\t"
        "movq %%rcx, %%gs:%c[loaded_root]\n\t"
        ".if %c[counting]\n\t"  // costs instructions: in its own variant only
        "incq %%gs:%c[root_loads]\n\t"
        ".endif\n\t"
        "movq %%rcx, %%cr3\n"
        "fast_same_space:\n\t"
        "movq %c[fs_base](%%rsp), %%rcx\n\t"
        "wrfsbase %%rcx\n\t"
        "movq %c[gs_base](%%rsp), %%r11\n\t"
        "movq %c[rip](%%rsp), %%rcx\n\t"
        "swapgs\n\t"
        "wrgsbase %%r11\n\t"  // the user's, now that it is in place
        "movq %c[rflags](%%rsp), %%r11\n\t"
        "movq %c[rsp](%%rsp), %%rsp\n\t"
        "sysretq\n"

        // The client is more urgent than the server: it lends its priority, up to the server's
        // ceiling.
        "call_lend:\n\t"
        "movzbl %c[ceiling]-%c[link](%%rcx), %%ebx\n\t"
        "cmpl %%eax, %%ebx\n\t"
        "cmoval %%eax, %%ebx\n\t"
        "cmpb %c[own_priority]-%c[link](%%rcx), %%bl\n\t"
        "jbe call_lent\n\t"
        "movb %%bl, %c[priority]-%c[link](%%rcx)\n\t"
        "jmp call_lent\n"
        // Somebody is ready on this CPU: in the way is only someone more urgent than the server, or
        // an equal when no time slice has begun.
        "call_ready:\n\t"
        "bsrq %%rax, %%rax\n\t"
        "cmpb %c[priority]-%c[link](%%rcx), %%al\n\t"
        "jb call_claim\n\t"
        "ja unlock_slow_call\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"
        "jne call_claim\n"
        "unlock_slow_call:\n\t"
        "movl $0, %c[lock](%%rbp)\n"
        "slow_call:\n\t"
        "xorl %%ebx, %%ebx\n\t"
        "orq $-1, %%r14\n"
        "slow_call_early:\n\t"
        "movl $0x1000, %%eax\n\t"
        "jmp slow_entry\n"

        // --- reply_and_wait
        // Free: rax rcx r11 r15; after the first checks also r14 (all ones) and rbx (zero).
        ".balign 16\n"
        "fast_reply:\n\t"
        "enter_thread\n\t"
        "leaq 1(%%r14), %%rcx\n\t"  // no deadline, no bytes, handles or flags
        "orq %%rbx, %%rcx\n\t"
        "jnz slow_entry\n\t"
        "movl %%edi, %%ecx\n\t"
        "cmpl %c[handle_count](%%rsp), %%ecx\n\t"
        "jae slow_entry\n\t"
        "shlq $5, %%rcx\n\t"
        "addq %c[handles](%%rsp), %%rcx\n\t"
        "movq %c[entry_word](%%rcx), %%r11\n\t"
        "movq %%r11, %%r15\n\t"
        "xorq %%rdi, %%r15\n\t"
        "shrq $24, %%r15\n\t"
        "cmpq %[table_type], %%r15\n\t"
        "jne slow_entry\n\t"
        "btl $16, %%r11d\n\t"  // the right to serve
        "jnc slow_entry\n\t"
        "cmpq $0, %c[entry_lease](%%rcx)\n\t"
        "jne slow_entry\n\t"
        "movq %c[entry_object](%%rcx), %%r15\n\t"
        "cmpq %%r11, %c[entry_word](%%rcx)\n\t"
        "jne slow_entry\n\t"
        "cmpq %%r15, %c[serving](%%rsp)\n\t"  // among the table's servers already
        "jne slow_entry\n\t"
        "lock btsl $0, %c[lock](%%r15)\n\t"
        "jc slow_reply\n\t"
        "cmpb $0, %c[plain](%%r15)\n\t"
        "je unlock_slow_reply\n\t"
        // The request: a taken slot of this epoch.
        "movl %%esi, %%eax\n\t"
        "cmpl %c[slot_count](%%r15), %%eax\n\t"
        "jae unlock_slow_reply\n\t"
        "imulq %[slot_size], %%rax, %%r14\n\t"
        "addq %c[slots](%%r15), %%r14\n\t"
        "movq %%rsi, %%rcx\n\t"
        "shrq $32, %%rcx\n\t"
        "cmpl %c[slot_epoch](%%r14), %%ecx\n\t"
        "jne reply_nothing\n\t"
        "cmpb %[taken], %c[slot_state](%%r14)\n\t"
        "jne unlock_slow_reply\n\t"
        "movq %c[slot_client](%%r14), %%rcx\n\t"
        "cmpb $0, %c[slow_reasons](%%rcx)\n\t"
        "jne unlock_slow_reply\n\t"
        "movq %%gs:%c[ready], %%rax\n\t"
        "testq %%rax, %%rax\n\t"
        "jnz reply_ready\n"
        "reply_claim:\n\t"
        "movl %[waiting_record], %%eax\n\t"
        "movl %[granted_record], %%r11d\n\t"
        "lock cmpxchgq %%r11, %c[wait_record](%%rcx)\n\t"
        "jne unlock_slow_reply\n\t"
        // The request is over: its slot is this thread's for the next one.
        "movq %c[slot_account](%%r14), %%rax\n\t"
        "decl %c[client_held](%%rax)\n\t"
        "decl %c[used](%%r15)\n\t"
        "movq %%rbx, %c[slot_account](%%r14)\n\t"
        "movq %%rbx, %c[slot_client](%%r14)\n\t"
        "movb %[reserved], %c[slot_state](%%r14)\n\t"
        "incl %c[slot_epoch](%%r14)\n\t"
        "jz reply_epoch\n"
        "reply_epoch_done:\n\t"
        "leal 1(%%rsi), %%eax\n\t"
        "movl %%eax, %c[thread_slot](%%rsp)\n\t"
        "movl %[in_serve], %c[wait_state](%%rsp)\n\t"
        "movq %%r15, %c[thread_table](%%rsp)\n\t"
        "movzbl %c[own_priority](%%rsp), %%eax\n\t"
        "movb %%al, %c[priority](%%rsp)\n\t"
        "movb %%bl, %c[hops](%%rsp)\n\t"
        // To the front of the waiting threads.
        "leaq %c[waiting](%%r15), %%rax\n\t"
        "movq (%%rax), %%r11\n\t"
        "leaq %c[link](%%rsp), %%r14\n\t"
        "movq %%r11, (%%r14)\n\t"
        "movq %%rax, 8(%%r14)\n\t"
        "movq %%r14, 8(%%r11)\n\t"
        "movq %%r14, (%%rax)\n\t"
        "movq %[waiting_record], %c[wait_record](%%rsp)\n\t"
        "movl %[running], %c[wait_state](%%rcx)\n\t"
        "movl $0, %c[lock](%%r15)\n\t"
        "movq %%rcx, %%rsp\n\t"
        "movq %%rbp, %%rax\n\t"
        "xorl %%esi, %%esi\n\t"
        "xorl %%edi, %%edi\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "xorl %%r14d, %%r14d\n\t"
        "xorl %%r15d, %%r15d\n\t"
        "jmp fast_switch\n"

        "reply_ready:\n\t"
        "bsrq %%rax, %%rax\n\t"
        "cmpb %c[priority](%%rcx), %%al\n\t"
        "jb reply_claim\n\t"
        "ja unlock_slow_reply\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"
        "jne reply_claim\n"
        "unlock_slow_reply:\n\t"
        "movl $0, %c[lock](%%r15)\n"
        "slow_reply:\n\t"
        "orq $-1, %%r14\n\t"
        "movl $0x1001, %%eax\n\t"
        "jmp slow_entry\n"
        "reply_epoch:\n\t"  // epochs are never 0
        "incl %c[slot_epoch](%%r14)\n\t"
        "jmp reply_epoch_done"
        :
        : [ceiling] "i"(FastPathOffsets::ceiling), [client_held] "i"(FastPathOffsets::client_held),
          [counting] "i"(annulus::kernel::counters ? 1 : 0),
          [client_key] "i"(FastPathOffsets::client_key), [cpu] "i"(FastPathOffsets::cpu),
          [current] "i"(FastPathOffsets::current), [entries] "i"(FastPathOffsets::entries),
          [entry_lease] "i"(FastPathOffsets::entry_lease),
          [entry_object] "i"(FastPathOffsets::entry_object),
          [entry_word] "i"(FastPathOffsets::entry_word), [fs_base] "i"(FastPathOffsets::fs_base),
          [granted_record] "i"(WaitRecord::granted), [gs_base] "i"(FastPathOffsets::gs_base),
          [half] "i"(FastPathOffsets::half), [handle_count] "i"(FastPathOffsets::handle_count),
          [handles] "i"(FastPathOffsets::handles), [hops] "i"(FastPathOffsets::hops),
          [hops_max] "i"(annulus::abi::hops_max), [in_request] "i"(FastPathOffsets::in_request),
          [in_serve] "i"(FastPathOffsets::in_serve), [link] "i"(FastPathOffsets::waiting_link),
          [loaded_root] "i"(FastPathOffsets::loaded_root), [lock] "i"(FastPathOffsets::lock),
          [message] "i"(FastPathOffsets::message),
          [object_client] "i"(FastPathOffsets::object_client),
          [object_cookie] "i"(FastPathOffsets::object_cookie),
          [object_table] "i"(FastPathOffsets::object_table),
          [own_priority] "i"(FastPathOffsets::own_priority),
          [page_table] "i"(FastPathOffsets::page_table), [plain] "i"(FastPathOffsets::plain),
          [priority] "i"(FastPathOffsets::priority), [ready] "i"(FastPathOffsets::ready),
          [reserved] "i"(SlotState::reserved), [rflags] "i"(FastPathOffsets::rflags),
          [rip] "i"(FastPathOffsets::rip), [root_loads] "i"(FastPathOffsets::root_loads),
          [rsp] "i"(FastPathOffsets::rsp), [running] "i"(FastPathOffsets::running),
          [scratch] "i"(FastPathOffsets::scratch), [self] "i"(FastPathOffsets::self),
          [served] "i"(annulus::abi::ObjectType::served), [serving] "i"(FastPathOffsets::serving),
          [slot_account] "i"(FastPathOffsets::slot_account),
          [slot_client] "i"(FastPathOffsets::slot_client),
          [slot_count] "i"(FastPathOffsets::slot_count),
          [slot_epoch] "i"(FastPathOffsets::slot_epoch),
          [slot_lengths] "i"(FastPathOffsets::slot_lengths),
          [slot_size] "i"(FastPathOffsets::slot_size),
          [slot_state] "i"(FastPathOffsets::slot_state),
          [slice_end] "i"(FastPathOffsets::slice_end), [slots] "i"(FastPathOffsets::slots),
          [slow_reasons] "i"(FastPathOffsets::slow_reasons),
          [stack_top] "i"(FastPathOffsets::stack_top),
          [table_type] "i"(annulus::abi::ObjectType::table), [taken] "i"(SlotState::taken),
          [thread_epoch] "i"(FastPathOffsets::thread_epoch),
          [thread_slot] "i"(FastPathOffsets::thread_slot),
          [thread_table] "i"(FastPathOffsets::thread_table), [used] "i"(FastPathOffsets::used),
          [wait_record] "i"(FastPathOffsets::wait_record),
          [wait_state] "i"(FastPathOffsets::wait_state), [waiting] "i"(FastPathOffsets::waiting),
          [waiting_record] "i"(WaitRecord::waiting));
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
