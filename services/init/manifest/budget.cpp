// SPDX-License-Identifier: MIT
// Parser of the manifest: budgets.
#include "services/init/manifest/budget.h"

#include "abi/limits.h"
#include "services/init/manifest/parser.h"

namespace annulus::init {
namespace {

using abi::Resource;

struct BudgetRule {
    std::string_view word;
    unsigned bit;  // of ManifestBudget::stated; below abi::resource_count: the abi::Resource
    bool required;
    NumberRule number;
};

constexpr unsigned bit_of(Resource resource) { return static_cast<unsigned>(resource); }

// A count that no machine has, so that sums of all budgets never overflow: 64 + 32 of them.
constexpr uint64_t count_max = uint64_t{1} << 48;

constexpr BudgetRule rules[] = {
    {"pages", bit_of(Resource::pages), true, {"a number of pages", Unit::none, 0, count_max}},
    {"kernel",
     bit_of(Resource::kernel_bytes),
     true,
     {"a size in bytes such as 128K", Unit::bytes, 0, count_max}},
    {"handles",
     bit_of(Resource::handles),
     true,
     {"a number of handles", Unit::none, 0, abi::process_handles_max}},
    {"threads", bit_of(Resource::threads), true, {"a number of threads", Unit::none, 0, count_max}},
    {"weight", ManifestBudget::weight_bit, true, {"a CPU weight", Unit::none, 1, 1000}},
    {"priority",
     ManifestBudget::priority_bit,
     true,
     {"a priority", Unit::none, 0, abi::priority_count - 1}},
    {"reserved_pages",
     bit_of(Resource::reserved_pages),
     false,
     {"a number of pages", Unit::none, 0, count_max}},
    {"slots",
     bit_of(Resource::slots),
     false,
     {"a number of request slots", Unit::none, 0, count_max}},
    {"wait_records",
     bit_of(Resource::wait_records),
     false,
     {"a number of wait records", Unit::none, 0, count_max}},
    {"pins", bit_of(Resource::pins), false, {"a number of pages", Unit::none, 0, count_max}},
    {"timers", bit_of(Resource::timers), false, {"a number of timers", Unit::none, 0, count_max}},
    {"leases", bit_of(Resource::leases), false, {"a number of leases", Unit::none, 0, count_max}},
};

static_assert(std::size(rules) == abi::resource_count + 2, "a resource has no word");

}  // namespace

std::string_view budget_word(unsigned bit) {
    for (const BudgetRule& rule : rules) {
        if (rule.bit == bit) return rule.word;
    }
    return {};
}

bool Parser::read_budget(ManifestBudget& budget) {
    if (token_.kind != TokenKind::open) return unexpected("\"{\"");
    advance();
    for (skip_lines(); token_.kind != TokenKind::close; skip_lines()) {
        if (!read_resource(budget)) return false;
    }
    advance();
    return true;
}

bool Parser::read_resource(ManifestBudget& budget) {
    for (const BudgetRule& rule : rules) {
        if (!at_word(rule.word)) continue;
        if (budget.states(rule.bit)) {
            return fail(ManifestFault::duplicate, token_.place,
                        "\"{}\" is stated twice in one budget", rule.word);
        }
        advance();
        uint64_t value = 0;
        if (!read_number(rule.number, value)) return false;
        budget.stated = static_cast<uint16_t>(budget.stated | 1u << rule.bit);
        if (rule.bit == ManifestBudget::weight_bit) {
            budget.limits.cpu_weight = static_cast<uint32_t>(value);
        } else if (rule.bit == ManifestBudget::priority_bit) {
            budget.limits.priority_ceiling = static_cast<uint32_t>(value);
        } else {
            budget.limits.amount[rule.bit] = value;
        }
        return true;
    }
    return unexpected("a resource such as pages, or \"}\"");
}

bool Parser::check_all_stated(const ManifestBudget& budget) {
    for (const BudgetRule& rule : rules) {
        if (!rule.required || budget.states(rule.bit)) continue;
        return fail(ManifestFault::missing, budget.place, "the budget does not state \"{}\"",
                    rule.word);
    }
    return true;
}

}  // namespace annulus::init
