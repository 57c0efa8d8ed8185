// SPDX-License-Identifier: MIT
// Table, the client's side: a call from the request's copy-in to the answer's copy-out.
#include "arch/clock.h"
#include "arch/user_access.h"
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/ring_operation.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/system_calls.h"

#include <algorithm>
#include <bit>

namespace annulus::kernel {

namespace {

uint32_t bytes_in(const Message& message) { return static_cast<uint32_t>(message.rbx); }
uint32_t capacity_out(const Message& message) { return static_cast<uint32_t>(message.rbx >> 32); }
unsigned moved_mask(const Message& message) {
    return static_cast<unsigned>(message.rsi >> 32 & 0x3f);
}

void message_words(const Message& message, uint64_t (&words)[abi::message_words]) {
    words[0] = message.rdx, words[1] = message.r8, words[2] = message.r9;
    words[3] = message.r10, words[4] = message.r12, words[5] = message.r13;
}

// The call failed: a message that holds nothing but the status.
void fail(Thread& client, Status status) {
    client.message = {};
    client.message.rax = status.bits;
    client.resume = Resume::message;
}

// The same, and handles that were about to move stay with the client.
void fail_keeping(Thread& client, Status status) {
    if (const unsigned mask = moved_mask(client.message); mask != 0) {
        uint64_t words[abi::message_words];
        message_words(client.message, words);
        client.process->handles.unmark_busy(words, mask);
    }
    fail(client, status);
}

Status check_call(const Message& message, uint64_t block) {
    if (std::popcount(moved_mask(message)) > static_cast<int>(abi::moved_handles_max)) {
        return Error::too_many;
    }
    if (bytes_in(message) > block || (capacity_out(message) > 0 && block == 0)) {
        return Status(Error::limit, 0, static_cast<uint32_t>(block));
    }
    if (message.r14 <= arch::now_ns()) return Error::timed_out;
    return {};
}

}  // namespace

const LongOperation Table::granted_operation = {Table::slot_granted, Table::abandon_granted};
const LongOperation Table::copy_out_operation = {Table::finish_copy_out, Table::abandon_copy_out};

void Table::call(Thread& client, ServedObject& object, abi::Rights rights) {
    // Safety: a record keeps its table until the table's end clears this under the table's lock;
    // the table's memory lasts until the kernel is left.
    Table* table = object.table.load(std::memory_order_acquire);
    if (table == nullptr) return fail(client, object.end_status);
    table->begin(client, object, rights);
}

void Table::begin(Thread& client, ServedObject& object, abi::Rights rights) {
    Message& message = client.message;
    if (const Status wrong = check_call(message, block_); !wrong.ok()) return fail(client, wrong);
    if (client.hops() >= abi::hops_max) return fail(client, Error::too_deep);
    if (capacity_out(message) > block_) {
        message.rbx = uint64_t{bytes_in(message)} | block_ << 32;  // short counts are legal
    }
    if (const unsigned mask = moved_mask(message); mask != 0) {
        uint64_t words[abi::message_words];
        message_words(message, words);
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if ((mask >> i & 1) && words[i] == message.rdi) {
                return fail(client, Status(Error::bad_argument, static_cast<uint16_t>(i)));
            }
        }
        const auto marked = client.process->handles.mark_busy(words, mask);
        if (!marked.ok()) return fail(client, marked.status());
    }
    RequestSlot* slot = nullptr;
    Status refusal;
    {
        Guard guard(*this);
        refusal = reachable_locked(object);
        // Clients wait while a slot is free only if they are above their share: this one does
        // not have to wait for them.
        if (refusal.ok()) slot = take_slot_locked(*object.client);
        if (refusal.ok() && slot == nullptr) {
            if (try_retain(object)) {
                wait_for_slot_locked(client, object, rights);
            } else {
                refusal = Error::bad_handle;
            }
        }
    }
    if (!refusal.ok()) return fail_keeping(client, refusal);
    if (slot == nullptr) schedule();
    submit(client, *slot, object, rights, {});
}

