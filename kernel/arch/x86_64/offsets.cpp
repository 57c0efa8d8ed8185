// SPDX-License-Identifier: MIT
// Where assembly finds what it uses: every name that kernel/arch/x86_64/**/*.S has for a place in a
// structure or for a number, from the C++ definitions.
//
// This file is compiled to assembly and not linked; tools/offsets.py makes generated/offsets.h.S of
// its `.set` lines, one for each variant of the kernel.
#include "arch/cpu_local.h"
#include "arch/switch.h"
#include "arch/trap_frame.h"
#include "kernel/object/handle_table.h"
#include "kernel/object/ring.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/semaphore_set.h"
#include "kernel/object/table.h"
#include "kernel/schedule/cpu.h"
#include "kernel/schedule/grace_period.h"
#include "kernel/syscall/plans.h"

#include <stddef.h>
#include <bit>

// These types have base classes, for which offsetof is conditionally supported; clang does.
#pragma clang diagnostic ignored "-Winvalid-offsetof"

namespace annulus::kernel {

// A friend of the classes whose private members it names. Safety, of all asm here: it is text for
// the assembler and no instruction.
struct AssemblyOffsets {
    static void traps();
    static void returns();
    static void cpus();
    static void threads();
    static void services();
    static void messages();
    static void operations();
    static void handles();
    static void semaphores();
    static void tables();
    static void slots();
    static void rings();
    static void queues();
};

namespace {

// The bytes resume, status, wait_kind and padding of a ready thread as one word.
constexpr uint32_t ready_state = static_cast<uint32_t>(Resume::unit) |
                                 static_cast<uint32_t>(ThreadStatus::ready) << 8 |
                                 static_cast<uint32_t>(WaitKind::none) << 16;
static_assert(offsetof(Thread, status) == offsetof(Thread, resume) + 1 &&
              offsetof(Thread, wait_kind) == offsetof(Thread, resume) + 2 &&
              offsetof(Thread, wait_padding) == offsetof(Thread, resume) + 3);
static_assert(sizeof(ThreadStatus) == 1 && sizeof(Resume) == 1);

constexpr abi::Status event_status(Error::ok, abi::delivery_event);

}  // namespace

static_assert(semaphore_kernel_bit == door_closed && door_open == 0);
static_assert(sizeof(SemaphoreMode) == 1 && sizeof(SlotState) == 1);

void AssemblyOffsets::traps() {
    asm(".set frame_cs, %c0" ::"i"(offsetof(arch::TrapFrame, cs)));
    asm(".set frame_size, %c0" ::"i"(sizeof(arch::TrapFrame)));
}

void AssemblyOffsets::returns() {
    asm(".set return_rip, %c0" ::"i"(offsetof(arch::ReturnState, rip)));
    asm(".set return_rflags, %c0" ::"i"(offsetof(arch::ReturnState, rflags)));
    asm(".set return_rsp, %c0" ::"i"(offsetof(arch::ReturnState, rsp)));
}

void AssemblyOffsets::cpus() {
    asm(".set cpu_self, %c0" ::"i"(offsetof(Cpu, local.self)));
    asm(".set cpu_user_rsp, %c0" ::"i"(offsetof(Cpu, local.user_rsp)));
    asm(".set cpu_kernel_stack_top, %c0" ::"i"(offsetof(Cpu, local.kernel_stack_top)));
    asm(".set cpu_current, %c0" ::"i"(offsetof(Cpu, current)));
    asm(".set cpu_loaded_root, %c0" ::"i"(offsetof(Cpu, loaded_root)));
    asm(".set cpu_slice_end, %c0" ::"i"(offsetof(Cpu, slice_end)));
    asm(".set cpu_ready, %c0" ::"i"(offsetof(Cpu, run_queue) + offsetof(RunQueue, occupied_)));
    asm(".set cpu_next, %c0" ::"i"(offsetof(Cpu, run_queue) + offsetof(RunQueue, next_)));
    asm(".set cpu_entries, %c0" ::"i"(offsetof(Cpu, counters.kernel_entries)));
    asm(".set cpu_root_loads, %c0" ::"i"(offsetof(Cpu, counters.page_table_loads)));
    asm(".set counting, %c0" ::"i"(counters ? 1 : 0));
}

void AssemblyOffsets::threads() {
    asm(".set thread_rip, %c0" ::"i"(offsetof(Thread, user_rip)));
    asm(".set thread_rflags, %c0" ::"i"(offsetof(Thread, user_rflags)));
    asm(".set thread_rsp, %c0" ::"i"(offsetof(Thread, user_rsp)));
    asm(".set thread_fs_base, %c0" ::"i"(offsetof(Thread, fs_base)));
    asm(".set thread_gs_base, %c0" ::"i"(offsetof(Thread, gs_base)));
    asm(".set thread_page_table, %c0" ::"i"(offsetof(Thread, page_table)));
    asm(".set thread_handles, %c0" ::"i"(offsetof(Thread, handles)));
    asm(".set thread_handle_count, %c0" ::"i"(offsetof(Thread, fast_handle_count)));
    asm(".set thread_cpu, %c0" ::"i"(offsetof(Thread, cpu)));
    asm(".set thread_own_priority, %c0" ::"i"(offsetof(Thread, own_priority)));
    asm(".set thread_priority, %c0" ::"i"(offsetof(Thread, priority)));
    asm(".set thread_ceiling, %c0" ::"i"(offsetof(Thread, ceiling)));
    static_assert(offsetof(Thread, slow_reasons) == offsetof(Thread, priority) + 1);
    // The base class RunQueueNode: its link and its queue, then two priorities.
    asm(".set thread_node, %c0" ::"i"(offsetof(Thread, priority) - sizeof(ListNode<ReadyLink>) -
                                      sizeof(RunQueue*) - 1));
    asm(".set thread_slow_reasons, %c0" ::"i"(offsetof(Thread, slow_reasons)));
    asm(".set thread_wait_state, %c0" ::"i"(offsetof(Thread, resume)));
    asm(".set wait_state_ready, %c0" ::"i"(ready_state));
    asm(".set thread_alone_at, %c0" ::"i"(offsetof(Thread, alone_at)));
}

void AssemblyOffsets::services() {
    asm(".set thread_serving, %c0" ::"i"(offsetof(Thread, serving)));
    asm(".set thread_slot, %c0" ::"i"(offsetof(Thread, slot)));
    asm(".set thread_request, %c0" ::"i"(offsetof(Thread, request)));
    asm(".set thread_next_waiting, %c0" ::"i"(offsetof(Thread, next_waiting)));
    asm(".set thread_previous_waiting, %c0" ::"i"(offsetof(Thread, previous_waiting)));
    asm(".set thread_next_hops, %c0" ::"i"(offsetof(Thread, next_hops)));
    asm(".set next_hops_first, %c0" ::"i"(1 << Thread::hops_shift));
    asm(".set next_hops_max, %c0" ::"i"(abi::hops_max << Thread::hops_shift));
}

void AssemblyOffsets::messages() {
    asm(".set message_rax, %c0" ::"i"(offsetof(Message, rax)));
    asm(".set message_rdi, %c0" ::"i"(offsetof(Message, rdi)));
    asm(".set message_rsi, %c0" ::"i"(offsetof(Message, rsi)));
    asm(".set message_rdx, %c0" ::"i"(offsetof(Message, rdx)));
    asm(".set message_r8, %c0" ::"i"(offsetof(Message, r8)));
    asm(".set message_r9, %c0" ::"i"(offsetof(Message, r9)));
    asm(".set message_r10, %c0" ::"i"(offsetof(Message, r10)));
    asm(".set message_r12, %c0" ::"i"(offsetof(Message, r12)));
    asm(".set message_r13, %c0" ::"i"(offsetof(Message, r13)));
    asm(".set message_r14, %c0" ::"i"(offsetof(Message, r14)));
    asm(".set message_r15, %c0" ::"i"(offsetof(Message, r15)));
    asm(".set message_rbx, %c0" ::"i"(offsetof(Message, rbx)));
    asm(".set message_rbp, %c0" ::"i"(offsetof(Message, rbp)));
    asm(".set thread_message, %c0" ::"i"(offsetof(Thread, message)));
}

void AssemblyOffsets::operations() {
    asm(".set plan_handler, %c0" ::"i"(offsetof(Plan, handler)));
    asm(".set plan_operation, %c0" ::"i"(offsetof(Plan, operation)));
    asm(".set plan_right, %c0" ::"i"(offsetof(Plan, right)));
    asm(".set plan_bytes_mask, %c0" ::"i"(offsetof(Plan, bytes_mask)));
    asm(".set plan_operands, %c0" ::"i"(offsetof(Plan, operands)));
    asm(".set plan_size_shift, %c0" ::"i"(std::countr_zero(sizeof(Plan))));
    asm(".set places_of_type, %c0" ::"i"(place_of(static_cast<abi::ObjectType>(1), 0)));
    asm(".set object_type_count, %c0" ::"i"(abi::object_type_count));
    asm(".set call_buffer_bit, %c0" ::"i"(std::countr_zero(abi::call_buffer)));
    // What operation_path.S pushes, from the last to the first.
    static_assert(offsetof(Invocation, caller) == 0 && offsetof(Invocation, process) == 8 &&
                  offsetof(Invocation, target) == 16 && offsetof(Invocation, target_word) == 24 &&
                  offsetof(Invocation, target_lease) == 32 && offsetof(Invocation, words) == 40 &&
                  offsetof(Invocation, operation) == 48 && sizeof(Invocation) == 64);
    static_assert(offsetof(Invocation, slot_reserved_) < 56 &&
                  offsetof(Invocation, arrived_mask) < 56 && offsetof(Invocation, bytes_out) == 56);
    asm(".set invocation_slot_reserved, %c0" ::"i"(offsetof(Invocation, slot_reserved_)));
    asm(".set invocation_arrived_mask, %c0" ::"i"(offsetof(Invocation, arrived_mask)));
    asm(".set invocation_bytes_out, %c0" ::"i"(offsetof(Invocation, bytes_out)));
    asm(".set thread_process, %c0" ::"i"(offsetof(Thread, process)));
    asm(".set thread_dying, %c0" ::"i"(offsetof(Thread, dying)));
    asm(".set cpu_resched, %c0" ::"i"(offsetof(Cpu, resched)));
    asm(".set grace_missing, %c0" ::"i"(offsetof(GracePeriod, missing_)));
    asm(".set grace_ended, %c0" ::"i"(offsetof(GracePeriod, ended_count_)));
    asm(".set debug_build, %c0" ::"i"(debug_checks ? 1 : 0));
}

void AssemblyOffsets::handles() {
    asm(".set entry_object, %c0" ::"i"(offsetof(HandleEntry, object)));
    asm(".set entry_word, %c0" ::"i"(offsetof(HandleEntry, word)));
    asm(".set entry_lease, %c0" ::"i"(offsetof(HandleEntry, lease)));
    asm(".set recent_handle, %c0" ::"i"(offsetof(RecentHandle, handle)));
    asm(".set recent_entry, %c0" ::"i"(offsetof(RecentHandle, entry)));
    asm(".set recent_word, %c0" ::"i"(offsetof(RecentHandle, word)));
    asm(".set recent_object, %c0" ::"i"(offsetof(RecentHandle, object)));
    asm(".set recent_rights, %c0" ::"i"(offsetof(RecentHandle, rights)));
    asm(".set thread_entered, %c0" ::"i"(offsetof(Thread, entered)));
    asm(".set thread_called, %c0" ::"i"(offsetof(Thread, called)));
    asm(".set thread_served, %c0" ::"i"(offsetof(Thread, served)));
    asm(".set thread_signalled, %c0" ::"i"(offsetof(Thread, signalled)));
    asm(".set thread_waited, %c0" ::"i"(offsetof(Thread, waited)));
    asm(".set thread_waited_set, %c0" ::"i"(offsetof(Thread, waited_set)));
    asm(".set type_served, %c0" ::"i"(abi::ObjectType::served));
    asm(".set type_table, %c0" ::"i"(abi::ObjectType::table));
    asm(".set type_semaphore, %c0" ::"i"(abi::ObjectType::semaphore));
    asm(".set type_channel, %c0" ::"i"(abi::ObjectType::channel));
    asm(".set type_set, %c0" ::"i"(abi::ObjectType::set));
    asm(".set right_signal_bit, %c0" ::"i"(std::countr_zero(abi::right_signal)));
    asm(".set right_wait_bit, %c0" ::"i"(std::countr_zero(abi::right_wait)));
}

void AssemblyOffsets::semaphores() {
    asm(".set semaphore_door, %c0" ::"i"(offsetof(Semaphore, door_)));
    asm(".set semaphore_word, %c0" ::"i"(offsetof(Semaphore, word_)));
    asm(".set semaphore_mode, %c0" ::"i"(offsetof(Semaphore, mode_)));
    // A channel's end is its bell: a semaphore whose `bell` is its peer.
    asm(".set semaphore_bell, %c0" ::"i"(offsetof(Semaphore, bell_)));
    asm(".set mode_counting, %c0" ::"i"(SemaphoreMode::counting));
    asm(".set door_closed, %c0" ::"i"(door_closed));
    asm(".set door_address_bit, %c0" ::"i"(door_address_bit));
    asm(".set door_thread_bit, %c0" ::"i"(door_thread_bit));
    asm(".set set_door, %c0" ::"i"(offsetof(SemaphoreSet, door_)));
    asm(".set member_set, %c0" ::"i"(offsetof(SetMember, set)));
    asm(".set member_key, %c0" ::"i"(offsetof(SetMember, key)));
    asm(".set status_event, %c0" ::"i"(event_status.bits));
}

void AssemblyOffsets::tables() {
    asm(".set object_entrance, %c0" ::"i"(offsetof(ServedObject, entrance)));
    asm(".set object_cookie, %c0" ::"i"(offsetof(ServedObject, cookie)));
    asm(".set object_client, %c0" ::"i"(offsetof(ServedObject, client)));
    asm(".set client_key, %c0" ::"i"(offsetof(TableClient, key)));
    asm(".set client_held, %c0" ::"i"(offsetof(TableClient, held)));
    asm(".set table_door, %c0" ::"i"(offsetof(Table, door_)));
    asm(".set table_room, %c0" ::"i"(offsetof(Table, room_)));
    asm(".set table_block, %c0" ::"i"(offsetof(Table, block_)));
    asm(".set table_short_bytes, %c0" ::"i"(offsetof(Table, short_bytes_)));
    asm(".set table_slots, %c0" ::"i"(offsetof(Table, slots_)));
    asm(".set table_free_head, %c0" ::"i"(offsetof(Table, free_head_)));
    asm(".set table_event_next, %c0" ::"i"(offsetof(Table, event_next_)));
    asm(".set call_not_bytes, %c0" ::"i"(~uint64_t{0xff000f} & ~abi::call_buffer));
    asm(".set buffer_last, %c0" ::"i"(abi::user_end - abi::page_size));
}

void AssemblyOffsets::rings() {
    constexpr size_t lock = offsetof(Ring, lock_);
    constexpr size_t queue = offsetof(Ring, queue_);
    constexpr size_t run = offsetof(Ring, run_);
    asm(".set ring_lock, %c0" ::"i"(lock + offsetof(SpinLock, held_)));
    asm(".set ring_indices, %c0" ::"i"(offsetof(Ring, indices_)));
    asm(".set ring_recent, %c0" ::"i"(offsetof(Ring, recent_)));
    asm(".set ring_submission_head, %c0" ::"i"(queue + offsetof(RingQueue, submission_head_)));
    asm(".set ring_completion_tail, %c0" ::"i"(queue + offsetof(RingQueue, completion_tail_)));
    asm(".set ring_completion_head, %c0" ::"i"(queue + offsetof(RingQueue, completion_head_)));
    asm(".set ring_run_length, %c0" ::"i"(run + offsetof(Ring::Run, length)));
    asm(".set ring_run_entry, %c0" ::"i"(run + offsetof(Ring::Run, entry)));
    asm(".set ring_run_completion, %c0" ::"i"(run + offsetof(Ring::Run, completion)));
}

// In memory that the client shares.
void AssemblyOffsets::queues() {
    asm(".set queue_submission_tail, %c0" ::"i"(abi::ring_submission_tail));
    asm(".set queue_submission_head, %c0" ::"i"(abi::ring_submission_head));
    asm(".set queue_completion_tail, %c0" ::"i"(abi::ring_completion_tail));
    asm(".set queue_completion_head, %c0" ::"i"(abi::ring_completion_head));
    asm(".set submission_verb, %c0" ::"i"(offsetof(abi::SubmissionEntry, verb)));
    asm(".set submission_handle, %c0" ::"i"(offsetof(abi::SubmissionEntry, handle)));
    asm(".set submission_user_data, %c0" ::"i"(offsetof(abi::SubmissionEntry, user_data)));
    asm(".set submission_size, %c0" ::"i"(sizeof(abi::SubmissionEntry)));
    asm(".set completion_status, %c0" ::"i"(offsetof(abi::CompletionEntry, status)));
    asm(".set completion_size, %c0" ::"i"(sizeof(abi::CompletionEntry)));
    asm(".set ring_nop, %c0" ::"i"(abi::ring_nop));
}
static_assert(offsetof(abi::SubmissionEntry, flags) == offsetof(abi::SubmissionEntry, verb) + 1 &&
              offsetof(abi::CompletionEntry, user_data) == 0);

void AssemblyOffsets::slots() {
    asm(".set slot_id, %c0" ::"i"(offsetof(RequestSlot, id)));
    asm(".set slot_caller, %c0" ::"i"(offsetof(RequestSlot, caller)));
    asm(".set slot_account, %c0" ::"i"(offsetof(RequestSlot, account)));
    asm(".set slot_block, %c0" ::"i"(offsetof(RequestSlot, block)));
    asm(".set slot_client, %c0" ::"i"(offsetof(RequestSlot, client)));
    asm(".set slot_lengths, %c0" ::"i"(offsetof(RequestSlot, lengths)));
    asm(".set slot_next_free, %c0" ::"i"(offsetof(RequestSlot, next_free)));
    asm(".set slot_state, %c0" ::"i"(offsetof(RequestSlot, kept_)));
    asm(".set slot_size, %c0" ::"i"(sizeof(RequestSlot)));
    asm(".set slot_index_mask, %c0" ::"i"(abi::request_epoch - 1));
    asm(".set request_epoch, %c0" ::"i"(abi::request_epoch));
    asm(".set state_free, %c0" ::"i"(SlotState::free));
    asm(".set state_reserved, %c0" ::"i"(SlotState::reserved));
    asm(".set state_taken, %c0" ::"i"(SlotState::taken));
}

}  // namespace annulus::kernel
