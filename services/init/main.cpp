// SPDX-License-Identifier: MIT
// The first program: reads the manifest, hands out objects, starts programs and supervises them.
//
// Threads: the first supervises, one serves init's own objects, one writes the log. Only the last
// waits for other programs, and with a deadline.
#include "abi/operations.h"
#include "base/elf.h"
#include "runtime/clock.h"
#include "runtime/program.h"
#include "runtime/thread.h"
#include "services/init/manifest/report.h"
#include "services/init/supervisor.h"

#include <algorithm>

namespace annulus::init {
namespace {

constexpr std::string_view manifest_file = "manifest";

// Programs publish a few names and write lines; each request is answered at once.
constexpr unsigned server_slots = 32;
constexpr size_t server_block = 1024;

// Address space that a program's image may span.
constexpr uint64_t program_span_max = uint64_t{1} << 32;

// Too large for a stack.
constinit Manifest manifest;
constinit LineQueue log_lines;

// Left over for init itself: its stacks, its table, two watches for each program.
struct Reserve {
    abi::Resource resource;
    uint64_t amount;
};
constexpr Reserve reserves[] = {
    {abi::Resource::pages, 256},        {abi::Resource::kernel_bytes, 256 * 1024},
    {abi::Resource::handles, 0},        {abi::Resource::slots, server_slots},
    {abi::Resource::wait_records, 256}, {abi::Resource::pins, 64},
    {abi::Resource::threads, 4},
};

std::string_view text_of(std::span<const std::byte> bytes) {
    // Safety: any bytes may be looked at as characters.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<std::span<const std::byte>> map_archive(const Environment& environment) {
    const auto memory = TRY(environment.handle<Memory>("archive"));
    const auto process = TRY(environment.handle<Process>(names::process));
    const auto size = TRY(memory.get_size());
    const uint64_t bytes = size.pages * abi::page_size;
    const uint64_t address = TRY(process.map(memory, 0, bytes, 0, abi::map_read));
    // Safety: the kernel has just mapped these bytes, and nobody changes them.
    return std::span(reinterpret_cast<const std::byte*>(address), bytes);
}

// Without a system that can be started there is nothing to keep the machine on for.
[[noreturn]] void give_up(const Environment& environment) {
    log_line("init: the system cannot start; the machine is turned off");
    if (const auto power = environment.handle<Power>(names::power); power.ok()) {
        static_cast<void>(power->shutdown_now(abi::power_off_failed));
    }
    panic("init may not turn the machine off");
}

// The error's line, the text's line and a caret below the place.
void report_manifest_error(std::string_view text, const ManifestError& error) {
    char buffer[log_line_max];
    log_line(format_error(buffer, manifest_file, error));
    const std::string_view caret = format_caret(buffer, text, error.place);
    if (!caret.empty()) log_line(caret);
}

// Every program's file is there and can be loaded.
bool check_files(const Archive& archive, ManifestError& error) {
    for (const Program& program : manifest.all_programs()) {
        const auto file = archive.find(program.file);
        if (!file.has_value()) {
            return report(error, ManifestFault::unknown_name, program.place,
                          "the boot archive has no file \"{}\" for program \"{}\"", program.file,
                          program.name);
        }
        ElfError why = ElfError::none;
        if (plan_elf(*file, program_span_max, why).has_value()) continue;
        return report(error, ManifestFault::bad_value, program.place,
                      "\"{}\" of program \"{}\" cannot be loaded: {}", program.file, program.name,
                      describe(why));
    }
    return true;
}

Result<abi::BudgetLimits> available_budget(const Environment& environment) {
    const auto root = TRY(environment.handle<Budget>(names::budget));
    const abi::BudgetLedger ledger = TRY(root.get_ledger());
    abi::BudgetLimits available{};
    for (unsigned i = 0; i < abi::resource_count; i++) {
        available.amount[i] = ledger.limit[i] - ledger.used[i] - ledger.lent[i];
    }
    for (const Reserve& reserve : reserves) {
        uint64_t& amount = available.amount[static_cast<unsigned>(reserve.resource)];
        amount -= std::min(amount, reserve.amount);
    }
    available.cpu_weight = ledger.cpu_weight;
    available.priority_ceiling = ledger.priority_ceiling;
    return available;
}

Result<Archive> read_archive(const Environment& environment) {
    const auto bytes = TRY(map_archive(environment));
    ArchiveFault fault;
    const auto archive = Archive::open(bytes, fault);
    if (archive.has_value()) return *archive;
    log("init: boot archive, byte {}: {}", fault.offset, describe(fault.error));
    return Error::wrong_version;
}

// Fills in the manifest. What is wrong with it is on the console.
Result<void> read_manifest(const Environment& environment, const Archive& archive) {
    const auto file = archive.find(manifest_file);
    if (!file.has_value()) {
        log("init: the boot archive has no file \"{}\"", manifest_file);
        return Error::not_found;
    }
    const std::string_view text = text_of(*file);
    ManifestError error;
    if (parse_manifest(text, manifest, error) && check_files(archive, error) &&
        fits_budget(manifest, TRY(available_budget(environment)), error)) {
        return {};
    }
    report_manifest_error(text, error);
    return Error::bad_argument;
}

Result<void> run(const Environment& environment) {
    const Archive archive = TRY(read_archive(environment));
    TRY(read_manifest(environment, archive));
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    SystemLog log =
        TRY(SystemLog::create(log_lines, TRY(environment.handle<Console>(names::console))));
    ExportRegistry exports(manifest);
    Mutex mutex = TRY(Mutex::create());
    BinarySemaphore doorbell = TRY(BinarySemaphore::create());
    ProgramBoard board = TRY(ProgramBoard::create());
    Shared shared = {manifest, log, exports, mutex, doorbell, board, budget};
    Server server = TRY(Server::create(server_slots, server_block));
    Semaphore destroyed =
        TRY(budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    Launcher launcher(environment, archive, server, shared);
    Supervisor supervisor(launcher, shared, TRY(environment.handle<Power>(names::power)),
                          std::move(destroyed));
    const auto writer = TRY(start_thread([&log] { log.run(); }));
    const auto serving = TRY(start_thread([&server] {
        if (!server.run().ok()) panic("init cannot serve its objects");
    }));
    supervisor.run();
}

}  // namespace
}  // namespace annulus::init

annulus::Result<void> annulus::program_main(Environment& environment) {
    const auto result = init::run(environment);
    if (!result.ok()) log("init: ended with {}", name_of(result));
    init::give_up(environment);
}
