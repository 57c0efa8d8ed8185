// SPDX-License-Identifier: MIT
// Operations on hardware: the factory, ports, interrupts, power and the console.
#include "abi/operations.h"
#include "arch/platform.h"
#include "base/align.h"
#include "kernel/memory/memory_object.h"
#include "kernel/object/console.h"
#include "kernel/object/hardware.h"
#include "kernel/object/power.h"
#include "kernel/object/semaphore.h"
#include "kernel/syscall/invocation.h"

#include <algorithm>

namespace annulus::kernel {

namespace {

constexpr uint32_t string_max = 4096;
constexpr uint32_t bounce_size = 256;

// Device registers may be read, written and mapped, never executed.
constexpr abi::Rights register_rights = abi::all_rights & ~abi::right_execute;

template <typename T>
Status hand_over(Invocation& invocation, Result<Ref<T>> made, abi::Rights rights) {
    if (!made.ok()) return made.status();
    invocation.set_results(0);
    return invocation.give(0, std::move(*made), rights).status();
}

}  // namespace

Status hardware_create_ports(Invocation& invocation) {
    Budget& budget = *TRY(invocation.operand<Budget>(0));
    return hand_over(invocation,
                     Hardware::create_ports(budget, invocation.words[1], invocation.words[2]),
                     abi::all_rights);
}

Status hardware_create_interrupt(Invocation& invocation) {
    Budget& budget = *TRY(invocation.operand<Budget>(0));
    return hand_over(invocation, Hardware::create_interrupt(budget, invocation.words[1]),
                     abi::all_rights);
}

Status hardware_create_registers(Invocation& invocation) {
    Budget& budget = *TRY(invocation.operand<Budget>(0));
    const uint64_t begin = invocation.words[1];
    const uint64_t length = invocation.words[2];
    if (!is_aligned(begin, abi::page_size)) return invocation.bad(1);
    if (length == 0 || !is_aligned(length, abi::page_size)) return invocation.bad(2);
    const auto end = checked_add(begin, length);
    if (!end) return Error::out_of_range;
    return hand_over(invocation, Hardware::create_registers(budget, {begin, *end}),
                     register_rights);
}

Status hardware_create_message_interrupt(Invocation& invocation) {
    Budget& budget = *TRY(invocation.operand<Budget>(0));
    Ref<Interrupt> made = TRY(Hardware::create_message_interrupt(budget, invocation.words[1]));
    const arch::InterruptMessage message = made->message();
    invocation.set_results(0, message.address, message.data);
    return invocation.give(0, std::move(made), abi::all_rights).status();
}

Status ports_read_value(Invocation& invocation) {
    const auto& ports = invocation.object<Ports>();
    const uint64_t width = invocation.words[1];
    if (width != 1 && width != 2 && width != 4) return invocation.bad(1);
    const uint16_t port = TRY(ports.port(invocation.words[0], width));
    invocation.set_results(width == 1   ? arch::read_port_u8(port)
                           : width == 2 ? arch::read_port_u16(port)
                                        : arch::read_port_u32(port));
    return {};
}

Status ports_write_value(Invocation& invocation) {
    const auto& ports = invocation.object<Ports>();
    const uint64_t width = invocation.words[1];
    const uint64_t value = invocation.words[2];
    if (width != 1 && width != 2 && width != 4) return invocation.bad(1);
    const uint16_t port = TRY(ports.port(invocation.words[0], width));
    switch (width) {
        case 1: arch::write_port_u8(port, static_cast<uint8_t>(value)); break;
        case 2: arch::write_port_u16(port, static_cast<uint16_t>(value)); break;
        default: arch::write_port_u32(port, static_cast<uint32_t>(value)); break;
    }
    invocation.set_results(0);
    return {};
}

// A fault in the middle loses the bytes that were read from the port already.
Status ports_read_string(Invocation& invocation) {
    const auto& ports = invocation.object<Ports>();
    const uint16_t port = TRY(ports.port(invocation.words[0], 1));
    const uint32_t size = invocation.capacity_out();
    if (size > string_max) return Error::too_many;
    uint8_t bytes[bounce_size];
    for (uint32_t done = 0; done < size;) {
        const uint32_t part = std::min(size - done, bounce_size);
        for (uint32_t i = 0; i < part; ++i) bytes[i] = arch::read_port_u8(port);
        if (!arch::copy_to_user(invocation.buffer() + done, bytes, part)) return Error::bad_address;
        done += part;
    }
    invocation.set_results(0);
    invocation.bytes_out = size;
    return {};
}

// A fault in the middle leaves the bytes before it written.
Status ports_write_string(Invocation& invocation) {
    const auto& ports = invocation.object<Ports>();
    const uint16_t port = TRY(ports.port(invocation.words[0], 1));
    const uint32_t size = invocation.bytes_in();
    if (size > string_max) return Error::too_many;
    uint8_t bytes[bounce_size];
    for (uint32_t done = 0; done < size;) {
        const uint32_t part = std::min(size - done, bounce_size);
        if (!arch::copy_from_user(bytes, invocation.buffer() + done, part)) {
            return Error::bad_address;
        }
        for (uint32_t i = 0; i < part; ++i) arch::write_port_u8(port, bytes[i]);
        done += part;
    }
    invocation.set_results(0);
    return {};
}

Status interrupt_watch_fire(Invocation& invocation) {
    Semaphore& semaphore = *TRY(invocation.operand<Semaphore>(0));
    const auto bound = invocation.object<Interrupt>().bind(*invocation.process.budget, semaphore);
    invocation.set_results(0);
    return bound.status();
}

Status interrupt_set_acknowledge(Invocation& invocation) {
    invocation.object<Interrupt>().acknowledge();
    invocation.set_results(0);
    return {};
}

Status power_shutdown_now(Invocation& invocation) { return Power::now(invocation.words[0]); }

Status console_write_text(Invocation& invocation) {
    const uint32_t size = invocation.bytes_in();
    if (size > Console::text_max) return Error::too_many;
    char text[Console::text_max];
    if (size > 0 && !arch::copy_from_user(text, invocation.buffer(), size))
        return Error::bad_address;
    invocation.set_results(0);
    return Console::write({text, size}).status();
}

Status console_shutdown_release(Invocation& invocation) {
    const int received = Console::leave();
    invocation.set_results(received < 0 ? 0 : 256 + static_cast<uint64_t>(received));
    return {};
}

}  // namespace annulus::kernel
