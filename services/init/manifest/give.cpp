// SPDX-License-Identifier: MIT
// Parser of the manifest: what a program is handed, and with which rights.
#include "services/init/manifest/give.h"

#include "abi/limits.h"
#include "runtime/path.h"
#include "services/init/manifest/parser.h"

namespace annulus::init {
namespace {

using abi::ObjectType;

// What init can hand out itself.
struct SourceRule {
    std::string_view name;
    SourceKind kind;
    ObjectType type;
};

constexpr SourceRule source_rules[] = {
    {"budget", SourceKind::own_budget, ObjectType::budget},
    {"root.budget", SourceKind::root_budget, ObjectType::budget},
    {"archive", SourceKind::archive, ObjectType::memory},
    {"firmware", SourceKind::firmware, ObjectType::memory},
    {"hardware", SourceKind::hardware, ObjectType::hardware},
    {"hardware.ports", SourceKind::ports, ObjectType::ports},
    {"hardware.interrupt", SourceKind::interrupt, ObjectType::interrupt},
    {"hardware.registers", SourceKind::registers, ObjectType::memory},
    {"power", SourceKind::power, ObjectType::power},
    {"log", SourceKind::log, ObjectType::any},
    {"system", SourceKind::system, ObjectType::any},
    {"kernel.console", SourceKind::kernel_console, ObjectType::console},
};

// Rights that are no verbs. A bit means different things on different types, so each name belongs
// to one type and is refused on others.
struct TypeRight {
    std::string_view name;
    abi::Rights bit;
    ObjectType type;
};

constexpr TypeRight type_rights[] = {
    {"signal", abi::right_signal, ObjectType::semaphore},
    {"wait", abi::right_wait, ObjectType::semaphore},
    {"execute", abi::right_execute, ObjectType::memory},
    {"serve", abi::right_serve, ObjectType::table},
    {"spend", abi::right_spend, ObjectType::budget},
};

// Names of the verbs, by number.
constexpr std::string_view verb_rights[abi::verb_count] = {
    "read", "write", "open", "create", "remove", "rename",   "get",   "set",
    "list", "share", "map",  "sync",   "accept", "shutdown", "watch", "close",
};

// Names under which init hands out objects without being told.
struct OwnName {
    std::string_view name;
    std::string_view object;
};

constexpr OwnName own_names[] = {
    {"clock", "the clock"},
    {"process", "its own process"},
    {"exports", "the directory for what it provides"},
};

constexpr uint64_t ports_end = 0x10000;  // x86 has 64 Ki I/O ports (Intel SDM vol. 1, 19.3)

constexpr NumberRule port_rule{"an I/O port", Unit::none, 0, ports_end - 1};
constexpr NumberRule port_count_rule{"a number of I/O ports", Unit::none, 1, ports_end};
constexpr NumberRule interrupt_rule{"an interrupt line", Unit::none, 0, 1023};
constexpr NumberRule address_rule{"a physical address"};
constexpr NumberRule length_rule{"a length in bytes", Unit::bytes, 1};

const SourceRule* find_source_rule(std::string_view name) {
    for (const SourceRule& rule : source_rules) {
        if (rule.name == name) return &rule;
    }
    return nullptr;
}

ObjectType type_of_source(SourceKind kind) {
    if (kind == SourceKind::child_budget) return ObjectType::budget;
    for (const SourceRule& rule : source_rules) {
        if (rule.kind == kind) return rule.type;
    }
    return ObjectType::any;  // what a program provides may be of any type
}

}  // namespace

bool is_source_name(std::string_view name) {
    return name == "clock" || name.starts_with("hardware.") || name.starts_with("kernel.") ||
           name.starts_with("root.") || find_source_rule(name) != nullptr;
}

bool Parser::read_give(Program& program) {
    if (manifest_.give_count == manifest_gives_max) {
        return fail(ManifestFault::too_many, token_.place, "more than {} objects are given",
                    manifest_gives_max);
    }
    Give& give = manifest_.gives[manifest_.give_count];
    give = {};
    give.place = token_.place;
    advance();
    const Place name_place = token_.place;
    if (!read_name("a name for the object", give.name)) return false;
    for (const OwnName& own : own_names) {
        if (give.name != own.name) continue;
        return fail(ManifestFault::duplicate, name_place, "every program has {} under this name",
                    own.object);
    }
    for (const Give& earlier : manifest_.gives_of(program)) {
        if (earlier.name != give.name) continue;
        return fail(ManifestFault::duplicate, name_place,
                    "a second object named \"{}\" for program \"{}\"; the first is in line {}",
                    give.name, program.name, earlier.place.line);
    }
    if (!read_source(give) || !read_rights(give)) return false;
    manifest_.give_count++;
    program.gives.count++;
    return true;
}

bool Parser::read_source(Give& give) {
    give.source_place = token_.place;
    if (at_word("clock")) {
        return fail(ManifestFault::duplicate, token_.place,
                    "every program has the clock; it is not given");
    }
    const SourceRule* rule =
        token_.kind == TokenKind::word ? find_source_rule(token_.text) : nullptr;
    give.kind = rule ? rule->kind : SourceKind::provided;
    if (!read_name("what to give", give.source_name)) return false;
    if (give.kind != SourceKind::own_budget || token_.kind != TokenKind::open) {
        return read_source_numbers(give);
    }
    if (manifest_.child_budget_count == manifest_child_budgets_max) {
        return fail(ManifestFault::too_many, give.source_place, "more than {} budgets are made",
                    manifest_child_budgets_max);
    }
    give.kind = SourceKind::child_budget;
    give.index = static_cast<uint16_t>(manifest_.child_budget_count++);
    ManifestBudget& budget = manifest_.child_budgets[give.index];
    budget = {};
    budget.place = give.source_place;
    return read_budget(budget) && check_all_stated(budget);
}

bool Parser::read_source_numbers(Give& give) {
    const Place place = token_.place;
    switch (give.kind) {
        case SourceKind::ports:
            if (!read_number(port_rule, give.first)) return false;
            if (!read_number(port_count_rule, give.count)) return false;
            if (give.first + give.count <= ports_end) return true;
            return fail(ManifestFault::bad_value, place, "ports beyond 0xffff: {x} and {} more",
                        give.first, give.count - 1);
        case SourceKind::interrupt: give.count = 1; return read_number(interrupt_rule, give.first);
        case SourceKind::registers:
            if (!read_number(address_rule, give.first)) return false;
            if (!read_number(length_rule, give.count)) return false;
            if ((give.first | give.count) % abi::page_size != 0) {
                return fail(ManifestFault::bad_value, place,
                            "address and length must be multiples of a page, {} bytes",
                            abi::page_size);
            }
            if (give.count <= ~uint64_t{0} - give.first) return true;
            return fail(ManifestFault::bad_value, place, "registers beyond the last address");
        case SourceKind::provided: return read_source_path(give);
        default: return true;
    }
}

// What is given may be something that the provided object opens, or be handed out anew when its
// provider was restarted. Not both: init opens paths at starts only, where it may wait.
bool Parser::read_source_path(Give& give) {
    if (at_word("renewable") || at_word("whenever")) {
        give.renewable = true;
        give.whenever = at_word("whenever");
        advance();
        return true;
    }
    if (token_.kind != TokenKind::string) return true;
    if (token_.text.empty() || !is_path(token_.text)) {
        return fail(ManifestFault::bad_value, token_.place,
                    "\"{}\" is no path: names with one / between two of them, none . or ..",
                    token_.text);
    }
    give.path = token_.text;
    advance();
    return true;
}

bool Parser::read_rights(Give& give) {
    if (!at_word("rights")) return true;
    advance();
    abi::Rights rights = 0;
    do {
        if (!read_right(give, rights)) return false;
    } while (token_.kind == TokenKind::word);
    give.rights = rights;
    return true;
}

bool Parser::read_right(Give& give, abi::Rights& rights) {
    abi::Rights bit = 0;
    for (unsigned verb = 0; verb < abi::verb_count; verb++) {
        if (at_word(verb_rights[verb])) bit = abi::right_of(abi::Verb{static_cast<uint8_t>(verb)});
    }
    for (const TypeRight& right : type_rights) {
        if (!at_word(right.name)) continue;
        bit = right.bit;
        const ObjectType known = type_of_source(give.kind);
        const bool fits = (known == ObjectType::any || known == right.type) &&
                          (give.rights_type == ObjectType::any || give.rights_type == right.type);
        if (!fits) {
            return fail(ManifestFault::wrong_type, token_.place,
                        "\"{}\" is not a right of this type of object", right.name);
        }
        give.rights_type = right.type;
    }
    if (bit == 0) return unexpected("a right such as read or write");
    if ((rights & bit) != 0) {
        return fail(ManifestFault::duplicate, token_.place, "the right \"{}\" is named twice",
                    token_.text);
    }
    rights |= bit;
    advance();
    return true;
}

}  // namespace annulus::init
