// SPDX-License-Identifier: MIT
// Rows without a budget: what operations cost whose paths were not tuned. The same work as
// bench/linux/resources.cpp does on Linux.
#include "bench/programs/bench_curves/report.h"
#include "bench/programs/workloads.h"
#include "runtime/file_channel.h"
#include "runtime/ring.h"
#include "runtime/semaphore_set.h"

#include <array>
#include <memory>

TEST(several, "waiting for the last of several semaphores") {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    WaitedFor waited;
    EXPECT_OK(waited.make(test));
    for (size_t count = 1; count <= waited.entries.size(); count *= 2) {
        const Grant grants[] = {{"mine", there}, {"yours", waited.semaphores[count - 1]}};
        const std::string_view arguments[] = {"two"};
        const auto child = MUST(Peer::start(test, image, grants, arguments));
        const auto round = [&] {
            system::signal(there.value());
            system::wait_any(waited.entries.data(), count, abi::deadline_never);
        };
        point(test, "set", "wait_any", count, round, 100);
        Peer::stop(test, child);
    }
}

TEST(second_handles, "a second handle is made and closed") {
    const auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    uint64_t failed = 0;
    figure(test, "19", "duplicate + close",
           [&] { failed += semaphore.get_duplicate(abi::all_rights, 0).ok() ? 0 : 1; });
    EXPECT_EQ(failed, 0u);
}

TEST(threads, "a thread is started and joined") {
    uint64_t failed = 0;
    figure(test, "20", "start_thread + join", [&] {
        auto thread = start_thread([] {});
        failed += thread.ok() && thread->join().ok() ? 0 : 1;
    });
    EXPECT_EQ(failed, 0u);
}

TEST(processes, "a process is started from a prepared image, ends, and is waited for") {
    const auto image = MUST(Peer::image(test));
    uint64_t failed = 0;
    figure(test, "21", "spawn + exit + wait", [&] {
        // Without a handle that it knows, the program ends at once.
        const auto child = Peer::start(test, image, {});
        failed +=
            child.ok() && system::wait(child->ended.value(), abi::deadline_never).ok() ? 0 : 1;
    });
    EXPECT_EQ(failed, 0u);
}

TEST(reading, "a file of the in-memory file service is read") {
    const auto files = MUST(test.environment().handle<Directory>("files"));
    const auto file = MUST(files.open<File>(
        "file", abi::open_read | abi::open_write | abi::open_create | abi::open_exclusive));
    static std::array<std::byte, 4096> bytes;
    EXPECT_OK(file.write_at(0, bytes));
    uint64_t failed = 0;
    for (const size_t size : {64, 4096}) {
        char name[32];
        figure(test, "22", format(name, "read of {} B by a call", size),
               [&] { failed += file.read_at(0, std::span(bytes).first(size)).ok() ? 0 : 1; });
    }
    EXPECT_EQ(failed, 0u);
}

TEST(ring_reads, "pages of a file are read by a ring, many at once") {
    constexpr uint32_t batch = 32;
    const auto files = MUST(test.environment().handle<Directory>("files"));
    const auto file = MUST(files.open<File>(
        "long", abi::open_read | abi::open_write | abi::open_create | abi::open_exclusive));
    const std::unique_ptr<std::byte[]> bytes(new std::byte[batch * abi::page_size]());
    EXPECT_OK(file.write_at(0, {bytes.get(), batch * abi::page_size}));
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), batch));
    const auto memory = MUST(test.budget().create_memory(batch, 0));
    EXPECT_OK(ring.handle().set_register(0, memory, 0, batch));
    uint64_t failed = 0;
    figure(
        test, "23", "read of 4096 B by a ring",
        [&] {
            for (uint32_t i = 0; i < batch; ++i) {
                const uint32_t at = i * abi::page_size;
                abi::SubmissionEntry& entry = *ring.prepare();
                entry = ring_read(file, at, {0, at, abi::page_size}, i);
                entry.selector = abi::file_read_at;
            }
            failed += ring.submit(batch).ok() ? 0 : 1;
            for (abi::CompletionEntry done; ring.next(done);) {
                failed += done.ok() && done.count == abi::page_size ? 0 : 1;
            }
        },
        batch);
    EXPECT_EQ(failed, 0u);
}

TEST(channel_reads, "pages of a file are read through a channel, many at once") {
    constexpr uint32_t batch = FileChannel::usual.slots();
    const auto files = MUST(test.environment().handle<Directory>("files"));
    FileChannel file = MUST(
        FileChannel::open(files, "channel", abi::open_read | abi::open_write | abi::open_create));
    const std::unique_ptr<std::byte[]> bytes(new std::byte[batch * abi::page_size]());
    EXPECT_OK(file.write_at(0, {bytes.get(), batch * abi::page_size}));
    uint64_t failed = 0;
    figure(
        test, "23", "read of 4096 B through a channel",
        [&] {
            for (uint64_t at = 0; const auto slot = file.asker().acquire(); at += abi::page_size) {
                file.read(*slot, at, abi::page_size);
            }
            for (uint32_t done = 0; done < batch;) {
                if (!file.wait_answered(Deadline::never(), batch - done).ok()) ++failed;
                for (; const auto answer = file.take(); ++done) {
                    failed += answer->ok() && answer->bytes == abi::page_size ? 0 : 1;
                    file.asker().release(answer->slot);
                }
            }
        },
        batch);
    EXPECT_EQ(failed, 0u);
}
