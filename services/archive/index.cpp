// SPDX-License-Identifier: MIT
// The tree of a boot archive.
#include "services/archive/index.h"

#include "runtime/path.h"

#include <string.h>

#include <algorithm>
#include <new>

namespace annulus::archive {

// Every component of every path may need a node; most are shared.
Result<Index> Index::create(const Archive& archive) {
    size_t nodes = 1;
    size_t text = 0;
    for (const ArchiveEntry& entry : archive) {
        const std::string_view path = entry.path.view();
        nodes += static_cast<size_t>(std::count(path.begin(), path.end(), '/')) + 1;
        text += path.size();
    }
    Index index;
    index.nodes_.reset(new (std::nothrow) Node[nodes]());
    index.text_.reset(new (std::nothrow) char[text]);
    if (index.nodes_ == nullptr || index.text_ == nullptr) return Error::no_memory;
    index.count_ = 1;
    for (const ArchiveEntry& entry : archive) index.add_entry(entry);
    return index;
}

void Index::add_entry(const ArchiveEntry& entry) {
    std::string_view path = entry.path.view();
    uint32_t at = 0;
    while (!path.empty()) {
        const PathParts parts = split_first(path);
        const uint32_t child = find_child(at, parts.first);
        at = child != 0 ? child : add(at, parts.first);
        path = parts.rest;
    }
    if (entry.kind == ArchiveKind::directory) return;
    nodes_[at].kind = abi::EntryKind::file;
    nodes_[at].content = entry.content;
}

uint32_t Index::add(uint32_t parent, std::string_view name) {
    char* text = text_.get() + text_size_;
    memcpy(text, name.data(), name.size());
    text_size_ += name.size();
    nodes_[parent].children++;
    nodes_[count_].name = {text, name.size()};
    nodes_[count_].parent = parent;
    return count_++;
}

// Linear: an archive has at most 1024 entries.
uint32_t Index::find_child(uint32_t directory, std::string_view name) const {
    for (uint32_t i = 1; i < count_; ++i) {
        if (nodes_[i].parent == directory && nodes_[i].name_text() == name) return i;
    }
    return 0;
}

Result<uint32_t> Index::walk(uint32_t from, std::string_view path) const {
    uint32_t at = from;
    while (!path.empty()) {
        const PathParts parts = split_first(path);
        if (!nodes_[at].is_directory()) return Error::wrong_type;
        at = find_child(at, parts.first);
        if (at == 0) return Error::not_found;
        path = parts.rest;
    }
    return at;
}

Result<uint64_t> Index::list(uint32_t directory, uint64_t cursor, RecordWriter& records) const {
    if (!nodes_[directory].is_directory()) return Error::wrong_type;
    for (uint64_t i = std::max<uint64_t>(cursor, 1); i < count_; ++i) {
        const Node& node = nodes_[i];
        if (node.parent != directory) continue;
        if (!records.add({node.name_text(), node.kind, node.size()})) return i;
    }
    return uint64_t{0};
}

}  // namespace annulus::archive
