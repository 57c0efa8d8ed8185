// SPDX-License-Identifier: MIT
// The test machine, and the kernel's hooks that end in it.
#include "tests/host/memory_objects/machine.h"

#include "arch/tlb.h"
#include "kernel/memory/region.h"
#include "kernel/object/hardware.h"
#include "kernel/schedule/grace.h"
#include "kernel/schedule/reaper.h"

#include <gtest/gtest.h>

namespace annulus::test {

Machine* Machine::current = nullptr;

Machine::Machine(uint64_t pages)
    : arena_(PageArena::one_range(pages)), heap_(std::make_unique<kernel::ObjectHeap>()) {
    current = this;
    kernel::the_page_allocator = &arena_.pages();
    kernel::the_object_heap = heap_.get();
    heap_->init(arena_.pages(), 42);
    kernel_root_ = arena_.pages().allocate_zeroed().value().address();
    abi::BudgetLimits limits{};
    for (uint64_t& amount : limits.amount) amount = uint64_t{1} << 40;
    limits.amount[static_cast<unsigned>(abi::Resource::pages)] = pages;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 63;
    kernel::Budget::init_root(limits);
}

// What ends objects keeps lists of its own, which must be empty for the next machine.
Machine::~Machine() {
    kernel::free_retired_soon();
    settle();
    current = nullptr;
}

kernel::Ref<kernel::Budget> Machine::budget(uint64_t pages, uint64_t reserved, uint64_t bytes) {
    abi::BudgetLimits limits{};
    limits.amount[static_cast<unsigned>(abi::Resource::pages)] = pages;
    limits.amount[static_cast<unsigned>(abi::Resource::reserved_pages)] = reserved;
    limits.amount[static_cast<unsigned>(abi::Resource::kernel_bytes)] = bytes;
    limits.amount[static_cast<unsigned>(abi::Resource::pins)] = 1000;
    limits.cpu_weight = 100;
    return root().create_child(limits).value();
}

uint64_t Machine::used(kernel::Budget& budget, abi::Resource resource) {
    abi::BudgetLedger ledger;
    budget.read_ledger(ledger);
    return ledger.used[static_cast<unsigned>(resource)];
}

bool Machine::advance() {
    if (!work_.empty()) {
        kernel::Work* work = work_.front();
        work_.pop_front();
        if (work->step(*work) == kernel::Work::Step::more) work_.push_back(work);
        return true;
    }
    if (grace_.empty()) return false;
    // Everything that waits now; what is added meanwhile waits for the next period.
    std::deque<kernel::GraceItem*> items;
    items.swap(grace_);
    bool flush = false;
    for (const kernel::GraceItem* item : items) flush = flush || item->flush;
    if (flush) {
        ++flushes;
        for (TestCpu& cpu : cpus_) cpu.cached.clear();
    }
    for (kernel::GraceItem* item : items) item->done(*item);
    return true;
}

void Machine::settle() {
    while (advance()) {
    }
}

void Machine::flush() {
    kernel::GraceItem wait;
    wait.flush = true;
    wait.done = [](kernel::GraceItem&) {};
    add(wait);
    settle();
}

void Machine::load(unsigned cpu, kernel::AddressSpace* space) {
    if (cpus_[cpu].space == space) return;
    cpus_[cpu].space = space;
    cpus_[cpu].cached.clear();
}

bool Machine::loaded_elsewhere(uint64_t root) const {
    for (unsigned cpu = 0; cpu < machine_cpus; ++cpu) {
        if (cpu != running_ && cpus_[cpu].space && cpus_[cpu].space->root() == root) return true;
    }
    return false;
}

namespace {
struct Walker {
    uint64_t* entries(uint64_t table) {
        return reinterpret_cast<uint64_t*>(kernel::page_allocator().pointer(
            kernel::PhysicalPage{static_cast<uint32_t>(table / abi::page_size)}));
    }
    Result<uint64_t> allocate_table() { return Error::no_memory; }
    void free_table(uint64_t) {}
};
}  // namespace

bool Machine::mapped(const kernel::AddressSpace& space, uint64_t address) {
    Walker walker;
    return arch::PageTable<Walker>(walker, space.root()).query(address).ok();
}

Result<uint64_t*> Machine::touch(unsigned cpu, uint64_t address, bool write) {
    running_ = cpu;
    TestCpu& here = cpus_[cpu];
    for (unsigned attempt = 0; attempt < 100; ++attempt) {
        const auto cached = here.cached.find(address);
        if (cached != here.cached.end() && (cached->second.writable || !write)) {
            const kernel::PhysicalPage page{
                static_cast<uint32_t>(cached->second.physical / abi::page_size)};
            // Inside a block only the first frame has a state.
            const kernel::FrameTag tag = pages().frame(page).tag.load();
            EXPECT_TRUE(tag.allocated() || tag.state() == kernel::FrameState::none)
                << "a page that is free";
            return reinterpret_cast<uint64_t*>(pages().pointer(page));
        }
        Walker walker;
        const auto mapping = arch::PageTable<Walker>(walker, here.space->root()).query(address);
        if (mapping.ok() && (!write || has(mapping->flags, arch::PageFlags::write))) {
            here.cached[address] = {mapping->physical, has(mapping->flags, arch::PageFlags::write)};
            continue;
        }
        // A fault drops the translation that caused it (Intel SDM vol. 3, 4.10.4.1).
        here.cached.erase(address);
        const auto resolved = here.space->resolve_fault(address, write, false);
        if (resolved.ok()) continue;
        if (resolved.error() != Error::busy) return resolved.status();
        advance();
        running_ = cpu;
    }
    ADD_FAILURE() << "a fault that is never resolved";
    return Error::busy;
}

Result<uint64_t> Machine::read(unsigned cpu, uint64_t address) {
    return *TRY(touch(cpu, address, false));
}

Result<void> Machine::write(unsigned cpu, uint64_t address, uint64_t value) {
    *TRY(touch(cpu, address, true)) = value;
    return {};
}

uint64_t Machine::pages_in_use() {
    heap_->flush_caches();
    pages().flush_caches();
    return pages().ledger().allocated - heap_->ledger().pages;
}

}  // namespace annulus::test

namespace annulus::kernel {

PageAllocator* the_page_allocator = nullptr;
ObjectHeap* the_object_heap = nullptr;
void grace_after(GraceItem& item) { test::Machine::current->add(item); }
void reap(Work& work) { test::Machine::current->add(work); }
bool loaded_elsewhere(uint64_t root) { return test::Machine::current->loaded_elsewhere(root); }

// Mappings of these tests are under no lease.
constinit std::atomic<LeaseEpochPage*> lease_epochs[lease_pages_max] = {};
Result<void> lease_region(Region&) { return Error::revoked; }
void lease_part(const Region&, Region&) {}
void unlease_region(Region&) {}
void forget_revoked(Region&) {}

// Budgets of these tests are not destroyed as a whole, and nobody watches them.
void Budget::begin_destruction() {}
void WatchList::clear() {}
bool WatchList::clear_some(unsigned&) { return true; }
void WatchList::fire() {}
// Device registers of these tests are nobody's.
void give_back_registers(PhysicalRange) {}

}  // namespace annulus::kernel

namespace annulus::arch {

PhysicalAddress kernel_page_table() { return test::Machine::current->kernel_root(); }
void invalidate_page(uint64_t address) { test::Machine::current->invalidate(address); }
void invalidate_user_pages() { test::Machine::current->invalidate_all(); }

}  // namespace annulus::arch
