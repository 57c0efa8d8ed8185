// SPDX-License-Identifier: MIT
// The eight system calls as inline assembly; abi/system_call.h has their registers.
//
// A stub costs one instruction per register it loads, one for the entry and two where rbp is saved
// around it because it may be the frame pointer, and nothing for answers that are not looked at.
// wait, signal and signal_and_wait keep rbp; registers that they do not read are not set. Words
// that are not given are zero: the kernel passes all six on to a server, and refuses operands that
// an operation does not have. Code that includes this is compiled with -mno-red-zone (a push
// follows the stack pointer) and -mno-sse (vector registers are dead across a call).
#pragma once

#include "abi/limits.h"
#include "abi/status.h"
#include "abi/system_call.h"

#include <stddef.h>
#include <stdint.h>

#include <cstddef>
#include <span>
#include <type_traits>

namespace annulus::system {

// The six operands or results of a message.
struct Words {
    uint64_t at[abi::message_words] = {};
    constexpr uint64_t operator[](unsigned index) const { return at[index]; }
    constexpr uint64_t& operator[](unsigned index) { return at[index]; }
};

// What a call answers. Words are meaningful only when the status is ok; those whose bit is set in
// `handle_mask` are handles that now belong to this process.
struct CallAnswer {
    abi::Status status;
    Words words;
    uint64_t bytes_out;
    uint64_t handle_mask;
};

// The caller's buffer: bytes are read from its begin and answered bytes written to its begin.
struct Buffer {
    void* address = nullptr;
    uint32_t bytes_in = 0;
    uint32_t capacity_out = 0;
    constexpr uint64_t extent() const { return uint64_t{capacity_out} << 32 | bytes_in; }
};

// Buffers of the operations in generated/objects.h. `bytes` that the kernel reads are at most
// UINT32_MAX, which the caller checked; what it writes is cut at that.
// Safety: the kernel only reads what the const_cast makes writable here, for capacity_out is 0.
constexpr Buffer buffer_in(std::span<const std::byte> bytes) {
    return {const_cast<std::byte*>(bytes.data()), static_cast<uint32_t>(bytes.size()), 0};
}
constexpr Buffer buffer_out(std::span<std::byte> bytes) {
    constexpr size_t most = UINT32_MAX;
    return {bytes.data(), 0, static_cast<uint32_t>(bytes.size() < most ? bytes.size() : most)};
}

// Records travel as their bytes.
template <typename Record>
    requires std::is_trivially_copyable_v<Record>
Buffer buffer_in(const Record& record) {
    return buffer_in(std::as_bytes(std::span(&record, 1)));
}
template <typename Record>
    requires std::is_trivially_copyable_v<Record>
Buffer buffer_out(Record& record) {
    return buffer_out(std::as_writable_bytes(std::span(&record, 1)));
}

// A whole call, for code that passes messages on.
struct Message {
    abi::Handle handle = abi::no_handle;
    uint64_t operation = 0;  // abi::operation_word
    Words words;
    uint64_t deadline = abi::deadline_never;
    Buffer buffer;
};

// Performs `operation` on the object that `handle` names; waits as long as it takes.
// Safety: the kernel keeps rsp and overwrites every other register, all of which are named here.
[[gnu::always_inline]] inline CallAnswer call_words(abi::Handle handle, uint64_t operation,
                                                    uint64_t word_0 = 0, uint64_t word_1 = 0,
                                                    uint64_t word_2 = 0, uint64_t word_3 = 0,
                                                    uint64_t word_4 = 0, uint64_t word_5 = 0) {
    uint64_t rax = static_cast<uint64_t>(abi::SystemCall::call);
    uint64_t rdi = handle;
    uint64_t rsi = operation;
    uint64_t rdx = word_0;
    register uint64_t rbx asm("rbx");
    register uint64_t r8 asm("r8") = word_1;
    register uint64_t r9 asm("r9") = word_2;
    register uint64_t r10 asm("r10") = word_3;
    register uint64_t r12 asm("r12") = word_4;
    register uint64_t r13 asm("r13") = word_5;
    asm volatile("push %%rbp\n\tsyscall\n\tpop %%rbp"
                 : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "=r"(rbx), "+r"(r8), "+r"(r9),
                   "+r"(r10), "+r"(r12), "+r"(r13)
                 :
                 : "rcx", "r11", "r14", "r15", "memory");
    return {abi::Status(rax), {{rdx, r8, r9, r10, r12, r13}}, rbx, rsi};
}

// The same with a buffer; waits no longer than `deadline`.
// Safety: the kernel reads and writes `buffer` through the page tables and reports bytes it
// cannot reach; it keeps rsp and overwrites every other register, all of which are named here.
[[gnu::always_inline]] inline CallAnswer call_buffer(abi::Handle handle, uint64_t operation,
                                                     Buffer buffer, uint64_t word_0 = 0,
                                                     uint64_t word_1 = 0, uint64_t word_2 = 0,
                                                     uint64_t word_3 = 0, uint64_t word_4 = 0,
                                                     uint64_t word_5 = 0,
                                                     uint64_t deadline = abi::deadline_never) {
    uint64_t rax = static_cast<uint64_t>(abi::SystemCall::call);
    uint64_t rdi = handle;
    uint64_t rsi = operation | abi::call_buffer;
    if (deadline != abi::deadline_never) rsi |= abi::call_deadline;
    uint64_t rbx = buffer.extent();
    uint64_t rdx = word_0;
    register uint64_t r8 asm("r8") = word_1;
    register uint64_t r9 asm("r9") = word_2;
    register uint64_t r10 asm("r10") = word_3;
    register uint64_t r12 asm("r12") = word_4;
    register uint64_t r13 asm("r13") = word_5;
    register uint64_t r14 asm("r14") = deadline;
    register void* r15 asm("r15") = buffer.address;
    asm volatile("push %%rbp\n\tsyscall\n\tpop %%rbp"
                 : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+b"(rbx), "+r"(r8), "+r"(r9),
                   "+r"(r10), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                 :
                 : "rcx", "r11", "memory");
    return {abi::Status(rax), {{rdx, r8, r9, r10, r12, r13}}, rbx, rsi};
}

[[gnu::always_inline]] inline CallAnswer call(const Message& message) {
    const Words& words = message.words;
    return call_buffer(message.handle, message.operation, message.buffer, words[0], words[1],
                       words[2], words[3], words[4], words[5], message.deadline);
}

// The answer to a request, as reply_and_wait takes it.
struct Reply {
    abi::Status status;
    Words words;
    uint32_t bytes_out = 0;  // at the begin of the slot's block
    // Bit i: word i is a handle that moves to the client; or with reply_returns >> 32, goes back.
    uint32_t moved_mask = 0;
    constexpr uint64_t extent() const { return uint64_t{moved_mask} << 32 | bytes_out; }
};

// What reply_and_wait delivers: a request, a close notice (id 0), or an error.
struct Delivery {
    abi::Status status;
    uint64_t cookie;
    uint64_t request;  // id for the reply; 0: none is taken
    abi::RequestHeader header;
    Words words;
    uint64_t extent;    // bytes in | capacity out << 32
    uint64_t deadline;  // the client's
    uint64_t client;    // the client's key: the same for all that one budget pays for

