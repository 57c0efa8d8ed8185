// SPDX-License-Identifier: MIT
// Structures that operations pass through the caller's buffer, and pages the kernel maps.
// All are trivially copyable, with explicit padding, and only grow at the end.
#pragma once

#include "abi/handle.h"
#include "abi/limits.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

// What a budget accounts for.
enum class Resource : uint8_t {
    pages = 0,           // pages of memory objects, page tables and handle tables
    reserved_pages = 1,  // pages of others' memory mapped here, owed if their payer dies
    kernel_bytes = 2,    // bytes of kernel objects
    handles = 3,         // slots of handle tables
    slots = 4,           // request slots of tables, entries of rings
    wait_records = 5,    // watches
    pins = 6,            // pages pinned for tables and semaphores
    timers = 7,
    threads = 8,
    leases = 9,
};

inline constexpr unsigned resource_count = 10;

// Limits of a new budget (budget.create.budget). Reserved from the parent at creation.
struct BudgetLimits {
    uint64_t amount[resource_count];  // indexed by Resource, in that resource's unit
    uint32_t cpu_weight;              // time slice in percent of the default, 1..1000
    uint32_t priority_ceiling;        // highest priority of its threads, 0..63
};

// One reading of a budget (budget.get.ledger).
struct BudgetLedger {
    uint64_t limit[resource_count];
    uint64_t used[resource_count];  // by this budget's own objects
    uint64_t lent[resource_count];  // reserved by child budgets
    uint32_t cpu_weight;
    uint32_t priority_ceiling;
    uint32_t children;
    uint32_t objects;
};

// The whole machine's memory, in pages (budget.get.machine on the root budget).
struct MachineLedger {
    uint64_t total;  // pages the kernel was given at boot
    uint64_t free;
    uint64_t kernel_heap;  // pages that hold kernel objects
    uint64_t kernel_static;
    uint64_t charged;  // pages charged to budgets
    uint64_t idle_ns;  // sum over CPUs, sleeps that go on included
    uint64_t wakeups;  // times a CPU left the idle state
    uint32_t cpus;
    uint32_t reserved;
    // Counted by the kernel's `counting` variant only, otherwise 0.
    uint64_t kernel_entries;
    uint64_t page_table_loads;
    uint64_t faults;
};

// How a process or thread ended (get.state).
enum class EndReason : uint32_t {
    alive = 0,
    exited = 1,
    killed = 2,
    faulted = 3,
    budget_destroyed = 4,
};

enum class FaultKind : uint32_t {
    none = 0,
    page_read = 1,
    page_write = 2,
    page_execute = 3,
    divide = 4,
    invalid_instruction = 5,
    protection = 6,  // general protection, stack or segment fault
    alignment = 7,
    breakpoint = 8,
    debug = 9,
    floating_point = 10,
    no_memory = 11,  // an on-demand page could not be paid
    overflow = 12,
};

struct ProcessState {
    EndReason reason;
    uint32_t threads;
    uint64_t exit_code;
    uint64_t handles;
    uint64_t mapped_pages;
    uint64_t cpu_ns;
};

struct ThreadState {
    EndReason reason;
    FaultKind fault;
    uint64_t fault_address;
    uint64_t exit_code;
    uint32_t stopped;  // 1: stopped by a fault, waits for resume or kill
    uint32_t priority;
    uint64_t cpu_ns;
};

// General registers of a stopped thread (thread.get.registers, thread.set.registers).
struct ThreadRegisters {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags, fs_base, gs_base;
};

// The read-only page of the clock: now_ns = base_ns + ((tsc - base_tsc) * mult >> shift), the
// product in 128 bits. Mapped through the memory handle `clock`.
struct ClockPage {
    uint64_t base_tsc;
    uint64_t base_ns;
    uint64_t mult;
    uint32_t shift;
    uint32_t version;  // 1
};

// What the first thread's argument points to: the start block, made by the parent, read-only.
// Offsets are from the block's begin; names are NUL-terminated. The thread starts with its stack
// pointer at `stack_top` and fs_base 64 bytes below: those bytes are its control block.
inline constexpr uint32_t start_block_version = 1;

struct StartHandle {
    Handle handle;
    uint32_t name_offset;
    uint32_t name_length;
};

struct StartArgument {
    uint32_t offset;
    uint32_t length;
};

struct StartBlock {
    uint32_t version;
    uint32_t size;  // of the whole block in bytes
    uint32_t handle_count;
    uint32_t handles_offset;  // StartHandle[handle_count]
    uint32_t argument_count;
    uint32_t arguments_offset;  // StartArgument[argument_count]
    uint64_t address_seed;
    uint64_t image_base;  // where the program was loaded
    uint64_t image_size;
    uint64_t stack_top;
    uint64_t stack_size;
};

}  // namespace annulus::abi
