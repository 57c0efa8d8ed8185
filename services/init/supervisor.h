// SPDX-License-Identifier: MIT
// Runs the system that the manifest describes: starts programs when what they need is there, looks
// after them, and does what the manifest says when one ends.
//
// One thread does all of it. Everything that happens (an end, a fault, a publication) rings one
// doorbell; then every program is looked at, which costs a few calls for each of at most
// manifest_programs_max. So no event can be missed or mistaken for one of an earlier run.
#pragma once

#include "services/init/launcher.h"
#include "services/init/supervisor_policy.h"

namespace annulus::init {

class Supervisor {
public:
    // `destroyed` is a counting semaphore at 0 that nobody else uses.
    Supervisor(Launcher& launcher, Shared& shared, PowerReference power, Semaphore destroyed)
        : launcher_(launcher),
          shared_(shared),
          power_(power),
          destroyed_(std::move(destroyed)),
          order_(start_order(shared.manifest)) {}

    // Until the system is shut down.
    [[noreturn]] void run();

private:
    enum class Phase : uint8_t {
        waiting,  // for what others publish, or for its turn
        running,
        over,
    };

    struct Entry {
        Phase phase = Phase::waiting;
        bool told_overdue = false;  // that it still waits
        uint32_t run = 0;
        uint64_t waits_since = 0;  // nanoseconds
        Running running;
        RestartHistory history;
    };

    bool start_those_ready();
    bool look_at_running();
    void start(uint16_t index);
    bool look_at(uint16_t index);
    void report_overdue();
    void report_idle();
    void end(uint16_t index, abi::EndReason reason, uint64_t exit_code = 0);
    void withdraw_exports(uint16_t index);
    void choose_log_target();
    void destroy(Running& running);
    [[noreturn]] void shut_down(uint64_t kind);

    [[nodiscard]] const Program& program(uint16_t index) const {
        return shared_.manifest.programs[index];
    }
    [[nodiscard]] Deadline next_look() const;

    Launcher& launcher_;
    Shared& shared_;
    PowerReference power_;
    Semaphore destroyed_;
    ProgramOrder order_;
    std::array<Entry, manifest_programs_max> entries_;
    bool log_has_target_ = false;
    bool told_idle_ = false;
};

}  // namespace annulus::init
