// SPDX-License-Identifier: MIT
// Table: creation, slots, shares and accounts of clients.
#include "kernel/object/table.h"

#include "kernel/assert.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/ring.h"
#include "kernel/schedule/scheduler.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace annulus::kernel {

constinit RequestSlot no_slot;

namespace {

constexpr uint64_t pages_for_slots(uint64_t slots) {
    return (slots * sizeof(RequestSlot) + abi::page_size - 1) / abi::page_size;
}

// Who waits there for a slot.
TableClient* account_of(WaitLink& place) {
    const ServedObject& object =
        place.thread != nullptr ? *place.thread->calls : *operation_at(place).object;
    return object.client;
}

constexpr uint64_t pages_for_blocks(uint64_t slots, uint64_t block) {
    return (slots * block + abi::page_size - 1) / abi::page_size;
}

}  // namespace

Result<Ref<Table>> Table::create(Budget& budget, uint64_t slots, uint64_t block,
                                 MemoryObject* memory, uint64_t offset, Process& landing) {
    if (slots == 0 || slots > abi::table_slots_max) return Status(Error::bad_argument, 0);
    const bool power = std::has_single_bit(block) && block >= 64 && block <= abi::table_block_max;
    if ((block != 0 && !power) || (block == 0) != (memory == nullptr)) {
        return Status(Error::bad_argument, 1);
    }
    if (offset % abi::page_size != 0) return Status(Error::bad_argument, 3);
    // The table's own end gives everything back that was charged so far.
    auto table = TRY(budget.create<Table>());
    TRY(landing.handles.reserve(static_cast<uint32_t>(slots) * abi::moved_handles_max));
    table->landing_ = Ref<Process>::share(landing).leak();
    table->slot_count_ = static_cast<uint32_t>(slots);
    table->half_ = static_cast<uint32_t>(slots / 2);
    table->room_ = static_cast<int32_t>(slots / 2);
    TRY(budget.charge(abi::Resource::slots, slots));
    auto storage = allocate_table_pages(budget, pages_for_slots(slots));
    if (!storage.ok()) {
        budget.uncharge(abi::Resource::slots, slots);
        return storage.status();
    }
    table->slots_ = static_cast<RequestSlot*>(*storage);
    for (uint32_t i = 0; i < table->slot_count_; ++i) {
        RequestSlot* slot = new (&table->slots_[i]) RequestSlot;
        slot->id = abi::request_epoch | i;
        slot->table = table.get();
        slot->next_free = i + 1 < table->slot_count_ ? i + 2 : 0;
    }
    table->set_first_free(1);
    if (memory == nullptr) return table;
    const uint64_t first = offset / abi::page_size;
    const uint64_t count = pages_for_blocks(slots, block);
    if (first > memory->pages() || count > memory->pages() - first) return Error::out_of_range;
    // Merely looked up: its last handle may just have been closed.
    if (!try_retain(*memory)) return Status(Error::bad_handle, 0, 3);
    table->memory_ = Ref<MemoryObject>::adopt(*memory);
    table->first_page_ = first;
    table->page_count_ = count;
    table->block_ = block;
    return table;
}

Result<bool> Table::pin_some() {
    const uint64_t left = page_count_ - pinned_;
    const uint64_t count = chunk_of(left);
    if (count > 0) TRY(memory_->pin(*budget, first_page_ + pinned_, count));
    const uint64_t begin = pinned_ * abi::page_size;
    pinned_ += count;
    if (block_ == 0) return true;
    short_bytes_ = std::min<uint64_t>(block_, abi::page_size);
    for (uint64_t i = begin / block_; i < slot_count_ && i * block_ < pinned_ * abi::page_size;
         ++i) {
        if (i * block_ >= begin) slots_[i].block = block_at(static_cast<uint32_t>(i), 0);
    }
    return count == left;
}

std::byte* Table::block_at(uint32_t slot, uint64_t offset) const {
    const uint64_t at = slot * block_ + offset;
    auto* page =
        static_cast<std::byte*>(memory_->pinned_address(first_page_ + at / abi::page_size));
    return page + at % abi::page_size;
}

