// SPDX-License-Identifier: MIT
// Several clients of one file system: who pays, who gets how much, who dies, and the server's end.

#include "runtime/programs.h"
#include "runtime/semaphore.h"
#include "tests/abi/files/scene.h"
#include "tests/guest/child.h"
#include "tests/guest/ledger.h"

namespace annulus::test::cases {
namespace {

enum Place : unsigned { folder_handle, done, objects, failures };

constexpr unsigned kernel_bytes = static_cast<unsigned>(abi::Resource::kernel_bytes);

// A file system with very little room, which no other case needs.
Directory tiny(const Context& test) {
    const auto root = test.environment().handle<Directory>("tiny");
    return root.ok() ? *root : Directory();
}

// Writes until it is refused; the pages that it got, or 0 for an unexpected refusal.
uint64_t fill(File file, Error expected) {
    static std::byte page[abi::page_size];
    for (uint64_t pages = 0;; ++pages) {
        const auto written = file.write_at(pages * abi::page_size, page);
        if (!written.ok()) return written.error() == expected ? pages : 0;
    }
}

// A client that opens ten files and waits to be killed.
void open_and_wait(Child::Word* words) {
    const Directory folder(words[folder_handle].load());
    for (char name = 'a'; name < 'k'; ++name) {
        auto opened = annulus::open(folder, {&name, 1}, open_to_write);
        if (opened.ok()) {
            static_cast<void>(opened->release());
            words[objects].fetch_add(1);
        }
    }
    words[done].store(1);
    for (;;) __builtin_ia32_pause();
}

// A client in the middle of everything, until it is killed.
void work_for_ever(Child::Word* words) {
    const Directory folder(words[folder_handle].load());
    static std::byte page[abi::page_size];
    for (uint64_t i = 0;; ++i) {
        const char name = static_cast<char>('a' + i % 5);
        auto opened = annulus::open(folder, {&name, 1}, open_to_write);
        if (opened.ok() && !File(opened->value()).write_at(i % 7 * 1000, page).ok()) {
            words[failures].fetch_add(1);
        }
        if (i % 3 == 0) static_cast<void>(folder.remove({&name, 1}));
        if (i % 4 == 0) static_cast<void>(folder.rename({&name, 1}, "z", abi::rename_replace));
        words[done].fetch_add(1);
    }
}

std::array<Owned<File>, 4096> opened;

void clear(Directory folder) {
    for (char name = 'a'; name <= 'z'; ++name) static_cast<void>(folder.remove({&name, 1}));
}

}  // namespace
}  // namespace annulus::test::cases

TEST(opener_pays, "whoever opens pays for the record, and its end gives it back") {
    const auto folder = MUST(new_folder(test, "opener_pays"));
    const Budget budget = MUST(client_budget(test));
    const auto before = settled_ledger(budget);
    {
        Child child = MUST(Child::create(test.budget(), test.process(), budget));
        child.words()[folder_handle] = MUST(child.lend(folder));
        const auto idle = settled_ledger(budget);
        const Thread thread = MUST(child.start(open_and_wait, 20));
        while (child.words()[done].load() == 0) sleep_for(milliseconds(1));
        EXPECT_EQ(child.words()[objects].load(), 10u);
        const auto open = settled_ledger(budget);
        EXPECT(open.used[kernel_bytes] >= idle.used[kernel_bytes] + 10 * 64);
        EXPECT_OK(child.kill());
    }
    expect_returned(test, budget, before, "a killed client's files");
    EXPECT_EQ(MUST(File(folder.value()).state()).size, 10u);
    clear(folder);
}

TEST(killed_clients, "clients are killed in the middle; the file system goes on") {
    const auto folder = MUST(new_folder(test, "killed"));
    const Budget budget = MUST(client_budget(test));
    const auto before = settled_ledger(budget);
    uint64_t operations = 0;
    for (unsigned round = 0; round < 12; ++round) {
        Child child = MUST(Child::create(test.budget(), test.process(), budget));
        child.words()[folder_handle] = MUST(child.lend(folder));
        const Thread thread = MUST(child.start(work_for_ever, 20));
        while (child.words()[done].load() < 3 + round) sleep_for(microseconds(200 + round * 37));
        EXPECT_OK(child.kill());
        EXPECT_EQ(child.words()[failures].load(), 0u);
        operations += child.words()[done].load();
    }
    EXPECT(operations > 12);
    expect_returned(test, budget, before, "killed clients");
    const auto file = MUST(folder.open<File>("after", open_to_write));
    EXPECT_OK(file.write("still here"));
    EXPECT(holds(file, "still here"));
    clear(folder);
}

