// SPDX-License-Identifier: MIT
// The tree of a boot archive: directories and files by number, from the flat list that it is.
// Policy-free.
//
// Node 0 is the root. Parents of an entry need no entry of their own, so nodes are made for them.
// An index is made once and never changes.
#pragma once

#include "abi/directory.h"
#include "base/archive.h"
#include "base/result.h"
#include "runtime/directory_records.h"

#include <memory>

namespace annulus::archive {

struct Node {
    std::span<const char> name;  // in the index's text
    abi::EntryKind kind = abi::EntryKind::directory;
    uint32_t parent = 0;
    uint32_t children = 0;
    std::span<const std::byte> content;  // of a file, in the archive

    std::string_view name_text() const { return {name.data(), name.size()}; }
    bool is_directory() const { return kind == abi::EntryKind::directory; }
    uint64_t size() const { return is_directory() ? children : content.size(); }
};

class Index {
public:
    // no_memory.
    static Result<Index> create(const Archive& archive);

    const Node& at(uint32_t number) const { return nodes_[number]; }
    uint32_t count() const { return count_; }

    // From a node along a sound path. not_found, wrong_type.
    Result<uint32_t> walk(uint32_t from, std::string_view path) const;

    // Adds records of the children from the node number `cursor` on; answers the next cursor, 0
    // after the last. wrong_type.
    Result<uint64_t> list(uint32_t directory, uint64_t cursor, RecordWriter& records) const;

private:
    Index() = default;
    uint32_t find_child(uint32_t directory, std::string_view name) const;
    uint32_t add(uint32_t parent, std::string_view name);
    void add_entry(const ArchiveEntry& entry);

    std::unique_ptr<Node[]> nodes_;
    std::unique_ptr<char[]> text_;
    uint32_t count_ = 0;
    size_t text_size_ = 0;
};

}  // namespace annulus::archive
