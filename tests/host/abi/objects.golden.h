// SPDX-License-Identifier: MIT
// Typed handles of the kernel's objects. Generated from abi/operations.h; do not edit.
//
// Every operation can also answer bad_handle, revoked, no_right, bad_operation,
// bad_argument, not_supported and, when it transfers bytes, bad_address.
#pragma once

#include "abi/records.h"
#include "abi/system_call.h"
#include "base/result.h"
#include "runtime/handle.h"
#include "runtime/system_call.h"

#include <stddef.h>
#include <stdint.h>

#include <cstddef>
#include <span>

namespace annulus {

class ObjectReference;
class BudgetReference;
class ProcessReference;
class ThreadReference;
class MemoryReference;
class SemaphoreReference;
class TableReference;
class ServedReference;
class TimerReference;
class HardwareReference;
class PortsReference;
class InterruptReference;
class PowerReference;
class ConsoleReference;

using Object = Owned<ObjectReference>;
using Budget = Owned<BudgetReference>;
using Process = Owned<ProcessReference>;
using Thread = Owned<ThreadReference>;
using Memory = Owned<MemoryReference>;
using Semaphore = Owned<SemaphoreReference>;
using Table = Owned<TableReference>;
using Served = Owned<ServedReference>;
using Timer = Owned<TimerReference>;
using Hardware = Owned<HardwareReference>;
using Ports = Owned<PortsReference>;
using Interrupt = Owned<InterruptReference>;
using Power = Owned<PowerReference>;
using Console = Owned<ConsoleReference>;
struct ObjectInfo;
struct ObjectDuplicate;
struct MemorySize;
struct SemaphoreState;
struct TableState;

class ObjectReference : public HandleValue {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::any;
    using HandleValue::HandleValue;

    // Says what the handle names.
    // Answers type: the ObjectType; rights: of this handle.
    Result<ObjectInfo> get_info() const;

    // Makes a second handle with some of the rights.
    // Takes rights: to keep: intersected with this handle's; flags: 1: revocable, under a new
    // lease.
    // Answers handle: the new handle; lease: names the new lease for revoke, 0 if not revocable.
    // Errors: no_room, no_budget, too_deep.
    Result<ObjectDuplicate> get_duplicate(uint64_t rights, uint64_t flags) const;

    // Ends a lease that this process made: its handles, wherever they are, answer revoked.
    // Takes lease: from duplicate.
    // Errors: not_found.
    Result<void> close_revoke(uint64_t lease) const;
};

class BudgetReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::budget;
    using ObjectReference::ObjectReference;

    // Makes a memory object of zeroed pages.
    // Takes pages: its size in pages, 1 or more; flags: 1: on demand, 2: contiguous, 4: revocable.
    // Answers memory: with all rights.
    // Errors: no_budget, no_memory, no_room, limit.
    Result<Memory> create_memory(uint64_t pages, uint64_t flags) const;

    // Makes a semaphore.
    // Takes mode: 0: counting, 1: binary, 2: sequence; initial: value, at most 2^62; ignored for a
    // word in memory; memory: that holds the word, or 0: the word lies in the kernel; offset: of
    // the word in bytes, a multiple of 8.
    // Answers semaphore: with all rights.
    // Errors: no_budget, no_room, busy, out_of_range, may_fault.
    Result<Semaphore> create_semaphore(uint64_t mode, uint64_t initial, MemoryReference memory,
        uint64_t offset) const;

    // Makes a table to serve objects through.
    // Takes slots: requests it can hold, 1..1024; block: bytes of each slot's block, a power of
    // two, 64..65536, or 0; memory: that holds the blocks, or 0 when block is 0; offset: of block 0
    // in bytes, a multiple of the page size.
    // Answers table: with all rights.
    // Errors: no_budget, no_room, out_of_range, may_fault.
    Result<Table> create_table(uint64_t slots, uint64_t block, MemoryReference memory,
        uint64_t offset) const;

