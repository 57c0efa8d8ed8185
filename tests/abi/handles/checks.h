// SPDX-License-Identifier: MIT
// Trying single operations by number, and comparing what comes back bit by bit.
#pragma once

#include "abi/names.h"
#include "abi/operations.h"
#include "tests/abi/handles/specimens.h"

namespace annulus::test {

// Where the numbers of wrong parts of a message begin in a status's detail (see dispatch).
inline constexpr uint16_t detail_mask = abi::message_words;
inline constexpr uint16_t detail_bytes_in = abi::message_words + 1;

// An operation with operands that a handler would at least look at. Checks change one part.
class Attempt {
public:
    Attempt(const Specimens& specimens, const abi::Operation& operation);

    const abi::Operation& operation() const { return operation_; }
    system::Message message;
    void set_moved_mask(unsigned mask) {
        message.operation = abi::operation_word(operation_.verb, operation_.selector, mask) |
                            (operation_.answers_handles() ? abi::call_takes_handles : 0);
    }
    unsigned moved_mask() const { return moved_mask_; }

private:
    const abi::Operation& operation_;
    unsigned moved_mask_ = 0;
};

// The ways in which every operation is to be tried.
enum class Way : uint8_t { with_right, without_right, stale, wrong_type, revoked };
inline constexpr unsigned way_count = 5;
inline constexpr const char* way_names[way_count] = {"with its right alone", "without its right",
                                                     "stale", "wrong type", "revoked"};

// Notes that an operation was tried in a way.
void note_tried(Way way, const abi::Operation& operation);
// Operations that were, of all of abi/operations.h.
unsigned tried_count(Way way);
bool was_tried(Way way, unsigned index);

// Counts checks; notes the first wrong one.
class Checks {
public:
    explicit Checks(Context& test) : test_(test) {}

    // Performs the message; it must answer exactly `wanted` and no words, bytes or handles.
    void refused(const system::Message& message, abi::Status wanted, const char* object,
                 const char* operation, const char* what, uint64_t which = 0);
    void refused(const Attempt& attempt, abi::Status wanted, const char* what, uint64_t which = 0) {
        refused(attempt.message, wanted, abi::name_of(attempt.operation().object),
                attempt.operation().name, what, which);
    }
    // Any other condition.
    void holds(bool condition, const char* object, const char* operation, const char* what) {
        ++count_;
        if (!condition) test_.fail("{}.{}: {}", object, operation, what);
    }

    uint64_t count() const { return count_; }
    static uint64_t total() { return total_; }
    ~Checks() { total_ += count_; }

private:
    static constinit uint64_t total_;
    Context& test_;
    uint64_t count_ = 0;
};

// A duplicate with these rights, closed with the result; empty when it cannot be made.
Object duplicate(abi::Handle handle, abi::Rights rights);

// A handle that answers `revoked`, with all rights of `handle`.
Object revoked_duplicate(abi::Handle handle);

// Values that name nothing in this process, for any slot in use.
struct Stale {
    abi::Handle value;
    const char* what;
};
inline constexpr unsigned stale_count = 8;
void make_stale(abi::Handle live, Stale (&to)[stale_count]);

}  // namespace annulus::test
