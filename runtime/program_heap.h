// SPDX-License-Identifier: MIT
// What other parts of the runtime, and tests, know of the program's heap.
#pragma once

#include "base/result.h"

#include <stddef.h>

namespace annulus {

// Must succeed before a second thread exists; makes the heap's lock. Later calls do nothing.
Result<void> prepare_heap_for_threads();

struct HeapUse {
    size_t used;    // bytes of live blocks
    size_t mapped;  // bytes of memory objects
};
HeapUse heap_use();

}  // namespace annulus
