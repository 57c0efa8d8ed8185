// SPDX-License-Identifier: MIT
// The user-mode half of semaphores against a fake kernel: when it enters, and what it leaves.

#include "runtime/semaphore_protocol.h"

#include <gtest/gtest.h>

namespace annulus::semaphore_protocol {
namespace {

struct WaitAnswer {
    abi::Status status;
    uint64_t value;
};

// Notes the calls, and answers what the test says.
struct FakeKernel {
    static inline unsigned waits = 0;
    static inline unsigned signals = 0;
    static inline uint64_t seen = 0;
    static inline uint64_t deadline = 0;
    static inline WaitAnswer answer = {};

    static WaitAnswer wait(abi::Handle handle, uint64_t seen_value, uint64_t until) {
        EXPECT_EQ(handle, 77u);
        ++waits;
        seen = seen_value;
        deadline = until;
        return answer;
    }
    static abi::Status signal(abi::Handle handle, uint64_t units) {
        EXPECT_EQ(handle, 77u);
        EXPECT_EQ(units, 1u);
        ++signals;
        return {};
    }
};

class SemaphoreProtocol : public testing::Test {
protected:
    void SetUp() override {
        FakeKernel::waits = FakeKernel::signals = 0;
        FakeKernel::answer = {};
    }
    static constexpr abi::Handle handle = 77;
    Word word{0};
};

TEST_F(SemaphoreProtocol, UnitsComeAndGoWithoutTheKernel) {
    EXPECT_TRUE(up<FakeKernel>(word, handle).ok());
    EXPECT_TRUE(up<FakeKernel>(word, handle).ok());
    EXPECT_EQ(word.load(), 2u);
    EXPECT_TRUE(down<FakeKernel>(word, handle, 0).ok());
    EXPECT_TRUE(down<FakeKernel>(word, handle, 0).ok());
    EXPECT_EQ(word.load(), 0u);
    EXPECT_EQ(FakeKernel::waits + FakeKernel::signals, 0u);
}

TEST_F(SemaphoreProtocol, AnEmptyOneEntersTheKernelAndKeepsTheWord) {
    FakeKernel::answer.status = abi::Error::timed_out;
    EXPECT_EQ(down<FakeKernel>(word, handle, 123).code(), abi::Error::timed_out);
    EXPECT_EQ(FakeKernel::waits, 1u);
    EXPECT_EQ(FakeKernel::deadline, 123u);
    EXPECT_EQ(word.load(), 0u);
}

TEST_F(SemaphoreProtocol, TheKernelBitSendsEverythingToTheKernel) {
    word = kernel_bit | 5;
    EXPECT_TRUE(up<FakeKernel>(word, handle).ok());
    EXPECT_TRUE(ring<FakeKernel>(word, handle).ok());
    EXPECT_TRUE(advance<FakeKernel>(word, handle).ok());
    EXPECT_TRUE(down<FakeKernel>(word, handle, 0).ok());
    EXPECT_EQ(FakeKernel::signals, 3u);
    EXPECT_EQ(FakeKernel::waits, 1u);
    EXPECT_EQ(word.load(), kernel_bit | 5);
}

TEST_F(SemaphoreProtocol, RingsCoalesce) {
    EXPECT_TRUE(ring<FakeKernel>(word, handle).ok());
    EXPECT_TRUE(ring<FakeKernel>(word, handle).ok());
    EXPECT_EQ(word.load(), 1u);
    EXPECT_TRUE(down<FakeKernel>(word, handle, 0).ok());
    EXPECT_EQ(word.load(), 0u);
    EXPECT_EQ(FakeKernel::waits + FakeKernel::signals, 0u);
}

TEST_F(SemaphoreProtocol, ASequenceAnswersAtOnceWhenItHasMovedOn) {
    uint64_t seen = 0;
    EXPECT_TRUE(advance<FakeKernel>(word, handle).ok());
    EXPECT_TRUE(await<FakeKernel>(word, handle, seen, 0).ok());
    EXPECT_EQ(seen, 1u);
    word = kernel_bit | 9;
    EXPECT_TRUE(await<FakeKernel>(word, handle, seen, 0).ok());
    EXPECT_EQ(seen, 9u);
    EXPECT_EQ(FakeKernel::waits, 0u);
}

TEST_F(SemaphoreProtocol, ASequenceWaitsInTheKernelForTheNextValue) {
    uint64_t seen = 4;
    word = 4;
    FakeKernel::answer.value = 6;
    EXPECT_TRUE(await<FakeKernel>(word, handle, seen, 55).ok());
    EXPECT_EQ(FakeKernel::seen, 4u);
    EXPECT_EQ(seen, 6u);
    word = 6;
    FakeKernel::answer = {abi::Error::timed_out, 0};
    EXPECT_EQ(await<FakeKernel>(word, handle, seen, 55).code(), abi::Error::timed_out);
    EXPECT_EQ(seen, 6u);
}

}  // namespace
}  // namespace annulus::semaphore_protocol
