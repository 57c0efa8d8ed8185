// SPDX-License-Identifier: MIT
// The eight system calls and their registers.
//
// Entered by SYSCALL with the number in rax. The kernel keeps rsp, rip and rflags; every other
// register is either part of the message below or comes back as zero, as it was passed, or (r15 of
// call) as the status, so a caller treats them all as lost; wait, signal and signal_and_wait keep
// rbp; enter keeps rbp, rbx and r12-r15. Vector registers are dead: the caller clears what it used,
// the callee loads its own.
//
// call            in:  rdi handle, rsi operation word, rdx r8 r9 r10 r12 r13 words 0-5,
//                      with call_deadline in rsi: r14 deadline; with call_buffer:
//                      r15 buffer, rbx bytes in | capacity out << 32
//                 out: rax status, rdx r8 r9 r10 r12 r13 words, rbx bytes out,
//                      rsi mask of the words that are arrived handles
// reply_and_wait  in:  rdi table, rsi request id (0: none), r15 status of the reply,
//                      rdx r8 r9 r10 r12 r13 words,
//                      rbx bytes out | mask of moved handles << 32 | flags << 48,
//                      with reply_deadline in rbx: r14 deadline
//                 out: rax status (see Delivery), rdi cookie, rsi request id, rbx request header,
//                      rdx r8 r9 r10 r12 r13 words, rbp bytes in | capacity out << 32,
//                      r14 the client's deadline, r15 the client's key
// enter           in:  rdi ring, rsi completions to wait for | enter_only_waits, r10 deadline
//                 out: rax status, rdx entries accepted, rsi completions to be read;
//                      rdi, r8, r9 zero or what the queues hold
// wait            in:  rdi semaphore, rsi seen value (sequence mode), rdx deadline
//                 out: rax status, rdx value
//   on a set      in:  rdi set, rsi SetEvent array or 0, rdx deadline, r10 its length
//                 out: rax status, rdx how many events, or without an array:
//                      rax status with event_closed in detail, rdx key, rsi value
// wait_any        in:  rdi WaitEntry array, rsi count, rdx deadline
//                 out: rax status, rdx index | rsi value
// signal          in:  rdi semaphore, rsi units          out: rax status
// signal_and_wait in:  rdi semaphore to signal (1 unit), rsi semaphore to wait for, rdx deadline,
//                      r10 seen value                    out: rax status, rdx value
//   rsi a set     in:  r10 is 0                          out: rax status, rdx key, rsi value
// exit            in:  rdi exit code of the thread       does not return
//
// Where a semaphore is expected, the end of a channel will do: signal rings the peer, wait waits
// for the end's own bell. The value is 0, or channel_ended.
#pragma once

#include "abi/handle.h"
#include "abi/limits.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

// Outside Linux's range of numbers, so that redirecting Linux calls costs this path nothing.
enum class SystemCall : uint64_t {
    call = 0x1000,
    reply_and_wait = 0x1001,
    enter = 0x1002,
    wait = 0x1003,
    wait_any = 0x1004,
    signal = 0x1005,
    signal_and_wait = 0x1006,
    exit = 0x1007,
};

inline constexpr uint64_t system_call_first = 0x1000;
inline constexpr uint64_t system_call_count = 8;

// The operation word of a call: verb 0-15 | selector 16-31 | moved-handle mask 32-37 | flags 38-40
// | zero. Bit i of the mask says that word i is a handle that moves to the server with the request.
constexpr uint64_t operation_word(Verb verb, uint16_t selector, unsigned moved_mask = 0) {
    return static_cast<uint64_t>(verb) | uint64_t{selector} << 16 | uint64_t{moved_mask} << 32;
}
inline constexpr uint64_t operation_word_reserved = ~uint64_t{0x1ffffff000f};

