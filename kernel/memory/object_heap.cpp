// SPDX-License-Identifier: MIT
// Slabs, magazines and the checks of kernel object memory.
//
// The frame table entry of a slab:
//   next, previous  neighbours in the list of partial slabs
//   owner           the heap; owner_small: the class. Both constant while the page is a slab, so
//                   free() may read them without a lock
//   owner_word      offset of the first free object (no_object: none), objects out of the slab
#include "kernel/memory/object_heap.h"

#include "kernel/assert.h"

#include <string.h>

#include <algorithm>

namespace annulus::kernel {
namespace {

constexpr uint64_t one_cached = 1;
constexpr uint64_t one_allocated = uint64_t{1} << 32;
constexpr uint32_t no_object = 0xffff;
constexpr uint8_t freed_byte = 0xd5;
constexpr uint8_t redzone_byte = 0xa9;

// Only holders of the CPU's lock write the word, so load and store need not be one step.
void add_to_balance(std::atomic<uint64_t>& balance, uint64_t difference) {
    // Relaxed: ledger() needs each word's value, not an order between them.
    balance.store(balance.load(std::memory_order_relaxed) + difference, std::memory_order_relaxed);
}

uint32_t first_offset(const PageFrame& slab) { return slab.owner_word & 0xffff; }
uint32_t objects_out(const PageFrame& slab) { return slab.owner_word >> 16; }
void set_slab(PageFrame& slab, uint32_t first_offset, uint32_t objects_out) {
    slab.owner_word = objects_out << 16 | first_offset;
}

uint64_t identity(const void* heap) {
    // Safety: only compared.
    return reinterpret_cast<uintptr_t>(heap);
}

// Reciprocals of sizes in units of 32 bytes, rounded up.
constexpr unsigned reciprocal_shift = 13;
constexpr auto reciprocals = [] {
    std::array<uint16_t, 2048 / 32 + 1> values{};
    for (uint32_t units = 1; units < values.size(); ++units) {
        values[units] = static_cast<uint16_t>(((1u << reciprocal_shift) + units - 1) / units);
    }
    return values;
}();

// Whether an object of `size` bytes, of a slab class, begins at this offset into a slab. Without a
// division: for such small numbers the multiplication is exact.
constexpr bool begins_object(uint32_t offset, uint32_t size) {
    const uint32_t number = offset / 32 * reciprocals.data()[size / 32] >> reciprocal_shift;
    return number * size == offset && offset + size <= page_size;
}
static_assert([] {
    for (uint32_t size = 32; size <= 2048; size += 32) {
        for (uint32_t offset = 0; offset < page_size; offset += 16) {
            const bool begins = offset % size == 0 && offset + size <= page_size;
            if (begins_object(offset, size) != begins) return false;
        }
    }
    return true;
}());

[[maybe_unused]] bool all_are(const void* begin, size_t size, uint8_t value) {
    const auto* bytes = static_cast<const uint8_t*>(begin);
    return std::all_of(bytes, bytes + size, [value](uint8_t byte) { return byte == value; });
}

// Debug builds: the bytes that the class has more than was asked for.
void mark_redzone(void* object, size_t size, size_t charged) {
    if constexpr (debug_checks) {
        memset(static_cast<uint8_t*>(object) + size, redzone_byte, charged - size);
    }
}
void check_redzone(const void* object, size_t size, size_t charged) {
    if constexpr (debug_checks) {
        kernel_assert(
            all_are(static_cast<const uint8_t*>(object) + size, charged - size, redzone_byte),
            "an object was written to behind its end, or freed with another size");
    }
}

}  // namespace

void ObjectHeap::init(PageAllocator& pages, uint64_t secret) {
    pages_ = &pages;
    secret_ = secret;
}

uint64_t ObjectHeap::canary_of(const void* object) const {
    // Safety: only a number that differs for each object.
    return reinterpret_cast<uintptr_t>(object) ^ secret_;
}

// Stops at pointers that are not objects of this heap and class.
[[gnu::always_inline]] inline void ObjectHeap::check_owned(const void* object, uint32_t size_class,
                                                           uint32_t order) const {
    const PhysicalPage page = pages_->page_of(object);
    const PageFrame& frame = pages_->known_frame(page);
    kernel_assert(frame.tag.load(std::memory_order_relaxed) == FrameTag(FrameState::kernel, order),
                  "freed memory that is not an allocated object");
    kernel_assert(frame.owner == identity(this), "freed memory that is not the heap's");
    kernel_assert(frame.owner_small == size_class, "freed an object with another size");
}

void ObjectHeap::make_free(void* object, uint32_t size_class) const {
    auto* freed = static_cast<FreeObject*>(object);
    freed->canary = canary_of(object);
    freed->next = nullptr;
    if constexpr (debug_checks) {
        memset(freed + 1, freed_byte, slab_sizes[size_class] - sizeof(FreeObject));
    }
}

void ObjectHeap::check_free(const FreeObject* object, [[maybe_unused]] uint32_t size_class) const {
    kernel_assert(object->canary == canary_of(object), "a free object was written to");
    if constexpr (debug_checks) {
        kernel_assert(all_are(object + 1, slab_sizes[size_class] - sizeof(FreeObject), freed_byte),
                      "a free object was written to");
    }
}

Result<void*> ObjectHeap::allocate(size_t size) {
    if (size == 0) return Error::bad_argument;
    if (size > max_size) return Error::limit;
    const uint32_t size_class = class_of(size);
    if (size_class >= slab_classes) {
        void* object = TRY(allocate_block(size_class));
        mark_redzone(object, size, size_of(size_class));
        return object;
    }
    void* object = allocate_unset(size);
    if (object == nullptr) return Error::no_memory;
    memset(object, 0, debug_checks ? size : slab_sizes[size_class]);
    return object;
}

void* ObjectHeap::allocate_in(uint32_t size_class, size_t size) {
    if (size_class >= slab_classes) {
        auto object = allocate_block(size_class);
        if (!object.ok()) return nullptr;
        mark_redzone(*object, size, size_of(size_class));
        return *object;
    }
    FreeObject* object = pop(size_class);
    if (object == nullptr) return nullptr;
    check_free(object, size_class);
    mark_redzone(object, size, slab_sizes[size_class]);
    return object;
}

void ObjectHeap::free(void* object, size_t size) {
    kernel_assert(size > 0 && size <= max_size, "freed an object with an impossible size");
    if (size > max_slab_size) return free_block(object, size);
    const uint32_t size_class = class_of(size);
    check_owned(object, size_class, 0);
    // Safety: only a number.
    const auto offset = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(object) % page_size);
    kernel_assert(begins_object(offset, slab_sizes.data()[size_class]),
                  "freed a pointer into the middle of an object");
    auto* freed = static_cast<FreeObject*>(object);
    kernel_assert(freed->canary != canary_of(object), "freed an object twice");
    check_redzone(object, size, slab_sizes.data()[size_class]);
    make_free(object, size_class);
    CpuHeap& cpu = cpus_[cpu_index()];
    SpinGuard guard(cpu.lock);
    Magazine& magazine = cpu.magazines[size_class];
    if (magazine.count == magazine_capacities.data()[size_class]) [[unlikely]] {
        drain(cpu, size_class, magazine.count / 2);
    }
    freed->next = magazine.first;
    magazine.first = freed;
    ++magazine.count;
    add_to_balance(cpu.balance[size_class], one_cached - one_allocated);
}

