// SPDX-License-Identifier: MIT
// Threads, semaphores with the user-mode path, and mutexes.

#include "runtime/thread.h"

#include "runtime/clock.h"
#include "runtime/mutex.h"
#include "tests/guest/harness.h"
#include "tests/guest/ledger.h"

#include <memory>

namespace {

constinit thread_local uint64_t own = 7;

// Counts its calls and the end of the last of its moved copies.
class Counting {
public:
    Counting(std::atomic<int>& ran, std::atomic<int>& destroyed)
        : ran_(&ran), destroyed_(&destroyed) {}
    Counting(Counting&& other)
        : ran_(other.ran_), destroyed_(std::exchange(other.destroyed_, nullptr)) {}
    ~Counting() {
        if (destroyed_ != nullptr) destroyed_->fetch_add(1);
    }
    void operator()() { ran_->fetch_add(1); }

private:
    std::atomic<int>* ran_;
    std::atomic<int>* destroyed_;
};

}  // namespace

TEST(thread_joins, "a thread runs its function and can be joined") {
    std::atomic<int> ran = 0;
    {
        auto thread = MUST(start_thread([&ran] { ran = 42; }));
        EXPECT_OK(thread.join());
    }
    EXPECT_EQ(ran.load(), 42);
}

TEST(thread_destructor, "a thread that goes out of scope was joined, and its function destroyed") {
    std::atomic<int> ran = 0;
    std::atomic<int> destroyed = 0;
    {
        auto thread = MUST(start_thread(Counting(ran, destroyed)));
    }
    EXPECT_EQ(ran.load(), 1);
    EXPECT_EQ(destroyed.load(), 1);
}

TEST(thread_storage, "every thread has its own thread-local variables") {
    own = 100;
    std::atomic<uint64_t> seen = 0;
    auto thread = MUST(start_thread([&seen] {
        seen = own;
        own = 200;
    }));
    EXPECT_OK(thread.join());
    EXPECT_EQ(seen.load(), 7u);
    EXPECT_EQ(own, 100u);
}

TEST(thread_stacks_return, "a joined thread leaves nothing in the budget's account") {
    {
        auto warm_up = MUST(start_thread([] {}));
    }
    const auto before = settled_ledger(test.budget());
    for (int i = 0; i < 10; ++i) {
        auto thread = MUST(start_thread([] {}));
        EXPECT_OK(thread.join());
    }
    expect_returned(test, test.budget(), before, "ten threads");
}

TEST(thread_storage_again, "a thread on a kept stack has thread-local variables of its own, too") {
    uint64_t wrong = 0;
    uint64_t stacks = 0;
    uint64_t last = 0;
    for (int i = 0; i < 8; ++i) {
        auto thread = MUST(start_thread([&] {
            wrong += own != 7;
            own = 1000;
            const auto here = reinterpret_cast<uint64_t>(&own);
            stacks += here != last;
            last = here;
        }));
        EXPECT_OK(thread.join());
    }
    EXPECT_EQ(wrong, 0u);
    EXPECT_EQ(stacks, 1u);
}

TEST(stacks_kept, "of the stacks of threads that ended a program keeps four, and no more") {
    constexpr unsigned at = thread_detail::kept_stacks_max;
    constexpr unsigned above = thread_detail::kept_stacks_max + 1;
    constexpr auto pages = abi::Resource::pages;
    uint64_t given_back = 0;
    const auto start_and_end = [&](unsigned count) {
        auto go = MUST(CountingSemaphore::create(0));
        std::unique_ptr<RunningThread> threads[above];
        for (unsigned i = 0; i < count; ++i) {
            threads[i] = std::make_unique<RunningThread>(
                MUST(start_thread([&go] { static_cast<void>(go.down()); })));
        }
        const uint64_t most = used(settled_ledger(test.budget()), pages);
        for (unsigned i = 0; i < count; ++i) EXPECT_OK(go.up());
        for (auto& thread : threads) thread.reset();
        given_back = most - used(settled_ledger(test.budget()), pages);
    };
    start_and_end(above);
    start_and_end(at);
    const uint64_t of_threads = given_back;  // what threads give back beside their stacks
    start_and_end(above);
    EXPECT(given_back > of_threads / at * above);
    start_and_end(at);
    EXPECT_EQ(given_back, of_threads);
}

TEST(join_deadline, "joining a thread that still runs times out") {
    auto go = MUST(CountingSemaphore::create(0));
    auto thread = MUST(start_thread([&go] { static_cast<void>(go.down()); }));
    EXPECT_ERROR(thread.join(Deadline::poll()), Error::timed_out);
    EXPECT_OK(go.up());
    EXPECT_OK(thread.join());
}

TEST(semaphore_counts, "units are counted in user mode") {
    auto semaphore = MUST(CountingSemaphore::create(2));
    EXPECT_OK(semaphore.down(Deadline::poll()));
    EXPECT_OK(semaphore.down(Deadline::poll()));
    EXPECT_ERROR(semaphore.down(Deadline::poll()), Error::timed_out);
    EXPECT_OK(semaphore.up());
    EXPECT_OK(semaphore.down(Deadline::poll()));
}

