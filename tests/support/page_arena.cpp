// SPDX-License-Identifier: MIT
// PageArena: a sparse mapping of the host as a machine's RAM.
#include "tests/support/page_arena.h"

#include "base/align.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

namespace annulus::test {
namespace {

void must(bool condition, const char* what) {
    if (condition) return;
    fprintf(stderr, "page arena: %s\n", what);
    abort();
}

}  // namespace

PageArena::PageArena(std::vector<kernel::PhysicalRange> ranges)
    : size_(ranges.back().end), pages_(std::make_unique<kernel::PageAllocator>()) {
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(memory != MAP_FAILED, "no address space");
    memory_ = static_cast<std::byte*>(memory);
    auto table = kernel::PageAllocator::choose_frame_table(ranges);
    must(table.ok(), "no place for the frame table");
    frame_table_ = *table;
    must(pages_->init(ranges, frame_table_, memory_).ok(), "init failed");
}

PageArena::~PageArena() { munmap(memory_, size_); }

std::vector<kernel::PhysicalRange> PageArena::one_range(uint64_t pages) {
    const uint64_t begin = 256;
    uint64_t table = 0;
    // The table also describes the frames that it lies in itself.
    for (uint64_t before = 1; table != before;) {
        before = table;
        table = divide_round_up((begin + pages + table) * sizeof(kernel::PageFrame), 4096);
    }
    return {{begin * 4096, (begin + pages + table) * 4096}};
}

}  // namespace annulus::test
