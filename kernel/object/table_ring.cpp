// SPDX-License-Identifier: MIT
// Table, the client's side when the client is a ring's operation instead of a thread.
//
// The way is that of a thread's call (table_call.cpp): a slot, bytes in, queued or delivered, the
// answer. What a thread does itself when it runs again, the ring's work item does; bytes go through
// the direct map to and from registered memory, so the server's CPU copies those of the answer. Up
// to short_bytes_ are copied under the lock, as the fast paths do it in the door; a slot of which
// more are copied right now is `copying`: the table's end waits for it.
#include "arch/clock.h"
#include "kernel/object/process.h"
#include "kernel/object/ring.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"

#include <algorithm>
#include <bit>

namespace annulus::kernel {

HandleTable& Table::client_handles(const RequestSlot& slot) {
    return slot.operation != nullptr ? slot.operation->ring->process().handles
                                     : slot.waiter()->process->handles;
}

// Handles that were about to move stay with the process.
void Table::client_keeps_handles(RingOperation& operation) {
    const unsigned mask = operation.entry.moved_mask;
    if (mask != 0) operation.ring->process().handles.unmark_busy(operation.words, mask);
}

// As for a call; and cuts the room for bytes to a block.
[[gnu::always_inline]] inline Status Table::check(RingOperation& operation) const {
    abi::SubmissionEntry& entry = operation.entry;
    const unsigned mask = entry.moved_mask;
    if (mask >> abi::message_words != 0) return Status(Error::bad_argument, 6);
    if (std::popcount(mask) > static_cast<int>(abi::moved_handles_max)) return Error::too_many;
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if ((mask >> i & 1) && operation.words[i] == entry.handle) {
            return Status(Error::bad_argument, 6);
        }
    }
    if (entry.bytes_in > block_ || (entry.capacity_out > 0 && block_ == 0)) {
        return Status(Error::limit, 0, static_cast<uint32_t>(block_));
    }
    if (operation.hops > abi::hops_max) return Error::too_deep;
    const uint64_t deadline = operation.deadline.load(std::memory_order_relaxed);
    if (deadline != abi::deadline_never && deadline <= arch::now_ns()) return Error::timed_out;
    entry.capacity_out = static_cast<uint32_t>(std::min<uint64_t>(entry.capacity_out, block_));
    return {};
}

void Table::begin(RingOperation& operation) {
    Ring& ring = *operation.ring;
    Status refusal = check(operation);
    if (refusal.ok() && operation.entry.moved_mask != 0) {
        refusal =
            ring.process().handles.mark_busy(operation.words, operation.entry.moved_mask).status();
    }
    if (!refusal.ok()) return ring.finish(operation, refusal);
    RequestSlot* to_fill = nullptr;
    Offered offered;
    {
        Guard guard(*this);
        if (state_ != TableState::live) {
            offered.refusal = end_status_;
        } else if (RequestSlot* slot = take_slot_locked(*operation.object->client)) {
            if (operation.entry.bytes_in <= short_bytes_) {
                copy_in(operation, *slot);
                offered = offer_locked(operation, *slot);
            } else {
                slot->operation = &operation;
                slot->copying = true;
                to_fill = slot;
            }
        } else {
            wait_for_slot_locked(operation);
        }
    }
    if (to_fill != nullptr) return submit(operation, *to_fill);
    note_offered(operation, offered);
}

void Table::wait_for_slot_locked(RingOperation& operation) {
    // Release: pairs with the acquire of who ends the wait.
    operation.table.store(this, std::memory_order_release);
    operation.waits_for_slot = true;
    operation.arm_deadline();
    slot_waiters_.push_back(operation.place);
    // Release: whoever ends the wait sees all of the above.
    operation.record.store(WaitRecord::waiting, std::memory_order_release);
}

// The slot is the operation's; its ring's work goes on with it.
void Table::grant_locked(RingOperation& operation, RequestSlot& slot) {
    operation.disarm_deadline();
    operation.waits_for_slot = false;
    operation.slot = index_of(slot);
    slot.operation = &operation;
    operation.ring->continue_later(operation);
}

void Table::submit_granted(RingOperation& operation) {
    // Safety: the table's memory lasts until the kernel is left, also if it ends meanwhile.
    Table* table = operation.table.load(std::memory_order_acquire);
    RequestSlot* slot = nullptr;
    if (table != nullptr) {
        Guard guard(*table);
        if (operation.table.load(std::memory_order_relaxed) == table) {
            operation.table.store(nullptr, std::memory_order_relaxed);
            slot = &table->slots_[operation.slot];
            slot->copying = true;
        }
    }
    if (slot != nullptr) return table->submit(operation, *slot);
    client_keeps_handles(operation);
    operation.ring->finish(operation, operation.result);
}

