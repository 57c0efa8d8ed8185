// SPDX-License-Identifier: MIT
// Says on the log why a program was ended by a fault.
#pragma once

#include "services/init/log/system_log.h"

namespace annulus::init {

// `thread` is stopped by its fault. One line for what happened, then the registers.
void report_fault(SystemLog& log, std::string_view program, ThreadReference thread);

}  // namespace annulus::init
