// SPDX-License-Identifier: MIT
// The end of a process: the stages that process.h draws, and what ObjectKind calls.
#pragma once

#include "kernel/object/process.h"

namespace annulus::kernel {

struct ProcessEnd {
    // One step of the process's stage; at most abi::chunk_items threads, handles or pages.
    static Work::Step step(Work& work);
    static void grace_ended(GraceItem& item);

    static bool detach(Object& object);
    static bool unwatch(Object& object);
    static void die(Object& object);
    static void destruct(Object& object);

private:
    static Work::Step kill_threads(Process& process);
    static void wait_grace(Process& process, bool flush);
    static Work::Step finish(Process& process);
};

}  // namespace annulus::kernel
