// SPDX-License-Identifier: MIT
// The rule file's reader: one line, one rule, one word after the other.
#include "proxies/firewall/rules.h"

#include <optional>

namespace annulus::firewall {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// The words of one line.
class Words {
public:
    explicit Words(std::string_view line) : line_(line.substr(0, line.find('#'))) { next(); }

    bool at_end() const { return word_.empty(); }
    std::string_view word() const { return word_; }

    void next() {
        size_t begin = end_;
        while (begin < line_.size() && is_blank(line_[begin])) ++begin;
        end_ = begin;
        while (end_ < line_.size() && !is_blank(line_[end_])) ++end_;
        word_ = line_.substr(begin, end_ - begin);
        column_ = static_cast<uint32_t>(begin + 1);
    }

    // Takes the word if it is this one.
    bool take(std::string_view wanted) {
        if (word_ != wanted) return false;
        next();
        return true;
    }

    // The error that something else should stand here.
    RuleError expected(const char* what) const { return {0, column_, what, word_}; }

private:
    std::string_view line_;
    size_t end_ = 0;
    std::string_view word_;
    uint32_t column_ = 1;
};

// A decimal number of at most `max`, taken off the front of the text.
std::optional<uint32_t> take_number(std::string_view& text, uint32_t max) {
    uint32_t value = 0;
    size_t digits = 0;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
        value = value * 10 + static_cast<uint32_t>(text[digits] - '0');
        if (value > max) return std::nullopt;
    }
    // No leading zeros: some readers take them for octal.
    if (digits == 0 || (digits > 1 && text[0] == '0')) return std::nullopt;
    text.remove_prefix(digits);
    return value;
}

bool take_char(std::string_view& text, char wanted) {
    if (!text.starts_with(wanted)) return false;
    text.remove_prefix(1);
    return true;
}

std::optional<Prefix> read_prefix(std::string_view text) {
    if (text == "any") return Prefix{};
    uint32_t address = 0;
    for (int part = 0; part < 4; ++part) {
        if (part != 0 && !take_char(text, '.')) return std::nullopt;
        const auto byte = take_number(text, 255);
        if (!byte) return std::nullopt;
        address = address << 8 | *byte;
    }
    uint32_t bits = 32;
    if (take_char(text, '/')) {
        const auto length = take_number(text, 32);
        if (!length) return std::nullopt;
        bits = *length;
    }
    const uint32_t mask = bits == 0 ? 0 : ~uint32_t{0} << (32 - bits);
    // Bits behind the prefix are a slip of the pen: nobody writes them on purpose.
    if (!text.empty() || (address & ~mask) != 0) return std::nullopt;
    return Prefix{address, mask};
}

bool read_ports(std::string_view text, Rule& rule) {
    const auto first = take_number(text, 0xffff);
    if (!first) return false;
    auto last = first;
    if (take_char(text, '-')) last = take_number(text, 0xffff);
    if (!last || !text.empty() || *first == 0 || *last < *first) return false;
    rule.first_port = static_cast<uint16_t>(*first);
    rule.last_port = static_cast<uint16_t>(*last);
    return true;
}

bool take_direction(Words& words, Rule& rule) {
    const bool both = words.word() == "both";
    rule.in = both || words.word() == "in";
    rule.out = both || words.word() == "out";
    if (rule.in || rule.out) words.next();
    return rule.in || rule.out;
}

bool take_protocol(Words& words, Rule& rule) {
    constexpr std::string_view names[] = {"arp", "icmp", "tcp", "udp"};
    for (size_t i = 0; i < std::size(names); ++i) {
        if (!words.take(names[i])) continue;
        rule.protocol = static_cast<Protocol>(i);
        return true;
    }
    return false;
}

bool take_prefix(Words& words, Prefix& prefix) {
    const auto read = read_prefix(words.word());
    if (!read) return false;
    prefix = *read;
    words.next();
    return true;
}

RuleError read_rule(Words& words, Rule& rule) {
    constexpr const char* wants_prefix = "an address (10.0.2.2), a prefix (10.0.2.0/24) or any";
    if (!words.take("allow")) return words.expected("allow");
    if (!take_direction(words, rule)) return words.expected("in, out or both");
    if (!take_protocol(words, rule)) return words.expected("arp, icmp, tcp or udp");
    const bool addresses = rule.protocol != Protocol::arp;
    const bool ports = rule.protocol == Protocol::tcp || rule.protocol == Protocol::udp;
    if (addresses && words.take("from") && !take_prefix(words, rule.from)) {
        return words.expected(wants_prefix);
    }
    if (addresses && words.take("to") && !take_prefix(words, rule.to)) {
        return words.expected(wants_prefix);
    }
    if (ports && words.take("port")) {
        if (!read_ports(words.word(), rule)) return words.expected("a port (80) or ports (80-90)");
        words.next();
    }
    if (!words.at_end()) return words.expected("the end of the rule");
    return {};
}

}  // namespace

bool Rule::allows(Direction direction, const Frame& frame) const {
    if (!(direction == Direction::in ? in : out) || frame.protocol != protocol) return false;
    return from.covers(frame.source) && to.covers(frame.destination) &&
           frame.destination_port >= first_port && frame.destination_port <= last_port;
}

RuleError Rules::read_line(std::string_view line) {
    Words words(line);
    if (words.at_end()) return {};
    if (count_ == rules_max) return words.expected("the end of the file: 256 rules at most");
    Rule rule;
    const RuleError error = read_rule(words, rule);
    if (error.ok()) rules_[count_++] = rule;
    return error;
}

RuleError Rules::read(std::string_view text) {
    count_ = 0;
    if (text.size() > rule_text_max) return {1, 1, "a file of 64 KiB at most", {}};
    for (uint32_t number = 1; !text.empty(); ++number) {
        const size_t length = text.find('\n');
        RuleError error = read_line(text.substr(0, length));
        if (!error.ok()) {
            count_ = 0;
            error.line = number;
            return error;
        }
        text.remove_prefix(length == std::string_view::npos ? text.size() : length + 1);
    }
    return {};
}

}  // namespace annulus::firewall
