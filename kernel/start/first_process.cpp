// SPDX-License-Identifier: MIT
// Loads and starts the boot archive's `init`.
#include "kernel/start/first_process.h"

#include "abi/records.h"
#include "arch/address.h"
#include "arch/clock.h"
#include "arch/cpu.h"
#include "base/align.h"
#include "base/archive.h"
#include "base/elf.h"
#include "kernel/memory/memory_object.h"
#include "kernel/object/console.h"
#include "kernel/object/hardware.h"
#include "kernel/object/power.h"
#include "kernel/object/process.h"
#include "kernel/panic.h"

#include <algorithm>

namespace annulus::kernel {

namespace {

constexpr uint64_t image_base = 0x10000000;
constexpr uint64_t image_span_max = uint64_t{64} << 20;
constexpr uint64_t stack_top = 0x7fff00000000;
constexpr uint64_t stack_pages = 32;
constexpr uint64_t thread_control_size = 64;  // abi/records.h, StartBlock
constexpr uint32_t first_handles = 4096;
constexpr uint8_t first_priority = 32;

// Boot-time only: whatever fails here leaves no system to run.
template <typename T>
T must(Result<T> result, const char* what) {
    if (!result.ok()) panic("cannot start init: {}: error {x}", what, result.status().bits);
    if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

std::span<const std::byte> find_program(const BootInfo& info) {
    if (info.archive.empty()) panic("cannot start init: no boot archive was given");
    const std::span bytes(arch::physical_to_pointer<const std::byte>(info.archive.begin),
                          info.archive.size());
    ArchiveFault fault;
    const auto archive = Archive::open(bytes, fault);
    if (!archive) {
        panic("cannot start init: boot archive, byte {}: {}", fault.offset, describe(fault.error));
    }
    const auto content = archive->find("programs/init");
    if (!content) panic("cannot start init: the boot archive has no file `programs/init`");
    return *content;
}

void copy_in(MemoryObject& memory, uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto part = bytes.first(std::min<size_t>(bytes.size(), abi::page_size));
        must(memory.copy_in(offset, part.data(), part.size()), "copying");
        offset += part.size();
        bytes = bytes.subspan(part.size());
    }
}

Ref<MemoryObject> make_memory(uint64_t pages) {
    auto memory = must(MemoryObject::create(Budget::root(), pages, 0), "memory");
    uint64_t done = 0;
    while (done < pages * abi::page_size) {
        must(memory->commit_some(done, pages * abi::page_size), "memory");
    }
    return memory;
}

void map_at(Process& process, MemoryObject& memory, uint64_t address, uint64_t flags) {
    const uint64_t length = memory.pages() * abi::page_size;
    must(process.space.map(memory, 0, length, address, flags | abi::map_fixed, flags), "mapping");
}

uint64_t map_flags(ElfAccess access) {
    switch (access) {
        case ElfAccess::read_write: return abi::map_read | abi::map_write;
        case ElfAccess::read_execute: return abi::map_read | abi::map_execute;
        default: return abi::map_read;
    }
}

ElfPlan load_image(Process& process, std::span<const std::byte> image) {
    ElfError error{};
    const auto plan = plan_elf(image, image_span_max, error);
    if (!plan) panic("cannot start init: its program: {}", describe(error));
    for (const ElfSegment& segment : plan->used_segments()) {
        const uint64_t pages = (segment.end_page() - segment.first_page()) / abi::page_size;
        const auto memory = make_memory(pages);
        copy_in(*memory, segment.address - segment.first_page(),
                image.subspan(segment.file_offset, segment.file_size));
        map_at(process, *memory, image_base + segment.first_page(), map_flags(segment.access));
    }
    return *plan;
}

// The start block under construction: one page.
class StartPage {
public:
    StartPage() {
        block_.version = abi::start_block_version;
        block_.handles_offset = sizeof(block_);
        text_ = sizeof(block_) + handles_max * sizeof(abi::StartHandle);
    }

