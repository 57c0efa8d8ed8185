// SPDX-License-Identifier: MIT
// MemoryObject: an object made of pages, mapped or copied; its size never changes.
//
// Kinds: RAM that is committed at creation, RAM on demand, contiguous RAM, device registers,
// physical RAM that the kernel lends out (boot archive, clock page), and a part (range) of another
// object. A range has no pages: everything goes to its root, which is never a range.
//
// Clones share frames copy-on-write. A frame that several objects share is never written: who wants
// to write makes the page private first (memory_sharing.cpp). Pinned pages, and those of contiguous
// and fixed memory, are copied when the clone is made. A clone's pages are charged then, too, so
// that a later copy can always be paid. A clone holds each page as it was at some time while it was
// made.
//
// Payment. The budget pays for pages and for the directory's tables: all at creation, but one by
// one for memory on demand. Whoever maps another budget's memory reserves the mapped pages; when
// the payer dies, the reservations become the payment and pages that nobody maps are freed.
//
// Locking: `lock_` (rank `memory`) guards the directory, pins, mappings, ranges and the work on
// sharing. Frames leave an object only when no CPU can have a translation to them: a mapping holds
// a reference until its translations have been dropped everywhere.
#pragma once

#include "abi/operations.h"
#include "arch/address.h"
#include "kernel/boot_info.h"
#include "kernel/memory/frame_directory.h"
#include "kernel/object/budget.h"
#include "kernel/object/object.h"
#include "kernel/schedule/grace.h"
#include "kernel/schedule/reaper.h"

#include <cstddef>

namespace annulus::kernel {

class AddressSpace;
struct Region;
struct MappingOfMemory;
struct RangeOfMemory;

// What is done in one hold of a lock, or one step, of `count` items.
constexpr uint64_t chunk_of(uint64_t count) {
    return count < abi::chunk_items ? count : abi::chunk_items;
}

enum class MemoryKind : uint8_t { committed, on_demand, contiguous, device, fixed, range };

// A place in an object's list of mappings: a region, or a marker of whoever walks along the list.
struct MappingNode : ListNode<MappingOfMemory> {
    explicit MappingNode(bool is_region) : is_region(is_region) {}
    const bool is_region;
};

// A page as it may be mapped. Shared: with a clone, so without the right to write.
struct MappablePage {
    arch::PhysicalAddress address;
    bool shared;
};

class MemoryObject final : public Object, public ListNode<RangeOfMemory> {
public:
    // `flags` as in abi/operations.h (on demand, contiguous, revocable). Charges everything at once
    // but commits at most abi::chunk_items pages; the caller calls commit_some for the rest.
    // no_budget, no_memory, limit (abi::memory_pages_max), bad_argument, not_supported (details are
    // those of budget.create.memory).
    static Result<Ref<MemoryObject>> create(Budget& budget, uint64_t pages, uint64_t flags);
    // Device registers, or RAM that belongs to nobody else and is never freed. The range begins at
    // a page. bad_argument, limit, no_budget.
    static Result<Ref<MemoryObject>> create_physical(Budget& budget, PhysicalRange range,
                                                     MemoryKind kind);
    // `offset` in bytes. bad_argument (details are those of memory.create.range), out_of_range,
    // limit (abi::mappings_per_memory_max), closed (the memory's budget was destroyed).
    Result<Ref<MemoryObject>> create_range(Budget& budget, uint64_t offset, uint64_t pages);
    // Errors as for create_range, and wrong_state for device registers. The clone is still
    // empty: see below.
    Result<Ref<MemoryObject>> create_clone(Budget& budget, uint64_t offset, uint64_t pages);

    // Steps of filling a clone of the pages from `first` on of this object, which is a root. Each
    // is called until it returns true, with preemption points between; then a grace period with
    // flush; only then may anybody else see the clone. cancel_clone: when the maker gives up at any
    // point. The maker holds references to both.
    Result<bool> clone_some(MemoryObject& clone, uint64_t first);
    bool protect_some(MemoryObject& clone, uint64_t first);
    void cancel_clone(MemoryObject& clone);

    // Gives missing pages of [offset, end) their frames: looks at up to abi::chunk_items pages and
    // moves `offset` on (bytes); done when offset == end. no_budget, no_memory, out_of_range.
    Result<void> commit_some(uint64_t& offset, uint64_t end);

    // The frame of page `index` for reading or writing (`write` ends sharing with a clone); an
    // on-demand page is made. no_budget, no_memory, out_of_range, closed, busy (below).
    Result<arch::PhysicalAddress> frame(uint64_t index, bool write);

