// SPDX-License-Identifier: MIT
// The loader's information, sane and hostile.
#include "boot/start_info.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace annulus::arch {
namespace {

constexpr PhysicalRange kernel_range{0x200000, 0x300000};
constexpr uint64_t limit = uint64_t{1} << 40;

// Physical memory whose first 64 KiB can be read.
class StartInfoTest : public testing::Test {
protected:
    StartInfoTest() : memory_(0x10000) {
        start_ = {hvm_start_magic, 1, 0, 1, 0x2000, 0x3000, 0xe0000, 0x4000, 2, 0};
        put(0x2000, HvmModule{0x500000, 0x1234, 0, 0});
        std::memcpy(memory_.data() + 0x3000, "log=all quiet", 14);
        put(0x4000, HvmMapEntry{0, 0x1000000, 1, 0});
        put(0x4000 + sizeof(HvmMapEntry), HvmMapEntry{0xf0000, 0x10000, 2, 0});
    }

    template <typename T>
    void put(uint64_t address, const T& value) {
        std::memcpy(memory_.data() + address, &value, sizeof(value));
    }

    StartProblem read(uint64_t at = 0x1000) {
        put(0x1000, start_);
        info_ = StartInfo{};
        return read_start_info(PhysicalWindow(memory_.data(), memory_.size()), at, kernel_range,
                               limit, info_);
    }

    std::vector<std::byte> memory_;
    HvmStartInfo start_;
    StartInfo info_;
};

TEST_F(StartInfoTest, ReadsEverything) {
    ASSERT_EQ(read(), StartProblem::none);
    EXPECT_EQ(info_.command_line(), "log=all quiet");
    EXPECT_EQ(info_.archive, (PhysicalRange{0x500000, 0x501234}));
    EXPECT_EQ(info_.rsdp, 0xe0000u);
    EXPECT_TRUE(info_.map.ram.covers({0x100000, 0x1000000}));
    EXPECT_FALSE(info_.map.ram.covers({0xf0000, 0xf1000}));
}

TEST_F(StartInfoTest, NamesEachProblem) {
    start_.magic = 1;
    EXPECT_EQ(read(), StartProblem::bad_magic);
    start_.magic = hvm_start_magic;
    start_.version = 0;
    EXPECT_EQ(read(), StartProblem::old_version);
    start_.version = 2;
    EXPECT_EQ(read(), StartProblem::none);
    EXPECT_EQ(read(0xfff0), StartProblem::unreadable);
    EXPECT_EQ(read(~uint64_t{0}), StartProblem::unreadable);
    start_.memory_map_entries = map_entries_max + 1;
    EXPECT_EQ(read(), StartProblem::too_many_map_entries);
    start_.memory_map_entries = 2;
    start_.memory_map = 0xfff8;
    EXPECT_EQ(read(), StartProblem::unreadable);
    start_.memory_map = 0x4000 + sizeof(HvmMapEntry);
    start_.memory_map_entries = 1;
    EXPECT_EQ(read(), StartProblem::kernel_outside_ram);
    start_.memory_map = 0x4000;
    start_.modules = ~uint64_t{0} - 8;
    EXPECT_EQ(read(), StartProblem::unreadable);
}

TEST_F(StartInfoTest, RefusesAnArchiveThatIsNotInFreeRam) {
    for (const HvmModule module : {HvmModule{0x2ff000, 0x10, 0, 0},          // in the kernel
                                   HvmModule{0x1ff000, 0x200000, 0, 0},      // around it
                                   HvmModule{0xfff000, 0x1001, 0, 0},        // over the end
                                   HvmModule{0xf0000, 0x10, 0, 0},           // reserved
                                   HvmModule{~uint64_t{0} - 4, 0x10, 0, 0},  // overflows
                                   HvmModule{0x500000, ~uint64_t{0}, 0, 0}}) {
        put(0x2000, module);
        EXPECT_EQ(read(), StartProblem::archive_outside_ram) << module.address;
    }
    put(0x2000, HvmModule{0x300000, 0x10, 0, 0});
    EXPECT_EQ(read(), StartProblem::none);
    put(0x2000, HvmModule{0x500000, 0, 0, 0});
    EXPECT_EQ(read(), StartProblem::none);
    EXPECT_TRUE(info_.archive.empty());
}

TEST_F(StartInfoTest, CutsTheCommandLineOff) {
    std::memset(memory_.data() + 0x5000, 'x', 0xb000);
    start_.command_line = 0x5000;
    ASSERT_EQ(read(), StartProblem::none);
    EXPECT_EQ(info_.command_line().size(), command_line_max);
    memory_[0x5000 + command_line_max + 1] = std::byte{0};  // of command_line_max + 1 bytes
    ASSERT_EQ(read(), StartProblem::none);
    EXPECT_EQ(info_.command_line().size(), command_line_max);
    memory_[0x5000 + command_line_max] = std::byte{0};
    ASSERT_EQ(read(), StartProblem::none);
    EXPECT_EQ(info_.command_line(), std::string(command_line_max, 'x'));
    start_.command_line = 0x10000 - 5;  // ends at the end of what can be read
    ASSERT_EQ(read(), StartProblem::none);
    EXPECT_EQ(info_.command_line(), "xxxxx");
    start_.command_line = 0;
    ASSERT_EQ(read(), StartProblem::none);
    EXPECT_EQ(info_.command_line(), "");
}

// Whatever the bytes, nothing outside the window is read (the sanitized build watches).
TEST_F(StartInfoTest, SurvivesNoise) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 3000; ++round) {
        for (int i = 0; i < 6; ++i) {
            const uint64_t places[] = {0x2000, 0x4000, 0x4018};
            memory_[places[random() % 3] + random() % 32] = static_cast<std::byte>(random());
        }
        uint64_t* const words[] = {&start_.modules, &start_.command_line, &start_.memory_map};
        *words[random() % 3] = random() >> random() % 64;
        start_.memory_map_entries = static_cast<uint32_t>(random() % 300);
        if (read() != StartProblem::none) continue;
        EXPECT_TRUE(info_.map.ram.covers(kernel_range));
        if (!info_.archive.empty()) {
            EXPECT_TRUE(info_.map.ram.covers(widen_to_pages(info_.archive)));
        }
    }
}

}  // namespace
}  // namespace annulus::arch
