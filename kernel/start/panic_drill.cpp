// SPDX-License-Identifier: MIT
// Panics on purpose, each in its own function, whose name the report must show.
#include "kernel/start/panic_drill.h"

#include "arch/address.h"
#include "arch/clock.h"
#include "arch/console.h"
#include "arch/cpu.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/start/command_line.h"

#include <atomic>

namespace annulus::kernel {

namespace {

enum class Drill : uint8_t {
    none,
    assert,
    fault,
    stack,
    locked,
    noise,
    together,
    twice,
    interrupt
};

struct NamedDrill {
    std::string_view name;
    Drill drill;
};
constexpr NamedDrill drills[] = {
    {"assert", Drill::assert}, {"fault", Drill::fault},         {"stack", Drill::stack},
    {"locked", Drill::locked}, {"noise", Drill::noise},         {"together", Drill::together},
    {"twice", Drill::twice},   {"interrupt", Drill::interrupt},
};

// Written before the other CPUs start.
constinit Drill chosen = Drill::none;
// How many CPUs there are; 0 until the boot CPU says so.
constinit std::atomic<unsigned> cpus_in_drill = 0;
// CPUs that have come to their part.
constinit std::atomic<unsigned> arrived = 0;

constexpr uint64_t look_every_ns = 20'000'000;
constinit Timer drill_timer;
constinit Cpu* drill_timer_cpu = nullptr;

void arrive() {
    // Release: pairs with the acquire in await_arrivals(): what was done before is seen.
    arrived.fetch_add(1, std::memory_order_release);
}

void await_arrivals(unsigned count) {
    while (arrived.load(std::memory_order_acquire) < count) arch::pause();
}

[[noreturn]] void wait_to_be_stopped() {
    for (;;) arch::pause();
}

[[gnu::noinline, noreturn]] void fail_an_assertion(unsigned cpu) {
    kernel_assert(cpu >= abi::cpus_max, "the drill");
    wait_to_be_stopped();
}

[[gnu::noinline, noreturn]] void read_nothing() {
    // Safety: the first page of the stacks' part of the address space is never mapped.
    *reinterpret_cast<const volatile uint64_t*>(arch::kernel_stacks_begin);
    panic("the drill's read did not fault");
}

// Deeper than any stack.
[[gnu::noinline]] uint64_t descend(const volatile uint64_t& depth) {
    volatile uint64_t room[32];
    room[0] = depth;
    return depth == 0 ? 0 : descend(room[0]) + room[0];
}

[[gnu::noinline, noreturn]] void panic_in_chorus() { panic("the drill, on all CPUs"); }

[[gnu::noinline, noreturn]] void panic_past_the_lock() { panic("the drill, past the lock"); }

[[gnu::noinline, noreturn]] void panic_in_noise() { panic("the drill, in noise"); }

// The report follows a frame pointer that points into an unmapped page.
[[gnu::noinline, noreturn]] void panic_twice() {
    arch::TrapFrame frame{};
    frame.rip = reinterpret_cast<uint64_t>(&panic_twice);
    frame.rbp = arch::kernel_stacks_begin;
    panic_at(frame, "the drill, twice");
}

void look_for_a_driver(Timer& timer) {
    bool taken;
    {
        const arch::ConsoleLock lock;
        taken = log_stopped();
    }
    if (taken) panic("the drill, in an interrupt");
    start_timer(timer, arch::now_ns() + look_every_ns, drill_timer_cpu);
}

[[noreturn]] void panic_past_others(unsigned cpus) {
    if (chosen == Drill::locked && cpus == 1) {
        const arch::ConsoleLock lock;
        panic_past_the_lock();
    }
    await_arrivals(cpus - 1);
    if (chosen == Drill::locked) panic_past_the_lock();
    panic_in_noise();
}

// What the others do meanwhile.
[[noreturn]] void stand_in_the_way(unsigned cpu) {
    if (chosen == Drill::locked && cpu == 1) {
        const arch::ConsoleLock lock;
        arrive();
        wait_to_be_stopped();
    }
    arrive();
    if (chosen == Drill::locked) wait_to_be_stopped();
    for (;;) arch::console_write("noise\n");
}

[[noreturn]] void panic_alone(unsigned cpu) {
    if (chosen == Drill::fault) read_nothing();
    if (chosen == Drill::twice) panic_twice();
    if (chosen == Drill::assert) fail_an_assertion(cpu);
    const volatile uint64_t depth = 1;
    panic("the drill's stack has no end: {}", descend(depth));
}

void take_part(unsigned cpu, unsigned cpus) {
    switch (chosen) {
        case Drill::none: return;
        case Drill::interrupt:
            drill_timer.callback = look_for_a_driver;
            if (cpu == 0) start_timer(drill_timer, arch::now_ns(), drill_timer_cpu);
            return;
        case Drill::locked:
        case Drill::noise:
            if (cpu == 0) panic_past_others(cpus);
            stand_in_the_way(cpu);
        case Drill::together:
            arrive();
            await_arrivals(cpus);
            panic_in_chorus();
        default:
            if (cpu == cpus - 1) panic_alone(cpu);
    }
}

}  // namespace

void choose_panic(std::string_view command_line) {
    const std::string_view name = command_line_value(command_line, "panic");
    if (name.empty()) return;
    for (const NamedDrill& one : drills) {
        if (one.name == name) chosen = one.drill;
    }
    if (chosen == Drill::none) log("the command line's panic={} is not known", name);
}

void begin_panic_drill(unsigned cpus) {
    // Release: pairs with the acquire below.
    cpus_in_drill.store(cpus, std::memory_order_release);
    take_part(0, cpus);
}

void join_panic_drill(unsigned cpu) {
    if (chosen == Drill::none) return;
    unsigned cpus;
    while ((cpus = cpus_in_drill.load(std::memory_order_acquire)) == 0) arch::pause();
    take_part(cpu, cpus);
}

}  // namespace annulus::kernel
