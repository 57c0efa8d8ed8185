// SPDX-License-Identifier: MIT
// Finding out what the CPU offers, and turning it on.
#include "kernel/arch/x86_64/cpu/features.h"

#include "arch/cpu.h"
#include "kernel/arch/x86_64/cpu/registers.h"

#include <string.h>

extern "C" uint8_t* const smap_sites_begin[];
extern "C" uint8_t* const smap_sites_end[];

namespace annulus::arch {

namespace {

constexpr uint64_t cr0_write_protect = 1u << 16;
constexpr uint64_t cr0_monitor = 1u << 1, cr0_emulate = 1u << 2, cr0_task_switched = 1u << 3;
constexpr uint64_t cr0_numeric_error = 1u << 5;

constexpr uint64_t cr4_global = 1u << 7, cr4_fxsave = 1u << 9, cr4_simd_exceptions = 1u << 10;
constexpr uint64_t cr4_umip = 1u << 11, cr4_fsgsbase = 1u << 16, cr4_xsave = 1u << 18;
constexpr uint64_t cr4_smep = 1u << 20, cr4_smap = 1u << 21;

constexpr uint64_t efer_syscall = 1u << 0, efer_no_execute = 1u << 11;

// XCR0 components (Intel SDM vol. 1, 13.1): x87, SSE, AVX; the three of AVX-512 go together.
constexpr uint64_t component_x87_sse = 3, component_avx = 4, components_avx512 = 0xe0;
constexpr uint32_t fxsave_size = 512;

constinit CpuFeatures features{};

bool bit(uint32_t word, unsigned index) { return (word >> index & 1) != 0; }

// Vendors whose CPUs never forward kernel data to user mode before the rights check, and Intel CPUs
// that say so, need no split page tables.
bool may_leak_kernel_pages(const CpuidResult& vendor, const CpuidResult& leaf7) {
    const bool intel = vendor.ebx == 0x756e6547;  // "Genu"
    if (!intel) return false;
    const bool has_capabilities = bit(leaf7.edx, 29);
    return !has_capabilities || !(read_msr(Msr::arch_capabilities) & 1);
}

uint64_t offered_components() {
    const CpuidResult r = cpuid(0xd, 0);
    const uint64_t all = static_cast<uint64_t>(r.edx) << 32 | r.eax;
    uint64_t chosen = component_x87_sse | (all & component_avx);
    if ((all & components_avx512) == components_avx512) chosen |= components_avx512;
    return chosen;
}

CpuFeatures read_features() {
    const CpuidResult vendor = cpuid(0);
    const CpuidResult leaf1 = cpuid(1);
    const CpuidResult leaf7 = vendor.eax >= 7 ? cpuid(7) : CpuidResult{};
    const uint32_t last_extended = cpuid(0x80000000).eax;
    const CpuidResult extended = cpuid(0x80000001);
    const bool has_power = last_extended >= 0x80000007;
    const bool has_sizes = last_extended >= 0x80000008;
    CpuFeatures f{};
    f.huge_pages = bit(extended.edx, 26);
    f.global_pages = bit(leaf1.edx, 13);
    f.smep = bit(leaf7.ebx, 7);
    f.smap = bit(leaf7.ebx, 20);
    f.umip = bit(leaf7.ecx, 2);
    f.fsgsbase = bit(leaf7.ebx, 0);
    f.pcid = bit(leaf1.ecx, 17);
    f.xsave = bit(leaf1.ecx, 26);
    f.xsaveopt = f.xsave && bit(cpuid(0xd, 1).eax, 0);
    f.x2apic = bit(leaf1.ecx, 21);
    f.tsc_deadline = bit(leaf1.ecx, 24);
    f.invariant_tsc = has_power && bit(cpuid(0x80000007).edx, 8);
    f.rdrand = bit(leaf1.ecx, 30);
    f.hypervisor = bit(leaf1.ecx, 31);
    f.meltdown = may_leak_kernel_pages(vendor, leaf7);
    f.physical_bits = has_sizes ? cpuid(0x80000008).eax & 0xff : 36;
    f.vector_components = f.xsave ? offered_components() : 0;
    f.vector_state_size = fxsave_size;
    return f;
}

void write_xcr0(uint64_t value) {
    asm volatile("xsetbv" ::"c"(0), "a"(static_cast<uint32_t>(value)),
                 "d"(static_cast<uint32_t>(value >> 32)));
}

}  // namespace

const CpuFeatures& cpu_features() { return features; }

void detect_cpu_features() { features = read_features(); }

bool cpu_matches_features() {
    const CpuFeatures own = read_features();
    const auto same = [](bool wanted, bool offered) { return offered || !wanted; };
    return same(features.huge_pages, own.huge_pages) &&
           same(features.global_pages, own.global_pages) && same(features.smep, own.smep) &&
           same(features.smap, own.smap) && same(features.umip, own.umip) &&
           same(features.fsgsbase, own.fsgsbase) && same(features.xsave, own.xsave) &&
           same(features.xsaveopt, own.xsaveopt) && same(features.x2apic, own.x2apic) &&
           (own.vector_components & features.vector_components) == features.vector_components;
}

void enable_cpu_features() {
    write_msr(Msr::efer, read_msr(Msr::efer) | efer_syscall | efer_no_execute);
    write_cr0((read_cr0() & ~(cr0_emulate | cr0_task_switched)) | cr0_write_protect | cr0_monitor |
              cr0_numeric_error);
    uint64_t cr4 = read_cr4() | cr4_fxsave | cr4_simd_exceptions;
    if (features.global_pages) cr4 |= cr4_global;
    if (features.umip) cr4 |= cr4_umip;
    if (features.fsgsbase) cr4 |= cr4_fsgsbase;
    if (features.xsave) cr4 |= cr4_xsave;
    if (features.smep) cr4 |= cr4_smep;
    if (features.smap) cr4 |= cr4_smap;
    write_cr4(cr4);
    if (features.xsave) {
        write_xcr0(features.vector_components);
        // The size for what is enabled now (Intel SDM vol. 1, 13.2); the same on every CPU.
        features.vector_state_size = cpuid(0xd, 0).ebx;
    }
    // AC may have been left set by firmware; with SMAP on it would open user memory.
    if (features.smap) asm volatile("clac" ::: "memory");
}

void patch_smap_instructions() {
    if (features.smap) return;
    static constexpr uint8_t no_operation[3] = {0x0f, 0x1f, 0x00};
    // Safety: the sites are the instructions that trap/macros.h.S marked, three bytes each; the
    // boot page tables still map the kernel writable.
    for (uint8_t* const* site = smap_sites_begin; site != smap_sites_end; ++site) {
        memcpy(*site, no_operation, sizeof(no_operation));
    }
}

}  // namespace annulus::arch
