// SPDX-License-Identifier: MIT
// HandleTable: entering, finding, moving and closing handles.
#include "kernel/object/handle_table.h"

#include "kernel/assert.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/budget.h"
#include "kernel/schedule/thread.h"

#include <bit>
#include <new>

namespace annulus::kernel {

namespace {

constexpr uint32_t generation_retired = 0xffffffff;

constexpr uint64_t pages_for(uint32_t slots) {
    return (uint64_t{slots} * sizeof(HandleEntry) + abi::page_size - 1) / abi::page_size;
}

// Sets or clears the busy bit. The table's lock is held.
void set_busy(HandleEntry& entry, bool busy) {
    const uint64_t word = entry.word.load(std::memory_order_relaxed);
    // Release: a reader that sees the new word sees the entry as it is.
    entry.word.store(busy ? word | handle_busy : word & ~handle_busy, std::memory_order_release);
}

}  // namespace

Result<void> HandleTable::create(HandleTable& table, Budget& budget, uint32_t slots) {
    TRY(budget.charge(abi::Resource::handles, slots));
    auto storage = allocate_table_pages(budget, pages_for(slots), TableContent::undefined);
    if (!storage.ok()) {
        budget.uncharge(abi::Resource::handles, slots);
        return storage.status();
    }
    table.entries_ = static_cast<HandleEntry*>(*storage);
    table.capacity_ = slots;
    table.budget_ = &budget;
    return {};
}

bool HandleTable::prepare_some() {
    constexpr auto per_step =
        static_cast<uint32_t>(abi::chunk_items * abi::page_size / sizeof(HandleEntry));
    SpinGuard guard(lock_);
    const uint32_t end = capacity_ - size_ < per_step ? capacity_ : size_ + per_step;
    for (uint32_t slot = size_; slot < end; ++slot) {
        HandleEntry& entry = *new (&entries_[slot]) HandleEntry();
        entry.word.store(entry_word(1, abi::ObjectType::none, 0), std::memory_order_relaxed);
        entry.next_free = slot + 1 < capacity_ ? slot + 1 : 0;
    }
    size_ = end;
    if (size_ < capacity_) return false;
    // Slot 0 stays unused, so that 0 ends the free list and handle 0 names nothing.
    entries_[0].word.store(0, std::memory_order_relaxed);
    free_head_ = 1;
    free_count_ = capacity_ - 1;
    return true;
}

Result<Found> HandleTable::find(abi::Handle handle, abi::ObjectType type,
                                abi::Rights needed) const {
    const Seen seen = see(handle);
    if (seen.error != Error::ok) return seen.error;
    const abi::ObjectType found = type_in(seen.word);
    const abi::Rights rights = rights_in(seen.word);
    if (type != abi::ObjectType::any && type != found) return Error::wrong_type;
    if (const abi::Rights missing = needed & ~rights; missing != 0) {
        return Status(Error::no_right, static_cast<uint16_t>(std::countr_zero(missing)));
    }
    return Found{seen.object, found, rights, seen.lease};
}

bool HandleTable::remember(abi::Handle handle, RecentHandle& recent) const {
    const uint32_t slot = abi::slot_of(handle);
    if (slot >= size_) return false;
    const HandleEntry& entry = entries_[slot];
    // Acquire: as in find().
    const uint64_t word = entry.word.load(std::memory_order_acquire);
    const bool plain = word >> 32 == abi::generation_of(handle) && (word & handle_busy) == 0;
    if (!plain || type_in(word) == abi::ObjectType::none) return false;
    Object* object = entry.object.load(std::memory_order_acquire);
    if (entry.lease.load(std::memory_order_acquire) != 0) return false;
    if (entry.word.load(std::memory_order_relaxed) != word) return false;
    recent = {handle, &entry, word, object};
    return true;
}

uint32_t HandleTable::take_free_locked(bool landing) {
    if (free_count_ == 0 || (!landing && free_count_ <= reserved_)) return 0;
    const uint32_t slot = free_head_;
    free_head_ = static_cast<uint32_t>(entries_[slot].next_free);
    --free_count_;
    add_used_locked(1);
    return slot;
}

Result<abi::Handle> HandleTable::insert(Ref<Object> object, abi::Rights rights, uint64_t lease,
                                        bool landing) {
    SpinGuard guard(lock_);
    const uint32_t slot = take_free_locked(landing);
    if (slot == 0) return Error::no_room;
    HandleEntry& entry = entries_[slot];
    const auto generation = static_cast<uint32_t>(entry.word.load(std::memory_order_relaxed) >> 32);
    const abi::ObjectType type = object->type();
    entry.object.store(object.leak(), std::memory_order_relaxed);
    entry.lease.store(lease, std::memory_order_relaxed);
    // Release: pairs with the acquire in find().
    entry.word.store(entry_word(generation, type, rights), std::memory_order_release);
    return abi::make_handle(slot, generation);
}

Result<void> HandleTable::reserve(uint32_t slots) {
    SpinGuard guard(lock_);
    if (free_count_ < reserved_ || free_count_ - reserved_ < slots) return Error::no_room;
    reserved_ += slots;
    return {};
}

void HandleTable::unreserve(uint32_t slots) {
    SpinGuard guard(lock_);
    kernel_assert(slots <= reserved_, "more landing slots given back than reserved");
    reserved_ -= slots;
}

// Takes the entry, which names something, out. The references that it had, to the object and to its
// lease, are the caller's.
[[gnu::always_inline]] inline Object& HandleTable::take_out_locked(HandleEntry& entry,
                                                                   uint32_t slot) {
    const auto generation = static_cast<uint32_t>(entry.word.load(std::memory_order_relaxed) >> 32);
    // The old word goes first: a reader that still sees it took everything before this store.
    entry.word.store(entry_word(generation + 1, abi::ObjectType::none, 0),
                     std::memory_order_release);
    Object& object = *entry.object.load(std::memory_order_relaxed);
    entry.object.store(nullptr, std::memory_order_release);
    entry.lease.store(0, std::memory_order_relaxed);
    add_used_locked(~uint32_t{0});
    // A retired slot is never used again, so that no generation comes twice.
    if (generation + 1 != generation_retired) [[likely]] {
        entry.next_free = free_head_;
        free_head_ = slot;
        ++free_count_;
    }
    return object;
}

// The same for one that may be free: then false.
bool HandleTable::remove_locked(uint32_t slot, Ref<Object>& object) {
    HandleEntry& entry = entries_[slot];
    if (type_in(entry.word.load(std::memory_order_relaxed)) == abi::ObjectType::none) return false;
    const Lease lease = entry.lease.load(std::memory_order_relaxed);
    object = Ref<Object>::adopt(take_out_locked(entry, slot));
    if (lease != 0) release_lease(lease);
    return true;
}

Result<void> HandleTable::close(abi::Handle handle) {
    const uint32_t slot = abi::slot_of(handle);
    if (slot >= size_) return Error::bad_handle;
    HandleEntry& entry = entries_[slot];
    // Relaxed: a handle that is closed has its lease from its first moment to its last.
    if (entry.lease.load(std::memory_order_relaxed) != 0) return close_leased(handle);
    Object* object;
    {
        SpinGuard guard(lock_);
        const uint64_t word = entry.word.load(std::memory_order_relaxed);
        // Slot 0 has generation 0 and no type.
        if (word >> 32 != abi::generation_of(handle)) return Error::bad_handle;
        if (type_in(word) == abi::ObjectType::none) return Error::bad_handle;
        if (word & handle_busy) return Error::busy;
        if (entry.lease.load(std::memory_order_relaxed) != 0) return Error::bad_handle;
        object = &take_out_locked(entry, slot);
    }
    release(*object);
    return {};
}

// One that has a lease, or had one when it was looked at.
Result<void> HandleTable::close_leased(abi::Handle handle) {
    const uint32_t slot = abi::slot_of(handle);
    Ref<Object> object;  // released after the lock
    SpinGuard guard(lock_);
    const uint64_t word = entries_[slot].word.load(std::memory_order_relaxed);
    if (word >> 32 != abi::generation_of(handle)) return Error::bad_handle;
    if (word & handle_busy) return Error::busy;
    if (!remove_locked(slot, object)) return Error::bad_handle;
    return {};
}

Result<void> HandleTable::mark_busy(const uint64_t* words, unsigned mask) {
    SpinGuard guard(lock_);
    unsigned marked = 0;
    Status failure;
    for (unsigned i = 0; i < abi::message_words && failure.ok(); ++i) {
        if (!(mask >> i & 1)) continue;
        for (unsigned j = 0; j < i; ++j) {
            if ((marked >> j & 1) && words[j] == words[i]) {
                failure = Status(Error::bad_argument, static_cast<uint16_t>(i));
            }
        }
        auto found =
            failure.ok() ? find(words[i], abi::ObjectType::any, 0) : Result<Found>(failure);
        if (!found.ok()) {
            failure = found.status();
            break;
        }
        set_busy(entries_[abi::slot_of(words[i])], true);
        marked |= 1u << i;
    }
    if (failure.ok()) return {};
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if (marked >> i & 1) set_busy(entries_[abi::slot_of(words[i])], false);
    }
    return failure;
}

