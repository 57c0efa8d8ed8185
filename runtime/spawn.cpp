// SPDX-License-Identifier: MIT
// Starts processes: the image's pages, a stack, the start block, handles, and the first thread.
//
// The child relocates itself (runtime/image.h), so nothing here writes into its pages but the
// initial bytes, and a new address for every process costs nothing.

#include "runtime/spawn.h"

#include "abi/operations.h"
#include "base/align.h"
#include "runtime/image.h"
#include "runtime/program_state.h"
#include "runtime/start_block.h"

#include <memory>
#include <new>

namespace annulus {

namespace {

// Images and their span must leave room for everything else in the address space.
constexpr uint64_t span_max = uint64_t{1} << 32;

// Programs lie in [2^44, 2^45): far from what the kernel places on its own, low and high.
constexpr uint64_t image_area = uint64_t{1} << 44;

constexpr size_t block_pages_max = 16;

uint64_t map_flags(ElfAccess access) {
    switch (access) {
        case ElfAccess::read: return abi::map_read;
        case ElfAccess::read_write: return abi::map_read | abi::map_write;
        default: return abi::map_read | abi::map_execute;
    }
}

uint64_t pages_of(const ElfSegment& segment) {
    return (segment.end_page() - segment.first_page()) / abi::page_size;
}

// New memory with the segment's pages.
Result<Memory> copy_segment(BudgetReference budget, const ElfSegment& segment,
                            std::span<const std::byte> image) {
    Memory memory = TRY(budget.create_memory(pages_of(segment), 0));
    const uint64_t skipped = segment.address - segment.first_page();
    if (segment.file_size != 0) {
        TRY(memory.write_bytes(skipped, image.subspan(segment.file_offset, segment.file_size)));
    }
    return memory;
}

}  // namespace

Result<ProgramImage> ProgramImage::prepare(BudgetReference budget, const ImageSource& source,
                                           ElfError* why) {
    ElfError error = ElfError::none;
    const auto plan = plan_elf(source.bytes, span_max, error);
    if (why != nullptr) *why = error;
    if (!plan.has_value()) return Error::wrong_version;
    ProgramImage image(*plan, source);
    for (size_t i = 0; i < plan->segment_count; ++i) TRY(image.share_segment(budget, i));
    return image;
}

Result<void> ProgramImage::share_segment(BudgetReference budget, size_t index) {
    const ElfSegment& segment = plan_.segments[index];
    if (segment.access == ElfAccess::read_write) return {};
    Shared& shared = shared_[index];
    // A page of the source is shared only if all of it belongs to this file: the source may hold
    // other files, which this program was not handed.
    const uint64_t first = align_down(segment.file_offset, abi::page_size);
    const uint64_t length = segment.end_page() - segment.first_page();
    const bool whole =
        segment.file_size == segment.memory_size && first + length <= source_.bytes.size();
    if (!source_.memory.empty() && is_aligned(source_.offset, abi::page_size) && whole) {
        shared.memory = source_.memory;
        shared.offset = source_.offset + first;
        return {};
    }
    shared.copy = TRY(copy_segment(budget, segment, source_.bytes));
    shared.memory = shared.copy;
    return {};
}

// One spawn under way. Whatever it made is undone with it unless it succeeds.
struct Spawning {
    const ProgramImage& image;
    const SpawnOptions& options;
    Process process = {};
    uint64_t base = 0;
    uint64_t stack_end = 0;
    bool done = false;

    ~Spawning() {
        // A process without threads ends only by being killed.
        if (!done && !process.empty()) static_cast<void>(process.remove_kill(0));
    }