// The bytes of a slot, page by page: `copy` gets where each part lies in the block and from where
// on it is. Up to short_bytes_ also under the lock.
template <typename Copy>
[[gnu::always_inline]] inline void Table::copy_parts(const RequestSlot& slot, uint32_t size,
                                                     Copy copy) const {
    if (size <= short_bytes_) return copy(slot.block, uint32_t{0}, size);
    for (uint32_t done = 0; done < size;) {
        const auto part = std::min(size - done, static_cast<uint32_t>(abi::page_size));
        copy(block_at(index_of(slot), done), done, part);
        done += part;
    }
}

[[gnu::always_inline]] inline void Table::copy_in(const RingOperation& operation,
                                                  const RequestSlot& slot) const {
    const abi::SubmissionEntry& entry = operation.entry;
    copy_parts(slot, entry.bytes_in, [&](std::byte* block, uint32_t at, uint32_t size) {
        operation.ring->copy_in(operation, entry.offset + at, block, size);
    });
}

// Copies many bytes in and queues the request or gives it to a server thread. The operation may be
// over when this returns.
void Table::submit(RingOperation& operation, RequestSlot& slot) {
    copy_in(operation, slot);
    Offered offered;
    {
        Guard guard(*this);
        slot.copying = false;
        offered = offer_locked(operation, slot);
    }
    note_offered(operation, offered);
}

// The bytes are in the slot's block.
Table::Offered Table::offer_locked(RingOperation& operation, RequestSlot& slot) {
    Offered offered;
    if (state_ != TableState::live) {
        offered.refusal = end_status_;
    } else {
        fill_slot_locked(operation, slot);
        offered = offer_locked(slot, *operation.object);
    }
    if (!offered.refusal.ok()) {
        operation.record.store(WaitRecord::idle, std::memory_order_relaxed);
        operation.table.store(nullptr, std::memory_order_relaxed);
        drop_slot_locked(slot);
    }
    return offered;
}

// What is to be done without the lock. The operation may be over: it is looked at if refused.
[[gnu::always_inline]] inline void Table::note_offered(RingOperation& operation,
                                                       const Offered& offered) {
    if (!offered.refusal.ok()) {
        client_keeps_handles(operation);
        return operation.ring->finish(operation, offered.refusal);
    }
    if (offered.server != nullptr) make_ready(*offered.server);
}

[[gnu::always_inline]] inline void Table::fill_slot_locked(RingOperation& operation,
                                                           RequestSlot& slot) {
    const abi::SubmissionEntry& entry = operation.entry;
    slot.client = nullptr;
    slot.operation = &operation;
    slot.cookie = operation.object->cookie;
    slot.moved_mask = entry.moved_mask;
    slot.hops = operation.hops;
    slot.priority = operation.priority;
    slot.header = uint64_t{entry.verb} | uint64_t{slot.hops} << 8 | uint64_t{entry.selector} << 16 |
                  uint64_t{operation.rights & abi::all_rights} << 32 |
                  uint64_t{slot.moved_mask} << 56 |
                  (entry.landing_count != 0 ? abi::header_takes_handles : 0);
    slot.lengths = uint64_t{entry.bytes_in} | uint64_t{entry.capacity_out} << 32;
    slot.deadline = operation.deadline.load(std::memory_order_relaxed);
    std::copy(std::begin(operation.words), std::end(operation.words), std::begin(slot.words));
    // Release: pairs with the acquire of who ends the wait.
    operation.table.store(this, std::memory_order_release);
    operation.waits_for_slot = false;
    operation.slot = index_of(slot);
    operation.request = slot.id;
    operation.arm_deadline();
}

// Ends the wait with a status alone, unless its canceller was first.
void Table::end_waiting_locked(RingOperation& operation, Status status) {
    WaitRecord waiting = WaitRecord::waiting;
    // Acquire-release: the winner sees the operation's complete state.
    if (!operation.record.compare_exchange_strong(waiting, WaitRecord::granted,
                                                  std::memory_order_acq_rel)) {
        return;
    }
    operation.table.store(nullptr, std::memory_order_relaxed);
    operation.ring->finish_later(operation, status);
}

