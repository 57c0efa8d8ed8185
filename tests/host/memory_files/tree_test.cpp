// SPDX-License-Identifier: MIT
// Tests of the in-memory file system's tree, under the address sanitizer, too.
#include "services/memory_files/tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "abi/file.h"

namespace annulus::memory_files {
namespace {

using abi::open_create;
using abi::open_directory;
using abi::open_exclusive;
using abi::open_read;
using abi::open_truncate;
using abi::open_write;

constexpr uint64_t alice = 1;
constexpr uint64_t bob = 2;
constexpr Limits usual = {.all = {100, 50, 1000}, .client = {60, 30, 1000}};

// A text to be written; it lasts as long as the statement that it is in.
class Text {
public:
    explicit Text(std::string_view text) : text_(text) {}
    operator UntrustedBytes() {
        return UntrustedBytes::over(std::as_writable_bytes(std::span(text_)));
    }

private:
    std::string text_;
};

template <typename Container>
UntrustedBytes room_in(Container& container) {
    return UntrustedBytes::over(std::as_writable_bytes(std::span(container)));
}

// A tree that gives back everything that is opened.
struct Scene {
    explicit Scene(const Limits& limits = usual) : tree(Tree::create(limits).value()) {}
    ~Scene() {
        for (const Opened& opened : held) tree->close(opened);
    }

    Node& open(std::string_view path, uint64_t flags = open_read, uint64_t client = alice) {
        auto opened = tree->open(tree->root(), path, flags, client);
        EXPECT_TRUE(opened.ok()) << path;
        held.push_back(*opened);
        return *opened->node;
    }
    Error open_error(std::string_view path, uint64_t flags = open_read, uint64_t client = alice) {
        auto opened = tree->open(tree->root(), path, flags, client);
        if (opened.ok()) tree->close(*opened);
        return opened.error();
    }
    Node& file(std::string_view path, std::string_view content = "") {
        Node& node = open(path, open_write | open_create);
        EXPECT_EQ(tree->write(node, 0, Text(content), alice).value(), content.size());
        return node;
    }
    void directory(std::string_view path) {
        EXPECT_TRUE(tree->create_directory(tree->root(), path, alice).ok()) << path;
    }
    std::string content(Node& node) {
        std::string text(node.size() + 10, '?');
        const size_t count = tree->read(node, 0, room_in(text)).value();
        text.resize(count);
        return text;
    }
    // Names in the order of listing, in requests of `room` bytes.
    std::string names(Node& node, size_t room = 4096) {
        std::string all;
        uint64_t cursor = 0;
        do {
            std::vector<std::byte> space(room);
            RecordWriter records(space);
            cursor = tree->list(node, cursor, records).value();
            std::span<const std::byte> bytes = std::span(space).first(records.used());
            DirectoryEntry entry;
            while (read_record(bytes, entry) == RecordRead::entry) {
                all += std::string(entry.name) + " ";
            }
            EXPECT_TRUE(bytes.empty());
        } while (cursor != 0);
        return all;
    }
    void close(Node& node) {
        const auto found = std::find_if(held.begin(), held.end(),
                                        [&](const Opened& opened) { return opened.node == &node; });
        tree->close(*found);
        held.erase(found);
    }

