// SPDX-License-Identifier: MIT
// The rule file: which conversations may begin. What no rule allows does not pass.
//
//   allow in|out|both PROTOCOL [from PREFIX] [to PREFIX] [port NUMBER[-NUMBER]]
//
//   PROTOCOL  arp, icmp, tcp or udp           PREFIX  10.0.2.0/24, 10.0.2.2 or any
//   in        towards the firewall's client   port    the destination's (tcp and udp only)
//   #         begins a comment
//
// `in` and `out` say which side sends the first packet; its answers pass as well.
//
// Policy-free: no system call, no heap. One Rules object is some 5 KiB.
#pragma once

#include "proxies/firewall/frame.h"

#include <array>
#include <string_view>

namespace annulus::firewall {

inline constexpr size_t rules_max = 256;
inline constexpr size_t rule_text_max = 64 * 1024;  // bytes of a rule file

enum class Direction : uint8_t { in, out };

struct Prefix {
    uint32_t address = 0;
    uint32_t mask = 0;  // 0: any
    bool covers(uint32_t other) const { return (other & mask) == address; }
};

struct Rule {
    bool in = false;
    bool out = false;
    Protocol protocol{};
    Prefix from;
    Prefix to;
    uint16_t first_port = 0;
    uint16_t last_port = 0xffff;

    // Whether it allows a conversation to begin with this frame.
    bool allows(Direction direction, const Frame& frame) const;
};

// What is wrong with a rule file: where (both count from 1, columns in bytes) and what was
// expected.
struct RuleError {
    uint32_t line = 0;
    uint32_t column = 0;
    const char* expected = nullptr;  // null: the file is good
    std::string_view found;          // refers into the text; empty: the line's end

    bool ok() const { return expected == nullptr; }
};

class Rules {
public:
    // Reads a whole file; after an error there are no rules.
    RuleError read(std::string_view text);

    std::span<const Rule> all() const { return {rules_.data(), count_}; }

private:
    RuleError read_line(std::string_view line);

    std::array<Rule, rules_max> rules_{};
    size_t count_ = 0;
};

}  // namespace annulus::firewall
