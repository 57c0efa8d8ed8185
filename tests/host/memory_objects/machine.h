// SPDX-License-Identifier: MIT
// A machine for tests of memory objects: RAM, CPUs with cached translations, grace periods, reaper.
//
// A CPU caches each translation that it uses, and goes on using it until it is told to drop it, as
// real ones may. So a test that reads and writes through access() finds every forgotten flush.
#pragma once

#include "kernel/memory/address_space.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/memory/memory_object.h"
#include "tests/support/page_arena.h"

#include <deque>
#include <map>
#include <memory>
#include <vector>

namespace annulus::test {

inline constexpr unsigned machine_cpus = 2;

class Machine {
public:
    explicit Machine(uint64_t pages);
    ~Machine();

    kernel::Budget& root() { return kernel::Budget::root(); }
    // A child of the root budget.
    kernel::Ref<kernel::Budget> budget(uint64_t pages, uint64_t reserved, uint64_t bytes);
    // What a budget uses of a resource.
    static uint64_t used(kernel::Budget& budget, abi::Resource resource);

    // A whole grace period, with what follows from it, until nothing is left to do.
    void settle();
    // The same, with all cached translations dropped: what an operation waits for.
    void flush();
    // One step of a reaper's work, or one grace period. False: there was nothing to do.
    bool advance();
    bool idle() const { return grace_.empty() && work_.empty(); }

    // The CPU runs in this address space from now on; null: in none.
    void load(unsigned cpu, kernel::AddressSpace* space);
    kernel::AddressSpace* loaded(unsigned cpu) const { return cpus_[cpu].space; }
    // The CPU that what the test calls itself runs on; else the last that accessed memory.
    void run_on(unsigned cpu) { running_ = cpu; }

    // A program's access to the first word of a page; faults are resolved, and while that has to
    // wait, grace periods pass. Errors are those of the fault.
    Result<uint64_t> read(unsigned cpu, uint64_t address);
    Result<void> write(unsigned cpu, uint64_t address, uint64_t value);

    // True when the page table has something at the address; cached translations do not count.
    static bool mapped(const kernel::AddressSpace& space, uint64_t address);

    // Pages that are handed out, those of the heap not counted.
    uint64_t pages_in_use();

    // For the hooks.
    static Machine* current;
    kernel::PageAllocator& pages() { return arena_.pages(); }
    kernel::ObjectHeap& heap() { return *heap_; }
    uint64_t kernel_root() const { return kernel_root_; }
    void add(kernel::GraceItem& item) { grace_.push_back(&item); }
    void add(kernel::Work& work) { work_.push_back(&work); }
    void invalidate(uint64_t address) { cpus_[running_].cached.erase(address); }
    void invalidate_all() { cpus_[running_].cached.clear(); }
    bool loaded_elsewhere(uint64_t root) const;
    unsigned flushes = 0;

private:
    struct Translation {
        uint64_t physical;
        bool writable;
    };
    struct TestCpu {
        kernel::AddressSpace* space = nullptr;
        std::map<uint64_t, Translation> cached;
    };
    Result<uint64_t*> touch(unsigned cpu, uint64_t address, bool write);

    PageArena arena_;
    std::unique_ptr<kernel::ObjectHeap> heap_;
    uint64_t kernel_root_;
    std::deque<kernel::GraceItem*> grace_;
    std::deque<kernel::Work*> work_;
    TestCpu cpus_[machine_cpus];
    unsigned running_ = 0;
};

}  // namespace annulus::test
