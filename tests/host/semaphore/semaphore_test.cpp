// SPDX-License-Identifier: MIT
// Tests of semaphores: modes, limits, waits and how they end, the word, the door.
#include "kernel/object/semaphore.h"

#include "runtime/semaphore_protocol.h"
#include "tests/support/kernel_machine.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace annulus::kernel {
namespace {

using test::InKernel;
using test::MachineThread;

class SemaphoreTest : public testing::Test {
protected:
    struct Made : test::KernelMachine::Made {
        Semaphore* operator->() const { return &semaphore; }
    };
    Made make(SemaphoreMode mode, uint64_t initial = 0, MemoryObject* memory = nullptr,
              uint64_t offset = 0) {
        return {machine.make_semaphore(mode, initial, memory, offset)};
    }
    Ref<MemoryObject> memory() {
        auto made = MemoryObject::create(machine.root(), 1, 0).value();
        uint64_t done = 0;
        while (done < abi::page_size) EXPECT_TRUE(made->commit_some(done, abi::page_size).ok());
        return made;
    }
    // As seen by a program that maps the word.
    static std::atomic<uint64_t>& word(const Made& made) {
        return *reinterpret_cast<std::atomic<uint64_t>*>(made->word_address());
    }
    // Threads that wait already.
    std::vector<std::unique_ptr<MachineThread>> crowd(unsigned count, abi::Handle handle) {
        std::vector<std::unique_ptr<MachineThread>> threads;
        for (unsigned i = 0; i < count; ++i) {
            threads.push_back(std::make_unique<MachineThread>(machine));
            EXPECT_FALSE(threads.back()->begin_wait(handle));
        }
        return threads;
    }