// Its flags: which registers beside the words mean something. Without them the call waits as long
// as it takes, and nothing is read or written but registers.
inline constexpr uint64_t call_deadline = uint64_t{1} << 38;
inline constexpr uint64_t call_buffer = uint64_t{1} << 39;
// The caller looks for handles in the answer. Without it an answer brings none but the request's
// own, after a refusal: a server that tries gets no_room, and an operation of a kernel object that
// answers handles is refused.
inline constexpr uint64_t call_takes_handles = uint64_t{1} << 40;

inline constexpr uint64_t header_takes_handles = uint64_t{1} << 62;

// The request header that a server gets:
// verb 0-7 | hops 8-15 | selector 16-31 | rights of the client's handle 32-55 | handle mask 56-61
// | the client takes handles 62.
struct RequestHeader {
    uint64_t bits = 0;
    constexpr Verb verb() const { return static_cast<Verb>(bits & 0xff); }
    constexpr unsigned hops() const { return static_cast<unsigned>(bits >> 8 & 0xff); }
    constexpr uint16_t selector() const { return static_cast<uint16_t>(bits >> 16); }
    constexpr Rights rights() const { return static_cast<Rights>(bits >> 32 & 0xffffff); }
    constexpr unsigned handle_mask() const { return static_cast<unsigned>(bits >> 56 & 0x3f); }
    constexpr bool takes_handles() const { return (bits & header_takes_handles) != 0; }
    // With it the request can be passed on as it is, by whoever still has its handles.
    constexpr uint64_t operation() const {
        return (bits & 0xffff000f) | uint64_t{handle_mask()} << 32 |
               (takes_handles() ? call_takes_handles : 0);
    }
    constexpr void clear_handle(unsigned index) { bits &= ~(uint64_t{1} << (56 + index)); }
    constexpr void set_handle(unsigned index) { bits |= uint64_t{1} << (56 + index); }
};

// A request id: slot (low 10 bits) + epoch (the others, never 0), which never comes back. A close
// notice has id 0: it occupies no slot and takes no reply.
inline constexpr uint64_t request_epoch = table_slots_max;  // an epoch's first id
constexpr uint32_t request_slot(uint64_t id) {
    return static_cast<uint32_t>(id & (request_epoch - 1));
}

// Flags of reply_and_wait (bits 48 up of rbx).
inline constexpr uint64_t reply_only = uint64_t{1} << 48;      // answer, do not wait
inline constexpr uint64_t reply_deadline = uint64_t{1} << 49;  // r14; otherwise it waits for ever
// With an error, which brings no handles otherwise: the mask names words of the request whose
// handles are still where they arrived; they go back to the client, as these words.
inline constexpr uint64_t reply_returns = uint64_t{1} << 50;

// A flag of enter, beside the number of completions: what was submitted stays in the queue.
inline constexpr uint64_t enter_only_waits = uint64_t{1} << 63;

// What reply_and_wait's status says beside its code (in detail): the outcome of the reply half.
inline constexpr uint16_t delivery_client_gone = 1;   // the reply's client had left
inline constexpr uint16_t delivery_close = 2;         // this is a close notice, not a request
inline constexpr uint16_t delivery_reply_failed = 4;  // extra: the Error; nothing was answered
inline constexpr uint16_t delivery_event = 8;  // of the bound set: rdi is its key, rdx its value
inline constexpr uint16_t delivery_event_closed = 16;  // with delivery_event: see event_closed

// The value of a wait that heard the bell of a channel's end, once the channel was faulted or
// nobody holds the peer's end any more.
inline constexpr uint64_t channel_ended = 1;

// One entry of wait_any's list.
struct WaitEntry {
    Handle semaphore;
    uint64_t seen;  // sequence mode: the last value seen; otherwise ignored
};
static_assert(sizeof(WaitEntry) == 16);

// The member's semaphore ended: this is its last event, and it is no member any more.
inline constexpr uint16_t event_closed = 1;

// What a wait on a set returns for one member.
struct SetEvent {
    uint64_t key;    // as given when the member was added
    uint64_t value;  // sequence mode: its new value; a channel's end: or channel_ended; else 0
    uint64_t flags;  // event_closed
};
static_assert(sizeof(SetEvent) == 24);

}  // namespace annulus::abi