    std::unique_ptr<Tree> tree;
    std::vector<Opened> held;
};

TEST(memory_tree, what_is_written_is_read) {
    Scene scene;
    Node& note = scene.file("note", "hello");
    EXPECT_EQ(scene.content(note), "hello");
    EXPECT_EQ(scene.content(scene.open("note")), "hello");
    EXPECT_EQ(note.size(), 5u);
}

TEST(memory_tree, writes_beyond_the_end_leave_zeros) {
    Scene scene;
    Node& note = scene.file("note");
    EXPECT_EQ(scene.tree->write(note, 3 * page_bytes, Text("x"), alice).value(), 1u);
    EXPECT_EQ(scene.content(note), std::string(3 * page_bytes, '\0') + "x");
    EXPECT_EQ(scene.tree->used().pages, 2u) << "a table and one page";
}

TEST(memory_tree, what_was_cut_off_reads_as_zeros_after_growing) {
    Scene scene;
    Node& note = scene.file("note", "hello, world");
    EXPECT_TRUE(scene.tree->resize(note, 5).ok());
    EXPECT_TRUE(scene.tree->resize(note, 12).ok());
    EXPECT_EQ(scene.content(note), std::string("hello") + std::string(7, '\0'));
    EXPECT_TRUE(scene.tree->resize(note, 0).ok());
    EXPECT_EQ(scene.tree->used().pages, 0u);
}

TEST(memory_tree, a_file_of_three_heights) {
    Scene scene;
    Node& note = scene.file("note", "a");
    const uint64_t far = uint64_t{table_entries} * page_bytes;
    EXPECT_EQ(scene.tree->write(note, far - 1, Text("bc"), alice).value(), 2u);
    char read[3] = {};
    EXPECT_EQ(scene.tree->read(note, far - 1, room_in(read)).value(), 2u);
    EXPECT_STREQ(read, "bc");
    EXPECT_EQ(scene.content(note).substr(0, 2), std::string("a\0", 2));
    EXPECT_EQ(scene.tree->used().pages, 6u) << "three pages, two tables of pages, one of tables";
    EXPECT_TRUE(scene.tree->resize(note, 1).ok());
    EXPECT_EQ(scene.content(note), "a");
    EXPECT_TRUE(scene.tree->resize(note, 0).ok());
    EXPECT_EQ(scene.tree->used().pages, 0u);
}

TEST(memory_tree, the_largest_file_and_one_byte_more) {
    Scene scene;
    Node& note = scene.file("note");
    EXPECT_EQ(scene.tree->write(note, map_bytes_max - 1, Text("xy"), alice).value(), 1u);
    EXPECT_EQ(note.size(), map_bytes_max);
    EXPECT_EQ(scene.tree->write(note, map_bytes_max, Text("x"), alice).error(),
              Error::out_of_range);
    EXPECT_TRUE(scene.tree->resize(note, map_bytes_max).ok());
    EXPECT_EQ(scene.tree->resize(note, map_bytes_max + 1).error(), Error::out_of_range);
}

TEST(memory_tree, open_flags) {
    Scene scene;
    EXPECT_EQ(scene.open_error("note"), Error::not_found);
    EXPECT_EQ(scene.open_error("note", open_create | open_exclusive), Error::ok);
    EXPECT_EQ(scene.open_error("note", open_create | open_exclusive), Error::exists);
    EXPECT_EQ(scene.open_error("note", open_create), Error::ok);
    EXPECT_EQ(scene.open_error("note", open_directory), Error::wrong_type);
    EXPECT_EQ(scene.open_error("note/below"), Error::wrong_type);
    EXPECT_EQ(scene.open_error("note/below", open_create), Error::wrong_type);
    EXPECT_EQ(scene.open_error("none/below", open_create), Error::not_found);
    EXPECT_EQ(scene.open_error("folder", open_create | open_directory), Error::ok);
    EXPECT_EQ(scene.open_error("folder", open_directory), Error::ok);
    EXPECT_EQ(scene.open_error("folder", open_write | open_truncate), Error::wrong_type);
    EXPECT_EQ(scene.open_error("", open_directory), Error::ok);
    Node& note = scene.file("note", "old");
    EXPECT_EQ(scene.open_error("note", open_write | open_truncate), Error::ok);
    EXPECT_EQ(note.size(), 0u);
}

TEST(memory_tree, directories_are_no_files) {
    Scene scene;
    scene.directory("folder");
    Node& folder = scene.open("folder");
    std::byte space[8];
    EXPECT_EQ(scene.tree->read(folder, 0, room_in(space)).error(), Error::wrong_type);
    EXPECT_EQ(scene.tree->write(folder, 0, Text("x"), alice).error(), Error::wrong_type);
    EXPECT_EQ(scene.tree->resize(folder, 0).error(), Error::wrong_type);
    RecordWriter records(space);
    EXPECT_EQ(scene.tree->list(scene.file("note"), 0, records).error(), Error::wrong_type);
}

TEST(memory_tree, an_open_file_survives_its_removal) {
    Scene scene;
    Node& note = scene.file("note", "still here");
    EXPECT_TRUE(scene.tree->remove(scene.tree->root(), "note").ok());
    EXPECT_EQ(scene.open_error("note"), Error::not_found);
    EXPECT_EQ(scene.content(note), "still here");
    scene.file("note", "another");
    EXPECT_EQ(scene.content(note), "still here");
    scene.close(note);
    EXPECT_EQ(scene.tree->used().nodes, 1u);
}

TEST(memory_tree, a_directory_that_is_not_empty_stays) {
    Scene scene;
    scene.directory("folder");
    scene.file("folder/note");
    EXPECT_EQ(scene.tree->remove(scene.tree->root(), "folder").error(), Error::wrong_state);
    EXPECT_TRUE(scene.tree->remove(scene.tree->root(), "folder/note").ok());
    EXPECT_TRUE(scene.tree->remove(scene.tree->root(), "folder").ok());
    EXPECT_EQ(scene.tree->remove(scene.tree->root(), "folder").error(), Error::not_found);
}

TEST(memory_tree, a_removed_directory_takes_no_names) {
    Scene scene;
    scene.directory("folder");
    Node& folder = scene.open("folder");
    EXPECT_TRUE(scene.tree->remove(scene.tree->root(), "folder").ok());
    EXPECT_EQ(scene.tree->create_directory(folder, "x", alice).error(), Error::wrong_state);
    EXPECT_EQ(scene.tree->open(folder, "x", open_create, alice).error(), Error::wrong_state);
    EXPECT_EQ(scene.tree->open(folder, "x", open_read, alice).error(), Error::not_found);
}

TEST(memory_tree, rename_moves_between_directories) {
    Scene scene;
    scene.directory("a");
    scene.directory("b");
    scene.file("a/note", "text");
    Node& root = scene.tree->root();
    EXPECT_TRUE(scene.tree->rename(root, "a/note", "b/other", false).ok());
    EXPECT_EQ(scene.open_error("a/note"), Error::not_found);
    EXPECT_EQ(scene.content(scene.open("b/other")), "text");
    EXPECT_EQ(scene.tree->rename(root, "a/note", "b/x", false).error(), Error::not_found);
    EXPECT_EQ(scene.tree->rename(root, "b/other", "none/x", false).error(), Error::not_found);
    EXPECT_TRUE(scene.tree->rename(root, "b/other", "b/other", false).ok());
}

TEST(memory_tree, rename_replaces_only_when_told) {
    Scene scene;
    Node& root = scene.tree->root();
    scene.file("a", "new");
    Node& old = scene.file("b", "old");
    EXPECT_EQ(scene.tree->rename(root, "a", "b", false).error(), Error::exists);
    EXPECT_TRUE(scene.tree->rename(root, "a", "b", true).ok());
    EXPECT_EQ(scene.content(scene.open("b")), "new");
    EXPECT_EQ(scene.content(old), "old");
    scene.directory("folder");
    EXPECT_EQ(scene.tree->rename(root, "b", "folder", true).error(), Error::wrong_type);
    EXPECT_EQ(scene.tree->rename(root, "folder", "b", true).error(), Error::wrong_type);
    scene.directory("full");
    scene.file("full/x");
    EXPECT_EQ(scene.tree->rename(root, "folder", "full", true).error(), Error::wrong_state);
    EXPECT_TRUE(scene.tree->rename(root, "full", "folder", true).ok());
    EXPECT_EQ(scene.names(root), "b folder ");
}

TEST(memory_tree, a_directory_never_moves_below_itself) {
    Scene scene;
    Node& root = scene.tree->root();
    scene.directory("a");
    scene.directory("a/b");
    EXPECT_EQ(scene.tree->rename(root, "a", "a/b/c", false).error(), Error::bad_argument);
    EXPECT_EQ(scene.tree->rename(root, "a", "a/b", true).error(), Error::bad_argument);
    EXPECT_TRUE(scene.tree->rename(root, "a/b", "b", false).ok());
    EXPECT_TRUE(scene.tree->rename(root, "a", "b/a", false).ok());
}

TEST(memory_tree, lists_go_on_at_their_cursor) {
    Scene scene({.all = {10, 100, 1000}, .client = {10, 100, 1000}});
    std::string wanted;
    for (int i = 0; i < 40; i++) {
        const std::string name = "name" + std::to_string(i);
        scene.file(name);
        wanted += name + " ";
    }
    EXPECT_EQ(scene.names(scene.tree->root()), wanted);
    EXPECT_EQ(scene.names(scene.tree->root(), 50), wanted);
}

TEST(memory_tree, a_list_has_each_lasting_name_once_while_others_change) {
    Scene scene;
    Node& root = scene.tree->root();
    for (const char* name : {"a", "b", "c", "d"}) scene.file(name);
    std::array<std::byte, 48> space;
    RecordWriter first(space);
    const uint64_t cursor = scene.tree->list(root, 0, first).value();
    EXPECT_EQ(first.count(), 2u);
    EXPECT_TRUE(scene.tree->remove(root, "a").ok());
    EXPECT_TRUE(scene.tree->remove(root, "c").ok());
    scene.file("e");
    RecordWriter second(space);
    EXPECT_EQ(scene.tree->list(root, cursor, second).value(), 0u);
    EXPECT_EQ(second.count(), 2u) << "d and e";
}

TEST(memory_tree, limits_of_all_and_one_more) {
    Scene scene({.all = {3, 3, 1000}, .client = {3, 3, 1000}});
    Node& note = scene.file("a");
    scene.file("b");
    scene.file("c");
    EXPECT_EQ(scene.open_error("d", open_create), Error::limit);
    EXPECT_EQ(scene.tree->create_directory(scene.tree->root(), "d", bob).error(), Error::no_budget);
    const std::string two(2 * page_bytes, 'x');
    EXPECT_EQ(scene.tree->write(note, 0, Text(two), alice).value(), two.size());
    EXPECT_EQ(scene.tree->write(note, 2 * page_bytes, Text("x"), alice).error(), Error::limit);
    EXPECT_TRUE(scene.tree->remove(scene.tree->root(), "b").ok());
}

TEST(memory_tree, one_client_cannot_take_everything) {
    Scene scene({.all = {10, 10, 1000}, .client = {4, 4, 1000}});
    for (const char* name : {"a", "b", "c", "d"}) scene.open(name, open_write | open_create, alice);
    EXPECT_EQ(scene.open_error("e", open_create, alice), Error::limit);
    Node& e = scene.open("e", open_create, bob);
    Node& a = scene.open("a");
    const std::string text(8 * page_bytes, 'x');
    EXPECT_EQ(scene.tree->write(a, 0, Text(text), alice).value(), 3 * page_bytes);
    EXPECT_EQ(scene.tree->write(a, 3 * page_bytes, Text(text), alice).error(), Error::limit);
    EXPECT_EQ(scene.tree->write(e, 0, Text(text), bob).value(), 3 * page_bytes);
    EXPECT_TRUE(scene.tree->remove(scene.tree->root(), "b").ok());
}

TEST(memory_tree, opened_objects_are_counted_for_who_opened_them) {
    Scene scene({.all = {10, 10, 6}, .client = {10, 10, 4}});
    Node& first = scene.open("a", open_create, alice);
    for (int i = 0; i < 3; i++) scene.open("a", open_read, alice);
    EXPECT_EQ(scene.open_error("a", open_read, alice), Error::limit);
    EXPECT_EQ(scene.open_error("b", open_create, alice), Error::limit);
    EXPECT_EQ(scene.open_error("b", open_read, bob), Error::not_found) << "nothing was made";
    scene.open("a", open_read, bob);
    scene.open("a", open_read, bob);
    EXPECT_EQ(scene.open_error("a", open_read, bob), Error::no_budget);
    scene.close(first);
    EXPECT_EQ(scene.open_error("a", open_read, bob), Error::ok);
}

TEST(memory_tree, a_file_belongs_to_whoever_gives_it_its_first_bytes) {
    Scene scene({.all = {10, 10, 1000}, .client = {4, 1, 1000}});
    Node& note = scene.open("a", open_create, alice);
    EXPECT_EQ(scene.open_error("b", open_create, alice), Error::limit);
    EXPECT_EQ(scene.tree->write(note, 0, Text("x"), bob).value(), 1u);
    EXPECT_EQ(scene.open_error("b", open_create, alice), Error::ok);
    EXPECT_EQ(scene.open_error("c", open_create, bob), Error::limit);
    EXPECT_EQ(scene.tree->write(note, 0, Text("x"), alice).value(), 1u) << "bob's page";
}

TEST(memory_tree, a_deep_tree_ends_without_recursion) {
    Scene scene({.all = {1, 100000, 1000}, .client = {1, 100000, 1000}});
    Opened at = scene.tree->open(scene.tree->root(), "", 0, alice).value();
    for (int i = 0; i < 50000; i++) {
        auto next = scene.tree->open(*at.node, "d", open_create | open_directory, alice);
        ASSERT_TRUE(next.ok());
        scene.tree->close(at);
        at = *next;
    }
    scene.tree->close(at);
}

}  // namespace
}  // namespace annulus::memory_files
