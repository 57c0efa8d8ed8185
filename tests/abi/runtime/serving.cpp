// SPDX-License-Identifier: MIT
// A server and its client in one program; streams; starting another program.

#include "runtime/server.h"

#include "abi/stream.h"
#include "base/archive.h"
#include "runtime/semaphore.h"
#include "runtime/spawn.h"
#include "runtime/thread.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

#include <string.h>

#include <optional>

namespace annulus::test::cases {

namespace {

constexpr uint64_t add_words = abi::operation_word(abi::Verb::get, 1);
constexpr uint64_t echo_bytes = abi::operation_word(abi::Verb::set, 2);
constexpr uint64_t swap_handle = abi::operation_word(abi::Verb::share, 3, 1);
constexpr uint64_t stop_serving = abi::operation_word(abi::Verb::shutdown, 4);

// Adds words, echoes bytes, takes a semaphore and gives it back with a unit more.
class Echo final : public ServedByThis {
public:
    explicit Echo(Server& server) : server_(server) {}

    Answer handle(Request& request) override {
        if (request.is(abi::Verb::get, 1))
            return Answer::with_words(request.word(0) + request.word(5));
        if (request.is(abi::Verb::set, 2)) {
            const auto bytes = request.bytes();
            return Answer::with_bytes(bytes.size());  // they lie in the block already
        }
        if (request.is(abi::Verb::share, 3)) {
            auto semaphore = request.take_handle<Semaphore>(0);
            if (!signal(semaphore).ok()) return Error::refused;
            return Answer::with_handle(std::move(semaphore));
        }
        if (request.is(abi::Verb::shutdown, 4)) {
            server_.stop();
            return {};
        }
        return Error::bad_operation;
    }
    void closed() override { ++closes; }

    std::atomic<unsigned> closes = 0;

private:
    Server& server_;
};

// Gives a handle to another object, but only after its client was killed.
class LateGiver final : public ServedByThis {
public:
    LateGiver(Server& server, ServedByThis& given) : server_(server), given_(given) {}

    Answer handle(Request&) override {
        const auto killed = wait_for(may_kill);
        if (!killed.ok()) return killed.status();
        const auto gone = kill_and_join(*client);
        if (!gone.ok()) return gone.status();
        auto handle = server_.make_object(given_);
        return handle.ok() ? Answer::with_handle(std::move(*handle)) : Answer(handle.status());
    }

    Semaphore may_kill;
    std::optional<RunningThread> client;  // known before may_kill is signalled

private:
    Server& server_;
    ServedByThis& given_;
};

// Collects what is written, at most 5 bytes a request.
class Collector final : public ServedByThis {
public:
    Answer handle(Request& request) override {
        if (!request.is(abi::Verb::write, abi::stream_write)) return Error::bad_operation;
        auto bytes = request.bytes();
        if (bytes.size() > 5) bytes = bytes.first(5);
        if (size + bytes.size() > sizeof(text)) return Error::refused;
        memcpy(text + size, bytes.data(), bytes.size());
        size += bytes.size();
        ++requests;
        return Answer::with_words(bytes.size());
    }

    char text[256] = {};
    size_t size = 0;
    unsigned requests = 0;
};

}  // namespace

}  // namespace annulus::test::cases

TEST(server_words, "words of a request arrive, and so do those of the answer") {
    auto server = MUST(Server::create(2, 64));
    Echo echo(server);
    auto object = MUST(server.make_object(echo));
    auto thread = MUST(start_thread([&server] { static_cast<void>(server.run()); }));
    const auto answer = system::call_words(object.value(), add_words, 40, 0, 0, 0, 0, 2);
    EXPECT_OK(answer.status);
    EXPECT_EQ(answer.words[0], 42u);
    const auto unknown = abi::operation_word(abi::Verb::list, 9);
    EXPECT_ERROR(system::call_words(object.value(), unknown).status, Error::bad_operation);
    EXPECT_OK(system::call_words(object.value(), stop_serving).status);
    EXPECT_OK(thread.join());
}

TEST(server_bytes, "bytes travel through the block, both ways") {
    auto server = MUST(Server::create(2, 64));
    Echo echo(server);
    auto object = MUST(server.make_object(echo));
    auto thread = MUST(start_thread([&server] { static_cast<void>(server.run()); }));
    char buffer[64];
    for (uint32_t size : {0, 1, 7, 8, 63, 64}) {
        for (uint32_t i = 0; i < size; ++i) buffer[i] = static_cast<char>(i + size);
        const auto answer = system::call_buffer(object.value(), echo_bytes, {buffer, size, 64});
        EXPECT_OK(answer.status);
        EXPECT_EQ(answer.bytes_out, size);
        for (uint32_t i = 0; i < size; ++i) EXPECT_EQ(buffer[i], static_cast<char>(i + size));
    }
    EXPECT_OK(system::call_words(object.value(), stop_serving).status);
    EXPECT_OK(thread.join());
}

