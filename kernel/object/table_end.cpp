// SPDX-License-Identifier: MIT
// Table: cancelled waits, the end of served objects and of the table itself.
#include "base/container_of.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/ring_operation.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"

#include <algorithm>

namespace annulus::kernel {

namespace {

std::atomic<uint32_t> next_table_epoch{1};

constexpr uint64_t pages_for_slots(uint64_t slots) {
    return (slots * sizeof(RequestSlot) + abi::page_size - 1) / abi::page_size;
}

// The handles that a client was about to move stay with it.
void keep_handles(Thread& client) {
    const Message& message = client.message;
    const auto mask = static_cast<unsigned>(message.rsi >> 32 & 0x3f);
    if (mask == 0) return;
    const uint64_t words[abi::message_words] = {message.rdx, message.r8,  message.r9,
                                                message.r10, message.r12, message.r13};
    client.process->handles.unmark_busy(words, mask);
}

void set_message_status(Thread& thread, Status status) {
    thread.message = {};
    thread.message.rax = status.bits;
    thread.resume = Resume::message;
}

// Under the lock of the table at which the thread waits: the timer was armed for an earlier wait,
// which ended while it was on its way.
bool came_late(const Thread& thread, Error error) {
    return error == Error::timed_out && !deadline_came(thread);
}

}  // namespace

// Each pointer to a table is cleared before the table's memory goes, which lasts until the kernel
// is left; so one that was found may be followed, and says under the lock whether the thread still
// waits. Acquire: pairs with the lock's or door's release after the pointer was set.
bool Table::cancel(Thread& thread, Error error) {
    if (RequestSlot* slot = thread.request.load(std::memory_order_acquire)) {
        if (slot->table->cancel_request(thread, *slot, error)) return true;
    }
    if (Table* table = thread.table.load(std::memory_order_acquire)) {
        if (table->cancel_slot_wait(thread, error)) return true;
    }
    Table* table = thread.serving.load(std::memory_order_acquire);
    return table != nullptr && table->cancel_serving(thread, error);
}

bool Table::cancel_request(Thread& client, RequestSlot& slot, Error error) {
    Guard guard(*this);
    // Relaxed: changed under the lock.
    if (client.request.load(std::memory_order_relaxed) != &slot) return false;
    if (came_late(client, error)) return false;
    client.request.store(nullptr, std::memory_order_relaxed);
    disarm_deadline(client);
    if (slot.state() == SlotState::queued) {
        queue_.remove(slot);
        left_queue_locked(slot);
        keep_handles(client);
        drop_slot_locked(slot);
        set_message_status(client, error);
        return true;
    }
    // Taken: the answer will never be known here, and handles stay moved.
    slot.caller = nullptr;
    slot.client = nullptr;
    slot.set_state(SlotState::orphan);
    set_message_status(client, Error::unknown_outcome);
    return true;
}

bool Table::cancel_slot_wait(Thread& client, Error error) {
    Guard guard(*this);
    // Relaxed: changed under the lock. One that has a slot waits for nothing but its turn to run.
    if (client.table.load(std::memory_order_relaxed) != this || client.given != nullptr) {
        return false;
    }
    if (came_late(client, error)) return false;
    slot_waiters_.remove(client.link);
    disarm_deadline(client);
    // slot_granted() finishes: with `table` null it answers this status instead.
    client.cancelled = error;
    // Release, here and below: pairs with the acquire in slot_granted() and finish_copy_out(),
    // which then answer what was written before.
    client.table.store(nullptr, std::memory_order_release);
    return true;
}

bool Table::cancel_serving(Thread& server, Error error) {
    Guard guard(*this);
    // Relaxed: changed under the lock.
    if (server.serving.load(std::memory_order_relaxed) != this || !waits(server)) return false;
    if (came_late(server, error)) return false;
    end_wait_locked(server);
    set_message_status(server, Status(error, Status(server.reply_outcome).detail()));
    server.reply_outcome = 0;
    server.remove_slow_reason(SlowReason::outcome);
    server.priority = server.own_priority;
    server.set_hops(0);
    return true;
}

// --- served objects
// -------------------------------------------------------------------------------

static Table* no_table();

struct ServedEnd {
    // The last handle went: the server is told, as soon as it asks. True: nothing is due.
    static bool detach(Object& base) {
        auto& object = static_cast<ServedObject&>(base);
        object.death_watches.clear();
        Table* table = object.table.load(std::memory_order_acquire);
        if (table == nullptr) return true;
        Thread* server = nullptr;
        TableClient* unused = nullptr;
        bool done = true;
        {
            Table::Guard guard(*table);
            // Relaxed: changed under the lock.
            if (object.table.load(std::memory_order_relaxed) == nullptr) return true;
            table->records_.remove(object);
            object.end_status = Error::bad_handle;
            unused = forget_client_locked(*table, object);
            if (object.queued > 0) {
                done = false;  // left_queue_locked() sees to the notice
            } else if (table->state_ == TableState::live) {
                server = notify_locked(*table, object, done);
            }
            // Only the server ends this now, so the payer's destruction must not wait for it: the
            // record becomes one of its remains (budget_destroy.cpp).
            if (!done) object.budget->note_ended();
        }
        if (unused != nullptr) object.budget->free_bytes(unused, sizeof(TableClient));
        if (server != nullptr) make_ready(*server);
        return done;
    }

