// SPDX-License-Identifier: MIT
// Memory that another process can change: read once into private values, never referred to.
//
// Bytes that a peer maps too are no C++ objects: a compiler may read a plain object twice, and the
// peer may change it in between, so that what was checked is not what is used. The types here hold
// an address and nothing else. They have no dereference and no conversion; the only ways in are
//
//   freeze    copies each word once, by a relaxed atomic load, into a private value; many bytes at
//             once by a string instruction that the compiler does not see
//   store     copies a private value out, by relaxed atomic stores, or in bulk likewise
//   UntrustedAtomic   one aligned word with an order, for indices and requests
//
// A private copy may be checked and then used; the memory itself never. Copying a plain struct out
// of shared memory is no freeze. `tools/test/run check` disassembles every place where these
// functions were inlined and fails if shared memory is read in another way or more than once.
#pragma once

#include "base/align.h"

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <bit>
#include <cstddef>
#include <optional>
#include <span>
#include <type_traits>

namespace annulus {

namespace untrusted_access {

// The only plain accesses to shared memory; the check of the built programs knows them by name.
// Order: relaxed. What orders them is the acquire of an index before, or the release after.
template <typename Word>
[[gnu::always_inline]] inline Word load_word(const Word* from) {
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}
template <typename Word>
[[gnu::always_inline]] inline void store_word(Word* to, Word value) {
    __atomic_store_n(to, value, __ATOMIC_RELAXED);
}

// The word in which a T is copied.
template <typename T>
using WordOf = std::conditional_t<
    alignof(T) % 8 == 0, uint64_t,
    std::conditional_t<alignof(T) % 4 == 0, uint32_t,
                       std::conditional_t<alignof(T) % 2 == 0, uint16_t, uint8_t>>>;

// Copies `count` bytes, each once. A string instruction may store out of order among its own
// bytes; a later store, of an index, comes after all of them (Intel SDM vol. 3, "Fast-String
// Operation and Out-of-Order Stores").
inline void copy_from(std::byte* to, const std::byte* from, size_t count);
inline void copy_to(std::byte* to, const std::byte* from, size_t count);
inline void copy_across(std::byte* to, const std::byte* from, size_t count);

}  // namespace untrusted_access

// What may lie in shared memory: plain data without padding, so that no private byte leaks through
// a gap. Members must be integers or arrays of them: a peer can write 2 into a bool.
template <typename T>
concept Shareable = std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T> &&
                    std::has_unique_object_representations_v<T> && !std::is_same_v<T, bool> &&
                    !std::is_pointer_v<T>;

// A T in memory that a peer can change. Holds its address; whoever made it knows that the memory
// stays mapped and that T fits there, aligned.
template <Shareable T>
class Untrusted {
public:
    // Copies the T once, each word by one load. The copy is private.
    [[gnu::always_inline]] T freeze() const {
        std::array<Word, word_count> words;
        for (size_t i = 0; i < words.size(); ++i) {
            words[i] = untrusted_access::load_word(words_ + i);
        }
        return std::bit_cast<T>(words);
    }

    // Copies the value out, each word by one store. The peer may see any mixture meanwhile.
    [[gnu::always_inline]] void store(const T& value) const {
        const auto words = std::bit_cast<std::array<Word, word_count>>(value);
        for (size_t i = 0; i < words.size(); ++i) {
            untrusted_access::store_word(words_ + i, words[i]);
        }
    }

private:
    friend class UntrustedBytes;
    template <Shareable Element>
    friend class UntrustedArray;

    using Word = untrusted_access::WordOf<T>;
    static constexpr size_t word_count = sizeof(T) >> std::countr_zero(sizeof(Word));

    explicit Untrusted(Word* words) : words_(words) {}

    Word* words_;
};

// An aligned word that both sides access with an order. Values read are the peer's: check them.
template <typename Word>
    requires(std::is_same_v<Word, uint32_t> || std::is_same_v<Word, uint64_t>)
class UntrustedAtomic {
public:
    Word load_relaxed() const { return __atomic_load_n(word_, __ATOMIC_RELAXED); }
    Word load_acquire() const { return __atomic_load_n(word_, __ATOMIC_ACQUIRE); }
    void store_relaxed(Word value) const { __atomic_store_n(word_, value, __ATOMIC_RELAXED); }
    void store_release(Word value) const { __atomic_store_n(word_, value, __ATOMIC_RELEASE); }
    // Order: sequentially consistent.
    Word exchange(Word value) const { return __atomic_exchange_n(word_, value, __ATOMIC_SEQ_CST); }

private:
    friend class UntrustedBytes;

    explicit UntrustedAtomic(Word* word) : word_(word) {}

    static_assert(__atomic_always_lock_free(sizeof(Word), nullptr));

    Word* word_;
};

// `count` values of type T in shared memory; count is a power of two.
template <Shareable T>
class UntrustedArray {
public:
    uint32_t count() const { return mask_ + 1; }

