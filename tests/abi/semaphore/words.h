// SPDX-License-Identifier: MIT
// Semaphores of the tests, and memory for their words.
#pragma once

#include "abi/operations.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"

#include <utility>

namespace annulus::test {

// A semaphore whose word lies in the kernel.
inline Result<Semaphore> make_semaphore(const Context& test, uint64_t mode, uint64_t initial) {
    return test.budget().create_semaphore(mode, initial, MemoryReference(), 0);
}

// Memory of this program for words of semaphores, mapped.
class Word {
public:
    using Atomic = std::atomic<uint64_t>;

    static Result<Word> create(const Context& test, uint64_t pages = 1) {
        Word word(test.process(), TRY(test.budget().create_memory(pages, 0)));
        word.size_ = pages * abi::page_size;
        word.begin_ =
            TRY(word.process_.map(word.memory_, 0, word.size_, 0, abi::map_read | abi::map_write));
        return word;
    }
    Word(Word&& other)
        : process_(other.process_),
          memory_(std::move(other.memory_)),
          begin_(std::exchange(other.begin_, 0)),
          size_(other.size_) {}
    Word& operator=(Word&&) = delete;
    ~Word() {
        if (begin_ != 0) static_cast<void>(process_.map_unmap(begin_, size_));
    }

    MemoryReference memory() const { return memory_; }
    // Safety: the memory is mapped at begin_.
    Atomic& at(uint64_t offset) const { return *reinterpret_cast<Atomic*>(begin_ + offset); }
    Result<Semaphore> semaphore(const Context& test, uint64_t mode, uint64_t offset) const {
        return test.budget().create_semaphore(mode, 0, memory_, offset);
    }

private:
    Word(ProcessReference process, Memory memory) : process_(process), memory_(std::move(memory)) {}

    ProcessReference process_;
    Memory memory_;
    uint64_t begin_ = 0;
    uint64_t size_ = 0;
};

}  // namespace annulus::test
