// SPDX-License-Identifier: MIT
// HandleTable: what a process can name. Look-up takes no lock and no reference.
//
//   entry (32 bytes):  object | generation 63-32, busy 31, type 30-24, rights 23-0 | next | lease
//
// The word with the generation is the entry's validity: a reader loads it, then object and lease,
// then the word again; equal words mean that all belong together, since a slot's generation never
// comes back (a slot is retired when it would wrap). The object stays allocated until the reader
// leaves the kernel (grace period).
// Locking: `lock_` serialises writers. The table's memory is one contiguous run, fixed at creation,
// so the fast path needs one bound test.
#pragma once

#include "abi/handle.h"
#include "abi/system_call.h"
#include "abi/verb.h"
#include "base/result.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/object/lease.h"
#include "kernel/object/object.h"

#include <stdint.h>

namespace annulus::kernel {

struct RecentHandle;

struct HandleEntry {
    std::atomic<Object*> object;
    std::atomic<uint64_t> word;   // generation | busy | type | rights; type none: free
    uint64_t next_free;           // while free, guarded by the table's lock
    std::atomic<uint64_t> lease;  // cell index | epoch << 32; 0: never revoked
};
static_assert(sizeof(HandleEntry) == 32);

inline constexpr unsigned handle_rights_bits = 24;
// In the word: the handle is in an accepted request. The fast paths, which compare the type's whole
// byte, so leave it to the slow path, which answers `busy`.
inline constexpr uint64_t handle_busy = uint64_t{1} << 31;

constexpr uint64_t entry_word(uint32_t generation, abi::ObjectType type, abi::Rights rights) {
    return uint64_t{generation} << 32 | uint64_t{static_cast<uint8_t>(type)} << 24 |
           (rights & abi::all_rights);
}

constexpr abi::ObjectType type_in(uint64_t word) {
    return static_cast<abi::ObjectType>(word >> 24 & 0x7f);
}
constexpr abi::Rights rights_in(uint64_t word) {
    return static_cast<abi::Rights>(word & abi::all_rights);
}

// What a look-up found: good until the kernel is left. Retain the object to keep it longer.
struct Found {
    Object* object;
    abi::ObjectType type;
    abi::Rights rights;
    uint64_t lease;
};

class HandleTable {
public:
    // Charges handles and pages to `budget`, which must outlive the table. It has no slots before
    // prepare_some() has returned true.
    static Result<void> create(HandleTable& table, Budget& budget, uint32_t slots);
    // Makes the next chunk_items pages of slots; true when all are made.
    bool prepare_some();
    HandleTable() = default;
    HandleTable(const HandleTable&) = delete;
    HandleTable& operator=(const HandleTable&) = delete;

    // The one look-up. Errors in this order: bad_handle, revoked, busy, no_right (detail: lowest
    // missing bit). `type` any accepts every type, otherwise wrong_type comes before no_right.
    Result<Found> find(abi::Handle handle, abi::ObjectType type, abi::Rights needed) const;

    // The same for any type and no rights, written to `found`.
    Status look_up(abi::Handle handle, Found& found) const;

    // What find() finds in the plain case, of the type and with the rights of `wanted` (as in an
    // entry's word): no lease. Null: find() says more.
    Object* find_plain(abi::Handle handle, uint32_t wanted) const;

    // Keeps what the handle names, of whatever type and rights. False: it has a lease, or find()
    // would fail; nothing was kept.
    bool remember(abi::Handle handle, RecentHandle& recent) const;

    // Enters an object and takes over the caller's reference to it. no_room.
    // `landing`: for an arriving handle, may use slots that others may not (reserve()).
    Result<abi::Handle> insert(Ref<Object> object, abi::Rights rights, uint64_t lease,
                               bool landing);

    // Sets slots aside for arriving handles; each arrival uses one and, while there is room, sets
    // the next one aside. no_room.
    Result<void> reserve(uint32_t slots);
    void unreserve(uint32_t slots);

    // Sets one free slot aside and answers the value that a handle in it will have: a ring's client
    // knows it before the handle arrives. no_room.
    Result<abi::Handle> reserve_value();
    void release_value(abi::Handle value);
    // As move(), but the handles take the reserved `values`, one after the other.
    static Result<void> move_to_values(HandleTable& from, HandleTable& to, uint64_t* words,
                                       unsigned mask, const abi::Handle* values);

    // True while this handle names that object, busy or revoked or not.
    bool names(abi::Handle handle, const Object& object) const;
    // A handle that names the object, among `limit` entries from `cursor` on, or no_handle; then
    // the cursor has reached size() or there is more to look at.
    abi::Handle find_name(const Object& object, uint32_t& cursor, uint32_t limit) const;

    // Closes. bad_handle, busy. The object may be retired here.
    Result<void> close(abi::Handle handle);

    // Marks up to 4 handles busy, all or none: they are about to move. The handles are the words
    // named by `mask`. bad_handle, revoked, busy, bad_argument (one named twice; detail: word).
    Result<void> mark_busy(const uint64_t* words, unsigned mask);
    void unmark_busy(const uint64_t* words, unsigned mask);