    // Makes a process without threads.
    // Takes handles: slots of its handle table, 16..65536; flags: 1: withhold the cycle counter.
    // Answers process: with all rights.
    // Errors: no_budget, no_room.
    Result<Process> create_process(uint64_t handles, uint64_t flags) const;

    // Makes a child budget; its limits are reserved here.
    // Answers budget: with all rights.
    // Errors: no_budget, no_room, too_deep.
    Result<Budget> create_budget(const abi::BudgetLimits& record) const;

    // Makes a timer.
    // Takes semaphore: gets one unit each time it fires.
    // Answers timer: with all rights.
    // Errors: no_budget, no_room.
    Result<Timer> create_timer(SemaphoreReference semaphore) const;

    // Reads limits and use.
    Result<abi::BudgetLedger> get_ledger() const;

    // Reads the whole machine's memory account (root only).
    // Errors: wrong_state.
    Result<abi::MachineLedger> get_machine() const;

    // Destroys everything that the budget and its children paid for; then the ledger reads zero.
    // Takes done: semaphore that gets one unit when all is gone, or 0.
    // Errors: wrong_state.
    Result<void> remove_destroy(SemaphoreReference done) const;

    // Signals when a charge was refused here.
    // Takes semaphore: gets one unit.
    // Errors: no_budget, busy.
    Result<void> watch_exhausted(SemaphoreReference semaphore) const;
};

class ProcessReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::process;
    using ObjectReference::ObjectReference;

    // Makes a thread and starts it.
    // Takes entry: address of its first instruction; stack: its stack pointer; argument: handed to
    // it in rdi; fs_base: thread pointer; priority: 0..63, at most the budget's ceiling; affinity:
    // mask of CPUs, 0: any.
    // Answers thread: with all rights.
    // Errors: no_budget, no_room, wrong_state.
    Result<Thread> create_thread(uint64_t entry, uint64_t stack, uint64_t argument,
        uint64_t fs_base, uint64_t priority, uint64_t affinity) const;

    // Moves a handle into a process that has not started.
    // Takes handle: leaves the caller.
    // Answers handle: its value in the process.
    // Errors: no_room, wrong_state.
    template <typename Special>
    Result<uint64_t> share_install(Owned<Special>&& handle) const;

    // Maps memory.
    // Takes memory: with map, and read, write or execute as asked; offset: in bytes, a multiple of
    // the page size; length: in bytes, a multiple of the page size; address: wished for; 0: the
    // kernel chooses; flags: 1: read, 2: write, 4: execute, 8: fixed.
    // Answers address: of the first byte.
    // Errors: no_budget, out_of_range, overlap, permission.
    Result<uint64_t> map(MemoryReference memory, uint64_t offset, uint64_t length, uint64_t address,
        uint64_t flags) const;

    // Unmaps a range; holes in it are no error.
    // Takes address: a multiple of the page size; length: in bytes, a multiple of the page size.
    // Errors: no_budget, out_of_range.
    Result<void> map_unmap(uint64_t address, uint64_t length) const;

    // Changes the access of a mapped range.
    // Takes address: a multiple of the page size; length: in bytes, a multiple of the page size;
    // flags: 1: read, 2: write, 4: execute.
    // Errors: no_budget, out_of_range, permission.
    Result<void> map_protect(uint64_t address, uint64_t length, uint64_t flags) const;

    // Kills the process, wherever its threads are.
    // Takes code: its exit code.
    Result<void> remove_kill(uint64_t code) const;

    // Reads how it is, or how it ended.
    Result<abi::ProcessState> get_state() const;

    // Gives the thread that a fault stopped.
    // Answers thread: stopped by a fault.
    // Errors: not_found, no_room.
    Result<Thread> get_faulted() const;

    // Signals when the process has ended.
    // Takes semaphore: gets one unit.
    // Errors: no_budget.
    Result<void> watch_exit(SemaphoreReference semaphore) const;

    // Signals when a fault stops a thread; without a watcher a fault ends the process.
    // Takes semaphore: gets one unit.
    // Errors: no_budget, busy.
    Result<void> watch_fault(SemaphoreReference semaphore) const;
};

class ThreadReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::thread;
    using ObjectReference::ObjectReference;

    // Kills the thread.
    // Takes code: its exit code.
    Result<void> remove_kill(uint64_t code) const;

    // Reads how it is, or how it ended.
    Result<abi::ThreadState> get_state() const;

    // Reads the registers of a stopped thread.
    // Errors: wrong_state.
    Result<abi::ThreadRegisters> get_registers() const;

    // Changes its priority.
    // Takes priority: 0..63, at most the budget's ceiling.
    Result<void> set_priority(uint64_t priority) const;

    // Changes the CPUs it may run on.
    // Takes mask: bit i is CPU i; 0: any.
    Result<void> set_affinity(uint64_t mask) const;

    // Changes the registers of a stopped thread.
    // Errors: wrong_state.
    Result<void> set_registers(const abi::ThreadRegisters& record) const;

    // Lets a thread that a fault stopped go on.
    // Errors: wrong_state.
    Result<void> set_resume() const;

    // Signals when the thread has left user mode for ever.
    // Takes semaphore: gets one unit.
    // Errors: no_budget.
    Result<void> watch_exit(SemaphoreReference semaphore) const;
};

class MemoryReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::memory;
    using ObjectReference::ObjectReference;

    // Copies bytes out of it.
    // Takes offset: in bytes.
    // Answers how many bytes were written to `bytes`.
    // Errors: out_of_range, no_budget.
    Result<size_t> read_bytes(uint64_t offset, std::span<std::byte> bytes) const;

    // Copies bytes into it.
    // Takes offset: in bytes.
    // Errors: out_of_range, no_budget.
    Result<void> write_bytes(uint64_t offset, std::span<const std::byte> bytes) const;

    // Reads its size and kind.
    // Answers pages: its size in pages; flags: as at creation; committed: pages that exist; id: the
    // same for all handles to it.
    Result<MemorySize> get_size() const;

    // Reads the physical address of contiguous memory.
    // Answers address: physical, for a device's registers.
    // Errors: wrong_state.
    Result<uint64_t> get_physical() const;

    // Makes an object that is a part of this one.
    // Takes budget: that pays for the record; offset: in bytes, a multiple of the page size; pages:
    // its size in pages.
    // Answers memory: with this handle's rights.
    // Errors: no_budget, no_room, out_of_range.
    Result<Memory> create_range(BudgetReference budget, uint64_t offset, uint64_t pages) const;

    // Makes a copy-on-write clone.
    // Takes budget: that pays for the clone; offset: in bytes, a multiple of the page size; pages:
    // its size in pages.
    // Answers memory: with all rights.
    // Errors: no_budget, no_room, no_memory, out_of_range, wrong_state.
    Result<Memory> create_clone(BudgetReference budget, uint64_t offset, uint64_t pages) const;

    // Gives a range of on-demand memory its pages now.
    // Takes offset: in bytes, a multiple of the page size; length: in bytes, a multiple of the page
    // size.
    // Errors: no_budget, no_memory, out_of_range.
    Result<void> set_commit(uint64_t offset, uint64_t length) const;
};

class SemaphoreReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::semaphore;
    using ObjectReference::ObjectReference;

    // Reads mode, value and where the word lies.
    // Answers mode: 0: counting, 1: binary, 2: sequence; value: without the kernel bit; memory: id
    // of the memory object, 0: in the kernel; offset: of the word in bytes.
    Result<SemaphoreState> get_state() const;
};

class TableReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::table;
    using ObjectReference::ObjectReference;

    // Makes an object that this table serves.
    // Takes cookie: handed back with every request; rights: of the new handle; request: id of a
    // taken request whose client pays, or 0: the caller pays.
    // Answers object: in the caller's table, to be moved in the reply.
    // Errors: no_budget, no_room, faulted, not_found.
    Result<Served> create_object(uint64_t cookie, uint64_t rights, uint64_t request) const;

    // Reads how busy the table is.
    // Answers slots: in all; free: slots nobody uses; queued: requests not yet taken; taken:
    // requests not yet answered; orphans: taken requests whose client left; clients: waiting for a
    // slot.
    Result<TableState> get_state() const;

    // Ends the table: every client gets an error.
    // Takes reason: 32 bits that clients see.
    Result<void> shutdown_fault(uint64_t reason) const;
};

class ServedReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::served;
    using ObjectReference::ObjectReference;

    // Signals when the server has died.
    // Takes semaphore: gets one unit.
    // Errors: no_budget.
    Result<void> watch_server_death(SemaphoreReference semaphore) const;
};

class TimerReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::timer;
    using ObjectReference::ObjectReference;

    // Starts it; an earlier start is forgotten.
    // Takes deadline: absolute, monotonic, in nanoseconds; period: nanoseconds between later
    // firings, 0: once.
    Result<void> set_arm(uint64_t deadline, uint64_t period) const;

    // Stops it.
    // Answers armed: 1 if it had still been armed.
    Result<uint64_t> set_cancel() const;
};

class HardwareReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::hardware;
    using ObjectReference::ObjectReference;

    // Takes a range of I/O ports; each port once.
    // Takes budget: that pays; base: first port; count: of ports.
    // Answers ports: with all rights.
    // Errors: no_budget, no_room, busy, out_of_range.
    Result<Ports> create_ports(BudgetReference budget, uint64_t base, uint64_t count) const;

    // Takes an interrupt line; each line once.
    // Takes budget: that pays; line: ISA number below 16, else global system interrupt.
    // Answers interrupt: with all rights.
    // Errors: no_budget, no_room, busy, out_of_range.
    Result<Interrupt> create_interrupt(BudgetReference budget, uint64_t line) const;

    // Takes a range of device registers; never RAM.
    // Takes budget: that pays; address: physical, a multiple of the page size; length: in bytes, a
    // multiple of the page size.
    // Answers memory: uncached.
    // Errors: no_budget, no_room, busy, out_of_range.
    Result<Memory> create_registers(BudgetReference budget, uint64_t address,
        uint64_t length) const;
};

class PortsReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::ports;
    using ObjectReference::ObjectReference;

    // Reads one port.
    // Takes port: relative to the range; width: 1, 2 or 4 bytes.
    // Answers value: zero-extended.
    // Errors: out_of_range.
    Result<uint64_t> read_value(uint64_t port, uint64_t width) const;

    // Reads bytes from one port, one after the other.
    // Takes port: relative to the range.
    // Answers how many bytes were written to `bytes`.
    // Errors: out_of_range, too_many (4096 bytes at most).
    Result<size_t> read_string(uint64_t port, std::span<std::byte> bytes) const;

    // Writes one port.
    // Takes port: relative to the range; width: 1, 2 or 4 bytes; value: its low bytes.
    // Errors: out_of_range.
    Result<void> write_value(uint64_t port, uint64_t width, uint64_t value) const;

    // Writes bytes to one port, one after the other.
    // Takes port: relative to the range.
    // Errors: out_of_range, too_many (4096 bytes at most).
    Result<void> write_string(uint64_t port, std::span<const std::byte> bytes) const;
};

class InterruptReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::interrupt;
    using ObjectReference::ObjectReference;

    // Binds the semaphore that each interrupt signals.
    // Takes semaphore: gets one unit an interrupt.
    // Errors: busy.
    Result<void> watch_fire(SemaphoreReference semaphore) const;

    // Unmasks the line; it is masked at every interrupt.
    Result<void> set_acknowledge() const;
};

class PowerReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::power;
    using ObjectReference::ObjectReference;

    // Ends or restarts the machine at once.
    // Takes kind: 0: off, 1: restart.
    Result<void> shutdown_now(uint64_t kind) const;
};

class ConsoleReference : public ObjectReference {
public:
    static constexpr abi::ObjectType object_type = abi::ObjectType::console;
    using ObjectReference::ObjectReference;

    // Writes to the kernel's own console, whole.
    // Errors: too_many (1024 bytes at most).
    Result<void> write_text(std::span<const std::byte> bytes) const;

    // The kernel leaves the serial port to a driver; it writes again only to report a panic.
    Result<void> shutdown_release() const;
};

