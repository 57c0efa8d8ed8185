// SPDX-License-Identifier: MIT
// Interrupts: vectors, masking, delivery.
#include "kernel/object/interrupt.h"

#include "kernel/object/hardware.h"

namespace annulus::kernel {

namespace {

constexpr unsigned vector_count = arch::vector_device_last - arch::vector_device_first + 1;

// Orders masking at the end of an object against unmasking by acknowledge.
constinit SpinLock line_lock{LockRank::device};
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

}  // namespace

struct InterruptEnd {
    // The device is left alone from here on: nobody is told, and the line stays masked.
    static void silence(Interrupt& interrupt) {
        SpinGuard guard(line_lock);
        interrupt.ended_ = true;
        if (interrupt.vector_ != 0) arch::mask_interrupt(interrupt.line_.gsi);
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
        give_back_interrupt(interrupt.line_.gsi);
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
    auto made = budget.create<Interrupt>(line);
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

Result<void> Interrupt::bind(Budget& payer, Semaphore& semaphore) {
    TRY(watches_.add(payer, semaphore, true, false));
    unmask_if_bound();
    return {};
}

void Interrupt::acknowledge() { unmask_if_bound(); }

void Interrupt::unmask_if_bound() {
    SpinGuard guard(line_lock);
    if (!ended_ && !watches_.empty()) arch::unmask_interrupt(line_.gsi);
}

void Interrupt::arrive() {
    {
        SpinGuard guard(line_lock);
        arch::mask_interrupt(line_.gsi);
    }
    watches_.fire();
}

void device_interrupt(unsigned vector) {
    if (vector < arch::vector_device_first || vector > arch::vector_device_last) return;
    // Acquire: pairs with the release in take_vector().
    Interrupt* interrupt =
        vectors[vector - arch::vector_device_first].load(std::memory_order_acquire);
    if (interrupt != nullptr) interrupt->arrive();
}

}  // namespace annulus::kernel
