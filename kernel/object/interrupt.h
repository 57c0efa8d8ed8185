// SPDX-License-Identifier: MIT
// Interrupt: a device's line, delivered by signalling a semaphore.
//
// At each interrupt the kernel masks the line, acknowledges it at the controller and signals the
// bound semaphore; the driver serves the device and unmasks the line by `acknowledge`. A line that
// is not acknowledged stays silent. An edge that comes while the line is masked is lost: the driver
// looks at its device once more after it has acknowledged.
// The line is masked until a semaphore is bound and from the end of the object on.
// Locking: one lock of rank `device` for all lines' states; `vectors` is read without, protected by
// grace periods.
#pragma once

#include "arch/interrupts.h"
#include "kernel/object/budget.h"

namespace annulus::kernel {

class Interrupt final : public Object {
public:
    // Takes over the claim of the line, also when it fails. limit: no vector is free; not_found: no
    // controller has the line; no_budget.
    static Result<Ref<Interrupt>> create(Budget& budget, const arch::InterruptLine& line);

    // Binds the semaphore and unmasks the line. busy: one is bound. Others: see WatchList::add.
    Result<void> bind(Budget& payer, Semaphore& semaphore);
    void acknowledge();

    Interrupt(Budget* payer, uint32_t size, const arch::InterruptLine& line)
        : Object(kind_table, payer, size), line_(line) {}

    static const ObjectKind kind_table;

private:
    friend struct InterruptEnd;
    friend void device_interrupt(unsigned vector);

    void arrive();
    void unmask_if_bound();

    arch::InterruptLine line_;
    unsigned vector_ = 0;  // 0: none yet, or given back
    bool ended_ = false;   // stays masked; under the lock
    WatchList watches_;
};

// A device's vector arrived on this CPU. The caller acknowledges it at the CPU's controller
// afterwards. No locks are held.
void device_interrupt(unsigned vector);

}  // namespace annulus::kernel
