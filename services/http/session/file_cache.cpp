// SPDX-License-Identifier: MIT
// Small files that were read lately.
#include "services/http/session/file_cache.h"

#include <algorithm>
#include <new>
#include <utility>

namespace annulus::http {

FileCache::~FileCache() {
    for (CachedFile* const file : files_) {
        if (file != nullptr) release(file);
    }
}

// FNV-1a (Fowler, Noll, Vo). Whoever asks may choose paths that share a place: no more.
size_t FileCache::place_of(std::string_view path) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return (hash >> 32) % places;
}

CachedFile* FileCache::find(std::string_view path, uint64_t now) {
    CachedFile* const file = files_[place_of(path)];
    if (file == nullptr || file->path() != path || now - file->read_at_ > lifetime) return nullptr;
    file->holders_++;
    return file;
}

CachedFile* FileCache::keep(std::string_view path, std::unique_ptr<std::byte[]> bytes, size_t size,
                            uint64_t now) {
    if (path.size() > CachedFile::path_max || size > file_max) return nullptr;
    CachedFile*& place = files_[place_of(path)];
    if (place != nullptr) release(std::exchange(place, nullptr));
    if (size > total_max - total_) return nullptr;
    auto* const file = new (std::nothrow) CachedFile;
    if (file == nullptr) return nullptr;
    file->holders_ = 2;
    file->read_at_ = now;
    file->path_size_ = path.size();
    std::copy(path.begin(), path.end(), file->path_.begin());
    file->size_ = size;
    file->bytes_ = std::move(bytes);
    total_ += size;
    place = file;
    return file;
}

void FileCache::release(CachedFile* file) {
    if (--file->holders_ != 0) return;
    total_ -= file->size_;
    delete file;
}

}  // namespace annulus::http