void HandleTable::unmark_busy(const uint64_t* words, unsigned mask) {
    SpinGuard guard(lock_);
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if ((mask >> i & 1) && still_busy_locked(words[i])) {
            set_busy(entries_[abi::slot_of(words[i])], false);
        }
    }
}

// Nobody can close or move a busy handle, but the end of its object takes it away (drop_dead).
bool HandleTable::still_busy_locked(abi::Handle handle) const {
    if (abi::slot_of(handle) >= size_) return false;  // the process is gone
    const uint64_t word = entries_[abi::slot_of(handle)].word.load(std::memory_order_relaxed);
    return word >> 32 == abi::generation_of(handle) && (word & handle_busy) != 0;
}

// References to what the busy handles name and to their leases. closed: one was taken away.
Result<void> HandleTable::hold_busy(const uint64_t* words, unsigned mask, Moving* moving) {
    SpinGuard guard(lock_);
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if ((mask >> i & 1) && !still_busy_locked(words[i])) return Error::closed;
    }
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if (!(mask >> i & 1)) continue;
        const HandleEntry& entry = entries_[abi::slot_of(words[i])];
        const uint64_t word = entry.word.load(std::memory_order_relaxed);
        moving[i] = {entry.object.load(std::memory_order_relaxed),
                     static_cast<abi::Rights>(word & abi::all_rights),
                     entry.lease.load(std::memory_order_relaxed)};
        retain(*moving[i].object);
        retain_lease(moving[i].lease);
    }
    return {};
}

