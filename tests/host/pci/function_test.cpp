// SPDX-License-Identifier: MIT
// Configuration spaces, sane and hostile.
#include "services/pci/config/function.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "services/pci/config/bus_walk.h"
#include "tests/host/pci/fake_space.h"

namespace annulus::pci {
namespace {

Function read(FakeSpace& space) {
    Function function;
    EXPECT_TRUE(read_function(space, function));
    return function;
}

TEST(PciFunction, ReadsWhoItIs) {
    FakeSpace space;
    const Function function = read(space);
    EXPECT_EQ(function.vendor, 0x1af4);
    EXPECT_EQ(function.device, 0x1041);
    EXPECT_EQ(function.class_code, 2);
    EXPECT_EQ(function.subclass, 0);
    EXPECT_EQ(function.revision, 1);
    EXPECT_EQ(function.subsystem, 0x1100);
    EXPECT_FALSE(function.is_bridge);
}

TEST(PciFunction, NobodyAnswersWithOnes) {
    FakeSpace space;
    Function function;
    for (const uint32_t id : {0xffffffffu, 0u, 0x1234ffffu}) {
        space.set(0, 4, id);
        EXPECT_FALSE(read_function(space, function));
    }
}

TEST(PciFunction, SizesItsRegistersAndRestoresThem) {
    FakeSpace space;
    space.set_bar(0, 0xfebf0000, 0x1000, false);
    space.set_bar(1, 0xfe000000, 0x4000, true);
    space.set_bar(4, 0x7000000000, uint64_t{1} << 33, true);
    space.set(0x10 + 12, 4, 0xc001);
    space.writable(0x10 + 12, 4, 0xffe0);
    const Function function = read(space);
    EXPECT_EQ(function.bars[0].size, 0x1000u);
    EXPECT_EQ(function.bars[0].address, 0xfebf0000u);
    EXPECT_EQ(function.bars[1].size, 0x4000u);
    EXPECT_EQ(function.bars[2].kind, Bar::Kind::none);
    EXPECT_EQ(function.bars[3].kind, Bar::Kind::ports);
    EXPECT_EQ(function.bars[3].size, 32u);
    EXPECT_EQ(function.bars[3].address, 0xc000u);
    EXPECT_EQ(function.bars[4].size, uint64_t{1} << 33);
    EXPECT_EQ(function.bars[4].address, 0x7000000000u);
    EXPECT_EQ(space.read(0x10, 4), 0xfebf0000u);
    EXPECT_EQ(space.read(0x24, 4), 0x70u);
}

TEST(PciFunction, TakesAwayTheRightToStartDma) {
    FakeSpace space;
    space.set(4, 2, 7);
    read(space);
    EXPECT_EQ(space.read(4, 2), 3u);
}

TEST(PciFunction, ABridgeKeepsIt) {
    FakeSpace space;
    space.set(4, 2, 7);
    space.set(0x0e, 1, 1);
    space.set(0x19, 1, 5);
    const Function function = read(space);
    EXPECT_TRUE(function.is_bridge);
    EXPECT_EQ(function.secondary_bus, 5);
    EXPECT_EQ(space.read(4, 2), 7u);
}

TEST(PciFunction, RegistersThatAreNoneAreLeftOut) {
    FakeSpace space;
    space.set(0x10, 4, 0xfebf0000);  // nothing can be written
    space.set_bar(1, 0xfebf0000, 0x1000, false);
    space.writable(0x14, 4, 0xff00f000);          // a hole in the mask
    space.set_bar(2, 0xfebf1000, 0x4000, false);  // not aligned to its size
    space.set(0x10 + 20, 4, 4);                   // 64 bits, without a second half
    space.writable(0x10 + 20, 4, 0xfffff000);
    const Function function = read(space);
    for (const Bar& bar : function.bars) EXPECT_EQ(bar.kind, Bar::Kind::none);
}

TEST(PciFunction, RegistersOf64TiBAreTheLargest) {
    constexpr uint64_t bar_size_max = uint64_t{1} << 46;
    for (const uint64_t size : {bar_size_max, 2 * bar_size_max}) {
        FakeSpace space;
        space.set_bar(0, 0, size, true);
        const Function function = read(space);
        const bool taken = size <= bar_size_max;
        EXPECT_EQ(function.bars[0].kind, taken ? Bar::Kind::memory : Bar::Kind::none);
        EXPECT_EQ(function.bars[0].size, taken ? size : 0);
    }
}

TEST(PciFunction, PagesAreShared) {
    const Bar bar{Bar::Kind::memory, 0x10000, 0x2000};
    EXPECT_TRUE(bar.shares_page_with({Bar::Kind::memory, 0x11f00, 0x100}));
    EXPECT_TRUE(bar.shares_page_with({Bar::Kind::memory, 0x1000, 0x100000}));
    EXPECT_FALSE(bar.shares_page_with({Bar::Kind::memory, 0x12000, 0x1000}));
    EXPECT_FALSE(bar.shares_page_with({Bar::Kind::ports, 0x10000, 0x1000}));
    EXPECT_FALSE(bar.shares_page_with({Bar::Kind::memory, 0, 0x1000}));
}

TEST(PciFunction, FindsMessages) {
    FakeSpace space;
    space.set_bar(1, 0xfebf0000, 0x4000, false);
    space.add_capability(0x40, 0x09);
    space.add_capability(0x50, 0x11);
    space.set(0x52, 2, 3);
    space.set(0x54, 4, 0x1000 | 1);
    space.set(0x58, 4, 0x2800 | 1);
    const Function function = read(space);
    ASSERT_TRUE(function.messages.present());
    EXPECT_EQ(function.messages.entries, 4);
    EXPECT_EQ(function.messages.table_bar, 1);
    EXPECT_EQ(function.messages.table_offset, 0x1000u);
    EXPECT_TRUE(function.messages.overlaps(1, 0x1fff, 1));
    EXPECT_TRUE(function.messages.overlaps(1, 0, 0x4000));
    EXPECT_FALSE(function.messages.overlaps(1, 0, 0x1000));
    EXPECT_FALSE(function.messages.overlaps(1, 0x2000, 0x2000));
    EXPECT_FALSE(function.messages.overlaps(0, 0x1000, 0x1000));
}

TEST(PciFunction, MessagesBeyondTheRegistersDoNotCount) {
    FakeSpace space;
    space.set_bar(1, 0xfebf0000, 0x1000, false);
    space.add_capability(0x50, 0x11);
    for (const auto& [control, table, pending] :
         std::vector<std::array<uint32_t, 3>>{{3, 0xfc9, 1},
                                              {0x7ff, 1, 1},
                                              {3, 1, 0xffffff01},
                                              {3, 7, 1},
                                              {3, 0, 1},
                                              {3, 0xfffffff9, 1}}) {
        space.set(0x52, 2, control);
        space.set(0x54, 4, table);
        space.set(0x58, 4, pending);
        EXPECT_FALSE(read(space).messages.present()) << table;
    }
}

TEST(PciFunction, ALoopOfCapabilitiesEnds) {
    FakeSpace space;
    space.add_capability(0x40, 1);
    space.add_capability(0x50, 2);
    space.set(0x51, 1, 0x40);
    EXPECT_EQ(find_capability(space, 0x11), 0u);
    EXPECT_EQ(find_capability(space, 2), 0x50u);
    EXPECT_EQ(find_capability(space, 2, 0x50), 0x50u);  // round the loop
    space.set(0x51, 1, 0x08);                           // into the header
    EXPECT_EQ(find_capability(space, 0x11), 0u);
}

TEST(PciFunction, TurnsMessagesOnAndOff) {
    FakeSpace space;
    space.set_bar(1, 0xfebf0000, 0x4000, false);
    space.add_capability(0x50, 0x11);
    space.set(0x52, 2, 3);
    space.writable(0x52, 2, 0xc000);
    space.set(0x54, 4, 1);
    space.set(0x58, 4, 0x800 | 1);
    const Function function = read(space);
    set_messages_enabled(space, function.messages, true);
    EXPECT_EQ(space.read(0x52, 2), 0x8003u);
    set_messages_enabled(space, function.messages, false);
    EXPECT_EQ(space.read(0x52, 2), 0x4003u);
}

TEST(PciFunction, FindsItsReset) {
    FakeSpace space;
    EXPECT_EQ(read(space).reset, ResetKind::none);
    space.add_capability(0x40, 0x13);
    space.set(0x43, 1, 3);
    EXPECT_EQ(read(space).reset, ResetKind::advanced);
    space.add_capability(0x60, 0x10);
    EXPECT_EQ(read(space).reset, ResetKind::advanced);
    space.set(0x64, 4, 1u << 28);
    space.writable(0x68, 2, 0xffff);
    const Function function = read(space);
    EXPECT_EQ(function.reset, ResetKind::express);
    begin_reset(space, function);
    EXPECT_EQ(space.read(0x68, 2), 0x8000u);
}

TEST(PciFunction, RestoresItsRegisters) {
    FakeSpace space;
    space.set_bar(0, 0xfebf0000, 0x1000, false);
    space.set_bar(1, 0x7000000000, 0x4000, true);
    const Function function = read(space);
    for (const uint32_t at : {0x10u, 0x14u, 0x18u}) space.write(at, 4, 0);
    restore_bars(space, function);
    EXPECT_EQ(space.read(0x10, 4), 0xfebf0000u);
    EXPECT_EQ(space.read(0x14, 4), 0x00000004u);
    EXPECT_EQ(space.read(0x18, 4), 0x70u);
}

// Answers whatever it likes, and differently each time.
class Liar final : public ConfigSpace {
public:
    explicit Liar(uint64_t seed) : random_(seed) {}
    uint32_t read(uint32_t offset, uint32_t width) override {
        EXPECT_LE(offset + width, config_size);
        EXPECT_EQ(offset % width, 0u);
        return static_cast<uint32_t>(random_() & (~uint64_t{0} >> (64 - 8 * width)));
    }
    void write(uint32_t offset, uint32_t width, uint32_t) override {
        EXPECT_LE(offset + width, config_size);
    }

private:
    std::mt19937_64 random_;
};

TEST(PciFunction, SurvivesALiar) {
    for (uint64_t seed = 0; seed < 20000; ++seed) {
        Liar liar(seed);
        Function function;
        if (!read_function(liar, function)) continue;
        for (const Bar& bar : function.bars) {
            if (bar.kind == Bar::Kind::none) continue;
            ASSERT_EQ(bar.size & (bar.size - 1), 0u);
            ASSERT_LE(bar.address, bar.address + bar.size);
        }
        if (!function.messages.present()) continue;
        const Bar& bar = function.bars[function.messages.table_bar];
        ASSERT_LE(function.messages.table_offset + 16u * function.messages.entries, bar.size);
        set_messages_enabled(liar, function.messages, true);
        restore_bars(liar, function);
        begin_reset(liar, function);
    }
}

// --- buses

class FakeBuses {
public:
    FakeSpace& add(unsigned bus, unsigned device, unsigned function) {
        auto& place = spaces_[bus << 8 | device << 3 | function];
        place = std::make_unique<FakeSpace>();
        return *place;
    }
    void add_bridge(unsigned bus, unsigned device, uint8_t behind) {
        FakeSpace& bridge = add(bus, device, 0);
        bridge.set(0x0e, 1, 1);
        bridge.set(0x19, 1, behind);
    }
    ConfigSpace* space(unsigned bus, unsigned device, unsigned function) {
        ++asked_;
        const auto found = spaces_.find(bus << 8 | device << 3 | function);
        return found == spaces_.end() ? nullptr : found->second.get();
    }
    std::vector<uint16_t> walk(unsigned first, unsigned last) {
        std::vector<uint16_t> found;
        walk_buses(*this, first, last,
                   [&](uint16_t address, const Function&) { found.push_back(address); });
        return found;
    }
    unsigned asked() const { return asked_; }

private:
    std::map<unsigned, std::unique_ptr<FakeSpace>> spaces_;
    unsigned asked_ = 0;
};

TEST(PciBuses, FindsFunctionsBehindBridges) {
    FakeBuses buses;
    buses.add(0, 0, 0);
    buses.add(0, 3, 0).set(0x0e, 1, 0x80);
    buses.add(0, 3, 5);
    buses.add(0, 4, 0);
    buses.add(0, 4, 1);  // not looked at: function 0 has no siblings
    buses.add_bridge(0, 31, 7);
    buses.add(7, 2, 0);
    buses.add(9, 0, 0);  // behind no bridge
    EXPECT_EQ(buses.walk(0, 255),
              (std::vector<uint16_t>{0x0000, 0x0018, 0x001d, 0x0020, 0x00f8, 0x0710}));
    EXPECT_EQ(buses.walk(0, 6).size(), 5u);
}

TEST(PciBuses, BridgesInACircleEnd) {
    FakeBuses buses;
    buses.add_bridge(0, 1, 1);
    buses.add_bridge(0, 2, 0);
    buses.add_bridge(1, 1, 0);
    buses.add_bridge(1, 2, 1);
    EXPECT_EQ(buses.walk(0, 255).size(), 4u);
    EXPECT_LT(buses.asked(), 100u);
}

}  // namespace
}  // namespace annulus::pci