    Result<void> map_image();
    Result<void> map_stack();
    Result<abi::Handle> install(ObjectReference object, abi::Rights rights);
    Result<void> install_all(StartBlockBuilder& builder);
    Result<uint64_t> map_block();
    Result<Semaphore> watch();
};

Result<void> Spawning::map_image() {
    const ElfPlan& plan = image.plan_;
    const uint64_t places = (image_area - plan.span) / plan.alignment;
    const uint64_t scattered = options.address_seed * 0x9e3779b97f4a7c15 >> 16;
    base = image_area + scattered % places * plan.alignment;
    for (size_t i = 0; i < plan.segment_count; ++i) {
        const ElfSegment& segment = plan.segments[i];
        Memory own;
        MemoryReference memory = image.shared_[i].memory;
        if (segment.access == ElfAccess::read_write) {
            own = TRY(copy_segment(options.budget, segment, image.source_.bytes));
            memory = own;
        }
        TRY(process.map(memory, image.shared_[i].offset, pages_of(segment) * abi::page_size,
                        base + segment.first_page(), map_flags(segment.access) | abi::map_fixed));
    }
    return {};
}

// The kernel leaves unmapped pages below what it places: an overflow faults.
Result<void> Spawning::map_stack() {
    const uint64_t size = options.stack_pages * abi::page_size;
    const Memory memory =
        TRY(options.budget.create_memory(options.stack_pages, abi::memory_on_demand));
    const uint64_t begin = TRY(process.map(memory, 0, size, 0, abi::map_read | abi::map_write));
    stack_end = begin + size;
    return {};
}

// The child gets a duplicate, so that the caller's handles stay when a later step fails.
Result<abi::Handle> Spawning::install(ObjectReference object, abi::Rights rights) {
    auto copy = TRY(object.get_duplicate(rights, 0));
    return TRY(process.share_install(std::move(copy.handle)));
}

Result<void> Spawning::install_all(StartBlockBuilder& builder) {
    if (options.own_process) {
        // Everything a process does with itself, but not installing handles from outside.
        const abi::Rights rights = abi::all_rights & ~abi::right_of(abi::Verb::share);
        TRY(builder.add_handle("process", TRY(install(process, rights))));
    }
    for (const Grant& grant : options.grants) {
        TRY(builder.add_handle(grant.name, TRY(install(grant.object, grant.rights))));
    }
    for (const std::string_view argument : options.arguments) TRY(builder.add_argument(argument));
    return {};
}

Result<uint64_t> Spawning::map_block() {
    size_t needed = sizeof(abi::StartBlock) + 64;  // the block itself, and the name `process`
    for (const Grant& grant : options.grants) {
        needed += sizeof(abi::StartHandle) + grant.name.size() + 1;
    }
    for (const std::string_view argument : options.arguments) {
        needed += sizeof(abi::StartArgument) + argument.size() + 1;
    }
    const size_t size = align_up(needed, abi::page_size);
    if (size > block_pages_max * abi::page_size) return Error::too_many;
    const std::unique_ptr<std::byte[]> bytes(new (std::nothrow) std::byte[size]());
    if (bytes == nullptr) return Error::no_memory;

    auto builder = TRY(StartBlockBuilder::create({bytes.get(), size}, options.grants.size() + 1,
                                                 options.arguments.size()));
    TRY(install_all(builder));
    abi::StartBlock& block = builder.block();
    block.address_seed = options.address_seed;
    block.image_base = base;
    block.image_size = image.plan_.span;
    block.stack_top = stack_end;
    block.stack_size = options.stack_pages * abi::page_size;
    const Memory memory = TRY(options.budget.create_memory(size / abi::page_size, 0));
    TRY(memory.write_bytes(0, {bytes.get(), builder.size()}));
    return TRY(process.map(memory, 0, size, 0, abi::map_read));
}

// Watched before it starts: afterwards nothing may fail.
Result<Semaphore> Spawning::watch() {
    if (!options.ended.empty()) {
        TRY(process.watch_exit(options.ended));
        return Semaphore();
    }
    if (program_state.budget.empty()) return Error::not_granted;
    Semaphore ended = TRY(
        program_state.budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    TRY(process.watch_exit(ended));
    return ended;
}

Result<Spawned> spawn(const ProgramImage& image, const SpawnOptions& options) {
    if (options.stack_pages == 0 || options.stack_pages > abi::memory_pages_max) {
        return Error::bad_argument;
    }
    Spawning spawning{.image = image, .options = options};
    spawning.process = TRY(options.budget.create_process(options.handle_slots, options.flags));
    TRY(spawning.map_image());
    TRY(spawning.map_stack());
    const uint64_t block = TRY(spawning.map_block());
    Semaphore ended = TRY(spawning.watch());
    const Thread first = TRY(spawning.process.create_thread(
        spawning.base + image.plan().entry, spawning.stack_end, block,
        spawning.stack_end - sizeof(ThreadControl), options.priority, options.affinity));
    spawning.done = true;
    return Spawned{std::move(spawning.process), std::move(ended), spawning.base};
}

}  // namespace annulus
