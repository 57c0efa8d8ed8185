// SPDX-License-Identifier: MIT
// The checks that need the whole manifest.
#include "services/init/manifest/check.h"

#include "services/init/manifest/budget.h"
#include "services/init/manifest/give.h"
#include "services/init/manifest/report.h"

namespace annulus::init {
namespace {

using abi::Resource;

bool check_provides(const Manifest& manifest, ManifestError& error) {
    for (size_t index = 0; index < manifest.provide_count; index++) {
        const Provide& provide = manifest.provides[index];
        if (is_source_name(provide.name)) {
            return report(error, ManifestFault::bad_value, provide.place,
                          "\"{}\" names an object of init's own; choose another name",
                          provide.name);
        }
        for (size_t other = 0; other < index; other++) {
            const Provide& earlier = manifest.provides[other];
            if (earlier.name != provide.name) continue;
            return report(error, ManifestFault::duplicate, provide.place,
                          "\"{}\" is also provided by program \"{}\", in line {}", provide.name,
                          manifest.programs[earlier.program].name, earlier.place.line);
        }
    }
    return true;
}

bool resolve_gives(Manifest& manifest, ManifestError& error) {
    for (Give& give : std::span(manifest.gives).first(manifest.give_count)) {
        if (give.kind != SourceKind::provided) continue;
        bool found = false;
        for (size_t index = 0; index < manifest.provide_count && !found; index++) {
            found = manifest.provides[index].name == give.source_name;
            if (found) give.index = static_cast<uint16_t>(index);
        }
        if (found) continue;
        return report(error, ManifestFault::unknown_name, give.source_place,
                      "no program provides \"{}\", and init has no object of this name",
                      give.source_name);
    }
    return true;
}

// Walks from a program to those that it is handed something by, depth first.
class CycleSearch {
public:
    CycleSearch(const Manifest& manifest, ManifestError& error)
        : manifest_(manifest), error_(error) {}

    // False, with an error, if a cycle can be reached from `first`.
    bool visit_all_from(uint16_t first) {
        if (state_[first] == State::done) return true;
        push(first);
        while (depth_ > 0) {
            Step& step = path_[depth_ - 1];
            const Program& program = manifest_.programs[step.program];
            if (step.next == program.gives.count) {
                state_[step.program] = State::done;
                depth_--;
                continue;
            }
            const Give& give = manifest_.gives_of(program)[step.next++];
            if (!give.is_awaited()) continue;
            const uint16_t provider = manifest_.provider_of(give);
            if (state_[provider] == State::on_path) return name_cycle(provider);
            if (state_[provider] == State::unseen) push(provider);
        }
        return true;
    }

private:
    enum class State : uint8_t { unseen, on_path, done };
    struct Step {
        uint16_t program;
        uint16_t next;  // index of the next give to follow; the one before led deeper
    };

    void push(uint16_t program) {
        state_[program] = State::on_path;
        path_[depth_++] = {program, 0};
    }

    // The cycle is the path's part from `start` on. Fails at the give that it begins with.
    bool name_cycle(uint16_t start) {
        std::array<char, ManifestError::message_max> text{};
        TextBuffer out(text);
        Place place;
        for (size_t at = 0; at < depth_; at++) {
            const Step& step = path_[at];
            if (place.line == 0 && step.program != start) continue;
            const Program& program = manifest_.programs[step.program];
            const Give& give = manifest_.gives_of(program)[step.next - 1u];
            if (place.line == 0) {
                place = give.source_place;
            } else {
                out.append(", ");
            }
            format_to(out, "\"{}\" needs {} of \"{}\"", program.name, give.source_name,
                      manifest_.programs[manifest_.provider_of(give)].name);
        }
        return report(error_, ManifestFault::cycle, place, "programs wait for one another: {}",
                      out.text());
    }

