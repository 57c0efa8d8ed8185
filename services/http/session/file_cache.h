// SPDX-License-Identifier: MIT
// Small files that were read lately, for all workers. Policy-free; the caller locks.
//
// What was read stands for `lifetime`: a file that changes meanwhile is answered as it was. A place
// is found by the path's hash and holds the file that came last, so the cache can be searched and
// filled with any paths, and costs the same.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace annulus::http {

// A file's bytes; whoever got it from the cache holds it until release(), whatever becomes of its
// place.
class CachedFile {
public:
    static constexpr size_t path_max = 128;  // longer paths are not kept

    [[nodiscard]] std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }

private:
    friend class FileCache;

    unsigned holders_ = 0;  // the cache is one, while it has a place
    uint64_t read_at_ = 0;
    size_t path_size_ = 0;
    size_t size_ = 0;
    std::unique_ptr<std::byte[]> bytes_;
    std::array<char, path_max> path_;

    [[nodiscard]] std::string_view path() const { return {path_.data(), path_size_}; }
};

class FileCache {
public:
    static constexpr uint64_t lifetime = 1'000'000'000;  // nanoseconds
    static constexpr size_t file_max = 64 * 1024;        // bytes of one file
    static constexpr size_t total_max = 1024 * 1024;     // of all that are held by anybody

    FileCache() = default;
    ~FileCache();
    FileCache(const FileCache&) = delete;
    FileCache& operator=(const FileCache&) = delete;

    // The file that was read as `path` not longer than `lifetime` before `now`, or null.
    CachedFile* find(std::string_view path, uint64_t now);

    // Keeps what was read as `path` at `now`. Null, and nothing is kept: the path or the file is
    // too long, there is no room, or no memory.
    CachedFile* keep(std::string_view path, std::unique_ptr<std::byte[]> bytes, size_t size,
                     uint64_t now);

    // Undoes one find() or keep().
    void release(CachedFile* file);

    [[nodiscard]] size_t total() const { return total_; }

private:
    static constexpr size_t places = 64;

    static size_t place_of(std::string_view path);

    std::array<CachedFile*, places> files_{};
    size_t total_ = 0;
};

}  // namespace annulus::http
