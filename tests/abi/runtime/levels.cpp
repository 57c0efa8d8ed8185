// SPDX-License-Identifier: MIT
// The four levels of I/O: one program, which knows a Stream, over each of them.
#include "abi/stream.h"
#include "runtime/channel.h"
#include "runtime/ring_stream.h"
#include "runtime/semaphore.h"
#include "runtime/server.h"
#include "runtime/thread.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace annulus::test::cases {
namespace {

constexpr uint64_t stop_serving = abi::operation_word(abi::Verb::shutdown, 4);
constexpr size_t block = 4096;

std::byte turned(std::byte byte) { return ~byte; }
std::byte pattern(size_t position) { return static_cast<std::byte>(position * 37 >> 2); }

// What there is at the other end: gives back what it took, each byte turned.
class Mirror {
public:
    size_t take(std::span<const std::byte> bytes) {
        const size_t count = std::min(bytes.size(), bytes_.size() - size_);
        std::transform(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(count),
                       bytes_.begin() + static_cast<ptrdiff_t>(size_), turned);
        size_ += count;
        return count;
    }
    size_t give(std::span<std::byte> space) {
        const size_t count = std::min(space.size(), size_);
        memcpy(space.data(), bytes_.data(), count);
        memmove(bytes_.data(), bytes_.data() + count, size_ - count);
        size_ -= count;
        return count;
    }

private:
    std::array<std::byte, 3 * block> bytes_{};
    size_t size_ = 0;
};

// The program: in pieces of all sizes it says something and hears it back.
Result<void> converse(Stream stream) {
    static std::byte said[2 * block];
    static std::byte heard[2 * block];
    for (size_t size = 1; size <= sizeof(said); size = size * 3 + 5) {
        for (size_t i = 0; i < size; ++i) said[i] = pattern(i + size);
        TRY(stream.write(std::span(said).first(size)));
        TRY(stream.sync());
        TRY(stream.read_all(std::span(heard).first(size)));
        for (size_t i = 0; i < size; ++i) {
            if (heard[i] != turned(pattern(i + size))) return Error::faulted;
        }
    }
    return {};
}

// The mirror behind a table. A read waits until there is something.
class ServedMirror final : public ServedByThis {
public:
    explicit ServedMirror(Server& server) : server_(server) {}

    Answer handle(Request& request) override {
        if (request.is(abi::Verb::write, abi::stream_write)) return write(request);
        if (request.is(abi::Verb::read, abi::stream_read)) return read(request);
        if (request.is(abi::Verb::sync, abi::stream_sync)) return {};
        if (!request.is(abi::Verb::shutdown, 4)) return Error::bad_operation;
        server_.stop();
        return {};
    }

    std::atomic<bool> refuses = false;

private:
    Answer write(const Request& request) {
        if (refuses) return Error::refused;
        const size_t count = mirror_.take(request.bytes());
        if (reader_ != 0) {
            const uint64_t reader = std::exchange(reader_, 0);
            static_cast<void>(server_.reply(reader, Answer::with_bytes(mirror_.give(space_))));
        }
        return Answer::with_words(count);
    }
    Answer read(Request& request) {
        const size_t count = mirror_.give(request.space());
        if (count != 0) return Answer::with_bytes(count);
        if (reader_ != 0) return Error::busy;
        reader_ = request.id();
        space_ = request.space();
        return Answer::later();
    }

    Server& server_;
    Mirror mirror_;
    uint64_t reader_ = 0;  // a request that waits; 0: none
    std::span<std::byte> space_;
};

// A server with a mirror, in a thread, until it goes out of scope.
class Serving {
public:
    static Result<std::unique_ptr<Serving>> create() {
        std::unique_ptr<Serving> serving(new (std::nothrow) Serving(TRY(Server::create(4, block))));
        if (serving == nullptr) return Error::no_memory;
        serving->object = TRY(serving->server_.make_object(serving->mirror));
        serving->thread_.emplace(
            TRY(start_thread([&server = serving->server_] { static_cast<void>(server.run()); })));
        return serving;
    }
    ~Serving() {
        if (!thread_.has_value()) return;
        static_cast<void>(system::call_words(object.value(), stop_serving));
        static_cast<void>(thread_->join());
    }

private:
    explicit Serving(Server server) : server_(std::move(server)), mirror(server_) {}

