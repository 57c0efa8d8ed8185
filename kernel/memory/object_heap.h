// SPDX-License-Identifier: MIT
// ObjectHeap: memory for kernel objects, in size classes, zeroed.
//
//   allocate(size) -> the CPU's magazine of the class -> a slab of the class -> the page allocator
//
// A slab is one page cut into equal objects; its counts lie in the page's frame table entry. Free
// objects are chained through themselves. A slab without objects goes back to the page allocator.
// More than 2048 bytes are whole pages. Objects never move between classes.
//
//   a free object:  | canary | next | poison in debug builds ... |
//
// The canary is the object's address mixed with a secret. It finds a second free (the canary is
// there already) and a write to a free object (it is not there any more), in every build. Debug
// builds also check the rest of a free object, and the bytes behind the requested size.
//
// Locking: heap_magazine before heap_class before page_cache and page_allocator; callers hold no
// lock of these ranks or above. Context: kernel mode with interrupts off.
#pragma once

#include "base/align.h"
#include "base/result.h"
#include "kernel/cpu_index.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/memory/page_allocator.h"

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <atomic>

namespace annulus::kernel {

// Where the heap's memory is. In every ledger(): slots = allocated + cached + free.
struct HeapLedger {
    uint64_t pages = 0;          // taken from the page allocator
    uint64_t charged_bytes = 0;  // the sum of charged_size of all allocated objects
    uint64_t allocated = 0;      // objects handed out, of all sizes
    uint64_t cached = 0;         // objects in magazines
    uint64_t free = 0;           // objects in slabs
    uint64_t slots = 0;          // objects that there is room for
};

class ObjectHeap {
public:
    static constexpr size_t max_size = 64 * 1024;

    constexpr ObjectHeap() = default;
    ObjectHeap(const ObjectHeap&) = delete;
    ObjectHeap& operator=(const ObjectHeap&) = delete;

    // Called once, before anything else. `secret` is random and told to nobody.
    void init(PageAllocator& pages, uint64_t secret);

    // Zeroed memory of at least `size` bytes, aligned to alignment_of(size). bad_argument: size 0;
    // limit: size > max_size; no_memory: physical memory ran out.
    Result<void*> allocate(size_t size);

    // The same with any content (debug builds: a pattern), for what is made all the time and sets
    // every member itself. `size` is from 1 to max_size. Null: no memory.
    void* allocate_unset(size_t size) { return allocate_in(class_of(size), size); }

    // Gives back what allocate(size) returned, with the same size. Anything else is a bug and
    // stops the kernel.
    void free(void* object, size_t size);

    // What a budget is charged for an object of this size: the bytes it really takes. 0 for sizes
    // that allocate refuses. The same in all builds.
    static constexpr size_t charged_size(size_t size);
    // The largest power of two that divides charged_size(size): 32 or more.
    static constexpr size_t alignment_of(size_t size);

    // Moves the objects of all magazines to their slabs; empty slabs go to the page allocator.
    void flush_caches();

    HeapLedger ledger();

private:
    static constexpr std::array<uint16_t, 11> slab_sizes = {32,  64,  96,  128,  192, 256,
                                                            384, 512, 768, 1024, 2048};
    static constexpr uint32_t slab_classes = slab_sizes.size();
    static constexpr size_t max_slab_size = slab_sizes.back();
    // Classes above are blocks of pages: 4, 8, 16, 32, 64 KiB.
    static constexpr uint32_t class_count = slab_classes + 5;

    static constexpr uint32_t class_of(size_t size);
    static constexpr size_t size_of(uint32_t size_class);
    static constexpr uint32_t objects_per_slab(uint32_t size_class);
    static constexpr uint32_t magazine_capacity(uint32_t size_class);
    static const std::array<uint8_t, slab_classes> magazine_capacities;

    struct FreeObject {
        uint64_t canary;
        FreeObject* next;
    };

    struct Magazine {
        FreeObject* first = nullptr;
        uint32_t count = 0;
    };

    struct alignas(64) CpuHeap {
        SpinLock lock{LockRank::heap_magazine};
        Magazine magazines[slab_classes] GUARDED_BY(lock);
        // For each class: objects in the magazine (low half) and objects handed out less objects
        // taken back on this CPU (high half, modulo 2^32), in one word, so that ledger() sees a
        // move between the two as one step. Written under `lock`.
        std::atomic<uint64_t> balance[class_count]{};
    };

