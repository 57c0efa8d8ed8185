// SPDX-License-Identifier: MIT
// The memory functions that the compiler calls: memcpy, memmove, memset, memcmp, and their kin.
//
// Copies go eight bytes at a time by `rep movsq`: under the emulator that the budgets are measured
// in, every iteration counts as one instruction, so bytes would cost eight times as much; and
// vector registers are not available. The rest of at most seven bytes goes one by one.

#include <stddef.h>
#include <stdint.h>

extern "C" {

// Their names for the linker; <string.h> has inline functions of these names.
void* copy_bytes(void* __restrict to, const void* __restrict from, size_t count) asm("memcpy");
void* move_bytes(void* to, const void* from, size_t count) asm("memmove");
void* fill_bytes(void* to, int value, size_t count) asm("memset");

void* copy_bytes(void* __restrict to, const void* __restrict from, size_t count) {
    void* destination = to;
    size_t words = count / 8;
    size_t rest = count % 8;
    // Safety: the caller vouches for both ranges; the direction flag is clear by the ABI.
    asm volatile("rep movsq" : "+D"(destination), "+S"(from), "+c"(words) : : "memory");
    asm volatile("rep movsb" : "+D"(destination), "+S"(from), "+c"(rest) : : "memory");
    return to;
}

// For base/untrusted.h; not a name that the compiler knows.
void annulus_copy_once(void* to, const void* from, size_t count) { copy_bytes(to, from, count); }

void* move_bytes(void* to, const void* from, size_t count) {
    const auto target = reinterpret_cast<uintptr_t>(to);
    const auto source = reinterpret_cast<uintptr_t>(from);
    // A target below the source, or behind its end, is copied upwards like any other: unsigned
    // wrap-around makes the one comparison answer both.
    if (target - source >= count) return copy_bytes(to, from, count);
    // Safety: as above. Downwards, with the direction flag set only inside; the tail's bytes go
    // first, then the words: from the last byte the pointers step back to begin of the last word.
    uintptr_t destination = target + count - 1;
    uintptr_t origin = source + count - 1;
    size_t left = count % 8;
    asm volatile(
        "std\n\t"
        "rep movsb\n\t"
        "sub $7, %%rdi\n\t"
        "sub $7, %%rsi\n\t"
        "mov %[words], %%rcx\n\t"
        "rep movsq\n\t"
        "cld"
        : "+D"(destination), "+S"(origin), "+c"(left)
        : [words] "r"(count / 8)
        : "memory", "cc");
    return to;
}

void* fill_bytes(void* to, int value, size_t count) {
    void* destination = to;
    size_t words = count / 8;
    size_t rest = count % 8;
    const uint64_t pattern = 0x0101010101010101 * static_cast<uint8_t>(value);
    // Safety: the caller vouches for the range; the direction flag is clear by the ABI.
    asm volatile("rep stosq" : "+D"(destination), "+c"(words) : "a"(pattern) : "memory");
    asm volatile("rep stosb" : "+D"(destination), "+c"(rest) : "a"(pattern) : "memory");
    return to;
}

int memcmp(const void* left, const void* right, size_t count) {
    const auto* a = static_cast<const unsigned char*>(left);
    const auto* b = static_cast<const unsigned char*>(right);
    for (size_t i = 0; i < count; ++i) {
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    }
    return 0;
}

int bcmp(const void* left, const void* right, size_t count) { return memcmp(left, right, count); }

void* memchr(const void* bytes, int value, size_t count) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (size_t i = 0; i < count; ++i) {
        if (at[i] == static_cast<unsigned char>(value)) return const_cast<unsigned char*>(at + i);
    }
    return nullptr;
}

size_t strlen(const char* text) {
    size_t length = 0;
    while (text[length] != 0) ++length;
    return length;
}

int strcmp(const char* left, const char* right) {
    while (*left != 0 && *left == *right) {
        ++left;
        ++right;
    }
    return static_cast<unsigned char>(*left) - static_cast<unsigned char>(*right);
}

int strncmp(const char* left, const char* right, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const auto a = static_cast<unsigned char>(left[i]);
        const auto b = static_cast<unsigned char>(right[i]);
        if (a != b || a == 0) return a - b;
    }
    return 0;
}

}  // extern "C"