void Table::close_door_locked() {
    if (closed_) return;
    uint64_t seen = door_closed;
    // Acquire: pairs with the release of whoever stood in the door. A fast path does so for some
    // dozens of instructions with interrupts off, and one that comes meanwhile queues at `lock_`.
    while ((seen = door_.exchange(door_closed, std::memory_order_acquire)) == door_closed) {
        spin_wait();
    }
    closed_ = true;
    waiting_.set_head(seen);
}

void Table::open_door_locked() {
    if (!closed_ || !plain_locked()) return;
    closed_ = false;
    // Release: pairs with the fast paths' exchange, an acquire.
    door_.store(waiting_.head(), std::memory_order_release);
}

bool Table::plain_locked() const {
    return state_ == TableState::live && slot_waiters_.empty() && closes_.empty() &&
           queue_.empty() && !events_ready_;
}

// Above half full a client may hold its share, a part of half the slots, and always one.
bool Table::over_share_locked(const TableClient& account) const {
    if (room_ > 0 || account.held == 0) return false;
    return account.held >= half_ / (client_count_ == 0 ? 1 : client_count_);
}

RequestSlot* Table::take_slot_locked(TableClient& account) {
    if (over_share_locked(account)) return nullptr;
    if (free_head_ != 0) return &give_free_slot_locked(account);
    Thread* server = waiting_.front();
    if (server == nullptr) return nullptr;
    // A thread without a slot gives way to those that have one.
    waiting_.remove(*server);
    waiting_without_slot_.push_back(*server);
    return &give_locked(*std::exchange(server->slot, &no_slot), account);
}

// The request in the slot is over: the slot is free, and its epoch never comes back.
void Table::drop_slot_locked(RequestSlot& slot) {
    if (slot.account != nullptr) {
        --slot.account->held;
        slot.account = nullptr;
    }
    ++room_;
    slot.caller = nullptr;
    slot.client = nullptr;
    slot.operation = nullptr;
    slot.moved_mask = 0;
    slot.bytes_out = 0;
    slot.copying = false;
    slot.lengths = 0;
    // The bits of an epoch last for decades of nothing but calls.
    slot.id += abi::request_epoch;
    free_slot_locked(slot);
}

void Table::free_slot_locked(RequestSlot& slot) {
    slot.set_state(SlotState::free);
    slot.next_free = free_head_;
    free_head_ = index_of(slot) + 1;
    if (!slot_waiters_.empty()) admit_clients_locked();
}

// A server thread begins to wait: it owns a slot if one is free, for the next request.
void Table::reserve_slot_locked(Thread& server) {
    server.slot = &no_slot;
    if (free_head_ == 0) return;
    server.slot = &slots_[free_head_ - 1];
    free_head_ = server.slot->next_free;
    server.slot->set_state(SlotState::reserved);
}

void Table::unreserve_slot_locked(Thread& server) {
    RequestSlot* slot = std::exchange(server.slot, &no_slot);
    if (slot != &no_slot) free_slot_locked(*slot);
}

// The first free slot, of which there is one.
RequestSlot& Table::give_free_slot_locked(TableClient& account) {
    RequestSlot& slot = slots_[free_head_ - 1];
    free_head_ = slot.next_free;
    return give_locked(slot, account);
}

RequestSlot& Table::give_locked(RequestSlot& slot, TableClient& account) {
    slot.set_state(SlotState::granted);
    slot.account = &account;
    ++account.held;
    --room_;
    return slot;
}