    // Copies between the object and kernel memory; `size` at most one page, may cross pages.
    // Missing pages read as zero. wrong_state: device registers. busy: a page is being made
    // private; to be tried again after a grace period.
    Result<void> copy_in(uint64_t offset, const void* from, uint64_t size);
    Result<void> copy_out(uint64_t offset, void* to, uint64_t size);

    // Commits and pins pages [first, first + count) for writing, charging `pins` to `payer`; all or
    // nothing. Callers with more than abi::chunk_items pages pin piece by piece.
    // may_fault for revocable memory, wrong_state for device registers, busy as for copies.
    Result<void> pin(Budget& payer, uint64_t first, uint64_t count);
    void unpin(Budget& payer, uint64_t first, uint64_t count);
    // The same for at most abi::chunk_items pages that somebody else charges for.
    Status pin_paid(uint64_t first, uint64_t count) {
        return count == 1 ? pin_one_paid(first).status() : pin_many_paid(first, count);
    }
    void unpin_paid(uint64_t first, uint64_t count) {
        count == 1 ? unpin_page_paid(first) : unpin_many_paid(first, count);
    }
    // The same for one page; answers its kernel address, which takes the pin back.
    Result<std::byte*> pin_one_paid(uint64_t index);
    void unpin_one_paid(const std::byte* page);
    // The kernel address of a pinned page.
    void* pinned_address(uint64_t index);

    uint64_t pages() const { return pages_; }
    uint64_t flags() const { return flags_; }
    MemoryKind memory_kind() const { return memory_kind_; }
    uint64_t id() const { return id_; }
    // Pages that have a frame.
    uint64_t committed();
    // The first byte's physical address; wrong_state unless contiguous, device or fixed.
    Result<arch::PhysicalAddress> physical();

    // Which object has the pages, and where this object begins in it. closed: the root died.
    struct Place {
        MemoryObject* root;  // good until the kernel is left
        uint64_t first;      // page
    };
    Result<Place> place() {
        if (memory_kind_ != MemoryKind::range) return Place{this, 0};
        return place_of_range();
    }

    // --- for AddressSpace, on roots only
    // -----------------------------------------------------------

    // A page to map; `make`: also if it must be made first. not_found (only without `make`), busy:
    // it is being made private; no_budget, no_memory.
    Result<MappablePage> page_to_map(uint64_t index, bool make);
    // Of the pages from `first` on, those that may be mapped as they are and whose bit is in
    // `wanted`: writes them to their places in `pages` and answers their bits. Pages that are not
    // wanted may lie beyond the end.
    static constexpr unsigned run_pages = 16;
    using Run = MappablePage[run_pages];
    uint32_t pages_to_map(uint64_t first, uint32_t wanted, Run& pages);
    // Ends the sharing of a page with clones; ok when it is not shared (any more). busy: that takes
    // a grace period, which is under way; nobody can map the page meanwhile. no_memory. No locks
    // held.
    Result<void> make_private(uint64_t index);
    // The same in one step, if no mapping but `only` has the page; busy otherwise. The caller holds
    // the address space's lock and made sure that no CPU has a translation through `only`.
    Result<void> make_private_through(uint64_t index, const Region& only);
    // Links a new region. limit: abi::mappings_per_memory_max; closed: this object died.
    Result<void> add_mapping(Region& region);
    // Links the second half of a region that was split. limit.
    Result<void> add_split_mapping(Region& first, Region& second);
    // Unlinks a region that no CPU has translations for; gives its reservation back.
    void remove_mapping(Region& region);

    bool is_device() const { return memory_kind_ == MemoryKind::device; }

    MemoryObject(Budget* payer, uint32_t size, MemoryKind kind, uint64_t pages, uint64_t flags);

    static const ObjectKind memory_object_kind;

private:
    friend struct MemoryEnd;

    // The one page that is being made private while mappings of it exist elsewhere. Phases: its
    // translations are removed mapping by mapping, a grace period drops cached ones, it is copied.
    struct Separation : GraceItem {
        MemoryObject* object = nullptr;
        MappingNode marker{false};
        uint64_t index = 0;
        uint32_t visitors = 0;  // CPUs that are removing a translation right now
        bool active = false;
        bool flushing = false;
        bool failed = false;  // the copy found no memory; told once
    };
    // How far protect_some() is; in the clone, guarded by the source's lock.
    struct ProtectPass {
        MappingNode marker{false};
        const MappingNode* current = nullptr;  // compared only
        uint64_t next_page = 0;
        bool done = false;
    };
    struct OwnWork : Work {
        MemoryObject* object = nullptr;
    };
    struct Cover {
        uint32_t count = 0;
        Region* region = nullptr;  // the last one found
    };

