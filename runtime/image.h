// SPDX-License-Identifier: MIT
// This program's own image in memory: relocation at the start, and thread-local storage.
#pragma once

#include <stdint.h>

namespace annulus {

// The first words of a thread's control block; fs_base points to it (x86-64 psABI, TLS variant II).
struct ThreadControl {
    ThreadControl* self;
    uint64_t reserved[7];
};
static_assert(sizeof(ThreadControl) == 64);

// Bytes that thread-local variables take below a control block: a multiple of 64.
extern "C" uint64_t annulus_thread_storage_size();

// Makes the thread-local variables below `control` and the control block itself.
void prepare_thread_storage(ThreadControl* control);

// Adds the load address to every pointer in the image's data. Does nothing where the loader did it
// already, perhaps in pages that are read-only by now. Must be the first call: nothing before it
// may use a pointer from static data.
void relocate_image();

// Whole pages of this image that only relocation writes to; size 0 if there are none.
struct ImageRange {
    uint64_t begin;
    uint64_t size;
};
ImageRange relocated_pages();

}  // namespace annulus
