// SPDX-License-Identifier: MIT
// The kernel's hooks for host tests: assertions abort, each thread plays one CPU.
#include "tests/support/kernel_hooks.h"

#include "base/result.h"
#include "kernel/assert.h"
#include "kernel/cpu_index.h"
#include "kernel/lock/lock_rank.h"
#include "kernel/lock/spin_lock.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

extern "C" [[gnu::weak]] void __sanitizer_print_stack_trace();

namespace {
thread_local uint32_t played_cpu = 0;
thread_local annulus::kernel::HeldRanks played_ranks;
}  // namespace

namespace annulus::test {

void play_cpu(uint32_t index) { played_cpu = index; }

}  // namespace annulus::test

namespace annulus {

void result_misused() {
    fprintf(stderr, "a Result was used as what it is not\n");
    abort();
}

}  // namespace annulus

namespace annulus::arch {

uint32_t cpu_index() { return played_cpu; }

}  // namespace annulus::arch

namespace annulus::kernel {

void assertion_failed(const char* condition, const char* why, const char* file, unsigned line) {
    fprintf(stderr, "%s:%u: %s (%s)\n", file, line, why, condition);
    // Sanitized builds have it.
    if (__sanitizer_print_stack_trace != nullptr) __sanitizer_print_stack_trace();
    abort();
}

HeldRanks& held_ranks() { return played_ranks; }

void spin_wait() { sched_yield(); }

}  // namespace annulus::kernel
