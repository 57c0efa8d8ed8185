// SPDX-License-Identifier: MIT
// The file protocol at the boot archive: reading and mapping, and that nothing can be changed.

#include "abi/operations.h"
#include "base/align.h"
#include "tests/abi/files/scene.h"

#include <string.h>

#include <algorithm>

namespace annulus::test::cases {
namespace {

Directory archive(const Context& test) {
    const auto root = test.environment().handle<Directory>("archive");
    return root.ok() ? *root : Directory();
}

constexpr std::string_view program = "programs/test_files";

}  // namespace
}  // namespace annulus::test::cases

TEST(archive_list, "the archive's folders and files are listed") {
    bool has_manifest = false;
    bool has_programs = false;
    DirectoryReader reader(archive(test));
    while (MUST(reader.next())) {
        const DirectoryEntry& entry = reader.entry();
        if (entry.name == "manifest") has_manifest = entry.kind == abi::EntryKind::file;
        if (entry.name == "programs") has_programs = entry.kind == abi::EntryKind::directory;
    }
    EXPECT(has_manifest && has_programs);
    EXPECT_ERROR(archive(test).open<File>("none", abi::open_read), Error::not_found);
    EXPECT_ERROR(archive(test).open<File>("manifest/x", abi::open_read), Error::wrong_type);
    EXPECT_ERROR(archive(test).open<File>("manifest", abi::open_directory), Error::wrong_type);
    EXPECT_ERROR(archive(test).open<File>("../x", abi::open_read), Error::bad_argument);
}

TEST(archive_read, "a program's file is read in many requests") {
    const auto file = MUST(archive(test).open<File>(program, abi::open_read));
    const FileState state = MUST(file.state());
    EXPECT(state.size > 16 * 1024);
    std::byte begin[4];
    EXPECT_EQ(MUST(file.read_at(0, begin)), 4u);
    EXPECT_EQ(memcmp(begin,
                     "\x7f"
                     "ELF",
                     4),
              0);
    uint64_t offset = 0;
    std::byte bytes[20'000];
    while (const size_t count = MUST(file.read_at(offset, bytes))) offset += count;
    EXPECT_EQ(offset, state.size);
    const auto twice = MUST(archive(test).open<File>(program, abi::open_read));
    EXPECT_EQ(MUST(twice.state()).id, state.id);
}

TEST(archive_map, "a map shows the file's bytes, for reading only, and none of a neighbour's") {
    const auto file = MUST(archive(test).open<File>(program, abi::open_read));
    const uint64_t size = MUST(file.state()).size;
    const auto mapped = MUST(file.map(0, size));
    std::byte from_memory[4096];
    std::byte from_file[4096];
    for (uint64_t offset = 0; offset < size; offset += sizeof(from_file)) {
        const size_t count = MUST(file.read_at(offset, from_file));
        EXPECT_OK(
            mapped.memory.read_bytes(mapped.offset + offset, std::span(from_memory).first(count)));
        EXPECT_EQ(memcmp(from_memory, from_file, count), 0);
    }
    const uint64_t end = mapped.offset + size;
    const size_t rest = align_up(end, abi::page_size) - end;
    EXPECT_EQ(MUST(mapped.memory.get_size()).pages * abi::page_size, end + rest);
    EXPECT_OK(mapped.memory.read_bytes(end, std::span(from_memory).first(rest)));
    EXPECT(std::all_of(from_memory, from_memory + rest,
                       [](std::byte byte) { return byte == std::byte(); }));
    EXPECT_ERROR(mapped.memory.write_bytes(0, from_file), Error::no_right);
    EXPECT_ERROR(
        test.process().map(mapped.memory, 0, abi::page_size, 0, abi::map_read | abi::map_write),
        Error::no_right);
    EXPECT_OK(file.map(size - 1, 1));
    EXPECT_ERROR(file.map(size - 1, 2), Error::out_of_range);
    EXPECT_ERROR(file.map(0, 0), Error::bad_argument);
}

TEST(archive_read_only, "the archive cannot be changed") {
    const Directory root = archive(test);
    EXPECT_ERROR(root.open<File>("manifest", abi::open_write), Error::no_right);
    EXPECT_ERROR(root.open<File>("new", abi::open_create), Error::no_right);
    EXPECT_ERROR(root.create_directory("new"), Error::no_right);
    EXPECT_ERROR(root.remove("manifest"), Error::no_right);
    EXPECT_ERROR(root.rename("manifest", "x"), Error::no_right);
    const auto file = MUST(root.open<File>("manifest", abi::open_read));
    EXPECT_ERROR(file.write("x"), Error::no_right);
    EXPECT_ERROR(file.resize(0), Error::no_right);
}
