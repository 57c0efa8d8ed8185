// SPDX-License-Identifier: MIT
// Maps the clock page once per process.

#include "runtime/clock.h"

#include "abi/operations.h"
#include "runtime/end.h"
#include "runtime/program_state.h"

#include <atomic>

namespace annulus {

namespace {

constinit std::atomic<const abi::ClockPage*> mapped_page = nullptr;

Result<const abi::ClockPage*> map_page() {
    const auto memory = TRY(program_state.environment.handle<Memory>(names::clock));
    if (program_state.process.empty()) return Error::not_granted;
    const uint64_t address =
        TRY(program_state.process.map(memory, 0, abi::page_size, 0, abi::map_read));
    // Safety: the kernel has just mapped the page there, and its first bytes are the record.
    const auto* page = reinterpret_cast<const abi::ClockPage*>(address);
    if (page->version != 1) return Error::wrong_version;
    return page;
}

}  // namespace

Result<Clock> Clock::open() {
    // Order: acquire, with the release below: the page is mapped before its address is seen.
    const abi::ClockPage* page = mapped_page.load(std::memory_order_acquire);
    if (page == nullptr) {
        // Two threads may both map it: then one address space entry too many stays until the end.
        page = TRY(map_page());
        mapped_page.store(page, std::memory_order_release);
    }
    return Clock(page);
}

uint64_t now() {
    const auto clock = Clock::open();
    if (!clock.ok()) panic("the time is needed, but no clock was handed out");
    return clock->now();
}

Deadline Deadline::after(Duration span) { return later(annulus::now(), span); }

}  // namespace annulus
