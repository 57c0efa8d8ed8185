// SPDX-License-Identifier: MIT
// ACPI tables, sane and hostile.
#include "kernel/arch/x86_64/firmware/acpi.h"

#include "base/firmware_tables.h"
#include "kernel/arch/x86_64/firmware/acpi_tables.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

namespace annulus::arch {
namespace {

constexpr uint64_t rsdp_at = 0x100, root_at = 0x1000, madt_at = 0x2000, fadt_at = 0x3000;
constexpr uint64_t dsdt_at = 0x4000, mcfg_at = 0x5000;

using Bytes = std::vector<uint8_t>;

void append(Bytes& bytes, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(value >> 8 * i));
}

void set(Bytes& bytes, size_t offset, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes[offset + i] = static_cast<uint8_t>(value >> 8 * i);
}

class AcpiTest : public testing::Test {
protected:
    AcpiTest() : memory_(0x8000) {
        Bytes rsdp(36);
        std::memcpy(rsdp.data(), "RSD PTR ", 8);
        rsdp[15] = 2;
        set(rsdp, 20, 36, 4);
        set(rsdp, 24, root_at, 8);
        fix(rsdp, 8, 20);
        fix(rsdp, 32, 36);
        store(rsdp_at, rsdp);

        Bytes root;
        for (const uint64_t table : {madt_at, fadt_at, mcfg_at}) append(root, table, 8);
        store_table(root_at, "XSDT", root);
        store_table(madt_at, "APIC", madt());
        store_table(fadt_at, "FACP", fadt());
        const Bytes off{0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0a, 0x05, 0x0a, 0x07, 0, 0};
        store_table(dsdt_at, "DSDT", off);
        Bytes mcfg(8);
        append(mcfg, 0xb0000000, 8);
        append(mcfg, 0, 2);
        append(mcfg, 0, 1);
        append(mcfg, 255, 1);
        append(mcfg, 0, 4);
        store_table(mcfg_at, "MCFG", mcfg);
    }

