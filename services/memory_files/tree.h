// SPDX-License-Identifier: MIT
// The tree of an in-memory file system: names, files, directories. Policy-free.
//
// Names are found through one hash table over (directory, name); a directory's children also form a
// list in the order in which they got their names, which is the order of listing. `place`, a number
// that only grows, is the cursor.
//
// Lifetime: a node lives while it has a name or is open. What was removed while it was open keeps
// its data and accepts no new names. Errors are those of abi/file.h.
#pragma once

#include "abi/directory.h"
#include "runtime/directory_records.h"
#include "services/memory_files/page_map.h"

#include <memory>
#include <string_view>

namespace annulus::memory_files {

class Node {
public:
    explicit Node(abi::EntryKind kind) : kind_(kind) {}
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    bool is_directory() const { return kind_ == abi::EntryKind::directory; }
    abi::EntryKind kind() const { return kind_; }
    uint64_t size() const { return size_; }  // of a file in bytes, of a directory in entries
    uint64_t id() const { return id_; }      // no other node of the tree ever has it

private:
    friend class Tree;

    abi::EntryKind kind_;
    uint64_t id_ = 0;
    uint64_t size_ = 0;
    uint64_t opened_ = 0;         // how often
    Account* account_ = nullptr;  // null: the root
    PageMap data_;

    // The name. Without a parent there is none: the root, and what was removed.
    Node* parent_ = nullptr;
    std::unique_ptr<char[]> name_;
    size_t name_size_ = 0;
    uint64_t place_ = 0;
    Node* previous_ = nullptr;
    Node* next_ = nullptr;
    Node* next_in_bucket_ = nullptr;

    // Children.
    Node* first_ = nullptr;
    Node* last_ = nullptr;
};

// A node that is open, and whose share that counts for.
struct Opened {
    Node* node = nullptr;
    Account* account = nullptr;
};

class Tree {
public:
    // no_budget: no memory for the table of names.
    static Result<std::unique_ptr<Tree>> create(const Limits& limits);
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;
    ~Tree();  // nothing is open

    Node& root() { return root_; }
    const Amount& used() const { return accounts_.used(); }

    // Here and below: paths are sound (runtime/path.h), and only that of open may be empty.

    // What `path` leads to from `from`, made if the flags say so (abi::open_...), for `client`. It
    // stays until close.
    Result<Opened> open(Node& from, std::string_view path, uint64_t flags, uint64_t client);
    void close(const Opened& opened);

    Result<void> create_directory(Node& from, std::string_view path, uint64_t client);
    Result<void> remove(Node& from, std::string_view path);
    Result<void> rename(Node& from, std::string_view old_path, std::string_view new_path,
                        bool replace);

    // Adds records from the place `cursor` on; answers the next one, 0 after the last.
    Result<uint64_t> list(const Node& directory, uint64_t cursor, RecordWriter& records) const;

    Result<size_t> read(const Node& file, uint64_t offset, UntrustedBytes space) const;

    // A file without data belongs to whoever gives it some.
    Result<size_t> write(Node& file, uint64_t offset, UntrustedBytes bytes, uint64_t client);
    Result<void> resize(Node& file, uint64_t size);

private:
    // A name and the directory that it is, or would be, in.
    struct Site {
        Node* directory;
        std::string_view name;
        Node* found;
    };

    explicit Tree(const Limits& limits) : accounts_(limits) {}

    Node*& bucket_of(const Node& directory, std::string_view name) const;
    Node* find_child(const Node& directory, std::string_view name) const;
    Result<Node*> walk(Node& from, std::string_view path) const;
    Result<Site> find_site(Node& from, std::string_view path) const;
    Result<Node*> find_or_make(Node& from, std::string_view path, uint64_t flags, uint64_t client);
    Result<Node*> make(const Site& site, abi::EntryKind kind, uint64_t client);
    Result<void> check_target(const Node& moved, const Site& target, bool replace) const;
    bool is_below(const Node& node, const Node& ancestor) const;
    void link(Node& node, Node& directory, std::unique_ptr<char[]> name, size_t name_size);
    void unlink(Node& node);
    void destroy_if_unused(Node& node);

    Accounts accounts_;
    Node root_{abi::EntryKind::directory};
    std::unique_ptr<Node*[]> buckets_;
    size_t bucket_count_ = 0;  // a power of two
    uint64_t next_place_ = 1;
    uint64_t next_id_ = 1;
};

}  // namespace annulus::memory_files