    const Manifest& manifest_;
    ManifestError& error_;
    std::array<State, manifest_programs_max> state_{};
    std::array<Step, manifest_programs_max> path_{};  // no program is on it twice
    size_t depth_ = 0;
};

bool check_cycles(const Manifest& manifest, ManifestError& error) {
    CycleSearch search(manifest, error);
    for (size_t program = 0; program < manifest.program_count; program++) {
        if (!search.visit_all_from(static_cast<uint16_t>(program))) return false;
    }
    return true;
}

// What a program needs to run at all.
bool check_minimum(const Program& program, ManifestError& error) {
    const auto& amount = program.budget.limits.amount;
    const auto has_at_least = [&](Resource resource, uint64_t needed) {
        const unsigned bit = static_cast<unsigned>(resource);
        const std::string_view word = budget_word(bit);
        if (amount[bit] >= needed) return true;
        return report(error, ManifestFault::over_budget, program.budget.place,
                      "program \"{}\" needs at least {} {}, its budget has {} {}", program.name,
                      word, needed, word, amount[bit]);
    };
    // One handle for each object that it is given.
    return has_at_least(Resource::pages, 1) && has_at_least(Resource::threads, 1) &&
           has_at_least(Resource::handles, program.gives.count);
}

// The budgets made for a program's gives are taken out of its own.
bool check_child_budgets(const Manifest& manifest, const Program& program, ManifestError& error) {
    const abi::BudgetLimits& own = program.budget.limits;
    uint64_t used[abi::resource_count] = {};
    for (const Give& give : manifest.gives_of(program)) {
        if (give.kind != SourceKind::child_budget) continue;
        const abi::BudgetLimits& child = manifest.child_budgets[give.index].limits;
        for (unsigned bit = 0; bit < abi::resource_count; bit++) {
            used[bit] += child.amount[bit];  // the parser's count_max rules out overflow
            if (used[bit] <= own.amount[bit]) continue;
            return report(error, ManifestFault::over_budget, give.source_place,
                          "budgets that \"{}\" is given take {} {}, its own has {} {}",
                          program.name, budget_word(bit), used[bit], budget_word(bit),
                          own.amount[bit]);
        }
        if (child.priority_ceiling > own.priority_ceiling) {
            return report(error, ManifestFault::over_budget, give.source_place,
                          "priority {} is above that of program \"{}\", {}", child.priority_ceiling,
                          program.name, own.priority_ceiling);
        }
    }
    return true;
}

// `stated` says which of the limits count, as in ManifestBudget.
bool check_sum(const Manifest& manifest, const ManifestBudget& available, ManifestError& error) {
    uint64_t used[abi::resource_count] = {};
    for (const Program& program : manifest.all_programs()) {
        const abi::BudgetLimits& limits = program.budget.limits;
        for (unsigned bit = 0; bit < abi::resource_count; bit++) {
            used[bit] += limits.amount[bit];
            if (!available.states(bit) || used[bit] <= available.limits.amount[bit]) continue;
            return report(error, ManifestFault::over_budget, program.budget.place,
                          "with program \"{}\" the budgets take {} {}, more than {} {}",
                          program.name, budget_word(bit), used[bit], budget_word(bit),
                          available.limits.amount[bit]);
        }
        if (available.states(ManifestBudget::priority_bit) &&
            limits.priority_ceiling > available.limits.priority_ceiling) {
            return report(error, ManifestFault::over_budget, program.budget.place,
                          "priority {} of program \"{}\" is above {}", limits.priority_ceiling,
                          program.name, available.limits.priority_ceiling);
        }
    }
    return true;
}

bool check_budgets(const Manifest& manifest, ManifestError& error) {
    for (const Program& program : manifest.all_programs()) {
        if (!check_minimum(program, error)) return false;
        if (!check_child_budgets(manifest, program, error)) return false;
    }
    return check_sum(manifest, manifest.total, error);
}

bool is_hardware_range(SourceKind kind) {
    return kind == SourceKind::ports || kind == SourceKind::interrupt ||
           kind == SourceKind::registers;
}

// The hardware factory hands out each port, line and register once.
bool check_hardware(const Manifest& manifest, ManifestError& error) {
    for (size_t index = 0; index < manifest.give_count; index++) {
        const Give& give = manifest.gives[index];
        if (!is_hardware_range(give.kind)) continue;
        for (size_t other = 0; other < index; other++) {
            const Give& earlier = manifest.gives[other];
            // The parser refuses ranges whose end overflows.
            const bool apart = earlier.kind != give.kind ||
                               give.first >= earlier.first + earlier.count ||
                               earlier.first >= give.first + give.count;
            if (apart) continue;
            return report(error, ManifestFault::overlap, give.source_place,
                          "{} from {x} on was already given in line {}", give.source_name,
                          give.first > earlier.first ? give.first : earlier.first,
                          earlier.place.line);
        }
    }
    return true;
}

}  // namespace

bool check_manifest(Manifest& manifest, ManifestError& error) {
    return check_provides(manifest, error) && resolve_gives(manifest, error) &&
           check_cycles(manifest, error) && check_budgets(manifest, error) &&
           check_hardware(manifest, error);
}

bool fits_budget(const Manifest& manifest, const abi::BudgetLimits& available,
                 ManifestError& error) {
    ManifestBudget all{available, 0, {}};
    all.stated = static_cast<uint16_t>(~(1u << ManifestBudget::weight_bit));
    return check_sum(manifest, all, error);
}

}  // namespace annulus::init
