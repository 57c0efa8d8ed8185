// SPDX-License-Identifier: MIT
// The result of every system call and operation: one 64-bit word.
//
//   63            32 31      16 15       0
//   +---------------+----------+---------+
//   | extra         | detail   | code    |
//   +---------------+----------+---------+
//
// Code 0 is success; then detail and extra mean what the operation says. Different causes have
// different codes, so that a program (and its reader) never has to guess why something failed.
#pragma once

#include <stdint.h>

namespace annulus::abi {

enum class Error : uint16_t {
    ok = 0,
    bad_call = 1,          // no such system call
    bad_handle = 2,        // never issued, closed, or of an older generation
    wrong_type = 3,        // the handle or name leads to another type of object
    no_right = 4,          // detail: lowest missing right bit
    revoked = 5,           // the handle's lease was revoked
    busy = 6,              // in use by an accepted request, or already bound
    bad_operation = 7,     // the object has no such verb and selector
    bad_argument = 8,      // detail: index of the operand
    bad_address = 9,       // user memory that is not mapped or lacks the access
    out_of_range = 10,     // offset + length beyond the object, or it overflows
    no_budget = 11,        // detail: the abi::Resource that ran out
    no_memory = 12,        // physical memory (or a contiguous run of it) ran out
    limit = 13,            // a named limit of the system
    too_many = 14,         // more items than one call takes
    timed_out = 15,        // the deadline passed and nothing happened
    cancelled = 16,        // the operation was cancelled
    try_again = 17,        // no room now; a semaphore tells when to try again
    closed = 18,           // the last handle or the peer's end was closed
    server_died = 19,      // extra: the table's epoch
    unknown_outcome = 20,  // the request was taken, and its answer will never be known
    refused = 21,          // the server declined
    wrong_version = 22,    // the protocol or structure version does not fit
    no_route = 23,         // the name leads nowhere reachable
    not_granted = 24,      // the name was not handed to this program
    no_room = 25,          // no landing entry for a moved handle
    client_gone = 26,      // the client of this request left; its bytes were dropped
    not_found = 27,        // no such name
    exists = 28,           // the name is taken
    not_supported = 29,    // unknown flags or an option that is not offered
    faulted = 30,          // the table or channel was faulted for breaking its protocol
    overlap = 31,          // the range overlaps an existing one
    wrong_state = 32,      // the object is not in a state that allows this
    may_fault = 33,        // memory that can vanish is not allowed here
    too_deep = 34,         // hop count or tree depth limit
    permission = 35,       // a mapping would be writable and executable
};

// One past the last error code; the table in abi/errors.h has an entry for each.
inline constexpr uint16_t error_count = 36;

// A result word. Trivially copyable: it travels in a register.
struct Status {
    uint64_t bits = 0;

    constexpr Status() = default;
    constexpr explicit Status(uint64_t raw) : bits(raw) {}
    constexpr Status(Error code, uint16_t detail = 0, uint32_t extra = 0)
        : bits(static_cast<uint64_t>(code) | static_cast<uint64_t>(detail) << 16 |
               static_cast<uint64_t>(extra) << 32) {}

    constexpr Error code() const { return static_cast<Error>(bits & 0xffff); }
    constexpr uint16_t detail() const { return static_cast<uint16_t>(bits >> 16); }
    constexpr uint32_t extra() const { return static_cast<uint32_t>(bits >> 32); }
    constexpr bool ok() const { return (bits & 0xffff) == 0; }
    constexpr bool operator==(const Status&) const = default;
};

}  // namespace annulus::abi