// Why no request may go to the object. Whoever merely looked it up may come after its last handle
// was closed: the server may have been told, and must not hear of it again.
Status Table::reachable_locked(const ServedObject& object) const {
    if (state_ != TableState::live) return end_status_;
    return object.client != nullptr ? Status() : Status(Error::bad_handle);
}

// The client queues for a slot. It holds a reference to the object, which is taken over, since the
// handle may be closed meanwhile.
void Table::wait_for_slot_locked(Thread& client, ServedObject& object, abi::Rights rights) {
    client.calls = &object;
    client.calls_rights = rights;
    // Release: pairs with the acquire in cancel(), who may know the table from here alone.
    client.table.store(this, std::memory_order_release);
    client.given = nullptr;
    client.operation = &granted_operation;
    client.continuation = slot_granted;
    client.resume = Resume::continuation;
    arm_deadline(client, client.message.r14);
    slot_waiters_.push_back(client.link);
}

// The client runs again: it owns a slot, unless the table ended since (its `table` is null).
void Table::slot_granted(Thread& client) {
    client.operation = nullptr;
    Ref<ServedObject> held = Ref<ServedObject>::adopt(*client.calls);
    client.calls = nullptr;
    // Safety: the table's memory lasts until the kernel is left, also if it ends meanwhile.
    Table* table = client.table.load(std::memory_order_acquire);
    RequestSlot* slot = table == nullptr ? nullptr : table->take_grant(client);
    if (slot == nullptr) {
        fail_keeping(client, client.cancelled);
        held.reset();
    } else {
        ServedObject& object = *held;
        table->submit(client, *slot, object, client.calls_rights, std::move(held));
    }
    leave_kernel(client);
    return_to_thread(client);
}

// The slot that a client was granted while it waited; from here on it is in the running client's
// hands. Null: the table ended since, and took it back.
RequestSlot* Table::take_grant(Thread& client) {
    Guard guard(*this);
    if (client.table.load(std::memory_order_relaxed) != this) return nullptr;
    client.table.store(nullptr, std::memory_order_relaxed);
    client.given->client = nullptr;
    return client.given;
}

void Table::abandon_granted(Thread& client) {
    Ref<ServedObject> object = Ref<ServedObject>::adopt(*client.calls);
    client.calls = nullptr;
    if (Table* table = client.table.load(std::memory_order_acquire)) {
        if (RequestSlot* slot = table->take_grant(client)) {
            Guard guard(*table);
            table->drop_slot_locked(*slot);
        }
    }
    fail_keeping(client, Error::cancelled);
}

// Copies the bytes in and queues the request or hands over to a server thread. `held`: a reference
// to the object, or none, that goes when the request is on its way. Returns only if the call
// failed.
void Table::submit(Thread& client, RequestSlot& slot, ServedObject& object, abi::Rights rights,
                   Ref<ServedObject> held) {
    const bool copied = bytes_in(client.message) == 0 || copy_in(client.message, slot);
    Offered offered;
    {
        Guard guard(*this);
        offered.refusal = copied ? reachable_locked(object) : Status(Error::bad_address);
        if (offered.refusal.ok()) {
            fill_slot_locked(client, slot, object, rights);
            offered = offer_locked(slot, object);
        }
        if (!offered.refusal.ok()) drop_slot_locked(slot);
    }
    if (!offered.refusal.ok()) {
        disarm_deadline(client);
        return fail_keeping(client, offered.refusal);
    }
    held.reset();
    if (offered.server != nullptr) hand_off(*offered.server);
    schedule();
}

// The request's private copy, and the client's state while it waits for the answer.
void Table::fill_slot_locked(Thread& client, RequestSlot& slot, const ServedObject& object,
                             abi::Rights rights) {
    const Message& message = client.message;
    slot.client = &client;
    slot.cookie = object.cookie;
    slot.moved_mask = static_cast<uint8_t>(moved_mask(message));
    slot.hops = static_cast<uint8_t>(client.hops() + 1);
    slot.priority = client.priority;
    slot.header = (message.rsi & 0xffff000f) | uint64_t{slot.hops} << 8 |
                  uint64_t{rights & abi::all_rights} << 32 | uint64_t{slot.moved_mask} << 56 |
                  (message.rsi & abi::call_takes_handles ? abi::header_takes_handles : 0);
    slot.lengths = message.rbx;
    slot.deadline = message.r14;
    message_words(message, slot.words);
    client.resume = Resume::message;
    arm_deadline(client, message.r14);
}

