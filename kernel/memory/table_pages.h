// SPDX-License-Identifier: MIT
// Contiguous zeroed pages for kernel arrays that a fast path indexes: handle tables, slot arrays.
#pragma once

#include "base/result.h"

#include <stdint.h>

namespace annulus::kernel {

class Budget;

// Undefined: the caller writes every byte that anybody reads.
enum class TableContent : uint8_t { zeroed, undefined };

// `pages` contiguous pages, charged to the budget as pages. no_budget, no_memory, limit.
Result<void*> allocate_table_pages(Budget& budget, uint64_t pages,
                                   TableContent content = TableContent::zeroed);
void free_table_pages(Budget& budget, void* storage, uint64_t pages);

}  // namespace annulus::kernel
