// SPDX-License-Identifier: MIT
// Says on the log why a program was ended by a fault.
#pragma once

#include "services/init/log/system_log.h"

namespace annulus::init {

// `thread` is stopped by its fault. One line for what happened, one for where the program lies (an
// address minus that is one of its file), then the registers.
void report_fault(SystemLog& log, std::string_view program, ThreadReference thread,
                  uint64_t image_base);

}  // namespace annulus::init
