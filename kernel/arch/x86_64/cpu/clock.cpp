// SPDX-License-Identifier: MIT
// The monotonic clock and the battery-backed one.
#include "kernel/arch/x86_64/cpu/clock.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "kernel/arch/x86_64/cpu/clock_math.h"
#include "kernel/arch/x86_64/cpu/registers.h"
#include "kernel/arch/x86_64/interrupt/local_apic.h"
#include "kernel/log.h"

namespace annulus::arch {

namespace {

constinit abi::ClockPage clock = make_clock(1'000'000'000, 0);
constinit uint64_t frequency = 1'000'000'000;
constinit uint8_t century_index = 0;

// A counter of known rate that counts up and wraps.
struct Reference {
    uint16_t timer_port;  // the ACPI timer's, or 0 for the interval timer
    uint64_t frequency;
    uint32_t mask;

    uint32_t read() const;
};

// Interval timer (Intel 8254 data sheet): channel 2, which raises no interrupt; port 0x61 gates it.
constexpr uint16_t interval_control = 0x43, interval_channel2 = 0x42, interval_gate = 0x61;

void start_interval_timer() {
    out8(interval_gate, static_cast<uint8_t>((in8(interval_gate) & ~0x02) | 0x01));
    out8(interval_control, 0xb4);  // channel 2, low then high byte, mode 2: counts round and round
    out8(interval_channel2, 0xff);
    out8(interval_channel2, 0xff);
}

uint32_t Reference::read() const {
    if (timer_port) return in32(timer_port) & mask;
    out8(interval_control, 0x80);  // latch channel 2
    const uint32_t low = in8(interval_channel2);
    const uint32_t high = in8(interval_channel2);
    return ~(high << 8 | low) & mask;  // it counts down
}

// The three counters, read as nearly at once as can be.
struct Sample {
    uint64_t tsc;
    uint32_t reference;
    uint32_t timer;
};

// The best of several readings, as the host may take the CPU away in the middle of one.
Sample take_sample(const Reference& reference) {
    Sample best{};
    uint64_t best_width = ~uint64_t{0};
    for (int i = 0; i < 16; ++i) {
        const uint64_t before = read_cycle_counter();
        const uint32_t value = reference.read();
        const uint32_t timer = read_timer_count();
        const uint64_t after = read_cycle_counter();
        if (after - before < best_width) {
            best_width = after - before;
            best = {before + (after - before) / 2, value, timer};
        }
    }
    return best;
}

// Passes some time without touching a device: cheap under an instruction-counting emulator.
void idle_loop() {
    for (unsigned i = 0; i < 1000; ++i) asm volatile("");
}

struct Rates {
    uint64_t tsc, timer;
};

Rates measure(const Reference& reference) {
    const uint64_t wanted = reference.frequency / 100;
    start_timer_measurement();
    const Sample first = take_sample(reference);
    uint32_t last = first.reference;
    // A reference that stands still (not enabled by the firmware) ends the loop.
    unsigned still = 0;
    while (((last - first.reference) & reference.mask) < wanted && still < 100'000) {
        idle_loop();
        const uint32_t value = reference.read();
        still = value == last ? still + 1 : 0;
        last = value;
    }
    const Sample second = take_sample(reference);
    const uint64_t ticks = (second.reference - first.reference) & reference.mask;
    if (ticks < wanted) return {0, 0};
    const auto per_second = [&](uint64_t count) {
        return divide_wide(static_cast<unsigned __int128>(count) * reference.frequency, ticks);
    };
    return {per_second(second.tsc - first.tsc), per_second(first.timer - second.timer)};
}

Rates measure_against_any(const AcpiInfo& info) {
    if (info.timer_port) {
        const Rates rates = measure({info.timer_port, 3'579'545, 0xffffff});
        if (rates.tsc) return rates;
    }
    start_interval_timer();
    const Rates rates = measure({0, 1'193'182, 0xffff});
    if (rates.tsc) return rates;
    kernel::log("clock: no timer of known rate; assuming 1 GHz, so all times are wrong");
    return {1'000'000'000, 1'000'000'000};
}

// Battery-backed clock (Motorola MC146818A data sheet): index and data port.
constexpr uint16_t cmos_index = 0x70, cmos_data = 0x71;

uint8_t read_cmos(uint8_t index) {
    out8(cmos_index, index);
    return in8(cmos_data);
}

struct Date {
    uint8_t second, minute, hour, day, month, year, century;
    bool operator==(const Date&) const = default;
};

Date read_date() {
    // Bit 7 of register A: an update is in progress.
    for (unsigned i = 0; i < 10'000 && (read_cmos(0x0a) & 0x80); ++i) pause();
    return {read_cmos(0),
            read_cmos(2),
            read_cmos(4),
            read_cmos(7),
            read_cmos(8),
            read_cmos(9),
            century_index ? read_cmos(century_index) : uint8_t{0}};
}

}  // namespace

void start_clock(const AcpiInfo& info) {
    century_index = info.century_index;
    const Rates rates = measure_against_any(info);
    frequency = rates.tsc;
    set_timer_frequency(rates.timer);
    clock = make_clock(frequency, read_cycle_counter());
}

uint64_t cycles_to_ns(uint64_t cycles) {
    // The clock starts at zero: a span of cycles is converted like a reading, without the base.
    return static_cast<uint64_t>(static_cast<unsigned __int128>(cycles) * clock.mult >>
                                 clock.shift);
}

uint64_t now_ns() { return cycles_to_ns(clock, read_cycle_counter()); }

const abi::ClockPage& clock_parameters() { return clock; }

uint64_t cycle_frequency() { return frequency; }

void delay_ns(uint64_t duration) {
    const uint64_t end = now_ns() + duration;
    while (now_ns() < end) pause();
}

uint64_t read_wall_clock() {
    Date date = read_date();
    for (Date again = read_date(); !(again == date); again = read_date()) date = again;
    const uint8_t format = read_cmos(0x0b);
    const bool binary = (format & 4) != 0;
    const bool hours24 = (format & 2) != 0;
    const auto number = [&](uint8_t raw) -> uint32_t {
        return binary ? raw : (raw >> 4) * 10u + (raw & 15u);
    };
    const bool afternoon = !hours24 && (date.hour & 0x80);
    uint32_t hour = number(date.hour & (hours24 ? 0xff : 0x7f));
    if (!hours24) hour = hour % 12 + (afternoon ? 12 : 0);
    const uint32_t century = date.century ? number(date.century) : 20;
    const uint32_t year = century * 100 + number(date.year);
    const uint32_t month = number(date.month);
    const uint32_t day = number(date.day);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31) return 0;
    return days_since_1970(year, month, day) * 86400 + hour * 3600 + number(date.minute) * 60 +
           number(date.second);
}

}  // namespace annulus::arch
