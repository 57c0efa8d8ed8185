// SPDX-License-Identifier: MIT
// What the words of `run` ask for.
#include "programs/shell/text/run_request.h"

#include "abi/names.h"

namespace annulus::shell {
namespace {

bool read_rights(std::string_view list, abi::Rights& rights, std::string_view& wrong) {
    rights = 0;
    for (;;) {
        const size_t comma = list.find(',');
        const std::string_view name = list.substr(0, comma);
        abi::Rights bit = 0;
        for (unsigned verb = 0; verb < abi::verb_count; ++verb) {
            if (name == abi::verb_names[verb]) bit = abi::Rights{1} << verb;
        }
        if (bit == 0) {
            wrong = name;
            return false;
        }
        rights |= bit;
        if (comma == std::string_view::npos) return true;
        list.remove_prefix(comma + 1);
    }
}

RunFault read_object(std::string_view word, RunRequest& request, std::string_view& wrong) {
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string_view::npos || equals + 1 == word.size()) {
        return RunFault::no_object;
    }
    RequestedObject object;
    object.name = word.substr(0, equals);
    object.object = word.substr(equals + 1);
    const size_t colon = object.object.rfind(':');
    if (colon != std::string_view::npos) {
        const std::string_view rights = object.object.substr(colon + 1);
        object.object = object.object.substr(0, colon);
        if (!read_rights(rights, object.rights, wrong)) return RunFault::unknown_right;
        if (object.object.empty()) return RunFault::no_object;
    }
    for (const RequestedObject& earlier : request.all_objects()) {
        if (earlier.name == object.name) return RunFault::name_twice;
    }
    request.objects[request.object_count++] = object;
    return RunFault::none;
}

}  // namespace

RunFault read_run(std::span<const std::string_view> words, RunRequest& request,
                  std::string_view& word) {
    request.object_count = 0;
    request.arguments = {};
    request.background = !words.empty() && words.back() == "&";
    if (request.background) words = words.first(words.size() - 1);
    word = {};
    if (words.empty() || words[0] == "--") return RunFault::no_program;
    request.program = words[0];
    for (size_t i = 1; i < words.size(); ++i) {
        word = words[i];
        if (word == "--") {
            request.arguments = words.subspan(i + 1);
            break;
        }
        const RunFault fault = read_object(words[i], request, word);
        if (fault != RunFault::none) return fault;
    }
    return RunFault::none;
}

std::string_view describe(RunFault fault) {
    switch (fault) {
        case RunFault::none: return "it is sound";
        case RunFault::no_program: return "the program is missing";
        case RunFault::no_object: return "this should be name=object";
        case RunFault::unknown_right: return "there is no such right";
        case RunFault::name_twice: return "the name is given twice";
    }
    return "it is wrong";
}

}  // namespace annulus::shell
