// SPDX-License-Identifier: MIT
// Names and meanings of the error codes, for reports, logs and the reference pages.
#pragma once

#include "abi/status.h"

namespace annulus::abi {

struct ErrorDescription {
    Error code;
    const char* name;      // as in the enumeration
    const char* sentence;  // the cause, without final stop; says what detail and extra mean
};

// clang-format off
inline constexpr ErrorDescription error_descriptions[] = {
    {Error::ok, "ok", "it succeeded"},
    {Error::bad_call, "bad_call", "there is no such system call"},
    {Error::bad_handle, "bad_handle",
     "the handle was never issued, is closed, or is of an older generation"},
    {Error::wrong_type, "wrong_type", "the handle or the name leads to an object of another type"},
    {Error::no_right, "no_right", "the handle lacks a right; detail is its lowest missing bit"},
    {Error::revoked, "revoked", "the handle's lease was revoked"},
    {Error::busy, "busy", "it is in use by an accepted request, or already bound"},
    {Error::bad_operation, "bad_operation", "the object has no such verb and selector"},
    {Error::bad_argument, "bad_argument", "an operand is wrong; detail is its index"},
    {Error::bad_address, "bad_address", "user memory is not mapped or lacks the access"},
    {Error::out_of_range, "out_of_range", "the range reaches beyond the object, or overflows"},
    {Error::no_budget, "no_budget", "the budget is used up; detail is the Resource that ran out"},
    {Error::no_memory, "no_memory", "physical memory, or a contiguous run of it, ran out"},
    {Error::limit, "limit", "a named limit of the system is reached"},
    {Error::too_many, "too_many", "there are more items than one call takes"},
    {Error::timed_out, "timed_out", "the deadline passed and nothing happened"},
    {Error::cancelled, "cancelled", "the operation was cancelled"},
    {Error::try_again, "try_again", "there is no room now; a semaphore tells when to try again"},
    {Error::closed, "closed", "the last handle or the peer's end was closed, or its payer is gone"},
    {Error::server_died, "server_died", "the server died; extra is the table's epoch"},
    {Error::unknown_outcome, "unknown_outcome",
     "the request was taken, and its answer will never be known"},
    {Error::refused, "refused", "the server declined"},
    {Error::wrong_version, "wrong_version", "the protocol or structure version does not fit"},
    {Error::no_route, "no_route", "the name leads nowhere that can be reached"},
    {Error::not_granted, "not_granted", "the name was not handed to this program"},
    {Error::no_room, "no_room", "there is no landing entry for a moved handle"},
    {Error::client_gone, "client_gone", "the client of the request left; its bytes were dropped"},
    {Error::not_found, "not_found", "there is no such name"},
    {Error::exists, "exists", "the name is taken"},
    {Error::not_supported, "not_supported", "flags are unknown or an option is not offered"},
    {Error::faulted, "faulted", "the table or channel was faulted for breaking its protocol"},
    {Error::overlap, "overlap", "the range overlaps an existing one"},
    {Error::wrong_state, "wrong_state", "the object is not in a state that allows this"},
    {Error::may_fault, "may_fault", "memory that can vanish is not allowed here"},
    {Error::too_deep, "too_deep", "the hop count or the tree depth is at its limit"},
    {Error::permission, "permission",
     "a mapping would be writable and executable, or the kernel keeps this hardware for itself"},
};
// clang-format on

static_assert(sizeof(error_descriptions) / sizeof(error_descriptions[0]) == error_count,
              "every error code is described");
static_assert(
    [] {
        for (unsigned i = 0; i < error_count; ++i) {
            if (static_cast<unsigned>(error_descriptions[i].code) != i) return false;
        }
        return true;
    }(),
    "descriptions are in the order of the codes");

// The name of any code; codes that a newer kernel or a server invented are "unknown".
constexpr const char* name_of(Error code) {
    const auto index = static_cast<unsigned>(code);
    return index < error_count ? error_descriptions[index].name : "unknown";
}

constexpr const char* sentence_of(Error code) {
    const auto index = static_cast<unsigned>(code);
    return index < error_count ? error_descriptions[index].sentence : "the code is not known";
}

}  // namespace annulus::abi