TEST(server_handles, "a handle moves to the server with the request and back with the answer") {
    auto server = MUST(Server::create(2, 0));
    Echo echo(server);
    auto object = MUST(server.make_object(echo));
    auto thread = MUST(start_thread([&server] { static_cast<void>(server.run()); }));
    auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto answer = system::call_words(object.value(), swap_handle | abi::call_takes_handles,
                                           semaphore.value());
    EXPECT_OK(answer.status);
    EXPECT_EQ(answer.handle_mask, 1u);
    EXPECT_ERROR(semaphore.get_state(), Error::bad_handle);
    static_cast<void>(semaphore.release());
    const Semaphore back(answer.words[0]);
    EXPECT_OK(wait_for(back, Deadline::poll()));
    EXPECT_OK(system::call_words(object.value(), stop_serving).status);
    EXPECT_OK(thread.join());
}

TEST(server_late_handles,
     "a handle that a killed client was to get is closed without another request") {
    auto server = MUST(Server::create(2, 0));
    Echo echo(server);
    Echo given(server);
    LateGiver giver(server, given);
    giver.may_kill = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto stopper = MUST(server.make_object(echo));
    const auto object = MUST(server.make_object(giver));
    auto thread = MUST(start_thread([&server] { static_cast<void>(server.run()); }));
    giver.client.emplace(MUST(start_thread(
        [&object] { static_cast<void>(system::call_words(object.value(), add_words)); })));
    EXPECT_OK(signal(giver.may_kill));
    for (unsigned i = 0; i < 2'000 && given.closes.load() == 0; ++i) sleep_for(milliseconds(1));
    EXPECT_EQ(given.closes.load(), 1u);
    EXPECT_OK(system::call_words(stopper.value(), stop_serving).status);
    EXPECT_OK(thread.join());
}

TEST(server_close, "the server learns when nobody holds its object any more") {
    auto server = MUST(Server::create(2, 0));
    Echo echo(server);
    Echo other(server);
    auto object = MUST(server.make_object(echo));
    auto control = MUST(server.make_object(other));
    auto thread = MUST(start_thread([&server] { static_cast<void>(server.run()); }));
    object.close();
    EXPECT_OK(system::call_words(control.value(), stop_serving).status);
    EXPECT_OK(thread.join());
    EXPECT_EQ(echo.closes.load(), 1u);
    EXPECT_EQ(other.closes.load(), 0u);
}

TEST(stream_loops, "a stream writes everything although the server takes little at a time") {
    auto server = MUST(Server::create(2, 64));
    Collector collector;
    Echo control(server);
    auto object = MUST(server.make_object(collector));
    auto ending = MUST(server.make_object(control));
    auto thread = MUST(start_thread([&server] { static_cast<void>(server.run()); }));
    const Stream stream(object.value());
    EXPECT_OK(stream.write("seventeen letters"));
    EXPECT_OK(system::call_words(ending.value(), stop_serving).status);
    EXPECT_OK(thread.join());
    EXPECT_EQ(std::string_view(collector.text, collector.size), "seventeen letters");
    EXPECT_EQ(collector.requests, 4u);
}

TEST(spawn, "a program from the archive runs, writes to what it was handed, and ends with 0") {
    const auto archive_memory = MUST(test.environment().handle<Memory>("archive"));
    const uint64_t size = MUST(archive_memory.get_size()).pages * abi::page_size;
    const uint64_t address = MUST(test.process().map(archive_memory, 0, size, 0, abi::map_read));
    // Safety: the archive was just mapped there.
    const std::span bytes(reinterpret_cast<const std::byte*>(address), size);
    ArchiveFault fault;
    const auto archive = Archive::open(bytes, fault);
    if (!archive.has_value()) return test.fail("the archive is broken");
    const auto file = archive->find("programs/hello");
    if (!file.has_value()) return test.fail("the archive has no programs/hello");
    const ImageSource source = {.bytes = *file,
                                .memory = archive_memory,
                                .offset = static_cast<uint64_t>(file->data() - bytes.data())};
    const auto image = MUST(ProgramImage::prepare(test.budget(), source));

    auto server = MUST(Server::create(2, 64));
    Collector collector;
    Echo control(server);
    auto output = MUST(server.make_object(collector));
    auto ending = MUST(server.make_object(control));
    auto thread = MUST(start_thread([&server] { static_cast<void>(server.run()); }));
    const Grant grants[] = {{"output", output}};
    for (uint64_t seed : {uint64_t{1}, uint64_t{0xfedcba9876543210}}) {
        collector.size = 0;
        auto child =
            MUST(spawn(image, {.budget = test.budget(), .grants = grants, .address_seed = seed}));
        EXPECT_OK(wait_for(child.ended));
        const auto state = MUST(child.process.get_state());
        EXPECT_EQ(state.reason, abi::EndReason::exited);
        EXPECT_EQ(state.exit_code, 0u);
        EXPECT_EQ(std::string_view(collector.text, collector.size), "hello, world\n");
    }
    EXPECT_OK(system::call_words(ending.value(), stop_serving).status);
    EXPECT_OK(thread.join());
    EXPECT_OK(test.process().map_unmap(address, size));
}
