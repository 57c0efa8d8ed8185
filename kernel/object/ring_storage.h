// SPDX-License-Identifier: MIT
// How much kernel memory a ring's operations and landings take.
#pragma once

#include "abi/limits.h"
#include "kernel/object/ring_operation.h"

namespace annulus::kernel {

constexpr uint64_t ring_storage_pages(uint64_t entries) {
    const uint64_t bytes = entries * (sizeof(RingOperation) + sizeof(abi::Handle));
    return (bytes + abi::page_size - 1) / abi::page_size;
}

}  // namespace annulus::kernel
