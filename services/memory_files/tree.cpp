// SPDX-License-Identifier: MIT
// The tree of an in-memory file system.
#include "services/memory_files/tree.h"

#include "abi/file.h"
#include "abi/records.h"
#include "runtime/path.h"

#include <string.h>

#include <algorithm>
#include <bit>
#include <new>

namespace annulus::memory_files {
namespace {

constexpr Status no_room() {
    return Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pages));
}

constexpr bool has(uint64_t flags, uint64_t flag) { return (flags & flag) != 0; }

std::unique_ptr<char[]> copy_of(std::string_view name) {
    std::unique_ptr<char[]> copy(new (std::nothrow) char[name.size()]);
    if (copy != nullptr) memcpy(copy.get(), name.data(), name.size());
    return copy;
}

}  // namespace

Result<std::unique_ptr<Tree>> Tree::create(const Limits& limits) {
    std::unique_ptr<Tree> tree(new (std::nothrow) Tree(limits));
    if (tree == nullptr) return no_room();
    tree->bucket_count_ = std::bit_ceil(std::max<uint64_t>(limits.all.nodes, 16));
    tree->buckets_.reset(new (std::nothrow) Node*[tree->bucket_count_]());
    if (tree->buckets_ == nullptr) return no_room();
    tree->root_.id_ = tree->next_id_++;
    return tree;
}

// Takes the last leaf until there is none: no recursion, however deep the tree is.
Tree::~Tree() {
    Node* at = &root_;
    while (at != &root_ || root_.last_ != nullptr) {
        if (at->last_ != nullptr) {
            at = at->last_;
            continue;
        }
        Node* parent = at->parent_;
        unlink(*at);
        destroy_if_unused(*at);
        at = parent;
    }
}

Node*& Tree::bucket_of(const Node& directory, std::string_view name) const {
    // FNV-1a, begun with the directory.
    uint64_t hash = 0xcbf29ce484222325 ^ directory.id_;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return buckets_[(hash ^ hash >> 32) & (bucket_count_ - 1)];
}

Node* Tree::find_child(const Node& directory, std::string_view name) const {
    for (Node* node = bucket_of(directory, name); node != nullptr; node = node->next_in_bucket_) {
        const std::string_view own(node->name_.get(), node->name_size_);
        if (node->parent_ == &directory && own == name) return node;
    }
    return nullptr;
}

Result<Node*> Tree::walk(Node& from, std::string_view path) const {
    Node* at = &from;
    while (!path.empty()) {
        const PathParts parts = split_first(path);
        if (!at->is_directory()) return Error::wrong_type;
        at = find_child(*at, parts.first);
        if (at == nullptr) return Error::not_found;
        path = parts.rest;
    }
    return at;
}

Result<Tree::Site> Tree::find_site(Node& from, std::string_view path) const {
    const PathParts parts = split_last(path);
    Node* directory = TRY(walk(from, parts.first));
    if (!directory->is_directory()) return Error::wrong_type;
    if (directory != &root_ && directory->parent_ == nullptr) return Error::wrong_state;
    return Site{directory, parts.rest, find_child(*directory, parts.rest)};
}

Result<Node*> Tree::make(const Site& site, abi::EntryKind kind, uint64_t client) {
    Account* account = TRY(accounts_.take_node(client));
    std::unique_ptr<Node> node(new (std::nothrow) Node(kind));
    auto name = copy_of(site.name);
    if (node == nullptr || name == nullptr) {
        accounts_.release_node(*account);
        return no_room();
    }
    node->account_ = account;
    node->id_ = next_id_++;
    link(*node, *site.directory, std::move(name), site.name.size());
    return node.release();
}

void Tree::link(Node& node, Node& directory, std::unique_ptr<char[]> name, size_t name_size) {
    node.name_ = std::move(name);
    node.name_size_ = name_size;
    node.parent_ = &directory;
    node.place_ = next_place_++;
    node.previous_ = directory.last_;
    node.next_ = nullptr;
    (directory.last_ != nullptr ? directory.last_->next_ : directory.first_) = &node;
    directory.last_ = &node;
    ++directory.size_;
    Node*& bucket = bucket_of(directory, {node.name_.get(), name_size});
    node.next_in_bucket_ = bucket;
    bucket = &node;
}

void Tree::unlink(Node& node) {
    Node& directory = *node.parent_;
    Node** link = &bucket_of(directory, {node.name_.get(), node.name_size_});
    while (*link != &node) link = &(*link)->next_in_bucket_;
    *link = node.next_in_bucket_;
    (node.previous_ != nullptr ? node.previous_->next_ : directory.first_) = node.next_;
    (node.next_ != nullptr ? node.next_->previous_ : directory.last_) = node.previous_;
    --directory.size_;
    node.parent_ = nullptr;
}

void Tree::destroy_if_unused(Node& node) {
    if (node.parent_ != nullptr || node.opened_ != 0 || &node == &root_) return;
    node.data_.cut(0, accounts_, *node.account_);
    accounts_.release_node(*node.account_);
    delete &node;
}

