// SPDX-License-Identifier: MIT
// The start of a program, from the first instruction in C++ to program_main and its end.

#include "abi/operations.h"
#include "runtime/image.h"
#include "runtime/program.h"
#include "runtime/program_state.h"

#include <initializer_list>

namespace annulus {

constinit ProgramState program_state;
constinit std::atomic<unsigned> unjoined_threads = 0;

namespace {

using Constructor = void (*)();

// The first of the names that was handed out.
template <typename Reference>
Reference first_of(const Environment& environment, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        const auto found = environment.handle<Owned<Reference>>(name);
        if (found.ok()) return *found;
    }
    return Reference();
}

}  // namespace

// The linker's bounds of the table of constructors.
extern "C" [[gnu::visibility("hidden")]] const Constructor __init_array_start[];
extern "C" [[gnu::visibility("hidden")]] const Constructor __init_array_end[];

// Called by start.S on the first thread's stack.
extern "C" [[noreturn]] void annulus_start(const abi::StartBlock* block, ThreadControl* control) {
    relocate_image();
    prepare_thread_storage(control);
    if (block == nullptr || block->version != abi::start_block_version) __builtin_trap();

    Environment environment(block);
    program_state.environment = environment;
    program_state.budget = first_of<BudgetReference>(environment, {names::budget});
    program_state.process = first_of<ProcessReference>(environment, {names::process});
    program_state.log =
        first_of<ObjectReference>(environment, {names::log, names::output, names::console});

    // Pointers that never change any more become read-only, unless a loader did that already.
    const ImageRange relocated = relocated_pages();
    if (relocated.size != 0 && !program_state.process.empty()) {
        static_cast<void>(
            program_state.process.map_protect(relocated.begin, relocated.size, abi::map_read));
    }

    for (const Constructor* constructor = __init_array_start; constructor != __init_array_end;
         ++constructor) {
        (*constructor)();
    }
    const Result<void> result = program_main(environment);
    if (!result.ok()) {
        log("ended with {} (detail {}, extra {})", name_of(result), result.status().detail(),
            result.status().extra());
    }
    exit_program(result.ok() ? 0 : result.status().bits);
}

}  // namespace annulus
