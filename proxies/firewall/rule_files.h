// SPDX-License-Identifier: MIT
// Where the rules come from: a file of the directory `rules`, or of `changes` if that has one.
#pragma once

#include "proxies/firewall/rules.h"
#include "runtime/environment.h"
#include "runtime/file.h"
#include "runtime/renewable.h"

#include <memory>
#include <optional>

namespace annulus::firewall {

class RuleFiles {
public:
    // The handles `rules` and, if there is one, `changes`; the arguments rules=PATH and
    // changes=PATH (both `firewall` by default).
    static Result<RuleFiles> of(const Environment& environment);

    // Reads the rules as they are now. bad_argument: there is a mistake, with line and column as
    // detail and extra, and in the log. Others: of opening and reading the file; timed_out.
    Result<std::unique_ptr<Rules>> read(Deadline deadline);

private:
    // A directory, and the path of the file in it.
    struct Place {
        Renewable<Directory> directory;
        std::string_view path;
    };
    RuleFiles(Place rules, std::optional<Place> changes)
        : rules_(std::move(rules)), changes_(std::move(changes)) {}

    static Result<Place> place(const Environment& environment, std::string_view name);
    static Result<Owned<File>> open(Place& place, Deadline deadline);
    Result<Owned<File>> open_first(std::string_view& path, Deadline deadline);

    Place rules_;
    std::optional<Place> changes_;
};

}  // namespace annulus::firewall
