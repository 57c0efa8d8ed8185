// SPDX-License-Identifier: MIT
// The fast paths of wait, signal and signal_and_wait: through a semaphore's door (semaphore.h).
//
// The functions are naked, as in entry.cpp. They serve plain semaphores, one unit, no deadline, and
// threads that may be switched to by loading a few registers. In any other case they leave the
// semaphore as they found it and go to the C++ code (kernel/syscall/wait.cpp).
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
#include "kernel/arch/x86_64/syscall/offsets.h"

#include "arch/trap.h"

#include <bit>

using annulus::kernel::FastPathOffsets;

// NOLINTNEXTLINE(readability-function-size): assembly, whose parts are its labels
extern "C" [[gnu::naked]] void syscall_semaphore_paths() {
    asm volatile(
        // To the running thread's record.
        ".macro enter_light\n\t"
        "movq %%rsp, %%rbx\n\t"
        "movq %%gs:%c[current], %%rsp\n\t"
        ".endm\n\t"

        // What `handle` names, if it is the one that the thread used last for this purpose and its
        // entry has not changed since. One look at the word is enough: see RecentHandle.
        ".macro recent_handle recent, handle, object, scratch, missing\n\t"
        "cmpq \\handle, \\recent+%c[recent_handle](%%rsp)\n\t"
        "jne \\missing\n\t"
        "movq \\recent+%c[recent_entry](%%rsp), \\object\n\t"
        "movq \\recent+%c[recent_word](%%rsp), \\scratch\n\t"
        "cmpq \\scratch, %c[entry_word](\\object)\n\t"
        "jne \\missing\n\t"
        "movq \\recent+%c[recent_object](%%rsp), \\object\n\t"
        ".endm\n\t"

        // The whole look-up: in bounds, this generation, of one of two types, not busy, the right,
        // no lease. Destroys r13 and r14.
        ".macro find_handle recent, handle, handle_low, object, object_low, type, or_type, right, "
        "slow\n\t"
        "movl \\handle_low, \\object_low\n\t"
        "cmpl %c[handle_count](%%rsp), \\object_low\n\t"
        "jae \\slow\n\t"
        "shlq $5, \\object\n\t"
        "addq %c[handles](%%rsp), \\object\n\t"
        "movq %c[entry_word](\\object), %%r13\n\t"
        "movq %%r13, %%r14\n\t"
        "xorq \\handle, %%r14\n\t"  // slots are below 65536: bits 24-31 of the handle are 0
        "shrq $24, %%r14\n\t"
        "cmpq \\type, %%r14\n\t"
        "je 1f\n\t"
        "cmpq \\or_type, %%r14\n\t"
        "jne \\slow\n\t"
        "1:\n\t"
        "btl \\right, %%r13d\n\t"
        "jnc \\slow\n\t"
        "cmpq $0, %c[entry_lease](\\object)\n\t"
        "jne \\slow\n\t"
        "movq %c[entry_object](\\object), %%r14\n\t"
        "cmpq %%r13, %c[entry_word](\\object)\n\t"  // the entry did not change meanwhile
        "jne \\slow\n\t"
        "movq \\handle, \\recent+%c[recent_handle](%%rsp)\n\t"
        "movq \\object, \\recent+%c[recent_entry](%%rsp)\n\t"
        "movq %%r13, \\recent+%c[recent_word](%%rsp)\n\t"
        "movq %%r14, \\recent+%c[recent_object](%%rsp)\n\t"
        "movq %%r14, \\object\n\t"
        ".endm\n\t"

        // From what a handle names to what signalling it rings.
        ".macro find_bell object, slow\n\t"
        "movq %c[bell](\\object), \\object\n\t"
        "testq \\object, \\object\n\t"
        "jz \\slow\n\t"
        ".endm\n\t"

        ".macro count_entry\n\t"
        ".if %c[counting]\n\t"  // costs instructions: in its own variant only
        "incq %%gs:%c[entries]\n\t"
        ".endif\n\t"
        ".endm\n\t"

        // What user mode needs, when it comes to the thread again.
        ".macro save_return\n\t"
        "movq %%rcx, %c[rip](%%rsp)\n\t"
        "movq %%r11, %c[rflags](%%rsp)\n\t"
        "movq %%rbx, %c[rsp](%%rsp)\n\t"
        "movq %%rbp, %c[saved_rbp](%%rsp)\n\t"
        ".endm\n\t"

        // The thread blocks.
        ".macro save_waiter semaphore\n\t"
        "save_return\n\t"
        "movq \\semaphore, %c[alone_at](%%rsp)\n\t"
        ".endm\n\t"

        // K off, which was set while somebody waited: only the kernel writes the word until then.
        ".macro clear_kernel_bit semaphore, scratch\n\t"
        "movq %c[semaphore_word](\\semaphore), \\scratch\n\t"
        "andb $0x7f, 7(\\scratch)\n\t"
        ".endm\n\t"

        // The rest of a switch: to the thread in rsp. rax is 0, the status of the call that it
        // blocked in, and rdx the value: 0, or the key of a set's event.
        ".macro light_switch\n\t"
        "movq %%rsp, %%gs:%c[current]\n\t"
        "movq %c[page_table](%%rsp), %%rcx\n\t"
        "cmpq %%gs:%c[loaded_root], %%rcx\n\t"
        "je 1f\n\t"
        "movq %%rcx, %%gs:%c[loaded_root]\n\t"
        ".if %c[counting]\n\t"
        "incq %%gs:%c[root_loads]\n\t"
        ".endif\n\t"
        "movq %%rcx, %%cr3\n\t"
        "1:\n\t"
        "movq %c[fs_base](%%rsp), %%rcx\n\t"
        "wrfsbase %%rcx\n\t"
        "movq %c[gs_base](%%rsp), %%r11\n\t"
        "movq %c[rip](%%rsp), %%rcx\n\t"
        "movq %c[saved_rbp](%%rsp), %%rbp\n\t"
        "xorl %%edi, %%edi\n\t"
        "xorl %%esi, %%esi\n\t"
        "xorl %%ebx, %%ebx\n\t"
        "xorl %%r8d, %%r8d\n\t"
        "xorl %%r9d, %%r9d\n\t"
        "xorl %%r10d, %%r10d\n\t"
        "xorl %%r12d, %%r12d\n\t"
        "xorl %%r13d, %%r13d\n\t"
        "xorl %%r14d, %%r14d\n\t"
        "xorl %%r15d, %%r15d\n\t"
        "swapgs\n\t"
        "wrgsbase %%r11\n\t"  // the user's, now that it is in place
        "movq %c[rflags](%%rsp), %%r11\n\t"
        "movq %c[rsp](%%rsp), %%rsp\n\t"
        "sysretq\n\t"
        ".endm\n\t"

        ".globl light_signal, light_wait, light_signal_and_wait, light_return\n\t"
        ".globl signal_slow, wait_slow, both_slow, wait_blocked, both_switch, light_switch_to\n\t"

        // --- signal: rdi semaphore, rsi units
        ".balign 16\n\t"
        "light_signal:\n\t"
        "enter_light\n\t"
        "cmpq $1, %%rsi\n\t"
        "jne signal_other\n\t"
        "recent_handle %c[signalled], %%rdi, %%r8, %%r9, signal_find\n\t"
        "signal_found:\n\t"
        "find_bell %%r8, signal_slow\n\t"
        "movabsq %[closed], %%rax\n\t"
        "xchgq %%rax, %c[door](%%r8)\n\t"
        "btq $62, %%rax\n\t"  // in every address of the kernel; neither open nor closed
        "jnc signal_nobody\n\t"
        // rax: the thread. It becomes ready on this CPU, where it waited, before all that are ready
        // already; otherwise somebody has to be told.
        "cmpb $0, %c[slow_reasons](%%rax)\n\t"
        "jne signal_undo\n\t"
        "movq %%gs:%c[self], %%r9\n\t"
        "cmpq %%r9, %c[cpu](%%rax)\n\t"
        "jne signal_undo\n\t"
        "movq %%gs:%c[ready], %%r9\n\t"
        "orq %%gs:%c[next], %%r9\n\t"
        "jnz signal_ready\n\t"
        "signal_first:\n\t"
        "movzbl %c[priority](%%rax), %%r9d\n\t"
        "cmpb %%r9b, %c[priority](%%rsp)\n\t"
        "jbe signal_urgent\n\t"
        "signal_wakes:\n\t"
        "count_entry\n\t"
        "movl %[ready_state], %c[wait_state](%%rax)\n\t"
        "clear_kernel_bit %%r8, %%r9\n\t"
        "leaq %c[node](%%rax), %%r9\n\t"
        "xorl %%eax, %%eax\n\t"
        "movq %%rax, %c[alone_at]-%c[node](%%r9)\n\t"
        "movq %%rax, %c[saved_rdx]-%c[node](%%r9)\n\t"
        "movq %%r9, %%gs:%c[next]\n\t"
        "movq %%rax, %c[door](%%r8)\n\t"
        "light_return:\n\t"  // rax is 0: the status
        "xorl %%r8d, %%r8d\n\t"
        "xorl %%r9d, %%r9d\n\t"
        "movq %%rbx, %%rsp\n\t"
        "xorl %%ebx, %%ebx\n\t"
        "swapgs\n\t"
        "sysretq\n\t"

        // An equal: a time slice must be running.
        "signal_urgent:\n\t"
        "jb signal_preempts\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"
        "jne signal_wakes\n\t"
        "signal_undo:\n\t"
        "movq %%rax, %c[door](%%r8)\n\t"
        "jmp signal_slow\n\t"
        // More urgent than this thread: it runs at once, and this thread next.
        "signal_preempts:\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"
        "jne signal_undo\n\t"
        "cmpb $0, %c[slow_reasons](%%rsp)\n\t"
        "jne signal_undo\n\t"
        "movq %%gs:%c[ready], %%r9\n\t"
        "testq %%r9, %%r9\n\t"
        "jz signal_gives_way\n\t"
        "bsrq %%r9, %%r9\n\t"
        "cmpb %%r9b, %c[priority](%%rsp)\n\t"
        "jbe signal_undo\n\t"
        "signal_gives_way:\n\t"
        "count_entry\n\t"
        "save_return\n\t"
        "movl %[ready_state], %c[wait_state](%%rsp)\n\t"
        "movq $0, %c[saved_rdx](%%rsp)\n\t"
        "movq $0, %c[alone_at](%%rax)\n\t"
        "clear_kernel_bit %%r8, %%r9\n\t"
        "leaq %c[node](%%rsp), %%r9\n\t"
        "movq %%r9, %%gs:%c[next]\n\t"
        "movq $0, %c[door](%%r8)\n\t"
        "movq %%rax, %%rsp\n\t"
        "xorl %%eax, %%eax\n\t"
        "xorl %%edx, %%edx\n\t"
        "light_switch_to:\n\t"
        "light_switch\n\t"
        // Others are ready: it goes first only if it is more urgent than they.
        "signal_ready:\n\t"
        "cmpq $0, %%gs:%c[next]\n\t"
        "jne signal_undo\n\t"
        "bsrq %%gs:%c[ready], %%r9\n\t"
        "cmpb %%r9b, %c[priority](%%rax)\n\t"
        "ja signal_first\n\t"
        "jmp signal_undo\n\t"

        // Nobody waits, or it is a member of a set, or the door was shut.
        "signal_nobody:\n\t"
        "testq %%rax, %%rax\n\t"
        "jnz signal_event\n\t"
        "movq %c[semaphore_word](%%r8), %%r9\n\t"
        "movq (%%r9), %%rax\n\t"
        "movq %%rax, %%r12\n\t"
        "shrq $62, %%r12\n\t"  // K, or the greatest value
        "jnz signal_leave\n\t"
        "leaq 1(%%rax), %%r12\n\t"
        "cmpb %[counting_mode], %c[semaphore_mode](%%r8)\n\t"
        "jne signal_binary\n\t"
        "signal_count:\n\t"
        "lock cmpxchgq %%r12, (%%r9)\n\t"  // also where nothing changes: another CPU may take
        "jne signal_leave\n\t"
        "xorl %%eax, %%eax\n\t"
        "movq %%rax, %c[door](%%r8)\n\t"
        "count_entry\n\t"
        "xorl %%r12d, %%r12d\n\t"
        "xorl %%r13d, %%r13d\n\t"
        "xorl %%r14d, %%r14d\n\t"
        "jmp light_return\n\t"
        "signal_binary:\n\t"
        "movq %%rax, %%r12\n\t"
        "orq $1, %%r12\n\t"
        "jmp signal_count\n\t"
        "signal_leave:\n\t"
        "movq $0, %c[door](%%r8)\n\t"
        "jmp signal_slow\n\t"

        // No units: only the handle is checked.
        "signal_other:\n\t"
        "testq %%rsi, %%rsi\n\t"
        "jnz signal_slow\n\t"
        "recent_handle %c[signalled], %%rdi, %%r8, %%r9, signal_find\n\t"
        "signal_checked:\n\t"
        "cmpq %%r8, %c[bell](%%r8)\n\t"  // whether an end can ring is more than its handle says
        "jne signal_slow\n\t"
        "count_entry\n\t"
        "xorl %%eax, %%eax\n\t"
        "jmp light_return\n\t"

        "signal_find:\n\t"
        "find_handle %c[signalled], %%rdi, %%edi, %%r8, %%r8d, %[semaphore], %[channel], "
        "%[signal_right], "
        "signal_slow\n\t"
        "xorl %%r13d, %%r13d\n\t"
        "xorl %%r14d, %%r14d\n\t"
        "testq %%rsi, %%rsi\n\t"
        "jnz signal_found\n\t"
        "jmp signal_checked\n\t"
        "signal_slow:\n\t"
        "movl $0x1005, %%eax\n\t"

        // To C++, with rax the number of the call.
        "light_slow:\n\t"
        "movq %%rcx, %c[rip](%%rsp)\n\t"
        "movq %%r11, %c[rflags](%%rsp)\n\t"
        "movq %%rbx, %c[rsp](%%rsp)\n\t"
        "jmp slow_entry\n\t"

        // --- wait: rdi semaphore or set, rdx deadline
        ".balign 16\n\t"
        "light_wait:\n\t"
        "enter_light\n\t"
        "incq %%rdx\n\t"  // never; and the value to return is 0
        "jnz wait_slow\n\t"
        "recent_handle %c[waited], %%rdi, %%r8, %%r9, wait_find\n\t"
        "wait_found:\n\t"
        "xorl %%eax, %%eax\n\t"
        "movabsq %[closed], %%r12\n\t"  // which is also K
        "lock cmpxchgq %%r12, %c[door](%%r8)\n\t"
        "jne wait_slow\n\t"
        "movq %c[semaphore_word](%%r8), %%r9\n\t"
        "lock cmpxchgq %%r12, (%%r9)\n\t"  // from no units to K
        "jne wait_unit\n\t"
        "count_entry\n\t"
        "save_waiter %%r8\n\t"
        "movq %%rsp, %c[door](%%r8)\n\t"  // from here on others may find the thread
        "wait_blocked:\n\t"               // rax is 0
        "cmpq $0, %%gs:%c[ready]\n\t"
        "jne wait_ready\n\t"
        "wait_next:\n\t"
        "xorl %%r9d, %%r9d\n\t"
        "xchgq %%r9, %%gs:%c[next]\n\t"
        "testq %%r9, %%r9\n\t"
        "jz wait_schedule\n\t"
        "leaq -%c[node](%%r9), %%rsp\n\t"
        "movq %c[saved_rdx](%%rsp), %%rdx\n\t"
        "light_switch\n\t"

        // Others are ready: the next is the first only if it is more urgent than they.
        "wait_ready:\n\t"
        "movq %%gs:%c[next], %%r9\n\t"
        "testq %%r9, %%r9\n\t"
        "jz wait_schedule\n\t"
        "bsrq %%gs:%c[ready], %%r10\n\t"
        "cmpb %%r10b, %c[priority]-%c[node](%%r9)\n\t"
        "ja wait_next\n\t"
        "wait_schedule:\n\t"
        "movq %%gs:%c[stack_top], %%rsp\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "pushq $0\n\t"
        "jmp kernel_schedule\n\t"

        // The word is not 0: units to take, or another CPU was there just now.
        "wait_unit:\n\t"
        "testq %%rax, %%rax\n\t"
        "jle wait_leave\n\t"
        "leaq -1(%%rax), %%r12\n\t"
        "cmpb %[counting_mode], %c[semaphore_mode](%%r8)\n\t"
        "jne wait_binary\n\t"
        "wait_take:\n\t"
        "lock cmpxchgq %%r12, (%%r9)\n\t"
        "jne wait_leave\n\t"
        "xorl %%eax, %%eax\n\t"
        "movq %%rax, %c[door](%%r8)\n\t"
        "count_entry\n\t"
        "xorl %%r12d, %%r12d\n\t"
        "xorl %%r13d, %%r13d\n\t"
        "xorl %%r14d, %%r14d\n\t"
        "jmp light_return\n\t"
        "wait_binary:\n\t"
        "xorl %%r12d, %%r12d\n\t"
        "jmp wait_take\n\t"
        "wait_leave:\n\t"
        "movq $0, %c[door](%%r8)\n\t"
        "jmp wait_slow\n\t"
        "wait_find:\n\t"
        "recent_handle %c[waited_set], %%rdi, %%r8, %%r9, wait_find_semaphore\n\t"
        "jmp light_wait_on_set\n\t"
        "wait_find_semaphore:\n\t"
        "find_handle %c[waited], %%rdi, %%edi, %%r8, %%r8d, %[semaphore], %[channel], "
        "%[wait_right], "
        "wait_find_set\n\t"
        "jmp wait_found\n\t"
        "wait_find_set:\n\t"
        "find_handle %c[waited_set], %%rdi, %%edi, %%r8, %%r8d, %[set], %[set], %[wait_right], "
        "wait_slow\n\t"
        "jmp light_wait_on_set\n\t"
        "wait_slow:\n\t"
        "decq %%rdx\n\t"
        "movl $0x1003, %%eax\n\t"
        "jmp light_slow\n\t"

        // --- signal_and_wait: rdi semaphore to signal, rsi semaphore or set to wait for, rdx
        // deadline
        ".balign 16\n\t"
        "light_signal_and_wait:\n\t"
        "enter_light\n\t"
        "incq %%rdx\n\t"
        "jnz both_slow\n\t"
        "recent_handle %c[signalled], %%rdi, %%r8, %%r12, both_find_signalled\n\t"
        "both_signalled:\n\t"
        "find_bell %%r8, both_slow\n\t"
        "recent_handle %c[waited], %%rsi, %%r9, %%r12, both_find_waited\n\t"
        "both_waited:\n\t"
        "movabsq %[closed], %%r14\n\t"  // which is also K
        "movq %%r14, %%r12\n\t"
        "xchgq %%r12, %c[door](%%r8)\n\t"
        "btq $62, %%r12\n\t"
        "jnc both_nobody\n\t"
        // r12: the thread to switch to.
        "cmpb $0, %c[slow_reasons](%%r12)\n\t"
        "jne both_undo\n\t"
        "movq %%gs:%c[ready], %%rax\n\t"
        "orq %%gs:%c[next], %%rax\n\t"
        "jnz both_ready\n\t"
        "both_first:\n\t"
        "lock cmpxchgq %%r14, %c[door](%%r9)\n\t"  // rax is 0: open
        "jne both_undo\n\t"
        "movq %c[semaphore_word](%%r9), %%r13\n\t"
        "lock cmpxchgq %%r14, (%%r13)\n\t"  // from no units to K
        "jne both_unit\n\t"
        "count_entry\n\t"
        "save_waiter %%r9\n\t"
        "movq %%rax, %c[alone_at](%%r12)\n\t"
        "clear_kernel_bit %%r8, %%r13\n\t"
        "movq %%rax, %c[door](%%r8)\n\t"
        "movq %%rsp, %c[door](%%r9)\n\t"  // from here on others may find the thread
        "movq %%r12, %%rsp\n\t"
        "both_switch:\n\t"
        "movq %%gs:%c[self], %%rcx\n\t"
        "movq %%rcx, %c[cpu](%%rsp)\n\t"
        "light_switch\n\t"

        // As in a call: in the way is only somebody more urgent, or an equal without a time slice.
        "both_ready:\n\t"
        "cmpq $0, %%gs:%c[next]\n\t"
        "jne both_undo\n\t"
        "bsrq %%gs:%c[ready], %%rax\n\t"
        "cmpb %c[priority](%%r12), %%al\n\t"
        "ja both_undo\n\t"
        "movl $0, %%eax\n\t"  // keeps the flags
        "jb both_first\n\t"
        "cmpq %%rax, %%gs:%c[slice_end]\n\t"
        "jne both_first\n\t"
        "jmp both_undo\n\t"

        "both_unit:\n\t"
        "movq $0, %c[door](%%r9)\n\t"
        "both_undo:\n\t"
        "movq %%r12, %c[door](%%r8)\n\t"
        "jmp both_slow\n\t"
        "both_nobody:\n\t"
        "testq %%r12, %%r12\n\t"
        "jz both_undo\n\t"
        "jmp both_event\n\t"
        "both_find_signalled:\n\t"
        "find_handle %c[signalled], %%rdi, %%edi, %%r8, %%r8d, %[semaphore], %[channel], "
        "%[signal_right], "
        "both_slow\n\t"
        "jmp both_signalled\n\t"
        "both_find_waited:\n\t"
        "recent_handle %c[waited_set], %%rsi, %%r9, %%r12, both_find_semaphore\n\t"
        "jmp both_on_set\n\t"
        "both_find_semaphore:\n\t"
        "find_handle %c[waited], %%rsi, %%esi, %%r9, %%r9d, %[semaphore], %[channel], "
        "%[wait_right], "
        "both_find_set\n\t"
        "jmp both_waited\n\t"
        "both_find_set:\n\t"
        "find_handle %c[waited_set], %%rsi, %%esi, %%r9, %%r9d, %[set], %[set], %[wait_right], "
        "both_slow\n\t"
        "jmp both_on_set\n\t"
        "both_slow:\n\t"
        "decq %%rdx\n\t"
        "movl $0x1006, %%eax\n\t"
        "jmp light_slow"
        :
        : [alone_at] "i"(FastPathOffsets::alone_at), [bell] "i"(FastPathOffsets::bell),
          [channel] "i"(annulus::abi::ObjectType::channel),
          [closed] "i"(FastPathOffsets::door_closed),
          [counting_mode] "i"(annulus::kernel::SemaphoreMode::counting),
          [counting] "i"(annulus::kernel::counters ? 1 : 0), [cpu] "i"(FastPathOffsets::cpu),
          [current] "i"(FastPathOffsets::current), [door] "i"(FastPathOffsets::door),
          [entries] "i"(FastPathOffsets::entries), [entry_lease] "i"(FastPathOffsets::entry_lease),
          [entry_object] "i"(FastPathOffsets::entry_object),
          [entry_word] "i"(FastPathOffsets::entry_word), [fs_base] "i"(FastPathOffsets::fs_base),
          [gs_base] "i"(FastPathOffsets::gs_base),
          [handle_count] "i"(FastPathOffsets::handle_count),
          [handles] "i"(FastPathOffsets::handles), [loaded_root] "i"(FastPathOffsets::loaded_root),
          [next] "i"(FastPathOffsets::next), [node] "i"(FastPathOffsets::node),
          [page_table] "i"(FastPathOffsets::page_table), [priority] "i"(FastPathOffsets::priority),
          [ready] "i"(FastPathOffsets::ready), [ready_state] "i"(FastPathOffsets::ready_state),
          [recent_entry] "i"(FastPathOffsets::recent_entry),
          [recent_handle] "i"(FastPathOffsets::recent_handle),
          [recent_object] "i"(FastPathOffsets::recent_object),
          [recent_word] "i"(FastPathOffsets::recent_word), [rflags] "i"(FastPathOffsets::rflags),
          [rip] "i"(FastPathOffsets::rip), [root_loads] "i"(FastPathOffsets::root_loads),
          [rsp] "i"(FastPathOffsets::rsp), [saved_rbp] "i"(FastPathOffsets::saved_rbp),
          [saved_rdx] "i"(FastPathOffsets::saved_rdx), [self] "i"(FastPathOffsets::self),
          [semaphore] "i"(annulus::abi::ObjectType::semaphore),
          [semaphore_mode] "i"(FastPathOffsets::semaphore_mode),
          [semaphore_word] "i"(FastPathOffsets::semaphore_word),
          [set] "i"(annulus::abi::ObjectType::set),
          [signal_right] "i"(std::countr_zero(annulus::abi::right_signal)),
          [signalled] "i"(FastPathOffsets::signalled), [slice_end] "i"(FastPathOffsets::slice_end),
          [slow_reasons] "i"(FastPathOffsets::slow_reasons),
          [stack_top] "i"(FastPathOffsets::stack_top),
          [wait_right] "i"(std::countr_zero(annulus::abi::right_wait)),
          [wait_state] "i"(FastPathOffsets::wait_state), [waited] "i"(FastPathOffsets::waited),
          [waited_set] "i"(FastPathOffsets::waited_set));
}
