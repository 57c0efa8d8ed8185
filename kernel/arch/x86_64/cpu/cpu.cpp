// SPDX-License-Identifier: MIT
// Segment bases, random numbers, the cycle counter's permission, and the end of a CPU.
#include "arch/cpu.h"

#include "kernel/arch/x86_64/cpu/registers.h"

namespace annulus::arch {

namespace {

constexpr uint64_t cr4_time_stamp_disable = 1u << 2;

// Spreads a counter over all bits (the finaliser of the public-domain SplitMix64).
uint64_t mix(uint64_t value) {
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

}  // namespace

uint64_t read_random() {
    if (cpu_features().rdrand) {
        // It may fail when drained; ten tries are Intel's advice (SDM vol. 1, 7.3.17.1).
        for (int i = 0; i < 10; ++i) {
            uint64_t value;
            bool ok;
            asm volatile("rdrand %0" : "=r"(value), "=@ccc"(ok));
            if (ok) return value;
        }
    }
    return mix(read_cycle_counter());
}

uint64_t read_fs_base() {
    if (!cpu_features().fsgsbase) return read_msr(Msr::fs_base);
    uint64_t base;
    asm volatile("rdfsbase %0" : "=r"(base));
    return base;
}

void write_fs_base(uint64_t base) {
    if (!cpu_features().fsgsbase) return write_msr(Msr::fs_base, base);
    asm volatile("wrfsbase %0" ::"r"(base));
}

// In kernel mode SWAPGS has put the program's base aside, in a register that has no instruction.
uint64_t read_user_gs_base() { return read_msr(Msr::kernel_gs_base); }
void write_user_gs_base(uint64_t base) { write_msr(Msr::kernel_gs_base, base); }

void allow_cycle_counter(bool allowed) {
    const uint64_t old = read_cr4();
    const uint64_t wanted = allowed ? old & ~cr4_time_stamp_disable : old | cr4_time_stamp_disable;
    if (wanted != old) write_cr4(wanted);
}

void halt_for_ever() {
    for (;;) asm volatile("cli; hlt" ::: "memory");
}

}  // namespace annulus::arch
