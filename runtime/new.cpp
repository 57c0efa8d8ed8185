// SPDX-License-Identifier: MIT
// operator new and delete over the heap, which maps memory objects of the program's own budget.
//
// Locking: programs with one thread need no lock, and so no semaphore; `prepare_heap_for_threads`
// makes it before the second thread exists. `heap` is guarded by `heap_lock` from then on.

#include "abi/operations.h"
#include "runtime/end.h"
#include "runtime/heap.h"
#include "runtime/mutex.h"
#include "runtime/program_heap.h"
#include "runtime/program_state.h"

#include <new>
#include <optional>

namespace annulus {

namespace {

class ProcessPages final : public HeapPages {
public:
    void* map(size_t bytes) override {
        auto memory = program_state.budget.create_memory(bytes / abi::page_size, 0);
        if (!memory.ok()) return nullptr;
        // The mapping keeps the memory alive, and unmapping ends it: the handle is not needed.
        const auto address =
            program_state.process.map(*memory, 0, bytes, 0, abi::map_read | abi::map_write);
        // Safety: the kernel has just mapped the range there for nobody else.
        return address.ok() ? reinterpret_cast<void*>(*address) : nullptr;
    }

    void unmap(void* begin, size_t bytes) override {
        static_cast<void>(
            program_state.process.map_unmap(reinterpret_cast<uint64_t>(begin), bytes));
    }

    void corrupted(const char* what) override { panic(what); }
};

constinit ProcessPages pages;
constinit Heap heap;
constinit std::optional<Mutex> heap_lock;

// Holds the heap's lock once there is one. Thread-safety analysis cannot follow the condition.
class HeapGuard {
public:
    HeapGuard() NO_THREAD_SAFETY_ANALYSIS {
        if (heap_lock.has_value()) heap_lock->lock();
    }
    ~HeapGuard() NO_THREAD_SAFETY_ANALYSIS {
        if (heap_lock.has_value()) heap_lock->unlock();
    }
    HeapGuard(const HeapGuard&) = delete;
    HeapGuard& operator=(const HeapGuard&) = delete;
};

void* allocate(size_t size, size_t alignment) {
    const HeapGuard guard;
    if (!heap.begun()) {
        if (program_state.budget.empty() || program_state.process.empty()) return nullptr;
        // The seed differs between processes; the address of the heap makes it differ a little
        // more.
        heap.begin(pages, program_state.environment.address_seed() ^
                              reinterpret_cast<uint64_t>(&heap) * 0x9e3779b97f4a7c15);
    }
    return heap.allocate(size, alignment);
}

void* must_allocate(size_t size, size_t alignment = 16) {
    void* block = allocate(size, alignment);
    if (block == nullptr) panic("out of memory");
    return block;
}

void release(void* block) {
    const HeapGuard guard;
    heap.release(block);
}

}  // namespace

Result<void> prepare_heap_for_threads() {
    if (!heap_lock.has_value()) heap_lock.emplace(TRY(Mutex::create()));
    return {};
}

HeapUse heap_use() {
    const HeapGuard guard;
    return {heap.used(), heap.mapped()};
}

}  // namespace annulus

// Without exceptions the plain forms end the program when memory is out; `new (std::nothrow)`
// answers null.
using annulus::must_allocate;
using annulus::release;

const std::nothrow_t std::nothrow{};

void* operator new(size_t size) { return must_allocate(size); }
void* operator new[](size_t size) { return must_allocate(size); }
void* operator new(size_t size, std::align_val_t alignment) {
    return must_allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
    return must_allocate(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
    return annulus::allocate(size, 16);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
    return annulus::allocate(size, 16);
}
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return annulus::allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return annulus::allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, size_t) noexcept { release(block); }
void operator delete[](void* block, size_t) noexcept { release(block); }
void operator delete(void* block, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { release(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { release(block); }
