// SPDX-License-Identifier: MIT
// Invocation: one operation on a kernel object, as its handler sees it.
//
// The dispatcher has checked, from abi/operations.h alone: the operation exists; the handle is
// valid and has the right; absent words are zero; moved words are named by the mask, and no others;
// the transfer has the described direction. A handler checks the meaning of its operands, changes
// nothing until all its checks passed, and returns a status. Handlers run with interrupts off,
// without locks, on the caller's page table.
#pragma once

#include "abi/operations.h"
#include "arch/user_access.h"
#include "base/result.h"
#include "kernel/object/process.h"

#include <stdint.h>

#include <array>
#include <type_traits>

namespace annulus::kernel {

// Type and rights that a handle in each operand must have, as in its entry's word; in a row of
// eight for each of abi::operations.
extern const std::array<std::array<uint32_t, 8>, abi::operation_count> operand_words;

class Invocation {
public:
    // The dispatcher sets the target and the operation.
    explicit Invocation(Thread& caller)
        : caller(caller), process(*caller.process), words(words_of(caller.message)) {}
    Invocation(const Invocation&) = delete;
    Invocation& operator=(const Invocation&) = delete;
    ~Invocation() {
        if (slot_reserved_) process.handles.unreserve(1);
    }

    // The target as its type; the dispatcher has checked the type.
    template <typename T>
    T& object() const {
        return *static_cast<T*>(target);
    }

    // The object that operand `index` names, with the rights its description demands. The kernel
    // may use it until it is left; take a reference to keep it. An absent optional handle (value 0)
    // gives null only through optional().
    template <typename T>
    Result<T*> operand(unsigned index) const {
        return static_cast<T*>(TRY(find_object(index)));
    }
    template <typename T>
    Result<T*> optional(unsigned index) const {
        if (words[index] == abi::no_handle) return static_cast<T*>(nullptr);
        return operand<T>(index);
    }
    Result<Found> find_operand(unsigned index) const;

    // bad_argument / not_supported with the operand's index as detail.
    Status bad(unsigned index) const {
        return Status(Error::bad_argument, static_cast<uint16_t>(index));
    }
    Status unknown_flags(unsigned index) const {
        return Status(Error::not_supported, static_cast<uint16_t>(index));
    }

    // Sets a slot of the caller's handle table aside for give(): for objects that somebody would
    // notice if they had to go again. no_room. Not for long operations.
    Result<void> reserve_slot() {
        TRY(process.handles.reserve(1));
        slot_reserved_ = true;
        return {};
    }

    // Enters an object into the caller's handle table as result word `index`. no_room: the object
    // is released, so a handler does this last.
    template <typename T>
    Result<void> give(unsigned index, Ref<T> object, abi::Rights rights, uint64_t lease = 0) {
        const auto handle = process.handles.insert(Ref<Object>::adopt(*object.leak()), rights,
                                                   lease, slot_reserved_);
        if (!handle.ok()) return handle.status();
        words[index] = *handle;
        arrived_mask |= 1u << index;
        return {};
    }

    // The caller's record of the described type. bad_address; bad_argument when bytes_in is
    // shorter.
    template <typename T>
        requires std::is_trivially_copyable_v<T>
    Result<void> read_record(T& to) const {
        return read_bytes(&to, sizeof(T));
    }
    // Writes as much of the record as the caller has room for (records grow at the end).
    template <typename T>
        requires std::is_trivially_copyable_v<T>
    Result<void> write_record(const T& from) {
        return write_bytes(&from, sizeof(T));
    }

    abi::ObjectType type() const { return type_in(target_word); }
    abi::Rights rights() const { return rights_in(target_word); }
    void set_target(const Found& found) {
        target = found.object;
        target_word = entry_word(0, found.type, found.rights);
        target_lease = found.lease;
    }

    // Places and order of all members are known to assembly, which makes one, too.
    Thread& caller;
    Process& process;
    Object* target = nullptr;
    uint64_t target_word = 0;  // its handle's entry's
    Lease target_lease = 0;
    // Operands, then results, in the caller's message.
    uint64_t (&words)[abi::message_words];
    uint8_t operation = 0;  // its place in abi::operations

private:
    friend struct AssemblyOffsets;
    bool slot_reserved_ = false;

public:
    unsigned arrived_mask = 0;  // result words that are handles
    uint32_t bytes_out = 0;     // result: bytes written to the buffer

    // The caller's buffer.
    arch::UserAddress buffer() const { return {caller.message.r15}; }
    uint32_t bytes_in() const { return static_cast<uint32_t>(caller.message.rbx); }
    uint32_t capacity_out() const { return static_cast<uint32_t>(caller.message.rbx >> 32); }