    // Of the slot's block: written by the client, and what the client has room for.
    constexpr uint32_t bytes_in() const { return static_cast<uint32_t>(extent); }
    constexpr uint32_t capacity_out() const { return static_cast<uint32_t>(extent >> 32); }
};

// Answers `request` (0: none) and takes the table's next one, waiting until `deadline`. `flags` is
// 0 or abi::reply_only.
// Safety: as for call_words. rbp comes back with a word and may be the frame pointer: the word is
// moved to rcx, which the entry destroys anyway.
[[gnu::always_inline]] inline Delivery reply_and_wait(abi::Handle table, uint64_t request,
                                                      const Reply& reply, uint64_t deadline,
                                                      uint64_t flags = 0) {
    uint64_t rax = static_cast<uint64_t>(abi::SystemCall::reply_and_wait);
    uint64_t rdi = table;
    uint64_t rsi = request;
    uint64_t rbx = reply.extent() | flags;
    if (deadline != abi::deadline_never) rbx |= abi::reply_deadline;
    uint64_t rcx;
    uint64_t rdx = reply.words[0];
    register uint64_t r8 asm("r8") = reply.words[1];
    register uint64_t r9 asm("r9") = reply.words[2];
    register uint64_t r10 asm("r10") = reply.words[3];
    register uint64_t r12 asm("r12") = reply.words[4];
    register uint64_t r13 asm("r13") = reply.words[5];
    register uint64_t r14 asm("r14") = deadline;
    register uint64_t r15 asm("r15") = reply.status.bits;
    asm volatile("push %%rbp\n\tsyscall\n\tmov %%rbp, %%rcx\n\tpop %%rbp"
                 : "+a"(rax), "+D"(rdi), "+S"(rsi), "=c"(rcx), "+d"(rdx), "+b"(rbx), "+r"(r8),
                   "+r"(r9), "+r"(r10), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                 :
                 : "r11", "memory");
    return {abi::Status(rax), rdi, rsi, {rbx}, {{rdx, r8, r9, r10, r12, r13}}, rcx, r14, r15};
}

// The remaining calls carry at most four operands and answer at most two.
struct ShortAnswer {
    abi::Status status;
    uint64_t rdx;
    uint64_t rsi;
};

// Safety: as for call_buffer.
[[gnu::always_inline]] inline ShortAnswer short_call(abi::SystemCall number, uint64_t rdi,
                                                     uint64_t rsi, uint64_t rdx, uint64_t r10_in) {
    uint64_t rax = static_cast<uint64_t>(number);
    register uint64_t r10 asm("r10") = r10_in;
    asm volatile("push %%rbp\n\tsyscall\n\tpop %%rbp"
                 : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10)
                 :
                 : "rbx", "rcx", "r8", "r9", "r11", "r12", "r13", "r14", "r15", "memory");
    return {abi::Status(rax), rdx, rsi};
}

