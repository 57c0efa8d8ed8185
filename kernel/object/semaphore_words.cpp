// SPDX-License-Identifier: MIT
// The table of semaphore words.
#include "kernel/object/semaphore_words.h"

namespace annulus::kernel {

constinit SemaphoreWords::Bucket SemaphoreWords::buckets[bucket_count];

}  // namespace annulus::kernel
