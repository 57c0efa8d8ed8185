// SPDX-License-Identifier: MIT
// The end of a range of ports.
#include "kernel/object/ports.h"

#include "kernel/object/hardware.h"

namespace annulus::kernel {

struct PortsEnd {
    static bool detach(Object& object) {
        const auto& ports = static_cast<Ports&>(object);
        give_back_ports(ports.base_, ports.count_);
        return true;
    }
    // Nothing outside refers to it: its handles are taken away, and that is all.
    static void die(Object&) {}
    static void destruct(Object& object) { static_cast<Ports&>(object).~Ports(); }
};

const ObjectKind Ports::kind_table = {abi::ObjectType::ports, PortsEnd::detach, PortsEnd::die,
                                      PortsEnd::destruct};

}  // namespace annulus::kernel