    // Moves the busy handles of `from` into `to`, all or none, and rewrites the words to the new
    // values. no_room, closed (an object ended, and its handle with it): nothing changed, they are
    // still busy in `from`.
    static Result<void> move(HandleTable& from, HandleTable& to, uint64_t* words, unsigned mask);

    // Closes up to `limit` entries from `cursor` on; true when the end is reached.
    bool close_some(uint32_t& cursor, uint32_t limit);
    // Takes away up to `limit` entries' handles whose object is dead; true when the end is reached.
    bool drop_dead(uint32_t& cursor, uint32_t limit);
    // Frees the table's memory; all entries are closed.
    void destroy();

    // For list: the next used entry at or after `cursor`, or false.
    bool next_used(uint32_t& cursor, abi::Handle& handle, Found& found) const;

    HandleEntry* entries() const { return entries_; }
    uint32_t size() const { return size_; }
    uint32_t used() const { return used_.load(std::memory_order_relaxed); }

private:
    // A valid entry, or why there is none.
    struct Seen {
        Error error;
        uint64_t word = 0;
        Object* object = nullptr;
        uint64_t lease = 0;
    };
    Seen see(abi::Handle handle) const;

    struct Moving {
        Object* object;
        abi::Rights rights;
        uint64_t lease;
    };
    bool still_busy_locked(abi::Handle handle) const REQUIRES(lock_);
    Result<void> hold_busy(const uint64_t* words, unsigned mask, Moving* moving);
    Result<void> insert_held(const Moving* moving, unsigned mask, uint64_t* words,
                             const abi::Handle* values);
    static Result<void> move_all(HandleTable& from, HandleTable& to, uint64_t* words, unsigned mask,
                                 const abi::Handle* values);
    Object& take_out_locked(HandleEntry& entry, uint32_t slot) REQUIRES(lock_);
    Result<void> close_leased(abi::Handle handle);
    bool remove_locked(uint32_t slot, Ref<Object>& object) REQUIRES(lock_);
    void add_used_locked(uint32_t count) REQUIRES(lock_) {
        used_.store(used() + count, std::memory_order_relaxed);
    }
    uint32_t take_free_locked(bool landing) REQUIRES(lock_);

    HandleEntry* entries_ = nullptr;
    uint32_t capacity_ = 0;   // slots that there is memory for
    uint32_t size_ = 0;       // those that were made
    uint32_t free_head_ = 0;  // slot 0 is never used: 0 ends the list
    uint32_t free_count_ = 0;
    uint32_t reserved_ = 0;
    std::atomic<uint32_t> used_{0};  // changed under the lock, read as a figure without it
    Budget* budget_ = nullptr;
    SpinLock lock_{LockRank::handle_table};
};

[[gnu::always_inline]] inline HandleTable::Seen HandleTable::see(abi::Handle handle) const {
    const uint32_t slot = abi::slot_of(handle);
    if (slot >= size_) return {Error::bad_handle};
    const HandleEntry& entry = entries_[slot];
    // Acquire: pairs with the release in insert(): object and lease are seen as they were entered.
    const uint64_t word = entry.word.load(std::memory_order_acquire);
    if (word >> 32 != abi::generation_of(handle)) [[unlikely]]
        return {Error::bad_handle};
    if (type_in(word) == abi::ObjectType::none) [[unlikely]]
        return {Error::bad_handle};
    Object* object = entry.object.load(std::memory_order_acquire);
    const uint64_t lease = entry.lease.load(std::memory_order_acquire);
    // The entry was not changed meanwhile; the acquire loads above keep this one last.
    if (entry.word.load(std::memory_order_relaxed) != word) return {Error::bad_handle};
    if (!lease_valid(lease)) return {Error::revoked};
    if (word & handle_busy) return {Error::busy};
    return {Error::ok, word, object, lease};
}

[[gnu::always_inline]] inline Object* HandleTable::find_plain(abi::Handle handle,
                                                              uint32_t wanted) const {
    const uint32_t slot = abi::slot_of(handle);
    if (slot >= size_) return nullptr;
    const HandleEntry& entry = entries_[slot];
    // Acquire, and the last load: as in see().
    const uint64_t word = entry.word.load(std::memory_order_acquire);
    if (word >> 32 != abi::generation_of(handle)) return nullptr;
    // All of the type and the busy bit, and the rights that are wanted.
    const auto differs = static_cast<uint32_t>(word) ^ wanted;
    if ((differs & (wanted | 0xff000000)) != 0) return nullptr;
    Object* object = entry.object.load(std::memory_order_acquire);
    if (entry.lease.load(std::memory_order_acquire) != 0) return nullptr;
    return entry.word.load(std::memory_order_relaxed) == word ? object : nullptr;
}

inline Status HandleTable::look_up(abi::Handle handle, Found& found) const {
    const Seen seen = see(handle);
    if (seen.error != Error::ok) return seen.error;
    found = {seen.object, type_in(seen.word), rights_in(seen.word), seen.lease};
    return {};
}

}  // namespace annulus::kernel