struct ObjectInfo {
    uint64_t type;
    uint64_t rights;
};

struct ObjectDuplicate {
    Object handle;
    uint64_t lease;
};

struct MemorySize {
    uint64_t pages;
    uint64_t flags;
    uint64_t committed;
    uint64_t id;
};

struct SemaphoreState {
    uint64_t mode;
    uint64_t value;
    uint64_t memory;
    uint64_t offset;
};

struct TableState {
    uint64_t slots;
    uint64_t free;
    uint64_t queued;
    uint64_t taken;
    uint64_t orphans;
    uint64_t clients;
};

inline Result<ObjectInfo> ObjectReference::get_info() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::get, 0xff00));
    if (!answer.status.ok()) return answer.status;
    return ObjectInfo{answer.words[0], answer.words[1]};
}

inline Result<ObjectDuplicate> ObjectReference::get_duplicate(uint64_t rights,
    uint64_t flags) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::get, 0xff01), rights, flags);
    if (!answer.status.ok()) return answer.status;
    return ObjectDuplicate{Object(answer.words[0]), answer.words[1]};
}

inline Result<void> ObjectReference::close_revoke(uint64_t lease) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::close, 0xff01), lease);
    return answer.status;
}

inline Result<Memory> BudgetReference::create_memory(uint64_t pages, uint64_t flags) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 0), pages, flags);
    if (!answer.status.ok()) return answer.status;
    return Memory(answer.words[0]);
}

inline Result<Semaphore> BudgetReference::create_semaphore(uint64_t mode, uint64_t initial,
    MemoryReference memory, uint64_t offset) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 1), mode, initial, memory.value(),
            offset);
    if (!answer.status.ok()) return answer.status;
    return Semaphore(answer.words[0]);
}

inline Result<Table> BudgetReference::create_table(uint64_t slots, uint64_t block,
    MemoryReference memory, uint64_t offset) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 2), slots, block, memory.value(),
            offset);
    if (!answer.status.ok()) return answer.status;
    return Table(answer.words[0]);
}

inline Result<Process> BudgetReference::create_process(uint64_t handles, uint64_t flags) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 3), handles, flags);
    if (!answer.status.ok()) return answer.status;
    return Process(answer.words[0]);
}

inline Result<Budget> BudgetReference::create_budget(const abi::BudgetLimits& record) const {
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::create, 4), system::buffer_in(record));
    if (!answer.status.ok()) return answer.status;
    return Budget(answer.words[0]);
}

inline Result<Timer> BudgetReference::create_timer(SemaphoreReference semaphore) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 5), semaphore.value());
    if (!answer.status.ok()) return answer.status;
    return Timer(answer.words[0]);
}

inline Result<abi::BudgetLedger> BudgetReference::get_ledger() const {
    abi::BudgetLedger record = {};
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::get, 0), system::buffer_out(record));
    if (!answer.status.ok()) return answer.status;
    return record;
}

inline Result<abi::MachineLedger> BudgetReference::get_machine() const {
    abi::MachineLedger record = {};
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::get, 1), system::buffer_out(record));
    if (!answer.status.ok()) return answer.status;
    return record;
}

inline Result<void> BudgetReference::remove_destroy(SemaphoreReference done) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::remove, 0), done.value());
    return answer.status;
}

inline Result<void> BudgetReference::watch_exhausted(SemaphoreReference semaphore) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::watch, 0), semaphore.value());
    return answer.status;
}

inline Result<Thread> ProcessReference::create_thread(uint64_t entry, uint64_t stack,
    uint64_t argument, uint64_t fs_base, uint64_t priority, uint64_t affinity) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 0), entry, stack, argument, fs_base,
            priority, affinity);
    if (!answer.status.ok()) return answer.status;
    return Thread(answer.words[0]);
}

template <typename Special>
inline Result<uint64_t> ProcessReference::share_install(Owned<Special>&& handle) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::share, 0, 1), handle.value());
    if (!answer.status.ok()) return answer.status;
    static_cast<void>(handle.release());
    return answer.words[0];
}