    void add(Process& process, std::string_view name, Ref<Object> object, abi::Rights rights) {
        const abi::Handle handle =
            must(process.handles.insert(std::move(object), rights, 0, false), "handles");
        handles_[block_.handle_count++] = {handle, text_, static_cast<uint32_t>(name.size())};
        std::copy(name.begin(), name.end(), bytes_ + text_);
        text_ += static_cast<uint32_t>(name.size()) + 1;
    }

    Ref<MemoryObject> finish(uint64_t span) {
        block_.size = text_;
        block_.arguments_offset = text_;
        block_.address_seed = arch::read_random();
        block_.image_base = image_base;
        block_.image_size = span;
        block_.stack_top = stack_top;
        block_.stack_size = stack_pages * abi::page_size;
        __builtin_memcpy(bytes_, &block_, sizeof(block_));
        __builtin_memcpy(bytes_ + sizeof(block_), handles_, sizeof(handles_));
        auto memory = make_memory(1);
        must(memory->copy_in(0, bytes_, sizeof(bytes_)), "start block");
        return memory;
    }

private:
    static constexpr unsigned handles_max = 16;
    abi::StartBlock block_{};
    abi::StartHandle handles_[handles_max] = {};
    uint32_t text_;
    char bytes_[1024] = {};
};

template <typename T>
Ref<Object> object_of(Ref<T> object) {
    return Ref<Object>::adopt(*object.leak());
}

Ref<MemoryObject> clock_page() {
    auto memory = make_memory(1);
    const abi::ClockPage& clock = arch::clock_parameters();
    must(memory->copy_in(0, &clock, sizeof(clock)), "clock page");
    return memory;
}

PhysicalRange archive_pages(const BootInfo& info) {
    return {info.archive.begin, align_up(info.archive.end, abi::page_size)};
}

}  // namespace

void start_first_process(const BootInfo& info) {
    Budget& root = Budget::root();
    const auto image = find_program(info);
    auto process = must(Process::create(root, first_handles, false), "process");
    while (!must(process->prepare_some(), "handles")) {
    }
    const ElfPlan plan = load_image(*process, image);
    const auto stack = make_memory(stack_pages);
    map_at(*process, *stack, stack_top - stack_pages * abi::page_size,
           abi::map_read | abi::map_write);

    StartPage page;
    const abi::Rights readable = abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::get) |
                                 abi::right_of(abi::Verb::map) | abi::right_of(abi::Verb::create) |
                                 abi::right_execute;
    page.add(*process, "budget", object_of(Ref<Budget>::share(root)), abi::all_rights);
    page.add(*process, "process", object_of(Ref<Process>::share(*process)), abi::all_rights);
    auto archive = must(MemoryObject::create_physical(root, archive_pages(info), MemoryKind::fixed),
                        "archive");
    page.add(*process, "archive", object_of(std::move(archive)), readable);
    if (!info.firmware.empty()) {
        auto firmware = must(MemoryObject::create_physical(root, info.firmware, MemoryKind::fixed),
                             "firmware tables");
        page.add(*process, "firmware", object_of(std::move(firmware)),
                 readable & ~abi::right_execute);
    }
    page.add(*process, "clock", object_of(clock_page()), readable & ~abi::right_execute);
    page.add(*process, "hardware", object_of(must(Hardware::create(root), "hardware")),
             abi::all_rights);
    page.add(*process, "power", object_of(must(Power::create(root), "power")), abi::all_rights);
    page.add(*process, "console", object_of(must(Console::create(root), "console")),
             abi::all_rights);
    const auto block = page.finish(plan.span);
    map_at(*process, *block, stack_top + abi::page_size, abi::map_read);

    const ThreadStart start{.entry = image_base + plan.entry,
                            .stack = stack_top,
                            .argument = stack_top + abi::page_size,
                            .fs_base = stack_top - thread_control_size,
                            .priority = first_priority,
                            .affinity = 0};
    must(create_thread(*process, start), "thread");
}

}  // namespace annulus::kernel
