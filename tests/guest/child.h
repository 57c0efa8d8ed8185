// SPDX-License-Identifier: MIT
// A second process that runs functions of this program: for peers that die, lie or attack.
//
//   auto child = MUST(Child::create(test.budget(), test.process(), budget));
//   child.words()[0] = MUST(child.lend(semaphore));
//   EXPECT_OK(child.start(signal_for_ever));
//
// The child has a copy of this program's image as it is now, at the same addresses, so a function
// means the same in both. It shares one block of words with its parent, also at the same address,
// and its functions get that block as their argument. Its copy of the runtime still believes that
// it is the parent: child functions make system calls with handles from the block and nothing else.
#pragma once

#include "runtime/deadline.h"
#include "runtime/program.h"

#include <array>
#include <atomic>

namespace annulus::test {

class Child {
public:
    using Word = std::atomic<uint64_t>;
    static constexpr unsigned word_count = 2048;
    static constexpr unsigned threads_max = 8;

    // `parent_budget` and `parent` are this program's; `budget` pays for the process. The image and
    // the block are the parent's, so `budget` reserves pages for them.
    static Result<Child> create(BudgetReference parent_budget, ProcessReference parent,
                                BudgetReference budget, uint64_t handle_slots = 64);
    Child(Child&& other);
    Child& operator=(Child&&) = delete;
    ~Child();  // kills it, and waits for its end

    // The value of a duplicate in the child. Before the first start() only.
    Result<abi::Handle> lend(ObjectReference object, abi::Rights rights = abi::all_rights);
    // The value in the child of a handle that moves there. Before the first start() only.
    template <typename T>
    Result<abi::Handle> give(Owned<T>&& handle) {
        return process_.share_install(std::move(handle));
    }

    // Starts a thread of the child; it ends when `entry` returns.
    Result<Thread> start(void (*entry)(Word* words), unsigned priority = 32, uint64_t affinity = 0);

    // Kills it and waits until all that it had is gone.
    Result<void> kill();
    Result<void> wait(Deadline deadline = Deadline::never());

    ProcessReference process() const { return process_; }
    Word* words() const { return words_; }
    MemoryReference memory() const { return memory_; }  // of the words

private:
    struct Mapping {
        uint64_t begin = 0;
        uint64_t size = 0;
    };
    Child(BudgetReference parent_budget, ProcessReference parent, Process process, Semaphore ended)
        : parent_budget_(parent_budget),
          parent_(parent),
          process_(std::move(process)),
          ended_(std::move(ended)) {}
    Result<uint64_t> share(const Memory& memory, uint64_t pages);
    Result<void> copy_image();
    Result<void> copy_segment(uint64_t begin, uint64_t size, uint64_t flags);

    BudgetReference parent_budget_;
    ProcessReference parent_;
    Process process_;
    Semaphore ended_;
    bool gone_ = false;
    Word* words_ = nullptr;
    Memory memory_;
    std::array<Mapping, threads_max + 1> mappings_{};
    unsigned mapping_count_ = 0;
};

}  // namespace annulus::test
