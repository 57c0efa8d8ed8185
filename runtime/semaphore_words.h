// SPDX-License-Identifier: MIT
// Words for semaphores of this process: memory that its threads share and the kernel can pin.
#pragma once

#include "base/result.h"
#include "generated/objects.h"
#include "runtime/semaphore_protocol.h"

namespace annulus {

// A word nobody else uses, and where the kernel finds it.
struct SemaphoreWord {
    semaphore_protocol::Word* word;
    MemoryReference memory;
    uint64_t offset;  // in the memory, in bytes
};

// Thread-safe, without a lock: the heap's lock is itself made of such a word. The first word costs
// a page. not_granted without the handles `budget` and `process`; no_budget.
Result<SemaphoreWord> allocate_semaphore_word();

// The word's semaphore must have been closed. The kernel may still hold it for a moment, so words
// are given out again as late as possible.
void release_semaphore_word(semaphore_protocol::Word* word);

}  // namespace annulus
