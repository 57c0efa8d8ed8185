// SPDX-License-Identifier: MIT
// Ends of a program, and the functions that compiler and libraries call when something is wrong.

#include "runtime/end.h"

#include "base/result.h"
#include "generated/objects.h"
#include "runtime/log.h"
#include "runtime/program_state.h"

#include <array>

namespace annulus {

void exit_program(uint64_t code) {
    // The end of the last thread ends the program. If there may be others, they are killed; without
    // a handle to its own process, it can only leave them.
    // Order: relaxed, an unjoined thread was started by this one or by one that this one knows of.
    const bool alone = unjoined_threads.load(std::memory_order_relaxed) == 0;
    if (!alone && !program_state.process.empty()) {
        static_cast<void>(program_state.process.remove_kill(code));
    }
    system::exit(code);
}

void panic(std::string_view why) {
    log("panic: {}", why);
    __builtin_trap();
}

void result_misused() { panic("a Result was used as what it is not"); }

}  // namespace annulus

// What libc++ calls where it would throw.
void std::__libcpp_verbose_abort(const char* format, ...) { annulus::panic(format); }

extern "C" {

// What libc++'s checks call.
void annulus_library_assertion_failed(const char* message) { annulus::panic(message); }

void abort() { annulus::panic("abort"); }

// A call through an object whose constructor or destructor is running.
void __cxa_pure_virtual() { annulus::panic("a pure virtual function was called"); }

// Destructors of globals never run: a program ends by giving everything back to the kernel.
int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }

void* __dso_handle = nullptr;

}  // extern "C"
