// SPDX-License-Identifier: MIT
// The fast paths of semaphore sets: a signal of a member, a wait on a set, and the table that a set
// is bound to.
//
// They go on where semaphore_paths.cpp found that a semaphore is a member, or that a handle names a
// set, with its registers: rbx the user's stack pointer, rsp the running thread's record, rcx and
// r11 the way back; rdi, rsi and r10 are kept until nothing can go wrong any more. A set is plain
// if its door (kernel/object/door.h) says so. In any other case every door is left as it was found,
// and the C++ code goes on (kernel/syscall/wait.cpp and set_wait.cpp,
// kernel/object/table_serve.cpp).
//
// Several doors are taken in turn, never waited for. Once a door names the running thread, another
// CPU may run it: from there on its record is not touched.
#include "kernel/arch/x86_64/syscall/offsets.h"

#include "arch/trap.h"

using annulus::kernel::FastPathOffsets;
using annulus::kernel::SlotState;

namespace {

constexpr annulus::abi::Status event_status(annulus::Error::ok, annulus::abi::delivery_event);

}  // namespace

// NOLINTNEXTLINE(readability-function-size): assembly, whose parts are its labels
extern "C" [[gnu::naked]] void syscall_set_paths() {
    asm volatile(
        ".macro count_entry\n\t"
        ".if %c[counting]\n\t"  // costs instructions: in its own variant only
        "incq %%gs:%c[entries]\n\t"
        ".endif\n\t"
        ".endm\n\t"

        ".macro save_return\n\t"
        "movq %%rcx, %c[rip](%%rsp)\n\t"
        "movq %%r11, %c[rflags](%%rsp)\n\t"
        "movq %%rbx, %c[rsp](%%rsp)\n\t"
        "movq %%rbp, %c[saved_rbp](%%rsp)\n\t"
        ".endm\n\t"

        // Goes on if a thread may be switched to: in the way is only somebody more urgent who is
        // ready, or an equal without a time slice. Leaves rax 0.
        ".macro unless_others_first its_priority, otherwise\n\t"
        "movq %%gs:%c[ready], %%rax\n\t"
        "orq %%gs:%c[next], %%rax\n\t"
        "jz 2f\n\t"
        "cmpq $0, %%gs:%c[next]\n\t"
        "jne \\otherwise\n\t"
        "bsrq %%gs:%c[ready], %%rax\n\t"
        "cmpb \\its_priority, %%al\n\t"
        "ja \\otherwise\n\t"
        "jb 1f\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"
        "je \\otherwise\n"
        "1:\n\t"
        "xorl %%eax, %%eax\n"
        "2:\n\t"
        ".endm\n\t"

        ".globl light_wait_on_set, signal_event, both_on_set, both_event, reply_nothing\n\t"

        // --- wait: r8 set; rsi array and r10 its length, which must be 0
        ".balign 16\n"
        "light_wait_on_set:\n\t"
        "movq %%rsi, %%r9\n\t"
        "orq %%r10, %%r9\n\t"
        "jnz wait_slow\n\t"
        "save_return\n\t"
        "movq %%r8, %c[alone_at](%%rsp)\n\t"
        "xorl %%eax, %%eax\n\t"
        "lock cmpxchgq %%rsp, %c[set_door](%%r8)\n\t"
        "jne wait_set_undo\n\t"
        "count_entry\n\t"
        "jmp wait_blocked\n"
        "wait_set_undo:\n\t"
        "movq $0, %c[alone_at](%%rsp)\n\t"
        "jmp wait_slow\n\t"

        // --- signal: r8 semaphore, rax what its door said: the member's record, or shut
        ".balign 16\n"
        "signal_event:\n\t"
        "btq %[address_bit], %%rax\n\t"
        "jnc signal_slow\n\t"
        "movq %%rax, %%r12\n\t"
        "btsq %[thread_bit], %%r12\n\t"
        "movq %c[member_set](%%r12), %%r13\n\t"
        "movabsq %[closed], %%r9\n\t"
        "xchgq %%r9, %c[set_door](%%r13)\n\t"
        "btq %[thread_bit], %%r9\n\t"
        "jnc signal_event_other\n\t"
        // r9: the thread. As for a semaphore's waiter: it becomes ready on this CPU.
        "cmpb $0, %c[slow_reasons](%%r9)\n\t"
        "jne signal_event_undo\n\t"
        "movq %%gs:%c[self], %%r14\n\t"
        "cmpq %%r14, %c[cpu](%%r9)\n\t"
        "jne signal_event_undo\n\t"
        "movq %%gs:%c[ready], %%r14\n\t"
        "orq %%gs:%c[next], %%r14\n\t"
        "jnz signal_event_ready\n"
        "signal_event_first:\n\t"
        "movzbl %c[priority](%%r9), %%r14d\n\t"
        "cmpb %%r14b, %c[priority](%%rsp)\n\t"
        "jb signal_event_preempts\n\t"
        "ja signal_event_wakes\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"  // an equal: a time slice must be running
        "je signal_event_undo\n"
        "signal_event_wakes:\n\t"
        "count_entry\n\t"
        "movl %[ready_state], %c[wait_state](%%r9)\n\t"
        "movq %c[member_key](%%r12), %%r14\n\t"
        "movq %%r14, %c[saved_rdx](%%r9)\n\t"
        "leaq %c[node](%%r9), %%r14\n\t"
        "xorl %%r12d, %%r12d\n\t"
        "movq %%r12, %c[alone_at](%%r9)\n\t"
        "movq %%r14, %%gs:%c[next]\n\t"
        "movq %%r12, %c[set_door](%%r13)\n\t"
        "movq %%rax, %c[door](%%r8)\n\t"
        "xorl %%eax, %%eax\n\t"
        "xorl %%r13d, %%r13d\n\t"
        "xorl %%r14d, %%r14d\n\t"
        "jmp light_return\n\t"
        // More urgent than this thread: it runs at once, and this thread next.
        "signal_event_preempts:\n\t"
        "cmpq $0, %%gs:%c[slice_end]\n\t"
        "jne signal_event_undo\n\t"
        "cmpb $0, %c[slow_reasons](%%rsp)\n\t"
        "jne signal_event_undo\n\t"
        "movq %%gs:%c[ready], %%r14\n\t"
        "testq %%r14, %%r14\n\t"
        "jz signal_event_gives_way\n\t"
        "bsrq %%r14, %%r14\n\t"
        "cmpb %%r14b, %c[priority](%%rsp)\n\t"
        "jbe signal_event_undo\n"
        "signal_event_gives_way:\n\t"
        "count_entry\n\t"
        "save_return\n\t"
        "movl %[ready_state], %c[wait_state](%%rsp)\n\t"
        "movq $0, %c[saved_rdx](%%rsp)\n\t"
        "movq %c[member_key](%%r12), %%rdx\n\t"
        "movq $0, %c[alone_at](%%r9)\n\t"
        "leaq %c[node](%%rsp), %%r14\n\t"
        "movq %%r14, %%gs:%c[next]\n\t"
        "movq $0, %c[set_door](%%r13)\n\t"
        "movq %%rax, %c[door](%%r8)\n\t"
        "movq %%r9, %%rsp\n\t"
        "xorl %%eax, %%eax\n\t"
        "jmp light_switch_to\n"
        "signal_event_ready:\n\t"
        "cmpq $0, %%gs:%c[next]\n\t"
        "jne signal_event_undo\n\t"
        "bsrq %%gs:%c[ready], %%r14\n\t"
        "cmpb %%r14b, %c[priority](%%r9)\n\t"
        "ja signal_event_first\n\t"
        "jmp signal_event_undo\n"
        "signal_event_other:\n\t"
        "testq %%r9, %%r9\n\t"
        "jz signal_event_undo\n\t"  // nobody waits
        "btq %[address_bit], %%r9\n\t"
        "jnc signal_event_leave\n"  // the lock's holder is in
        "signal_event_undo:\n\t"
        "movq %%r9, %c[set_door](%%r13)\n"
        "signal_event_leave:\n\t"
        "movq %%rax, %c[door](%%r8)\n\t"
        "jmp signal_slow\n\t"

        // --- signal_and_wait on a set: r8 semaphore to signal, r9 set to wait on, rdx 0
        ".balign 16\n"
        "both_on_set:\n\t"
        "testq %%r10, %%r10\n\t"
        "jnz both_slow\n\t"
        "movabsq %[closed], %%r14\n\t"
        "movq %%r14, %%r12\n\t"
        "xchgq %%r12, %c[door](%%r8)\n\t"
        "btq %[thread_bit], %%r12\n\t"
        "jnc both_set_event\n\t"
        // r12: the thread to switch to.
        "cmpb $0, %c[slow_reasons](%%r12)\n\t"
        "jne both_set_undo\n\t"
        "unless_others_first %c[priority](%%r12), both_set_undo\n\t"
        "save_return\n\t"
        "movq %%r9, %c[alone_at](%%rsp)\n\t"
        "lock cmpxchgq %%rsp, %c[set_door](%%r9)\n\t"  // from here on others may find the thread
        "jne both_set_awake\n\t"
        "count_entry\n\t"
        "movq %%rax, %c[alone_at](%%r12)\n\t"
        "movq %c[semaphore_word](%%r8), %%r13\n\t"
        "andb $0x7f, 7(%%r13)\n\t"  // K off
        "movq %%rax, %c[door](%%r8)\n\t"
        "movq %%r12, %%rsp\n\t"
        "jmp both_switch\n"
        "both_set_awake:\n\t"
        "movq $0, %c[alone_at](%%rsp)\n"
        "both_set_undo:\n\t"
        "movq %%r12, %c[door](%%r8)\n\t"
        "jmp both_slow\n"
        "both_set_event:\n\t"
        "testq %%r12, %%r12\n\t"
        "jz both_set_undo\n\t"
        "movl $1, %%edx\n\t"

        // --- signal_and_wait of a member: r8 its semaphore, r12 what the door said: its record, or
        // shut; r9 what to wait for, a set if rdx is not 0, else a semaphore; r14 closed
        "both_event:\n\t"
        "btq %[address_bit], %%r12\n\t"
        "jnc both_event_slow\n\t"
        "btsq %[thread_bit], %%r12\n\t"
        "movq %c[member_set](%%r12), %%r15\n\t"
        "movq %%r14, %%r13\n\t"
        "xchgq %%r13, %c[set_door](%%r15)\n\t"
        "btq %[thread_bit], %%r13\n\t"
        "jnc both_event_other\n\t"
        // r13: the thread to switch to.
        "cmpb $0, %c[slow_reasons](%%r13)\n\t"
        "jne both_event_undo\n\t"
        "unless_others_first %c[priority](%%r13), both_event_undo\n\t"
        "testl %%edx, %%edx\n\t"
        "jnz both_event_on_set\n\t"
        "lock cmpxchgq %%r14, %c[door](%%r9)\n\t"  // rax is 0: open
        "jne both_event_undo\n\t"
        "movq %c[semaphore_word](%%r9), %%rdx\n\t"
        "lock cmpxchgq %%r14, (%%rdx)\n\t"  // from no units to K
        "jne both_event_unit\n\t"
        "save_return\n\t"
        "movq %%r9, %c[alone_at](%%rsp)\n\t"
        "movq %%rsp, %c[door](%%r9)\n"  // from here on others may find the thread
        "both_event_blocked:\n\t"
        "count_entry\n\t"
        "movq %c[member_key](%%r12), %%rdx\n\t"
        "btrq %[thread_bit], %%r12\n\t"
        "movq %%rax, %c[alone_at](%%r13)\n\t"
        "movq %%rax, %c[set_door](%%r15)\n\t"
        "movq %%r12, %c[door](%%r8)\n\t"
        "movq %%r13, %%rsp\n\t"
        "jmp both_switch\n"
        "both_event_on_set:\n\t"
        "save_return\n\t"
        "movq %%r9, %c[alone_at](%%rsp)\n\t"
        "lock cmpxchgq %%rsp, %c[set_door](%%r9)\n\t"  // as above
        "je both_event_blocked\n\t"
        "movq $0, %c[alone_at](%%rsp)\n\t"
        "jmp both_event_undo\n"
        "both_event_unit:\n\t"
        "movq $0, %c[door](%%r9)\n"
        "both_event_undo:\n\t"
        "movq %%r13, %c[set_door](%%r15)\n"
        "both_event_leave:\n\t"
        "btrq %[thread_bit], %%r12\n\t"
        "movq %%r12, %c[door](%%r8)\n"
        "both_event_slow:\n\t"
        "xorl %%edx, %%edx\n\t"
        "jmp both_slow\n"

        // No thread waits by the set's door.
        "both_event_other:\n\t"
        "testq %%r13, %%r13\n\t"
        "jz both_event_undo\n\t"
        "btq %[address_bit], %%r13\n\t"
        "jnc both_event_leave\n\t"  // the lock's holder is in
        "testl %%edx, %%edx\n\t"
        "jnz both_event_undo\n\t"
        // r13: the table that the set is bound to. The event goes to the server thread that waited
        // last, as in table_events.cpp.
        "btsq %[thread_bit], %%r13\n\t"
        "xorl %%r15d, %%r15d\n\t"
        "xchgq %%r15, %c[table_door](%%r13)\n\t"  // the thread
        "testq %%r15, %%r15\n\t"
        "jz both_table_leave\n\t"
        "jns both_table_undo\n\t"  // none waits
        "cmpb $0, %c[slow_reasons](%%r15)\n\t"
        "jne both_table_undo\n\t"
        "unless_others_first %c[own_priority](%%r15), both_table_undo\n\t"
        "lock cmpxchgq %%r14, %c[door](%%r9)\n\t"  // rax is 0: open
        "jne both_table_undo\n\t"
        "movq %c[semaphore_word](%%r9), %%rdx\n\t"
        "lock cmpxchgq %%r14, (%%rdx)\n\t"  // from no units to K
        "jne both_table_unit\n\t"
        "save_return\n\t"
        "movq %%r9, %c[alone_at](%%rsp)\n\t"
        "movq %%rsp, %c[door](%%r9)\n\t"  // from here on others may find the thread
        "xorl %%eax, %%eax\n\t"
        // Its slot is free.
        "movq %c[slot](%%r15), %%rcx\n\t"
        "movb %[free], %c[slot_kept](%%rcx)\n\t"
        "movl %c[free_head](%%r13), %%edx\n\t"
        "movl %%edx, %c[slot_next_free](%%rcx)\n\t"
        "movl %c[slot_id](%%rcx), %%edx\n\t"
        "andl %[last_slot], %%edx\n\t"
        "incl %%edx\n\t"
        "movl %%edx, %c[free_head](%%r13)\n\t"
        "movzbl %c[own_priority](%%r15), %%edx\n\t"
        "movb %%dl, %c[priority](%%r15)\n\t"
        "movl %[no_hops], %c[next_hops](%%r15)\n\t"
        "movb %%al, %c[event_next](%%r13)\n\t"
        // Out of the list of waiting threads, and out of the door: a release.
        "movq %c[next_waiting](%%r15), %%rdx\n\t"
        "movq %%rax, %c[next_waiting](%%r15)\n\t"
        "movq %%rdx, %c[table_door](%%r13)\n\t"
        "movq %c[member_key](%%r12), %%rdi\n\t"
        "movq %c[member_set](%%r12), %%rdx\n\t"
        "btrq %[thread_bit], %%r13\n\t"
        "btrq %[thread_bit], %%r12\n\t"
        "movq %%r13, %c[set_door](%%rdx)\n\t"
        "movq %%r12, %c[door](%%r8)\n\t"
        "movq %%r15, %%rsp\n\t"
        "movl %[event], %%eax\n\t"
        "xorl %%esi, %%esi\n\t"
        "xorl %%edx, %%edx\n\t"
        "xorl %%ebx, %%ebx\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "xorl %%r8d, %%r8d\n\t"
        "xorl %%r9d, %%r9d\n\t"
        "xorl %%r10d, %%r10d\n\t"
        "xorl %%r12d, %%r12d\n\t"
        "xorl %%r13d, %%r13d\n\t"
        "xorl %%r14d, %%r14d\n\t"
        "xorl %%r15d, %%r15d\n\t"
        "jmp fast_switch\n"
        "both_table_unit:\n\t"
        "movq $0, %c[door](%%r9)\n"
        "both_table_undo:\n\t"
        "movq %%r15, %c[table_door](%%r13)\n"
        "both_table_leave:\n\t"
        "btrq %[thread_bit], %%r13\n\t"
        "movq %c[member_set](%%r12), %%r15\n\t"
        "jmp both_event_undo\n\t"

        // --- reply_and_wait with no such request: r14 the table, rax the list behind its door.
        // Without any request the thread waits for one, or for an event.
        ".balign 16\n"
        "reply_nothing:\n\t"
        "testq %%rsi, %%rsi\n\t"
        "jnz reply_undo\n\t"
        "cmpb $0, %c[slow_reasons](%%rsp)\n\t"
        "jne reply_undo\n\t"
        // The slot for the next request.
        "movl %c[free_head](%%r14), %%ecx\n\t"
        "testl %%ecx, %%ecx\n\t"
        "jz reply_undo\n\t"
        "decl %%ecx\n\t"
        "imulq %[slot_size], %%rcx, %%rcx\n\t"
        "addq %c[slots](%%r14), %%rcx\n\t"
        "movl %c[slot_next_free](%%rcx), %%r11d\n\t"
        "movl %%r11d, %c[free_head](%%r14)\n\t"
        "movb %[reserved], %c[slot_kept](%%rcx)\n\t"
        "movq %%rcx, %c[slot](%%rsp)\n\t"
        // To the front of the waiting threads, and out of the door: from here on others may find
        // the thread.
        "movq %%rax, %c[next_waiting](%%rsp)\n\t"
        "testq %%rax, %%rax\n\t"
        "jns 1f\n\t"
        "movq %%rsp, %c[previous_waiting](%%rax)\n"
        "1:\n\t"
        "movq %%rsp, %c[table_door](%%r14)\n\t"
        "count_entry\n\t"
        "xorl %%eax, %%eax\n\t"
        "jmp wait_blocked"
        :
        : [address_bit] "i"(annulus::kernel::door_address_bit),
          [alone_at] "i"(FastPathOffsets::alone_at), [closed] "i"(FastPathOffsets::door_closed),
          [counting] "i"(annulus::kernel::counters ? 1 : 0), [cpu] "i"(FastPathOffsets::cpu),
          [door] "i"(FastPathOffsets::door), [entries] "i"(FastPathOffsets::entries),
          [event] "i"(event_status.bits), [event_next] "i"(FastPathOffsets::event_next),
          [free] "i"(SlotState::free), [free_head] "i"(FastPathOffsets::free_head),
          [last_slot] "i"(annulus::abi::request_epoch - 1),
          [member_key] "i"(FastPathOffsets::member_key),
          [member_set] "i"(FastPathOffsets::member_set), [next] "i"(FastPathOffsets::next),
          [next_hops] "i"(FastPathOffsets::next_hops),
          [next_waiting] "i"(FastPathOffsets::next_waiting),
          [no_hops] "i"(1 << annulus::kernel::Thread::hops_shift),
          [node] "i"(FastPathOffsets::node), [own_priority] "i"(FastPathOffsets::own_priority),
          [previous_waiting] "i"(FastPathOffsets::previous_waiting),
          [priority] "i"(FastPathOffsets::priority), [ready] "i"(FastPathOffsets::ready),
          [ready_state] "i"(FastPathOffsets::ready_state), [reserved] "i"(SlotState::reserved),
          [rflags] "i"(FastPathOffsets::rflags), [rip] "i"(FastPathOffsets::rip),
          [rsp] "i"(FastPathOffsets::rsp), [saved_rbp] "i"(FastPathOffsets::saved_rbp),
          [saved_rdx] "i"(FastPathOffsets::saved_rdx), [self] "i"(FastPathOffsets::self),
          [semaphore_word] "i"(FastPathOffsets::semaphore_word),
          [set_door] "i"(FastPathOffsets::set_door), [slice_end] "i"(FastPathOffsets::slice_end),
          [slot] "i"(FastPathOffsets::slot), [slot_id] "i"(FastPathOffsets::slot_id),
          [slot_kept] "i"(FastPathOffsets::slot_kept),
          [slot_next_free] "i"(FastPathOffsets::slot_next_free),
          [slot_size] "i"(FastPathOffsets::slot_size), [slots] "i"(FastPathOffsets::slots),
          [slow_reasons] "i"(FastPathOffsets::slow_reasons),
          [table_door] "i"(FastPathOffsets::table_door),
          [thread_bit] "i"(annulus::kernel::door_thread_bit),
          [wait_state] "i"(FastPathOffsets::wait_state));
}
