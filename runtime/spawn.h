// SPDX-License-Identifier: MIT
// Starting programs: an image is prepared once, then started as often as needed.
//
//   auto image = TRY(ProgramImage::prepare(budget, {.bytes = file}));
//   const Grant grants[] = {{"budget", child_budget}, {"output", console}};
//   auto child = TRY(spawn(image, {.budget = child_budget, .grants = grants}));
//   TRY(wait_for(child.ended));
#pragma once

#include "base/elf.h"
#include "base/result.h"
#include "generated/objects.h"
#include "runtime/thread.h"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace annulus {

struct ImageSource {
    std::span<const std::byte> bytes;  // the ELF file; stays mapped and unchanged
    MemoryReference memory = {};       // optional: the memory that holds the file, ...
    uint64_t offset = 0;               // ... from this byte on
};

// A checked program, and memory with its read-only pages that all its processes share. Pages that
// lie at page boundaries of the source's memory are shared from there, others are copied once.
class ProgramImage {
public:
    // `budget` pays for the copies. wrong_version: not a program (`why` says more, if given).
    static Result<ProgramImage> prepare(BudgetReference budget, const ImageSource& source,
                                        ElfError* why = nullptr);

    const ElfPlan& plan() const { return plan_; }

private:
    friend struct Spawning;

    // Where the pages of a read-only segment come from.
    struct Shared {
        Memory copy;  // empty: shared from the source
        MemoryReference memory;
        uint64_t offset = 0;
    };

    ProgramImage(const ElfPlan& plan, const ImageSource& source) : plan_(plan), source_(source) {}
    Result<void> share_segment(BudgetReference budget, size_t index);

    ElfPlan plan_;
    ImageSource source_;
    std::array<Shared, elf_max_segments> shared_{};
};

// One object to hand out: the child gets a duplicate with these rights.
struct Grant {
    std::string_view name;
    ObjectReference object;
    abi::Rights rights = abi::all_rights;
};

struct SpawnOptions {
    BudgetReference budget = {};  // pays for the process and all that is made here
    std::span<const Grant> grants = {};
    std::span<const std::string_view> arguments = {};
    bool own_process = true;  // hand out `process`: what a heap, threads and mutexes need
    size_t handle_slots = 256;
    size_t stack_pages = 16;
    unsigned priority = default_priority;
    uint64_t affinity = 0;          // mask of CPUs, 0: any
    uint64_t address_seed = 0;      // chooses where the image lies, and is passed on
    uint64_t flags = 0;             // of budget.create.process
    SemaphoreReference ended = {};  // fired at the end; empty: one is made
};

struct Spawned {
    Process process;
    Semaphore ended;      // one unit when the process has ended; empty if the options named one
    uint64_t image_base;  // where the program lies: addresses minus this are those of its file
};

// Starts a process. All or nothing: on an error nothing runs, nothing is left, and every handle of
// the caller is as before. not_granted (no `budget` for the parent's semaphore), no_budget,
// no_room, no_memory, limit; no_right if a grant's object cannot be duplicated.
Result<Spawned> spawn(const ProgramImage& image, const SpawnOptions& options);

}  // namespace annulus
