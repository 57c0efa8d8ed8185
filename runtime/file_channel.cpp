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

// ask(slot, at, length) sends the part of the bytes that begins `at`; took(slot, at, length, bytes)
// uses its answer, and says how much of the part is done: if not all, nothing behind it counts. How
// much there is in the end.
template <typename Ask, typename Took>
Result<size_t> FileChannel::transfer(size_t size, Ask ask, Took took, Deadline deadline) {
    auto& asker = channel_.asker();
    if (!idle()) return Error::wrong_state;
    Parts parts(size, asker.buffer_size());
    Status failure;
    while (parts.more() || parts.under_way()) {
        while (parts.more()) {
            const auto slot = asker.acquire();
            if (!slot) break;
            const size_t at = parts.begin(*slot);
            ask(*slot, at, parts.length(at));
        }
        const FileDone done = TRY(take_or_wait(deadline));
        const size_t at = parts.end(done.slot);
        if (!done.ok()) {
            failure = done.status;
            parts.cut(0);
        } else if (at < parts.size()) {
            const size_t length = parts.length(at);
            const Result<size_t> count = took(done.slot, at, length, std::min(done.bytes, length));
            if (!count.ok()) failure = count.status();
            if (!count.ok() || *count < length) parts.cut(count.ok() ? at + *count : 0);
        }
        asker.release(done.slot);
    }
    if (!failure.ok()) return failure;
    return parts.size();
}

Result<size_t> FileChannel::read_at(uint64_t offset, std::span<std::byte> bytes,
                                    Deadline deadline) {
    const auto ask = [&](uint32_t slot, size_t at, size_t length) {
        read(slot, offset + at, static_cast<uint32_t>(length));
    };
    // Fewer: the file ends there.
    const auto took = [&](uint32_t slot, size_t at, size_t, size_t count) {
        // It fits: a part is no longer than a buffer.
        static_cast<void>(asker().bytes_of(slot).freeze(0, bytes.subspan(at, count)));
        return Result<size_t>(count);
    };
    return transfer(bytes.size(), ask, took, deadline);
}

Result<void> FileChannel::write_at(uint64_t offset, std::span<const std::byte> bytes,
                                   Deadline deadline) {
    const auto ask = [&](uint32_t slot, size_t at, size_t length) {
        static_cast<void>(asker().bytes_of(slot).store(0, bytes.subspan(at, length)));
        write(slot, offset + at, static_cast<uint32_t>(length));
    };
    // The rest of a part by a call, which goes on until all is done or says why not.
    const auto took = [&](uint32_t, size_t at, size_t length, size_t count) -> Result<size_t> {
        const auto rest = bytes.subspan(at + count, length - count);
        TRY(file().write_at(offset + at + count, rest, deadline));
        return length;
    };
    return transfer(bytes.size(), ask, took, deadline).status();
}

Result<void> FileChannel::sync(Deadline deadline) {
    if (!idle()) return Error::wrong_state;
    const auto slot = asker().acquire();
    if (!slot) return channel_.check();  // there are some, so the server has lied before
    sync(*slot);
    const FileDone done = TRY(take_or_wait(deadline));
    asker().release(done.slot);
    return done.status;
}

}  // namespace annulus