    test::KernelMachine machine;
};

TEST_F(SemaphoreTest, CountsToItsLimitAndNotBeyond) {
    const Made full = make(SemaphoreMode::counting, abi::semaphore_max);
    EXPECT_EQ(full->signal().error(), Error::limit);
    EXPECT_EQ(full->signal(abi::semaphore_max).error(), Error::limit);
    EXPECT_EQ(full->value(), abi::semaphore_max);
    EXPECT_EQ(Semaphore::create(machine.root(), SemaphoreMode::counting, abi::semaphore_max + 1,
                                nullptr, 0)
                  .error(),
              Error::bad_argument);
    EXPECT_EQ(Semaphore::create(machine.root(), SemaphoreMode::binary, 2, nullptr, 0).error(),
              Error::bad_argument);
    MachineThread thread(machine);
    EXPECT_TRUE(thread.wait(full.handle).ok());
    EXPECT_TRUE(full->signal().ok());
    EXPECT_EQ(full->signal().error(), Error::limit);
    machine.close(full.handle);
}

TEST_F(SemaphoreTest, ADoorbellRingsOnceForSeveralRings) {
    const Made bell = make(SemaphoreMode::binary);
    MachineThread thread(machine);
    EXPECT_TRUE(thread.signal(bell.handle, 5).ok());
    EXPECT_TRUE(thread.signal(bell.handle).ok());
    EXPECT_TRUE(thread.wait(bell.handle, abi::deadline_poll).ok());
    EXPECT_EQ(thread.wait(bell.handle, abi::deadline_poll).code(), Error::timed_out);
    machine.close(bell.handle);
}

TEST_F(SemaphoreTest, ASequenceWakesEverybodyMoreThanAChunkAtOnce) {
    const Made sequence = make(SemaphoreMode::sequence);
    auto threads = crowd(3 * abi::chunk_items + 1, sequence.handle);
    EXPECT_TRUE(sequence->signal().ok());
    machine.settle();
    for (auto& thread : threads) {
        ASSERT_TRUE(thread->woken());
        thread->go_on();
        EXPECT_TRUE(thread->status().ok());
        EXPECT_EQ(thread->message().rdx, 1u);
    }
    EXPECT_TRUE(threads[0]->wait(sequence.handle, abi::deadline_never, 0).ok());
    EXPECT_FALSE(threads[0]->begin_wait(sequence.handle, abi::deadline_never, 1));
    EXPECT_TRUE(sequence->signal().ok());
    threads[0]->go_on();
    EXPECT_EQ(threads[0]->message().rdx, 2u);
    machine.close(sequence.handle);
}

TEST_F(SemaphoreTest, SoManyUnitsWakeSoManyInOrder) {
    const Made semaphore = make(SemaphoreMode::counting);
    auto threads = crowd(abi::chunk_items + 20, semaphore.handle);
    const unsigned units = abi::chunk_items + 10;
    EXPECT_TRUE(semaphore->signal(units).ok());
    machine.settle();
    for (unsigned i = 0; i < threads.size(); ++i) {
        EXPECT_EQ(threads[i]->woken(), i < units) << i;
        if (i < units) threads[i]->go_on();
    }
    EXPECT_EQ(semaphore->value(), 0u);
    // More than wait: the rest is counted.
    EXPECT_TRUE(semaphore->signal(15).ok());
    for (unsigned i = units; i < threads.size(); ++i) threads[i]->go_on();
    machine.settle();
    EXPECT_EQ(semaphore->value(), 5u);
    machine.close(semaphore.handle);
}

TEST_F(SemaphoreTest, AWaitThatEndedTakesNoUnit) {
    const Made semaphore = make(SemaphoreMode::counting);
    auto threads = crowd(3, semaphore.handle);
    {
        const InKernel here;
        EXPECT_TRUE(threads[0]->cancel());
        EXPECT_FALSE(threads[0]->cancel());
        EXPECT_FALSE(threads[1]->time_out()) << "it has no deadline";
    }
    EXPECT_TRUE(semaphore->signal().ok());
    EXPECT_TRUE(threads[1]->woken());
    EXPECT_FALSE(threads[2]->woken());
    threads[0]->go_on();
    EXPECT_EQ(threads[0]->status().code(), Error::cancelled);
    threads[1]->go_on();
    EXPECT_TRUE(threads[1]->status().ok());
    machine.close(semaphore.handle);
    threads[2]->go_on();
    EXPECT_EQ(threads[2]->status().code(), Error::closed);
}

TEST_F(SemaphoreTest, ADeadlineEndsAWaitWhenItHasCome) {
    const Made semaphore = make(SemaphoreMode::counting);
    MachineThread thread(machine);
    EXPECT_FALSE(thread.begin_wait(semaphore.handle, 100));
    {
        const InKernel here;
        machine.now = 99;
        EXPECT_FALSE(thread.time_out());
        machine.now = 100;
        EXPECT_TRUE(thread.time_out());
    }
    thread.go_on();
    EXPECT_EQ(thread.status().code(), Error::timed_out);
    EXPECT_TRUE(semaphore->signal().ok());
    EXPECT_EQ(semaphore->value(), 1u);
    machine.close(semaphore.handle);
}

TEST_F(SemaphoreTest, TheDoorNamesWhoWaitsAloneAndForEver) {
    const Made semaphore = make(SemaphoreMode::counting);
    MachineThread first(machine);
    MachineThread second(machine);
    EXPECT_FALSE(first.begin_wait(semaphore.handle));
    EXPECT_EQ(first.record().alone_at.load(), &semaphore.semaphore);
    EXPECT_FALSE(second.begin_wait(semaphore.handle));
    EXPECT_EQ(first.record().alone_at.load(), nullptr);
    EXPECT_EQ(second.record().alone_at.load(), nullptr);
    {
        const InKernel here;
        EXPECT_TRUE(first.cancel());
    }
    first.go_on();
    EXPECT_EQ(second.record().alone_at.load(), &semaphore.semaphore);
    // With a deadline nobody stands in the door.
    EXPECT_TRUE(semaphore->signal().ok());
    second.go_on();
    EXPECT_FALSE(second.begin_wait(semaphore.handle, 1000));
    EXPECT_EQ(second.record().alone_at.load(), nullptr);
    EXPECT_TRUE(semaphore->signal().ok());
    second.go_on();
    EXPECT_TRUE(second.status().ok());
    machine.close(semaphore.handle);
}

TEST_F(SemaphoreTest, AWordInMemoryHasOneSemaphoreAndKWhileSomebodyWaits) {
    Ref<MemoryObject> page = memory();
    const Made semaphore = make(SemaphoreMode::counting, 0, page.get(), 16);
    const auto again = [&](uint64_t offset) {
        return Semaphore::create(machine.root(), SemaphoreMode::binary, 0, page.get(), offset)
            .error();
    };
    EXPECT_EQ(again(16), Error::busy);
    EXPECT_EQ(again(17), Error::bad_argument);
    EXPECT_EQ(again(abi::page_size), Error::out_of_range);
    EXPECT_EQ(test::KernelMachine::used(abi::Resource::pins), 1u);
    MachineThread thread(machine);
    word(semaphore) = 1;  // as a program signals
    EXPECT_TRUE(thread.wait(semaphore.handle).ok());
    EXPECT_EQ(word(semaphore), 0u);
    EXPECT_FALSE(thread.begin_wait(semaphore.handle));
    EXPECT_EQ(word(semaphore), semaphore_kernel_bit);
    EXPECT_TRUE(semaphore->signal().ok());
    EXPECT_EQ(word(semaphore), 0u);
    thread.go_on();
    machine.close(semaphore.handle);
    machine.settle();
    EXPECT_EQ(test::KernelMachine::used(abi::Resource::pins), 0u);
    const Made next = make(SemaphoreMode::counting, 0, page.get(), 16);
    machine.close(next.handle);
}

TEST_F(SemaphoreTest, AWaitForAnyTakesOneUnitOfOne) {
    const Made one = make(SemaphoreMode::counting);
    const Made two = make(SemaphoreMode::counting);
    const abi::WaitEntry entries[] = {{one.handle, 0}, {two.handle, 0}};
    MachineThread thread(machine);
    EXPECT_EQ(thread.wait_any(entries, 2, abi::deadline_poll).code(), Error::timed_out);
    EXPECT_EQ(thread.wait_any(entries, 0).code(), Error::bad_argument);
    EXPECT_TRUE(two->signal().ok());
    EXPECT_TRUE(thread.wait_any(entries, 2).ok());
    EXPECT_EQ(thread.message().rdx, 1u);
    EXPECT_EQ(one->value() + two->value(), 0u);
    EXPECT_TRUE(one->signal().ok());
    EXPECT_TRUE(two->signal().ok());
    EXPECT_TRUE(thread.wait_any(entries, 2).ok());
    EXPECT_EQ(thread.message().rdx, 0u);
    EXPECT_EQ(two->value(), 1u);
    machine.close(one.handle);
    machine.close(two.handle);
}

}  // namespace
}  // namespace annulus::kernel
