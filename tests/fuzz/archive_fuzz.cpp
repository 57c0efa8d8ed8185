// SPDX-License-Identifier: MIT
// Fuzz target of the ustar reader. Checksums are repaired first, so that mutations get past them.
#include "base/archive.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

// Gives every block that carries the ustar magic a right checksum.
void repair_checksums(std::vector<unsigned char>& bytes) {
    for (size_t block = 0; block + 512 <= bytes.size(); block += 512) {
        if (memcmp(&bytes[block + 257], "ustar", 6) != 0) continue;
        memset(&bytes[block + 148], ' ', 8);
        unsigned sum = 0;
        for (size_t at = 0; at < 512; at++) sum += bytes[block + at];
        char text[8];
        snprintf(text, sizeof text, "%06o", sum);
        memcpy(&bytes[block + 148], text, 7);
    }
}

void require(bool condition) {
    if (!condition) abort();
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    using namespace annulus;
    if (size == 0) return 0;
    // An own heap block of the exact size, so that the sanitizer sees any access outside.
    std::vector<unsigned char> bytes(data + 1, data + size);
    if (data[0] & 1) repair_checksums(bytes);
    if (data[0] & 2) bytes.resize((bytes.size() + 511) / 512 * 512 + 1024);
    bytes.shrink_to_fit();
    const auto view = std::as_bytes(std::span(bytes));

    ArchiveFault fault;
    const auto archive = Archive::open(view, fault);
    require(archive.has_value() == (fault.error == ArchiveError::none));
    require(!describe(fault.error).empty() && fault.offset <= bytes.size());
    if (!archive) return 0;
    size_t count = 0;
    unsigned sum = 0;
    for (const ArchiveEntry& entry : *archive) {
        require(is_plain_path(entry.path.view()));
        for (const std::byte byte : entry.content) sum += std::to_integer<unsigned>(byte);
        const auto found = archive->find(entry.path.view());
        require(found.has_value() == (entry.kind == ArchiveKind::file));
        if (found) require(found->data() == entry.content.data());
        count++;
    }
    require(count == archive->entry_count());
    // Changed bytes may give wrong contents, never an access outside.
    for (size_t at = 0; at + 136 <= bytes.size(); at += 512) bytes[at + 124] ^= data[0];
    for (const ArchiveEntry& entry : *archive) {
        for (const std::byte byte : entry.content) sum += std::to_integer<unsigned>(byte);
    }
    return sum == 0xffffffff ? 1 : 0;
}
