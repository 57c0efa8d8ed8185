// SPDX-License-Identifier: MIT
// Whole transfers through a file's channel.
#include "runtime/file_channel.h"

#include <algorithm>

namespace annulus {

Result<FileChannel> FileChannel::open(ObjectReference directory, std::string_view path,
                                      uint64_t flags, channel::Geometry geometry, Deadline deadline,
                                      const ChannelPlace& place) {
    auto made = TRY(RequestChannel::create(geometry, place));
    Object file = TRY(annulus::open(directory, path, flags, deadline, std::move(made.theirs)));
    return FileChannel(std::move(file), std::move(made.mine));
}

// The next answer, which surely comes.
Result<FileDone> FileChannel::take_or_wait(Deadline deadline) {
    for (;;) {
        if (const auto done = take()) return *done;
        TRY(wait_answered(deadline));
    }
}

namespace {

// What is being transferred in parts of one buffer each: slot by slot, where each part lies.
class Parts {
public:
    Parts(size_t size, size_t part) : size_(size), part_(part) {}

    bool more() const { return next_ < size_; }
    // The next part, which `slot` carries.
    size_t begin(uint32_t slot) {
        const size_t at = next_;
        index_of_[slot] = static_cast<uint32_t>(at / part_);
        next_ += length(at);
        ++under_way_;
        return at;
    }
    size_t end(uint32_t slot) {
        --under_way_;
        return index_of_[slot] * part_;
    }
    size_t length(size_t at) const { return std::min(part_, size_ - at); }
    // Nothing beyond `size` is of interest.
    void cut(size_t size) { size_ = std::min(size_, size); }
    size_t size() const { return size_; }
    bool under_way() const { return under_way_ != 0; }

private:
    size_t size_;
    size_t part_;
    size_t next_ = 0;
    uint32_t under_way_ = 0;
    std::array<uint32_t, channel::max_buffers> index_of_;
};

}  // namespace

Result<size_t> FileChannel::read_at(uint64_t offset, std::span<std::byte> bytes,
                                    Deadline deadline) {
    auto& asker = channel_.asker();
    if (asker.free_slots() != asker.slot_count()) return Error::wrong_state;
    Parts parts(bytes.size(), asker.buffer_size());
    Status failure;
    while (parts.more() || parts.under_way()) {
        while (parts.more()) {
            const auto slot = asker.acquire();
            if (!slot) break;
            const size_t at = parts.begin(*slot);
            read(*slot, offset + at, static_cast<uint32_t>(parts.length(at)));
        }
        const FileDone done = TRY(take_or_wait(deadline));
        const size_t at = parts.end(done.slot);
        if (!done.ok()) {
            failure = done.status;
            parts.cut(0);
        } else if (at < parts.size()) {
            const size_t count = std::min(done.bytes, parts.length(at));
            // It fits: a part is no longer than a buffer.
            static_cast<void>(asker.bytes_of(done.slot).freeze(0, bytes.subspan(at, count)));
            // Fewer: the file ends there.
            if (count < parts.length(at)) parts.cut(at + count);
        }
        asker.release(done.slot);
    }
    if (!failure.ok()) return failure;
    return parts.size();
}

Result<void> FileChannel::write_at(uint64_t offset, std::span<const std::byte> bytes,
                                   Deadline deadline) {
    auto& asker = channel_.asker();
    if (asker.free_slots() != asker.slot_count()) return Error::wrong_state;
    Parts parts(bytes.size(), asker.buffer_size());
    Status failure;
    while (parts.more() || parts.under_way()) {
        while (parts.more()) {
            const auto slot = asker.acquire();
            if (!slot) break;
            const size_t at = parts.begin(*slot);
            const size_t count = parts.length(at);
            static_cast<void>(asker.bytes_of(*slot).store(0, bytes.subspan(at, count)));
            write(*slot, offset + at, static_cast<uint32_t>(count));
        }
        const FileDone done = TRY(take_or_wait(deadline));
        const size_t at = parts.end(done.slot);
        asker.release(done.slot);
        if (!done.ok()) {
            failure = done.status;
            parts.cut(0);
        } else if (at < parts.size() && done.bytes < parts.length(at)) {
            // The rest of the part by a call, which goes on until all is done or says why not.
            const auto rest = bytes.subspan(at, parts.length(at)).subspan(done.bytes);
            failure = file().write_at(offset + at + done.bytes, rest, deadline).status();
            if (!failure.ok()) parts.cut(0);
        }
    }
    if (!failure.ok()) return failure;
    return {};
}

Result<void> FileChannel::sync(Deadline deadline) {
    auto& asker = channel_.asker();
    if (asker.free_slots() != asker.slot_count()) return Error::wrong_state;
    const auto slot = asker.acquire();
    if (!slot) return channel_.check().ok() ? Error::wrong_state : Error::faulted;
    sync(*slot);
    const FileDone done = TRY(take_or_wait(deadline));
    asker.release(done.slot);
    if (!done.ok()) return done.status;
    return {};
}

}  // namespace annulus