    // The client's account, if this was its last record: to be freed without the lock.
    static TableClient* forget_client_locked(Table& table, ServedObject& object)
        REQUIRES(table.lock_) {
        TableClient* client = object.client;
        object.client = nullptr;
        object.table.store(nullptr, std::memory_order_release);
        object.entrance = no_table();
        if (--client->records > 0) return nullptr;
        table.drop_client_locked(*client);
        return client;
    }

    static Thread* notify_locked(Table& table, ServedObject& object, bool& done)
        REQUIRES(table.lock_) {
        if (Thread* server = table.next_waiting_locked()) {
            table.end_wait_locked(*server);
            table.deliver_close_locked(*server, object);
            return server;
        }
        table.closes_.push_back(object);
        done = false;
        return nullptr;
    }

    // Its budget is destroyed while others hold handles: it behaves as if they were closed.
    static void die(Object&) {}
    static void destruct(Object& object) { static_cast<ServedObject&>(object).~ServedObject(); }
    static bool unwatch(Object& object) {
        unsigned limit = abi::chunk_items;
        return static_cast<ServedObject&>(object).death_watches.clear_some(limit);
    }
};

const ObjectKind ServedObject::kind_table = {abi::ObjectType::served, ServedEnd::detach,
                                             ServedEnd::die, ServedEnd::destruct,
                                             ServedEnd::unwatch};

// In the place of a table that ended: a door that is always closed, and nothing else.
static Table* no_table() {
    alignas(Table) static constinit std::byte memory[sizeof(Table)] = {};
    // Safety: the fast paths look at nothing but the door, which is zero: closed. They write a zero
    // there.
    return reinterpret_cast<Table*>(memory);
}

ServedObject::ServedObject(Budget* payer, uint32_t size)
    : Object(kind_table, payer, size), entrance(no_table()) {}

// --- the end of a table
// ---------------------------------------------------------------------------

void Table::end(TableState state, Status status, bool unreferenced) {
    {
        Guard guard(*this);
        // Its whole end is over, and what it has is about to be freed: this is somebody who looked
        // it up before its last handle went.
        if (unreferenced_ && !ending_) return;
        if (state_ == TableState::live) {
            end_status_ = status;
            state_ = state;
        } else if (state == TableState::dead) {
            state_ = TableState::dead;
        }
        end_cursor_ = 0;
        // With `ending_`: the end that is under way sees it, or another one begins; never both.
        unreferenced_ = unreferenced_ || unreferenced;
        if (ending_) return;
        ending_ = true;
    }
    end_work_.priority = abi::priority_count - 1;
    reap(end_work_);
}

struct TableEnd {
    // One waiting thread less. False when none is left.
    static bool wake_waiter(Table& table, Thread*& woken) REQUIRES(table.lock_) {
        if (Thread* server = table.next_waiting_locked()) {
            table.end_wait_locked(*server);
            set_message_status(*server, table.end_status_);
            server->priority = server->own_priority;
            server->set_hops(0);
            woken = server;
            return true;
        }
        WaitLink* link = table.slot_waiters_.pop_front();
        if (link == nullptr) return false;
        if (link->thread == nullptr) {
            RingOperation& operation = operation_at(*link);
            table.client_keeps_handles(operation);
            table.end_waiting_locked(operation, table.end_status_);
            return true;
        }
        woken = link->thread;
        disarm_deadline(*woken);
        woken->cancelled = table.end_status_;
        woken->table.store(nullptr, std::memory_order_release);
        return true;
    }

    // Ends what is in one slot. False: a client copies right now, come again.
    static bool end_slot(Table& table, RequestSlot& slot) REQUIRES(table.lock_) {
        if (slot.copying) return false;
        switch (slot.state()) {
            case SlotState::queued:
                table.queue_.remove(slot);
                table.left_queue_locked(slot);
                if (slot.operation == nullptr) {
                    keep_handles(*slot.client);
                } else {
                    table.client_keeps_handles(*slot.operation);
                }
                table.answer_locked(slot, table.end_status_);
                break;
            case SlotState::taken:
            case SlotState::taken_for_ring: table.answer_locked(slot, table.end_status_); break;
            case SlotState::orphan: table.drop_slot_locked(slot); break;
            case SlotState::granted:
            case SlotState::replied:
                if (slot.operation != nullptr) {
                    // It finds `table` null when its turn comes.
                    slot.operation->result = table.end_status_;
                    slot.operation->table.store(nullptr, std::memory_order_release);
                    table.drop_slot_locked(slot);
                    break;
                }
                // A granted slot without a client is in the hands of a running client (submit).
                if (slot.client == nullptr) return false;
                // The client finds `table` null when it runs.
                slot.client->cancelled = table.end_status_;
                slot.client->table.store(nullptr, std::memory_order_release);
                table.drop_slot_locked(slot);
                break;
            default: break;
        }
        return true;
    }

