// SPDX-License-Identifier: MIT
// Arithmetic on sizes and addresses: alignment, powers of two, and sums that notice overflow.
#pragma once

#include <stdint.h>

#include <bit>
#include <optional>

namespace annulus {

// True for 1, 2, 4, ...; false for 0.
constexpr bool is_power_of_two(uint64_t value) { return std::has_single_bit(value); }

// In the functions below `alignment` is a power of two; anything else gives a meaningless answer.

constexpr bool is_aligned(uint64_t value, uint64_t alignment) {
    return (value & (alignment - 1)) == 0;
}

constexpr uint64_t align_down(uint64_t value, uint64_t alignment) {
    return value & ~(alignment - 1);
}

// The caller knows that the result fits (wraps to 0 otherwise); see checked_align_up.
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
    return (value + (alignment - 1)) & ~(alignment - 1);
}

// a + b, or nothing if the sum does not fit in 64 bits.
constexpr std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
    uint64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
    return sum;
}

// a * b, or nothing if the product does not fit in 64 bits.
constexpr std::optional<uint64_t> checked_multiply(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
    return product;
}

// The next multiple of `alignment` at or above `value`, or nothing if it does not fit in 64 bits.
constexpr std::optional<uint64_t> checked_align_up(uint64_t value, uint64_t alignment) {
    if (!checked_add(value, alignment - 1)) return std::nullopt;
    return align_up(value, alignment);
}

// True if [offset, offset + length) lies in [0, size); never overflows, whatever the numbers.
constexpr bool range_fits(uint64_t offset, uint64_t length, uint64_t size) {
    return offset <= size && length <= size - offset;
}

// Rounds up; `divisor` is not 0. Never overflows.
constexpr uint64_t divide_round_up(uint64_t value, uint64_t divisor) {
    return value / divisor + (value % divisor != 0 ? 1 : 0);
}

// The largest n with 2^n <= value; value is not 0.
constexpr uint32_t floor_log2(uint64_t value) {
    return static_cast<uint32_t>(63 - std::countl_zero(value));
}

// The smallest n with 2^n >= value; 0 for 0 and 1; 64 above 2^63.
constexpr uint32_t ceil_log2(uint64_t value) { return value <= 1 ? 0 : floor_log2(value - 1) + 1; }

}  // namespace annulus