    // Result words. A handler that succeeds sets them all at once, after its last look at operands.
    void set_results(uint64_t w0, uint64_t w1 = 0, uint64_t w2 = 0, uint64_t w3 = 0,
                     uint64_t w4 = 0, uint64_t w5 = 0) {
        words[0] = w0, words[1] = w1, words[2] = w2, words[3] = w3, words[4] = w4, words[5] = w5;
        arrived_mask = 0;
    }

private:
    [[gnu::always_inline]] Result<Object*> find_object(unsigned index) const {
        const uint32_t wanted = operand_words.data()[operation].data()[index];
        Object* const found = process.handles.find_plain(words[index], wanted);
        if (found != nullptr) [[likely]]
            return found;
        return find_object_slowly(index);
    }
    Result<Object*> find_object_slowly(unsigned index) const;
    Result<void> read_bytes(void* to, uint64_t size) const;
    Result<void> write_bytes(const void* from, uint64_t size);
};

// A handler. Success may carry detail and extra. Error results leave no words behind: the
// dispatcher zeroes them.
using Handler = Status (*)(Invocation&);

// Long operations. A handler that has to wait or to work in chunks calls one of these as its last
// act; neither returns. The caller is blocked (or ready again), later runs `step` in its own
// address space, and step again ends with one of these, or with finish_operation. Lets others run
// (preemption point), then calls step.
[[noreturn]] void continue_later(Thread& thread, const LongOperation& operation);
// Calls step after a grace period (with TLB flush when asked).
[[noreturn]] void continue_after_grace(Thread& thread, const LongOperation& operation, bool flush);
// Ends the operation with a status and at most two result words; the words in `arrived` are
// handles.
[[noreturn]] void finish_operation(Thread& thread, Status status, uint64_t w0 = 0, uint64_t w1 = 0,
                                   unsigned arrived = 0);

// --- handlers, one for each entry of abi::operations, named object_verb_selector
// universal.cpp
Status any_get_info(Invocation&);
Status any_get_duplicate(Invocation&);
Status any_close_close(Invocation&);
Status any_close_revoke(Invocation&);
// budget_operations.cpp
Status budget_create_memory(Invocation&);
Status budget_create_semaphore(Invocation&);
Status budget_create_table(Invocation&);
Status budget_create_process(Invocation&);
Status budget_create_budget(Invocation&);
Status budget_create_timer(Invocation&);
Status budget_get_ledger(Invocation&);
Status budget_get_machine(Invocation&);
Status budget_remove_destroy(Invocation&);
Status budget_watch_exhausted(Invocation&);
// process_operations.cpp, map_operations.cpp
Status process_create_thread(Invocation&);
Status process_share_install(Invocation&);
Status process_map_map(Invocation&);
Status process_map_unmap(Invocation&);
Status process_map_protect(Invocation&);
Status process_remove_kill(Invocation&);
Status process_get_state(Invocation&);
Status process_get_faulted(Invocation&);
Status process_watch_exit(Invocation&);
Status process_watch_fault(Invocation&);
// thread_operations.cpp
Status thread_remove_kill(Invocation&);
Status thread_get_state(Invocation&);
Status thread_get_registers(Invocation&);
Status thread_set_priority(Invocation&);
Status thread_set_affinity(Invocation&);
Status thread_set_registers(Invocation&);
Status thread_set_resume(Invocation&);
Status thread_watch_exit(Invocation&);
// memory_operations.cpp
Status memory_read_bytes(Invocation&);
Status memory_write_bytes(Invocation&);
Status memory_get_size(Invocation&);
Status memory_get_physical(Invocation&);
Status memory_create_range(Invocation&);
Status memory_create_clone(Invocation&);
Status memory_set_commit(Invocation&);
// ipc_operations.cpp
Status semaphore_get_state(Invocation&);
Status table_create_object(Invocation&);
Status table_get_state(Invocation&);
Status table_get_client(Invocation&);
Status table_shutdown_fault(Invocation&);
Status served_watch_server_death(Invocation&);
Status timer_set_arm(Invocation&);
Status timer_set_cancel(Invocation&);
// channel_operations.cpp
Status budget_create_channel(Invocation&);
Status channel_get_geometry(Invocation&);
Status channel_get_state(Invocation&);
Status channel_get_memory(Invocation&);
Status channel_shutdown_fault(Invocation&);
// set_operations.cpp
Status budget_create_set(Invocation&);
Status set_create_member(Invocation&);
Status set_remove_member(Invocation&);
Status set_get_state(Invocation&);
Status table_set_events(Invocation&);
// ring_operations.cpp
Status budget_create_ring(Invocation&);
Status ring_set_register(Invocation&);
Status ring_remove_unregister(Invocation&);
Status ring_create_landing(Invocation&);
Status ring_get_state(Invocation&);
Status ring_watch_completion(Invocation&);
// hardware_operations.cpp
Status hardware_create_ports(Invocation&);
Status hardware_create_interrupt(Invocation&);
Status hardware_create_registers(Invocation&);
Status hardware_create_message_interrupt(Invocation&);
Status ports_read_value(Invocation&);
Status ports_read_string(Invocation&);
Status ports_write_value(Invocation&);
Status ports_write_string(Invocation&);
Status interrupt_watch_fire(Invocation&);
Status interrupt_set_acknowledge(Invocation&);
Status power_shutdown_now(Invocation&);
Status console_write_text(Invocation&);
Status console_shutdown_release(Invocation&);

}  // namespace annulus::kernel
