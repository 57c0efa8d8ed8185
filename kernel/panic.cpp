// SPDX-License-Identifier: MIT
// Hooks that other code calls when something is impossible: each ends in a panic.
#include "kernel/panic.h"

#include "base/result.h"
#include "kernel/assert.h"

// What libc++'s bounds checks call.
extern "C" [[noreturn]] void annulus_library_assertion_failed(const char* message);
// What a call of a pure virtual function runs.
extern "C" [[noreturn]] void __cxa_pure_virtual();

void annulus_library_assertion_failed(const char* message) {
    annulus::kernel::panic("library check failed: {}", message);
}

void __cxa_pure_virtual() { annulus::kernel::panic("pure virtual function called"); }

// What libc++ calls instead of throwing. In its own inline namespace, whose name is part of its
// ABI.
namespace std {
inline namespace __1 {
[[noreturn]] void __libcpp_verbose_abort(const char* format, ...);
void __libcpp_verbose_abort(const char* format, ...) {
    annulus::kernel::panic("library: {}", format);
}
}  // namespace __1
}  // namespace std

namespace annulus {

void result_misused() { kernel::panic("a Result was used as what it is not"); }

}  // namespace annulus

namespace annulus::kernel {

void assertion_failed(const char* condition, const char* why, const char* file, unsigned line) {
    panic("{}: {} ({}:{})", why, condition, file, line);
}

}  // namespace annulus::kernel