// Gives the request to a waiting server thread, or queues it. From here on others may end the
// client's wait.
Table::Offered Table::offer_locked(RequestSlot& slot, ServedObject& object) {
    if (Thread* server = next_waiting_locked()) {
        // Refused: the server thread waits on.
        const auto moved = move_request_handles(*server, slot);
        if (!moved.ok()) return {nullptr, moved.status()};
        end_wait_locked(*server);
        begin_wait_locked(slot);
        deliver_locked(*server, slot);
        return {server, {}};
    }
    slot.set_state(SlotState::queued);
    slot.object = &object;
    ++object.queued;
    queue_.push_back(slot);
    begin_wait_locked(slot);
    boost_locked(slot.priority);
    return {nullptr, {}};
}

// The request's client waits for the answer.
void Table::begin_wait_locked(RequestSlot& slot) {
    if (slot.operation != nullptr) {
        // Release: whoever ends the wait sees the slot and the operation's state.
        slot.operation->record.store(WaitRecord::waiting, std::memory_order_release);
    } else {
        // Release: pairs with the acquire in cancel(): the slot knows its table.
        slot.client->request.store(&slot, std::memory_order_release);
    }
}

// The request is not in the queue any more. Its object's close notice had to stay behind it.
void Table::left_queue_locked(RequestSlot& slot) {
    ServedObject& object = *slot.object;
    slot.object = nullptr;
    // Without a client: the last handle is closed.
    if (--object.queued == 0 && object.client == nullptr) closes_.push_back(object);
}

bool Table::copy_in(const Message& message, const RequestSlot& slot) {
    const uint32_t size = bytes_in(message);
    for (uint32_t done = 0; done < size;) {
        std::byte* to = block_at(index_of(slot), done);
        const auto room =
            static_cast<uint32_t>(abi::page_size - reinterpret_cast<uint64_t>(to) % abi::page_size);
        const uint32_t part = std::min(size - done, room);
        if (!arch::copy_from_user(to, {message.r15 + done}, part)) return false;
        done += part;
    }
    return true;
}

bool Table::copy_out(uint64_t buffer, const RequestSlot& slot) {
    for (uint32_t done = 0; done < slot.bytes_out;) {
        const std::byte* from = block_at(index_of(slot), done);
        const auto room = static_cast<uint32_t>(abi::page_size -
                                                reinterpret_cast<uint64_t>(from) % abi::page_size);
        const uint32_t part = std::min(slot.bytes_out - done, room);
        if (!arch::copy_to_user({buffer + done}, from, part)) return false;
        done += part;
    }
    return true;
}

// The client runs again with an answer that has bytes: its own last step is to copy them.
// message.r15 is still its buffer; the table's end (table null) took the bytes away.
void Table::finish_copy_out(Thread& client) {
    client.operation = nullptr;
    const uint64_t buffer = client.message.r15;
    client.message.r15 = 0;
    Table* table = client.table.load(std::memory_order_acquire);
    RequestSlot* slot = nullptr;
    if (table != nullptr) {
        Guard guard(*table);
        if (client.table.load(std::memory_order_relaxed) == table) {
            slot = client.given;
            slot->copying = true;
        }
    }
    if (slot == nullptr) {
        fail(client, client.cancelled);
    } else {
        if (!table->copy_out(buffer, *slot)) client.message.rax = Status(Error::bad_address).bits;
        Guard guard(*table);
        client.table.store(nullptr, std::memory_order_relaxed);
        table->drop_slot_locked(*slot);
    }
    client.resume = Resume::message;
    leave_kernel(client);
    return_to_thread(client);
}

void Table::abandon_copy_out(Thread& client) {
    Table* table = client.table.load(std::memory_order_acquire);
    if (table == nullptr) return;
    Guard guard(*table);
    if (client.table.exchange(nullptr, std::memory_order_relaxed) != table) return;
    table->drop_slot_locked(*client.given);
}

}  // namespace annulus::kernel