    // One waiting thread, one slot or one server less. False when nothing is left of these;
    // `stuck`: a client copies right now.
    static bool end_one(Table& table, bool& stuck) {
        Thread* woken = nullptr;
        Table::Guard guard(table);
        if (wake_waiter(table, woken)) {
            if (woken != nullptr) make_ready(*woken);
            return true;
        }
        // A table that could not be made has no slots.
        if (table.slots_ != nullptr && table.end_cursor_ < table.slot_count_) {
            stuck = !end_slot(table, table.slots_[table.end_cursor_]);
            if (!stuck) ++table.end_cursor_;
            return true;
        }
        Thread* server = table.servers_.pop_front();
        // Release: pairs with the acquire in leave_serving_list(): it is in no list, and may be put
        // into another table's.
        if (server != nullptr) server->serving.store(nullptr, std::memory_order_release);
        return server != nullptr;
    }

    // One close notice that nobody will take, or one object that outlives the table. False when
    // there is none.
    static bool end_object_record(Table& table) {
        ServedObject* closed = nullptr;
        ServedObject* object = nullptr;
        TableClient* unused = nullptr;
        {
            Table::Guard guard(table);
            closed = table.take_close_locked();
            if (closed == nullptr) object = table.records_.pop_front();
            if (object != nullptr) {
                object->end_status = table.end_status_;
                unused = ServedEnd::forget_client_locked(table, *object);
            }
        }
        if (closed != nullptr) finish_retire(*closed);
        if (object == nullptr) return closed != nullptr;
        if (unused != nullptr) object->budget->free_bytes(unused, sizeof(TableClient));
        object->death_watches.fire_last();
        return true;
    }

    static Work::Step step(Work& work) {
        Table& table = container_of(work, &Table::end_work_);
        for (unsigned i = 0; i < abi::chunk_items; ++i) {
            bool stuck = false;
            if (end_one(table, stuck)) {
                if (stuck) return Work::Step::more;
                continue;
            }
            if (end_object_record(table)) continue;
            bool retired;
            {
                Table::Guard guard(table);
                table.ending_ = false;
                retired = table.unreferenced_;
            }
            // Who lost a thread's wait to us may be on the way to its slot.
            if (retired) grace_after(table.end_grace_);
            return Work::Step::done;
        }
        return Work::Step::more;
    }

    // Nobody can reach the table any more.
    static void grace_ended(GraceItem& item) {
        Table& table = container_of(item, &Table::end_grace_);
        table.unbind_events();
        table.end_work_.step = free_resources;
        reap(table.end_work_);
    }

    static Work::Step free_resources(Work& work) {
        Table& table = container_of(work, &Table::end_work_);
        Budget& budget = *table.budget;
        const uint64_t count = chunk_of(table.pinned_);
        if (count > 0) {
            table.pinned_ -= count;
            table.memory_->unpin(budget, table.first_page_ + table.pinned_, count);
        }
        if (table.pinned_ > 0) return Work::Step::more;
        table.memory_.reset();
        if (table.slots_ != nullptr) {
            free_table_pages(budget, table.slots_, pages_for_slots(table.slot_count_));
            budget.uncharge(abi::Resource::slots, table.slot_count_);
        }
        if (table.landing_ != nullptr) {
            table.landing_->handles.unreserve(table.slot_count_ * abi::moved_handles_max);
            release(*table.landing_);
        }
        finish_retire(table);
        return Work::Step::done;
    }

    static Status died(const Table& table) { return Status(Error::server_died, 0, table.epoch_); }
    static void die(Object& object) {
        auto& table = static_cast<Table&>(object);
        table.end(TableState::dead, died(table));
    }
    // The reaper finishes the retirement.
    static bool detach(Object& object) {
        auto& table = static_cast<Table&>(object);
        table.end(TableState::dead, died(table), true);
        return false;
    }
    static void destruct(Object& object) { static_cast<Table&>(object).~Table(); }
};

const ObjectKind Table::kind_table = {abi::ObjectType::table, TableEnd::detach, TableEnd::die,
                                      TableEnd::destruct};

Table::Table(Budget* payer, uint32_t size)
    : Object(kind_table, payer, size),
      epoch_(next_table_epoch.fetch_add(1, std::memory_order_relaxed)) {
    end_work_.step = TableEnd::step;
    end_grace_.done = TableEnd::grace_ended;
}

}  // namespace annulus::kernel