    bool has_directory() const {
        return memory_kind_ == MemoryKind::committed || memory_kind_ == MemoryKind::on_demand;
    }
    Result<void> check_part(uint64_t offset, uint64_t pages) const;
    Result<void> charge_all(uint64_t pages);

    Result<uint32_t> make_page_locked(uint64_t index) REQUIRES(lock_);
    Result<arch::PhysicalAddress> writable_page(uint64_t index);
    std::byte* bytes_locked(uint64_t index) REQUIRES(lock_);
    bool shared_locked(uint32_t frame) const REQUIRES(lock_);
    Result<Place> place_of_range();
    Status pin_many_paid(uint64_t first, uint64_t count);
    void unpin_page_paid(uint64_t index);
    void unpin_many_paid(uint64_t first, uint64_t count);
    Result<Place> place_to_pin();
    Status pin_page(uint64_t index, MemoryObject& owner, std::byte*& page);
    std::byte* page_to_pin_locked(uint64_t index) REQUIRES(lock_);
    std::byte* frame_to_pin_locked(uint64_t index) REQUIRES(lock_);
    void unpin_frame_locked(uint64_t index) REQUIRES(lock_);
    [[gnu::noinline]] Result<std::byte*> pin_one_slowly(uint64_t index);
    void unpin_one_of(MemoryObject& root, const std::byte* page);
    [[gnu::noinline]] void unpin_one_of_range(const std::byte* page);
    void unpin_at(Place at, uint64_t count);
    bool unpin_pages(uint64_t index, uint64_t count, MemoryObject& owner);
    Result<void> copy_in_page(uint64_t offset, const void* from, uint64_t size);

    Result<void> zero_run_some(uint64_t& page, uint64_t end);

    Cover cover_locked(uint64_t index) REQUIRES(lock_);
    Result<void> replace_locked(uint64_t index) REQUIRES(lock_);
    void begin_separation_locked(uint64_t index) REQUIRES(lock_);
    Result<void> advance_separation();
    static void separation_done(GraceItem& item);
    bool needs_copy_locked(uint32_t frame) const REQUIRES(lock_);

    void clear_up();
    void pins_gone(MemoryObject& owner);
    static Work::Step clear_up_step(Work& work);
    static Work::Step free_step(Work& work);
    bool free_some();
    bool cut_ranges_off();
    void unlink_range_locked(MemoryObject& range) REQUIRES(lock_);
    bool move_payments();
    bool free_uncovered();
    uint64_t uncovered_run_locked(uint64_t& page) REQUIRES(lock_);

    SpinLock lock_{LockRank::memory};
    MemoryKind memory_kind_;
    bool prepaid_ = false;  // all pages and tables were charged at creation
    uint64_t pages_;
    uint64_t flags_;
    uint64_t id_;
    arch::PhysicalAddress base_ = 0;  // contiguous, device, fixed
    FrameDirectory directory_;        // committed, on demand; guarded by lock_
    uint64_t present_ GUARDED_BY(lock_) = 0;
    uint64_t charged_ GUARDED_BY(lock_) = 0;  // pages charged to `budget`
    bool ended_ GUARDED_BY(lock_) = false;  // die() or detach() began: nothing is charged any more
    bool detached_ GUARDED_BY(lock_) = false;  // the last reference went: nothing is made any more

    IntrusiveList<MappingNode, MappingOfMemory> mappings_ GUARDED_BY(lock_);
    uint32_t mapping_count_ GUARDED_BY(lock_) = 0;
    Separation separation_;  // guarded by lock_
    ProtectPass pass_;
    uint64_t clone_cursor_ = 0;  // pages of this clone that are filled; its maker's

    std::atomic<MemoryObject*> root_{nullptr};  // range: holds a reference until the root dies
    uint64_t root_first_ = 0;
    uint64_t owned_pins_ = 0;  // pages pinned through this object; guarded by the root's lock
    IntrusiveList<MemoryObject, RangeOfMemory> ranges_ GUARDED_BY(lock_);
    uint32_t range_count_ GUARDED_BY(lock_) = 0;

    OwnWork work_;  // freeing after the end, or clearing up after die()
    uint64_t work_cursor_ = 0;
    bool work_queued_ GUARDED_BY(lock_) = false;
    bool work_again_ GUARDED_BY(lock_) = false;
};

}  // namespace annulus::kernel