// Magazines.

// An object that counts as allocated already, or null.
inline ObjectHeap::FreeObject* ObjectHeap::pop(uint32_t size_class) {
    CpuHeap& cpu = cpus_[cpu_index()];
    {
        SpinGuard guard(cpu.lock);
        Magazine& magazine = cpu.magazines[size_class];
        if (magazine.count != 0) [[likely]]
            return pop_locked(cpu, size_class);
    }
    return pop_slowly(size_class);
}

// There is one.
inline ObjectHeap::FreeObject* ObjectHeap::pop_locked(CpuHeap& cpu, uint32_t size_class) {
    Magazine& magazine = cpu.magazines[size_class];
    FreeObject* object = magazine.first;
    // Before the link is believed.
    kernel_assert(object->canary == canary_of(object), "a free object was written to");
    magazine.first = object->next;
    --magazine.count;
    add_to_balance(cpu.balance[size_class], one_allocated - one_cached);
    return object;
}

ObjectHeap::FreeObject* ObjectHeap::pop_slowly(uint32_t size_class) {
    CpuHeap& cpu = cpus_[cpu_index()];
    for (unsigned attempt = 0; attempt < 2; ++attempt) {
        // Other CPUs may keep objects of this class, or the last ones of slabs of others.
        if (attempt != 0) flush_caches();
        SpinGuard guard(cpu.lock);
        if (cpu.magazines[size_class].count == 0) refill(cpu, size_class);
        if (cpu.magazines[size_class].count != 0) return pop_locked(cpu, size_class);
    }
    return nullptr;
}

