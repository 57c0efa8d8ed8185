// SPDX-License-Identifier: MIT
// Files of the served folder: from memory if they were read lately, else from their server.
#include "services/http/folder_site.h"

#include <new>

#include "runtime/clock.h"

namespace annulus::http {
namespace {

constexpr Duration file_time = seconds(10);

}  // namespace

CachedFile* RecentFiles::find(std::string_view path, uint64_t now) {
    Lock lock(mutex_);
    return cache_.find(path, now);
}

CachedFile* RecentFiles::keep(std::string_view path, std::unique_ptr<std::byte[]> bytes,
                              size_t size, uint64_t now) {
    Lock lock(mutex_);
    return cache_.keep(path, std::move(bytes), size, now);
}

void RecentFiles::release(CachedFile* file) {
    Lock lock(mutex_);
    cache_.release(file);
}

Result<Site::Found> FolderSite::open(std::string_view path) {
    cached_ = recent_.find(path, now());
    if (cached_ != nullptr) return Found{false, cached_->bytes().size()};
    auto opened = folder_.open<File>(path, abi::open_read, Deadline::after(file_time));
    if (!opened.ok()) return note(opened.status());
    file_ = std::move(opened).value();
    const auto state = file_.state(Deadline::after(file_time));
    if (!state.ok()) return note(state.status());
    if (state->kind == abi::EntryKind::object) return Error::not_found;
    const bool is_folder = state->kind == abi::EntryKind::directory;
    const bool is_small = state->size != 0 && state->size <= FileCache::file_max;
    if (!is_folder && is_small) cached_ = read_whole(path, state->size);
    return Found{is_folder, state->size};
}

// The open file, kept for all; null if that cannot be.
CachedFile* FolderSite::read_whole(std::string_view path, size_t size) {
    const uint64_t begin = now();
    std::unique_ptr<std::byte[]> bytes(new (std::nothrow) std::byte[size]);
    if (bytes == nullptr) return nullptr;
    const auto count = file_.read_at(0, {bytes.get(), size}, Deadline::after(file_time));
    // One that became shorter is not the file that was found.
    if (!count.ok() || *count != size) return nullptr;
    return recent_.keep(path, std::move(bytes), size, begin);
}

std::span<const std::byte> FolderSite::contents() {
    return cached_ != nullptr ? cached_->bytes() : std::span<const std::byte>();
}

Result<size_t> FolderSite::read(uint64_t offset, std::span<std::byte> space) {
    const auto count = file_.read_at(offset, space, Deadline::after(file_time));
    if (!count.ok()) return note(count.status());
    return *count;
}

void FolderSite::close() {
    file_.close();
    if (cached_ != nullptr) recent_.release(std::exchange(cached_, nullptr));
}

Status FolderSite::note(Status status) {
    if (status.code() == Error::server_died) end_ = status;
    return status;
}

}  // namespace annulus::http