    static Bytes madt() {
        Bytes b;
        append(b, 0xfee00000, 4);
        append(b, 1, 4);
        for (const uint8_t cpu : {4, 0, 7}) b.insert(b.end(), {0, 8, cpu, cpu, 1, 0, 0, 0});
        b.insert(b.end(), {0, 8, 9, 9, 0, 0, 0, 0});  // not enabled
        b.insert(b.end(), {1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0});
        b.insert(b.end(), {2, 10, 0, 0, 2, 0, 0, 0, 0, 0});      // timer on line 2
        b.insert(b.end(), {2, 10, 0, 9, 20, 0, 0, 0, 0x0f, 0});  // level, active low
        b.insert(b.end(), {99, 4, 1, 2});                        // unknown
        b.insert(b.end(), {9, 16, 0, 0, 44, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
        return b;
    }

    static Bytes fadt() {
        Bytes b(240);
        const auto at = [](size_t offset) { return offset - 36; };
        set(b, at(64), 0x604, 4);
        set(b, at(76), 0x608, 4);
        set(b, at(112), 1u << 10, 4);
        set(b, at(116), 1, 1);
        set(b, at(120), 0xcf9, 8);
        set(b, at(128), 0x0f, 1);
        set(b, at(140), dsdt_at, 8);
        return b;
    }

    static void fix(Bytes& bytes, size_t place, size_t size) {
        uint8_t sum = 0;
        for (size_t i = 0; i < size; ++i) sum = static_cast<uint8_t>(sum + bytes[i]);
        bytes[place] = static_cast<uint8_t>(bytes[place] - sum);
    }

    void store(uint64_t address, const Bytes& bytes) {
        std::memcpy(memory_.data() + address, bytes.data(), bytes.size());
    }

    void store_table(uint64_t address, const char* signature, const Bytes& body) {
        Bytes table(36);
        std::memcpy(table.data(), signature, 4);
        table.insert(table.end(), body.begin(), body.end());
        set(table, 4, table.size(), 4);
        fix(table, 9, table.size());
        store(address, table);
    }

    bool read(uint64_t rsdp = rsdp_at) {
        info_ = AcpiInfo{};
        return read_acpi(PhysicalWindow(memory_.data(), memory_.size()), rsdp, info_);
    }

    std::vector<std::byte> memory_;
    AcpiInfo info_;
};

TEST_F(AcpiTest, ReadsEverything) {
    ASSERT_TRUE(read());
    ASSERT_EQ(info_.cpu_count, 4u);
    EXPECT_EQ(info_.cpus[0], 4u);
    EXPECT_EQ(info_.cpus[3], 300u);
    ASSERT_EQ(info_.io_apic_count, 1u);
    EXPECT_EQ(info_.io_apics[0].address, 0xfec00000u);
    EXPECT_EQ(info_.isa[0].gsi, 2u);
    EXPECT_EQ(info_.isa[1].gsi, 1u);
    EXPECT_EQ(info_.isa[9].gsi, 20u);
    EXPECT_EQ(info_.isa[9].trigger, Trigger::level);
    EXPECT_EQ(info_.isa[9].polarity, Polarity::low);
    EXPECT_EQ(info_.timer_port, 0x608);
    EXPECT_EQ(info_.control_a, 0x604);
    EXPECT_EQ(info_.reset.address, 0xcf9u);
    EXPECT_EQ(info_.reset.space, AcpiRegister::Space::port);
    EXPECT_EQ(info_.reset_value, 0x0f);
    ASSERT_TRUE(info_.has_off_state);
    EXPECT_EQ(info_.off_a, 5);
    EXPECT_EQ(info_.off_b, 7);
    EXPECT_EQ(info_.pci.base, 0xb0000000u);
    EXPECT_EQ(info_.pci.last_bus, 255);
}

TEST_F(AcpiTest, WithoutTablesThereIsNothing) {
    EXPECT_FALSE(read(0));
    EXPECT_FALSE(read(0x7fff));
    EXPECT_FALSE(read(0x200));
    EXPECT_EQ(info_.cpu_count, 0u);
    EXPECT_EQ(info_.isa[5].gsi, 5u);
}

TEST_F(AcpiTest, SkipsATableWithABadChecksum) {
    memory_[madt_at + 40] ^= std::byte{1};
    ASSERT_TRUE(read());
    EXPECT_FALSE(info_.has_madt);
    EXPECT_TRUE(info_.has_fadt);
}

TEST_F(AcpiTest, StopsAtAnEntryThatIsTooLong) {
    Bytes b = madt();
    b[8 + 1] = 0;  // length of the first entry
    store_table(madt_at, "APIC", b);
    ASSERT_TRUE(read());
    EXPECT_EQ(info_.cpu_count, 0u);
    b[8 + 1] = 255;
    store_table(madt_at, "APIC", b);
    ASSERT_TRUE(read());
    EXPECT_EQ(info_.cpu_count, 0u);
}

TEST_F(AcpiTest, HardwareReducedMachinesHaveNoPorts) {
    Bytes b = fadt();
    set(b, 112 - 36, 1u << 20, 4);
    set(b, 244 - 36 + 4, 0xfea00000, 8);
    store_table(fadt_at, "FACP", b);
    ASSERT_TRUE(read());
    EXPECT_TRUE(info_.hardware_reduced);
    EXPECT_EQ(info_.timer_port, 0);
    EXPECT_EQ(info_.control_a, 0);
    EXPECT_EQ(info_.sleep_control.address, 0xfea00000u);
    EXPECT_EQ(info_.sleep_control.space, AcpiRegister::Space::memory);
}

TEST_F(AcpiTest, ShortTablesAreNotReadBeyondTheirEnd) {
    store_table(fadt_at, "FACP", Bytes(4));
    store_table(madt_at, "APIC", Bytes(4));
    store_table(mcfg_at, "MCFG", Bytes(10));
    ASSERT_TRUE(read());
    EXPECT_FALSE(info_.has_madt);
    EXPECT_EQ(info_.timer_port, 0);
    EXPECT_EQ(info_.pci.base, 0u);
}

TEST_F(AcpiTest, KnowsSoManyCpusAndInterruptControllersAndPassesOverTheRest) {
    memory_.resize(0x20000);
    const auto count_of = [&](uint32_t cpus, uint32_t io_apics) {
        Bytes body(8);
        for (uint32_t i = 0; i < cpus; ++i) {
            body.insert(body.end(), {9, 16, 0, 0});
            for (const uint32_t word : {i, 1u, i}) append(body, word, 4);
        }
        for (uint32_t i = 0; i < io_apics; ++i) {
            body.insert(body.end(), {1, 12, 0, 0});
            for (const uint32_t word : {0x1000 * i, 24 * i}) append(body, word, 4);
        }
        store_table(0x10000, "APIC", body);
        Bytes root;
        append(root, 0x10000, 8);
        store_table(root_at, "XSDT", root);
        EXPECT_TRUE(read());
        return std::pair(info_.cpu_count, info_.io_apic_count);
    };
    EXPECT_EQ(count_of(acpi_cpus_max, io_apics_max), std::pair(acpi_cpus_max, io_apics_max));
    EXPECT_EQ(count_of(acpi_cpus_max + 1, io_apics_max + 1),
              std::pair(acpi_cpus_max, io_apics_max));
    EXPECT_EQ(info_.cpus[acpi_cpus_max - 1], acpi_cpus_max - 1);
}

TEST_F(AcpiTest, ATableOfSixteenMegabytesIsReadAndNoLargerOne) {
    constexpr size_t table_size_max = 16 * 1024 * 1024;
    memory_.resize(0x10000 + table_size_max + 1);
    const PhysicalWindow window(memory_.data(), memory_.size());
    store_table(0x10000, "DSDT", Bytes(table_size_max - acpi_header_size));
    EXPECT_EQ(acpi_table_at(window, 0x10000).size(), table_size_max);
    store_table(0x10000, "DSDT", Bytes(table_size_max + 1 - acpi_header_size));
    EXPECT_TRUE(acpi_table_at(window, 0x10000).empty());
}

// --- the copy for programs

class AcpiCopyTest : public AcpiTest {
protected:
    std::vector<std::byte> copy() {
        const PhysicalWindow window(memory_.data(), memory_.size());
        std::vector<std::byte> bytes(copy_acpi_tables(window, rsdp_at, {}));
        EXPECT_EQ(copy_acpi_tables(window, rsdp_at, bytes), bytes.size());
        return bytes;
    }
};

TEST_F(AcpiCopyTest, HoldsEveryTable) {
    const auto bytes = copy();
    const auto tables = FirmwareTables::open(bytes);
    ASSERT_TRUE(tables.has_value());
    EXPECT_EQ(tables->count(), 4u);
    const auto mcfg = tables->find("MCFG");
    ASSERT_EQ(mcfg.size(), 60u);
    EXPECT_EQ(acpi_field<uint64_t>(mcfg, 44), 0xb0000000u);
    EXPECT_EQ(tables->find("DSDT").size(), 36u + 14);
    EXPECT_TRUE(tables->find("FACS").empty());
}

TEST_F(AcpiCopyTest, LeavesOutTablesWithABadChecksum) {
    memory_[mcfg_at + 44] ^= std::byte{1};
    const auto bytes = copy();
    const auto tables = FirmwareTables::open(bytes);
    ASSERT_TRUE(tables.has_value());
    EXPECT_EQ(tables->count(), 3u);
    EXPECT_TRUE(tables->find("MCFG").empty());
}

TEST_F(AcpiCopyTest, WithoutTablesThereIsAnEmptyList) {
    memory_[rsdp_at] = std::byte{0};
    const auto bytes = copy();
    const auto tables = FirmwareTables::open(bytes);
    ASSERT_TRUE(tables.has_value());
    EXPECT_EQ(tables->count(), 0u);
}

TEST_F(AcpiCopyTest, TakesNoTableTwice) {
    Bytes root;
    for (int i = 0; i < 500; ++i) append(root, i % 2 == 0 ? madt_at : fadt_at, 8);
    store_table(root_at, "XSDT", root);
    const auto bytes = copy();
    EXPECT_EQ(FirmwareTables::open(bytes)->count(), 3u);
}

TEST_F(AcpiCopyTest, TakesSoManyTablesAndLeavesOutTheRest) {
    memory_.resize(0x20000);
    const auto copied = [&](uint32_t count) {
        Bytes root;
        for (uint32_t i = 0; i < count; ++i) {
            store_table(0x10000 + 64 * i, "SSDT", {});
            append(root, 0x10000 + 64 * i, 8);
        }
        store_table(root_at, "XSDT", root);
        return FirmwareTables::open(copy())->count();
    };
    EXPECT_EQ(copied(copied_tables_max), copied_tables_max);
    EXPECT_EQ(copied(copied_tables_max + 1), copied_tables_max);
}

TEST_F(AcpiCopyTest, TakesSoManyBytesAndLeavesOutATableBeyond) {
    memory_.resize(0x20000 + copied_bytes_max + 1);
    const auto copied = [&](uint64_t bytes) {
        store_table(0x10000, "SSDT", {});  // 36 bytes, which take 40
        store_table(0x20000, "SSDT", Bytes(bytes - 40 - acpi_header_size));
        Bytes root;
        for (const uint64_t table : {0x10000, 0x20000}) append(root, table, 8);
        store_table(root_at, "XSDT", root);
        return FirmwareTables::open(copy())->count();
    };
    EXPECT_EQ(copied(copied_bytes_max), 2u);
    EXPECT_EQ(copied(copied_bytes_max + 1), 1u);
}

TEST_F(AcpiCopyTest, ReadersCheckBounds) {
    std::mt19937_64 random(2);
    const auto sound = copy();
    EXPECT_FALSE(FirmwareTables::open(std::span(sound).first(8)).has_value());
    EXPECT_FALSE(FirmwareTables::open(std::span(sound).first(sound.size() - 1)).has_value());
    for (int round = 0; round < 20000; ++round) {
        auto bytes = sound;
        for (int i = 0; i < 3; ++i) bytes[random() % 160] = static_cast<std::byte>(random());
        const auto tables = FirmwareTables::open(bytes);
        if (!tables) continue;
        uint64_t sum = 0;
        for (const std::byte one : tables->find("MCFG")) sum += static_cast<uint64_t>(one);
        ASSERT_LT(sum, 1u << 30);
    }
}

// Random changes with correct checksums; the sanitized build watches the bounds.
TEST_F(AcpiTest, SurvivesNoise) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 20000; ++round) {
        Bytes m = madt();
        Bytes f = fadt();
        Bytes d{0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0a, 0x05, 0x0a, 0x07};
        for (Bytes* bytes : {&m, &f, &d}) {
            (*bytes)[random() % bytes->size()] = static_cast<uint8_t>(random());
            bytes->resize(random() % (bytes->size() + 1));
        }
        store_table(madt_at, "APIC", m);
        store_table(fadt_at, "FACP", f);
        store_table(dsdt_at, "DSDT", d);
        ASSERT_TRUE(read());
        ASSERT_LE(info_.cpu_count, 30u);
    }
}

}  // namespace
}  // namespace annulus::arch
