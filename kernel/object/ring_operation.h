// SPDX-License-Identifier: MIT
// RingOperation: one accepted entry of a ring, until its completion.
//
//   free -> chained (waits for the entry before it) -> ready -> started -> free
//                                                        ^         |
//                                                        '- granted, repeated (continued later)
//
// Exactly one party ends an operation that waits (for a slot, an answer, a time): whoever changes
// `record` from waiting to granted (table, timer) or dead (deadline, cancel, close, the ring's
// end). So each has exactly one completion. Whoever ends one that it did not find through its slot
// makes that change under the ring's lock, where it has checked that the operation is still the one
// that it means.
#pragma once

#include "abi/ring.h"
#include "kernel/object/object.h"
#include "kernel/schedule/thread.h"

namespace annulus::kernel {

class Ring;
class ServedObject;
class Table;
struct OperationOfList;
struct OperationOfBucket;

enum class OperationState : uint8_t { free, chained, ready, started };

// What happens when a ready operation's turn comes.
enum class NextStep : uint8_t {
    begin,
    submit,    // a table granted it a slot, unless `table` is null again: then `result` says why
    complete,  // it is over, with `result`
};

struct RingOperation : ListNode<OperationOfList>, ListNode<OperationOfBucket> {
    Ring* ring = nullptr;
    // Guarded by the ring's lock.
    OperationState state = OperationState::free;
    NextStep next_step = NextStep::begin;
    bool doomed = false;                // it will not begin: what it waited for failed
    RingOperation* follower = nullptr;  // in its chain
    Ref<ServedObject> object;           // while a request waits; kept alive by this

    abi::SubmissionEntry entry{};  // the kernel's copy
    uint64_t words[abi::message_words] = {};
    bool uses_memory = false;  // counted in the registered memory's uses
    uint8_t hops = 0;          // of a request
    uint8_t priority = 0;      // of the thread that submitted it
    abi::Rights rights = 0;    // of the handle that it used
    uint64_t progress = 0;     // bytes copied so far

    // The wait. `place` stands in a table's queue for a slot; its thread is null.
    std::atomic<WaitRecord> record{WaitRecord::idle};
    WaitLink place;
    std::atomic<Table*> table{nullptr};  // changed under its lock
    bool waits_for_slot = false;         // guarded by the table's lock
    uint32_t slot = 0;
    uint64_t request = 0;  // the id of the request in it
    std::atomic<uint64_t> deadline{abi::deadline_never};
    Timer timer;
    Cpu* timer_cpu = nullptr;
    bool timer_armed = false;

    // How it ended.
    Status result;
    uint32_t count = 0;
    uint32_t answer_mask = 0;  // words of the answer that are handles
    uint32_t answer_bytes = 0;

    RingOperation() = default;
    bool has(uint8_t flag) const { return (entry.flags & flag) != 0; }

    // Its timer, by `deadline`. Before the wait can be seen; no lock of rank `timer` or above.
    void arm_deadline();
    void disarm_deadline();
};

// The operation whose place in a table's queue this is.
RingOperation& operation_at(WaitLink& place);

}  // namespace annulus::kernel
