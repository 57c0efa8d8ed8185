// SPDX-License-Identifier: MIT
// Start blocks: what one side builds, the other reads; nothing is written outside.

#include "runtime/start_block.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace annulus {
namespace {

std::string text(const std::byte* begin, uint32_t offset, uint32_t length) {
    const auto* characters = reinterpret_cast<const char*>(begin) + offset;
    EXPECT_EQ(characters[length], 0);
    return {characters, length};
}

TEST(StartBlock, HoldsHandlesAndArguments) {
    alignas(8) std::byte memory[512] = {};
    auto created = StartBlockBuilder::create(memory, 2, 1);
    ASSERT_TRUE(created.ok());
    StartBlockBuilder& builder = *created;
    EXPECT_TRUE(builder.add_handle("budget", 0x500000003).ok());
    EXPECT_TRUE(builder.add_argument("only=this").ok());
    EXPECT_TRUE(builder.add_handle("", 7).ok());

    const abi::StartBlock& block = builder.block();
    EXPECT_EQ(block.version, abi::start_block_version);
    EXPECT_EQ(block.size, builder.size());
    ASSERT_EQ(block.handle_count, 2u);
    ASSERT_EQ(block.argument_count, 1u);
    const auto* handles = reinterpret_cast<const abi::StartHandle*>(memory + block.handles_offset);
    EXPECT_EQ(handles[0].handle, 0x500000003u);
    EXPECT_EQ(text(memory, handles[0].name_offset, handles[0].name_length), "budget");
    EXPECT_EQ(text(memory, handles[1].name_offset, handles[1].name_length), "");
    const auto* arguments =
        reinterpret_cast<const abi::StartArgument*>(memory + block.arguments_offset);
    EXPECT_EQ(text(memory, arguments[0].offset, arguments[0].length), "only=this");
}

TEST(StartBlock, RefusesMoreThanAnnounced) {
    alignas(8) std::byte memory[512] = {};
    auto builder = StartBlockBuilder::create(memory, 1, 0);
    ASSERT_TRUE(builder.ok());
    EXPECT_TRUE(builder->add_handle("a", 1).ok());
    EXPECT_EQ(builder->add_handle("b", 2).error(), Error::too_many);
    EXPECT_EQ(builder->add_argument("c").error(), Error::too_many);
    EXPECT_EQ(builder->block().handle_count, 1u);
}

// With every size from none up, the builder either fits or refuses; the sanitizer sees the rest.
TEST(StartBlock, NeverWritesOutside) {
    for (size_t size = 0; size <= 200; ++size) {
        const std::unique_ptr<std::byte[]> memory(new std::byte[size]());
        auto builder = StartBlockBuilder::create({memory.get(), size}, 2, 1);
        if (!builder.ok()) {
            EXPECT_LT(size, sizeof(abi::StartBlock) + 2 * 16 + 8);
            continue;
        }
        static_cast<void>(builder->add_handle("a longer name", 1));
        static_cast<void>(builder->add_argument("an argument"));
        static_cast<void>(builder->add_handle("x", 1));
        EXPECT_LE(builder->size(), size);
    }
    EXPECT_EQ(StartBlockBuilder::create({}, SIZE_MAX / 8, 1).error(), Error::too_many);
}

}  // namespace
}  // namespace annulus
