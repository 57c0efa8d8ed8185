// SPDX-License-Identifier: MIT
// One object of every type, to try operations on, and a digest of the state of all of them.
#pragma once

#include "abi/operations.h"
#include "runtime/semaphore.h"
#include "runtime/thread.h"
#include "tests/guest/harness.h"

#include <optional>

namespace annulus::test {

class Specimens {
public:
    // The specimens of this program, made when they are first asked for, and kept to its end: what
    // is destroyed gives things back later, in the middle of the next comparison. Null: they cannot
    // be made, which is noted in `test`.
    static const Specimens* get(Context& test);

    Specimens(const Specimens&) = delete;
    Specimens& operator=(const Specimens&) = delete;

    // With all rights.
    abi::Handle of(abi::ObjectType type) const { return of_[static_cast<unsigned>(type)]; }

    // What an operation that describes the operand so takes; of those that take several types, all
    // take semaphores.
    abi::Handle fit_for(const abi::Operand& operand) const {
        const bool several = operand.type == abi::ObjectType::any;
        return of(several ? abi::ObjectType::semaphore : operand.type);
    }

    // Changes when anything that can be read changes: of these objects, of this process and of the
    // budget that pays. Only numbers that stand still while nothing happens.
    uint64_t digest() const;

    TableReference table() const { return table_; }
    TimerReference timer() const { return timer_; }

private:
    Specimens() = default;
    ~Specimens() = default;
    bool make(Context& test);
    bool make_hardware(Context& test);
    void set(abi::ObjectType type, HandleValue value) {
        of_[static_cast<unsigned>(type)] = value.value();
    }

    abi::Handle of_[abi::object_type_count] = {};
    BudgetReference payer_;
    BudgetReference own_payer_;
    ProcessReference own_process_;
    Budget budget_;
    Process process_;
    Memory memory_;
    Semaphore semaphore_;
    Table table_;
    Served served_;
    Timer timer_;
    Set set_;
    BudgetChannel channel_;
    Memory queues_;
    Ring ring_;
    Ports ports_;
    Interrupt interrupt_;
    Semaphore gate_;  // the thread specimen waits for it
    std::optional<RunningThread> thread_;
};

// Every object type that has handles.
inline constexpr abi::ObjectType specimen_types[] = {
    abi::ObjectType::budget,  abi::ObjectType::process,   abi::ObjectType::thread,
    abi::ObjectType::memory,  abi::ObjectType::semaphore, abi::ObjectType::table,
    abi::ObjectType::served,  abi::ObjectType::timer,     abi::ObjectType::hardware,
    abi::ObjectType::ports,   abi::ObjectType::interrupt, abi::ObjectType::power,
    abi::ObjectType::console, abi::ObjectType::set,       abi::ObjectType::channel,
    abi::ObjectType::ring,
};

}  // namespace annulus::test
