// SPDX-License-Identifier: MIT
// The only program of the Linux machine: measures, tells the serial console, and powers off.
#include "bench/linux/measure.h"
#include "bench/linux/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

namespace annulus::bench {

[[noreturn]] static void power_off() {
    sync();
    reboot(RB_POWER_OFF);
    for (;;) pause();
}

void report(const char* row, const char* way, uint64_t instructions) {
    printf("LINUX ROW %s | %s | %llu\n", row, way, static_cast<unsigned long long>(instructions));
    fflush(stdout);
}

void report_point(const char* curve, const char* way, uint64_t x, uint64_t instructions) {
    printf("LINUX POINT %s | %s | %llu | %llu\n", curve, way, static_cast<unsigned long long>(x),
           static_cast<unsigned long long>(instructions));
    fflush(stdout);
}

void report_time(const char* curve, const char* way, uint64_t x, Spread found) {
    printf("LINUX TIME %s | %s | %llu | %llu | %llu | %llu\n", curve, way,
           static_cast<unsigned long long>(x), static_cast<unsigned long long>(found.least),
           static_cast<unsigned long long>(found.median),
           static_cast<unsigned long long>(found.most));
    fflush(stdout);
}

void fail(const char* what) {
    printf("LINUX FAIL %s: %s\n", what, strerror(errno));
    fflush(stdout);
    power_off();
}

long must(const char* what, long result) {
    if (result < 0) fail(what);
    return result;
}

}  // namespace annulus::bench

using namespace annulus::bench;

int main() {
    mkdir("/dev", 0755);
    must("mount /dev", mount("dev", "/dev", "devtmpfs", 0, nullptr));
    mkdir("/tmp", 0777);
    must("mount /tmp", mount("tmp", "/tmp", "tmpfs", 0, nullptr));
    const int console = static_cast<int>(must("the console", open("/dev/console", O_RDWR)));
    for (int i = 0; i < 3; ++i) must("dup2", dup2(console, i));
    const rlimit files = {20'000, 20'000};
    must("setrlimit", setrlimit(RLIMIT_NOFILE, &files));
    // The kernel hands words of its command line that it does not know to its first program.
    const char* word = getenv("bench");
    const std::string_view wanted = word == nullptr ? "" : word;
    if (wanted == "pairs") {
        measure_pairs();
    } else {
        // First in, first out: the fastest that Linux offers for a hand-over.
        const sched_param first = {.sched_priority = 50};
        must("sched_setscheduler", sched_setscheduler(0, SCHED_FIFO, &first));
        measure_rows();
        measure_resources();
        if (wanted != "rows") measure_curves();
    }
    printf("LINUX END\n");
    fflush(stdout);
    power_off();
}
