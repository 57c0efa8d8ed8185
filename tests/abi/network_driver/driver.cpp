// SPDX-License-Identifier: MIT
// Programs of the boot archive as processes of a test.
#include "tests/abi/network_driver/driver.h"

#include "abi/directory.h"
#include "abi/operations.h"
#include "runtime/directory.h"
#include "runtime/program_state.h"
#include "runtime/semaphore.h"

#include <array>
#include <new>

namespace annulus::test {

namespace {

constexpr size_t grants_max = 6;
constexpr Duration patience = seconds(20);

abi::BudgetLimits program_limits() {
    abi::BudgetLimits limits{};
    const auto set = [&](abi::Resource resource, uint64_t amount) {
        limits.amount[static_cast<unsigned>(resource)] = amount;
    };
    set(abi::Resource::pages, 600);
    set(abi::Resource::reserved_pages, 600);
    set(abi::Resource::kernel_bytes, 256 * 1024);
    set(abi::Resource::handles, 192);
    set(abi::Resource::slots, 16);
    set(abi::Resource::wait_records, 24);
    set(abi::Resource::pins, 300);
    set(abi::Resource::threads, 3);
    limits.cpu_weight = 100;
    limits.priority_ceiling = 40;
    return limits;
}

Result<std::span<const std::byte>> find_program(const Context& test, std::string_view file) {
    static std::span<const std::byte> mapped;
    if (mapped.empty()) {
        const auto memory = TRY(test.environment().handle<Memory>("archive"));
        const uint64_t bytes = TRY(memory.get_size()).pages * abi::page_size;
        const uint64_t address = TRY(test.process().map(memory, 0, bytes, 0, abi::map_read));
        // Safety: the kernel has just mapped these bytes, and nobody changes them.
        mapped = std::span(reinterpret_cast<const std::byte*>(address), bytes);
    }
    ArchiveFault fault;
    const auto archive = Archive::open(mapped, fault);
    if (!archive) return Error::wrong_version;
    const auto content = archive->find(file);
    if (!content) return Error::not_found;
    return *content;
}

}  // namespace

Result<Running> Running::start(const Context& test, std::string_view file,
                               std::span<const std::string_view> arguments,
                               std::span<const Grant> grants) {
    const auto bytes = TRY(find_program(test, file));
    Budget budget = TRY(test.budget().create_budget(program_limits()));
    const auto clock = TRY(test.environment().handle<Memory>(names::clock));
    std::array<Grant, grants_max + 2> all{{{names::budget, budget}, {names::clock, clock}}};
    size_t count = 2;
    for (const Grant& grant : grants) all[count++] = grant;
    const auto image = TRY(ProgramImage::prepare(budget, {.bytes = bytes}));
    auto spawned = TRY(spawn(image, {.budget = budget,
                                     .grants = std::span(all).first(count),
                                     .arguments = arguments,
                                     .handle_slots = 192,
                                     .priority = 40}));
    return Running(std::move(budget), std::move(spawned.process));
}

Result<void> Running::kill() {
    const BinarySemaphore done = TRY(BinarySemaphore::create());
    TRY(budget_.remove_destroy(done.handle()));
    return wait_for(done.handle(), Deadline::after(patience)).status();
}

Result<Exports*> Exports::get() {
    static Exports* one = nullptr;
    if (one != nullptr) return one;
    Server server = TRY(Server::create(2, 64));
    Semaphore arrived =
        TRY(program_state.budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    one = new (std::nothrow) Exports(std::move(server), std::move(arrived));
    if (one == nullptr) return Error::no_memory;
    auto thread = TRY(start_thread([] { static_cast<void>(one->server_.run()); }));
    // It serves until the program ends.
    new (std::nothrow) RunningThread(std::move(thread));
    return one;
}

Result<Served> Exports::directory() { return server_.make_object(*this); }

Answer Exports::handle(Request& request) {
    if (!request.is(abi::Verb::share, abi::directory_share)) return Error::bad_operation;
    Object object = request.take_handle<Object>(0);
    if (object.empty()) return Status(Error::bad_argument, 0);
    // Order: release, with the acquire in published().
    const abi::Handle before = object_.exchange(object.release(), std::memory_order_release);
    if (before != abi::no_handle) close_handle(before);
    return signal(arrived_);
}

Result<Object> Exports::published(Deadline deadline) {
    TRY(wait_for(arrived_, deadline));
    return Object(object_.exchange(abi::no_handle, std::memory_order_acquire));
}

Result<Driver> Driver::start(const Context& test) {
    Exports& exports = *TRY(Exports::get());
    const auto directory = TRY(exports.directory());
    const auto device = TRY(test.environment().handle<Object>("device"));
    const auto console = TRY(test.environment().handle<Object>(names::console));
    const Grant grants[] = {
        {"device", device}, {names::exports, directory}, {names::console, console}};
    auto running = TRY(Running::start(test, "programs/virtio", {}, grants));
    auto interface = TRY(exports.published(Deadline::after(patience)));
    return Driver(std::move(running), std::move(interface));
}

}  // namespace annulus::test
