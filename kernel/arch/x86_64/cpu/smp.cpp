// SPDX-License-Identifier: MIT
// Starting the other CPUs, one after the other.
#include "kernel/arch/x86_64/cpu/smp.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/cpu_local.h"
#include "arch/smp.h"
#include "arch/vector_state.h"
#include "kernel/arch/x86_64/cpu/clock.h"
#include "kernel/arch/x86_64/cpu/features.h"
#include "kernel/arch/x86_64/cpu/registers.h"
#include "kernel/arch/x86_64/interrupt/local_apic.h"
#include "kernel/arch/x86_64/memory/kernel_map.h"
#include "kernel/boot_info.h"
#include "kernel/log.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <atomic>

// cpu_start.S: code for the start page, and the words in it that the starting CPU reads.
extern "C" const char cpu_start_begin[], cpu_start_end[];
extern "C" uint32_t cpu_start_root;
extern "C" uint64_t cpu_start_stack, cpu_start_index;

// Where cpu_start.S jumps to, on the new CPU's stack.
extern "C" [[noreturn]] void arch_start_cpu(unsigned index);

namespace annulus::arch {

namespace {

// The physical page below 1 MiB where CPUs start; cpu_start.S is linked for it.
constexpr PhysicalAddress start_page = 0x8000;

// Under a busy host a virtual CPU may take long to be scheduled.
constexpr uint64_t answer_wait_ns = 2'000'000'000;
constexpr uint64_t second_startup_ns = 20'000'000;
constexpr uint64_t init_delay_ns = 10'000'000;  // Intel SDM vol. 3, 8.4.4.1

constinit std::array<uint32_t, cpus_max> candidates{};  // controller numbers; the boot CPU first
constinit std::array<CpuStacks, cpus_max> stacks{};
// Storage of the CPUs that are started; a CPU finds its own here before it can call anything.
constinit std::array<CpuLocal*, cpus_max> areas{};
constinit unsigned candidate_count = 1;
constinit bool can_start = false;
constinit PhysicalAddress start_root = 0;
constinit std::atomic<unsigned> running = 1;

// The hand-shake with the CPU being started. Each word is written once by one side: release, read
// by the other with acquire.
struct HandShake {
    std::atomic<uint64_t> boot_tsc;
    std::atomic<uint64_t> new_tsc;
    std::atomic<bool> go;
};
constinit HandShake hand_shake{};

// Copies a word of the start code, as seen through the direct map.
template <typename T>
void set_start_word(const T& word, T value) {
    const uint64_t offset =
        reinterpret_cast<uint64_t>(&word) - reinterpret_cast<uint64_t>(cpu_start_begin);
    // Safety: the start page is RAM that the memory map gives to nobody.
    memcpy(physical_to_pointer<char>(start_page) + offset, &value, sizeof(value));
}

bool wait_until(const std::atomic<uint64_t>& word, uint64_t duration) {
    const uint64_t end = now_ns() + duration;
    // Acquire: pairs with the new CPU's release of its first word.
    while (word.load(std::memory_order_acquire) == 0) {
        if (now_ns() >= end) return false;
        pause();
    }
    return true;
}

// The new CPU's counter must lie between two readings of the boot CPU's.
void report_clock(unsigned index, uint64_t before, uint64_t middle, uint64_t after) {
    if (middle < before) {
        kernel::log("cpu {}: cycle counter is {} behind", index, before - middle);
    } else if (middle > after) {
        kernel::log("cpu {}: cycle counter is {} ahead", index, middle - after);
    }
}

bool start_cpu(unsigned index, uint32_t apic_id) {
    // Relaxed: the new CPU does not run yet; the start-up signal orders these.
    hand_shake.boot_tsc.store(0, std::memory_order_relaxed);
    hand_shake.new_tsc.store(0, std::memory_order_relaxed);
    hand_shake.go.store(false, std::memory_order_relaxed);
    set_start_word(cpu_start_root, static_cast<uint32_t>(start_root));
    set_start_word(cpu_start_stack, stacks[index].kernel);
    set_start_word(cpu_start_index, uint64_t{index});
    set_apic_id(index, apic_id);

    send_init(apic_id);
    delay_ns(cpu_features().hypervisor ? 0 : init_delay_ns);
    const uint64_t before = read_cycle_counter() | 1;
    hand_shake.boot_tsc.store(before, std::memory_order_release);
    send_startup(apic_id, start_page / page_size);
    if (!wait_until(hand_shake.new_tsc, second_startup_ns)) {
        send_startup(apic_id, start_page / page_size);
        if (!wait_until(hand_shake.new_tsc, answer_wait_ns)) {
            send_init(apic_id);  // it must not wake up later and run another CPU's words
            kernel::log("cpu {}: controller {} does not answer, left out", index, apic_id);
            return false;
        }
    }
    const uint64_t after = read_cycle_counter();
    report_clock(index, before, hand_shake.new_tsc.load(std::memory_order_relaxed), after);
    // Relaxed: written before the release below, which the new CPU awaits.
    running.store(index + 1, std::memory_order_relaxed);
    hand_shake.go.store(true, std::memory_order_release);
    return true;
}

}  // namespace

void prepare_other_cpus(const AcpiInfo& info, const RangeList& ram, uint32_t boot_apic_id,
                        const CpuStacks& boot_stacks) {
    stacks[0] = boot_stacks;
    candidates[0] = boot_apic_id;
    set_apic_id(0, boot_apic_id);
    can_start = ram.covers({start_page, start_page + page_size});
    if (!can_start) return;
    for (uint32_t i = 0; i < info.cpu_count && candidate_count < cpus_max; ++i) {
        if (info.cpus[i] == boot_apic_id) continue;
        // Numbers above 254 are only reachable in x2APIC mode.
        if (info.cpus[i] >= 255 && !cpu_features().x2apic) continue;
        stacks[candidate_count] = map_cpu_stacks(candidate_count);
        candidates[candidate_count++] = info.cpus[i];
    }
}

unsigned cpu_count() {
    // Relaxed: only grows, and a caller that must see a CPU was told of it in another way.
    return running.load(std::memory_order_relaxed);
}

unsigned start_other_cpus() {
    if (!can_start || candidate_count == 1) return cpu_count();
    // Safety: as in set_start_word; the code is position-independent but for its page.
    memcpy(physical_to_pointer(start_page), cpu_start_begin,
           static_cast<size_t>(cpu_start_end - cpu_start_begin));
    start_root = make_start_map(start_page);
    for (unsigned i = 1; i < candidate_count; ++i) {
        const unsigned index = cpu_count();
        // After a CPU that did not answer, the next one takes over its index and its storage.
        if (!areas[index]) areas[index] = kernel_cpu_area(index);
        if (!areas[index]) break;
        start_cpu(index, candidates[i]);
    }
    return cpu_count();
}

}  // namespace annulus::arch

void arch_start_cpu(unsigned index) {
    using namespace annulus;
    using namespace annulus::arch;
    load_kernel_map();
    load_descriptors(*areas[index], index, stacks[index]);
    const bool fits = cpu_matches_features();
    if (fits) {
        enable_cpu_features();
        enable_system_calls();
        clear_vector_state();
        this_cpu().apic_id = start_local_apic();
        enable_timer();
        // Acquire and release: the steps of HandShake.
        static_cast<void>(hand_shake.boot_tsc.load(std::memory_order_acquire));
        hand_shake.new_tsc.store(read_cycle_counter() | 1, std::memory_order_release);
        while (!hand_shake.go.load(std::memory_order_acquire)) pause();
        kernel_cpu_main(index);
    }
    halt_for_ever();
}