    Server server_;

public:
    ServedMirror mirror;
    Served object;

private:
    std::optional<RunningThread> thread_;
};

// The mirror at the other end of a channel: until its peer has finished.
void reflect(ByteChannel& channel) {
    static std::byte bytes[block];
    Mirror mirror;
    for (;;) {
        const auto count = channel.read(bytes);
        if (!count.ok() || *count == 0) return;
        mirror.take(std::span(bytes).first(*count));
        mirror.give(std::span(bytes).first(*count));
        if (!channel.write(std::span<const std::byte>(bytes).first(*count)).ok()) return;
    }
}

// The mirror linked into the program.
class OwnMirror final : public StreamTransport {
public:
    Result<size_t> read(std::span<std::byte> bytes, Deadline) override {
        return mirror_.give(bytes);
    }
    Result<size_t> write_some(std::span<const std::byte> bytes, Deadline) override {
        return mirror_.take(bytes);
    }
    Result<void> sync(Deadline) override { return {}; }

private:
    Mirror mirror_;
};

}  // namespace
}  // namespace annulus::test::cases

TEST(level_call, "a program that uses a Stream works by synchronous calls") {
    const auto serving = MUST(Serving::create());
    EXPECT_OK(converse(Stream(serving->object.value())));
}

TEST(level_ring, "the same program works over a ring") {
    const auto serving = MUST(Serving::create());
    auto ring = MUST(RingStream::create(serving->object));
    EXPECT_OK(converse(Stream(ring, serving->object)));
}

TEST(level_channel, "the same program works over a channel") {
    auto made = MUST(ByteChannel::create());
    auto theirs = MUST(ByteChannel::attach(made.theirs));
    auto thread = MUST(start_thread([&theirs] { reflect(theirs); }));
    EXPECT_OK(converse(Stream(made.mine)));
    made.mine.finish();
    EXPECT_OK(thread.join());
}

TEST(level_integrated, "the same program works with what it talks to linked in") {
    OwnMirror mirror;
    EXPECT_OK(converse(Stream(mirror)));
}

TEST(ring_stream_errors, "what went wrong with a write is told by the next one, once") {
    const auto serving = MUST(Serving::create());
    auto ring = MUST(RingStream::create(serving->object));
    const Stream stream(ring, serving->object);
    serving->mirror.refuses = true;
    EXPECT_OK(stream.write("lost"));
    EXPECT_ERROR(stream.sync(), Error::refused);
    serving->mirror.refuses = false;
    EXPECT_OK(stream.sync());
    EXPECT_OK(converse(stream));
}

TEST(ring_stream_ahead, "a read ahead is answered by what is written later, in order") {
    const auto serving = MUST(Serving::create());
    auto ring = MUST(RingStream::create(serving->object, RingStream::Ahead::yes));
    const Stream stream(ring, serving->object);
    EXPECT_OK(converse(stream));
}

TEST(ring_stream_deadline, "a read that timed out goes on, and the next one gets its bytes") {
    const auto serving = MUST(Serving::create());
    auto ring = MUST(RingStream::create(serving->object));
    const Stream stream(ring, serving->object);
    std::byte heard[8];
    EXPECT_ERROR(stream.read(heard, Deadline::poll()).status(), Error::timed_out);
    EXPECT_ERROR(stream.read(heard, Deadline::after(milliseconds(2))).status(), Error::timed_out);
    EXPECT_OK(stream.write("abc"));
    EXPECT_EQ(MUST(stream.read(heard)), 3u);
    EXPECT_EQ(heard[2], turned(std::byte{'c'}));
}

TEST(ring_stream_limits, "buffers are as large as registered memory may be, and no larger") {
    constexpr uint32_t most = abi::ring_memory_pages_max / 2;
    EXPECT_OK(RingStream::create(ObjectReference(), RingStream::Ahead::no, most).status());
    for (const uint32_t pages : {0u, most + 1}) {
        EXPECT_ERROR(RingStream::create(ObjectReference(), RingStream::Ahead::no, pages).status(),
                     Error::bad_argument);
    }
}

TEST(ring_stream_returns, "streams over rings give everything back, also with a read under way") {
    const auto before = settled_ledger(test.budget());
    for (int i = 0; i < 20; ++i) {
        const auto serving = MUST(Serving::create());
        auto ring = MUST(RingStream::create(serving->object, RingStream::Ahead::yes));
        const Stream stream(ring, serving->object);
        std::byte heard[4];
        EXPECT_OK(stream.write("ab"));
        EXPECT_EQ(MUST(stream.read(std::span(heard).first(2))), 2u);
    }
    expect_returned(test, test.budget(), before, "budget", 4);
}
