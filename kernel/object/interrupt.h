// SPDX-License-Identifier: MIT
// Interrupt: a device's interrupt, delivered by signalling a semaphore.
//
// Either a line of an interrupt controller, or a message: a write to memory that the device makes
// by itself (MSI-X). The protocol is the same. An interrupt signals the bound semaphore, and no
// further one does until the driver has served the device and said `acknowledge`.
//   line      The kernel masks it meanwhile. An edge that comes then is lost, so the driver looks
//   at
//             its device once more after it has acknowledged.
//   message   Nothing masks it here: the mask is in the device. One that comes meanwhile is
//             remembered, and acknowledge signals for it. A device that goes on sending takes the
//             CPU for a bounded share of its time: see note_unwanted().
// Nothing is signalled before a semaphore is bound and after the end of the object.
// Locking: one lock of rank `device` for all states; `vectors` is read without, protected by grace
// periods.
#pragma once

#include "arch/interrupts.h"
#include "kernel/object/budget.h"

namespace annulus::kernel {

class Interrupt final : public Object {
public:
    // Takes over the claim of the line, also when it fails. limit: no vector is free; not_found: no
    // controller has the line; no_budget.
    static Result<Ref<Interrupt>> create(Budget& budget, const arch::InterruptLine& line);
    // On a CPU that runs. limit: no vector is free; not_supported: messages cannot name the CPU;
    // no_budget.
    static Result<Ref<Interrupt>> create_message(Budget& budget, unsigned cpu);

    // Binds the semaphore and lets interrupts through; a message that came before signals at once.
    // busy: one is bound. Others: see WatchList::add.
    Result<void> bind(Budget& payer, Semaphore& semaphore);
    void acknowledge();

    // What the device is to write; of a message only.
    arch::InterruptMessage message() const { return message_; }

    enum class Source : uint8_t { line, message };
    Interrupt(Budget* payer, uint32_t size, Source source, const arch::InterruptLine& line)
        : Object(kind_table, payer, size), source_(source), line_(line) {}

    static const ObjectKind kind_table;

private:
    friend struct InterruptEnd;
    friend void device_interrupt(unsigned vector);

    void arrive();
    void let_through();

    Source source_;
    arch::InterruptLine line_;
    arch::InterruptMessage message_{};
    unsigned vector_ = 0;  // 0: none yet, or given back
    // Under the lock:
    bool ended_ = false;   // signals no more
    bool armed_ = false;   // message: the next one signals
    bool missed_ = false;  // message: one came while not armed
    WatchList watches_;
};

// A device's vector arrived on this CPU. The caller acknowledges it at the CPU's controller
// afterwards. No locks are held.
void device_interrupt(unsigned vector);

}  // namespace annulus::kernel
