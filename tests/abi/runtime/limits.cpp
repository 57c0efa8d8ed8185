// SPDX-License-Identifier: MIT
// The named limits of the runtime: at the limit, and one above.

#include "abi/records.h"
#include "abi/stream.h"
#include "base/archive.h"
#include "runtime/log.h"
#include "runtime/program_state.h"
#include "runtime/semaphore.h"
#include "runtime/server.h"
#include "runtime/spawn.h"
#include "runtime/thread.h"
#include "tests/guest/ledger.h"

#include <string.h>

#include <memory>

namespace annulus::test::cases {
namespace {

// Keeps the last text that was written, and counts.
class LastText final : public ServedByThis {
public:
    explicit LastText(Server& server) : server_(server) {}

    Answer handle(Request& request) override {
        if (request.verb() == abi::Verb::shutdown) {
            server_.stop();
            return {};
        }
        const auto bytes = request.bytes();
        size = bytes.size();
        memcpy(text, bytes.data(), bytes.size());
        ++requests;
        return Answer::with_words(bytes.size());
    }

    char text[2 * log_line_max] = {};
    size_t size = 0;
    unsigned requests = 0;

private:
    Server& server_;
};

// The program of the archive, for as long as the archive is mapped.
Result<ProgramImage> hello_image(const Context& test) {
    const auto memory = TRY(test.environment().handle<Memory>("archive"));
    const uint64_t size = TRY(memory.get_size()).pages * abi::page_size;
    const uint64_t address = TRY(test.process().map(memory, 0, size, 0, abi::map_read));
    // Safety: the archive was just mapped there, and stays.
    const std::span bytes(reinterpret_cast<const std::byte*>(address), size);
    ArchiveFault fault;
    const auto archive = Archive::open(bytes, fault);
    if (!archive.has_value()) return Error::wrong_version;
    const auto file = archive->find("programs/hello");
    if (!file.has_value()) return Error::not_found;
    return ProgramImage::prepare(test.budget(), {.bytes = *file});
}

}  // namespace
}  // namespace annulus::test::cases

TEST(log_lines, "a line of the log has 1024 bytes with its end, and the rest of one is cut off") {
    auto server = MUST(Server::create(2, 2 * log_line_max));
    LastText last(server);
    auto log = MUST(server.make_object(last));
    auto thread = MUST(start_thread([&server] { static_cast<void>(server.run()); }));
    const ObjectReference before = program_state.log;
    char line[log_line_max + 1];
    memset(line, 'x', sizeof(line));
    line[log_line_max - 2] = 'y';
    for (const size_t size : {log_line_max - 1, log_line_max, log_line_max + 1}) {
        program_state.log = log;
        log_line({line, size});
        program_state.log = before;
        EXPECT_EQ(last.size, log_line_max);
        EXPECT_EQ(last.text[log_line_max - 2], 'y');
        EXPECT_EQ(last.text[log_line_max - 1], '\n');
    }
    EXPECT_EQ(last.requests, 3);
    constexpr uint64_t stop = abi::operation_word(abi::Verb::shutdown, 1);
    EXPECT_OK(system::call_words(log.value(), stop).status);
    EXPECT_OK(thread.join());
}

TEST(start_block, "what a program is told at its start fills 16 pages at most") {
    const auto image = MUST(hello_image(test));
    constexpr size_t block_pages_max = 16;  // not block_pages_max + 1, as one byte more would take
    constexpr size_t rest = sizeof(abi::StartBlock) + 64 + sizeof(abi::StartArgument) + 1;
    constexpr size_t most = block_pages_max * abi::page_size - rest;
    const std::unique_ptr<char[]> text(new (std::nothrow) char[most + 1]);
    if (text == nullptr) return test.fail("no memory");
    memset(text.get(), 'x', most + 1);
    const auto before = settled_ledger(test.budget());
    const auto start = [&](size_t size) {
        const std::string_view arguments[] = {{text.get(), size}};
        return spawn(image, {.budget = test.budget(), .arguments = arguments});
    };
    EXPECT_ERROR(start(most + 1), Error::too_many);
    {
        const auto child = MUST(start(most));
        EXPECT_OK(wait_for(child.ended));
        EXPECT_EQ(MUST(child.process.get_state()).reason, abi::EndReason::exited);
    }
    expect_returned(test, test.budget(), before, "programs with long arguments");
}
