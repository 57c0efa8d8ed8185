// SPDX-License-Identifier: MIT
// Semaphores with the user-mode fast path, one class a mode.
//
// `Semaphore` in generated/objects.h is the handle alone; it works for every mode through the
// kernel. The classes here add the word: while nobody sleeps, taking and signalling is one
// compare-and-exchange and no system call. Waiters are served first come first served by the
// kernel; a take in user mode may overtake them.
#pragma once

#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"
#include "runtime/semaphore_protocol.h"
#include "runtime/semaphore_words.h"

#include <utility>

namespace annulus {

struct KernelSemaphores {
    static system::WaitAnswer wait(abi::Handle semaphore, uint64_t seen, uint64_t deadline) {
        return system::wait(semaphore, seen, deadline);
    }
    static abi::Status signal(abi::Handle semaphore, uint64_t units) {
        return system::signal(semaphore, units);
    }
};

// The handle and its word; base of the three modes. Move-only.
class SemaphoreWithWord {
public:
    SemaphoreWithWord(SemaphoreWithWord&& other)
        : handle_(std::move(other.handle_)),
          word_(std::exchange(other.word_, nullptr)),
          owns_word_(std::exchange(other.owns_word_, false)) {}
    SemaphoreWithWord& operator=(SemaphoreWithWord&& other) {
        std::swap(handle_, other.handle_);
        std::swap(word_, other.word_);
        std::swap(owns_word_, other.owns_word_);
        return *this;
    }
    ~SemaphoreWithWord() {
        handle_.close();
        if (owns_word_ && word_ != nullptr) release_semaphore_word(word_);
    }

    // For watches, wait_any and for handing it on.
    SemaphoreReference handle() const { return handle_; }

protected:
    // A semaphore over `word`, which lies in memory that this process maps.
    SemaphoreWithWord(Semaphore handle, semaphore_protocol::Word* word, bool owns_word)
        : handle_(std::move(handle)), word_(word), owns_word_(owns_word) {}

    struct Parts {
        Semaphore handle;
        semaphore_protocol::Word* word;
    };
    // Both for a new semaphore of this process. Errors as allocate_semaphore_word.
    static Result<Parts> make(uint64_t mode, uint64_t initial);

    Semaphore handle_;
    semaphore_protocol::Word* word_;
    bool owns_word_;
};

// Units: up adds one, down takes one.
class CountingSemaphore : public SemaphoreWithWord {
public:
    static Result<CountingSemaphore> create(uint64_t initial);
    // Over a word that a peer shares: `handle` is the semaphore of `word`.
    static CountingSemaphore attach(Semaphore handle, semaphore_protocol::Word* word) {
        return CountingSemaphore(std::move(handle), word, false);
    }

    Result<void> up() { return semaphore_protocol::up<KernelSemaphores>(*word_, handle_.value()); }
    Result<void> down(Deadline deadline = Deadline::never()) {
        return semaphore_protocol::down<KernelSemaphores>(*word_, handle_.value(), deadline.at);
    }

private:
    using SemaphoreWithWord::SemaphoreWithWord;
};

// A doorbell: rings before a wait are one ring.
class BinarySemaphore : public SemaphoreWithWord {
public:
    static Result<BinarySemaphore> create();
    static BinarySemaphore attach(Semaphore handle, semaphore_protocol::Word* word) {
        return BinarySemaphore(std::move(handle), word, false);
    }

    Result<void> ring() {
        return semaphore_protocol::ring<KernelSemaphores>(*word_, handle_.value());
    }
    Result<void> wait(Deadline deadline = Deadline::never()) {
        return semaphore_protocol::down<KernelSemaphores>(*word_, handle_.value(), deadline.at);
    }

private:
    using SemaphoreWithWord::SemaphoreWithWord;
};

// A value that only grows; everybody who waits for it to differ from what he saw is woken.
class SequenceSemaphore : public SemaphoreWithWord {
public:
    static Result<SequenceSemaphore> create();
    static SequenceSemaphore attach(Semaphore handle, semaphore_protocol::Word* word) {
        return SequenceSemaphore(std::move(handle), word, false);
    }

    // Order: acquire, with the release in advance.
    uint64_t value() const {
        return semaphore_protocol::value_of(word_->load(std::memory_order_acquire));
    }
    Result<void> advance() {
        return semaphore_protocol::advance<KernelSemaphores>(*word_, handle_.value());
    }
    // Waits until the value differs from `seen`, and puts the new one there.
    Result<void> wait(uint64_t& seen, Deadline deadline = Deadline::never()) {
        return semaphore_protocol::await<KernelSemaphores>(*word_, handle_.value(), seen,
                                                           deadline.at);
    }

private:
    using SemaphoreWithWord::SemaphoreWithWord;
};

// For handles without a mapped word: events that the kernel signals. Each enters the kernel.
inline Result<uint64_t> wait_for(SemaphoreReference semaphore,
                                 Deadline deadline = Deadline::never(), uint64_t seen = 0) {
    const auto answer = system::wait(semaphore.value(), seen, deadline.at);
    if (!answer.status.ok()) return answer.status;
    return answer.value;
}
inline Result<void> signal(SemaphoreReference semaphore, uint64_t units = 1) {
    return system::signal(semaphore.value(), units);
}

}  // namespace annulus
