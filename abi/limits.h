// SPDX-License-Identifier: MIT
// The named limits of the system. Each has a test at the limit and one above.
#pragma once

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint64_t page_size = 4096;

// Programs live in [user_begin, user_end): the first 64 KiB catch null pointers, and the last page
// stays unmapped because SYSRET must never be given a non-canonical return address
// (Intel SDM vol. 2, SYSRET).
inline constexpr uint64_t user_begin = 0x10000;
inline constexpr uint64_t user_end = 0x7fffffff0000;

inline constexpr unsigned message_words = 6;      // operands of a call that travel in registers
inline constexpr unsigned moved_handles_max = 4;  // handles that one request or reply may move
inline constexpr unsigned hops_max = 8;           // proxies that one request may pass through
inline constexpr unsigned wait_any_max = 128;     // entries of one wait_any
inline constexpr unsigned set_members_max = 1u << 17;  // members of one semaphore set
inline constexpr unsigned set_events_max = 64;         // events that one wait on a set returns
inline constexpr uint64_t semaphore_max = uint64_t{1} << 62;  // highest count of a semaphore
inline constexpr unsigned table_slots_max = 1024;
inline constexpr uint64_t table_block_max = 64 * 1024;  // bytes of one slot's block
inline constexpr unsigned ring_entries_max = 1024;
inline constexpr unsigned ring_memories_max = 64;          // ranges registered with one ring
inline constexpr unsigned ring_memory_pages_max = 64;      // pages of one of them
inline constexpr unsigned process_rings_max = 64;          // rings that use one process's handles
inline constexpr unsigned process_handles_max = 1u << 16;  // slots of one handle table
inline constexpr unsigned priority_count = 64;             // 63 is the highest
inline constexpr unsigned budget_depth_max = 16;
inline constexpr unsigned lease_depth_max = 16;
inline constexpr unsigned cpus_max = 64;
inline constexpr uint64_t memory_pages_max = uint64_t{1} << 24;  // 64 GiB in one object
// Mappings of one memory object, and ranges of one: bounds the work of whoever looks at all.
inline constexpr unsigned mappings_per_memory_max = 16384;
inline constexpr unsigned chunk_items = 64;  // items of long work between two preemption points
inline constexpr uint64_t timer_period_min_ns = 10'000;

inline constexpr uint64_t deadline_poll = 0;
inline constexpr uint64_t deadline_never = ~uint64_t{0};

}  // namespace annulus::abi
