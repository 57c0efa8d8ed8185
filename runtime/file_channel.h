// SPDX-License-Identifier: MIT
// A file through shared memory: many requests under way, and none of them enters the kernel while
// both sides are awake.
//
//   auto notes = TRY(FileChannel::open(files, "notes", abi::open_read));
//   const size_t count = TRY(notes.read_at(0, bytes));          // a request for each buffer
//
// One by one, and looked at in place, without a copy of one's own:
//
//   while (const auto slot = notes.asker().acquire()) notes.read(*slot, next(), 4096);
//   TRY(notes.wait_answered());                                 // publishes, too
//   while (const auto done = notes.take()) {
//       notes.asker().bytes_of(done->slot) ...                  // done->bytes of it
//       notes.asker().release(done->slot);
//   }
//
// For a single small transfer a call is cheaper than a channel is to make: see
// docs/guide/files.md. Used by one thread at a time.
#pragma once

#include "runtime/channel.h"
#include "runtime/file.h"

#include <optional>

namespace annulus {

// An answer to a request.
struct FileDone {
    uint32_t slot = 0;  // the caller's again
    size_t bytes = 0;   // read into its buffer, or written from there
    Status status;      // as a call would have answered
    bool ok() const { return status.ok(); }
};

class FileChannel {
public:
    // 32 requests at a time, each of a page.
    static constexpr channel::Geometry usual = channel::requests_geometry(5, 12);

    // Opens a file, and hands it an end of a new channel. Errors of open and of ChannelEnd::create;
    // not_supported: the server has no channels; limit: not so large, or not one more.
    static Result<FileChannel> open(ObjectReference directory, std::string_view path,
                                    uint64_t flags, channel::Geometry geometry = usual,
                                    Deadline deadline = Deadline::never(),
                                    const ChannelPlace& place = {});

    // What was opened, for all that is no request. Closing it would end the channel.
    File file() const { return File(file_.value()); }
    channel::RequestAsker<ChannelBell>& asker() { return channel_.asker(); }
    // For waiting by other means (runtime/channel_end.h).
    RequestChannel& requests() { return channel_; }

    // Requests with a slot that was acquired: for `length` bytes of its buffer, at most all. The
    // server sees them with the next publish() of the asker, or when this waits.
    void read(uint32_t slot, uint64_t offset, uint32_t length) {
        ask(abi::FileRequest::read, slot, offset, length);
    }
    void write(uint32_t slot, uint64_t offset, uint32_t length) {
        ask(abi::FileRequest::write, slot, offset, length);
    }
    void sync(uint32_t slot) { ask(abi::FileRequest::sync, slot, 0, 0); }

    // The next answer, if there is one.
    std::optional<FileDone> take() {
        const auto answer = channel_.asker().take();
        if (!answer) return std::nullopt;
        return FileDone{answer->slot, answer->count, Status(answer->status)};
    }
    // Until there is an answer. closed: the file is closed or its server is gone; faulted.
    Result<void> wait_answered(Deadline deadline = Deadline::never(), uint32_t wanted = 1) {
        return channel_.wait_answered(deadline, wanted);
    }

    // As those of File, with as many requests under way as there are slots. Nothing else is
    // (wrong_state). After an error some bytes may be read or written; after timed_out answers may
    // still come, which take() gives.
    Result<size_t> read_at(uint64_t offset, std::span<std::byte> bytes,
                           Deadline deadline = Deadline::never());
    Result<void> write_at(uint64_t offset, std::span<const std::byte> bytes,
                          Deadline deadline = Deadline::never());
    Result<void> sync(Deadline deadline = Deadline::never());

private:
    FileChannel(Object file, RequestChannel channel)
        : file_(std::move(file)), channel_(std::move(channel)) {}

    void ask(abi::FileRequest operation, uint32_t slot, uint64_t offset, uint32_t length) {
        channel_.asker().send({.slot = slot,
                               .operation = static_cast<uint32_t>(operation),
                               .place = offset,
                               .length = length,
                               .flags = 0,
                               .word = 0});
    }
    bool idle() { return asker().free_slots() == asker().slot_count(); }
    Result<FileDone> take_or_wait(Deadline deadline);
    template <typename Ask, typename Took>
    Result<size_t> transfer(size_t size, Ask ask, Took took, Deadline deadline);

    Object file_;
    RequestChannel channel_;
};

}  // namespace annulus
