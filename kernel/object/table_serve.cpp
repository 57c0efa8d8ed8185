// SPDX-License-Identifier: MIT
// Table, the server's side: taking requests, answering them, and what both do to the waiting.
#include "kernel/assert.h"
#include "kernel/object/process.h"
#include "kernel/object/ring_operation.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/system_calls.h"

#include <algorithm>
#include <bit>

namespace annulus::kernel {

namespace {

// The reply half's operands in reply_and_wait's message.
// How often reply_and_wait looks for an event that comes to nothing.
constexpr unsigned events_lost_max = 8;

uint32_t reply_bytes(const Message& message) { return static_cast<uint32_t>(message.rbx); }
unsigned reply_mask(const Message& message) {
    return static_cast<unsigned>(message.rbx >> 32 & 0x3f);
}
bool reply_flags_known(const Message& message) {
    return (message.rbx & ~(abi::reply_only | uint64_t{0x3fffffffff})) == 0;
}

void set_words(Message& message, const uint64_t (&words)[abi::message_words]) {
    message.rdx = words[0], message.r8 = words[1], message.r9 = words[2];
    message.r10 = words[3], message.r12 = words[4], message.r13 = words[5];
}

// Nothing is delivered: a status alone.
void fail(Thread& server, Status status) {
    server.message.rbp = 0;
    set_status(server, status);
}

Status reply_failure(Error error) {
    return Status(Error::ok, abi::delivery_reply_failed, static_cast<uint32_t>(error));
}

}  // namespace

// The client's handles move when a server takes the request: all, or none with no_room.
Result<void> Table::move_request_handles(Thread& server, RequestSlot& slot) {
    if (slot.moved_mask == 0) return {};
    return HandleTable::move(client_handles(slot), server.process->handles, slot.words,
                             slot.moved_mask);
}

// The thread runs the request next: its message and its priority. Its wait is over.
void Table::deliver_locked(Thread& server, RequestSlot& slot) {
    slot.state = slot.operation != nullptr ? SlotState::taken_for_ring : SlotState::taken;
    Message& message = server.message;
    message.rax = server.reply_outcome;
    server.reply_outcome = 0;
    server.remove_slow_reason(SlowReason::outcome);
    message.rdi = slot.cookie;
    message.rsi = uint64_t{slot.epoch} << 32 | index_of(slot);
    set_words(message, slot.words);
    message.rbx = slot.header;
    message.rbp = slot.lengths;
    message.r14 = slot.deadline;
    message.r15 = slot.account->key;
    slot.moved_mask = 0;
    server.hops = slot.hops;
    server.wait_kind = WaitKind::none;
    server.resume = Resume::message;
    server.priority = std::max(server.own_priority, std::min(slot.priority, server.ceiling));
}

// The notice that nobody holds the object any more: no slot, no reply.
void Table::deliver_close_locked(Thread& server, ServedObject& object) {
    server.message = {};
    server.message.rax = server.reply_outcome | Status(Error::ok, abi::delivery_close).bits;
    server.reply_outcome = 0;
    server.remove_slow_reason(SlowReason::outcome);
    server.message.rdi = object.cookie;
    server.message.rbx = static_cast<uint64_t>(abi::Verb::close);
    server.wait_kind = WaitKind::none;
    server.resume = Resume::message;
    server.priority = server.own_priority;
}

// A close notice's object, or null. From here on it is on its way out by itself.
ServedObject* Table::take_close_locked() {
    ServedObject* closed = closes_.pop_front();
    if (closed != nullptr) closed->budget->note_ending();
    return closed;
}

// Delivers what is due, if anything. A close notice's object is `closed`: the caller finishes its
// retirement without the lock. Requests whose handles find no room here are refused.
bool Table::deliver_next_locked(Thread& server, ServedObject*& closed) {
    // At most as often as there are slots: whoever is refused here is out of the queue.
    for (;;) {
        closed = take_close_locked();
        if (closed != nullptr) {
            deliver_close_locked(server, *closed);
            update_plain_locked();
            return true;
        }
        RequestSlot* slot = queue_.pop_front();
        if (slot == nullptr) return false;
        left_queue_locked(*slot);
        const auto moved = move_request_handles(server, *slot);
        if (moved.ok()) {
            event_next_ = true;
            deliver_locked(server, *slot);
            run_at_highest_locked(server);
            return true;
        }
        client_handles(*slot).unmark_busy(slot->words, slot->moved_mask);
        answer_locked(*slot, moved.status());
    }
}

// A server thread works for those behind its request, too: they wait until it is done.
void Table::run_at_highest_locked(Thread& server) {
    unsigned looked_at = 0;
    for (const RequestSlot& slot : queue_) {
        if (++looked_at > abi::chunk_items) return;
        server.priority = std::max(server.priority, std::min(slot.priority, server.ceiling));
    }
}

// Ends the client's wait with a status alone and frees the slot. False: its canceller was first.
bool Table::answer_locked(RequestSlot& slot, Status status) {
    if (slot.operation != nullptr) {
        end_waiting_locked(*slot.operation, status);
        drop_slot_locked(slot);
        return true;
    }
    Thread& client = *slot.client;
    WaitRecord waiting = WaitRecord::waiting;
    const bool won = client.wait_record.compare_exchange_strong(waiting, WaitRecord::granted,
                                                                std::memory_order_acq_rel);
    if (won) {
        client.message = {};
        client.message.rax = status.bits;
        client.resume = Resume::message;
        client.wait_kind = WaitKind::none;
        client.table.store(nullptr, std::memory_order_relaxed);
        disarm_deadline(client);
        make_ready(client);
    }
    drop_slot_locked(slot);
    return won;
}

// Ends the client's wait and moves the reply's handles to it: both, or none.
Table::Claim Table::claim_client(Thread& server, Thread& client, uint64_t* words, unsigned mask) {
    HandleTable& mine = server.process->handles;
    if (mask != 0) {
        if (std::popcount(mask) > static_cast<int>(abi::moved_handles_max)) {
            return {.gone = false, .failure = Error::too_many};
        }
        const auto marked = mine.mark_busy(words, mask);
        if (!marked.ok()) return {.gone = false, .failure = marked.status()};
    }
    WaitRecord waiting = WaitRecord::waiting;
    // Acquire-release: the winner sees the client's complete state and publishes the answer.
    if (!client.wait_record.compare_exchange_strong(waiting, WaitRecord::granted,
                                                    std::memory_order_acq_rel)) {
        if (mask != 0) mine.unmark_busy(words, mask);
        return {.gone = true, .failure = {}};
    }
    if (mask == 0) return {};
    const auto moved = HandleTable::move(mine, client.process->handles, words, mask);
    if (moved.ok()) return {};
    mine.unmark_busy(words, mask);
    // The client waits on as before.
    const uint64_t deadline = client.wait_deadline;
    disarm_deadline(client);
    arm_deadline(client, deadline);
    client.wait_record.store(WaitRecord::waiting, std::memory_order_release);
    return {.gone = false, .failure = moved.status()};
}

Table::Reply Table::reply_locked(Thread& server) {
    const Message& message = server.message;
    const uint32_t index = abi::request_slot(message.rsi);
    RequestSlot* slot = index < slot_count_ ? &slots_[index] : nullptr;
    if (slot == nullptr || slot->epoch != message.rsi >> 32 ||
        (slot->state != SlotState::taken && slot->state != SlotState::taken_for_ring &&
         slot->state != SlotState::orphan)) {
        return {.client = nullptr, .outcome = {}, .broken = true};
    }
    const auto capacity = static_cast<uint32_t>(slot->lengths >> 32);
    if (reply_bytes(message) > capacity) {
        return {.client = nullptr, .outcome = {}, .broken = true};
    }
    const Status gone(Error::ok, abi::delivery_client_gone);
    if (slot->state == SlotState::orphan) {
        drop_slot_locked(*slot);
        return {.client = nullptr, .outcome = gone, .broken = false};
    }
    if (slot->operation != nullptr) return reply_locked(server, *slot);
    Thread& client = *slot->client;
    uint64_t words[abi::message_words] = {message.rdx, message.r8,  message.r9,
                                          message.r10, message.r12, message.r13};
    const unsigned mask = reply_mask(message);
    const Claim claim = claim_client(server, client, words, mask);
    if (!claim.failure.ok()) {
        return {.client = nullptr, .outcome = reply_failure(claim.failure.code()), .broken = false};
    }
    if (claim.gone) {
        drop_slot_locked(*slot);
        return {.client = nullptr, .outcome = gone, .broken = false};
    }
    disarm_deadline(client);
    const uint64_t buffer = client.message.r15;
    client.message = {};
    set_words(client.message, words);
    client.message.rax = message.rbp;
    client.message.rsi = mask;
    client.message.rbx = reply_bytes(message);
    client.resume = Resume::message;
    if (reply_bytes(message) == 0) {
        client.wait_kind = WaitKind::none;
        client.table.store(nullptr, std::memory_order_relaxed);
        drop_slot_locked(*slot);
    } else {
        client.message.r15 = buffer;
        slot->bytes_out = reply_bytes(message);
        slot->state = SlotState::replied;
        client.operation = &copy_out_operation;
        client.continuation = finish_copy_out;
        client.resume = Resume::continuation;
    }
    return {.client = &client, .outcome = {}, .broken = false};
}

// Requests wait and no server thread does: those at work run at least at the request's priority.
void Table::boost_locked(uint8_t priority) {
    unsigned looked_at = 0;
    for (Thread& server : servers_) {
        if (++looked_at > abi::chunk_items) return;
        if (server.wait_kind == WaitKind::serve) continue;
        const uint8_t lent = std::min(priority, server.ceiling);
        if (server.priority < lent) set_priority(server, lent);
    }
}

void Table::leave_lists_locked(Thread& server) {
    if (server.serving == this) {
        servers_.remove(server);
        server.serving = nullptr;
    }
}

void Table::wait_for_request_locked(Thread& server, uint64_t deadline) {
    server.wait_kind = WaitKind::serve;
    server.status = ThreadStatus::blocked;
    server.table.store(this, std::memory_order_relaxed);
    server.priority = server.own_priority;
    server.hops = 0;
    server.resume = Resume::message;
    reserve_slot_locked(server);
    // Those with a slot stand in front.
    if (server.slot != 0) {
        waiting_.push_front(server);
    } else {
        waiting_.push_back(server);
    }
    arm_deadline(server, deadline);
    // Release: whoever ends the wait sees all of the above.
    server.wait_record.store(WaitRecord::waiting, std::memory_order_release);
}

void leave_serving_list(Thread& thread) {
    Table* table = thread.serving;
    if (table == nullptr) return;
    SpinGuard guard(table->lock_);
    table->leave_lists_locked(thread);
}

// The reply half and, if it went well, the taking of what is due. Says what is left to do.
Table::Served Table::serve_locked(Thread& server, const Message& in) {
    Served served;
    if (state_ != TableState::live) {
        served.result = end_status_;
        return served;
    }
    if (in.rsi != 0) served.reply = reply_locked(server);
    const Status outcome = served.reply.outcome;
    if (served.reply.broken) {
        served.result = Error::faulted;
        return served;
    }
    if ((in.rbx & abi::reply_only) || outcome.detail() == abi::delivery_reply_failed) {
        served.result = outcome;
        return served;
    }
    server.reply_outcome = outcome.bits;
    if (outcome.bits != 0) server.add_slow_reason(SlowReason::outcome);
    if (server.serving == nullptr) {
        server.serving = this;
        servers_.push_back(server);
    }
    serve_next_locked(server, in.r14, served);
    return served;
}

// What is due: an event if it is its turn or nothing else waits.
void Table::serve_next_locked(Thread& server, uint64_t deadline, Served& served) {
    const bool nothing = closes_.empty() && queue_.empty();
    if (state_ != TableState::live) {
        served.next = Served::Next::fail;
        served.result = end_status_;
    } else if (events_ready_ && (event_next_ || nothing)) {
        served.next = Served::Next::take_event;
    } else if (nothing && deadline == abi::deadline_poll) {
        served.next = Served::Next::fail;
        served.result = Status(Error::timed_out, Status(server.reply_outcome).detail());
    } else if (deliver_next_locked(server, served.closed)) {
        served.next = Served::Next::deliver;
    } else {
        wait_for_request_locked(server, deadline);
        served.next = Served::Next::wait;
    }
}

void Table::reply_and_wait(Thread& server) {
    const Message in = server.message;
    if (!reply_flags_known(in)) return fail(server, Error::not_supported);
    if (server.serving != this) leave_serving_list(server);
    Served served;
    {
        SpinGuard guard(lock_);
        served = serve_locked(server, in);
    }
    for (unsigned i = 0; served.next == Served::Next::take_event && !take_event(server); ++i) {
        SpinGuard guard(lock_);
        // The event went, or came to nothing. Whoever can write the words of semaphores can make
        // that happen again and again, so the server has to come back for more.
        event_next_ = false;
        serve_next_locked(server, in.r14, served);
        if (i < events_lost_max || served.next != Served::Next::take_event) continue;
        served.next = Served::Next::fail;
        served.result = Status(Error::try_again, Status(server.reply_outcome).detail());
    }
    if (served.reply.broken) end(TableState::faulted, Error::faulted);
    if (served.closed != nullptr) finish_retire(*served.closed);
    if (served.reply.operation != nullptr) finish_reply(served.reply);
    Thread* client = served.reply.client;
    if (served.next == Served::Next::wait) {
        if (client != nullptr) hand_off(*client);
        schedule();
    }
    if (client != nullptr) make_ready(*client);
    if (served.next == Served::Next::fail) fail(server, served.result);
}

}  // namespace annulus::kernel
