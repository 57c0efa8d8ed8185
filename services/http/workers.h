// SPDX-License-Identifier: MIT
// Threads that each accept a connection and serve it until it ends.
//
// There are as many connections at once as workers; more wait in the network's backlog. A client
// that keeps an idle connection has less time for its next request when most workers are taken.
#pragma once

#include <atomic>

#include "runtime/network.h"
#include "services/http/folder_site.h"

namespace annulus::http {

inline constexpr unsigned workers_max = 96;

class Workers {
public:
    // `count` workers, 1..workers_max. `pause` is a semaphore that nobody signals.
    Workers(Listener listener, Directory files, SemaphoreReference pause, Mutex mutex,
            unsigned count)
        : listener_(listener),
          files_(files),
          pause_(pause),
          recent_(std::move(mutex)),
          count_(count) {}

    // One worker's life. Ends with the error that makes serving impossible: the network or the
    // files are gone.
    Result<void> work();

    [[nodiscard]] unsigned count() const { return count_; }

    // Order: relaxed, for reports and a rule of thumb only.
    [[nodiscard]] bool mostly_taken() const {
        return taken_.load(std::memory_order_relaxed) * 4 > count_ * 3;
    }
    [[nodiscard]] uint64_t served() const { return served_.load(std::memory_order_relaxed); }

private:
    Result<void> serve(Connection connection);

    Listener listener_;
    Directory files_;
    SemaphoreReference pause_;
    RecentFiles recent_;
    unsigned count_;
    std::atomic<unsigned> taken_ = 0;
    std::atomic<uint64_t> served_ = 0;
};

}  // namespace annulus::http
