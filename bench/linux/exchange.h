// SPDX-License-Identifier: MIT
// Descriptors between two processes, and moving all of something through them.
#pragma once

#include "bench/linux/measure.h"

#include <unistd.h>

namespace annulus::bench {

struct Pipes {
    int to_peer[2];
    int from_peer[2];
    Pipes() {
        must("pipe", pipe(to_peer));
        must("pipe", pipe(from_peer));
    }
    ~Pipes() {
        for (const int* both : {to_peer, from_peer}) {
            close(both[0]);
            close(both[1]);
        }
    }
};

inline void read_whole(int from, char* to, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t part = read(from, to + done, size - done);
        if (part <= 0) fail("read");
        done += static_cast<size_t>(part);
    }
}
inline void write_whole(int to, const char* from, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t part = write(to, from + done, size - done);
        if (part <= 0) fail("write");
        done += static_cast<size_t>(part);
    }
}

}  // namespace annulus::bench