// Enters what is held, in the place of the words; with `values` into slots that were set aside.
// no_room.
Result<void> HandleTable::insert_held(const Moving* moving, unsigned mask, uint64_t* words,
                                      const abi::Handle* values) {
    SpinGuard guard(lock_);
    const auto count = static_cast<unsigned>(std::popcount(mask));
    if (size_ == 0 || (values == nullptr && free_count_ < count)) return Error::no_room;
    if (values != nullptr) add_used_locked(count);
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if (!(mask >> i & 1)) continue;
        const uint32_t slot = values != nullptr ? abi::slot_of(*values++) : take_free_locked(true);
        HandleEntry& entry = entries_[slot];
        const auto generation =
            static_cast<uint32_t>(entry.word.load(std::memory_order_relaxed) >> 32);
        entry.object.store(moving[i].object, std::memory_order_relaxed);
        entry.lease.store(moving[i].lease, std::memory_order_relaxed);
        entry.word.store(entry_word(generation, moving[i].object->type(), moving[i].rights),
                         std::memory_order_release);
        words[i] = abi::make_handle(slot, generation);
    }
    return {};
}

// The two tables are locked one after the other.
Result<void> HandleTable::move_all(HandleTable& from, HandleTable& to, uint64_t* words,
                                   unsigned mask, const abi::Handle* values) {
    Moving moving[abi::message_words] = {};
    TRY(from.hold_busy(words, mask, moving));
    uint64_t old_words[abi::message_words];
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if (mask >> i & 1) old_words[i] = words[i];
    }
    const auto inserted = to.insert_held(moving, mask, words, values);
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if (!(mask >> i & 1)) continue;
        Object* given_up = moving[i].object;
        if (inserted.ok()) {
            Ref<Object> object;
            SpinGuard guard(from.lock_);
            if (!from.still_busy_locked(old_words[i])) continue;
            from.remove_locked(abi::slot_of(old_words[i]), object);
            given_up = object.leak();
        } else {
            release_lease(moving[i].lease);
        }
        // Later: the caller may hold the lock of a table whose object this is.
        release_later(*given_up);
    }
    return inserted;
}

