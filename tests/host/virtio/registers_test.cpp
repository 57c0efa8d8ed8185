// SPDX-License-Identifier: MIT
// A virtio device's capabilities, sane and hostile.
#include "drivers/network/virtio/queue/registers.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace annulus::virtio {
namespace {

class Config {
public:
    Config() {
        bytes_[6] = std::byte{0x10};
        add(0x40, 1, 4, 0, 0x1000);
        add(0x50, 3, 4, 0x1000, 0x1000);
        add(0x60, 4, 4, 0x2000, 0x1000);
        add(0x70, 2, 4, 0x3000, 0x1000, 20);
        set(0x80, 4, 4);
        add(0x90, 5, 0, 0, 0);
    }
    void set(size_t at, unsigned width, uint32_t value) {
        for (unsigned i = 0; i < width; ++i)
            bytes_[at + i] = static_cast<std::byte>(value >> 8 * i);
    }
    void add(size_t at, uint32_t kind, uint32_t bar, uint32_t offset, uint32_t length,
             uint32_t size = 16) {
        set(link_, 1, static_cast<uint32_t>(at));
        set(at, 1, 9);
        set(at + 2, 1, size);
        set(at + 3, 1, kind);
        set(at + 4, 1, bar);
        set(at + 8, 4, offset);
        set(at + 12, 4, length);
        link_ = at + 1;
    }
    std::array<std::byte, 256>& bytes() { return bytes_; }

private:
    std::array<std::byte, 256> bytes_{};
    size_t link_ = 0x34;
};

TEST(VirtioRegisters, AreFound) {
    Config config;
    const auto areas = find_registers(config.bytes());
    ASSERT_TRUE(areas.has_value());
    EXPECT_EQ(areas->common.bar, 4);
    EXPECT_EQ(areas->common.offset, 0u);
    EXPECT_EQ(areas->device.offset, 0x2000u);
    EXPECT_EQ(areas->notify.offset, 0x3000u);
    EXPECT_EQ(areas->notify_multiplier, 4u);
}

TEST(VirtioRegisters, TheFirstOfAKindCounts) {
    Config config;
    config.add(0xa0, 1, 2, 0x8000, 0x1000);
    EXPECT_EQ(find_registers(config.bytes())->common.bar, 4);
}

TEST(VirtioRegisters, MustBeWhole) {
    for (const auto& [at, width, value] :
         std::vector<std::array<uint32_t, 3>>{{0x06, 1, 0},           // no capabilities
                                              {0x34, 1, 0x50},        // no common structure
                                              {0x4c, 4, 55},          // too short
                                              {0x44, 1, 6},           // no such BAR
                                              {0x48, 4, 2},           // not aligned
                                              {0x68, 4, 0xfffff000},  // overflows
                                              {0x6c, 4, 7},
                                              {0x7c, 4, 1},
                                              {0x72, 1, 16},       // no multiplier
                                              {0x51, 1, 0x40}}) {  // goes round in circles
        Config config;
        config.set(at, width, value);
        EXPECT_FALSE(find_registers(config.bytes()).has_value()) << at;
    }
    EXPECT_FALSE(find_registers({}).has_value());
}

TEST(VirtioRegisters, SurviveNoise) {
    std::mt19937_64 random(5);
    for (int round = 0; round < 50000; ++round) {
        Config config;
        for (int i = 0; i < 4; ++i) {
            config.bytes()[random() % 256] = static_cast<std::byte>(random());
        }
        const auto areas = find_registers(config.bytes());
        if (!areas) continue;
        for (const RegisterArea& area : {areas->common, areas->notify, areas->device}) {
            ASSERT_LT(area.bar, 6);
            ASSERT_LE(area.offset, area.offset + area.length);
        }
    }
}

}  // namespace
}  // namespace annulus::virtio
