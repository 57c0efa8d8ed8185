// SPDX-License-Identifier: MIT
// The firewall's rule file: what is read, and what is said about mistakes.
#include "proxies/firewall/rules.h"

#include "tests/host/firewall/frames.h"

#include <gtest/gtest.h>

namespace annulus::firewall {
namespace {

RuleError error_of(std::string_view text) {
    Rules rules;
    const RuleError error = rules.read(text);
    EXPECT_EQ(rules.all().empty(), !error.ok() || text.empty());
    return error;
}

TEST(FirewallRules, ReadsAllParts) {
    Rules rules;
    ASSERT_TRUE(rules
                    .read("# the web server\n"
                          "allow in tcp from 10.0.2.0/24 to 10.0.2.15 port 80-81 # two ports\r\n"
                          "\n"
                          "  allow\tboth arp\n"
                          "allow out udp port 53")
                    .ok());
    ASSERT_EQ(rules.all().size(), 3u);
    const Rule& web = rules.all()[0];
    EXPECT_TRUE(web.in);
    EXPECT_FALSE(web.out);
    EXPECT_EQ(web.protocol, Protocol::tcp);
    EXPECT_TRUE(web.from.covers(address(10, 0, 2, 255)));
    EXPECT_FALSE(web.from.covers(address(10, 0, 3, 0)));
    EXPECT_TRUE(web.to.covers(address(10, 0, 2, 15)));
    EXPECT_FALSE(web.to.covers(address(10, 0, 2, 14)));
    EXPECT_EQ(web.first_port, 80);
    EXPECT_EQ(web.last_port, 81);
    EXPECT_TRUE(rules.all()[1].in && rules.all()[1].out);
    EXPECT_EQ(rules.all()[2].protocol, Protocol::udp);
    EXPECT_EQ(rules.all()[2].from.mask, 0u);
}

TEST(FirewallRules, AnEmptyFileAllowsNothing) {
    Rules rules;
    EXPECT_TRUE(rules.read("").ok());
    EXPECT_TRUE(rules.all().empty());
}

TEST(FirewallRules, MistakesAreNamedWithTheirPlace) {
    struct Case {
        const char* text;
        uint32_t line;
        uint32_t column;
        const char* expected;
        const char* found;
    };
    const char* prefix = "an address (10.0.2.2), a prefix (10.0.2.0/24) or any";
    const char* ports = "a port (80) or ports (80-90)";
    const char* end = "the end of the rule";
    const Case cases[] = {
        {"deny in tcp", 1, 1, "allow", "deny"},
        {"\n\nallow tcp", 3, 7, "in, out or both", "tcp"},
        {"allow in", 1, 9, "arp, icmp, tcp or udp", ""},
        {"allow in sctp", 1, 10, "arp, icmp, tcp or udp", "sctp"},
        {"allow in tcp from", 1, 18, prefix, ""},
        {"allow in tcp from 10.0.2", 1, 19, prefix, "10.0.2"},
        {"allow in tcp from 10.0.2.256", 1, 19, prefix, "10.0.2.256"},
        {"allow in tcp from 10.0.2.015", 1, 19, prefix, "10.0.2.015"},
        {"allow in tcp from 10.0.2.1/33", 1, 19, prefix, "10.0.2.1/33"},
        {"allow in tcp to 10.0.2.1/24", 1, 17, prefix, "10.0.2.1/24"},
        {"allow in tcp port 0", 1, 19, ports, "0"},
        {"allow in tcp port 65536", 1, 19, ports, "65536"},
        {"allow in tcp port 90-80", 1, 19, ports, "90-80"},
        {"allow in tcp port 80,81", 1, 19, ports, "80,81"},
        {"allow in arp port 80", 1, 14, end, "port"},
        {"allow in icmp port 80", 1, 15, end, "port"},
        {"allow in tcp to any from any", 1, 21, end, "from"},
        {"allow in tcp everything", 1, 14, end, "everything"},
    };
    for (const Case& c : cases) {
        const RuleError error = error_of(c.text);
        ASSERT_FALSE(error.ok()) << c.text;
        EXPECT_EQ(error.line, c.line) << c.text;
        EXPECT_EQ(error.column, c.column) << c.text;
        EXPECT_STREQ(error.expected, c.expected) << c.text;
        EXPECT_EQ(error.found, c.found) << c.text;
    }
}

TEST(FirewallRules, AFileHas256RulesAnd64KiBAtMost) {
    std::string text;
    for (size_t i = 0; i < rules_max; ++i) text += "allow in arp\n";
    EXPECT_TRUE(error_of(text).ok());
    EXPECT_EQ(error_of(text + "allow in arp").line, rules_max + 1);
    const std::string comment = "#" + std::string(rule_text_max - 1, ' ');
    Rules rules;
    EXPECT_TRUE(rules.read(comment).ok());
    EXPECT_FALSE(rules.read(comment + "\n").ok());  // rule_text_max + 1
}

TEST(FirewallRules, AnErrorLeavesNoRules) {
    Rules rules;
    ASSERT_TRUE(rules.read("allow in arp").ok());
    EXPECT_FALSE(rules.read("allow in arp\nallow everything").ok());
    EXPECT_TRUE(rules.all().empty());
}

}  // namespace
}  // namespace annulus::firewall
