// SPDX-License-Identifier: MIT
// Writes generated/objects.h: one class an object type, one inline method an operation.

#include "abi/names.h"
#include "abi/operations.h"
#include "tools/abi_generator/generator.h"

namespace annulus::generator {

using abi::ObjectType;
using abi::OperandKind;
using abi::Operation;
using abi::Transfer;

namespace {

constexpr size_t line_width = 100;

const char* const preamble =
    "// SPDX-License-Identifier: MIT\n"
    "// Typed handles of the kernel's objects. Generated from abi/operations.h; do not edit.\n"
    "//\n"
    "// Every operation can also answer bad_handle, revoked, no_right, bad_operation,\n"
    "// bad_argument, not_supported and, when it transfers bytes, bad_address.\n"
    "#pragma once\n"
    "\n"
    "#include \"abi/operations.h\"  // the flags\n"
    "#include \"abi/records.h\"\n"
    "#include \"abi/system_call.h\"\n"
    "#include \"base/result.h\"\n"
    "#include \"runtime/handle.h\"\n"
    "#include \"runtime/system_call.h\"\n"
    "\n"
    "#include <stddef.h>\n"
    "#include <stdint.h>\n"
    "\n"
    "#include <cstddef>\n"
    "#include <span>\n"
    "\n"
    "namespace annulus {\n";

// Lays `text` out as // lines of at most line_width columns.
std::string comment(const std::string& indent, const std::string& text) {
    std::string lines;
    std::string line = indent + "//";
    size_t at = 0;
    while (at < text.size()) {
        size_t end = text.find(' ', at);
        if (end == std::string::npos) end = text.size();
        const std::string word = text.substr(at, end - at);
        at = end + 1;
        if (line.size() + 1 + word.size() > line_width) {
            lines += line + "\n";
            line = indent + "//";
        }
        line += " " + word;
    }
    return lines + line + "\n";
}

// Breaks a declaration after a comma when it is too long.
std::string declaration(const std::string& indent, const std::string& text) {
    std::string lines;
    std::string line = indent;
    size_t at = 0;
    while (at < text.size()) {
        size_t end = text.find(", ", at);
        end = end == std::string::npos ? text.size() : end + 2;
        const std::string part = text.substr(at, end - at);
        at = end;
        const size_t trimmed = part.ends_with(' ') ? part.size() - 1 : part.size();
        if (line.size() + trimmed > line_width) {
            line.erase(line.find_last_not_of(' ') + 1);
            lines += line + "\n";
            line = indent + "    ";
        }
        line += part;
    }
    return lines + line + "\n";
}

// Owners close by Owned::close, so that a reference cannot close what it does not own.
bool is_owners_close(const Operation& operation) {
    return operation.verb == abi::Verb::close && method_name(operation) == "close";
}

bool moves_any(const Operation& operation) {
    for (const auto& [word, operand] : present(operation.in)) {
        if (operand->kind == OperandKind::moved && operand->type == ObjectType::any) return true;
    }
    return false;
}

std::string operand_sentence(const std::string& intro, const abi::Operand (&operands)[6]) {
    std::string text;
    for (const auto& [word, operand] : present(operands)) {
        text += text.empty() ? intro : "; ";
        text += std::string(operand->name) + ": " + operand->text;
    }
    return text.empty() ? text : text + ".";
}

std::string method_comment(const Operation& operation) {
    std::string text = comment("    ", operation.summary);
    const std::string in = operand_sentence("Takes ", operation.in);
    const std::string out = operand_sentence("Answers ", operation.out);
    if (!in.empty()) text += comment("    ", in);
    if (!out.empty()) text += comment("    ", out);
    if (operation.transfer == Transfer::bytes_out && operation.record[0] == 0) {
        text += comment("    ", "Answers how many bytes were written to `bytes`.");
    }
    if (operation.errors[0] != 0) {
        text += comment("    ", "Errors: " + std::string(operation.errors) + ".");
    }
    return text;
}

std::string class_declaration(ObjectType type) {
    const std::string name = class_name(type) + "Reference";
    const std::string base = type == ObjectType::any ? "HandleValue" : "ObjectReference";
    std::string text = "\nclass " + name + " : public " + base + " {\npublic:\n";
    text += "    static constexpr abi::ObjectType object_type = abi::ObjectType::" +
            std::string(abi::name_of(type)) + ";\n";
    text += "    using " + base + "::" + base + ";\n";
    for (const Operation* operation : operations_of(type)) {
        if (is_owners_close(*operation)) continue;
        text += "\n" + method_comment(*operation);
        if (moves_any(*operation)) text += "    template <typename Special>\n";
        text += declaration("    ", signature(*operation) + ";");
    }
    return text + "};\n";
}

std::string answer_struct(const Operation& operation) {
    const auto results = present(operation.out);
    if (results.size() < 2) return "";
    std::string text = "\nstruct " + answer_name(operation) + " {\n";
    for (const auto& [word, operand] : results) {
        const bool moved = operand->kind == OperandKind::moved;
        text += "    " + (moved ? class_name(operand->type) : std::string("uint64_t")) + " " +
                operand->name + ";\n";
    }
    return text + "};\n";
}

std::string hexadecimal(unsigned value) {
    const char* const digits = "0123456789abcdef";
    std::string text;
    do {
        text.insert(text.begin(), digits[value % 16]);
        value /= 16;
    } while (value != 0);
    return "0x" + text;
}

// The arguments of call_words or call_buffer from the operation word on.
std::string call_arguments(const Operation& operation) {
    unsigned moved_mask = 0;
    std::string words;
    unsigned next = 0;
    for (const auto& [word, operand] : present(operation.in)) {
        for (; next < word; ++next) words += ", 0";
        const bool is_handle =
            operand->kind == OperandKind::handle || operand->kind == OperandKind::moved;
        if (operand->kind == OperandKind::moved) moved_mask |= 1u << word;
        words += ", " + std::string(operand->name) + (is_handle ? ".value()" : "");
        ++next;
    }
    std::string buffer;
    const bool plain = operation.record[0] == 0;
    if (operation.transfer == Transfer::bytes_in) {
        buffer = plain ? ", system::buffer_in(bytes)" : ", system::buffer_in(record)";
    } else if (operation.transfer == Transfer::bytes_out) {
        buffer = plain ? ", system::buffer_out(bytes)" : ", system::buffer_out(record)";
    }
    const unsigned selector = operation.selector;
    return "abi::operation_word(abi::Verb::" + std::string(abi::name_of(operation.verb)) + ", " +
           (selector > 9 ? hexadecimal(selector) : std::to_string(selector)) +
           (moved_mask != 0 ? ", " + std::to_string(moved_mask) : "") + ")" +
           (operation.answers_handles() ? " | abi::call_takes_handles" : "") + buffer + words;
}

std::string result_expression(const Operation& operation) {
    if (operation.transfer == Transfer::bytes_out) {
        return operation.record[0] == 0 ? "static_cast<size_t>(answer.bytes_out)" : "record";
    }
    const auto results = present(operation.out);
    std::string fields;
    for (const auto& [word, operand] : results) {
        const std::string value = "answer.words[" + std::to_string(word) + "]";
        fields += fields.empty() ? "" : ", ";
        const bool moved = operand->kind == OperandKind::moved;
        fields += moved ? class_name(operand->type) + "(" + value + ")" : value;
    }
    return results.size() > 1 ? answer_name(operation) + "{" + fields + "}" : fields;
}

std::string method_definition(const Operation& operation) {
    std::string text = "\n";
    if (moves_any(operation)) text += "template <typename Special>\n";
    text += declaration(
        "", "inline " + signature(operation, class_name(operation.object) + "Reference::") + " {");
    if (operation.transfer == Transfer::bytes_out && operation.record[0] != 0) {
        text += "    abi::" + std::string(operation.record) + " record = {};\n";
    }
    const bool transfers = operation.transfer != Transfer::nothing;
    if (transfers && operation.record[0] == 0 && operation.transfer == Transfer::bytes_in) {
        text += "    if (bytes.size() > UINT32_MAX) return Error::too_many;\n";
    }
    text += std::string("    const auto answer = system::") +
            (transfers ? "call_buffer" : "call_words") + "(\n";
    text += declaration("        ", "this->value(), " + call_arguments(operation) + ");");
    std::string ending;
    for (const auto& [word, operand] : present(operation.in)) {
        if (operand->kind != OperandKind::moved) continue;
        ending += "    static_cast<void>(" + std::string(operand->name) + ".release());\n";
    }
    const std::string result = result_expression(operation);
    if (result.empty() && ending.empty()) return text + "    return answer.status;\n}\n";
    text += "    if (!answer.status.ok()) return answer.status;\n" + ending;
    return text +
           declaration("    ", "return " + (result.empty() ? "answer.status" : result) + ";") +
           "}\n";
}

}  // namespace

std::string objects_header() {
    std::string text = preamble;
    text += "\n";
    for (const ObjectType type : object_types()) {
        text += "class " + class_name(type) + "Reference;\n";
    }
    text += "\n";
    for (const ObjectType type : object_types()) {
        text += "using " + class_name(type) + " = Owned<" + class_name(type) + "Reference>;\n";
    }
    for (const Operation& operation : abi::operations) {
        if (present(operation.out).size() > 1) text += "struct " + answer_name(operation) + ";\n";
    }
    for (const ObjectType type : object_types()) text += class_declaration(type);
    for (const Operation& operation : abi::operations) text += answer_struct(operation);
    for (const Operation& operation : abi::operations) {
        if (!is_owners_close(operation)) text += method_definition(operation);
    }
    return text + "\n}  // namespace annulus\n";
}

}  // namespace annulus::generator
