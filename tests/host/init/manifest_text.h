// SPDX-License-Identifier: MIT
// Manifests for tests: sound programs by name, and checks of the outcome.
#pragma once

#include "services/init/manifest.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace annulus::init::test {

inline const std::string small_budget =
    "budget { pages 16 kernel 16K handles 8 threads 1 weight 100 priority 8 }\n";

// A program of eight lines: keyword, file, budget, on exit, then `lines`, and the brace.
inline std::string program(const std::string& name, const std::string& lines = "") {
    return "program " + name + " {\nfile \"programs/" + name + "\"\n" + small_budget +
           "on exit nothing\n" + lines + "\n}\n";
}

struct Outcome {
    bool accepted = false;
    std::unique_ptr<Manifest> manifest = std::make_unique<Manifest>();
    ManifestError error;
    std::string report;  // with file, line and column
};

// `text` must outlive the outcome: names refer into it.
inline Outcome parse(const std::string& text) {
    Outcome outcome;
    outcome.accepted = parse_manifest(text, *outcome.manifest, outcome.error);
    char buffer[512];
    outcome.report = format_error(buffer, "manifest", outcome.error);
    return outcome;
}

inline void expect_good(const std::string& text) {
    const Outcome outcome = parse(text);
    EXPECT_TRUE(outcome.accepted) << outcome.report;
    EXPECT_EQ(outcome.error.fault, ManifestFault::none);
}

inline void expect_bad(const std::string& text, ManifestFault fault, const std::string& report) {
    const Outcome outcome = parse(text);
    EXPECT_FALSE(outcome.accepted) << text;
    EXPECT_EQ(outcome.report, "manifest:" + report);
    EXPECT_EQ(outcome.error.fault, fault) << outcome.report;
}

// An error in `line`, written as the fifth line of a program.
inline void expect_bad_line(const std::string& line, ManifestFault fault,
                            const std::string& report) {
    expect_bad(program("p", line), fault, "5:" + report);
}

}  // namespace annulus::init::test
