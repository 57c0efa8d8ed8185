// SPDX-License-Identifier: MIT
// Frames of memory objects and page tables: single pages, named by 32-bit frame number.
#pragma once

#include "arch/address.h"
#include "base/result.h"
#include "kernel/memory/kernel_memory.h"

#include <string.h>
#include <cstddef>

namespace annulus::kernel {

enum class FrameContent : uint8_t { zeroed, undefined };

inline std::byte* frame_pointer(uint32_t frame) {
    return page_allocator().pointer(PhysicalPage{frame});
}

inline PageFrame& frame_record(uint32_t frame) {
    return page_allocator().frame(PhysicalPage{frame});
}

inline arch::PhysicalAddress frame_address(uint32_t frame) { return PhysicalPage{frame}.address(); }

inline uint32_t frame_of(arch::PhysicalAddress address) {
    return static_cast<uint32_t>(address >> page_shift);
}

// A page; its number is never 0. no_memory.
inline Result<uint32_t> allocate_frame(FrameContent content) {
    if (content == FrameContent::zeroed) {
        return TRY(page_allocator().allocate_zeroed(PageUse::user)).frame;
    }
    return TRY(page_allocator().allocate(0, PageUse::user)).frame;
}

inline void free_frame(uint32_t frame) { page_allocator().free(PhysicalPage{frame}, 0); }

// A page with one user more is shared: it must not be written until its users are one again.
inline bool frame_shared(uint32_t frame) {
    // Acquire: pairs with the release in drop_frame(): whoever finds itself alone may write.
    return frame_record(frame).references.load(std::memory_order_acquire) > 1;
}

inline void share_frame(uint32_t frame) {
    // Relaxed: the caller has a share itself, so the count cannot be falling to nothing.
    frame_record(frame).references.fetch_add(1, std::memory_order_relaxed);
}

// Gives a share back and frees the page with the last one.
inline void drop_frame(uint32_t frame) {
    // Acquire-release: pairs with itself and with frame_shared().
    if (frame_record(frame).references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        free_frame(frame);
    }
}

}  // namespace annulus::kernel
