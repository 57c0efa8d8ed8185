// SPDX-License-Identifier: MIT
// The manifest: its text becomes a checked description of the system. docs/guide/manifest.md is the
// language's reference.
//
// Policy-free: no system call, no heap. Names and arguments in the result refer into the text,
// which must outlive it. A Manifest is some 66 KiB: keep it in static storage.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <span>
#include <string_view>

#include "abi/handle.h"
#include "abi/records.h"
#include "abi/verb.h"

namespace annulus::init {

// Limits of one manifest. All are far above what a whole system needs (some twenty programs with
// six objects each) and keep the description below 70 KiB.
inline constexpr size_t manifest_text_max = 64 * 1024;
inline constexpr size_t manifest_programs_max = 64;
inline constexpr size_t manifest_gives_max = 512;      // of all programs together
inline constexpr size_t manifest_arguments_max = 256;  // of all programs together
inline constexpr size_t manifest_provides_max = 128;   // of all programs together
inline constexpr size_t manifest_child_budgets_max = 32;
inline constexpr size_t manifest_name_max = 31;        // bytes of a name
inline constexpr size_t manifest_argument_max = 255;   // bytes of an argument
inline constexpr uint32_t manifest_restarts_max = 32;  // restarts in one window

// Where something stands in the text: both count from 1, columns in bytes. 0 is nowhere.
struct Place {
    uint32_t line = 0;
    uint32_t column = 0;
};

enum class ManifestFault : uint8_t {
    none,
    unexpected,    // another word, number or sign should stand here
    bad_value,     // a number, path or name outside what is allowed
    too_many,      // a limit of this file
    duplicate,     // given twice
    missing,       // a statement that every program needs
    unknown_name,  // no program provides it
    wrong_type,    // a right of another type of object
    over_budget,   // more handed out than there is
    cycle,         // programs that wait for one another
    overlap,       // hardware handed out twice
};

// What is wrong, in words, and where. The longest message names a cycle of programs; longer ones
// are cut off.
class ManifestError {
public:
    static constexpr size_t message_max = 400;

    ManifestFault fault = ManifestFault::none;
    Place place;

    // Such as: expected a number of pages, found "many"
    [[nodiscard]] std::string_view message() const { return {text_.data(), length_}; }
    void set_message(std::string_view message);

private:
    std::array<char, message_max> text_{};
    size_t length_ = 0;
};

// A budget as written. Resources that were not stated are 0 in `limits`.
struct ManifestBudget {
    abi::BudgetLimits limits{};
    uint16_t stated = 0;  // bit i: abi::Resource i; then weight_bit and priority_bit
    Place place;

    static constexpr unsigned weight_bit = abi::resource_count;
    static constexpr unsigned priority_bit = abi::resource_count + 1;
    [[nodiscard]] bool states(unsigned bit) const { return (stated >> bit & 1) != 0; }
};

enum class SourceKind : uint8_t {
    own_budget,    // the program's own budget
    child_budget,  // a new budget below it: `child_budgets[index]`
    root_budget,   // init's own
    archive,       // the boot archive's memory
    firmware,      // the firmware tables' memory
    hardware,      // the factory itself
    ports,         // `first` port, `count` of them
    interrupt,     // line `first`
    registers,     // address `first`, `count` bytes
    power,
    log,             // takes lines for the system's log
    system,          // the programs, and the machine's end: abi/system.h
    kernel_console,  // the kernel's own console
    provided,        // what another program publishes: `provides[index]`
};

// One object that a program is handed.
struct Give {
    std::string_view name;  // under which the program finds it
    SourceKind kind{};
    uint16_t index = 0;
    uint64_t first = 0;
    uint64_t count = 0;
    std::string_view source_name;  // as written, for reports
    std::string_view path;         // of a provided object: what is opened there; empty: itself
    abi::Rights rights = abi::all_rights;
    bool renewable = false;  // of a provided object: handed out is a source of it (abi/source.h)
    bool whenever = false;   // and the program starts without it
    // The type that the object must have because a right of that type was named; any if none was.
    abi::ObjectType rights_type = abi::ObjectType::any;
    Place place;         // of the statement: the line that grants the object
    Place source_place;  // of its source

