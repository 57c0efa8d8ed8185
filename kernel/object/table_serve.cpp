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
#include <utility>

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
    constexpr uint64_t known = abi::reply_only | abi::reply_returns | 0x3fffffffff;
    return (message.rbx & ~known) == 0;
}

// The answer's words, with the handles that move, if the client takes any. Those that go back to it
// are looked up where the kernel put them, so that nothing else can come in their place: in another
// process the same values may name other handles.
Status answer_words(const Thread& server, const RequestSlot& slot,
                    uint64_t (&words)[abi::message_words]) {
    const Message& message = server.message;
    words[0] = message.rdx, words[1] = message.r8, words[2] = message.r9;
    words[3] = message.r10, words[4] = message.r12, words[5] = message.r13;
    const unsigned mask = reply_mask(message);
    if (mask == 0) return {};
    const bool returns = (message.rbx & abi::reply_returns) != 0;
    if (returns == Status(message.r15).ok()) return Error::bad_argument;
    if (!returns) return slot.takes_handles() ? Status() : Status(Error::no_room);
    // A ring's completion cannot say what came back.
    if (slot.operation != nullptr) return Error::not_supported;
    if ((mask & ~slot.arrived()) != 0) return Error::bad_handle;
    if (slot.arrived_in != server.process->id()) return Error::bad_handle;
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if (mask >> i & 1) words[i] = slot.words[i];
    }
    return {};
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
    if (slot.operation != nullptr) {
        slot.set_state(SlotState::taken_for_ring);
    } else {
        slot.take();
    }
    server.slot = &slot;
    Message& message = server.message;
    message.rax = server.reply_outcome;
    server.reply_outcome = 0;
    server.remove_slow_reason(SlowReason::outcome);
    message.rdi = slot.cookie;
    message.rsi = slot.id;
    set_words(message, slot.words);
    message.rbx = slot.header;
    message.rbp = slot.lengths;
    message.r14 = slot.deadline;
    message.r15 = slot.account->key;
    slot.general_id = slot.id;
    slot.arrived_in = server.process->id();
    slot.arrived_mask = std::exchange(slot.moved_mask, 0);
    server.set_hops(slot.hops);
    server.resume = Resume::message;
    server.priority =
        std::max<uint8_t>(server.own_priority, std::min(slot.priority, server.ceiling));
}