    // The element at a free-running index: the index is taken modulo the count, so whatever it is,
    // the element lies in the array.
    [[gnu::always_inline]] Untrusted<T> wrapped(uint32_t index) const {
        return Untrusted<T>(first_ + size_t{index & mask_} * Untrusted<T>::word_count);
    }

    // Copies as many elements as `into` has from the free-running index on, each byte once.
    [[gnu::always_inline]] void freeze_run(uint32_t index, std::span<T> into) const {
        for_each_run(index, into.size(), [&](size_t done, size_t run, const Word* shared) {
            untrusted_access::copy_from(bytes_of(into.data() + done), bytes_of(shared),
                                        run * sizeof(T));
        });
    }

    // Copies the values out to the elements from the free-running index on.
    [[gnu::always_inline]] void store_run(uint32_t index, std::span<const T> values) const {
        for_each_run(index, values.size(), [&](size_t done, size_t run, Word* shared) {
            untrusted_access::copy_to(bytes_of(shared), bytes_of(values.data() + done),
                                      run * sizeof(T));
        });
    }

private:
    friend class UntrustedBytes;

    using Word = typename Untrusted<T>::Word;

    UntrustedArray(Word* first, uint32_t mask) : first_(first), mask_(mask) {}

    // Safety: a T's bytes are read or replaced as a whole; T is trivially copyable.
    static const std::byte* bytes_of(const void* values) {
        return static_cast<const std::byte*>(values);
    }
    static std::byte* bytes_of(void* values) { return static_cast<std::byte*>(values); }

    // Calls `copy` with each run of elements that lie beside each other: how many were before it,
    // how many it has, and where it begins. The array is taken as a ring.
    template <typename Copy>
    [[gnu::always_inline]] void for_each_run(uint32_t index, size_t left, Copy copy) const {
        for (size_t done = 0; left != 0;) {
            const size_t begin = index & mask_;
            const size_t to_end = count() - begin;
            const size_t run = left < to_end ? left : to_end;
            copy(done, run, first_ + begin * Untrusted<T>::word_count);
            done += run;
            left -= run;
            index += static_cast<uint32_t>(run);
        }
    }

    Word* first_;
    uint32_t mask_;
};

// A run of bytes that a peer can change. Does not own the mapping.
class UntrustedBytes {
public:
    UntrustedBytes() = default;

    // Safety: the caller has mapped [address, address + size) and keeps it mapped as long as
    // anything made from the result is used.
    static UntrustedBytes at_address(void* address, size_t size) {
        return {static_cast<std::byte*>(address), size};
    }

    // Bytes of this program's own, for code that works on others' just as well.
    static UntrustedBytes over(std::span<std::byte> bytes) { return {bytes.data(), bytes.size()}; }

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // For handing the bytes to a device or to code that takes care itself. Not to be read through.
    uintptr_t address() const { return reinterpret_cast<uintptr_t>(begin_); }

    // [offset, offset + length), or nothing if that reaches beyond the end or overflows.
    std::optional<UntrustedBytes> subspan(uint64_t offset, uint64_t length) const {
        if (!range_fits(offset, length, size_)) return std::nullopt;
        return UntrustedBytes(begin_ + offset, length);
    }

    // For a size that is a power of two: how many bytes lie from the free-running `position` on
    // before the end, and the first `count` of them; no more than that.
    size_t left_from(uint32_t position) const { return size_ - (position & (size_ - 1)); }
    UntrustedBytes wrapped(uint32_t position, size_t count) const {
        return {begin_ + (position & (size_ - 1)), count};
    }

    // The first `length` bytes, or all if there are fewer.
    UntrustedBytes first(size_t length) const { return {begin_, length < size_ ? length : size_}; }

    // The T at `offset`, or nothing if it does not fit there or is not aligned.
    template <Shareable T>
    std::optional<Untrusted<T>> at(uint64_t offset) const {
        if (!fits<T>(offset, 1)) return std::nullopt;
        return Untrusted<T>(words<typename Untrusted<T>::Word>(offset));
    }

    template <typename Word>
    std::optional<UntrustedAtomic<Word>> atomic_at(uint64_t offset) const {
        if (!fits<Word>(offset, 1)) return std::nullopt;
        return UntrustedAtomic<Word>(words<Word>(offset));
    }

    // `count` elements from `offset` on; count must be a power of two.
    template <Shareable T>
    std::optional<UntrustedArray<T>> array_at(uint64_t offset, uint32_t count) const {
        if (!is_power_of_two(count) || !fits<T>(offset, count)) return std::nullopt;
        return UntrustedArray<T>(words<typename Untrusted<T>::Word>(offset), count - 1);
    }