inline Result<uint64_t> ProcessReference::map(MemoryReference memory, uint64_t offset,
    uint64_t length, uint64_t address, uint64_t flags) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::map, 0), memory.value(), offset, length,
            address, flags);
    if (!answer.status.ok()) return answer.status;
    return answer.words[0];
}

inline Result<void> ProcessReference::map_unmap(uint64_t address, uint64_t length) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::map, 1), address, length);
    return answer.status;
}

inline Result<void> ProcessReference::map_protect(uint64_t address, uint64_t length,
    uint64_t flags) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::map, 2), address, length, flags);
    return answer.status;
}

inline Result<void> ProcessReference::remove_kill(uint64_t code) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::remove, 0), code);
    return answer.status;
}

inline Result<abi::ProcessState> ProcessReference::get_state() const {
    abi::ProcessState record = {};
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::get, 0), system::buffer_out(record));
    if (!answer.status.ok()) return answer.status;
    return record;
}

inline Result<Thread> ProcessReference::get_faulted() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::get, 1));
    if (!answer.status.ok()) return answer.status;
    return Thread(answer.words[0]);
}

inline Result<void> ProcessReference::watch_exit(SemaphoreReference semaphore) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::watch, 0), semaphore.value());
    return answer.status;
}

inline Result<void> ProcessReference::watch_fault(SemaphoreReference semaphore) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::watch, 1), semaphore.value());
    return answer.status;
}

inline Result<void> ThreadReference::remove_kill(uint64_t code) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::remove, 0), code);
    return answer.status;
}

inline Result<abi::ThreadState> ThreadReference::get_state() const {
    abi::ThreadState record = {};
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::get, 0), system::buffer_out(record));
    if (!answer.status.ok()) return answer.status;
    return record;
}

inline Result<abi::ThreadRegisters> ThreadReference::get_registers() const {
    abi::ThreadRegisters record = {};
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::get, 1), system::buffer_out(record));
    if (!answer.status.ok()) return answer.status;
    return record;
}

inline Result<void> ThreadReference::set_priority(uint64_t priority) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::set, 0), priority);
    return answer.status;
}

inline Result<void> ThreadReference::set_affinity(uint64_t mask) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::set, 1), mask);
    return answer.status;
}

inline Result<void> ThreadReference::set_registers(const abi::ThreadRegisters& record) const {
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::set, 2), system::buffer_in(record));
    return answer.status;
}

inline Result<void> ThreadReference::set_resume() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::set, 3));
    return answer.status;
}

inline Result<void> ThreadReference::watch_exit(SemaphoreReference semaphore) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::watch, 0), semaphore.value());
    return answer.status;
}

inline Result<size_t> MemoryReference::read_bytes(uint64_t offset,
    std::span<std::byte> bytes) const {
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::read, 0), system::buffer_out(bytes), offset);
    if (!answer.status.ok()) return answer.status;
    return static_cast<size_t>(answer.bytes_out);
}

inline Result<void> MemoryReference::write_bytes(uint64_t offset,
    std::span<const std::byte> bytes) const {
    if (bytes.size() > UINT32_MAX) return Error::too_many;
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::write, 0), system::buffer_in(bytes), offset);
    return answer.status;
}

inline Result<MemorySize> MemoryReference::get_size() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::get, 0));
    if (!answer.status.ok()) return answer.status;
    return MemorySize{answer.words[0], answer.words[1], answer.words[2], answer.words[3]};
}

inline Result<uint64_t> MemoryReference::get_physical() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::get, 1));
    if (!answer.status.ok()) return answer.status;
    return answer.words[0];
}

inline Result<Memory> MemoryReference::create_range(BudgetReference budget, uint64_t offset,
    uint64_t pages) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 0), budget.value(), offset, pages);
    if (!answer.status.ok()) return answer.status;
    return Memory(answer.words[0]);
}

inline Result<Memory> MemoryReference::create_clone(BudgetReference budget, uint64_t offset,
    uint64_t pages) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 1), budget.value(), offset, pages);
    if (!answer.status.ok()) return answer.status;
    return Memory(answer.words[0]);
}

