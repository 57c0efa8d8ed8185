// SPDX-License-Identifier: MIT
// Saving and loading vector registers: XSAVE where the CPU has it, FXSAVE otherwise.
#include "arch/vector_state.h"

#include "arch/cpu.h"

#include <stdint.h>
#include <string.h>

#include <array>

namespace annulus::arch {

namespace {

// Control words of the clean state, at their places in the legacy area (Intel SDM vol. 1, 10.5.1).
constexpr uint16_t clean_x87_control = 0x37f;
constexpr uint32_t clean_simd_control = 0x1f80;
constexpr uint32_t legacy_size = 512, header_size = 64;

struct alignas(64) LegacyArea {
    std::array<uint16_t, 12> words{};
    uint32_t simd_control = clean_simd_control;
    std::array<uint8_t, legacy_size - 28> registers{};
    // XSAVE header: no component present, so XRSTOR initialises all (SDM vol. 1, 13.8.1).
    std::array<uint8_t, header_size> header{};

    constexpr LegacyArea() { words[0] = clean_x87_control; }
};
static_assert(sizeof(LegacyArea) == legacy_size + header_size);

constexpr LegacyArea clean_state{};

uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

}  // namespace

void init_vector_state(void* area) {
    memset(area, 0, cpu_features().vector_state_size);
    const uint32_t size = cpu_features().vector_state_size;
    memcpy(area, &clean_state, size < sizeof(clean_state) ? size : sizeof(clean_state));
}

void save_vector_state(void* area) {
    const uint64_t components = cpu_features().vector_components;
    // Safety: the caller gives an aligned area of vector_state_size bytes.
    if (cpu_features().xsaveopt) {
        asm volatile("xsaveopt64 (%0)" ::"r"(area), "a"(low(components)), "d"(high(components))
                     : "memory");
    } else if (components) {
        asm volatile("xsave64 (%0)" ::"r"(area), "a"(low(components)), "d"(high(components))
                     : "memory");
    } else {
        asm volatile("fxsave64 (%0)" ::"r"(area) : "memory");
    }
}

void restore_vector_state(const void* area) {
    const uint64_t components = cpu_features().vector_components;
    if (components) {
        asm volatile("xrstor64 (%0)" ::"r"(area), "a"(low(components)), "d"(high(components))
                     : "memory");
    } else {
        asm volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
    }
}

// XRSTOR reads the extended area only for components that the header says are present: none.
void clear_vector_state() { restore_vector_state(&clean_state); }

}  // namespace annulus::arch