Status Table::cancel(RingOperation& operation, Error error) {
    Guard guard(*this);
    Status status = error;
    if (operation.waits_for_slot) {
        if (static_cast<ListNode<SemaphoreQueueLink>&>(operation.place).linked()) {
            slot_waiters_.remove(operation.place);
        }
        client_keeps_handles(operation);
    } else {
        RequestSlot& slot = slots_[operation.slot];
        const bool ours = slot.operation == &operation && slot.id == operation.request;
        if (ours && slot.state() == SlotState::queued) {
            queue_.remove(slot);
            left_queue_locked(slot);
            client_keeps_handles(operation);
            drop_slot_locked(slot);
        } else {
            // Taken: the answer will never be known here, and handles stay moved.
            status = Error::unknown_outcome;
            if (ours) {
                slot.set_state(SlotState::orphan);
                slot.operation = nullptr;
            }
        }
    }
    operation.table.store(nullptr, std::memory_order_relaxed);
    return status;
}

// --- the answer
// -----------------------------------------------------------------------------------

// As for a thread, but handles arrive at the values that the operation named.
[[gnu::always_inline]] inline Table::Claim Table::claim_client(Thread& server,
                                                               RingOperation& operation,
                                                               uint64_t* words, unsigned mask) {
    HandleTable& mine = server.process->handles;
    Ring& ring = *operation.ring;
    const auto count = static_cast<unsigned>(std::popcount(mask));
    if (mask != 0) {
        if (count > abi::moved_handles_max) return {.gone = false, .failure = Error::too_many};
        const auto marked = mine.mark_busy(words, mask);
        if (!marked.ok()) return {.gone = false, .failure = marked.status()};
    }
    WaitRecord waiting = WaitRecord::waiting;
    // Acquire-release: as in end_waiting_locked().
    if (!operation.record.compare_exchange_strong(waiting, WaitRecord::granted,
                                                  std::memory_order_acq_rel)) {
        if (mask != 0) mine.unmark_busy(words, mask);
        return {.gone = true, .failure = {}};
    }
    if (mask == 0) return {};
    uint64_t values[abi::moved_handles_max];
    auto moved = ring.take_landings(operation, count, values);
    if (moved.ok()) {
        moved = HandleTable::move_to_values(mine, ring.process().handles, words, mask, values);
        if (moved.ok()) return {};
        ring.return_landings(operation, count, values);
    }
    mine.unmark_busy(words, mask);
    // The operation waits on as before.
    operation.disarm_deadline();
    operation.arm_deadline();
    operation.record.store(WaitRecord::waiting, std::memory_order_release);
    return {.gone = false, .failure = moved.status()};
}

// The reply to a request in `slot`, which was checked, with these words.
Table::Reply Table::reply_locked(Thread& server, RequestSlot& slot,
                                 uint64_t (&words)[abi::message_words]) {
    const Message& message = server.message;
    RingOperation& operation = *slot.operation;
    const auto mask = static_cast<unsigned>(message.rbx >> 32 & 0x3f);
    const Claim claim = claim_client(server, operation, words, mask);
    Reply reply;
    if (!claim.failure.ok()) {
        reply.outcome = Status(Error::ok, abi::delivery_reply_failed,
                               static_cast<uint32_t>(claim.failure.code()));
        return reply;
    }
    if (claim.gone) {
        drop_slot_locked(slot);
        reply.outcome = Status(Error::ok, abi::delivery_client_gone);
        return reply;
    }
    std::copy(std::begin(words), std::end(words), std::begin(operation.words));
    operation.result = Status(message.r15);
    operation.answer_mask = mask;
    operation.answer_bytes = static_cast<uint32_t>(message.rbx);
    operation.table.store(nullptr, std::memory_order_relaxed);
    reply.operation = &operation;
    slot.bytes_out = operation.answer_bytes;
    if (slot.bytes_out <= short_bytes_) {
        copy_out(operation, slot);
        drop_slot_locked(slot);
    } else {
        slot.set_state(SlotState::replied);
        slot.copying = true;
        reply.slot = &slot;
    }
    return reply;
}

// The answer is in nobody else's hands.
[[gnu::always_inline]] inline void Table::copy_out(RingOperation& operation,
                                                   const RequestSlot& slot) const {
    copy_parts(slot, slot.bytes_out, [&](const std::byte* block, uint32_t at, uint32_t size) {
        operation.ring->copy_out(operation, operation.entry.offset + at, block, size);
    });
}

void Table::finish_reply(const Reply& reply) {
    RingOperation& operation = *reply.operation;
    if (reply.slot != nullptr) {
        copy_out(operation, *reply.slot);
        Guard guard(*this);
        drop_slot_locked(*reply.slot);
    }
    operation.ring->finish_answered(operation);
}

}  // namespace annulus::kernel
