// SPDX-License-Identifier: MIT
// Files through channels: the same bytes as by calls, rights, limits, lies, and ends of either
// side.

#include "runtime/file_channel.h"
#include "tests/abi/files/scene.h"
#include "tests/guest/child.h"
#include "tests/guest/ledger.h"

#include <string.h>

#include <algorithm>
#include <memory>

namespace annulus::test::cases {
namespace {

enum Place : unsigned { folder_handle, budget_handle, process_handle, rounds, failures, done };

// More than all slots carry at once, and no multiple of anything.
constexpr size_t large = 300'007;
std::byte pattern[large];
std::byte read_back[large + 1];

void fill_pattern() {
    for (size_t i = 0; i < large; ++i) pattern[i] = static_cast<std::byte>(i * 37 >> 4);
}

constexpr channel::Geometry small = channel::requests_geometry(2, 7);  // 4 x 128 bytes

// One request, and its answer.
Result<FileDone> ask(FileChannel& file, const channel::QueuedRequest& request) {
    file.asker().send(request);
    TRY(file.wait_answered(Deadline::after(seconds(5))));
    const auto done = file.take();
    if (!done) return Error::not_found;
    file.asker().release(done->slot);
    return *done;
}

Status status_of_request(FileChannel& file, const channel::QueuedRequest& request) {
    const auto done = ask(file, request);
    return done.ok() ? done->status : done.status();
}

// What open answers to an end of this channel; whether the end came back.
struct Refusal {
    Error error;
    bool back;
    bool operator==(const Refusal&) const = default;
};
Refusal refusal_of(Directory folder, std::string_view path, Channel end) {
    Object moved(end.release());
    const auto opened = annulus::open(folder, path, abi::open_read, Deadline::never(), moved);
    return {opened.error(), !moved.empty()};
}

// Opens and reads through channels until it is killed, and never closes what it asked last.
void read_for_ever(Child::Word* words) {
    const Directory folder(words[folder_handle].load());
    const ChannelPlace place = {.budget = BudgetReference(words[budget_handle].load()),
                                .process = ProcessReference(words[process_handle].load())};
    for (;;) {
        auto file = FileChannel::open(folder, "a", abi::open_read, small, Deadline::never(), place);
        if (!file.ok()) {
            words[failures].fetch_add(1);
            continue;
        }
        for (unsigned turn = 0; turn < 8; ++turn) {
            while (const auto slot = file->asker().acquire()) file->read(*slot, 0, 128);
            if (!file->wait_answered().ok()) words[failures].fetch_add(1);
            while (const auto done = file->take()) file->asker().release(done->slot);
            words[rounds].fetch_add(1);
        }
        while (const auto slot = file->asker().acquire()) file->read(*slot, 0, 128);
        file->asker().publish();
    }
}

// Keeps all slots of a channel busy until it is killed.
void flood(Child::Word* words) {
    const Directory folder(words[folder_handle].load());
    const ChannelPlace place = {.budget = BudgetReference(words[budget_handle].load()),
                                .process = ProcessReference(words[process_handle].load())};
    auto file = FileChannel::open(folder, "a", abi::open_read, FileChannel::usual,
                                  Deadline::never(), place);
    if (!file.ok()) return;
    for (;;) {
        while (const auto slot = file->asker().acquire()) file->read(*slot, 0, 4096);
        file->asker().publish();
        while (const auto done = file->take()) {
            file->asker().release(done->slot);
            words[rounds].fetch_add(1);
        }
    }
}

// One more channel to the file, whose handles stay open.
Result<void> hold_one(Directory folder, BudgetReference budget) {
    Memory memory = TRY(budget.create_memory(small.length() / abi::page_size, 0));
    BudgetChannel ends = TRY(
        budget.create_channel(memory, 0, small.length(), small.word(), channel::layout_version));
    Object opened =
        TRY(annulus::open(folder, "a", abi::open_read, Deadline::never(), std::move(ends.second)));
    static_cast<void>(memory.release());
    static_cast<void>(ends.first.release());
    static_cast<void>(opened.release());
    return {};
}

// Holds as many channels as it may until it is killed.
void hold_all(Child::Word* words) {
    const Directory folder(words[folder_handle].load());
    const BudgetReference budget(words[budget_handle].load());
    Result<void> held;
    while ((held = hold_one(folder, budget)).ok()) words[rounds].fetch_add(1);
    words[failures].store(static_cast<uint64_t>(held.error()));
    words[done].store(1);
    for (;;) __builtin_ia32_pause();
}

Result<Child> make_client(const Context& test, Directory folder, BudgetReference budget) {
    Child child = TRY(Child::create(test.budget(), test.process(), budget, 128));
    child.words()[folder_handle] = TRY(child.lend(folder));
    child.words()[budget_handle] = TRY(child.lend(budget));
    child.words()[process_handle] = TRY(child.lend(child.process()));
    return child;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(channel_moves_bytes, "what is written through a channel is read by calls, and the reverse") {
    fill_pattern();
    const auto folder = MUST(new_folder(test, "channel_bytes"));
    for (const channel::Geometry geometry : {FileChannel::usual, small}) {
        FileChannel file = MUST(FileChannel::open(folder, "a", open_to_write, geometry));
        EXPECT_OK(file.write_at(5, pattern));
        EXPECT_OK(file.sync());
        EXPECT_EQ(MUST(file.file().state()).size, large + 5);
        EXPECT_EQ(MUST(file.file().read_at(5, read_back)), large);
        EXPECT_EQ(memcmp(pattern, read_back, large), 0);
        memset(read_back, 1, sizeof(read_back));
        EXPECT_EQ(MUST(file.read_at(5, read_back)), large);
        EXPECT_EQ(memcmp(pattern, read_back, large), 0);
        EXPECT_OK(file.file().write_at(large, bytes_of("called")));
        EXPECT_EQ(MUST(file.read_at(large, read_back)), 6u);
        EXPECT_EQ(memcmp(read_back, "called", 6), 0);
        EXPECT_EQ(MUST(file.read_at(large + 6, read_back)), 0u);
        EXPECT_EQ(MUST(file.read_at(0, std::span(read_back).first(5))), 5u);
        EXPECT(std::all_of(read_back, read_back + 5, [](std::byte b) { return b == std::byte(); }));
        EXPECT_OK(folder.remove("a"));
    }
}

TEST(channel_archive, "the archive's files are read through a channel, too") {
    const auto archive = MUST(test.environment().handle<Directory>("archive"));
    FileChannel file = MUST(FileChannel::open(archive, "programs/test_files", abi::open_read));
    const size_t count = MUST(file.file().read_at(100, pattern));
    EXPECT(count > 100'000);
    EXPECT_EQ(MUST(file.read_at(100, std::span(read_back).first(count))), count);
    EXPECT_EQ(memcmp(pattern, read_back, count), 0);
    EXPECT_ERROR(file.write_at(0, bytes_of("x")), Error::no_right);
}

TEST(channel_rights, "a channel has the rights of the handle that was opened with it") {
    const auto folder = MUST(new_folder(test, "channel_rights"));
    EXPECT_OK(MUST(folder.open<File>("a", open_to_write)).write("hello"));
    FileChannel reader = MUST(FileChannel::open(folder, "a", abi::open_read));
    EXPECT_ERROR(reader.write_at(0, bytes_of("x")), Error::no_right);
    EXPECT_EQ(MUST(reader.read_at(0, read_back)), 5u);
    FileChannel writer = MUST(FileChannel::open(folder, "a", abi::open_write));
    EXPECT_ERROR(writer.read_at(0, read_back), Error::no_right);
    EXPECT_OK(writer.write_at(0, bytes_of("j")));
    EXPECT(holds(reader.file(), "jello"));
}

TEST(channel_requests, "requests that mean nothing get an answer that says so") {
    const auto folder = MUST(new_folder(test, "channel_requests"));
    FileChannel file = MUST(FileChannel::open(folder, "a", open_to_write));
    const uint32_t slot = MUST(Result(file.asker().acquire().value_or(~0u)));
    EXPECT_EQ(slot, 0u);
    file.asker().release(slot);
    const channel::QueuedRequest read = {
        .slot = 0, .operation = 0, .place = 0, .length = 8, .flags = 0, .word = 0};
    const auto changed = [&](auto change) {
        static_cast<void>(file.asker().acquire());
        channel::QueuedRequest request = read;
        change(request);
        return status_of_request(file, request).code();
    };
    EXPECT_EQ(changed([](auto&) {}), Error::ok);
    EXPECT_EQ(changed([](auto& request) { request.operation = 3; }), Error::bad_operation);
    EXPECT_EQ(changed([](auto& request) { request.operation = ~0u; }), Error::bad_operation);
    EXPECT_EQ(changed([](auto& request) { request.flags = 1; }), Error::not_supported);
    EXPECT_EQ(changed([](auto& request) { request.word = 1; }), Error::bad_argument);
    EXPECT_EQ(changed([](auto& request) { request.place = abi::file_size_max; }), Error::ok);
    EXPECT_EQ(changed([](auto& request) { request.place = abi::file_size_max + 1; }),
              Error::out_of_range);
    EXPECT_EQ(changed([](auto& request) { request.operation = 2; }), Error::bad_argument);
    EXPECT_EQ(changed([](auto& request) { request.operation = 2, request.length = 0; }), Error::ok);
    EXPECT_EQ(changed([](auto& request) { request.operation = 1, request.length = 0; }), Error::ok);
    EXPECT_EQ(MUST(file.file().state()).size, 0u);
}

TEST(channel_refused, "an end that does not fit comes back, and nothing was opened") {
    const auto folder = MUST(new_folder(test, "channel_refused"));
    EXPECT_OK(folder.open<File>("a", open_to_write));
    EXPECT_OK(folder.create_directory("d"));
    auto messages = MUST(MessageChannel::create(3));
    EXPECT(refusal_of(folder, "a", std::move(messages.theirs)) ==
           (Refusal{Error::wrong_version, true}));
    // An object whose server never answers: whoever asked it anything would wait for ever.
    const auto silent = MUST(test.budget().create_table(4, 0, {}, 0));
    EXPECT(refusal_of(folder, "a",
                      Channel(MUST(silent.create_object(1, abi::all_rights, 0)).release())) ==
           (Refusal{Error::wrong_type, true}));
    auto fits = MUST(RequestChannel::create(small));
    EXPECT(refusal_of(folder, "none", std::move(fits.theirs)) == (Refusal{Error::not_found, true}));
    auto other = MUST(RequestChannel::create(small));
    EXPECT(refusal_of(folder, "d", std::move(other.theirs)) == (Refusal{Error::wrong_type, true}));
    // The service of this system has 1608 pages for channels, and a client gets half of them.
    constexpr auto fitting = channel::requests_geometry(5, 16);
    constexpr auto too_large = channel::requests_geometry(6, 16);
    static_assert(fitting.length() <= 800 * abi::page_size);
    static_assert(too_large.length() > 804 * abi::page_size);
    auto larger = MUST(RequestChannel::create(too_large));
    EXPECT(refusal_of(folder, "a", std::move(larger.theirs)) == (Refusal{Error::limit, true}));
    FileChannel file = MUST(FileChannel::open(folder, "a", abi::open_read, fitting));
    EXPECT_EQ(MUST(file.read_at(0, read_back)), 0u);
}

TEST(channel_limit, "a client has half of a server's channels, and they come back") {
    const auto folder = MUST(new_folder(test, "channel_limit"));
    EXPECT_OK(folder.open<File>("a", open_to_write));
    constexpr unsigned half = abi::file_channels_max / 2;
    for (unsigned turn = 0; turn < 3; ++turn) {
        // Not on the stack: the books of so many slots are large.
        const auto files = std::make_unique<std::array<std::optional<FileChannel>, half>>();
        for (auto& file : *files) {
            file.emplace(MUST(FileChannel::open(folder, "a", abi::open_read, small)));
        }
        EXPECT_ERROR(FileChannel::open(folder, "a", abi::open_read, small), Error::limit);
        (*files)[7].reset();
        (*files)[7].emplace(MUST(FileChannel::open(folder, "a", abi::open_read, small)));
        for (auto& file : *files) EXPECT_EQ(MUST(file->read_at(0, read_back)), 0u);
    }
}

TEST(channel_limit_of_all,
     "two clients have all of a server's channels; a third waits for an end") {
    const auto folder = MUST(new_folder(test, "channel_all"));
    EXPECT_OK(folder.open<File>("a", open_to_write));
    const Budget first = MUST(client_budget(test));
    const Budget second = MUST(client_budget(test));
    Child holder = MUST(make_client(test, folder, first));
    Child other = MUST(make_client(test, folder, second));
    unsigned all = 0;
    for (Child* child : {&holder, &other}) {
        const Thread thread = MUST(child->start(hold_all, 20));
        while (child->words()[done].load() == 0) sleep_for(milliseconds(1));
        EXPECT_EQ(child->words()[failures].load(), static_cast<uint64_t>(Error::limit));
        all += static_cast<unsigned>(child->words()[rounds].load());
    }
    EXPECT_EQ(all, abi::file_channels_max);
    // file_channels_max + 1
    EXPECT_ERROR(FileChannel::open(folder, "a", abi::open_read, small), Error::limit);
    EXPECT_OK(holder.kill());
    Error answer = Error::limit;
    for (unsigned patience = 0; answer == Error::limit && patience < 1000; ++patience) {
        answer = FileChannel::open(folder, "a", abi::open_read, small).error();
        sleep_for(milliseconds(1));
    }
    EXPECT_EQ(answer, Error::ok);
    EXPECT_OK(other.kill());
}

TEST(channel_ends_alone, "a channel that its client drops is no longer counted; the file stays") {
    const auto folder = MUST(new_folder(test, "channel_alone"));
    std::array<Object, abi::file_channels_max> files;
    for (auto& file : files) {
        for (unsigned patience = 0; file.empty() && patience < 1000; ++patience) {
            auto made = MUST(RequestChannel::create(small));
            // It goes with a request under way.
            auto opened = annulus::open(folder, "a", open_to_write, Deadline::never(),
                                        std::move(made.theirs));
            if (!opened.ok()) {
                EXPECT_ERROR(opened, Error::limit);
                sleep_for(milliseconds(1));
                continue;
            }
            file = std::move(*opened);
            const auto slot = made.mine.asker().acquire();
            if (slot) made.mine.asker().send({*slot, 0, 0, 8, 0, 0});
            made.mine.asker().publish();
        }
        EXPECT(!file.empty());
    }
    EXPECT_OK(File(files[0].value()).write("still here"));
    EXPECT(holds(File(files[9].value()), "still here"));
}

TEST(channel_end_of_file_handle, "closing the file ends its channel") {
    const auto folder = MUST(new_folder(test, "channel_closed"));
    auto made = MUST(RequestChannel::create(small));
    auto opened =
        MUST(annulus::open(folder, "a", open_to_write, Deadline::never(), std::move(made.theirs)));
    opened.close();
    EXPECT_ERROR(made.mine.wait_answered(Deadline::after(seconds(5))), Error::closed);
}

TEST(channel_lies, "a client that breaks the queue's rules loses its channel, and nothing else") {
    const auto folder = MUST(new_folder(test, "channel_lies"));
    FileChannel honest = MUST(FileChannel::open(folder, "a", open_to_write));
    EXPECT_OK(honest.write_at(0, bytes_of("hello")));
    constexpr auto layout = channel::requests_layout(small);
    const struct {
        uint64_t offset;
        uint32_t value;
        channel::Fault reason;
    } lies[] = {
        {layout.request_entries, 4, channel::Fault::buffer_number},
        {layout.request_entries + offsetof(channel::QueuedRequest, length), 129,
         channel::Fault::buffer_range},
        {layout.request_ring + channel::producer_index_offset, 9, channel::Fault::producer_index}};
    for (const auto& [offset, value, reason] : lies) {
        FileChannel file = MUST(FileChannel::open(folder, "a", abi::open_read, small));
        const auto word = file.requests().end().memory().atomic_at<uint32_t>(offset);
        file.asker().send({file.asker().acquire().value_or(9), 0, 0, 8, 0, 0});
        // Publishing would put the index right again.
        const bool index = reason == channel::Fault::producer_index;
        if (index) file.asker().publish();
        word->store_relaxed(value);
        if (index) file.requests().end().bell().ring();
        Status status;
        while (status.ok()) {
            status = file.wait_answered(Deadline::after(seconds(5))).status();
            static_cast<void>(file.take());
        }
        EXPECT_EQ(status.code(), Error::faulted);
        EXPECT_EQ(status.extra(), static_cast<uint32_t>(reason));
        EXPECT_EQ(MUST(file.file().state()).size, 5u);
        EXPECT_EQ(MUST(honest.read_at(0, read_back)), 5u);
    }
}

TEST(channel_clients_killed, "clients with channels are killed in the middle; nothing is lost") {
    const auto folder = MUST(new_folder(test, "channel_killed"));
    EXPECT_OK(MUST(folder.open<File>("a", open_to_write)).write(std::span(pattern).first(128)));
    const Budget budget = MUST(client_budget(test));
    const auto before = settled_ledger(budget);
    uint64_t all = 0;
    for (unsigned round = 0; round < 12; ++round) {
        Child child = MUST(make_client(test, folder, budget));
        const Thread thread = MUST(child.start(read_for_ever, 20));
        while (child.words()[rounds].load() < 3 + round * 5) sleep_for(microseconds(200));
        EXPECT_OK(child.kill());
        EXPECT_EQ(child.words()[failures].load(), 0u);
        all += child.words()[rounds].load();
    }
    report_count("rounds of clients that were killed", all);
    expect_returned(test, budget, before, "killed clients' channels");
    FileChannel after = MUST(FileChannel::open(folder, "a", abi::open_read));
    EXPECT_EQ(MUST(after.read_at(0, read_back)), 128u);
}

TEST(channel_flood, "a client that keeps its channel full takes no turn from calls and others") {
    const auto folder = MUST(new_folder(test, "channel_flood"));
    EXPECT_OK(MUST(folder.open<File>("a", open_to_write)).write(std::span(pattern).first(4096)));
    const Budget budget = MUST(client_budget(test));
    Child child = MUST(make_client(test, folder, budget));
    const Thread thread = MUST(child.start(flood, 20));
    while (child.words()[rounds].load() == 0) sleep_for(milliseconds(1));
    FileChannel file = MUST(FileChannel::open(folder, "a", abi::open_read));
    const uint64_t before = child.words()[rounds].load();
    for (unsigned i = 0; i < 200; ++i) {
        EXPECT_EQ(MUST(file.file().read_at(0, std::span(read_back).first(64))), 64u);
        EXPECT_EQ(MUST(file.read_at(0, std::span(read_back).first(64))), 64u);
    }
    // That they are all answered is what counts.
    report_count("reads of the flood during 400 of ours", child.words()[rounds].load() - before);
    EXPECT_OK(child.kill());
}
