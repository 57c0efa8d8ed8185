// SPDX-License-Identifier: MIT
// Tests of the boot archive's tree.
#include "services/archive/index.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace annulus::archive {
namespace {

// A ustar archive of files, each with its own name as content.
std::vector<std::byte> archive_of(std::initializer_list<std::string> paths) {
    std::vector<std::byte> bytes;
    for (const std::string& path : paths) {
        char header[512] = {};
        std::snprintf(header, 100, "%s", path.c_str());
        for (const int number : {100, 108, 116}) std::snprintf(header + number, 8, "0000000");
        std::snprintf(header + 136, 12, "00000000000");
        std::snprintf(header + 124, 12, "%011o", static_cast<unsigned>(path.size()));
        header[156] = '0';
        std::memcpy(header + 257, "ustar\00000", 8);
        std::memset(header + 148, ' ', 8);
        unsigned sum = 0;
        for (const char c : header) sum += static_cast<unsigned char>(c);
        std::snprintf(header + 148, 8, "%06o", sum);
        const auto part = std::as_bytes(std::span(header));
        bytes.insert(bytes.end(), part.begin(), part.end());
        const auto content = std::as_bytes(std::span(path));
        bytes.insert(bytes.end(), content.begin(), content.end());
        bytes.resize((bytes.size() + 511) / 512 * 512);
    }
    bytes.resize(bytes.size() + 1024);
    return bytes;
}

struct Scene {
    explicit Scene(std::initializer_list<std::string> paths) : bytes(archive_of(paths)) {
        ArchiveFault fault;
        const auto archive = Archive::open(bytes, fault);
        EXPECT_TRUE(archive.has_value()) << describe(fault.error);
        index.emplace(Index::create(*archive));
    }
    const Index& get() { return index->value(); }
    std::string names(uint32_t directory, size_t room) {
        std::string all;
        uint64_t cursor = 0;
        do {
            std::vector<std::byte> space(room);
            RecordWriter records(space);
            cursor = get().list(directory, cursor, records).value();
            std::span<const std::byte> rest = std::span(space).first(records.used());
            DirectoryEntry entry;
            while (read_record(rest, entry) == RecordRead::entry) {
                all += std::string(entry.name) + " ";
            }
        } while (cursor != 0);
        return all;
    }

    std::vector<std::byte> bytes;
    std::optional<Result<Index>> index;
};

TEST(archive_index, finds_files_and_the_directories_on_the_way) {
    Scene scene({"manifest", "programs/a", "programs/b", "files/x/y"});
    const auto file = scene.get().walk(0, "programs/b");
    ASSERT_TRUE(file.ok());
    const Node& node = scene.get().at(*file);
    EXPECT_FALSE(node.is_directory());
    EXPECT_EQ(node.size(), 10u);
    EXPECT_EQ(std::memcmp(node.content.data(), "programs/b", 10), 0);
    const auto directory = scene.get().walk(0, "files/x");
    ASSERT_TRUE(directory.ok());
    EXPECT_TRUE(scene.get().at(*directory).is_directory());
    EXPECT_TRUE(scene.get().walk(*directory, "y").ok());
    EXPECT_EQ(*scene.get().walk(*file, ""), *file);
}

TEST(archive_index, what_is_not_there) {
    Scene scene({"manifest", "programs/a"});
    EXPECT_EQ(scene.get().walk(0, "none").error(), Error::not_found);
    EXPECT_EQ(scene.get().walk(0, "programs/none").error(), Error::not_found);
    EXPECT_EQ(scene.get().walk(0, "manifest/x").error(), Error::wrong_type);
    std::byte space[512];
    RecordWriter records(space);
    EXPECT_EQ(scene.get().list(*scene.get().walk(0, "manifest"), 0, records).error(),
              Error::wrong_type);
}

TEST(archive_index, lists_children_only_and_goes_on_at_its_cursor) {
    Scene scene({"manifest", "programs/a", "programs/b", "programs/c", "zero"});
    EXPECT_EQ(scene.names(0, 4096), "manifest programs zero ");
    EXPECT_EQ(scene.names(0, 24), "manifest programs zero ");
    EXPECT_EQ(scene.names(*scene.get().walk(0, "programs"), 48), "a b c ");
    EXPECT_EQ(scene.get().at(*scene.get().walk(0, "programs")).size(), 3u);
}

TEST(archive_index, an_empty_archive_is_an_empty_directory) {
    Scene scene({});
    EXPECT_EQ(scene.names(0, 4096), "");
    EXPECT_EQ(scene.get().count(), 1u);
}

}  // namespace
}  // namespace annulus::archive