// A value and whether there is one.
struct WaitAnswer {
    abi::Status status;
    uint64_t value;
};

// Takes one unit. In sequence mode: waits until the value differs from `seen`, and answers it. On a
// set: waits for an event and answers its key. Safety: as for call_buffer; the call keeps rbp.
[[gnu::always_inline]] inline WaitAnswer wait(abi::Handle semaphore, uint64_t seen,
                                              uint64_t deadline) {
    auto rax = static_cast<uint64_t>(abi::SystemCall::wait);
    register uint64_t r10 asm("r10") = 0;  // no array
    asm volatile("syscall"
                 : "+a"(rax), "+D"(semaphore), "+S"(seen), "+d"(deadline), "+r"(r10)
                 :
                 : "rbx", "rcx", "r8", "r9", "r11", "r12", "r13", "r14", "r15", "memory");
    return {abi::Status(rax), deadline};
}

// The same for a semaphore that counts or rings: there is no value to compare with.
[[gnu::always_inline]] inline abi::Status wait(abi::Handle semaphore, uint64_t deadline) {
    auto rax = static_cast<uint64_t>(abi::SystemCall::wait);
    asm volatile("syscall"
                 : "+a"(rax), "+D"(semaphore), "+d"(deadline)
                 :
                 : "rbx", "rcx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                   "memory");
    return abi::Status(rax);
}

struct WaitAnyAnswer {
    abi::Status status;
    uint64_t index;  // of the entry that was served
    uint64_t value;  // sequence mode: its new value
};

// Takes one unit from the first of `count` semaphores that has one (at most abi::wait_any_max).
[[gnu::always_inline]] inline WaitAnyAnswer wait_any(const abi::WaitEntry* entries, size_t count,
                                                     uint64_t deadline) {
    // Safety: the kernel reads the array and reports addresses that it cannot reach.
    const auto answer = short_call(abi::SystemCall::wait_any, reinterpret_cast<uint64_t>(entries),
                                   count, deadline, 0);
    return {answer.status, answer.rdx, answer.rsi};
}

// Gives `units`. Safety: as for wait.
[[gnu::always_inline]] inline abi::Status signal(abi::Handle semaphore, uint64_t units = 1) {
    auto rax = static_cast<uint64_t>(abi::SystemCall::signal);
    asm volatile("syscall"
                 : "+a"(rax), "+D"(semaphore), "+S"(units)
                 :
                 : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                   "memory");
    return abi::Status(rax);
}

// Signals one unit of `wake` and waits for `sleep` in one entry. Safety: as for wait.
[[gnu::always_inline]] inline WaitAnswer signal_and_wait(abi::Handle wake, abi::Handle sleep,
                                                         uint64_t seen, uint64_t deadline) {
    auto rax = static_cast<uint64_t>(abi::SystemCall::signal_and_wait);
    register uint64_t r10 asm("r10") = seen;
    asm volatile("syscall"
                 : "+a"(rax), "+D"(wake), "+S"(sleep), "+d"(deadline), "+r"(r10)
                 :
                 : "rbx", "rcx", "r8", "r9", "r11", "r12", "r13", "r14", "r15", "memory");
    return {abi::Status(rax), deadline};
}

// The same for a semaphore that counts or rings: there is no value to compare with.
[[gnu::always_inline]] inline abi::Status signal_and_wait(abi::Handle wake, abi::Handle sleep,
                                                          uint64_t deadline) {
    auto rax = static_cast<uint64_t>(abi::SystemCall::signal_and_wait);
    asm volatile("syscall"
                 : "+a"(rax), "+D"(wake), "+S"(sleep), "+d"(deadline)
                 :
                 : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
    return abi::Status(rax);
}

struct EnterAnswer {
    abi::Status status;
    uint64_t accepted;  // entries
    uint64_t unread;    // completions
};

// Submits what lies in a ring's queue, or with abi::enter_only_waits nothing, and waits until
// `completions` are unread. Safety: as for call_buffer; the call keeps rbx, rbp and r12-r15.
[[gnu::always_inline]] inline EnterAnswer enter(abi::Handle ring, uint64_t completions,
                                                uint64_t deadline) {
    auto rax = static_cast<uint64_t>(abi::SystemCall::enter);
    uint64_t accepted;
    register uint64_t r10 asm("r10") = deadline;
    asm volatile("syscall"
                 : "+a"(rax), "+D"(ring), "+S"(completions), "=d"(accepted), "+r"(r10)
                 :
                 : "rcx", "r8", "r9", "r11", "memory");
    return {abi::Status(rax), accepted, completions};
}

// The same without waiting.
[[gnu::always_inline]] inline EnterAnswer enter(abi::Handle ring) {
    auto rax = static_cast<uint64_t>(abi::SystemCall::enter);
    uint64_t accepted;
    uint64_t completions = 0;
    asm volatile("syscall"
                 : "+a"(rax), "+D"(ring), "+S"(completions), "=d"(accepted)
                 :
                 : "rcx", "r8", "r9", "r10", "r11", "memory");
    return {abi::Status(rax), accepted, completions};
}

// Ends this thread. Its stack may be unmapped as soon as its exit semaphore fires.
[[noreturn, gnu::always_inline]] inline void exit(uint64_t code) {
    short_call(abi::SystemCall::exit, code, 0, 0, 0);
    __builtin_trap();
}

// Every register of an entry, for tests and fuzzers; rsp, rcx and r11 cannot be chosen.
struct Registers {
    uint64_t rax, rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15;
};

// Enters the kernel with exactly these registers and stores those it comes back with.
extern "C" void annulus_raw_system_call(Registers* registers);

}  // namespace annulus::system
