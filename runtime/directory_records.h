// SPDX-License-Identifier: MIT
// Packs and reads the records that a directory's list carries (abi/directory.h). Policy-free.
#pragma once

#include "abi/directory.h"

#include <stddef.h>
#include <string.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace annulus {

// One entry of a directory.
struct DirectoryEntry {
    std::string_view name;
    abi::EntryKind kind = abi::EntryKind::object;
    uint64_t size = 0;
};

// Fills a buffer with records.
class RecordWriter {
public:
    explicit RecordWriter(std::span<std::byte> space) : space_(space) {}

    // False, and nothing is added: there is no room.
    bool add(const DirectoryEntry& entry) {
        const size_t bytes = (sizeof(abi::DirectoryRecord) + entry.name.size() + 7) / 8 * 8;
        if (bytes > space_.size() - used_ || bytes > abi::directory_record_max) return false;
        const abi::DirectoryRecord record = {entry.size, entry.kind, static_cast<uint16_t>(bytes),
                                             static_cast<uint16_t>(entry.name.size())};
        std::byte* place = space_.data() + used_;
        memset(place, 0, bytes);
        memcpy(place, &record, sizeof(record));
        memcpy(place + sizeof(record), entry.name.data(), entry.name.size());
        used_ += bytes;
        ++count_;
        return true;
    }

    size_t used() const { return used_; }
    size_t count() const { return count_; }

private:
    std::span<std::byte> space_;
    size_t used_ = 0;
    size_t count_ = 0;
};

enum class RecordRead { entry, end, malformed };

// Takes the first record off `bytes`, which come from whoever: every length is checked.
inline RecordRead read_record(std::span<const std::byte>& bytes, DirectoryEntry& entry) {
    if (bytes.empty()) return RecordRead::end;
    abi::DirectoryRecord record;
    if (bytes.size() < sizeof(record)) return RecordRead::malformed;
    memcpy(&record, bytes.data(), sizeof(record));
    if (record.record_bytes > bytes.size() || record.name_bytes > record.record_bytes ||
        sizeof(record) + record.name_bytes > record.record_bytes) {
        return RecordRead::malformed;
    }
    // Safety: any bytes may be looked at as characters.
    const auto* name = reinterpret_cast<const char*>(bytes.data() + sizeof(record));
    entry = {{name, record.name_bytes}, record.kind, record.size};
    bytes = bytes.subspan(record.record_bytes);
    return RecordRead::entry;
}

}  // namespace annulus
