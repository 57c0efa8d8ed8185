// SPDX-License-Identifier: MIT
// The other side of a measured round trip: a process of its own.
#pragma once

#include "bench/linux/measure.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

namespace annulus::bench {

// This process, or thread, runs on one CPU from now on.
inline void stay_on(int cpu) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    must("sched_setaffinity", sched_setaffinity(0, sizeof(only), &only));
}

// A process that runs `body` until it goes out of scope; on one CPU, if one is named.
class Peer {
public:
    static constexpr int any_cpu = -1;

    template <typename Body>
    explicit Peer(Body body, int cpu = any_cpu)
        : process_(static_cast<pid_t>(must("fork", fork()))) {
        if (process_ != 0) return;
        if (cpu != any_cpu) stay_on(cpu);
        for (;;) body();
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
    }

private:
    pid_t process_;
};

// Memory that both sides share.
template <typename T>
T& shared() {
    void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return *new (memory) T();
}

inline void futex_wait(std::atomic<uint32_t>& word, uint32_t seen) {
    syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
}
inline void futex_wake(std::atomic<uint32_t>& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

// A semaphore of one unit on a futex: 0 none, 1 one. A single waiter, so a wake is needed only when
// it sleeps, which `2` says.
class Turn {
public:
    void give() {
        if (word_.exchange(1, std::memory_order_release) == 2) futex_wake(word_);
    }
    void take() {
        for (;;) {
            uint32_t seen = 1;
            if (word_.compare_exchange_strong(seen, 0, std::memory_order_acquire)) return;
            if (seen == 0) word_.compare_exchange_strong(seen, 2, std::memory_order_relaxed);
            futex_wait(word_, 2);
        }
    }
    // The same without ever sleeping.
    void take_awake() {
        while (word_.load(std::memory_order_relaxed) != 1) {
        }
        word_.exchange(0, std::memory_order_acquire);
    }

private:
    std::atomic<uint32_t> word_{0};
};

}  // namespace annulus::bench