    // Copies into.size() bytes from `offset` on into private memory, each byte read once. False,
    // and nothing copied, if they reach beyond the end.
    [[nodiscard]] bool freeze(uint64_t offset, std::span<std::byte> into) const {
        if (!range_fits(offset, into.size(), size_)) return false;
        untrusted_access::copy_from(into.data(), begin_ + offset, into.size());
        return true;
    }

    // Copies private bytes out to `offset`. False, and nothing copied, if they reach beyond the
    // end.
    [[nodiscard]] bool store(uint64_t offset, std::span<const std::byte> from) const {
        if (!range_fits(offset, from.size(), size_)) return false;
        untrusted_access::copy_to(begin_ + offset, from.data(), from.size());
        return true;
    }

    // Copies bytes of other shared memory to `offset`, each read once and written once. For bytes
    // by which nothing is decided: what arrives is what a peer wrote last. False, and nothing
    // copied, if they reach beyond the end. The two do not overlap.
    [[nodiscard]] bool store(uint64_t offset, UntrustedBytes from) const {
        if (!range_fits(offset, from.size_, size_)) return false;
        untrusted_access::copy_across(begin_ + offset, from.begin_, from.size_);
        return true;
    }

private:
    UntrustedBytes(std::byte* begin, size_t size) : begin_(begin), size_(size) {}

    template <typename T>
    bool fits(uint64_t offset, uint64_t count) const {
        return range_fits(offset, sizeof(T) * count, size_) &&
               is_aligned(address() + offset, alignof(T));
    }

    // Safety: the range was checked; the pointer is used by atomic word accesses only.
    template <typename Word>
    Word* words(uint64_t offset) const {
        return reinterpret_cast<Word*>(begin_ + offset);
    }

    std::byte* begin_ = nullptr;
    size_t size_ = 0;
};

namespace untrusted_access {

#if __STDC_HOSTED__ == 0

// In runtime/memory_functions.cpp: a compiler that does not know what a function does can neither
// repeat its reads nor use the shared bytes instead of the copy.
extern "C" void annulus_copy_once(void* to, const void* from, size_t count);

inline void copy_from(std::byte* to, const std::byte* from, size_t count) {
    annulus_copy_once(to, from, count);
}
inline void copy_to(std::byte* to, const std::byte* from, size_t count) {
    annulus_copy_once(to, from, count);
}
inline void copy_across(std::byte* to, const std::byte* from, size_t count) {
    annulus_copy_once(to, from, count);
}

#else  // What sanitizers can see.

// Bytes before the first aligned word at or after `address`, at most `count`.
inline size_t unaligned_head(const std::byte* address, size_t count) {
    const size_t head = -reinterpret_cast<uintptr_t>(address) % sizeof(uint64_t);
    return head < count ? head : count;
}

// Safety: a byte may be accessed as an unsigned character.
inline std::byte load_byte(const std::byte* from) {
    return static_cast<std::byte>(load_word(reinterpret_cast<const unsigned char*>(from)));
}
inline void store_byte(std::byte* to, std::byte value) {
    store_word(reinterpret_cast<unsigned char*>(to), static_cast<unsigned char>(value));
}

inline void copy_from(std::byte* to, const std::byte* from, size_t count) {
    const std::byte* const end = from + count;
    const std::byte* const words = from + unaligned_head(from, count);
    const std::byte* const tail =
        words + align_down(static_cast<size_t>(end - words), sizeof(uint64_t));
    while (from != words) *to++ = load_byte(from++);
#pragma GCC unroll 8
    for (; from != tail; from += sizeof(uint64_t), to += sizeof(uint64_t)) {
        // Safety: `from` is aligned and its whole word lies in the range.
        const uint64_t word = load_word(reinterpret_cast<const uint64_t*>(from));
        __builtin_memcpy(to, &word, sizeof(word));
    }
    while (from != end) *to++ = load_byte(from++);
}

inline void copy_to(std::byte* to, const std::byte* from, size_t count) {
    std::byte* const end = to + count;
    std::byte* const words = to + unaligned_head(to, count);
    std::byte* const tail = words + align_down(static_cast<size_t>(end - words), sizeof(uint64_t));
    while (to != words) store_byte(to++, *from++);
#pragma GCC unroll 8
    for (; to != tail; to += sizeof(uint64_t), from += sizeof(uint64_t)) {
        uint64_t word;
        __builtin_memcpy(&word, from, sizeof(word));
        // Safety: `to` is aligned and its whole word lies in the range.
        store_word(reinterpret_cast<uint64_t*>(to), word);
    }
    while (to != end) store_byte(to++, *from++);
}

inline void copy_across(std::byte* to, const std::byte* from, size_t count) {
    std::array<std::byte, 256> some;
    while (count != 0) {
        const size_t part = count < some.size() ? count : some.size();
        copy_from(some.data(), from, part);
        copy_to(to, some.data(), part);
        to += part;
        from += part;
        count -= part;
    }
}

#endif

}  // namespace untrusted_access

}  // namespace annulus
