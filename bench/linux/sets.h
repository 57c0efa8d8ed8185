// SPDX-License-Identifier: MIT
// What rows and curves have in common: waiting on many, and batches.
#pragma once

#include "bench/linux/measure.h"

#include <vector>

namespace annulus::bench {

// An epoll instance with so many eventfds, none of which blocks who reads it.
class EpollSet {
public:
    explicit EpollSet(unsigned members);
    ~EpollSet();
    EpollSet(const EpollSet&) = delete;
    EpollSet& operator=(const EpollSet&) = delete;

    int set() const { return set_; }
    const std::vector<int>& events() const { return events_; }

private:
    int set_;
    std::vector<int> events_;
};

// Instructions of a round trip in which the peer blocks on one of so many eventfds by epoll.
uint64_t epoll_round_trip(unsigned members);

// The same with futex_waitv on so many words, of which the peer wakes the last.
uint64_t waitv_round_trip(unsigned words);
// In time, with the peer on the second CPU.
Spread waitv_in_time(unsigned words);

// Instructions of one no-operation through io_uring, with so many at a time.
uint64_t uring_nop(unsigned batch);
Spread uring_nop_in_time(unsigned batch);

}  // namespace annulus::bench
