// SPDX-License-Identifier: MIT
// A second process with a copy of this program's image.

#include "tests/guest/child.h"

#include "abi/operations.h"
#include "base/align.h"
#include "runtime/image.h"
#include "runtime/semaphore.h"

namespace annulus::test {

namespace {

constexpr uint64_t stack_pages = 8;

// Program headers of the image in memory (System V gABI, chapter 5).
struct FileHeader {
    uint8_t identification[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_headers, section_headers;
    uint32_t flags;
    uint16_t size, program_header_size, program_header_count;
};
struct ProgramHeader {
    uint32_t type, flags;
    uint64_t offset, address, physical, file_size, memory_size, alignment;
};
constexpr uint32_t segment_load = 1;
constexpr uint32_t segment_execute = 1;
constexpr uint32_t segment_write = 2;

// What a thread of the child finds at the top of its stack.
struct Start {
    void (*entry)(Child::Word*);
    Child::Word* words;
};

void begin(const Start* start) {
    start->entry(start->words);
    system::exit(0);
}

}  // namespace

extern "C" [[gnu::visibility("hidden")]] const FileHeader __ehdr_start;

Child::Child(Child&& other)
    : parent_budget_(other.parent_budget_),
      parent_(other.parent_),
      process_(std::move(other.process_)),
      ended_(std::move(other.ended_)),
      gone_(other.gone_),
      words_(other.words_),
      memory_(std::move(other.memory_)),
      mappings_(other.mappings_),
      mapping_count_(std::exchange(other.mapping_count_, 0)) {}

Child::~Child() {
    if (!process_.empty()) static_cast<void>(kill());
    for (unsigned i = 0; i < mapping_count_; ++i) {
        static_cast<void>(parent_.map_unmap(mappings_[i].begin, mappings_[i].size));
    }
}

Result<Child> Child::create(BudgetReference parent_budget, ProcessReference parent,
                            BudgetReference budget, uint64_t handle_slots) {
    auto process = TRY(budget.create_process(handle_slots, 0));
    auto ended =
        TRY(parent_budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    TRY(process.watch_exit(ended));
    Child child(parent_budget, parent, std::move(process), std::move(ended));
    constexpr uint64_t pages = align_up(word_count * sizeof(Word), abi::page_size) / abi::page_size;
    child.memory_ = TRY(parent_budget.create_memory(pages, 0));
    // Safety: the pages were just mapped, zeroed.
    child.words_ = reinterpret_cast<Word*>(TRY(child.share(child.memory_, pages)));
    TRY(child.copy_image());
    return child;
}

// Memory that lies at the same address in both.
Result<uint64_t> Child::share(const Memory& memory, uint64_t pages) {
    if (mapping_count_ == mappings_.size()) return Error::too_many;
    const uint64_t size = pages * abi::page_size;
    const uint64_t address = TRY(parent_.map(memory, 0, size, 0, abi::map_read | abi::map_write));
    mappings_[mapping_count_++] = {address, size};
    TRY(process_.map(memory, 0, size, address, abi::map_read | abi::map_write | abi::map_fixed));
    return address;
}

Result<void> Child::copy_segment(uint64_t begin, uint64_t size, uint64_t flags) {
    const Memory memory = TRY(parent_budget_.create_memory(size / abi::page_size, 0));
    // Safety: a loaded segment of this program.
    TRY(memory.write_bytes(0, {reinterpret_cast<const std::byte*>(begin), size}));
    TRY(process_.map(memory, 0, size, begin, flags | abi::map_read | abi::map_fixed));
    return {};
}

Result<void> Child::copy_image() {
    const auto base = reinterpret_cast<uint64_t>(&__ehdr_start);
    // Safety: the first segment holds the headers.
    const auto* headers =
        reinterpret_cast<const ProgramHeader*>(base + __ehdr_start.program_headers);
    for (unsigned i = 0; i < __ehdr_start.program_header_count; ++i) {
        const ProgramHeader& header = headers[i];
        if (header.type != segment_load) continue;
        const uint64_t first = align_down(header.address, abi::page_size);
        const uint64_t end = align_up(header.address + header.memory_size, abi::page_size);
        uint64_t flags = 0;
        if ((header.flags & segment_execute) != 0) flags |= abi::map_execute;
        if ((header.flags & segment_write) != 0) flags |= abi::map_write;
        TRY(copy_segment(base + first, end - first, flags));
    }
    return {};
}

Result<abi::Handle> Child::lend(ObjectReference object, abi::Rights rights) {
    auto copy = TRY(object.get_duplicate(rights, 0));
    return process_.share_install(std::move(copy.handle));
}

Result<Thread> Child::start(void (*entry)(Word*), unsigned priority, uint64_t affinity) {
    const uint64_t size = stack_pages * abi::page_size;
    const Memory memory = TRY(parent_budget_.create_memory(stack_pages, 0));
    const uint64_t stack = TRY(share(memory, stack_pages));
    const uint64_t control = stack + size - sizeof(ThreadControl);
    // Safety: the top of the new stack: control block, thread-local variables, what to start.
    prepare_thread_storage(reinterpret_cast<ThreadControl*>(control));
    const uint64_t place =
        align_down(control - annulus_thread_storage_size() - sizeof(Start), uint64_t{64});
    new (reinterpret_cast<void*>(place)) Start{entry, words_};
    return process_.create_thread(reinterpret_cast<uint64_t>(&begin), place - 8, place, control,
                                  priority, affinity);
}

Result<void> Child::kill() {
    TRY(process_.remove_kill(0));
    TRY(wait());
    process_.close();
    return {};
}

Result<void> Child::wait(Deadline deadline) {
    if (gone_) return {};
    TRY(wait_for(ended_, deadline));
    gone_ = true;
    return {};
}

}  // namespace annulus::test