// Takes half a magazine from slabs; makes at most one new slab.
void ObjectHeap::refill(CpuHeap& cpu, uint32_t size_class) {
    SlabClass& slabs = slabs_[size_class];
    SpinGuard guard(slabs.lock);
    if (slabs.first_partial == no_frame && !add_slab(slabs, size_class)) return;
    Magazine& magazine = cpu.magazines[size_class];
    while (magazine.count < magazine_capacity(size_class) / 2) {
        FreeObject* object = take_from_slab(slabs);
        if (object == nullptr) break;
        object->next = magazine.first;
        magazine.first = object;
        ++magazine.count;
        add_to_balance(cpu.balance[size_class], one_cached);
    }
}

void ObjectHeap::drain(CpuHeap& cpu, uint32_t size_class, uint32_t keep) {
    SlabClass& slabs = slabs_[size_class];
    SpinGuard guard(slabs.lock);
    Magazine& magazine = cpu.magazines[size_class];
    while (magazine.count > keep) {
        FreeObject* object = magazine.first;
        kernel_assert(object->canary == canary_of(object), "a free object was written to");
        magazine.first = object->next;
        --magazine.count;
        give_to_slab(slabs, size_class, object);
        add_to_balance(cpu.balance[size_class], uint64_t{0} - one_cached);
    }
}

void ObjectHeap::flush_caches() {
    for (CpuHeap& cpu : cpus_) {
        for (uint32_t size_class = 0; size_class < slab_classes; ++size_class) {
            // Relaxed: skips empty magazines; an object that comes in just now could as well have
            // come in later.
            const uint64_t balance = cpu.balance[size_class].load(std::memory_order_relaxed);
            if (static_cast<uint32_t>(balance) == 0) continue;
            SpinGuard guard(cpu.lock);
            drain(cpu, size_class, 0);
        }
    }
}

// Slabs.

bool ObjectHeap::add_slab(SlabClass& slabs, uint32_t size_class) {
    auto page = pages_->allocate(0, PageUse::kernel);
    if (!page.ok()) return false;
    const uint32_t count = objects_per_slab(size_class);
    std::byte* bytes = pages_->pointer(*page);
    for (uint32_t i = 0; i < count; ++i) {
        make_free(bytes + size_t{i} * slab_sizes[size_class], size_class);
        if (i == 0) continue;
        // Safety: both are objects of this slab that make_free just wrote.
        auto* previous =
            reinterpret_cast<FreeObject*>(bytes + size_t{i - 1} * slab_sizes[size_class]);
        previous->next = reinterpret_cast<FreeObject*>(bytes + size_t{i} * slab_sizes[size_class]);
    }
    PageFrame& frame = pages_->frame(*page);
    frame.owner = identity(this);
    frame.owner_small = static_cast<uint16_t>(size_class);
    set_slab(frame, 0, 0);
    link_partial(slabs, page->frame);
    ++slabs.pages;
    slabs.free += count;
    return true;
}

ObjectHeap::FreeObject* ObjectHeap::take_from_slab(SlabClass& slabs) {
    const PhysicalPage page{slabs.first_partial};
    if (page.frame == no_frame) return nullptr;
    PageFrame& frame = pages_->frame(page);
    std::byte* bytes = pages_->pointer(page);
    // Safety: the offset was made by give_to_slab or add_slab from an object of this slab.
    auto* object = reinterpret_cast<FreeObject*>(bytes + first_offset(frame));
    kernel_assert(object->canary == canary_of(object), "a free object was written to");
    const uint32_t next =
        object->next == nullptr
            ? no_object
            : static_cast<uint32_t>(static_cast<std::byte*>(static_cast<void*>(object->next)) -
                                    bytes);
    set_slab(frame, next, objects_out(frame) + 1);
    if (next == no_object) unlink_partial(slabs, page.frame);
    --slabs.free;
    return object;
}

