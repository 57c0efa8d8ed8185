// SPDX-License-Identifier: MIT
// Reader of a POSIX ustar archive that lies in memory.
#include "base/archive.h"

namespace annulus {
namespace {

using Bytes = std::span<const std::byte>;

// Fields of a ustar header: POSIX.1-1988, 10.1.1, table 10-1.
struct Field {
    size_t offset;
    size_t size;
};
constexpr Field name_field{0, 100};
constexpr Field mode_field{100, 8};
constexpr Field user_field{108, 8};
constexpr Field group_field{116, 8};
constexpr Field size_field{124, 12};
constexpr Field time_field{136, 12};
constexpr Field sum_field{148, 8};
constexpr Field kind_field{156, 1};
constexpr Field magic_field{257, 8};  // magic and version together
constexpr Field prefix_field{345, 155};

constexpr std::string_view ustar_magic{"ustar\00000", 8};

unsigned value_of(std::byte byte) { return std::to_integer<unsigned>(byte); }

Bytes field_of(Bytes header, Field field) { return header.subspan(field.offset, field.size); }

std::string_view text_of(Bytes bytes) {
    // Safety: char may alias any object; the view covers exactly the span.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The text up to the first NUL; a full field has none.
std::string_view terminated_text(Bytes bytes) {
    const std::string_view text = text_of(bytes);
    return text.substr(0, text.find('\0'));
}

// Optional spaces, octal digits, then at least one terminator (space or NUL) and nothing else.
// The widest field has 11 digits, 33 bits, so the value cannot overflow.
std::optional<uint64_t> parse_octal(Bytes field) {
    const std::string_view text = text_of(field);
    size_t at = 0;
    while (at < text.size() && text[at] == ' ') at++;
    const size_t first_digit = at;
    uint64_t value = 0;
    while (at < text.size() && text[at] >= '0' && text[at] <= '7') {
        value = value * 8 + static_cast<uint64_t>(text[at] - '0');
        at++;
    }
    if (at == first_digit || at == text.size()) return std::nullopt;
    for (const char rest : text.substr(at)) {
        if (rest != ' ' && rest != '\0') return std::nullopt;
    }
    return value;
}

// Sum of the header's bytes as unsigned values, with the checksum field taken as spaces.
uint64_t header_sum(Bytes header) {
    uint64_t sum = 0;
    for (const std::byte byte : header) sum += value_of(byte);
    for (const std::byte byte : field_of(header, sum_field)) sum -= value_of(byte);
    return sum + sum_field.size * ' ';
}

bool all_zero(Bytes bytes) {
    for (const std::byte byte : bytes) {
        if (byte != std::byte{0}) return false;
    }
    return true;
}

bool read_path(Bytes header, ArchiveEntry& entry) {
    const std::string_view prefix = terminated_text(field_of(header, prefix_field));
    if (!prefix.empty()) {
        if (!entry.path.append(prefix) || !entry.path.append("/")) return false;
    }
    if (!entry.path.append(terminated_text(field_of(header, name_field)))) return false;
    if (entry.kind == ArchiveKind::directory && entry.path.view().ends_with('/')) {
        entry.path.drop_last();
    }
    return is_plain_path(entry.path.view());
}

bool numbers_are_valid(Bytes header) {
    for (const Field field : {mode_field, user_field, group_field, time_field}) {
        if (!parse_octal(field_of(header, field))) return false;
    }
    return true;
}

std::optional<ArchiveKind> read_kind(Bytes header) {
    switch (text_of(field_of(header, kind_field)).front()) {
        case '0':
        case '\0': return ArchiveKind::file;
        case '5': return ArchiveKind::directory;
        default: return std::nullopt;
    }
}

// What only the build can get wrong: checked once, in `open`. `header` is one block.
ArchiveError check_header(Bytes header) {
    if (text_of(field_of(header, magic_field)) != ustar_magic) return ArchiveError::bad_magic;
    const auto stated_sum = parse_octal(field_of(header, sum_field));
    if (!stated_sum || !numbers_are_valid(header)) return ArchiveError::bad_number;
    if (*stated_sum != header_sum(header)) return ArchiveError::bad_checksum;
    return ArchiveError::none;
}

// Decodes the entry whose header is at `offset`, without `check_header`. `next` becomes the
// offset of the following header. `bytes` must be a multiple of the block size.
ArchiveError decode_entry(Bytes bytes, size_t offset, ArchiveEntry& entry, size_t& next) {
    if (offset > bytes.size() || bytes.size() - offset < archive_block_size) {
        return ArchiveError::missing_end;
    }
    const Bytes header = bytes.subspan(offset, archive_block_size);
    const auto size = parse_octal(field_of(header, size_field));
    if (!size) return ArchiveError::bad_number;
    const auto kind = read_kind(header);
    if (!kind) return ArchiveError::bad_kind;

    entry = {};
    entry.kind = *kind;
    if (!read_path(header, entry)) return ArchiveError::bad_name;
    if (*kind == ArchiveKind::directory && *size != 0) return ArchiveError::bad_directory;

    const Bytes rest = bytes.subspan(offset + archive_block_size);
    if (*size > rest.size()) return ArchiveError::content_outside;
    const size_t length = static_cast<size_t>(*size);
    entry.content = rest.first(length);
    // Cannot pass the end of `rest`: both its length and the rounding are whole blocks.
    const size_t blocks = (length + archive_block_size - 1) / archive_block_size;
    next = offset + archive_block_size + blocks * archive_block_size;
    return ArchiveError::none;
}

bool lies_below(std::string_view path, std::string_view parent) {
    return path.size() > parent.size() && path.starts_with(parent) && path[parent.size()] == '/';
}

// Compares `entry` with the entries that lie before the header at `end`.
ArchiveError check_against_earlier(Bytes bytes, size_t end, const ArchiveEntry& entry) {
    ArchiveEntry earlier;
    const std::string_view path = entry.path.view();
    for (size_t offset = 0; offset < end;) {
        if (const auto error = decode_entry(bytes, offset, earlier, offset);
            error != ArchiveError::none) {
            return error;
        }
        const std::string_view other = earlier.path.view();
        if (path == other) return ArchiveError::duplicate_name;
        const bool below = earlier.kind == ArchiveKind::file && lies_below(path, other);
        const bool above = entry.kind == ArchiveKind::file && lies_below(other, path);
        if (below || above) return ArchiveError::file_as_directory;
    }
    return ArchiveError::none;
}

// True if the archive's end, two zero blocks, is at `offset`.
bool at_end(Bytes bytes, size_t offset) {
    const Bytes rest = bytes.subspan(offset);
    return rest.size() >= 2 * archive_block_size && all_zero(rest.first(2 * archive_block_size));
}

// Everything that can be wrong with the entry at `offset`, the one after `count` sound ones.
// `next` becomes the offset of the following header.
ArchiveError check_entry(Bytes bytes, size_t offset, size_t count, size_t& next) {
    const Bytes rest = bytes.subspan(offset);
    if (rest.size() < archive_block_size || (rest.size() == archive_block_size && all_zero(rest))) {
        return ArchiveError::missing_end;
    }
    if (const auto error = check_header(rest.first(archive_block_size));
        error != ArchiveError::none) {
        return error;
    }
    ArchiveEntry entry;
    if (const auto error = decode_entry(bytes, offset, entry, next); error != ArchiveError::none) {
        return error;
    }
    if (count == archive_max_entries) return ArchiveError::too_many_entries;
    return check_against_earlier(bytes, offset, entry);
}

}  // namespace

std::string_view describe(ArchiveError error) {
    switch (error) {
        case ArchiveError::none: return "nothing is wrong";
        case ArchiveError::bad_length: return "the length is not a multiple of 512 bytes";
        case ArchiveError::missing_end: return "the archive ends without two zero blocks";
        case ArchiveError::bad_magic: return "a header is not in the ustar format";
        case ArchiveError::bad_checksum: return "a header's checksum is wrong";
        case ArchiveError::bad_number: return "a header's number is not terminated octal";
        case ArchiveError::bad_kind: return "an entry is neither a file nor a directory";
        case ArchiveError::bad_name: return "an entry's name is not a plain relative path";
        case ArchiveError::bad_directory: return "a directory has content";
        case ArchiveError::content_outside: return "an entry's content lies outside the archive";
        case ArchiveError::duplicate_name: return "a name occurs twice";
        case ArchiveError::file_as_directory: return "an entry lies below a regular file";
        case ArchiveError::too_many_entries: return "the archive has too many entries";
        case ArchiveError::trailing_data: return "something follows the archive's end";
    }
    return "unknown error";
}

bool ArchivePath::append(std::string_view part) {
    if (part.size() > text_.size() - length_) return false;
    for (const char character : part) text_[length_++] = character;
    return true;
}

void ArchivePath::drop_last() {
    if (length_ > 0) length_--;
}

bool is_plain_path(std::string_view path) {
    if (path.empty() || path.size() > archive_max_path) return false;
    for (const char character : path) {
        const auto code = static_cast<unsigned char>(character);
        if (code < 0x20 || code == 0x7f) return false;
    }
    while (true) {
        const size_t slash = path.find('/');
        const std::string_view component = path.substr(0, slash);
        if (component.empty() || component == "." || component == "..") return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

std::optional<Archive> Archive::open(Bytes bytes, ArchiveFault& fault) {
    fault = {};
    if (bytes.size() % archive_block_size != 0) {
        fault = {ArchiveError::bad_length, bytes.size()};
        return std::nullopt;
    }
    size_t count = 0;
    size_t offset = 0;
    while (!at_end(bytes, offset)) {
        size_t next = 0;
        fault = {check_entry(bytes, offset, count, next), offset};
        if (fault.error != ArchiveError::none) return std::nullopt;
        count++;
        offset = next;
    }
    fault = {};
    if (!all_zero(bytes.subspan(offset))) {
        fault = {ArchiveError::trailing_data, offset};
        return std::nullopt;
    }
    return Archive(bytes, count);
}

std::optional<Bytes> Archive::find(std::string_view path) const {
    for (const ArchiveEntry& entry : *this) {
        if (entry.kind == ArchiveKind::file && entry.path.view() == path) return entry.content;
    }
    return std::nullopt;
}

Archive::Iterator::Iterator(Bytes bytes, size_t remaining) : bytes_(bytes), remaining_(remaining) {
    load();
}

Archive::Iterator& Archive::Iterator::operator++() {
    if (remaining_ == 0) return *this;
    remaining_--;
    load();
    return *this;
}

void Archive::Iterator::load() {
    if (remaining_ == 0) return;
    // `offset_` moves to the following header, ready for the next load. `open` found every entry
    // sound; one that no longer is was changed under us, and ends the walk.
    if (decode_entry(bytes_, offset_, entry_, offset_) != ArchiveError::none) remaining_ = 0;
}

}  // namespace annulus
