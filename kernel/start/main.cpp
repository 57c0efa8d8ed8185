// SPDX-License-Identifier: MIT
// The portable kernel's entry: memory, the root budget, the other CPUs, the first process.
#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/smp.h"
#include "arch/tlb.h"
#include "kernel/boot_info.h"
#include "kernel/log.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/object/budget.h"
#include "kernel/panic.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/start/first_process.h"
#include "kernel/start/panic_drill.h"

#include <new>

namespace annulus::kernel {

namespace {

constinit Cpu boot_cpu;
constinit Cpu* cpus[abi::cpus_max] = {&boot_cpu};
constinit std::atomic<unsigned> online_count{0};

// Of all pages, the part that kernel objects may take: it is not promised to budgets as pages, so
// that what a budget promises, it can pay.
constexpr uint64_t heap_part = 8;

abi::BudgetLimits root_limits(uint64_t pages) {
    const uint64_t heap_pages = pages / heap_part;
    abi::BudgetLimits limits{};
    const auto set = [&](abi::Resource resource, uint64_t amount) {
        limits.amount[static_cast<unsigned>(resource)] = amount;
    };
    set(abi::Resource::pages, pages - heap_pages);
    set(abi::Resource::reserved_pages, pages - heap_pages);
    // Slabs are never quite full: a quarter is left for what cannot be used.
    set(abi::Resource::kernel_bytes, heap_pages * abi::page_size / 4 * 3);
    set(abi::Resource::handles, pages * 16);
    set(abi::Resource::slots, pages);
    set(abi::Resource::wait_records, pages * 4);
    set(abi::Resource::pins, pages - heap_pages);
    set(abi::Resource::timers, pages);
    set(abi::Resource::threads, pages);
    set(abi::Resource::leases, pages);
    limits.cpu_weight = 100;
    limits.priority_ceiling = abi::priority_count - 1;
    return limits;
}

void start_cpu(Cpu& cpu) {
    cpu.loaded_root = arch::kernel_page_table();
    scheduler_init(cpu);
    online_count.fetch_add(1, std::memory_order_release);
}

}  // namespace

Cpu& cpu_at(unsigned index) { return *cpus[index]; }
// Acquire: pairs with the release in start_cpu.
unsigned online_cpus() { return online_count.load(std::memory_order_acquire); }

// Hooks of code that is also compiled for the host.
HeldRanks& held_ranks() { return this_cpu().held_ranks; }
void spin_wait() { arch::pause(); }

}  // namespace annulus::kernel

using namespace annulus;
using namespace annulus::kernel;

extern "C" arch::CpuLocal* kernel_cpu_area(unsigned index) {
    if (index == 0) return &boot_cpu.local;
    if (index >= abi::cpus_max) return nullptr;
    const uint32_t order =
        PageAllocator::order_for((sizeof(Cpu) + abi::page_size - 1) / abi::page_size);
    auto pages = page_allocator().allocate(order);
    if (!pages.ok()) return nullptr;
    // Safety: fresh pages, large enough and page aligned.
    cpus[index] = new (page_allocator().pointer(*pages)) Cpu;
    return &cpus[index]->local;
}

extern "C" void kernel_main(const BootInfo& info) {
    start_cpu(boot_cpu);
    init_kernel_memory(info);
    Budget::init_root(root_limits(page_allocator().free_pages()));
    if constexpr (debug_checks) choose_panic(info.command_line);
    const unsigned count = arch::start_other_cpus();
    log("annulus: {} cpu(s), {} MiB free", count, page_allocator().free_pages() / 256);
    start_first_process(info);
    if constexpr (debug_checks) begin_panic_drill(count);
    schedule();
}

extern "C" void kernel_cpu_main(unsigned index) {
    start_cpu(this_cpu());
    if constexpr (debug_checks) join_panic_drill(index);
    schedule();
}
