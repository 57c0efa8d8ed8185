// SPDX-License-Identifier: MIT
// Rings: many operations with one system call, on any objects, without waiting for each.
//
//   auto ring = MUST(ClientRing::create(budget, process, 64));
//   MUST(ring.handle().set_register(0, memory, 0, 16));
//   *ring.prepare() = ring_read(file, 0, {.memory = 0, .offset = 0, .size = 4096}, 1);
//   *ring.prepare() = ring_timer(deadline, 2);
//   MUST(ring.submit(1));                                    // and wait for one completion
//   for (abi::CompletionEntry done; ring.next(done);) ...    // done.user_data is 1 or 2
//
// `Ring` in generated/objects.h is the handle alone. The order of completions is the order in which
// the operations ended. What an operation reads or writes stays untouched until its completion.
#pragma once

#include "abi/ring.h"
#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"
#include "runtime/ring_queues.h"
#include "runtime/system_call.h"

namespace annulus {

// A part of registered memory.
struct RingBytes {
    uint16_t memory = abi::ring_no_memory;
    uint32_t offset = 0;
    uint32_t size = 0;
};

// Entries, to be assigned to what prepare() answers.
inline abi::SubmissionEntry ring_operation(HandleValue object, abi::Verb verb, uint16_t selector,
                                           uint64_t user_data) {
    abi::SubmissionEntry entry = {};
    entry.verb = abi::ring_verb(verb);
    entry.selector = selector;
    entry.memory = abi::ring_no_memory;
    entry.handle = object.value();
    entry.user_data = user_data;
    entry.deadline = abi::deadline_never;
    return entry;
}
// `place` is operand 0: the offset in a file or memory object, 0 for a stream.
inline abi::SubmissionEntry ring_read(HandleValue object, uint64_t place, RingBytes to,
                                      uint64_t user_data) {
    abi::SubmissionEntry entry = ring_operation(object, abi::Verb::read, 0, user_data);
    entry.words[0] = place;
    entry.memory = to.memory;
    entry.offset = to.offset;
    entry.capacity_out = to.size;
    return entry;
}
inline abi::SubmissionEntry ring_write(HandleValue object, uint64_t place, RingBytes from,
                                       uint64_t user_data) {
    abi::SubmissionEntry entry = ring_operation(object, abi::Verb::write, 0, user_data);
    entry.words[0] = place;
    entry.memory = from.memory;
    entry.offset = from.offset;
    entry.bytes_in = from.size;
    return entry;
}
inline abi::SubmissionEntry ring_close(HandleValue object, uint64_t user_data) {
    return ring_operation(object, abi::Verb::close, 0xff00, user_data);
}
// Does nothing but check the handle, if there is one.
inline abi::SubmissionEntry ring_nop(uint64_t user_data, HandleValue object = {}) {
    abi::SubmissionEntry entry = {};
    entry.verb = abi::ring_nop;
    entry.handle = object.value();
    entry.user_data = user_data;
    return entry;
}
inline abi::SubmissionEntry ring_timer(Deadline deadline, uint64_t user_data) {
    abi::SubmissionEntry entry = {};
    entry.verb = abi::ring_timer;
    entry.user_data = user_data;
    entry.deadline = deadline.at;
    return entry;
}
// Asks the operation with `target` as its user_data to end; its own completion tells how it did.
inline abi::SubmissionEntry ring_cancel(uint64_t target, uint64_t user_data) {
    abi::SubmissionEntry entry = {};
    entry.verb = abi::ring_cancel;
    entry.words[0] = target;
    entry.user_data = user_data;
    return entry;
}

// A ring and its queues, mapped into this process. Move-only.
class ClientRing {
public:
    // Errors as for budget.create.ring, memory and map.
    static Result<ClientRing> create(BudgetReference budget, ProcessReference process,
                                     uint32_t entries, uint32_t allowed = abi::ring_allow_all);
    ClientRing(ClientRing&& other);
    ClientRing& operator=(ClientRing&&) = delete;
    ~ClientRing();

    // See RingQueues.
    abi::SubmissionEntry* prepare() { return queues_.prepare(); }
    bool next(abi::CompletionEntry& to) { return queues_.next(to); }

    // Submits what was prepared and waits until `completions` can be taken. How many entries were
    // accepted; fewer than prepared when completions were not taken: take some and submit again.
    // try_again: none was, and nothing was waited for. timed_out. faulted: the queues' indices were
    // wrong. busy.
    Result<uint32_t> submit(uint32_t completions = 0, Deadline deadline = Deadline::never()) {
        queues_.publish();
        const auto answer = completions == 0
                                ? system::enter(ring_.value())
                                : system::enter(ring_.value(), completions, deadline.at);
        if (!answer.status.ok()) return answer.status;
        return static_cast<uint32_t>(answer.accepted);
    }
    // The next completion, for which it waits.
    Result<abi::CompletionEntry> take(Deadline deadline = Deadline::never());

    RingReference handle() const { return ring_; }
    RingQueues& queues() { return queues_; }

private:
    ClientRing(ProcessReference process, Ring ring, RingQueues queues, uint64_t mapped)
        : process_(process), ring_(std::move(ring)), queues_(queues), mapped_(mapped) {}

    ProcessReference process_;
    Ring ring_;
    RingQueues queues_;
    uint64_t mapped_ = 0;  // bytes
};

}  // namespace annulus
