// SPDX-License-Identifier: MIT
// What the words of `run` ask for. Policy-free.
//
//   run PROGRAM [name=object[:right,right...]]... [-- ARGUMENT...] [&]
#pragma once

#include "abi/verb.h"
#include "programs/shell/text/words.h"

namespace annulus::shell {

struct RequestedObject {
    std::string_view name;    // under which the program finds it
    std::string_view object;  // a path, whose first component is an object of the shell's
    abi::Rights rights = abi::all_rights;
};

struct RunRequest {
    std::string_view program;  // a path, or the name of a file in the archive's programs/
    std::array<RequestedObject, words_max> objects{};
    size_t object_count = 0;
    std::span<const std::string_view> arguments;
    bool background = false;

    std::span<const RequestedObject> all_objects() const {
        return std::span(objects).first(object_count);
    }
};

enum class RunFault : uint8_t {
    none,
    no_program,
    no_object,      // a word is not name=object
    unknown_right,  // a word after ':' is no verb
    name_twice,
};

// Reads what follows the word `run`. On a fault `word` is the one that is meant.
RunFault read_run(std::span<const std::string_view> words, RunRequest& request,
                  std::string_view& word);

// In words such as "the program is missing".
std::string_view describe(RunFault fault);

}  // namespace annulus::shell