void ObjectHeap::give_to_slab(SlabClass& slabs, uint32_t size_class, FreeObject* object) {
    const PhysicalPage page = pages_->page_of(object);
    PageFrame& frame = pages_->frame(page);
    std::byte* bytes = pages_->pointer(page);
    const uint32_t first = first_offset(frame);
    // Safety: the offset was made from an object of this slab.
    object->next = first == no_object ? nullptr : reinterpret_cast<FreeObject*>(bytes + first);
    const auto offset =
        static_cast<uint32_t>(static_cast<std::byte*>(static_cast<void*>(object)) - bytes);
    set_slab(frame, offset, objects_out(frame) - 1);
    ++slabs.free;
    if (first == no_object) link_partial(slabs, page.frame);
    if (objects_out(frame) > 0) return;
    unlink_partial(slabs, page.frame);
    --slabs.pages;
    slabs.free -= objects_per_slab(size_class);
    pages_->free(page, 0);
}

void ObjectHeap::link_partial(SlabClass& slabs, uint32_t frame) {
    PageFrame& entry = pages_->frame({frame});
    entry.previous = no_frame;
    entry.next = slabs.first_partial;
    if (entry.next != no_frame) pages_->frame({entry.next}).previous = frame;
    slabs.first_partial = frame;
}

void ObjectHeap::unlink_partial(SlabClass& slabs, uint32_t frame) {
    PageFrame& entry = pages_->frame({frame});
    if (entry.next != no_frame) pages_->frame({entry.next}).previous = entry.previous;
    if (entry.previous != no_frame) {
        pages_->frame({entry.previous}).next = entry.next;
    } else {
        slabs.first_partial = entry.next;
    }
}

// Blocks of pages.

Result<void*> ObjectHeap::allocate_block(uint32_t size_class) {
    const uint32_t order = size_class - slab_classes;
    PhysicalPage page;
    if (order == 0) {
        page = TRY(pages_->allocate_zeroed(PageUse::kernel));
    } else {
        page = TRY(pages_->allocate(order, PageUse::kernel));
        memset(pages_->pointer(page), 0, size_of(size_class));
    }
    PageFrame& frame = pages_->frame(page);
    frame.owner = identity(this);
    frame.owner_small = static_cast<uint16_t>(size_class);
    count_block(size_class, one_allocated);
    return static_cast<void*>(pages_->pointer(page));
}

void ObjectHeap::free_block(void* object, size_t size) {
    const uint32_t size_class = class_of(size);
    const uint32_t order = size_class - slab_classes;
    check_owned(object, size_class, order);
    // Safety: only a number.
    kernel_assert(reinterpret_cast<uintptr_t>(object) % page_size == 0,
                  "freed a pointer into the middle of an object");
    check_redzone(object, size, size_of(size_class));
    count_block(size_class, uint64_t{0} - one_allocated);
    pages_->free(pages_->page_of(object), order);
}

void ObjectHeap::count_block(uint32_t size_class, uint64_t difference) {
    CpuHeap& cpu = cpus_[cpu_index()];
    SpinGuard guard(cpu.lock);
    add_to_balance(cpu.balance[size_class], difference);
}

HeapLedger ObjectHeap::ledger() {
    HeapLedger sum;
    for (uint32_t size_class = 0; size_class < slab_classes; ++size_class) {
        // The class's lock stops every move but those between a magazine and its users.
        SlabClass& slabs = slabs_[size_class];
        SpinGuard guard(slabs.lock);
        sum.pages += slabs.pages;
        sum.free += slabs.free;
        sum.slots += slabs.pages * objects_per_slab(size_class);
        add_balances(sum, size_class);
    }
    for (uint32_t size_class = slab_classes; size_class < class_count; ++size_class) {
        const uint64_t blocks = add_balances(sum, size_class);
        sum.pages += blocks << (size_class - slab_classes);
        sum.slots += blocks;
    }
    return sum;
}

// Returns how many objects of the class are handed out.
uint64_t ObjectHeap::add_balances(HeapLedger& sum, uint32_t size_class) const {
    // Modulo 2^32, which is exact: there are fewer objects, whatever went from CPU to CPU.
    uint32_t allocated = 0;
    for (const CpuHeap& cpu : cpus_) {
        const uint64_t balance = cpu.balance[size_class].load(std::memory_order_relaxed);
        sum.cached += static_cast<uint32_t>(balance);
        allocated += static_cast<uint32_t>(balance >> 32);
    }
    sum.allocated += allocated;
    sum.charged_bytes += allocated * size_of(size_class);
    return allocated;
}

}  // namespace annulus::kernel