// The notice that nobody holds the object any more: no slot, no reply.
void Table::deliver_close_locked(Thread& server, ServedObject& object) {
    server.message = {};
    server.message.rax = server.reply_outcome | Status(Error::ok, abi::delivery_close).bits;
    server.reply_outcome = 0;
    server.remove_slow_reason(SlowReason::outcome);
    server.message.rdi = object.cookie;
    server.message.rbx = static_cast<uint64_t>(abi::Verb::close);
    server.set_hops(0);
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
[[gnu::always_inline]] inline bool Table::deliver_next_locked(Thread& server,
                                                              ServedObject*& closed) {
    // At most as often as there are slots: whoever is refused here is out of the queue.
    for (;;) {
        closed = take_close_locked();
        if (closed != nullptr) {
            deliver_close_locked(server, *closed);
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
    const uint8_t wanted = std::min(queue_.highest_priority(), server.ceiling);
    server.priority = std::max<uint8_t>(server.priority, wanted);
}

// Ends the client's wait with a status alone and frees the slot.
void Table::answer_locked(RequestSlot& slot, Status status) {
    if (slot.operation != nullptr) {
        end_waiting_locked(*slot.operation, status);
    } else {
        Thread& client = *slot.waiter();
        client.request.store(nullptr, std::memory_order_relaxed);
        client.message = {};
        client.message.rax = status.bits;
        client.resume = Resume::message;
        disarm_deadline(client);
        make_ready(client);
    }
    drop_slot_locked(slot);
}

// The answer's handles move to the client: all, or none.
Result<void> Table::move_answer_handles(Thread& server, const Thread& client, uint64_t* words,
                                        unsigned mask) {
    if (mask == 0) return {};
    if (std::popcount(mask) > static_cast<int>(abi::moved_handles_max)) return Error::too_many;
    HandleTable& mine = server.process->handles;
    TRY(mine.mark_busy(words, mask));
    auto moved = HandleTable::move(mine, client.process->handles, words, mask);
    if (!moved.ok()) mine.unmark_busy(words, mask);
    return moved;
}

Table::Reply Table::reply_locked(Thread& server) {
    const Message& message = server.message;
    RequestSlot* slot = slot_of(message.rsi);
    const SlotState state = slot == nullptr ? SlotState::free : slot->state();
    if (state != SlotState::taken && state != SlotState::taken_for_ring &&
        state != SlotState::orphan) {
        return {.client = nullptr, .outcome = {}, .broken = true};
    }
    const auto capacity = static_cast<uint32_t>(slot->lengths >> 32);
    if (reply_bytes(message) > capacity) {
        return {.client = nullptr, .outcome = {}, .broken = true};
    }
    const Status gone(Error::ok, abi::delivery_client_gone);
    if (state == SlotState::orphan) {
        drop_slot_locked(*slot);
        return {.client = nullptr, .outcome = gone, .broken = false};
    }
    uint64_t words[abi::message_words];
    if (const Status wrong = answer_words(server, *slot, words); !wrong.ok()) {
        return {.client = nullptr, .outcome = reply_failure(wrong.code()), .broken = false};
    }
    if (slot->operation != nullptr) return reply_locked(server, *slot, words);
    Thread& client = *slot->waiter();
    const unsigned mask = reply_mask(message);
    if (const auto moved = move_answer_handles(server, client, words, mask); !moved.ok()) {
        return {.client = nullptr, .outcome = reply_failure(moved.error()), .broken = false};
    }
    client.request.store(nullptr, std::memory_order_relaxed);
    disarm_deadline(client);
    const uint64_t buffer = client.message.r15;
    client.message = {};
    set_words(client.message, words);
    client.message.rax = message.r15;
    client.message.rsi = mask;
    client.message.rbx = reply_bytes(message);
    client.resume = Resume::message;
    if (reply_bytes(message) == 0) {
        drop_slot_locked(*slot);
    } else {
        client.message.r15 = buffer;
        // Release: pairs with the acquire in cancel().
        client.table.store(this, std::memory_order_release);
        client.given = slot;
        slot->bytes_out = reply_bytes(message);
        slot->set_state(SlotState::replied);
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
        if (waits(server)) continue;
        const uint8_t lent = std::min(priority, server.ceiling);
        if (server.priority < lent) set_priority(server, lent);
    }
}

void Table::wait_for_request_locked(Thread& server, uint64_t deadline) {
    reserve_slot_locked(server);
    if (server.slot != &no_slot) {
        waiting_.push_front(server);
    } else {
        waiting_without_slot_.push_back(server);
    }
    arm_deadline(server, deadline);
}

bool Table::waits(const Thread& server) {
    return WaitingList<Thread>::contains(server) ||
           static_cast<const ListNode<TableThreadLink>&>(server).linked();
}

void Table::end_wait_locked(Thread& server) {
    if (WaitingList<Thread>::contains(server)) {
        waiting_.remove(server);
    } else {
        waiting_without_slot_.remove(server);
    }
    disarm_deadline(server);
    unreserve_slot_locked(server);
}

void Table::leave_serving_list(Thread& thread) {
    // Acquire: pairs with the release in serve_locked(). Safety: a table ends the service of its
    // servers before its memory goes, which lasts until the kernel is left.
    Table* table = thread.serving.load(std::memory_order_acquire);
    thread.served.forget();
    thread.slot = &no_slot;
    if (table == nullptr) return;
    Guard guard(*table);
    // Relaxed: changed under the lock.
    if (thread.serving.load(std::memory_order_relaxed) != table) return;
    table->servers_.remove(thread);
    thread.serving.store(nullptr, std::memory_order_relaxed);
}

// The reply half and, if it went well, the taking of what is due. Says what is left to do.
[[gnu::always_inline]] inline Table::Served Table::serve_locked(Thread& server) {
    const Message& in = server.message;
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
    if (server.serving.load(std::memory_order_relaxed) == nullptr) {
        // Release: pairs with the acquires of those who come to the table through it.
        server.serving.store(this, std::memory_order_release);
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
    const uint64_t deadline = server.message.r14;  // what is delivered takes its place
    const uint8_t priority = server.priority;
    if (!reply_flags_known(server.message)) return fail(server, Error::not_supported);
    if (server.serving.load(std::memory_order_relaxed) != this) leave_serving_list(server);
    Served served;
    {
        Guard guard(*this);
        served = serve_locked(server);
    }
    for (unsigned i = 0; served.next == Served::Next::take_event && !take_event(server); ++i) {
        Guard guard(*this);
        // The event went, or came to nothing. Whoever can write the words of semaphores can make
        // that happen again and again, so the server has to come back for more.
        event_next_ = false;
        serve_next_locked(server, deadline, served);
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
    // Somebody who is ready may be more urgent than what it took now.
    if (server.priority < priority) this_cpu().resched.store(true, std::memory_order_relaxed);
}

}  // namespace annulus::kernel