    struct alignas(64) SlabClass {
        SpinLock lock{LockRank::heap_class};
        uint32_t first_partial GUARDED_BY(lock) = no_frame;  // slabs with free objects
        uint64_t pages GUARDED_BY(lock) = 0;
        uint64_t free GUARDED_BY(lock) = 0;  // objects in slabs
    };

    uint64_t canary_of(const void* object) const;
    void check_owned(const void* object, uint32_t size_class, uint32_t order) const;
    void make_free(void* object, uint32_t size_class) const;
    void check_free(const FreeObject* object, uint32_t size_class) const;

    void* allocate_in(uint32_t size_class, size_t size);
    FreeObject* pop(uint32_t size_class);
    FreeObject* pop_locked(CpuHeap& cpu, uint32_t size_class) REQUIRES(cpu.lock);
    FreeObject* pop_slowly(uint32_t size_class);
    void refill(CpuHeap& cpu, uint32_t size_class) REQUIRES(cpu.lock);
    // Keeps all registers: what frees an object need not save them for it.
    [[gnu::noinline, clang::preserve_most]] void drain(CpuHeap& cpu, uint32_t size_class,
                                                       uint32_t keep) REQUIRES(cpu.lock);

    bool add_slab(SlabClass& slabs, uint32_t size_class) REQUIRES(slabs.lock);
    FreeObject* take_from_slab(SlabClass& slabs) REQUIRES(slabs.lock);
    void give_to_slab(SlabClass& slabs, uint32_t size_class, FreeObject* object)
        REQUIRES(slabs.lock);
    void link_partial(SlabClass& slabs, uint32_t frame) REQUIRES(slabs.lock);
    void unlink_partial(SlabClass& slabs, uint32_t frame) REQUIRES(slabs.lock);

    Result<void*> allocate_block(uint32_t size_class);
    void free_block(void* object, size_t size);
    void count_block(uint32_t size_class, uint64_t difference);
    uint64_t add_balances(HeapLedger& sum, uint32_t size_class) const;

    PageAllocator* pages_ = nullptr;
    uint64_t secret_ = 0;
    SlabClass slabs_[slab_classes];
    CpuHeap cpus_[max_cpus];
};

// `size` is from 1 to max_size.
constexpr uint32_t ObjectHeap::class_of(size_t size) {
    // The class for each number of 32-byte units.
    constexpr auto by_units = [] {
        std::array<uint8_t, max_slab_size / 32 + 1> classes{};
        uint8_t size_class = 0;
        for (size_t units = 0; units < classes.size(); ++units) {
            if (units * 32 > slab_sizes[size_class]) ++size_class;
            classes[units] = size_class;
        }
        return classes;
    }();
    if (size <= max_slab_size) return by_units[(size + 31) / 32];
    return slab_classes + (size <= page_size ? 0 : ceil_log2(size) - page_shift);
}

constexpr size_t ObjectHeap::size_of(uint32_t size_class) {
    if (size_class < slab_classes) return slab_sizes[size_class];
    return page_size << (size_class - slab_classes);
}

constexpr uint32_t ObjectHeap::objects_per_slab(uint32_t size_class) {
    return static_cast<uint32_t>(page_size / slab_sizes[size_class]);
}

// Two pages' worth of objects, but at least 4 and at most 32: light objects come back in batches.
constexpr uint32_t ObjectHeap::magazine_capacity(uint32_t size_class) {
    const uint32_t count = 2 * objects_per_slab(size_class);
    return count < 4 ? 4 : count > 32 ? 32 : count;
}

inline constexpr std::array<uint8_t, ObjectHeap::slab_classes> ObjectHeap::magazine_capacities =
    [] {
        std::array<uint8_t, slab_classes> capacities{};
        for (uint32_t i = 0; i < slab_classes; ++i) {
            capacities[i] = static_cast<uint8_t>(magazine_capacity(i));
        }
        return capacities;
    }();

constexpr size_t ObjectHeap::charged_size(size_t size) {
    return size == 0 || size > max_size ? 0 : size_of(class_of(size));
}

constexpr size_t ObjectHeap::alignment_of(size_t size) {
    const size_t charged = charged_size(size);
    return charged & (~charged + 1);
}

}  // namespace annulus::kernel
