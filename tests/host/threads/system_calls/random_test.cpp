// SPDX-License-Identifier: MIT
// Random system calls of several threads at once, each a host thread that plays a CPU, beside the
// reaper, timers, and one that kills threads: the thread sanitizer looks on, and in the end all is
// given back.
#include "tests/support/kernel_hooks.h"
#include "tests/support/random_calls.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>

#include <random>
#include <thread>

namespace annulus::test {
namespace {

constexpr unsigned rounds = 600;
constexpr unsigned callers = 4;
constexpr size_t handles = 24;
constexpr size_t choices_of_one = 4000;

std::vector<uint8_t> random_bytes(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint8_t> bytes(choices_of_one);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    return bytes;
}

// One host thread's: a thread that calls, and after its end another.
class Seat {
public:
    Seat(KernelMachine& machine, HandlePool& pool, std::span<std::byte> memory, uint64_t seed)
        : machine_(machine),
          pool_(pool),
          memory_(memory),
          bytes_(random_bytes(seed)),
          choices_(bytes_.data(), bytes_.size()) {
        take(std::make_unique<MachineThread>(machine));
    }

    RandomCaller& caller() { return *caller_; }

    // Until all choices are made or the process has ended; then nobody is left.
    void run() {
        while (!choices_.done()) {
            if (caller_->thread().dead() && !replace()) return;
            step();
        }
        while (!caller_->thread().dead()) {
            {
                const InKernel here;
                kernel::kill_thread(caller_->thread().record(), abi::EndReason::killed, 0);
            }
            // It may run, and sees then that it is to die.
            if (!caller_->blocked()) caller_->call();
            sched_yield();
        }
        successes_ += caller_->successes();
    }

    // From another host thread.
    void disturb(unsigned round) {
        const std::lock_guard guard(mutex_);
        const InKernel here;
        MachineThread& thread = caller_->thread();
        if (round % 512 == 511) {
            kernel::kill_thread(thread.record(), abi::EndReason::killed, 0);
        } else if (!thread.time_out() && round % 8 == 0) {
            static_cast<void>(thread.cancel());
        }
    }

    uint64_t successes() const { return successes_; }

private:
    void take(std::unique_ptr<MachineThread> thread) {
        caller_ =
            std::make_unique<RandomCaller>(machine_, pool_, choices_, memory_, std::move(thread));
    }

    bool replace() {
        successes_ += caller_->successes();
        auto next = machine_.newborn();
        if (!next) next = machine_.make_thread();
        if (!next) return false;
        const std::lock_guard guard(mutex_);
        // Kept: somebody may still be about to look at it.
        buried_.push_back(std::move(caller_));
        take(std::make_unique<MachineThread>(std::move(next)));
        return true;
    }

    void step() {
        if (caller_->blocked()) {
            if (caller_->thread().woken()) {
                caller_->go_on();
            } else {
                sched_yield();
            }
            return;
        }
        switch (choices_.below(16)) {
            case 0: caller_->write_entry(); break;
            case 1: caller_->touch_page(); break;
            default: caller_->call(); break;
        }
    }

    KernelMachine& machine_;
    HandlePool& pool_;
    std::span<std::byte> memory_;
    std::vector<uint8_t> bytes_;
    Choices choices_;
    std::mutex mutex_;  // guards which caller it is, against disturb()
    std::unique_ptr<RandomCaller> caller_;
    std::vector<std::unique_ptr<RandomCaller>> buried_;
    uint64_t successes_ = 0;
};

uint64_t run_round(uint64_t seed) {
    KernelMachine machine;
    HandlePool pool(handles);
    std::vector<std::byte> memory(callers * RandomCaller::memory_size);
    machine.user_memory = memory;
    std::vector<std::unique_ptr<Seat>> seats;
    for (unsigned i = 0; i < callers; ++i) {
        seats.push_back(std::make_unique<Seat>(
            machine, pool,
            std::span(memory).subspan(i * RandomCaller::memory_size, RandomCaller::memory_size),
            seed * callers + i));
    }
    seats[0]->caller().equip();
    {
        const ReaperThread reaper(machine, 1);
        std::atomic<bool> stop{false};
        std::thread disturber([&] {
            play_cpu(2);
            for (unsigned i = 0; !stop; ++i) {
                machine.now += 64;
                if (i % 16 == 0) machine.fire_timers();
                seats[i % callers]->disturb(i / callers);
                sched_yield();
            }
        });
        std::vector<std::thread> hosts;
        for (unsigned i = 0; i < callers; ++i) {
            hosts.emplace_back([&, i] {
                play_cpu(3 + i);
                seats[i]->run();
            });
        }
        for (std::thread& host : hosts) host.join();
        stop = true;
        disturber.join();
    }
    uint64_t successes = 0;
    for (auto& seat : seats) successes += seat->successes();
    seats.clear();
    machine.kill_newborn();
    machine.user_memory = {};
    return successes;
}

}  // namespace

// Programs change what they share at any moment, and the kernel copies it then.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
    return "race:annulus::kernel::MemoryObject::copy_in_page\n"
           "race:annulus::kernel::MemoryObject::copy_out\n"
           "race:copy_of\n"
           "race:annulus::arch::copy_from_user\n"
           "race:annulus::arch::copy_to_user\n"
           "race:annulus::kernel::Ring::copy_in\n"
           "race:annulus::kernel::Ring::copy_out\n";
}

TEST(SystemCallsOfMany, BreakNothingAndLoseNothing) {
    play_cpu(0);
    uint64_t successes = 0;
    // For longer runs, in a loop: RANDOM_CALLS_FROM=<first seed>.
    const char* from = getenv("RANDOM_CALLS_FROM");
    const uint64_t first = from == nullptr ? 1 : strtoull(from, nullptr, 10);
    for (uint64_t i = 0; i < rounds; ++i) successes += run_round(first + i);
    EXPECT_GT(successes, rounds * 10);
}

}  // namespace annulus::test
