// SPDX-License-Identifier: MIT
// Reading the memory of abi/firmware.h. Nothing in it is trusted: all bounds are checked.
#pragma once

#include "abi/firmware.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace annulus {

class FirmwareTables {
public:
    // Nothing if the memory does not begin with a whole header and its list of tables.
    static std::optional<FirmwareTables> open(std::span<const std::byte> memory) {
        abi::FirmwareHeader header;
        if (memory.size() < sizeof(header)) return std::nullopt;
        __builtin_memcpy(&header, memory.data(), sizeof(header));
        if (header.version != abi::firmware_version || header.size > memory.size()) {
            return std::nullopt;
        }
        if (header.size < sizeof(header)) return std::nullopt;
        const uint64_t room = (header.size - sizeof(header)) / sizeof(abi::FirmwareTable);
        if (header.table_count > room) return std::nullopt;
        return FirmwareTables(memory.first(header.size), header.table_count);
    }

    [[nodiscard]] uint32_t count() const { return count_; }

    // The first table with these four letters; empty if there is none.
    [[nodiscard]] std::span<const std::byte> find(std::string_view signature) const {
        for (uint32_t i = 0; i < count_; ++i) {
            abi::FirmwareTable table;
            const size_t at = sizeof(abi::FirmwareHeader) + i * sizeof(table);
            __builtin_memcpy(&table, memory_.data() + at, sizeof(table));
            if (std::string_view(table.signature, sizeof(table.signature)) != signature) continue;
            if (table.offset > memory_.size() || table.length > memory_.size() - table.offset) {
                return {};
            }
            return memory_.subspan(table.offset, table.length);
        }
        return {};
    }

private:
    FirmwareTables(std::span<const std::byte> memory, uint32_t count)
        : memory_(memory), count_(count) {}

    std::span<const std::byte> memory_;
    uint32_t count_;
};

}  // namespace annulus
