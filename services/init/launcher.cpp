// SPDX-License-Identifier: MIT
// Starts one run of a program.
#include "services/init/launcher.h"

#include "runtime/directory.h"
#include "services/init/system_object.h"

#include <memory>
#include <new>

namespace annulus::init {
namespace {

constexpr unsigned resource(abi::Resource kind) { return static_cast<unsigned>(kind); }

// What init adds to a program's gives: the clock and the directory for what it provides.
constexpr size_t own_grants = 2;

// The program's limits as written, and one page for the clock that every program is handed.
abi::BudgetLimits limits_of(const Program& program) {
    abi::BudgetLimits limits = program.budget.limits;
    limits.amount[resource(abi::Resource::reserved_pages)]++;
    return limits;
}

constexpr Duration open_time = seconds(1);

// The flags with which a path is opened so that the rights of the manifest are there.
uint64_t flags_of(abi::Rights rights) {
    const abi::Rights reading = abi::open_rights(abi::open_read) & ~abi::open_rights(0);
    const abi::Rights writing = abi::open_rights(abi::open_write) & ~abi::open_rights(0);
    return ((rights & reading) != 0 ? abi::open_read : 0) |
           ((rights & writing) != 0 ? abi::open_write : 0);
}

}  // namespace

// Objects to hand out. Those that are made for the purpose are closed with the list: the program
// has its own handles by then.
class Launcher::Grants {
public:
    static Result<Grants> create(size_t most) {
        Grants list;
        list.grants_.reset(new (std::nothrow) Grant[most]);
        list.made_.reset(new (std::nothrow) Object[most]);
        if (list.grants_ == nullptr || list.made_ == nullptr) return Error::no_memory;
        return list;
    }

    // No more than announced.
    void add(std::string_view name, ObjectReference object, abi::Rights rights) {
        grants_[count_++] = {name, object, rights};
    }
    void add_made(std::string_view name, Object object, abi::Rights rights) {
        add(name, object, rights);
        made_[count_ - 1] = std::move(object);
    }