Result<void> HandleTable::move(HandleTable& from, HandleTable& to, uint64_t* words, unsigned mask) {
    return move_all(from, to, words, mask, nullptr);
}

Result<void> HandleTable::move_to_values(HandleTable& from, HandleTable& to, uint64_t* words,
                                         unsigned mask, const abi::Handle* values) {
    return move_all(from, to, words, mask, values);
}

Result<abi::Handle> HandleTable::reserve_value() {
    SpinGuard guard(lock_);
    const uint32_t slot = take_free_locked(false);
    if (slot == 0) return Error::no_room;
    add_used_locked(~uint32_t{0});  // there is no handle in it
    const uint64_t word = entries_[slot].word.load(std::memory_order_relaxed);
    return abi::make_handle(slot, static_cast<uint32_t>(word >> 32));
}

void HandleTable::release_value(abi::Handle value) {
    SpinGuard guard(lock_);
    if (size_ == 0) return;  // the process is gone
    const uint32_t slot = abi::slot_of(value);
    entries_[slot].next_free = free_head_;
    free_head_ = slot;
    ++free_count_;
}

bool HandleTable::names(abi::Handle handle, const Object& object) const {
    const uint32_t slot = abi::slot_of(handle);
    if (slot >= size_) return false;
    // Relaxed: the pointer is only compared; a handle that is being closed is looked for again.
    return entries_[slot].word.load(std::memory_order_relaxed) >> 32 ==
               abi::generation_of(handle) &&
           entries_[slot].object.load(std::memory_order_relaxed) == &object;
}

abi::Handle HandleTable::find_name(const Object& object, uint32_t& cursor, uint32_t limit) const {
    for (; limit > 0 && cursor < size_; --limit, ++cursor) {
        const HandleEntry& entry = entries_[cursor];
        // Relaxed: as in names().
        if (entry.object.load(std::memory_order_relaxed) != &object) continue;
        const uint64_t word = entry.word.load(std::memory_order_relaxed);
        return abi::make_handle(cursor, static_cast<uint32_t>(word >> 32));
    }
    return abi::no_handle;
}

bool HandleTable::close_some(uint32_t& cursor, uint32_t limit) {
    for (; limit > 0 && cursor < size_; --limit, ++cursor) {
        if (cursor == 0) continue;
        Ref<Object> object;  // released after the lock
        SpinGuard guard(lock_);
        if (used() == 0) {
            cursor = size_;
            break;
        }
        remove_locked(cursor, object);
    }
    return cursor >= size_;
}

bool HandleTable::drop_dead(uint32_t& cursor, uint32_t limit) {
    for (; limit > 0 && cursor < size_; --limit, ++cursor) {
        if (cursor == 0) continue;
        Ref<Object> object;
        {
            SpinGuard guard(lock_);
            const Object* current = entries_[cursor].object.load(std::memory_order_relaxed);
            // Acquire: pairs with the release of whoever ran die().
            if (current == nullptr || !current->dead.load(std::memory_order_acquire)) continue;
            remove_locked(cursor, object);
        }
    }
    return cursor >= size_;
}

void HandleTable::destroy() {
    if (entries_ == nullptr) return;
    kernel_assert(used() == 0, "handle table freed with open handles");
    HandleEntry* entries;
    uint32_t slots;
    {
        // Rings may still give back what they reserved.
        SpinGuard guard(lock_);
        entries = entries_;
        slots = capacity_;
        entries_ = nullptr;
        size_ = 0;
        capacity_ = 0;
    }
    free_table_pages(*budget_, entries, pages_for(slots));
    budget_->uncharge(abi::Resource::handles, slots);
}

bool HandleTable::next_used(uint32_t& cursor, abi::Handle& handle, Found& found) const {
    for (; cursor < size_; ++cursor) {
        const uint64_t word = entries_[cursor].word.load(std::memory_order_acquire);
        handle = abi::make_handle(cursor, static_cast<uint32_t>(word >> 32));
        auto result = find(handle, abi::ObjectType::any, 0);
        if (!result.ok()) continue;
        found = *result;
        ++cursor;
        return true;
    }
    return false;
}

}  // namespace annulus::kernel