Result<Node*> Tree::find_or_make(Node& from, std::string_view path, uint64_t flags,
                                 uint64_t client) {
    if (path.empty() || !has(flags, abi::open_create)) {
        Node* node = TRY(walk(from, path));
        if (has(flags, abi::open_exclusive)) return Error::exists;
        return node;
    }
    const Site site = TRY(find_site(from, path));
    if (site.found == nullptr) {
        const bool directory = has(flags, abi::open_directory);
        return make(site, directory ? abi::EntryKind::directory : abi::EntryKind::file, client);
    }
    if (has(flags, abi::open_exclusive)) return Error::exists;
    return site.found;
}

Result<Opened> Tree::open(Node& from, std::string_view path, uint64_t flags, uint64_t client) {
    // Taken first, so that nothing is made that cannot be opened.
    Account* account = TRY(accounts_.take_opened(client));
    const auto open_node = [&]() -> Result<Node*> {
        Node* node = TRY(find_or_make(from, path, flags, client));
        if (has(flags, abi::open_directory) && !node->is_directory()) return Error::wrong_type;
        if (has(flags, abi::open_truncate)) TRY(resize(*node, 0));
        return node;
    };
    const auto node = open_node();
    if (!node.ok()) {
        accounts_.release_opened(*account);
        return node.status();
    }
    ++(*node)->opened_;
    return Opened{*node, account};
}

void Tree::close(const Opened& opened) {
    accounts_.release_opened(*opened.account);
    --opened.node->opened_;
    destroy_if_unused(*opened.node);
}

Result<void> Tree::create_directory(Node& from, std::string_view path, uint64_t client) {
    const Site site = TRY(find_site(from, path));
    if (site.found != nullptr) return Error::exists;
    return make(site, abi::EntryKind::directory, client).status();
}

Result<void> Tree::remove(Node& from, std::string_view path) {
    const Site site = TRY(find_site(from, path));
    if (site.found == nullptr) return Error::not_found;
    if (site.found->first_ != nullptr) return Error::wrong_state;
    unlink(*site.found);
    destroy_if_unused(*site.found);
    return {};
}

bool Tree::is_below(const Node& node, const Node& ancestor) const {
    for (const Node* at = &node; at != nullptr; at = at->parent_) {
        if (at == &ancestor) return true;
    }
    return false;
}

// Whether `moved` may take the place of what the new name leads to now.
Result<void> Tree::check_target(const Node& moved, const Site& target, bool replace) const {
    if (is_below(*target.directory, moved)) return Status(Error::bad_argument, abi::operand_bytes);
    const Node* present = target.found;
    if (present == nullptr || present == &moved) return {};
    if (!replace) return Error::exists;
    if (present->is_directory() != moved.is_directory()) return Error::wrong_type;
    if (present->first_ != nullptr) return Error::wrong_state;
    return {};
}

Result<void> Tree::rename(Node& from, std::string_view old_path, std::string_view new_path,
                          bool replace) {
    const Site source = TRY(find_site(from, old_path));
    if (source.found == nullptr) return Error::not_found;
    const Site target = TRY(find_site(from, new_path));
    Node& moved = *source.found;
    TRY(check_target(moved, target, replace));
    if (target.found == &moved) return {};
    auto name = copy_of(target.name);
    if (name == nullptr) return no_room();
    // Nothing fails from here on.
    if (target.found != nullptr) {
        unlink(*target.found);
        destroy_if_unused(*target.found);
    }
    unlink(moved);
    link(moved, *target.directory, std::move(name), target.name.size());
    return {};
}

Result<uint64_t> Tree::list(const Node& directory, uint64_t cursor, RecordWriter& records) const {
    if (!directory.is_directory()) return Error::wrong_type;
    for (const Node* node = directory.first_; node != nullptr; node = node->next_) {
        if (node->place_ < cursor) continue;
        const std::string_view name(node->name_.get(), node->name_size_);
        if (!records.add({name, node->kind_, node->size_})) return node->place_;
    }
    return uint64_t{0};
}

Result<size_t> Tree::read(const Node& file, uint64_t offset, UntrustedBytes space) const {
    if (file.is_directory()) return Error::wrong_type;
    if (offset >= file.size_) return size_t{0};
    const size_t count = std::min<uint64_t>(space.size(), file.size_ - offset);
    file.data_.read(offset, space.first(count));
    return count;
}

Result<size_t> Tree::write(Node& file, uint64_t offset, UntrustedBytes bytes, uint64_t client) {
    if (file.is_directory()) return Error::wrong_type;
    if (bytes.empty()) return size_t{0};
    if (offset >= map_bytes_max) return Error::out_of_range;
    bytes = bytes.first(std::min<uint64_t>(bytes.size(), map_bytes_max - offset));
    if (file.data_.empty() && file.account_->client != client) {
        Account* owner = TRY(accounts_.take_node(client));
        accounts_.release_node(*file.account_);
        file.account_ = owner;
    }
    const size_t count = TRY(file.data_.write(offset, bytes, accounts_, *file.account_));
    file.size_ = std::max(file.size_, offset + count);
    return count;
}

Result<void> Tree::resize(Node& file, uint64_t size) {
    if (file.is_directory()) return Error::wrong_type;
    if (size > map_bytes_max) return Error::out_of_range;
    if (size < file.size_) file.data_.cut(size, accounts_, *file.account_);
    file.size_ = size;
    return {};
}

}  // namespace annulus::memory_files
