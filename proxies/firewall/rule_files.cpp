// SPDX-License-Identifier: MIT
// Finds and reads the rule file.
#include "proxies/firewall/rule_files.h"

#include "runtime/log.h"

#include <new>

namespace annulus::firewall {

Result<RuleFiles::Place> RuleFiles::place(const Environment& environment, std::string_view name) {
    const auto path = environment.argument(name);
    return Place{TRY(Renewable<Directory>::of(TRY(environment.handle<Served>(name)))),
                 path.ok() ? *path : std::string_view("firewall")};
}

Result<RuleFiles> RuleFiles::of(const Environment& environment) {
    Place rules = TRY(place(environment, "rules"));
    std::optional<Place> changes;
    if (environment.handle<Served>("changes").ok()) changes = TRY(place(environment, "changes"));
    return RuleFiles(std::move(rules), std::move(changes));
}

// From the next run of whoever provides the directory, if this one is gone.
Result<Owned<File>> RuleFiles::open(Place& place, Deadline deadline) {
    auto file = place.directory.object().open<File>(place.path, abi::open_read, deadline);
    if (file.ok() || !is_gone(file.error())) return file;
    TRY(place.directory.renew());
    return place.directory.object().open<File>(place.path, abi::open_read, deadline);
}

Result<Owned<File>> RuleFiles::open_first(std::string_view& path, Deadline deadline) {
    if (changes_.has_value()) {
        path = changes_->path;
        auto file = open(*changes_, deadline);
        if (file.error() != Error::not_found) return file;
    }
    path = rules_.path;
    return open(rules_, deadline);
}

Result<std::unique_ptr<Rules>> RuleFiles::read(Deadline deadline) {
    std::string_view path;
    const auto file = TRY(open_first(path, deadline));
    // One byte more than there may be, so that a longer file shows.
    const std::unique_ptr<char[]> text(new (std::nothrow) char[rule_text_max + 1]);
    std::unique_ptr<Rules> rules(new (std::nothrow) Rules);
    if (text == nullptr || rules == nullptr) return Error::no_memory;
    const auto space = std::as_writable_bytes(std::span(text.get(), rule_text_max + 1));
    const size_t size = TRY(file.read_at(0, space, deadline));
    const RuleError error = rules->read({text.get(), size});
    if (error.ok()) return rules;
    log("{}:{}:{}: expected {}, found \"{}\"", path, error.line, error.column, error.expected,
        error.found);
    return Status(Error::bad_argument, static_cast<uint16_t>(error.line), error.column);
}

}  // namespace annulus::firewall