TEST(semaphore_wakes, "a unit wakes a thread that sleeps for it") {
    auto request = MUST(CountingSemaphore::create(0));
    auto answer = MUST(CountingSemaphore::create(0));
    auto thread = MUST(start_thread([&] {
        for (int i = 0; i < 100; ++i) {
            static_cast<void>(request.down());
            static_cast<void>(answer.up());
        }
    }));
    for (int i = 0; i < 100; ++i) {
        EXPECT_OK(request.up());
        EXPECT_OK(answer.down());
    }
    EXPECT_OK(thread.join());
}

TEST(semaphore_deadline, "a wait with a deadline ends at it, not before") {
    auto semaphore = MUST(CountingSemaphore::create(0));
    const uint64_t begin = now();
    EXPECT_ERROR(semaphore.down(Deadline::after(milliseconds(2))), Error::timed_out);
    EXPECT(now() >= begin + milliseconds(2).nanoseconds);
}

TEST(doorbell_coalesces, "rings before a wait are one ring") {
    auto bell = MUST(BinarySemaphore::create());
    EXPECT_OK(bell.ring());
    EXPECT_OK(bell.ring());
    EXPECT_OK(bell.wait(Deadline::poll()));
    EXPECT_ERROR(bell.wait(Deadline::poll()), Error::timed_out);
}

TEST(sequence_wakes_all, "everybody who waits sees a sequence move on") {
    auto sequence = MUST(SequenceSemaphore::create());
    std::atomic<unsigned> woken = 0;
    const auto waiter = [&] {
        uint64_t seen = 0;
        if (sequence.wait(seen).ok() && seen != 0) woken.fetch_add(1);
    };
    auto first = MUST(start_thread(waiter));
    auto second = MUST(start_thread(waiter));
    EXPECT_OK(sequence.advance());
    EXPECT_OK(first.join());
    EXPECT_OK(second.join());
    EXPECT_EQ(woken.load(), 2u);
    EXPECT_EQ(sequence.value(), 1u);
}

TEST(words_return, "semaphores can be made and dropped for ever") {
    for (int i = 0; i < 300; ++i) {
        auto semaphore = MUST(CountingSemaphore::create(1));
        EXPECT_OK(semaphore.down(Deadline::poll()));
    }
}

TEST(mutex_excludes, "increments under a mutex are not lost") {
    constexpr int threads = 4;
    constexpr int rounds = 2000;
    auto mutex = MUST(Mutex::create());
    int count = 0;
    const auto add = [&] {
        for (int i = 0; i < rounds; ++i) {
            const Lock lock(mutex);
            // Read and written apart, so that a lost exclusion shows.
            const int before = count;
            asm volatile("" : : : "memory");
            count = before + 1;
        }
    };
    {
        auto first = MUST(start_thread(add));
        auto second = MUST(start_thread(add));
        auto third = MUST(start_thread(add));
        auto fourth = MUST(start_thread(add));
    }
    EXPECT_EQ(count, threads * rounds);
}

TEST(heap_in_threads, "threads allocate at the same time") {
    std::atomic<unsigned> wrong = 0;
    const auto work = [&wrong] {
        std::unique_ptr<uint64_t[]> blocks[16];
        for (uint64_t i = 0; i < 2000; ++i) {
            auto& block = blocks[i % 16];
            if (block != nullptr && block[0] != i - 16) wrong.fetch_add(1);
            block.reset(new uint64_t[1 + i % 40]);
            block[0] = i;
        }
    };
    {
        auto first = MUST(start_thread(work));
        auto second = MUST(start_thread(work));
    }
    EXPECT_EQ(wrong.load(), 0u);
}

TEST(remapped, "memory mapped where other memory was is the new memory on every CPU") {
    auto go = MUST(CountingSemaphore::create(0));
    auto back = MUST(CountingSemaphore::create(0));
    std::atomic<const uint64_t*> shown = nullptr;
    std::atomic<uint64_t> seen = 0;
    auto reader = MUST(start_thread([&] {
        while (go.down().ok()) {
            const uint64_t* place = shown.load();
            if (place == nullptr) return;
            seen = *place;
            static_cast<void>(back.up());
        }
    }));
    uint64_t wrong = 0;
    for (uint64_t round = 1; round <= 1000; ++round) {
        const auto memory = test.budget().create_memory(1, 0);
        if (!memory.ok()) break;
        const auto address =
            test.process().map(*memory, 0, abi::page_size, 0, abi::map_read | abi::map_write);
        if (!address.ok()) break;
        // Safety: the page was just mapped there.
        auto* place = reinterpret_cast<uint64_t*>(*address);
        wrong += *place != 0;
        *place = round;
        shown = place;
        EXPECT_OK(go.up());
        EXPECT_OK(back.down());
        wrong += seen.load() != round;
        EXPECT_OK(test.process().map_unmap(*address, abi::page_size));
    }
    shown = nullptr;
    EXPECT_OK(go.up());
    EXPECT_OK(reader.join());
    EXPECT_EQ(seen.load(), 1000u);
    EXPECT_EQ(wrong, 0u);
}