    std::span<const Grant> all() const { return {grants_.get(), count_}; }

private:
    std::unique_ptr<Grant[]> grants_;
    std::unique_ptr<Object[]> made_;
    size_t count_ = 0;
};

Result<void> Launcher::launch(uint16_t program, uint32_t run, Running& running,
                              LaunchFailure& failure) {
    const Program& description = shared_.manifest.programs[program];
    const auto root = TRY(environment_.handle<Budget>(names::budget));
    failure = {"its budget", description.budget.place};
    running.budget = TRY(root.create_budget(limits_of(description)));
    failure = {"its list of objects", description.place};
    Grants grants = TRY(Grants::create(description.gives.count + own_grants));
    TRY(collect(program, run, running.budget, grants, failure));
    failure = {"its process", description.place};
    // Any numbers that differ between programs and runs will do: spawn scatters them.
    const uint64_t seed = environment_.address_seed() + (uint64_t{program} << 32) + run;
    TRY(start(description, seed, grants, running));
    failure = {"the watch for faults", description.place};
    return running.process.watch_fault(shared_.doorbell.handle());
}

Result<void> Launcher::collect(uint16_t index, uint32_t run, BudgetReference budget, Grants& grants,
                               LaunchFailure& failure) {
    const Program& program = shared_.manifest.programs[index];
    const auto clock = TRY(environment_.handle<Memory>(names::clock));
    grants.add(names::clock, clock, abi::all_rights);
    if (program.provides.count != 0) {
        grants.add_made(names::exports, TRY(make_directory(server_, shared_, index, run)),
                        abi::all_rights);
    }
    for (const Give& give : shared_.manifest.gives_of(program)) {
        failure = {give.source_name, give.place};
        TRY(add_give(index, give, budget, grants));
    }
    return {};
}

Result<void> Launcher::add_give(uint16_t program, const Give& give, BudgetReference budget,
                                Grants& grants) {
    const auto add_made = [&](Object object) -> Result<void> {
        grants.add_made(give.name, std::move(object), give.rights);
        return {};
    };
    const auto hardware = [&] { return environment_.handle<Hardware>("hardware"); };
    switch (give.kind) {
        case SourceKind::own_budget: grants.add(give.name, budget, give.rights); return {};
        case SourceKind::child_budget:
            return add_made(
                TRY(budget.create_budget(shared_.manifest.child_budgets[give.index].limits)));
        case SourceKind::root_budget: return add_own(give, names::budget, grants);
        case SourceKind::archive: return add_own(give, "archive", grants);
        case SourceKind::firmware: return add_own(give, "firmware", grants);
        case SourceKind::hardware: return add_own(give, "hardware", grants);
        case SourceKind::power: return add_own(give, names::power, grants);
        case SourceKind::kernel_console: return add_own(give, names::console, grants);
        case SourceKind::ports:
            return add_made(TRY(TRY(hardware()).create_ports(budget, give.first, give.count)));
        case SourceKind::interrupt:
            return add_made(TRY(TRY(hardware()).create_interrupt(budget, give.first)));
        case SourceKind::registers:
            return add_made(TRY(TRY(hardware()).create_registers(budget, give.first, give.count)));
        case SourceKind::log: return add_made(TRY(make_log(server_, shared_, program)));
        case SourceKind::system: return add_made(TRY(make_system(server_, shared_)));
        case SourceKind::provided: return add_provided(give, grants);
    }
    return Error::not_supported;
}

Result<void> Launcher::add_own(const Give& give, std::string_view name, Grants& grants) {
    grants.add(give.name, TRY(environment_.handle<Object>(name)), give.rights);
    return {};
}

// Objects are withdrawn by the thread that launches, so what is published stays.
Result<ObjectReference> Launcher::find_provided(const Give& give) {
    Lock lock(shared_.mutex);
    const Export& published = shared_.exports.at(give.index);
    // The bit that was named for one type means something else on another.
    if (give.rights_type != abi::ObjectType::any && give.rights_type != published.type) {
        return Error::wrong_type;
    }
    return ObjectReference(published.object);
}

// A path is opened now, for this run alone. That is the one request that init makes to a program,
// so it waits for no longer than open_time.
Result<void> Launcher::add_provided(const Give& give, Grants& grants) {
    if (give.renewable) {
        grants.add_made(give.name, TRY(make_source(server_, shared_, give)), abi::all_rights);
        return {};
    }
    const ObjectReference published = TRY(find_provided(give));
    if (give.path.empty()) {
        grants.add(give.name, published, give.rights);
        return {};
    }
    Object opened =
        TRY(open(published, give.path, flags_of(give.rights), Deadline::after(open_time)));
    grants.add_made(give.name, std::move(opened), give.rights);
    return {};
}

Result<void> Launcher::start(const Program& program, uint64_t seed, Grants& grants,
                             Running& running) {
    const auto file = archive_.find(program.file);
    if (!file.has_value()) return Error::not_found;
    // Paid by the program, pages of code included: it holds nothing that others pay for.
    const auto image = TRY(ProgramImage::prepare(running.budget, {.bytes = *file}));
    const SpawnOptions options = {.budget = running.budget,
                                  .grants = grants.all(),
                                  .arguments = shared_.manifest.arguments_of(program),
                                  .handle_slots = free_handles(program),
                                  .priority = program.budget.limits.priority_ceiling,
                                  .address_seed = seed,
                                  .ended = shared_.doorbell.handle()};
    Spawned spawned = TRY(spawn(image, options));
    running.process = std::move(spawned.process);
    running.image_base = spawned.image_base;
    return {};
}

// The handle table takes all handles of the budget that no child budget has.
uint64_t Launcher::free_handles(const Program& program) const {
    constexpr unsigned handles = resource(abi::Resource::handles);
    uint64_t count = program.budget.limits.amount[handles];
    for (const Give& give : shared_.manifest.gives_of(program)) {
        if (give.kind != SourceKind::child_budget) continue;
        count -= shared_.manifest.child_budgets[give.index].limits.amount[handles];
    }
    return count;
}

}  // namespace annulus::init
