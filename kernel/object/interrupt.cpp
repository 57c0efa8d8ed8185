// SPDX-License-Identifier: MIT
// Interrupts: vectors, masking, delivery.
#include "kernel/object/interrupt.h"

#include "arch/clock.h"
#include "kernel/object/hardware.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

namespace {

constexpr unsigned vector_count = arch::vector_device_last - arch::vector_device_first + 1;

// Messages that signal nobody, within one window of time, that a CPU takes before it holds all
// device interrupts back for as long. A message costs some 2 us, so a storm takes 4 % of a CPU.
// Other devices on that CPU wait a window at most. Drivers that acknowledge late see a few of them.
constexpr uint32_t unwanted_max = 16;
constexpr uint64_t storm_window_ns = 1'000'000;

// Orders what the end of an object does against acknowledge.
constinit SpinLock state_lock{LockRank::device};
// Who gets a vector; null: nobody.
constinit std::atomic<Interrupt*> vectors[vector_count] = {};

// A vector for the interrupt, or 0.
unsigned take_vector(Interrupt& interrupt) {
    for (unsigned i = 0; i < vector_count; ++i) {
        Interrupt* nobody = nullptr;
        // Release: pairs with the acquire in device_interrupt().
        if (vectors[i].compare_exchange_strong(nobody, &interrupt, std::memory_order_release,
                                               std::memory_order_relaxed)) {
            return arch::vector_device_first + i;
        }
    }
    return 0;
}

// One CPU's count of such messages. Only that CPU touches it, with interrupts off.
struct StormGuard {
    Timer timer;  // armed: device interrupts are held back
    Cpu* where = nullptr;
    uint64_t window_end = 0;
    uint32_t unwanted = 0;
};
constinit StormGuard storm_guards[abi::cpus_max];

void end_hold(Timer&) { arch::hold_device_interrupts(false); }

// A message came that signals nobody: its driver has not acknowledged the last one, or there is no
// driver any more.
void note_unwanted() {
    StormGuard& guard = storm_guards[cpu_index()];
    const uint64_t now = arch::now_ns();
    if (now >= guard.window_end) {
        guard.window_end = now + storm_window_ns;
        guard.unwanted = 0;
    }
    if (++guard.unwanted < unwanted_max || guard.timer.armed()) return;
    arch::hold_device_interrupts(true);
    guard.timer.callback = end_hold;
    start_timer(guard.timer, now + storm_window_ns, guard.where);
}

}  // namespace

struct InterruptEnd {
    // The device is left alone from here on: nobody is told, and the line stays masked.
    static void silence(Interrupt& interrupt) {
        SpinGuard guard(state_lock);
        interrupt.ended_ = true;
        interrupt.armed_ = false;
        if (interrupt.source_ == Interrupt::Source::line && interrupt.vector_ != 0) {
            arch::mask_interrupt(interrupt.line_.gsi);
        }
    }

    static bool detach(Object& object) {
        auto& interrupt = static_cast<Interrupt&>(object);
        silence(interrupt);
        interrupt.watches_.clear();
        if (interrupt.vector_ != 0) {
            // Release: an interrupt that is pending finds nobody, or finds the object, which lasts
            // until that CPU has left the kernel.
            vectors[interrupt.vector_ - arch::vector_device_first].store(nullptr,
                                                                         std::memory_order_release);
        }
        if (interrupt.source_ == Interrupt::Source::line) give_back_interrupt(interrupt.line_.gsi);
        return true;
    }

    static void die(Object& object) {
        auto& interrupt = static_cast<Interrupt&>(object);
        silence(interrupt);
        interrupt.watches_.clear();
    }

    static void destruct(Object& object) { static_cast<Interrupt&>(object).~Interrupt(); }
};

const ObjectKind Interrupt::kind_table = {abi::ObjectType::interrupt, InterruptEnd::detach,
                                          InterruptEnd::die, InterruptEnd::destruct};

Result<Ref<Interrupt>> Interrupt::create(Budget& budget, const arch::InterruptLine& line) {
    auto made = budget.create<Interrupt>(Source::line, line);
    if (!made.ok()) {
        give_back_interrupt(line.gsi);
        return made;
    }
    // From here on the object gives the line back.
    Interrupt& interrupt = **made;
    const unsigned vector = take_vector(interrupt);
    if (vector == 0) return Error::limit;
    interrupt.vector_ = vector;
    // All lines go to the first CPU: it always runs.
    TRY(arch::route_interrupt(line, vector, 0));
    return made;
}

Result<Ref<Interrupt>> Interrupt::create_message(Budget& budget, unsigned cpu) {
    auto made = TRY(budget.create<Interrupt>(Source::message, arch::InterruptLine{}));
    made->vector_ = take_vector(*made);
    if (made->vector_ == 0) return Error::limit;
    made->message_ = TRY(arch::interrupt_message(cpu, made->vector_));
    return made;
}

Result<void> Interrupt::bind(Budget& payer, Semaphore& semaphore) {
    TRY(watches_.add(payer, semaphore, true));
    let_through();
    return {};
}

void Interrupt::acknowledge() { let_through(); }

void Interrupt::let_through() {
    {
        SpinGuard guard(state_lock);
        if (ended_ || watches_.empty()) return;
        if (source_ == Source::line) {
            arch::unmask_interrupt(line_.gsi);
            return;
        }
        armed_ = !missed_;
        missed_ = false;
        if (armed_) return;
    }
    watches_.fire();
}

void Interrupt::arrive() {
    bool wanted = true;
    {
        SpinGuard guard(state_lock);
        if (source_ == Source::line) {
            arch::mask_interrupt(line_.gsi);
        } else {
            wanted = armed_;
            missed_ = missed_ || !wanted;
            armed_ = false;
        }
    }
    if (wanted) {
        watches_.fire();
    } else {
        note_unwanted();
    }
}

void device_interrupt(unsigned vector) {
    if (vector < arch::vector_device_first || vector > arch::vector_device_last) return;
    // Acquire: pairs with the release in take_vector().
    Interrupt* interrupt =
        vectors[vector - arch::vector_device_first].load(std::memory_order_acquire);
    if (interrupt != nullptr) {
        interrupt->arrive();
    } else {
        note_unwanted();
    }
}

}  // namespace annulus::kernel
