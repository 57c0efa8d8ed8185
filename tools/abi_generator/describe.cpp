// SPDX-License-Identifier: MIT
// Names and C++ types of operations, shared by the writers.

#include "abi/names.h"
#include "abi/operations.h"
#include "tools/abi_generator/generator.h"

namespace annulus::generator {

using abi::ObjectType;
using abi::OperandKind;
using abi::Operation;
using abi::Transfer;

std::string class_name(const std::string& snake_case) {
    std::string name;
    bool upper = true;
    for (const char c : snake_case) {
        if (c == '_') {
            upper = true;
            continue;
        }
        name += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        upper = false;
    }
    return name;
}

std::string class_name(ObjectType type) {
    return type == ObjectType::any ? "Object" : class_name(std::string(abi::name_of(type)));
}

std::string method_name(const Operation& operation) {
    const std::string verb = abi::name_of(operation.verb);
    return verb == operation.name ? verb : verb + "_" + operation.name;
}

std::string answer_name(const Operation& operation) {
    return class_name(operation.object) + class_name(std::string(operation.name));
}

std::vector<const Operation*> operations_of(ObjectType type) {
    std::vector<const Operation*> found;
    for (const Operation& operation : abi::operations) {
        if (operation.object == type) found.push_back(&operation);
    }
    return found;
}

std::vector<ObjectType> object_types() {
    std::vector<ObjectType> types = {ObjectType::any};
    for (unsigned type = 1; type < abi::object_type_count; ++type) {
        const bool given_out = abi::object_type_names[type][0] != 0;
        if (given_out && static_cast<ObjectType>(type) != ObjectType::any) {
            types.push_back(static_cast<ObjectType>(type));
        }
    }
    return types;
}

std::vector<IndexedOperand> present(const abi::Operand (&operands)[6]) {
    std::vector<IndexedOperand> found;
    for (unsigned word = 0; word < 6; ++word) {
        if (operands[word].kind != OperandKind::absent) found.push_back({word, &operands[word]});
    }
    return found;
}

namespace {

std::string parameter(const abi::Operand& operand) {
    const std::string name = operand.name;
    switch (operand.kind) {
        case OperandKind::handle: return class_name(operand.type) + "Reference " + name;
        case OperandKind::moved:
            return operand.type == ObjectType::any ? "Owned<Special>&& " + name
                                                   : class_name(operand.type) + "&& " + name;
        default: return "uint64_t " + name;
    }
}

std::string parameters(const Operation& operation) {
    std::string list;
    const auto add = [&list](const std::string& one) { list += (list.empty() ? "" : ", ") + one; };
    for (const auto& [word, operand] : present(operation.in)) add(parameter(*operand));
    const bool plain = operation.record[0] == 0;
    if (operation.transfer == Transfer::bytes_in) {
        add(plain ? "std::span<const std::byte> bytes"
                  : "const abi::" + std::string(operation.record) + "& record");
    }
    if (operation.transfer == Transfer::bytes_out && plain) add("std::span<std::byte> bytes");
    return list;
}

std::string result_type(const Operation& operation) {
    const auto results = present(operation.out);
    if (operation.transfer == Transfer::bytes_out) {
        return operation.record[0] == 0 ? "size_t" : "abi::" + std::string(operation.record);
    }
    if (results.empty()) return "void";
    if (results.size() > 1) return answer_name(operation);
    const abi::Operand& only = *results[0].operand;
    return only.kind == OperandKind::moved ? class_name(only.type) : "uint64_t";
}

}  // namespace

std::string signature(const Operation& operation, const std::string& scope) {
    return "Result<" + result_type(operation) + "> " + scope + method_name(operation) + "(" +
           parameters(operation) + ") const";
}

}  // namespace annulus::generator
