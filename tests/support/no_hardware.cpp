// SPDX-License-Identifier: MIT
// The handlers of operations on hardware, on a machine that has none: nobody has such an object, so
// that the dispatcher calls none of them.
#include "kernel/syscall/invocation.h"

#include <stdlib.h>

namespace annulus::kernel {

Status hardware_create_ports(Invocation&) { abort(); }
Status hardware_create_interrupt(Invocation&) { abort(); }
Status hardware_create_registers(Invocation&) { abort(); }
Status hardware_create_message_interrupt(Invocation&) { abort(); }
Status ports_read_value(Invocation&) { abort(); }
Status ports_read_string(Invocation&) { abort(); }
Status ports_write_value(Invocation&) { abort(); }
Status ports_write_string(Invocation&) { abort(); }
Status interrupt_watch_fire(Invocation&) { abort(); }
Status interrupt_set_acknowledge(Invocation&) { abort(); }
Status power_shutdown_now(Invocation&) { abort(); }
Status console_write_text(Invocation&) { abort(); }
Status console_shutdown_release(Invocation&) { abort(); }

}  // namespace annulus::kernel