// Gives free slots to clients that wait for one, in order, passing over those above their share (at
// most chunk_items). Who is passed over holds a slot, and is looked at again when that is free.
void Table::admit_clients_locked() {
    while (free_head_ != 0 && !slot_waiters_.empty() && state_ == TableState::live) {
        WaitLink* chosen = nullptr;
        unsigned looked_at = 0;
        for (WaitLink& link : slot_waiters_) {
            if (++looked_at > abi::chunk_items) break;
            if (over_share_locked(*account_of(link))) continue;
            chosen = &link;
            break;
        }
        if (chosen == nullptr) break;
        slot_waiters_.remove(*chosen);
        TableClient& account = *account_of(*chosen);
        if (chosen->thread == nullptr) {
            RingOperation& operation = operation_at(*chosen);
            WaitRecord waiting = WaitRecord::waiting;
            if (operation.record.compare_exchange_strong(waiting, WaitRecord::granted,
                                                         std::memory_order_acq_rel)) {
                grant_locked(operation, give_free_slot_locked(account));
            }
            continue;
        }
        Thread& client = *chosen->thread;
        client.given = &give_free_slot_locked(account);
        client.given->client = &client;
        disarm_deadline(client);
        make_ready(client);
    }
}

TableClient* Table::find_client_locked(const Budget& budget) {
    for (TableClient& client :
         clients_[reinterpret_cast<uint64_t>(&budget) / 64 % client_buckets]) {
        if (client.budget == &budget) return &client;
    }
    return nullptr;
}

// The last record of a client went. Slots that it still holds (orphans) pass to former_clients_.
void Table::drop_client_locked(TableClient& client) {
    for (uint32_t i = 0; client.held > 0 && i < slot_count_; ++i) {
        if (!slots_[i].is_held() || slots_[i].account != &client) continue;
        slots_[i].account = &former_clients_;
        --client.held;
        ++former_clients_.held;
    }
    --client_count_;
    clients_[reinterpret_cast<uint64_t>(client.budget) / 64 % client_buckets].remove(client);
}

Table::Counts Table::counts() {
    Guard guard(*this);
    Counts counts{slot_count_, 0, 0, 0, 0, 0};
    for (uint32_t i = 0; i < slot_count_; ++i) {
        switch (slots_[i].state()) {
            case SlotState::free:
            case SlotState::reserved: ++counts.free; break;
            case SlotState::queued: ++counts.queued; break;
            case SlotState::taken:
            case SlotState::taken_for_ring: ++counts.taken; break;
            case SlotState::orphan: ++counts.orphans; break;
            default: break;
        }
    }
    for (const WaitLink& link : slot_waiters_) {
        (void)link;
        ++counts.clients;
    }
    return counts;
}

Result<Budget*> Table::client_budget(uint64_t request_id) {
    Guard guard(*this);
    const RequestSlot* slot = slot_of(request_id);
    if (slot == nullptr) return Error::not_found;
    // Whoever sent it pays, also when the object it was sent through is paid by another: what one
    // program publishes, many open.
    if (slot->state() == SlotState::taken_for_ring) return slot->operation->ring->process().budget;
    if (slot->state() != SlotState::taken) return Error::not_found;
    return slot->waiter()->process->budget;
}

Result<uint64_t> Table::client_key(const ServedObject& object) {
    Guard guard(*this);
    // Relaxed: changed under the lock.
    if (object.table.load(std::memory_order_relaxed) != this || object.client == nullptr)
        return Error::not_found;
    return object.client->key;
}

Result<Ref<ServedObject>> Table::create_object(Budget& payer, uint64_t cookie) {
    auto object = TRY(payer.create<ServedObject>());
    void* storage = TRY(payer.allocate_bytes(sizeof(TableClient)));
    Status failure;
    {
        Guard guard(*this);
        TableClient* client = find_client_locked(payer);
        if (state_ != TableState::live) {
            failure = end_status_;
        } else {
            if (client == nullptr) {
                client = new (storage) TableClient;
                storage = nullptr;
                client->key = payer.key();
                client->budget = &payer;
                ++client_count_;
                clients_[reinterpret_cast<uint64_t>(&payer) / 64 % client_buckets].push_back(
                    *client);
            }
            ++client->records;
            object->table.store(this, std::memory_order_release);
            object->entrance = this;
            object->cookie = cookie;
            object->client = client;
            records_.push_back(*object);
        }
    }
    if (storage != nullptr) payer.free_bytes(storage, sizeof(TableClient));
    if (!failure.ok()) return failure;
    return object;
}

}  // namespace annulus::kernel
