// SPDX-License-Identifier: MIT
// What the ABI generator writes equals what is committed, so that a change of the ABI shows in
// review.
//
// After a wanted change: build/target/host_tools/abi_generator reference docs/reference
//                        build/target/host_tools/abi_generator header
//                        tests/host/abi/objects.h.golden

#include "tools/abi_generator/generator.h"
#include "abi/errors.h"
#include "abi/limits.h"
#include "abi/operations.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace annulus::generator {
namespace {

// This file is tests/host/abi/generator_test.cpp below the project's root.
std::filesystem::path root() {
    return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path().parent_path();
}

std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

TEST(AbiGenerator, HeaderIsAsCommitted) {
    EXPECT_EQ(objects_header(), read(root() / "tests/host/abi/objects.h.golden"));
}

TEST(AbiGenerator, ReferencePagesAreAsCommitted) {
    std::set<std::string> wanted;
    for (const Page& page : reference_pages()) {
        wanted.insert(page.file);
        EXPECT_EQ(page.text, read(root() / "docs/reference" / page.file)) << page.file;
    }
    for (const auto& entry : std::filesystem::directory_iterator(root() / "docs/reference")) {
        EXPECT_TRUE(wanted.contains(entry.path().filename())) << entry.path() << " is left over";
    }
}

TEST(AbiGenerator, NamesFollowTheRules) {
    EXPECT_EQ(class_name("server_death"), "ServerDeath");
    EXPECT_EQ(class_name(abi::ObjectType::any), "Object");
    const abi::Operation map = {abi::ObjectType::process, abi::Verb::map, 0, "map", ""};
    const abi::Operation unmap = {abi::ObjectType::process, abi::Verb::map, 1, "unmap", ""};
    EXPECT_EQ(method_name(map), "map");
    EXPECT_EQ(method_name(unmap), "map_unmap");
}

TEST(AbiGenerator, EveryOperationIsNumberedOnce) {
    std::set<std::tuple<abi::ObjectType, abi::Verb, uint16_t>> numbers;
    std::set<std::string> names;
    for (const abi::Operation& operation : abi::operations) {
        EXPECT_TRUE(numbers.insert({operation.object, operation.verb, operation.selector}).second)
            << operation.name;
        EXPECT_TRUE(names.insert(class_name(operation.object) + method_name(operation)).second)
            << operation.name;
    }
}

TEST(AbiGenerator, MovedOperandsFitTheMask) {
    for (const abi::Operation& operation : abi::operations) {
        size_t moved = 0;
        for (const auto& [word, operand] : present(operation.in)) {
            moved += operand->kind == abi::OperandKind::moved ? 1 : 0;
        }
        EXPECT_LE(moved, abi::moved_handles_max) << operation.name;
    }
}

TEST(Errors, EveryCodeHasANameAndASentence) {
    std::set<std::string> names;
    for (const auto& error : abi::error_descriptions) {
        EXPECT_TRUE(names.insert(error.name).second) << error.name;
        EXPECT_NE(error.sentence[0], 0) << error.name;
    }
    EXPECT_STREQ(abi::name_of(abi::Error::not_granted), "not_granted");
    EXPECT_STREQ(abi::name_of(static_cast<abi::Error>(abi::error_count)), "unknown");
}

}  // namespace
}  // namespace annulus::generator
