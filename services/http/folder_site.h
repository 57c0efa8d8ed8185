// SPDX-License-Identifier: MIT
// The served folder, as one session sees it.
#pragma once

#include "runtime/file.h"
#include "runtime/mutex.h"
#include "services/http/session/file_cache.h"
#include "services/http/session/session.h"

namespace annulus::http {

// The cache that all sessions share.
class RecentFiles {
public:
    explicit RecentFiles(Mutex mutex) : mutex_(std::move(mutex)) {}

    // As FileCache has them.
    CachedFile* find(std::string_view path, uint64_t now);
    CachedFile* keep(std::string_view path, std::unique_ptr<std::byte[]> bytes, size_t size,
                     uint64_t now);
    void release(CachedFile* file);

private:
    Mutex mutex_;
    FileCache cache_ GUARDED_BY(mutex_);
};

class FolderSite final : public Site {
public:
    FolderSite(Directory folder, RecentFiles& recent) : folder_(folder), recent_(recent) {}
    ~FolderSite() { close(); }
    FolderSite(const FolderSite&) = delete;
    FolderSite& operator=(const FolderSite&) = delete;

    Result<Found> open(std::string_view path) override;
    std::span<const std::byte> contents() override;
    Result<size_t> read(uint64_t offset, std::span<std::byte> space) override;
    void close() override;

    // Ok, or that the files' server is gone.
    [[nodiscard]] Status end() const { return end_; }

private:
    Status note(Status status);
    CachedFile* read_whole(std::string_view path, size_t size);

    Directory folder_;
    RecentFiles& recent_;
    CachedFile* cached_ = nullptr;  // the open file is this, or
    Owned<File> file_;              // this
    Status end_;
};

}  // namespace annulus::http
