// SPDX-License-Identifier: MIT
// Where the fast paths find what they use, computed by the compiler from the C++ definitions.
#pragma once

#include "kernel/object/handle_table.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/semaphore_set.h"
#include "kernel/object/table.h"
#include "kernel/schedule/cpu.h"

#include <stddef.h>

// These types have base classes, for which offsetof is conditionally supported; clang does.
#pragma clang diagnostic ignored "-Winvalid-offsetof"

namespace annulus::kernel {

// The bytes resume, status, wait_kind and padding of a thread as one word.
constexpr uint32_t wait_state_of(Resume resume, ThreadStatus status, WaitKind kind) {
    return static_cast<uint32_t>(resume) | static_cast<uint32_t>(status) << 8 |
           static_cast<uint32_t>(kind) << 16;
}

// A friend of the classes whose private members it names.
struct FastPathOffsets {
    // Cpu, through GS
    static constexpr size_t scratch = offsetof(Cpu, local.user_rsp);
    static constexpr size_t stack_top = offsetof(Cpu, local.kernel_stack_top);
    static constexpr size_t self = offsetof(Cpu, local.self);
    static constexpr size_t current = offsetof(Cpu, current);
    static constexpr size_t loaded_root = offsetof(Cpu, loaded_root);
    static constexpr size_t slice_end = offsetof(Cpu, slice_end);
    static constexpr size_t ready = offsetof(Cpu, run_queue) + offsetof(RunQueue, occupied_);
    static constexpr size_t next = offsetof(Cpu, run_queue) + offsetof(RunQueue, next_);
    static constexpr size_t entries = offsetof(Cpu, counters.kernel_entries);
    static constexpr size_t root_loads = offsetof(Cpu, counters.page_table_loads);

    // Thread
    static constexpr size_t rip = offsetof(Thread, user_rip);
    static constexpr size_t rflags = offsetof(Thread, user_rflags);
    static constexpr size_t rsp = offsetof(Thread, user_rsp);
    static constexpr size_t fs_base = offsetof(Thread, fs_base);
    static constexpr size_t gs_base = offsetof(Thread, gs_base);
    static constexpr size_t page_table = offsetof(Thread, page_table);
    static constexpr size_t handles = offsetof(Thread, handles);
    static constexpr size_t handle_count = offsetof(Thread, fast_handle_count);
    static constexpr size_t wait_state = offsetof(Thread, resume);
    static constexpr size_t own_priority = offsetof(Thread, own_priority);
    static constexpr size_t priority = offsetof(Thread, priority);
    static constexpr size_t ceiling = offsetof(Thread, ceiling);
    static constexpr size_t next_hops = offsetof(Thread, next_hops);
    static constexpr size_t slow_reasons = offsetof(Thread, slow_reasons);
    static constexpr size_t serving = offsetof(Thread, serving);
    static constexpr size_t slot = offsetof(Thread, slot);
    static constexpr size_t next_waiting = offsetof(Thread, next_waiting);
    static constexpr size_t previous_waiting = offsetof(Thread, previous_waiting);
    static constexpr size_t request = offsetof(Thread, request);
    static constexpr size_t called = offsetof(Thread, called);
    static constexpr size_t served = offsetof(Thread, served);
    static constexpr size_t cpu = offsetof(Thread, cpu);
    static constexpr size_t message = offsetof(Thread, message);
    static constexpr size_t saved_rbp = offsetof(Thread, message.rbp);
    static constexpr size_t saved_rdx = offsetof(Thread, message.rdx);
    static constexpr size_t signalled = offsetof(Thread, signalled);
    static constexpr size_t waited = offsetof(Thread, waited);
    static constexpr size_t waited_set = offsetof(Thread, waited_set);
    static constexpr size_t alone_at = offsetof(Thread, alone_at);
    // The base class RunQueueNode: its link, then its priority.
    static constexpr size_t node = offsetof(Thread, priority) - sizeof(ListNode<ReadyLink>);

    // RecentHandle
    static constexpr size_t recent_handle = offsetof(RecentHandle, handle);
    static constexpr size_t recent_entry = offsetof(RecentHandle, entry);
    static constexpr size_t recent_word = offsetof(RecentHandle, word);
    static constexpr size_t recent_object = offsetof(RecentHandle, object);
    static constexpr size_t recent_rights = offsetof(RecentHandle, rights);

    // Semaphore
    static constexpr size_t door = offsetof(Semaphore, door_);
    static constexpr uint64_t door_closed = kernel::door_closed;
    static_assert(door_closed == semaphore_kernel_bit && door_open == 0);
    static constexpr size_t semaphore_word = offsetof(Semaphore, word_);
    static constexpr size_t semaphore_mode = offsetof(Semaphore, mode_);
    static constexpr size_t bell = offsetof(Semaphore, bell_);
    // A channel's end is its bell: a semaphore whose `bell` is its peer.
    static_assert(sizeof(SemaphoreMode) == 1);

    // SemaphoreSet and SetMember
    static constexpr size_t set_door = offsetof(SemaphoreSet, door_);
    static constexpr size_t member_set = offsetof(SetMember, set);
    static constexpr size_t member_key = offsetof(SetMember, key);

    // HandleEntry
    static constexpr size_t entry_object = offsetof(HandleEntry, object);
    static constexpr size_t entry_word = offsetof(HandleEntry, word);
    static constexpr size_t entry_lease = offsetof(HandleEntry, lease);

    // ServedObject and TableClient
    static constexpr size_t object_entrance = offsetof(ServedObject, entrance);
    static constexpr size_t object_cookie = offsetof(ServedObject, cookie);
    static constexpr size_t object_client = offsetof(ServedObject, client);
    static constexpr size_t client_key = offsetof(TableClient, key);
    static constexpr size_t client_held = offsetof(TableClient, held);

    // Table
    static constexpr size_t table_door = offsetof(Table, door_);
    static_assert(Table::door_closed == 0 && WaitingList<Thread>::last == 1);
    static constexpr size_t room = offsetof(Table, room_);
    static constexpr size_t short_bytes = offsetof(Table, short_bytes_);
    static constexpr size_t slots = offsetof(Table, slots_);
    static constexpr size_t free_head = offsetof(Table, free_head_);
    static constexpr size_t event_next = offsetof(Table, event_next_);

    // RequestSlot
    static constexpr size_t slot_id = offsetof(RequestSlot, id);
    static constexpr size_t slot_caller = offsetof(RequestSlot, caller);
    static constexpr size_t slot_account = offsetof(RequestSlot, account);
    static constexpr size_t slot_block = offsetof(RequestSlot, block);
    static constexpr size_t slot_kept = offsetof(RequestSlot, kept_);
    static constexpr size_t slot_next_free = offsetof(RequestSlot, next_free);
    static constexpr size_t slot_size = sizeof(RequestSlot);

    static constexpr uint32_t ready_state =
        wait_state_of(Resume::unit, ThreadStatus::ready, WaitKind::none);
};

static_assert(offsetof(Thread, status) == offsetof(Thread, resume) + 1 &&
              offsetof(Thread, wait_kind) == offsetof(Thread, resume) + 2 &&
              offsetof(Thread, wait_padding) == offsetof(Thread, resume) + 3);
static_assert(sizeof(ThreadStatus) == 1 && sizeof(Resume) == 1);

}  // namespace annulus::kernel