TEST(shares, "one client gets its share, others still have theirs, and all of it comes back") {
    const Directory root = tiny(test);
    uint64_t first = 0;
    for (unsigned round = 0; round < 3; ++round) {
        auto mine = MUST(root.open<File>("mine", open_to_write));
        const uint64_t got = fill(mine, Error::limit);
        EXPECT(got > 10);
        if (round == 0) first = got;
        EXPECT_EQ(got, first);
        // What is opened through the root itself counts for the server: another client.
        std::byte byte[1] = {};
        EXPECT_ERROR(mine.write_at(got * abi::page_size, byte), Error::limit);
        // With nothing open any more it is the same client as before.
        mine.close();
        auto another = MUST(root.open<File>("another", open_to_write));
        EXPECT_ERROR(another.write_at(0, byte), Error::limit);
        another.close();
        EXPECT_OK(root.remove("another"));
        EXPECT_OK(root.create_directory("theirs"));
        EXPECT_OK(root.remove("theirs"));
        EXPECT_OK(root.remove("mine"));
    }
    report_count("pages of a share", first);
}

TEST(opened_shares, "a client that opens all it may leaves others theirs") {
    const Directory root = tiny(test);
    const auto folder = MUST(root.open<Directory>("open", open_to_write | abi::open_directory));
    const Budget budget = MUST(client_budget(test));
    {
        Child child = MUST(Child::create(test.budget(), test.process(), budget));
        child.words()[folder_handle] = MUST(child.lend(folder));
        size_t count = 0;
        Error refusal = Error::ok;
        while (refusal == Error::ok && count < opened.size()) {
            auto file = root.open<File>("many", open_to_write);
            refusal = file.error();
            if (file.ok()) opened[count++] = std::move(*file);
        }
        EXPECT_EQ(refusal, Error::limit);
        report_count("opened objects of a share", count);
        const Thread thread = MUST(child.start(open_and_wait, 20));
        while (child.words()[done].load() == 0) sleep_for(milliseconds(1));
        EXPECT_EQ(child.words()[objects].load(), 10u);
        EXPECT_OK(child.kill());
        for (size_t i = 0; i < count; ++i) opened[i].close();
        EXPECT_OK(root.open<File>("many", open_to_write));
    }
    clear(folder);
    EXPECT_OK(root.remove("many"));
}

TEST(many_files, "a client makes as many files as its share has, and not one more") {
    const Directory root = tiny(test);
    const auto folder = MUST(root.open<Directory>("many", open_to_write | abi::open_directory));
    char name[16];
    unsigned made = 0;
    Error refusal = Error::ok;
    for (; made < 100'000 && refusal == Error::ok; ++made) {
        refusal = folder.create_directory(format(name, "{}", made)).error();
    }
    EXPECT_EQ(refusal, Error::limit);
    report_count("directories of a share", made - 1);
    EXPECT_OK(root.create_directory("other"));
    for (unsigned i = 0; i + 1 < made; ++i) EXPECT_OK(folder.remove(format(name, "{}", i)));
    EXPECT_OK(folder.create_directory("again"));
}

TEST(server_death, "when the server dies its clients get errors and are told") {
    const auto programs = MUST(test.environment().handle<Programs>(names::system));
    const auto file = MUST(tiny(test).open<File>("mine", open_to_write));
    const Semaphore dead =
        MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    EXPECT_OK(file.watch_server_death(dead));
    EXPECT_ERROR(programs.kill("nobody"), Error::not_found);
    EXPECT_OK(programs.kill("tiny"));
    EXPECT_OK(wait_for(dead, Deadline::after(seconds(5))));
    EXPECT_ERROR(file.write("x"), Error::server_died);
    EXPECT_ERROR(file.state(), Error::server_died);
    // The root was paid by the server, and went with its budget.
    const Error root = tiny(test).open<File>("mine", abi::open_read).error();
    EXPECT(root == Error::server_died || root == Error::bad_handle);
    for (unsigned i = 0; i < 500; ++i) {
        if (MUST(programs.report("tiny")).state == abi::ProgramState::over) break;
        sleep_for(milliseconds(10));
    }
    const abi::ProgramReport report = MUST(programs.report("tiny"));
    EXPECT(report.state == abi::ProgramState::over);
    EXPECT(report.last_end == abi::EndReason::killed);
    EXPECT_EQ(report.runs, 1u);
    EXPECT_ERROR(programs.kill("tiny"), Error::wrong_state);
}

TEST(system_rights, "the object `system` does what the handle's rights say, and tells what is") {
    const auto programs = MUST(test.environment().handle<Programs>(names::system));
    const abi::ProgramReport report = MUST(programs.report("files"));
    EXPECT(report.state == abi::ProgramState::running && report.process.threads == 1);
    EXPECT(report.budget.used[0] > 0 && report.budget.limit[0] >= report.budget.used[0]);
    EXPECT_ERROR(programs.report("nobody"), Error::not_found);
    EXPECT_ERROR(programs.shut_down(abi::power_off), Error::no_right);
    std::byte buffer[512];
    uint64_t cursor = 0;
    auto grants = MUST(programs.read_grants("files", cursor, buffer));
    ProgramGrant grant;
    EXPECT(take_grant(grants, grant) && grant.name == "budget" && grant.source == "budget");
    unsigned count = 0;
    DirectoryReader reader(programs);
    while (MUST(reader.next())) ++count;
    EXPECT_EQ(count, 4u);
}
