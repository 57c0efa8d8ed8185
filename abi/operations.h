// SPDX-License-Identifier: MIT
// Every operation of every kernel object: the one source of the kernel's dispatch, the C++ stubs,
// the reference pages and the fuzzer's grammar. The order is the enumeration `Op`.
//
// Every operation can also answer what common_errors lists. In `errors` a name may be followed by
// words in parentheses.
#pragma once

#include "abi/operation.h"
#include "abi/status.h"

namespace annulus::abi {

// Selectors from here up are answered by the kernel for every object, served ones included.
inline constexpr uint16_t selector_universal = 0xff00;

// Flags of the operations below.
inline constexpr uint64_t duplicate_revocable = 1;
inline constexpr uint64_t memory_on_demand = 1;   // pages appear at first touch
inline constexpr uint64_t memory_contiguous = 2;  // one physical run, for DMA
inline constexpr uint64_t memory_revocable = 4;   // may vanish: unfit for tables and semaphores
inline constexpr uint64_t map_read = 1;
inline constexpr uint64_t map_write = 2;
inline constexpr uint64_t map_execute = 4;
inline constexpr uint64_t map_fixed = 8;  // at the given address, or fail
inline constexpr uint64_t semaphore_counting = 0;
inline constexpr uint64_t semaphore_binary = 1;
inline constexpr uint64_t semaphore_sequence = 2;
inline constexpr uint64_t power_off = 0;
inline constexpr uint64_t power_reboot = 1;
inline constexpr uint64_t power_off_failed = 2;  // tells an emulator that something went wrong

// What every operation can answer: the kernel checks these before the operation begins.
// bad_address: when it transfers bytes; wrong_type: when an operand is a handle.
inline constexpr Error common_errors[] = {
    Error::bad_handle,  Error::wrong_type,    Error::no_right,
    Error::revoked,     Error::busy,          Error::bad_argument,
    Error::bad_address, Error::not_supported, Error::bad_operation,
};

// clang-format off
inline constexpr Operation operations[] = {
    // ---- any object
    {ObjectType::any, Verb::get, 0xff00, "info", "Says what the handle names.",
     {}, {{OperandKind::word, "type", "the ObjectType"}, {OperandKind::word, "rights",
      "of this handle"}},
     Transfer::nothing, "", false},
    {ObjectType::any, Verb::get, 0xff01, "duplicate", "Makes a second handle with some of the "
     "rights.",
     {{OperandKind::word, "rights", "to keep: intersected with this handle's"},
      {OperandKind::flags, "flags", "1: revocable, under a new lease"}},
     {{OperandKind::moved, "handle", "the new handle", ObjectType::any},
      {OperandKind::word, "lease", "names the new lease for revoke, 0 if not revocable"}},
     Transfer::nothing, "", false, "no_room, no_budget, no_memory, too_deep, limit, wrong_state"},
    {ObjectType::any, Verb::close, 0xff00, "close", "Closes the handle.",
     {}, {}, Transfer::nothing, "", false, "busy"},
    {ObjectType::any, Verb::close, 0xff01, "revoke",
     "Ends a lease that this process made: its handles, wherever they are, answer revoked.",
     {{OperandKind::word, "lease", "from duplicate"}}, {}, Transfer::nothing, "",
      false, "not_found"},

    // ---- budget
    {ObjectType::budget, Verb::create, 0, "memory", "Makes a memory object of zeroed pages.",
     {{OperandKind::word, "pages", "its size in pages, 1 or more"},
      {OperandKind::flags, "flags", "1: on demand, 2: contiguous, 4: revocable"}},
     {{OperandKind::moved, "memory", "with all rights", ObjectType::memory}},
     Transfer::nothing, "", true, "no_budget, no_memory, no_room, limit, closed, wrong_state"},
    {ObjectType::budget, Verb::create, 1, "semaphore", "Makes a semaphore.",
     {{OperandKind::word, "mode", "0: counting, 1: binary, 2: sequence"},
      {OperandKind::word, "initial", "value, at most 2^62; ignored for a word in memory"},
      {OperandKind::handle, "memory", "that holds the word, or 0: the word lies in the kernel",
       ObjectType::memory, right_of(Verb::map) | right_of(Verb::write)},
      {OperandKind::word, "offset", "of the word in bytes, a multiple of 8"}},
     {{OperandKind::moved, "semaphore", "with all rights", ObjectType::semaphore}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, busy, out_of_range, may_fault, closed, wrong_state"},
    {ObjectType::budget, Verb::create, 2, "table", "Makes a table to serve objects through.",
     {{OperandKind::word, "slots", "requests it can hold, 1..1024"},
      {OperandKind::word, "block", "bytes of each slot's block, a power of two, 64..65536, or 0"},
      {OperandKind::handle, "memory", "that holds the blocks, or 0 when block is 0",
       ObjectType::memory, right_of(Verb::map) | right_of(Verb::read) | right_of(Verb::write)},
      {OperandKind::word, "offset", "of block 0 in bytes, a multiple of the page size"}},
     {{OperandKind::moved, "table", "with all rights", ObjectType::table}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, busy, out_of_range, may_fault, closed, wrong_state"},
    {ObjectType::budget, Verb::create, 3, "process", "Makes a process without threads.",
     {{OperandKind::word, "handles", "slots of its handle table, 16..65536"},
      {OperandKind::flags, "flags", "1: withhold the cycle counter"}},
     {{OperandKind::moved, "process", "with all rights", ObjectType::process}},
     Transfer::nothing, "", true, "no_budget, no_memory, no_room, wrong_state"},
    {ObjectType::budget, Verb::create, 4, "budget", "Makes a child budget; its limits are "
     "reserved here.",
     {}, {{OperandKind::moved, "budget", "with all rights", ObjectType::budget}},
     Transfer::bytes_in, "BudgetLimits", true,
     "no_budget, no_memory, no_room, too_deep, wrong_state"},
    {ObjectType::budget, Verb::create, 5, "timer", "Makes a timer.",
     {{OperandKind::handle, "semaphore", "gets one unit each time it fires", ObjectType::semaphore,
       right_signal}},
     {{OperandKind::moved, "timer", "with all rights", ObjectType::timer}},
     Transfer::nothing, "", true, "no_budget, no_memory, no_room, closed, wrong_state"},
    {ObjectType::budget, Verb::create, 6, "channel",
     "Makes a channel over memory, which is committed and pinned.",
     {{OperandKind::handle, "memory", "that both ends will share", ObjectType::memory,
       right_of(Verb::map) | right_of(Verb::read) | right_of(Verb::write)},
      {OperandKind::word, "offset", "of its first byte, a multiple of the page size"},
      {OperandKind::word, "length", "in bytes, a multiple of the page size"},
      {OperandKind::word, "structure", "id of what lies in the memory, 32 bits"},
      {OperandKind::word, "version", "of that structure, 32 bits"}},
     {{OperandKind::moved, "first", "end 0, with all rights", ObjectType::channel},
      {OperandKind::moved, "second", "end 1, with all rights", ObjectType::channel}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, busy, out_of_range, may_fault, closed, wrong_state"},
    {ObjectType::budget, Verb::create, 7, "set", "Makes a semaphore set.",
     {{OperandKind::word, "members", "that it has room for, 1..131072"}},
     {{OperandKind::moved, "set", "with all rights", ObjectType::set}},
     Transfer::nothing, "", true, "no_budget, no_memory, no_room, wrong_state"},
    {ObjectType::budget, Verb::create, 8, "ring", "Makes a ring for the handles of this process.",
     {{OperandKind::word, "entries", "a power of two, 1..1024"},
      {OperandKind::handle, "memory", "that holds the queues (abi/ring.h)", ObjectType::memory,
       right_of(Verb::map) | right_of(Verb::read) | right_of(Verb::write)},
      {OperandKind::word, "offset", "of the queues in bytes, a multiple of the page size"},
      {OperandKind::word, "allowed", "bit i: entries may have the ring verb i"}},
     {{OperandKind::moved, "ring", "with all rights", ObjectType::ring}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, out_of_range, may_fault, limit, busy, closed, wrong_state"},
    {ObjectType::budget, Verb::get, 0, "ledger", "Reads limits and use.",
     {}, {}, Transfer::bytes_out, "BudgetLedger"},
    {ObjectType::budget, Verb::get, 1, "machine", "Reads the whole machine's memory account "
     "(root only).",
     {}, {}, Transfer::bytes_out, "MachineLedger", true, "wrong_state"},
    {ObjectType::budget, Verb::remove, 0, "destroy",
     "Destroys everything that the budget and its children paid for; then the ledger reads zero.",
     {{OperandKind::handle, "done", "semaphore that gets one unit when all is gone, or 0",
       ObjectType::semaphore, right_signal}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, closed, wrong_state"},
    {ObjectType::budget, Verb::watch, 0, "exhausted", "Signals when a charge was refused here.",
     {{OperandKind::handle, "semaphore", "gets one unit", ObjectType::semaphore, right_signal}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, busy, closed, wrong_state"},

    // ---- process
    {ObjectType::process, Verb::create, 0, "thread", "Makes a thread and starts it.",
     {{OperandKind::word, "entry", "address of its first instruction"},
      {OperandKind::word, "stack", "its stack pointer"},
      {OperandKind::word, "argument", "handed to it in rdi"},
      {OperandKind::word, "fs_base", "thread pointer"},
      {OperandKind::word, "priority", "0..63, at most the budget's ceiling"},
      {OperandKind::word, "affinity", "mask of CPUs, 0: any"}},
     {{OperandKind::moved, "thread", "with all rights", ObjectType::thread}},
     Transfer::nothing, "", true, "no_budget, no_memory, no_room, wrong_state"},
    {ObjectType::process, Verb::share, 0, "install", "Moves a handle into a process that has not "
     "started.",
     {{OperandKind::moved, "handle", "leaves the caller", ObjectType::any}},
     {{OperandKind::word, "handle", "its value in the process"}},
     Transfer::nothing, "", true, "no_room, closed, wrong_state"},
    {ObjectType::process, Verb::map, 0, "map", "Maps memory.",
     {{OperandKind::handle, "memory", "with map, and read, write or execute as asked",
       ObjectType::memory, right_of(Verb::map)},
      {OperandKind::word, "offset", "in bytes, a multiple of the page size"},
      {OperandKind::word, "length", "in bytes, a multiple of the page size"},
      {OperandKind::word, "address", "wished for; 0: the kernel chooses"},
      {OperandKind::flags, "flags", "1: read, 2: write, 4: execute, 8: fixed"}},
     {{OperandKind::word, "address", "of the first byte"}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, limit, out_of_range, overlap, permission, closed, wrong_state"},
    {ObjectType::process, Verb::map, 1, "unmap", "Unmaps a range; holes in it are no error.",
     {{OperandKind::word, "address", "a multiple of the page size"},
      {OperandKind::word, "length", "in bytes, a multiple of the page size"}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, limit, out_of_range, wrong_state"},
    {ObjectType::process, Verb::map, 2, "protect", "Changes the access of a mapped range.",
     {{OperandKind::word, "address", "a multiple of the page size"},
      {OperandKind::word, "length", "in bytes, a multiple of the page size"},
      {OperandKind::flags, "flags", "1: read, 2: write, 4: execute"}},
     {}, Transfer::nothing, "", true,
     "no_budget, no_memory, limit, out_of_range, permission, wrong_state"},
    {ObjectType::process, Verb::remove, 0, "kill", "Kills the process, wherever its threads are.",
     {{OperandKind::word, "code", "its exit code"}}, {}, Transfer::nothing, ""},
    {ObjectType::process, Verb::get, 0, "state", "Reads how it is, or how it ended.",
     {}, {}, Transfer::bytes_out, "ProcessState"},
    {ObjectType::process, Verb::get, 1, "faulted", "Gives the thread that a fault stopped.",
     {}, {{OperandKind::moved, "thread", "stopped by a fault", ObjectType::thread}},
     Transfer::nothing, "", true, "not_found, no_room"},
    {ObjectType::process, Verb::watch, 0, "exit", "Signals when the process has ended.",
     {{OperandKind::handle, "semaphore", "gets one unit", ObjectType::semaphore, right_signal}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, closed, wrong_state"},
    {ObjectType::process, Verb::watch, 1, "fault",
     "Signals when a fault stops a thread; without a watcher a fault ends the process.",
     {{OperandKind::handle, "semaphore", "gets one unit", ObjectType::semaphore, right_signal}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, busy, closed, wrong_state"},

    // ---- thread
    {ObjectType::thread, Verb::remove, 0, "kill", "Kills the thread.",
     {{OperandKind::word, "code", "its exit code"}}, {}, Transfer::nothing, ""},
    {ObjectType::thread, Verb::get, 0, "state", "Reads how it is, or how it ended.",
     {}, {}, Transfer::bytes_out, "ThreadState"},
    {ObjectType::thread, Verb::get, 1, "registers", "Reads the registers of a stopped thread.",
     {}, {}, Transfer::bytes_out, "ThreadRegisters", true, "wrong_state"},
    {ObjectType::thread, Verb::set, 0, "priority", "Changes its priority.",
     {{OperandKind::word, "priority", "0..63, at most the budget's ceiling"}}, {}},
    {ObjectType::thread, Verb::set, 1, "affinity", "Changes the CPUs it may run on.",
     {{OperandKind::word, "mask", "bit i is CPU i; 0: any"}}, {}},
    {ObjectType::thread, Verb::set, 2, "registers", "Changes the registers of a stopped thread.",
     {}, {}, Transfer::bytes_in, "ThreadRegisters", true, "wrong_state"},
    {ObjectType::thread, Verb::set, 3, "resume", "Lets a thread that a fault stopped go on.",
     {}, {}, Transfer::nothing, "", true, "wrong_state"},
    {ObjectType::thread, Verb::watch, 0, "exit", "Signals when the thread has left user mode for "
     "ever.",
     {{OperandKind::handle, "semaphore", "gets one unit", ObjectType::semaphore, right_signal}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, closed, wrong_state"},

    // ---- memory
    {ObjectType::memory, Verb::read, 0, "bytes", "Copies bytes out of it.",
     {{OperandKind::word, "offset", "in bytes"}}, {}, Transfer::bytes_out, "", true,
     "out_of_range, closed, wrong_state"},
    {ObjectType::memory, Verb::write, 0, "bytes", "Copies bytes into it.",
     {{OperandKind::word, "offset", "in bytes"}}, {}, Transfer::bytes_in, "", true,
     "no_budget, no_memory, out_of_range, closed, wrong_state"},
    {ObjectType::memory, Verb::get, 0, "size", "Reads its size and kind.",
     {}, {{OperandKind::word, "pages", "its size in pages"},
          {OperandKind::word, "flags", "as at creation"},
          {OperandKind::word, "committed", "pages that exist"},
          {OperandKind::word, "id", "the same for all handles to it"}}},
    {ObjectType::memory, Verb::get, 1, "physical", "Reads the physical address of contiguous "
     "memory.",
     {}, {{OperandKind::word, "address", "physical, for a device's registers"}},
     Transfer::nothing, "", true, "closed, wrong_state"},
    {ObjectType::memory, Verb::create, 0, "range", "Makes an object that is a part of this one.",
     {{OperandKind::handle, "budget", "that pays for the record", ObjectType::budget,
       right_of(Verb::create)},
      {OperandKind::word, "offset", "in bytes, a multiple of the page size"},
      {OperandKind::word, "pages", "its size in pages"}},
     {{OperandKind::moved, "memory", "with this handle's rights", ObjectType::memory}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, limit, out_of_range, closed, wrong_state"},
    {ObjectType::memory, Verb::create, 1, "clone", "Makes a copy-on-write clone.",
     {{OperandKind::handle, "budget", "that pays for the clone", ObjectType::budget,
       right_of(Verb::create)},
      {OperandKind::word, "offset", "in bytes, a multiple of the page size"},
      {OperandKind::word, "pages", "its size in pages"}},
     {{OperandKind::moved, "memory", "with all rights", ObjectType::memory}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, out_of_range, closed, wrong_state"},
    {ObjectType::memory, Verb::set, 0, "commit", "Gives a range of on-demand memory its pages now.",
     {{OperandKind::word, "offset", "in bytes, a multiple of the page size"},
      {OperandKind::word, "length", "in bytes, a multiple of the page size"}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, out_of_range, closed, wrong_state"},

    // ---- semaphore (wait and signal are system calls) "
    {ObjectType::semaphore, Verb::get, 0, "state", "Reads mode, value and where the word lies.",
     {}, {{OperandKind::word, "mode", "0: counting, 1: binary, 2: sequence"},
          {OperandKind::word, "value", "without the kernel bit"},
          {OperandKind::word, "memory", "id of the memory object, 0: in the kernel"},
          {OperandKind::word, "offset", "of the word in bytes"}}},

    // ---- set of semaphores (wait is a system call)
    {ObjectType::set, Verb::create, 0, "member",
     "Adds a semaphore, or the bell of a channel's end.",
     {{OperandKind::handle, "semaphore", "semaphore or channel", ObjectType::any, right_wait},
      {OperandKind::word, "key", "names the member in its events"},
      {OperandKind::word, "seen", "sequence mode: the last value seen; otherwise 0"}},
     {}, Transfer::nothing, "", true, "busy, closed, limit, wrong_type"},
    {ObjectType::set, Verb::remove, 0, "member",
     "Takes a member out; after it no wait gets the member's key any more.",
     {{OperandKind::handle, "semaphore", "semaphore or channel", ObjectType::any, right_wait}},
     {}, Transfer::nothing, "", true, "not_found, wrong_type"},
    {ObjectType::set, Verb::get, 0, "state", "Reads how full it is.",
     {}, {{OperandKind::word, "members", "in it"},
          {OperandKind::word, "room", "members that it was made for"},
          {OperandKind::word, "ready", "1 if an event waits"},
          {OperandKind::word, "bound", "1 if it is bound to a table"}}},

    // ---- end of a channel (signal rings the peer, wait waits for the own bell: system calls)
    {ObjectType::channel, Verb::get, 0, "geometry", "Reads what was fixed when it was made.",
     {}, {{OperandKind::word, "length", "of the memory in bytes"},
          {OperandKind::word, "structure", "id of what lies in it"},
          {OperandKind::word, "version", "of that structure"},
          {OperandKind::word, "end", "0 or 1"},
          {OperandKind::word, "id", "the same at both ends"}},
     Transfer::nothing, "", true, "closed"},
    {ObjectType::channel, Verb::get, 1, "state", "Reads how it is.",
     {}, {{OperandKind::word, "closed", "1: nobody holds the peer's end any more"},
          {OperandKind::word, "faulted", "1: it was shut down"},
          {OperandKind::word, "reason", "of the shutdown"}}},
    {ObjectType::channel, Verb::get, 2, "memory", "Gives a handle to the channel's memory.",
     {}, {{OperandKind::moved, "memory", "with get, map, read and write", ObjectType::memory}},
     Transfer::nothing, "", true, "closed, no_room"},
    {ObjectType::channel, Verb::shutdown, 0, "fault",
     "Faults it for both ends, once: the first reason counts. Rings both bells.",
     {{OperandKind::word, "reason", "32 bits that both ends can read"}}, {},
     Transfer::nothing, "", true, "closed"},

    // ---- table (serving is reply_and_wait)
    {ObjectType::table, Verb::create, 0, "object", "Makes an object that this table serves.",
     {{OperandKind::word, "cookie", "handed back with every request"},
      {OperandKind::word, "rights", "of the new handle"},
      {OperandKind::word, "request", "id of a taken request whose client pays, or 0: the caller "
       "pays"}},
     {{OperandKind::moved, "object", "in the caller's table, to be moved in the reply",
       ObjectType::served}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, faulted, server_died, not_found, wrong_state"},
    {ObjectType::table, Verb::get, 0, "state", "Reads how busy the table is.",
     {}, {{OperandKind::word, "slots", "in all"},
          {OperandKind::word, "free", "slots nobody uses"},
          {OperandKind::word, "queued", "requests not yet taken"},
          {OperandKind::word, "taken", "requests not yet answered"},
          {OperandKind::word, "orphans", "taken requests whose client left"},
          {OperandKind::word, "clients", "waiting for a slot"}}},
    {ObjectType::table, Verb::get, 1, "client", "Reads which client pays for an object of this "
     "table.",
     {{OperandKind::handle, "object", "made by this table", ObjectType::served}},
     {{OperandKind::word, "key", "as in requests that come through the object"}},
     Transfer::nothing, "", true, "not_found"},
    {ObjectType::table, Verb::set, 0, "events",
     "Binds a semaphore set: reply_and_wait returns its events, too, and nobody else waits on it.",
     {{OperandKind::handle, "set", "for as long as the table lives", ObjectType::set,
       right_wait}},
     {}, Transfer::nothing, "", true, "busy, closed, faulted, server_died"},
    {ObjectType::table, Verb::shutdown, 0, "fault", "Ends the table: every client gets an error.",
     {{OperandKind::word, "reason", "32 bits that clients see"}}, {}},

    // ---- served object: only what the kernel answers itself "
    {ObjectType::served, Verb::watch, 0xff00, "server_death", "Signals when the server has died.",
     {{OperandKind::handle, "semaphore", "gets one unit", ObjectType::semaphore, right_signal}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, closed, wrong_state"},

    // ---- timer
    {ObjectType::timer, Verb::set, 0, "arm", "Starts it; an earlier start is forgotten.",
     {{OperandKind::word, "deadline", "absolute, monotonic, in nanoseconds"},
      {OperandKind::word, "period", "nanoseconds between later firings, 0: once"}}, {}},
    {ObjectType::timer, Verb::set, 1, "cancel", "Stops it.",
     {}, {{OperandKind::word, "armed", "1 if it had still been armed"}}},

    // ---- ring (submitting and waiting is enter) "
    {ObjectType::ring, Verb::set, 0, "register", "Registers memory that entries name by an index.",
     {{OperandKind::word, "index", "0..63"},
      {OperandKind::handle, "memory", "read; also written if the handle may write",
       ObjectType::memory, right_of(Verb::map) | right_of(Verb::read)},
      {OperandKind::word, "offset", "in bytes, a multiple of the page size"},
      {OperandKind::word, "pages", "1..64; they are pinned"}},
     {}, Transfer::nothing, "", true,
     "no_budget, busy, out_of_range, may_fault, closed, wrong_state"},
    {ObjectType::ring, Verb::remove, 0, "unregister", "Forgets registered memory.",
     {{OperandKind::word, "index", "0..63"}}, {}, Transfer::nothing, "", true,
      "not_found, busy (operations use it)"},
    {ObjectType::ring, Verb::create, 0, "landing",
     "Reserves values that handles of replies will have.",
     {{OperandKind::word, "first", "landing index, below the ring's entries"},
      {OperandKind::word, "count", "1..4"}},
     {{OperandKind::word, "value_0", "what a handle that lands at `first` will be called"},
      {OperandKind::word, "value_1", "at the next index, or 0"},
      {OperandKind::word, "value_2", "at the next index, or 0"},
      {OperandKind::word, "value_3", "at the next index, or 0"}},
     Transfer::nothing, "", true, "no_room, busy (a value is reserved there), closed"},
    {ObjectType::ring, Verb::get, 0, "state", "Reads how busy the ring is.",
     {}, {{OperandKind::word, "entries", "as at creation"},
          {OperandKind::word, "in_flight", "operations without a completion"},
          {OperandKind::word, "unread", "completions that were not read"},
          {OperandKind::word, "faulted", "1: an index in the queues was wrong"}}},
    {ObjectType::ring, Verb::watch, 0, "completion", "Signals when completions were added.",
     {{OperandKind::handle, "semaphore", "gets one unit for one or more", ObjectType::semaphore,
       right_signal}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, busy, closed, wrong_state"},

    // ---- hardware factory "
    {ObjectType::hardware, Verb::create, 0, "ports", "Takes a range of I/O ports; each port once.",
     {{OperandKind::handle, "budget", "that pays", ObjectType::budget, right_of(Verb::create)},
      {OperandKind::word, "base", "first port"}, {OperandKind::word, "count", "of ports"}},
     {{OperandKind::moved, "ports", "with all rights", ObjectType::ports}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, busy, limit, out_of_range, permission (the kernel has some "
     "of them), wrong_state"},
    {ObjectType::hardware, Verb::create, 1, "interrupt", "Takes an interrupt line; each line once.",
     {{OperandKind::handle, "budget", "that pays", ObjectType::budget, right_of(Verb::create)},
      {OperandKind::word, "line", "ISA number below 16, else global system interrupt"}},
     {{OperandKind::moved, "interrupt", "with all rights", ObjectType::interrupt}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, busy, limit, out_of_range, wrong_state"},
    {ObjectType::hardware, Verb::create, 2, "registers", "Takes a range of device registers; "
     "never RAM.",
     {{OperandKind::handle, "budget", "that pays", ObjectType::budget, right_of(Verb::create)},
      {OperandKind::word, "address", "physical, a multiple of the page size"},
      {OperandKind::word, "length", "in bytes, a multiple of the page size"}},
     {{OperandKind::moved, "memory", "uncached", ObjectType::memory}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, busy, limit, out_of_range, permission (RAM, or registers "
     "of the kernel), wrong_state"},
    {ObjectType::hardware, Verb::create, 3, "message_interrupt", "Takes an interrupt that a device "
     "raises by writing a message to memory.",
     {{OperandKind::handle, "budget", "that pays", ObjectType::budget, right_of(Verb::create)},
      {OperandKind::word, "cpu", "index of the CPU that it interrupts"}},
     {{OperandKind::moved, "interrupt", "with all rights", ObjectType::interrupt},
      {OperandKind::word, "address", "physical, that the device is to write to"},
      {OperandKind::word, "data", "32 bits that it is to write there"}},
     Transfer::nothing, "", true,
     "no_budget, no_memory, no_room, limit, out_of_range, wrong_state"},

    // ---- ports
    {ObjectType::ports, Verb::read, 0, "value", "Reads one port.",
     {{OperandKind::word, "port", "relative to the range"}, {OperandKind::word, "width",
      "1, 2 or 4 bytes"}},
     {{OperandKind::word, "value", "zero-extended"}}, Transfer::nothing, "", true, "out_of_range"},
    {ObjectType::ports, Verb::read, 1, "string", "Reads bytes from one port, one after the other.",
     {{OperandKind::word, "port", "relative to the range"}}, {}, Transfer::bytes_out, "", true,
     "out_of_range, too_many (4096 bytes at most)"},
    {ObjectType::ports, Verb::write, 0, "value", "Writes one port.",
     {{OperandKind::word, "port", "relative to the range"}, {OperandKind::word, "width",
      "1, 2 or 4 bytes"},
      {OperandKind::word, "value", "its low bytes"}},
     {}, Transfer::nothing, "", true, "out_of_range"},
    {ObjectType::ports, Verb::write, 1, "string", "Writes bytes to one port, one after the other.",
     {{OperandKind::word, "port", "relative to the range"}}, {}, Transfer::bytes_in, "", true,
     "out_of_range, too_many (4096 bytes at most)"},

    // ---- interrupt
    {ObjectType::interrupt, Verb::watch, 0, "fire", "Binds the semaphore that each interrupt "
     "signals.",
     {{OperandKind::handle, "semaphore", "gets one unit an interrupt", ObjectType::semaphore,
       right_signal}},
     {}, Transfer::nothing, "", true, "no_budget, no_memory, busy, closed, wrong_state"},
    {ObjectType::interrupt, Verb::set, 0, "acknowledge", "Lets the next interrupt signal; after "
     "each one none does.",
     {}, {}},

    // ---- power and console "
    {ObjectType::power, Verb::shutdown, 0, "now", "Ends or restarts the machine at once.",
     {{OperandKind::word, "kind", "0: off, 1: restart, 2: off, after a failure"}}, {}},
    {ObjectType::console, Verb::write, 0, "text", "Writes to the kernel's own console, whole.",
     {}, {}, Transfer::bytes_in, "", true,
     "too_many (1024 bytes at most), wrong_state (after release)"},
    {ObjectType::console, Verb::shutdown, 0, "release",
     "The kernel leaves the serial port to a driver; it writes again only to report a panic.", {},
     {{OperandKind::word, "received", "256 + the byte that had arrived when the kernel turned the "
       "port's queues on, or 0; told once"}}},
};
// clang-format on

inline constexpr unsigned operation_count = sizeof(operations) / sizeof(operations[0]);

}  // namespace annulus::abi
