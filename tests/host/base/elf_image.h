// SPDX-License-Identifier: MIT
// A small sound ELF image for tests, laid out as lld lays out a static PIE, to be broken on
// purpose.
//
//   file    address  segment
//   0x0000  0x0000   read-only: headers, relocation table at 0x400
//   0x1000  0x1000   code, entry at 0x1010
//   0x2000  0x2000   relocated read-only data: dynamic section at 0x2100, thread-local image 0x2400
//   0x3000  0x3000   data, 0x800 bytes from the file, 0x3000 in memory
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace annulus::test {

struct Header {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t address;
    uint64_t physical;
    uint64_t file_size;
    uint64_t memory_size;
    uint64_t alignment;
};
static_assert(sizeof(Header) == 56);

class ElfImage {
public:
    static constexpr size_t headers_at = 64;
    static constexpr size_t table_at = 0x400;
    static constexpr size_t dynamic_at = 0x2100;
    static constexpr size_t size = 0x3800;
    // Indices of the program headers.
    enum : size_t { rodata, code, relro_data, data, dynamic, tls, relro, stack, header_count };

    ElfImage() : bytes_(size) {
        const unsigned char identity[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
        memcpy(bytes_.data(), identity, sizeof identity);
        put<uint16_t>(16, 3);
        put<uint16_t>(18, 62);
        put<uint32_t>(20, 1);
        put<uint64_t>(24, 0x1010);
        put<uint64_t>(32, headers_at);
        put<uint16_t>(52, 64);
        put<uint16_t>(54, 56);
        put<uint16_t>(56, header_count);
        set(rodata, {1, 4, 0, 0, 0, 0x1000, 0x1000, 0x1000});
        set(code, {1, 5, 0x1000, 0x1000, 0, 0x800, 0x800, 0x1000});
        set(relro_data, {1, 6, 0x2000, 0x2000, 0, 0x800, 0x1000, 0x1000});
        set(data, {1, 6, 0x3000, 0x3000, 0, 0x800, 0x3000, 0x1000});
        set(dynamic, {2, 6, dynamic_at, dynamic_at, 0, 0x80, 0x80, 8});
        set(tls, {7, 4, 0x2400, 0x2400, 0, 0x10, 0x40, 16});
        set(relro, {0x6474e552, 4, 0x2000, 0x2000, 0, 0x800, 0x1000, 1});
        set(stack, {0x6474e551, 6, 0, 0, 0, 0, 0, 0});
        set_tag(0, 7, table_at);
        set_tag(1, 8, 3 * 24);
        set_tag(2, 9, 24);
        set_tag(3, 0x6ffffff9, 3);
        set_tag(4, 30, 8);  // DF_BIND_NOW
        set_relocation(0, 0x2000, 8, 0x1010);
        set_relocation(1, 0x3000, 8, 0x3800);
        set_relocation(2, 0x5ff8, 8, 0x1020);
    }

    template <typename T>
    void put(size_t at, T value) {
        memcpy(&bytes_.at(at), &value, sizeof value);
    }
    void set(size_t index, Header header) { put(headers_at + index * sizeof header, header); }
    Header get(size_t index) const {
        Header header;
        memcpy(&header, &bytes_.at(headers_at + index * sizeof header), sizeof header);
        return header;
    }
    // Changes one field of a program header: change(code, &Header::flags, 7).
    template <typename T, typename V>
    void change(size_t index, T Header::* field, V value) {
        Header header = get(index);
        header.*field = static_cast<T>(value);
        set(index, header);
    }
    void set_tag(size_t index, uint64_t tag, uint64_t value) {
        put(dynamic_at + index * 16, tag);
        put(dynamic_at + index * 16 + 8, value);
    }
    void set_relocation(size_t index, uint64_t place, uint64_t kind, uint64_t addend) {
        put(table_at + index * 24, place);
        put(table_at + index * 24 + 8, kind);
        put(table_at + index * 24 + 16, addend);
    }
    std::vector<unsigned char>& raw() { return bytes_; }
    std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bytes_)); }

private:
    std::vector<unsigned char> bytes_;
};

}  // namespace annulus::test
