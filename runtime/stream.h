// SPDX-License-Identifier: MIT
// A stream of bytes: behind a handle, by synchronous calls, or through something faster.
//
// Programs use a Stream and need not know which. A channel (runtime/channel.h) is a transport:
//
//     auto made = TRY(ByteChannel::create());
//     const Object object = TRY(open(files, path, flags, deadline, std::move(made.theirs)));
//     const Stream stream(made.mine, object);   // `made.mine` and `object` must outlive it
#pragma once

#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"

#include <cstddef>
#include <span>
#include <string_view>

namespace annulus {

// What moves a stream's bytes in place of calls. The operations mean what those of Stream do.
class StreamTransport {
public:
    virtual Result<size_t> read(std::span<std::byte> bytes, Deadline deadline) = 0;
    virtual Result<size_t> write_some(std::span<const std::byte> bytes, Deadline deadline) = 0;
    virtual Result<void> sync(Deadline deadline) = 0;

protected:
    ~StreamTransport() = default;
};

// Names a served object that knows abi/stream.h, or a transport to one. Owns neither.
class Stream : public ServedReference {
public:
    using Reference = Stream;
    using ServedReference::ServedReference;
    // `object` is what the transport leads to, for operations beside those of streams.
    explicit Stream(StreamTransport& transport, ObjectReference object = {})
        : ServedReference(object.value()), transport_(&transport) {}

    // Reads at least one byte, and no more than `bytes` holds. 0: the stream has ended.
    Result<size_t> read(std::span<std::byte> bytes, Deadline deadline = Deadline::never()) const;

    // Fills `bytes`, in as many requests as it takes. `closed` if the stream ended before.
    Result<void> read_all(std::span<std::byte> bytes, Deadline deadline = Deadline::never()) const;

    // Writes some of `bytes` in one request, at most what the server takes at once, and answers
    // how many.
    Result<size_t> write_some(std::span<const std::byte> bytes,
                              Deadline deadline = Deadline::never()) const;

    // Writes all of `bytes`, in as many requests as it takes. After an error some may be written.
    Result<void> write(std::span<const std::byte> bytes,
                       Deadline deadline = Deadline::never()) const;
    Result<void> write(std::string_view text, Deadline deadline = Deadline::never()) const {
        return write(std::as_bytes(std::span(text)), deadline);
    }

    // Returns when what was written has reached its destination.
    Result<void> sync(Deadline deadline = Deadline::never()) const;

private:
    StreamTransport* transport_ = nullptr;
};

}  // namespace annulus
