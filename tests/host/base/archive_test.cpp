// SPDX-License-Identifier: MIT
// Tests of the ustar reader: every error, limits, and archives that a build would write.
#include "base/archive.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace annulus {
namespace {

// Builds archives, sound or broken on purpose.
class Builder {
public:
    Builder& file(std::string_view name, std::string_view content, std::string_view prefix = "") {
        header(name, prefix, '0', content.size());
        data_.insert(data_.end(), content.begin(), content.end());
        data_.resize((data_.size() + 511) / 512 * 512);
        return *this;
    }
    Builder& directory(std::string_view name) {
        header(name, "", '5', 0);
        return *this;
    }
    Builder& header(std::string_view name, std::string_view prefix, char kind, size_t size) {
        last_ = data_.size();
        data_.resize(data_.size() + 512);
        put(0, name);
        put(100, "0000644");
        put(108, "0000000");
        put(116, "0000000");
        char text[16];
        snprintf(text, sizeof text, "%011zo", size);
        put(124, text);
        put(136, "00000000000");
        put(156, std::string_view(&kind, 1));
        put(257, std::string_view("ustar\00000", 8));
        put(345, prefix);
        seal();
        return *this;
    }
    // Overwrites bytes of the last header and leaves its checksum as it was.
    Builder& put(size_t at, std::string_view text) {
        memcpy(&data_.at(last_ + at), text.data(), text.size());
        return *this;
    }
    // Makes the last header's checksum right.
    Builder& seal() {
        put(148, "        ");
        unsigned sum = 0;
        for (size_t at = 0; at < 512; at++) sum += static_cast<unsigned char>(data_[last_ + at]);
        char text[8];
        snprintf(text, sizeof text, "%06o", sum);
        return put(148, std::string_view(text, 7)).put(155, " ");
    }
    Builder& end(size_t blocks = 2) {
        data_.resize(data_.size() + blocks * 512);
        return *this;
    }
    std::string& data() { return data_; }
    std::span<const std::byte> bytes() const {
        return std::as_bytes(std::span(data_.data(), data_.size()));
    }

private:
    std::string data_;
    size_t last_ = 0;
};

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void expect_fault(const Builder& builder, ArchiveError error, size_t offset) {
    ArchiveFault fault;
    EXPECT_FALSE(Archive::open(builder.bytes(), fault).has_value());
    EXPECT_EQ(describe(fault.error), describe(error));
    EXPECT_EQ(fault.offset, offset);
}

void expect_sound(const Builder& builder, size_t entries) {
    ArchiveFault fault;
    const auto archive = Archive::open(builder.bytes(), fault);
    ASSERT_TRUE(archive.has_value()) << describe(fault.error) << " at " << fault.offset;
    EXPECT_EQ(fault.error, ArchiveError::none);
    EXPECT_EQ(archive->entry_count(), entries);
}

TEST(archive, finds_files_and_iterates) {
    Builder builder;
    builder.directory("drivers/").file("drivers/console", "driver").file("empty", "");
    builder.file("programs/hello", std::string(513, 'x')).end();
    ArchiveFault fault;
    const auto archive = Archive::open(builder.bytes(), fault);
    ASSERT_TRUE(archive.has_value());
    std::string seen;
    for (const ArchiveEntry& entry : *archive) {
        seen += entry.path.view();
        seen += entry.kind == ArchiveKind::directory ? "/ " : " ";
    }
    EXPECT_EQ(seen, "drivers/ drivers/console empty programs/hello ");
    EXPECT_EQ(text_of(archive->find("drivers/console").value()), "driver");
    EXPECT_EQ(text_of(archive->find("programs/hello").value()), std::string(513, 'x'));
    EXPECT_TRUE(archive->find("empty").value().empty());
    EXPECT_FALSE(archive->find("drivers").has_value());
    EXPECT_FALSE(archive->find("driver").has_value());
    EXPECT_FALSE(archive->find("").has_value());
}

TEST(archive, empty_archive_is_sound) { expect_sound(Builder().end(), 0); }

TEST(archive, zeros_after_the_end_are_padding) {
    expect_sound(Builder().file("a", "1").end(20), 1);
}

TEST(archive, joins_prefix_and_name) {
    Builder builder;
    const std::string prefix(155, 'p');
    const std::string name(100, 'n');
    builder.file(name, "content", prefix).end();
    ArchiveFault fault;
    const auto archive = Archive::open(builder.bytes(), fault);
    ASSERT_TRUE(archive.has_value());
    EXPECT_EQ(archive->begin()->path.view().size(), archive_max_path);
    EXPECT_TRUE(archive->find(prefix + "/" + name).has_value());
}

TEST(archive, old_kind_and_number_styles_are_accepted) {
    Builder builder;
    builder.header("a", "", '\0', 0).put(124, std::string_view("       0 \0\0\0", 12)).seal().end();
    expect_sound(builder, 1);
}

TEST(archive, refuses_partial_block) {
    Builder builder;
    builder.file("a", "1").end().data().push_back('\0');
    expect_fault(builder, ArchiveError::bad_length, 512 * 4 + 1);
}

TEST(archive, refuses_missing_end) {
    expect_fault(Builder(), ArchiveError::missing_end, 0);
    expect_fault(Builder().end(1), ArchiveError::missing_end, 0);
    expect_fault(Builder().file("a", "1"), ArchiveError::missing_end, 1024);
    expect_fault(Builder().file("a", "1").end(1), ArchiveError::missing_end, 1024);
}

TEST(archive, refuses_other_formats) {
    expect_fault(Builder().file("a", "").put(257, "ustar  ").seal().end(), ArchiveError::bad_magic,
                 0);
    expect_fault(Builder().file("a", "").end(1).file("b", "").end(), ArchiveError::bad_magic, 512);
}

TEST(archive, refuses_any_changed_header_bit) {
    Builder good;
    good.file("name", "content").end();
    for (size_t bit = 0; bit < 512 * 8; bit++) {
        Builder builder = good;
        builder.data()[bit / 8] = static_cast<char>(builder.data()[bit / 8] ^ (1 << bit % 8));
        ArchiveFault fault;
        if (Archive::open(builder.bytes(), fault).has_value()) {
            // The checksum may be written with a leading space, and end with a space or a NUL.
            EXPECT_TRUE(bit / 8 >= 148 && bit / 8 < 156) << bit;
        }
    }
}

TEST(archive, refuses_bad_numbers) {
    for (const size_t field : {100, 108, 116, 136}) {
        expect_fault(Builder().file("a", "").put(field, "8").seal().end(), ArchiveError::bad_number,
                     0);
        expect_fault(Builder()
                         .file("a", "")
                         .put(field, std::string(8, ' '))
                         .put(field + 7, "x")
                         .seal()
                         .end(),
                     ArchiveError::bad_number, 0);
    }
    // Not terminated, empty, negative, GNU's base 256, digits after the terminator.
    for (const std::string& size :
         {std::string("000000000000"), std::string(12, '\0'), std::string("-0000000001\0", 12),
          std::string("\x80\0\0\0\0\0\0\0\0\0\0\1", 12), std::string("0000000 001\0", 12)}) {
        expect_fault(Builder().file("a", "").put(124, size).seal().end(), ArchiveError::bad_number,
                     0);
    }
    expect_fault(Builder().file("a", "").put(148, "9999999").end(), ArchiveError::bad_number, 0);
}

TEST(archive, refuses_wrong_checksum) {
    expect_fault(Builder().file("a", "").put(0, "b").end(), ArchiveError::bad_checksum, 0);
}

TEST(archive, refuses_links_devices_and_extensions) {
    for (const char kind : std::string("12346789xgLKS")) {
        Builder builder;
        builder.header("a", "", kind, 0).end();
        expect_fault(builder, ArchiveError::bad_kind, 0);
    }
}

TEST(archive, refuses_names_that_are_not_plain) {
    for (const std::string name :
         {"", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/../b", "a\nb", "a\x7f"}) {
        expect_fault(Builder().file(name, "").end(), ArchiveError::bad_name, 0);
    }
    expect_fault(Builder().directory("a//").end(), ArchiveError::bad_name, 0);
    expect_fault(Builder().directory("/").end(), ArchiveError::bad_name, 0);
    expect_fault(Builder().file("a", "", "p/").end(), ArchiveError::bad_name, 0);
}

TEST(archive, refuses_directory_with_content) {
    Builder builder;
    builder.header("a", "", '5', 1).end();
    expect_fault(builder, ArchiveError::bad_directory, 0);
}

TEST(archive, content_must_lie_inside) {
    Builder at_limit;
    at_limit.header("a", "", '0', 1024).end(2);
    expect_fault(at_limit, ArchiveError::missing_end, 512 * 3);
    Builder above;
    above.header("a", "", '0', 1025).end(2);
    expect_fault(above, ArchiveError::content_outside, 0);
    Builder huge;
    huge.header("a", "", '0', 077777777777).end(2);
    expect_fault(huge, ArchiveError::content_outside, 0);
}

TEST(archive, refuses_duplicates) {
    expect_fault(Builder().file("a", "1").file("b", "").file("a", "2").end(),
                 ArchiveError::duplicate_name, 512 * 3);
    expect_fault(Builder().directory("a/").directory("a").end(), ArchiveError::duplicate_name, 512);
    // The same path by name alone and by prefix and name.
    expect_fault(Builder().file("a/b", "").file("b", "", "a").end(), ArchiveError::duplicate_name,
                 512);
}

TEST(archive, refuses_entries_below_a_file) {
    expect_fault(Builder().file("a", "").file("a/b", "").end(), ArchiveError::file_as_directory,
                 512);
    expect_fault(Builder().file("a/b", "").file("a", "").end(), ArchiveError::file_as_directory,
                 512);
    expect_sound(Builder().file("a", "").file("ab", "").file("a.b", "").end(), 3);
}

TEST(archive, entry_limit) {
    Builder builder;
    for (size_t index = 0; index < archive_max_entries; index++) {
        builder.file("file" + std::to_string(index), "");
    }
    Builder above = builder;
    expect_sound(builder.end(), archive_max_entries);
    // With archive_max_entries + 1.
    expect_fault(above.file("more", "").end(), ArchiveError::too_many_entries,
                 archive_max_entries * 512);
}

TEST(archive, refuses_trailing_data) {
    Builder builder;
    builder.file("a", "").end(2).file("b", "").end(2);
    expect_fault(builder, ArchiveError::trailing_data, 512);
}

// Bytes that change after `open` must never lead outside; here each size is made huge.
TEST(archive, survives_changes_after_open) {
    Builder builder;
    builder.file("a", "1").file("b", "2").end();
    ArchiveFault fault;
    const auto archive = Archive::open(builder.bytes(), fault);
    ASSERT_TRUE(archive.has_value());
    builder.data()[124] = '7';
    EXPECT_FALSE(archive->find("b").has_value());
    size_t seen = 0;
    for (const ArchiveEntry& entry : *archive) seen += entry.content.size();
    EXPECT_EQ(seen, 0u);
}

}  // namespace
}  // namespace annulus
