// SPDX-License-Identifier: MIT
// Writes the reference pages: one an object type, one for the errors, and their index.

#include "abi/errors.h"
#include "abi/names.h"
#include "abi/operations.h"
#include "tools/abi_generator/generator.h"

namespace annulus::generator {

using abi::ObjectType;
using abi::OperandKind;
using abi::Operation;
using abi::Transfer;

namespace {

const char* const notice = "<!-- Generated from abi/ by tools/abi_generator; do not edit. -->\n\n";

// Where abi/system_call.h puts words 0-5 of a message.
const char* const word_registers[6] = {"rdx", "r8", "r9", "r10", "r12", "r13"};

std::string type_bit_name(ObjectType type, unsigned bit) {
    if (type == ObjectType::semaphore && bit == 16) return "signal";
    if (type == ObjectType::semaphore && bit == 17) return "wait";
    if (type == ObjectType::memory && bit == 16) return "execute";
    if (type == ObjectType::table && bit == 16) return "serve";
    if (type == ObjectType::budget && bit == 16) return "spend";
    if (type == ObjectType::ring && bit == 16) return "enter";
    return "type bit " + std::to_string(bit);
}

std::string rights_list(ObjectType type, abi::Rights rights) {
    std::string list;
    for (unsigned bit = 0; bit < 24; ++bit) {
        if ((rights >> bit & 1) == 0) continue;
        list += list.empty() ? "" : ", ";
        list += bit < abi::verb_count ? abi::verb_names[bit] : type_bit_name(type, bit);
    }
    return list;
}

std::string kind_of(const abi::Operand& operand) {
    const std::string type = abi::name_of(operand.type);
    switch (operand.kind) {
        case OperandKind::flags: return "flags";
        case OperandKind::handle:
            return "handle of " + type +
                   (operand.needs == 0 ? "" : " with " + rights_list(operand.type, operand.needs));
        case OperandKind::moved: return "handle of " + type + ", moves";
        default: return "word";
    }
}

std::string operand_table(const std::string& title, const abi::Operand (&operands)[6]) {
    std::string text;
    for (const auto& [word, operand] : present(operands)) {
        if (text.empty()) {
            text = "| " + title + " | register | name | kind | meaning |\n|---|---|---|---|---|\n";
        }
        text += "| " + std::to_string(word) + " | " + word_registers[word] + " | `" +
                operand->name + "` | " + kind_of(*operand) + " | " + operand->text + " |\n";
    }
    return text.empty() ? text : text + "\n";
}

std::string transfer_sentence(const Operation& operation) {
    const std::string what = operation.record[0] == 0
                                 ? std::string("plain bytes")
                                 : "one `abi::" + std::string(operation.record) + "`";
    switch (operation.transfer) {
        case Transfer::bytes_in: return "Buffer: " + what + ", from the caller.\n\n";
        case Transfer::bytes_out: return "Buffer: " + what + ", to the caller.\n\n";
        default: return "";
    }
}

std::string full_name(const Operation& operation) {
    return std::string(abi::name_of(operation.verb)) + "." + operation.name;
}

std::string operation_section(const Operation& operation) {
    const std::string verb = abi::name_of(operation.verb);
    std::string text = "## " + full_name(operation) + "\n\n" + operation.summary + "\n\n";
    text += "Verb " + verb + " (" + std::to_string(static_cast<unsigned>(operation.verb)) +
            "), selector " + std::to_string(operation.selector) + "; needs " +
            (operation.needs_right ? "the right " + verb : std::string("no right")) + ".\n\n";
    text += operand_table("in", operation.in) + operand_table("out", operation.out);
    text += transfer_sentence(operation);
    if (operation.errors[0] != 0) text += "Errors: " + std::string(operation.errors) + ".\n\n";
    return text;
}

std::string cpp_section(ObjectType type) {
    std::string text = "## In C++\n\n```cpp\n";
    for (const Operation* operation : operations_of(type)) {
        text += signature(*operation, class_name(type) + "Reference::") + ";\n";
    }
    return text + "```\n";
}

std::string title_of(ObjectType type) {
    if (type == ObjectType::any) return "any object";
    return type == ObjectType::served ? "served object" : abi::name_of(type);
}

Page object_page(ObjectType type) {
    std::string text = notice + ("# " + title_of(type)) + "\n\n";
    text += type == ObjectType::any
                ? "What every handle answers, whatever it names.\n\n"
                : "Beside these, it answers [what every handle answers](any.md).\n\n";
    text += "| operation | what it does |\n|---|---|\n";
    for (const Operation* operation : operations_of(type)) {
        text += "| " + full_name(*operation) + " | " + operation->summary + " |\n";
    }
    text += "\n";
    for (const Operation* operation : operations_of(type)) text += operation_section(*operation);
    return {std::string(abi::name_of(type)) + ".md", text + cpp_section(type)};
}

Page error_page() {
    std::string text = notice + std::string("# errors\n\n");
    text +=
        "A result is one word: code (bits 0-15), detail (16-31), extra (32-63). Every\n"
        "operation can answer bad_handle, revoked, no_right, bad_operation, bad_argument,\n"
        "not_supported and, when it transfers bytes, bad_address.\n\n"
        "| code | name | cause |\n|---|---|---|\n";
    for (const auto& error : abi::error_descriptions) {
        text += "| " + std::to_string(static_cast<unsigned>(error.code)) + " | " + error.name +
                " | " + error.sentence + " |\n";
    }
    return {"errors.md", text};
}

Page index_page() {
    std::string text = notice;
    text +=
        "# Reference\n\nThe operations of every object, and the errors they answer. A call of an "
        "operation that\nanswers handles says `abi::call_takes_handles`, as the stubs do.\n\n";
    for (const ObjectType type : object_types()) {
        text += "- [" + title_of(type) + "](" + abi::name_of(type) +
                ".md): " + std::to_string(operations_of(type).size()) + " operations\n";
    }
    return {"README.md", text + "- [errors](errors.md)\n"};
}

}  // namespace

std::vector<Page> reference_pages() {
    std::vector<Page> pages;
    for (const ObjectType type : object_types()) pages.push_back(object_page(type));
    pages.push_back(error_page());
    pages.push_back(index_page());
    return pages;
}

}  // namespace annulus::generator
