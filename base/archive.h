// SPDX-License-Identifier: MIT
// Reader of a POSIX ustar archive that lies in memory: the boot archive.
//
// Accepted is the subset that a build writes: regular files and directories, in the ustar format
// of POSIX.1-1988 ("ustar\0" "00"). Links, devices, pax and GNU extensions are refused, so one
// archive has one meaning. Names are relative and plain (see `is_plain_path`), each occurs once,
// and no file has other entries below it. Parents of a file need no entry of their own. Two zero
// blocks end the archive and only zeros may follow.
//
// Memory: nothing is copied but names; contents are spans of the caller's bytes, which must stay
// in place. Every access is checked against the span, also after `open`: bytes that change under
// the reader can give wrong contents, never an access outside.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace annulus {

// A header and every content start on a multiple of this many bytes (POSIX ustar).
inline constexpr size_t archive_block_size = 512;

// Entries at most; bounds the quadratic search for duplicate names (1024^2 / 2 name compares).
inline constexpr size_t archive_max_entries = 1024;

// ustar: 155 bytes of prefix, a slash, 100 bytes of name.
inline constexpr size_t archive_max_path = 155 + 1 + 100;

enum class ArchiveError : uint8_t {
    none,
    bad_length,         // not a multiple of the block size
    missing_end,        // the bytes end before two zero blocks
    bad_magic,          // no ustar header
    bad_checksum,       // header sum differs from the one stated
    bad_number,         // a numeric field is not terminated octal
    bad_kind,           // neither a regular file nor a directory
    bad_name,           // not a plain path
    bad_directory,      // a directory with content
    content_outside,    // content reaches beyond the archive
    duplicate_name,     // the name occurred before
    file_as_directory,  // an entry lies below a regular file
    too_many_entries,   // more than archive_max_entries
    trailing_data,      // something other than zeros after the end
};

// A sentence part such as "a header's checksum is wrong"; static storage.
[[nodiscard]] std::string_view describe(ArchiveError error);

// What is wrong and at which byte of the archive: the header's start, for most errors.
struct ArchiveFault {
    ArchiveError error = ArchiveError::none;
    size_t offset = 0;
};

enum class ArchiveKind : uint8_t { file, directory };

// An entry's name, put together from the header's two parts, without a directory's final slash.
class ArchivePath {
public:
    [[nodiscard]] std::string_view view() const { return {text_.data(), length_}; }

    // Adds `part`; false, and nothing changed, if there is no room.
    bool append(std::string_view part);
    void drop_last();

private:
    std::array<char, archive_max_path> text_{};
    size_t length_ = 0;
};

struct ArchiveEntry {
    ArchivePath path;
    ArchiveKind kind = ArchiveKind::file;
    std::span<const std::byte> content;  // empty for a directory
};

// True for a relative path whose components are not empty, "." or "..", without control bytes
// and of at most `archive_max_path` bytes: "drivers/console".
[[nodiscard]] bool is_plain_path(std::string_view path);

class Archive {
public:
    class Iterator {
    public:
        const ArchiveEntry& operator*() const { return entry_; }
        const ArchiveEntry* operator->() const { return &entry_; }
        Iterator& operator++();
        bool operator==(const Iterator& other) const { return remaining_ == other.remaining_; }

    private:
        friend class Archive;
        Iterator(std::span<const std::byte> bytes, size_t remaining);
        void load();

        std::span<const std::byte> bytes_;
        size_t offset_ = 0;  // of the header after the current entry
        size_t remaining_ = 0;
        ArchiveEntry entry_;
    };

    // Checks the whole archive: every header, name and size. On a fault there is no archive and
    // `fault` says why; otherwise `fault.error` is none.
    [[nodiscard]] static std::optional<Archive> open(std::span<const std::byte> bytes,
                                                     ArchiveFault& fault);

    [[nodiscard]] size_t entry_count() const { return count_; }
    [[nodiscard]] Iterator begin() const { return {bytes_, count_}; }
    [[nodiscard]] Iterator end() const { return {bytes_, 0}; }

    // Content of the regular file with exactly this path; nothing for directories and for names
    // that are not there. Linear in the number of entries.
    [[nodiscard]] std::optional<std::span<const std::byte>> find(std::string_view path) const;

private:
    Archive(std::span<const std::byte> bytes, size_t count) : bytes_(bytes), count_(count) {}

    std::span<const std::byte> bytes_;
    size_t count_ = 0;
};

}  // namespace annulus