inline Result<void> MemoryReference::set_commit(uint64_t offset, uint64_t length) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::set, 0), offset, length);
    return answer.status;
}

inline Result<SemaphoreState> SemaphoreReference::get_state() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::get, 0));
    if (!answer.status.ok()) return answer.status;
    return SemaphoreState{answer.words[0], answer.words[1], answer.words[2], answer.words[3]};
}

inline Result<Served> TableReference::create_object(uint64_t cookie, uint64_t rights,
    uint64_t request) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 0), cookie, rights, request);
    if (!answer.status.ok()) return answer.status;
    return Served(answer.words[0]);
}

inline Result<TableState> TableReference::get_state() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::get, 0));
    if (!answer.status.ok()) return answer.status;
    return TableState{answer.words[0], answer.words[1], answer.words[2], answer.words[3],
        answer.words[4], answer.words[5]};
}

inline Result<void> TableReference::shutdown_fault(uint64_t reason) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::shutdown, 0), reason);
    return answer.status;
}

inline Result<void> ServedReference::watch_server_death(SemaphoreReference semaphore) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::watch, 0xff00), semaphore.value());
    return answer.status;
}

inline Result<void> TimerReference::set_arm(uint64_t deadline, uint64_t period) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::set, 0), deadline, period);
    return answer.status;
}

inline Result<uint64_t> TimerReference::set_cancel() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::set, 1));
    if (!answer.status.ok()) return answer.status;
    return answer.words[0];
}

inline Result<Ports> HardwareReference::create_ports(BudgetReference budget, uint64_t base,
    uint64_t count) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 0), budget.value(), base, count);
    if (!answer.status.ok()) return answer.status;
    return Ports(answer.words[0]);
}

inline Result<Interrupt> HardwareReference::create_interrupt(BudgetReference budget,
    uint64_t line) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 1), budget.value(), line);
    if (!answer.status.ok()) return answer.status;
    return Interrupt(answer.words[0]);
}

inline Result<Memory> HardwareReference::create_registers(BudgetReference budget, uint64_t address,
    uint64_t length) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::create, 2), budget.value(), address, length);
    if (!answer.status.ok()) return answer.status;
    return Memory(answer.words[0]);
}

inline Result<uint64_t> PortsReference::read_value(uint64_t port, uint64_t width) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::read, 0), port, width);
    if (!answer.status.ok()) return answer.status;
    return answer.words[0];
}

inline Result<size_t> PortsReference::read_string(uint64_t port, std::span<std::byte> bytes) const {
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::read, 1), system::buffer_out(bytes), port);
    if (!answer.status.ok()) return answer.status;
    return static_cast<size_t>(answer.bytes_out);
}

inline Result<void> PortsReference::write_value(uint64_t port, uint64_t width,
    uint64_t value) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::write, 0), port, width, value);
    return answer.status;
}

inline Result<void> PortsReference::write_string(uint64_t port,
    std::span<const std::byte> bytes) const {
    if (bytes.size() > UINT32_MAX) return Error::too_many;
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::write, 1), system::buffer_in(bytes), port);
    return answer.status;
}

inline Result<void> InterruptReference::watch_fire(SemaphoreReference semaphore) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::watch, 0), semaphore.value());
    return answer.status;
}

inline Result<void> InterruptReference::set_acknowledge() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::set, 0));
    return answer.status;
}

inline Result<void> PowerReference::shutdown_now(uint64_t kind) const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::shutdown, 0), kind);
    return answer.status;
}

inline Result<void> ConsoleReference::write_text(std::span<const std::byte> bytes) const {
    if (bytes.size() > UINT32_MAX) return Error::too_many;
    const auto answer = system::call_buffer(
        this->value(), abi::operation_word(abi::Verb::write, 0), system::buffer_in(bytes));
    return answer.status;
}

inline Result<void> ConsoleReference::shutdown_release() const {
    const auto answer = system::call_words(
        this->value(), abi::operation_word(abi::Verb::shutdown, 0));
    return answer.status;
}

}  // namespace annulus
