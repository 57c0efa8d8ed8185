// SPDX-License-Identifier: MIT
// kernel_assert: stops the kernel (or, on the host, the test) at the first broken invariant.
#pragma once

namespace annulus::kernel {

// Debug builds also make the checks that cost more than a few instructions:
//     if constexpr (debug_checks) kernel_assert(list_is_sorted(), "...");
#if ANNULUS_DEBUG
inline constexpr bool debug_checks = true;
#else
inline constexpr bool debug_checks = false;
#endif

// Hook: panics in the kernel, prints and aborts on the host. Takes no lock.
[[noreturn]] void assertion_failed(const char* condition, const char* why, const char* file,
                                   unsigned line);

}  // namespace annulus::kernel

// Checked in every build. `why` says in plain words what is broken. For bugs only: nothing that a
// program does may make the condition false.
#define kernel_assert(condition, why)                     \
    (__builtin_expect(static_cast<bool>(condition), true) \
         ? static_cast<void>(0)                           \
         : ::annulus::kernel::assertion_failed(#condition, why, __FILE__, __LINE__))
