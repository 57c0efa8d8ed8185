// SPDX-License-Identifier: MIT
// What is generated from abi/operations.h: the typed handle classes and the reference pages.
#pragma once

#include "abi/handle.h"
#include "abi/operation.h"

#include <string>
#include <vector>

namespace annulus::generator {

// The whole of generated/objects.h.
std::string objects_header();

struct Page {
    std::string file;  // "memory.md"
    std::string text;
};

// One reference page an object type, then the page of errors and the index.
std::vector<Page> reference_pages();

// Shared by both writers.

// "memory" -> "Memory", "server_death" -> "ServerDeath". The type `any` is called Object.
std::string class_name(const std::string& snake_case);
std::string class_name(abi::ObjectType type);

// verb_name, or only the verb when the operation is called like it.
std::string method_name(const abi::Operation& operation);

// The operations of one type, in the order of abi/operations.h.
std::vector<const abi::Operation*> operations_of(abi::ObjectType type);

// The types that have a class: `any` first, because it is the base of all others.
std::vector<abi::ObjectType> object_types();

// Operands of one direction that are not absent, with their word index.
struct IndexedOperand {
    unsigned word;
    const abi::Operand* operand;
};
std::vector<IndexedOperand> present(const abi::Operand (&operands)[6]);

// The method as declared, without class and without final semicolon:
// "Result<Memory> create_memory(uint64_t pages, uint64_t flags) const"; with `scope` the name is
// qualified by it.
std::string signature(const abi::Operation& operation, const std::string& scope = "");

// Type of the values that an operation with several result words answers ("MemorySize").
std::string answer_name(const abi::Operation& operation);

}  // namespace annulus::generator
