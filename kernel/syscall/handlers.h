// SPDX-License-Identifier: MIT
// Which handler answers which operation of abi::operations.
#pragma once

#include "kernel/syscall/invocation.h"

#include <array>

namespace annulus::kernel {

struct HandlerEntry {
    abi::ObjectType object;
    abi::Verb verb;
    uint16_t selector;
    Handler handler;
};

// clang-format off
inline constexpr HandlerEntry handler_entries[] = {
    {abi::ObjectType::any, abi::Verb::get, 0xff00, any_get_info},
    {abi::ObjectType::any, abi::Verb::get, 0xff01, any_get_duplicate},
    {abi::ObjectType::any, abi::Verb::close, 0xff00, any_close_close},
    {abi::ObjectType::any, abi::Verb::close, 0xff01, any_close_revoke},
    {abi::ObjectType::budget, abi::Verb::create, 0, budget_create_memory},
    {abi::ObjectType::budget, abi::Verb::create, 1, budget_create_semaphore},
    {abi::ObjectType::budget, abi::Verb::create, 2, budget_create_table},
    {abi::ObjectType::budget, abi::Verb::create, 3, budget_create_process},
    {abi::ObjectType::budget, abi::Verb::create, 4, budget_create_budget},
    {abi::ObjectType::budget, abi::Verb::create, 5, budget_create_timer},
    {abi::ObjectType::budget, abi::Verb::create, 6, budget_create_channel},
    {abi::ObjectType::budget, abi::Verb::create, 7, budget_create_set},
    {abi::ObjectType::budget, abi::Verb::get, 0, budget_get_ledger},
    {abi::ObjectType::budget, abi::Verb::get, 1, budget_get_machine},
    {abi::ObjectType::budget, abi::Verb::remove, 0, budget_remove_destroy},
    {abi::ObjectType::budget, abi::Verb::watch, 0, budget_watch_exhausted},
    {abi::ObjectType::process, abi::Verb::create, 0, process_create_thread},
    {abi::ObjectType::process, abi::Verb::share, 0, process_share_install},
    {abi::ObjectType::process, abi::Verb::map, 0, process_map_map},
    {abi::ObjectType::process, abi::Verb::map, 1, process_map_unmap},
    {abi::ObjectType::process, abi::Verb::map, 2, process_map_protect},
    {abi::ObjectType::process, abi::Verb::remove, 0, process_remove_kill},
    {abi::ObjectType::process, abi::Verb::get, 0, process_get_state},
    {abi::ObjectType::process, abi::Verb::get, 1, process_get_faulted},
    {abi::ObjectType::process, abi::Verb::watch, 0, process_watch_exit},
    {abi::ObjectType::process, abi::Verb::watch, 1, process_watch_fault},
    {abi::ObjectType::thread, abi::Verb::remove, 0, thread_remove_kill},
    {abi::ObjectType::thread, abi::Verb::get, 0, thread_get_state},
    {abi::ObjectType::thread, abi::Verb::get, 1, thread_get_registers},
    {abi::ObjectType::thread, abi::Verb::set, 0, thread_set_priority},
    {abi::ObjectType::thread, abi::Verb::set, 1, thread_set_affinity},
    {abi::ObjectType::thread, abi::Verb::set, 2, thread_set_registers},
    {abi::ObjectType::thread, abi::Verb::set, 3, thread_set_resume},
    {abi::ObjectType::thread, abi::Verb::watch, 0, thread_watch_exit},
    {abi::ObjectType::memory, abi::Verb::read, 0, memory_read_bytes},
    {abi::ObjectType::memory, abi::Verb::write, 0, memory_write_bytes},
    {abi::ObjectType::memory, abi::Verb::get, 0, memory_get_size},
    {abi::ObjectType::memory, abi::Verb::get, 1, memory_get_physical},
    {abi::ObjectType::memory, abi::Verb::create, 0, memory_create_range},
    {abi::ObjectType::memory, abi::Verb::create, 1, memory_create_clone},
    {abi::ObjectType::memory, abi::Verb::set, 0, memory_set_commit},
    {abi::ObjectType::semaphore, abi::Verb::get, 0, semaphore_get_state},
    {abi::ObjectType::set, abi::Verb::create, 0, set_create_member},
    {abi::ObjectType::set, abi::Verb::remove, 0, set_remove_member},
    {abi::ObjectType::set, abi::Verb::get, 0, set_get_state},
    {abi::ObjectType::channel, abi::Verb::get, 0, channel_get_geometry},
    {abi::ObjectType::channel, abi::Verb::get, 1, channel_get_state},
    {abi::ObjectType::channel, abi::Verb::get, 2, channel_get_memory},
    {abi::ObjectType::channel, abi::Verb::shutdown, 0, channel_shutdown_fault},
    {abi::ObjectType::table, abi::Verb::create, 0, table_create_object},
    {abi::ObjectType::table, abi::Verb::get, 0, table_get_state},
    {abi::ObjectType::table, abi::Verb::get, 1, table_get_client},
    {abi::ObjectType::table, abi::Verb::set, 0, table_set_events},
    {abi::ObjectType::table, abi::Verb::shutdown, 0, table_shutdown_fault},
    {abi::ObjectType::served, abi::Verb::watch, 0xff00, served_watch_server_death},
    {abi::ObjectType::timer, abi::Verb::set, 0, timer_set_arm},
    {abi::ObjectType::timer, abi::Verb::set, 1, timer_set_cancel},
    {abi::ObjectType::budget, abi::Verb::create, 8, budget_create_ring},
    {abi::ObjectType::ring, abi::Verb::set, 0, ring_set_register},
    {abi::ObjectType::ring, abi::Verb::remove, 0, ring_remove_unregister},
    {abi::ObjectType::ring, abi::Verb::create, 0, ring_create_landing},
    {abi::ObjectType::ring, abi::Verb::get, 0, ring_get_state},
    {abi::ObjectType::ring, abi::Verb::watch, 0, ring_watch_completion},
    {abi::ObjectType::hardware, abi::Verb::create, 0, hardware_create_ports},
    {abi::ObjectType::hardware, abi::Verb::create, 1, hardware_create_interrupt},
    {abi::ObjectType::hardware, abi::Verb::create, 2, hardware_create_registers},
    {abi::ObjectType::hardware, abi::Verb::create, 3, hardware_create_message_interrupt},
    {abi::ObjectType::ports, abi::Verb::read, 0, ports_read_value},
    {abi::ObjectType::ports, abi::Verb::read, 1, ports_read_string},
    {abi::ObjectType::ports, abi::Verb::write, 0, ports_write_value},
    {abi::ObjectType::ports, abi::Verb::write, 1, ports_write_string},
    {abi::ObjectType::interrupt, abi::Verb::watch, 0, interrupt_watch_fire},
    {abi::ObjectType::interrupt, abi::Verb::set, 0, interrupt_set_acknowledge},
    {abi::ObjectType::power, abi::Verb::shutdown, 0, power_shutdown_now},
    {abi::ObjectType::console, abi::Verb::write, 0, console_write_text},
    {abi::ObjectType::console, abi::Verb::shutdown, 0, console_shutdown_release},
};
// clang-format on

// The handlers in the order of abi::operations. Does not compile while an operation has none.
consteval std::array<Handler, abi::operation_count> order_handlers() {
    std::array<Handler, abi::operation_count> handlers{};
    for (unsigned i = 0; i < abi::operation_count; ++i) {
        const abi::Operation& operation = abi::operations[i];
        for (const HandlerEntry& entry : handler_entries) {
            if (entry.object == operation.object && entry.verb == operation.verb &&
                entry.selector == operation.selector) {
                handlers[i] = entry.handler;
            }
        }
        if (handlers[i] == nullptr) __builtin_unreachable();  // an operation has no handler
    }
    return handlers;
}

inline constexpr std::array<Handler, abi::operation_count> operation_handlers = order_handlers();

}  // namespace annulus::kernel
