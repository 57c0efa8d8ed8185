// SPDX-License-Identifier: MIT
// The queues of a ring, as they lie in the memory that a client shares with the kernel.
//
//   0    submission tail  written by the client   128-byte lines, so that the two sides do not
//   128  submission head  written by the kernel   write to the same line; indices run freely and
//   256  completion tail  written by the kernel   wrap at 2^32; an entry's place is the index
//   384  completion head  written by the client   modulo the number of entries
//   512  CompletionEntry[entries], then SubmissionEntry[entries], which begin at a multiple of
//   their
//        size or of a page: no more pages than needed hold them
//
// The client writes an entry, then the tail (release); the kernel copies the entry once before it
// looks at it. The kernel writes a completion, then the tail (release, pairs with the client's
// acquire); the client writes the head when it has read the completion (release).
// The kernel keeps its own indices: what it finds in the heads that it wrote does not matter to it.
#pragma once

#include "abi/handle.h"
#include "abi/limits.h"
#include "abi/status.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t ring_submission_tail = 0;
inline constexpr uint32_t ring_submission_head = 128;
inline constexpr uint32_t ring_completion_tail = 256;
inline constexpr uint32_t ring_completion_head = 384;
inline constexpr uint32_t ring_completions = 512;

// What an entry asks for: a verb of the object (0..15), or something of the ring itself.
using RingVerb = uint8_t;
constexpr RingVerb ring_verb(Verb verb) { return static_cast<RingVerb>(verb); }
inline constexpr RingVerb ring_nop = 16;     // completes; checks `handle` if it is not 0
inline constexpr RingVerb ring_timer = 17;   // completes when its deadline has passed
inline constexpr RingVerb ring_cancel = 18;  // asks the operation with user_data words[0] to end
inline constexpr unsigned ring_verb_count = 19;

// A set of ring verbs: bit i is verb i.
constexpr uint32_t ring_allow(RingVerb verb) { return uint32_t{1} << verb; }
inline constexpr uint32_t ring_allow_all = (uint32_t{1} << ring_verb_count) - 1;

// Flags of an entry.
inline constexpr uint8_t ring_link = 1;      // the next entry begins when this one has succeeded
inline constexpr uint8_t ring_relative = 2;  // the deadline counts from when the operation begins
inline constexpr uint8_t ring_words = 4;     // `words_block` is used
inline constexpr uint8_t ring_flags_all = ring_link | ring_relative | ring_words;

inline constexpr uint16_t ring_no_memory = 0xffff;

struct SubmissionEntry {
    RingVerb verb;
    uint8_t flags;
    uint16_t selector;
    uint16_t memory;        // index of registered memory, or ring_no_memory
    uint8_t moved_mask;     // bit i: word i is a handle that moves to the server
    uint8_t landing_count;  // 0..4: handle values from `landing` on for the reply's handles
    Handle handle;
    uint64_t user_data;  // comes back in the completion
    uint64_t words[2];   // operands 0 and 1
    uint32_t offset;     // in the registered memory: bytes are read and answered bytes put here
    uint32_t bytes_in;   // to the object
    uint32_t capacity_out;
    uint16_t landing;      // first landing index
    uint16_t words_block;  // with ring_words: number of a RingWords in the registered memory
    uint64_t deadline;     // as for call: deadline_never unless something else is meant
};
static_assert(sizeof(SubmissionEntry) == 64);

// With the flag ring_words: operands 2-5 of the request, then all words of the answer. It lies at
// 64 times `words_block` in the registered memory, which must be writable.
struct RingWords {
    uint64_t words[6];
    uint64_t handle_mask;  // answer: words that are arrived handles
    uint64_t bytes_out;    // answer
};
static_assert(sizeof(RingWords) == 64);

// The one completion of an accepted entry. On success `count` is the number of bytes that were
// answered or, when the entry had no room for any, the low half of the answer's word 0. On an error
// it is the status's extra.
struct CompletionEntry {
    uint64_t user_data;
    int32_t status;  // code | detail << 16
    uint32_t count;

    constexpr Error code() const { return static_cast<Error>(status & 0xffff); }
    constexpr uint16_t detail() const {
        return static_cast<uint16_t>(static_cast<uint32_t>(status) >> 16);
    }
    constexpr bool ok() const { return code() == Error::ok; }
};
static_assert(sizeof(CompletionEntry) == 16);

constexpr uint32_t ring_submissions(uint32_t entries) {
    const uint32_t size = entries * uint32_t{sizeof(SubmissionEntry)};
    const uint32_t mask = (size < page_size ? size : uint32_t{page_size}) - 1;
    return (ring_completions + entries * uint32_t{sizeof(CompletionEntry)} + mask) & ~mask;
}
// Bytes from the begin of the queues to their end.
constexpr uint32_t ring_bytes(uint32_t entries) {
    return ring_submissions(entries) + entries * uint32_t{sizeof(SubmissionEntry)};
}
inline constexpr unsigned ring_pages_max =
    (ring_bytes(ring_entries_max) + page_size - 1) / page_size;

}  // namespace annulus::abi
