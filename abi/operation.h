// SPDX-License-Identifier: MIT
// The form in which operations are described. abi/operations.h holds the descriptions.
#pragma once

#include "abi/handle.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

enum class OperandKind : uint8_t {
    absent = 0,  // the word must be zero
    word,        // a number; unit and meaning in the text
    flags,       // bits; unknown ones are refused with not_supported
    handle,      // names an object of the caller; it stays with the caller
    moved,       // a handle that moves to the receiver
};

struct Operand {
    OperandKind kind = OperandKind::absent;
    const char* name = "";
    const char* text = "";               // meaning and unit
    ObjectType type = ObjectType::none;  // of handle and moved operands
    Rights needs = 0;                    // rights that the operand's handle must have
};

// What travels through the caller's buffer.
enum class Transfer : uint8_t {
    nothing,
    bytes_in,   // from the caller
    bytes_out,  // to the caller
};

struct Operation {
    ObjectType object;
    Verb verb;
    uint16_t selector;
    const char* name;  // verb.selector as programs see it; stubs are called object_name
    const char* summary;
    Operand in[6] = {};
    Operand out[6] = {};
    Transfer transfer = Transfer::nothing;
    const char* record = "";  // C++ type of the transferred bytes, "" for plain bytes
    bool needs_right = true;  // false: any handle to the object will do
    const char* errors = "";  // besides those every operation can answer

    // Then the call says call_takes_handles.
    constexpr bool answers_handles() const {
        for (const Operand& operand : out) {
            if (operand.kind == OperandKind::moved) return true;
        }
        return false;
    }
};

}  // namespace annulus::abi
