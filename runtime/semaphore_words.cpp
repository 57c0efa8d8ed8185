// SPDX-License-Identifier: MIT
// Pages of semaphore words, 63 a page, in a list that only grows.

#include "runtime/semaphore_words.h"

#include "abi/operations.h"
#include "base/align.h"
#include "runtime/program_state.h"

#include <bit>
#include <new>

namespace annulus {

namespace {

using semaphore_protocol::Word;

// Words of different semaphores lie on different cache lines: they are written by different CPUs.
constexpr uint64_t word_distance = 64;
constexpr uint64_t words_in_page = abi::page_size / word_distance;

// The first line of a page; the other 63 hold a word each.
struct PageHeader {
    abi::Handle memory;
    std::atomic<uint64_t> used;  // bit i: the word of line i is taken; bit 0 is this header
    std::atomic<unsigned> next;  // the line to try first
    PageHeader* following;       // fixed before the page is in the list
};
static_assert(sizeof(PageHeader) <= word_distance);

constinit std::atomic<PageHeader*> pages = nullptr;

Result<PageHeader*> add_page() {
    if (program_state.budget.empty() || program_state.process.empty()) return Error::not_granted;
    Memory memory = TRY(program_state.budget.create_memory(1, 0));
    const uint64_t address = TRY(
        program_state.process.map(memory, 0, abi::page_size, 0, abi::map_read | abi::map_write));
    // Safety: a page of zeros that belongs to nobody else. The handle stays open for ever: every
    // semaphore on the page is made from it.
    auto* page = new (reinterpret_cast<void*>(address)) PageHeader{memory.release(), 1, 1, nullptr};
    page->following = pages.load(std::memory_order_relaxed);
    // Order: release, with the acquire in allocate: the header is complete before it is found.
    while (!pages.compare_exchange_weak(page->following, page, std::memory_order_release,
                                        std::memory_order_relaxed)) {
    }
    return page;
}

// A free line of the page, which is the caller's now; 0 if there is none. Lines are taken in turn,
// so that a released one rests.
unsigned take_line(PageHeader& page) {
    uint64_t used = page.used.load(std::memory_order_relaxed);
    for (;;) {
        if (~used == 0) return 0;
        const unsigned first = page.next.load(std::memory_order_relaxed) % words_in_page;
        const uint64_t turned = std::rotr(~used, static_cast<int>(first));
        const unsigned line =
            (first + static_cast<unsigned>(std::countr_zero(turned))) % words_in_page;
        // Order: acquire, with the release in release_semaphore_word: its user is done with it.
        if (page.used.compare_exchange_weak(used, used | uint64_t{1} << line,
                                            std::memory_order_acquire, std::memory_order_relaxed)) {
            page.next.store(line + 1, std::memory_order_relaxed);
            return line;
        }
    }
}

// Safety: a line is word_distance bytes of the page, and holds a word for as long as the page.
Word* word_of(PageHeader& page, unsigned line) {
    return reinterpret_cast<Word*>(reinterpret_cast<uint64_t>(&page) + line * word_distance);
}

}  // namespace

Result<SemaphoreWord> allocate_semaphore_word() {
    PageHeader* page = pages.load(std::memory_order_acquire);
    for (;;) {
        for (; page != nullptr; page = page->following) {
            const unsigned line = take_line(*page);
            if (line == 0) continue;
            return SemaphoreWord{word_of(*page, line), MemoryReference(page->memory),
                                 line * word_distance};
        }
        page = TRY(add_page());
    }
}

void release_semaphore_word(Word* word) {
    // Safety: every word lies in a page that begins with its header.
    const auto address = reinterpret_cast<uint64_t>(word);
    auto* page = reinterpret_cast<PageHeader*>(align_down(address, abi::page_size));
    const uint64_t line = (address - align_down(address, abi::page_size)) / word_distance;
    page->used.fetch_and(~(uint64_t{1} << line), std::memory_order_release);
}

}  // namespace annulus
