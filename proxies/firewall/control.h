// SPDX-License-Identifier: MIT
// What changes the rules of a running firewall: a small stream (abi/stream.h).
//
//   write    "reload", with or without a line's end: the rule file is read anew. When that is
//            answered its rules are in force for whatever comes; a mistake leaves the old ones in
//            force (bad_argument: detail the line, extra the column; others: of reading the file)
//   read     text: rules in force, reloads, and what was decided about frames so far. Reads of
//            files, by position, too: so it can be shown like a file
//   open     with the empty path: the same once more
#pragma once

#include "proxies/firewall/gateway.h"
#include "proxies/firewall/rule_files.h"

namespace annulus::firewall {

inline constexpr abi::Rights control_rights =
    abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::write) |
    abi::right_of(abi::Verb::open) | abi::right_of(abi::Verb::get);

class Control final : public ServedByThis {
public:
    Control(const Server& server, Gateway& gateway, RuleFiles files)
        : server_(server), gateway_(gateway), files_(std::move(files)) {}

    Answer handle(Request& request) override;

private:
    Answer open(const Request& request);
    Answer read(const Request& request, uint64_t offset) const;
    Answer write(const Request& request);
    Result<void> reload();

    const Server& server_;
    Gateway& gateway_;
    RuleFiles files_;
    uint64_t reloads_ = 0;
};

}  // namespace annulus::firewall
