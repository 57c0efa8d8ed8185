// SPDX-License-Identifier: MIT
// Starts a program from a file.
#include "programs/shell/start.h"

#include "abi/operations.h"
#include "base/align.h"
#include "runtime/clock.h"
#include "runtime/path.h"

#include <string.h>

#include <algorithm>
#include <memory>
#include <new>

namespace annulus::shell {
namespace {

// Where programs are looked for that are named without a path.
constexpr std::string_view program_folder = "archive/programs/";

// The largest program.
constexpr uint64_t program_bytes_max = 16 * 1024 * 1024;

// What every program may spend, out of the shell's own budget: enough for a small server.
// In the order of abi::Resource: pages, reserved pages, kernel bytes, handles, slots, wait records,
// pins, timers, threads, leases.
constexpr abi::BudgetLimits program_limits = {
    .amount = {512, 128, 256 * 1024, 192, 8, 16, 16, 4, 4, 4},
    .cpu_weight = 100,
    .priority_ceiling = default_priority,
};
constexpr uint64_t program_handles = 192;

// A program's file in the address space of the shell.
class MappedFile {
public:
    MappedFile() = default;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile() {
        if (mapped_ != 0) static_cast<void>(process_.map_unmap(address_, mapped_));
    }

    // Maps it, or reads it where that is not offered.
    Result<void> open(const Shell& shell, File file);

    ImageSource source() const { return {bytes_, memory_, offset_}; }

private:
    Result<void> read(File file, uint64_t size);

    ProcessReference process_;
    uint64_t address_ = 0;
    uint64_t mapped_ = 0;
    Memory memory_;
    uint64_t offset_ = 0;
    std::unique_ptr<std::byte[]> copy_;
    std::span<const std::byte> bytes_;
};

Result<void> MappedFile::open(const Shell& shell, File file) {
    const FileState state = TRY(file.state());
    if (state.kind != abi::EntryKind::file) return Error::wrong_type;
    if (state.size == 0) return Error::wrong_version;
    if (state.size > program_bytes_max) return Error::too_many;
    auto mapped = file.map(0, state.size);
    if (!mapped.ok()) return read(file, state.size);
    process_ = TRY(shell.environment.handle<Process>(names::process));
    memory_ = std::move(mapped->memory);
    offset_ = mapped->offset;
    const uint64_t first = align_down(offset_, abi::page_size);
    const uint64_t length = align_up(offset_ + state.size, abi::page_size) - first;
    address_ = TRY(process_.map(memory_, first, length, 0, abi::map_read));
    mapped_ = length;
    // Safety: the kernel has just mapped these bytes; who serves the file is trusted with what it
    // holds, as with every program that it serves.
    const auto* begin = reinterpret_cast<const std::byte*>(address_ + offset_ - first);
    bytes_ = {begin, state.size};
    return {};
}

Result<void> MappedFile::read(File file, uint64_t size) {
    copy_.reset(new (std::nothrow) std::byte[size]);
    if (copy_ == nullptr) return Status(Error::no_budget, uint16_t{0});
    const size_t count = TRY(file.read_at(0, {copy_.get(), size}));
    bytes_ = {copy_.get(), count};
    return {};
}

// The objects that a program is handed; those that were opened for it are closed with the list.
class GrantList {
public:
    Result<void> add(Shell& shell, Job& job, const RequestedObject& wanted);
    void add(std::string_view name, ObjectReference object, abi::Rights rights) {
        grants_[count_++] = {name, object, rights};
    }
    bool has(std::string_view name) const {
        return std::any_of(grants_.begin(), grants_.begin() + count_,
                           [&](const Grant& grant) { return grant.name == name; });
    }
    std::span<const Grant> all() const { return std::span(grants_).first(count_); }

private:
    // Beside what is asked for: output, clock.
    std::array<Grant, words_max + 2> grants_{};
    std::array<Object, words_max> opened_;
    size_t count_ = 0;
    size_t opened_count_ = 0;
};

Result<void> GrantList::add(Shell& shell, Job& job, const RequestedObject& wanted) {
    // Its own, never the shell's.
    if (wanted.object == names::budget) {
        add(wanted.name, job.budget, wanted.rights);
        return {};
    }
    if (wanted.object == names::input) {
        job.reads_input = true;
        add(wanted.name, shell.input, wanted.rights);
        return {};
    }
    const Place place = TRY(shell.find(wanted.object));
    if (place.rest.empty()) {
        add(wanted.name, place.object, wanted.rights);
        return {};
    }
    const auto info = TRY(place.object.get_info());
    const bool writes = (info.rights & abi::right_of(abi::Verb::write)) != 0 &&
                        (wanted.rights & abi::right_of(abi::Verb::write)) != 0;
    const uint64_t flags = abi::open_read | (writes ? abi::open_write : 0);
    opened_[opened_count_] = TRY(open(place.object, place.rest, flags));
    add(wanted.name, opened_[opened_count_++], wanted.rights);
    return {};
}

Result<void> collect(Shell& shell, const RunRequest& request, Job& job, GrantList& grants,
                     std::string_view& failed) {
    for (const RequestedObject& wanted : request.all_objects()) {
        failed = wanted.object;
        TRY(grants.add(shell, job, wanted));
    }
    failed = request.program;
    if (!grants.has(names::output)) {
        grants.add(names::output, shell.terminal.console(), abi::right_of(abi::Verb::write));
    }
    if (!grants.has(names::clock)) {
        grants.add(names::clock, TRY(shell.environment.handle<Memory>(names::clock)),
                   abi::all_rights);
    }
    return {};
}

Result<Owned<File>> open_program(const Shell& shell, std::string_view name) {
    char path[program_folder.size() + line_max];
    TextBuffer full(path);
    if (name.find('/') == std::string_view::npos) full.append(program_folder);
    full.append(name);
    return shell.open<File>(full.text(), abi::open_read);
}

}  // namespace

Result<Job> start_program(Shell& shell, const RunRequest& request, std::string_view& failed) {
    Job job;
    const std::string_view name = split_last(request.program).rest;
    job.name_size = std::min(name.size(), Job::name_max);
    memcpy(job.name.data(), name.data(), job.name_size);

    const auto file = TRY(open_program(shell, request.program));
    MappedFile mapped;
    TRY(mapped.open(shell, file));
    const auto budget = TRY(shell.environment.handle<Budget>(names::budget));
    job.budget = TRY(budget.create_budget(program_limits));
    const auto image = TRY(ProgramImage::prepare(job.budget, mapped.source()));
    GrantList grants;
    TRY(collect(shell, request, job, grants, failed));
    const SpawnOptions options = {.budget = job.budget,
                                  .grants = grants.all(),
                                  .arguments = request.arguments,
                                  .handle_slots = program_handles,
                                  .address_seed = shell.environment.address_seed() + now()};
    Spawned spawned = TRY(spawn(image, options));
    job.process = std::move(spawned.process);
    job.ended = std::move(spawned.ended);
    return job;
}

}  // namespace annulus::shell