    // Whether the program starts only when another has published it.
    [[nodiscard]] bool is_awaited() const { return kind == SourceKind::provided && !whenever; }
};

// A name that a program publishes.
struct Provide {
    std::string_view name;
    uint16_t program = 0;  // which publishes it
    Place place;
};

enum class ExitAction : uint8_t { nothing, restart, shut_down };

// What happens when a program ends. A restart that would be the (restarts + 1)th within `window_ns`
// is not made; then `otherwise` happens, which is never a restart.
struct ExitPolicy {
    ExitAction action = ExitAction::nothing;
    uint32_t restarts = 0;
    uint64_t window_ns = 0;
    ExitAction otherwise = ExitAction::nothing;
    Place place;
};

// A part of one of the manifest's arrays.
struct Range {
    uint16_t first = 0;
    uint16_t count = 0;
};

struct Program {
    std::string_view name;
    std::string_view file;  // a plain path in the boot archive
    ManifestBudget budget;
    Range gives;
    Range arguments;
    Range provides;
    ExitPolicy on_exit;   // it ended by itself
    ExitPolicy on_fault;  // it was ended by a fault; the same as on_exit unless stated
    Place place;
};

struct Manifest {
    size_t program_count = 0;
    size_t give_count = 0;
    size_t argument_count = 0;
    size_t provide_count = 0;
    size_t child_budget_count = 0;
    std::array<Program, manifest_programs_max> programs{};
    std::array<Give, manifest_gives_max> gives{};
    std::array<std::string_view, manifest_arguments_max> arguments{};
    std::array<Provide, manifest_provides_max> provides{};
    std::array<ManifestBudget, manifest_child_budgets_max> child_budgets{};
    ManifestBudget total;  // what all programs together may spend; nothing stated: not checked

    // Forgets everything. Entries beyond the counts keep their bytes: a whole empty Manifest to
    // assign from would not fit on a small stack.
    void clear() {
        program_count = give_count = argument_count = provide_count = child_budget_count = 0;
        total = {};
    }

    [[nodiscard]] std::span<const Program> all_programs() const {
        return std::span(programs).first(program_count);
    }
    [[nodiscard]] std::span<const Give> gives_of(const Program& program) const {
        return std::span(gives).subspan(program.gives.first, program.gives.count);
    }
    [[nodiscard]] std::span<const std::string_view> arguments_of(const Program& program) const {
        return std::span(arguments).subspan(program.arguments.first, program.arguments.count);
    }
    [[nodiscard]] std::span<const Provide> provides_of(const Program& program) const {
        return std::span(provides).subspan(program.provides.first, program.provides.count);
    }
    // The program that provides what `give` hands out; only for SourceKind::provided.
    [[nodiscard]] uint16_t provider_of(const Give& give) const {
        return provides[give.index].program;
    }
};

// Reads and checks `text`. False leaves `manifest` unusable and says why in `error`.
[[nodiscard]] bool parse_manifest(std::string_view text, Manifest& manifest, ManifestError& error);

// False, with an error, if the programs' budgets need more than `available` together. For init,
// which knows what the root budget holds; the manifest's own total was checked by parse_manifest.
[[nodiscard]] bool fits_budget(const Manifest& manifest, const abi::BudgetLimits& available,
                               ManifestError& error);

// "file:7:14: message" in `buffer`.
std::string_view format_error(std::span<char> buffer, std::string_view file,
                              const ManifestError& error);

// The line of `text` at `place`, a line feed, and a caret below the column. Control bytes become
// '?'; a line longer than the buffer allows is cut off. Empty if the text has no such line.
std::string_view format_caret(std::span<char> buffer, std::string_view text, Place place);

}  // namespace annulus::init
