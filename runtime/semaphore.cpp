// SPDX-License-Identifier: MIT
// Makes semaphores together with their words.

#include "runtime/semaphore.h"

#include "abi/operations.h"
#include "runtime/program_state.h"

namespace annulus {

Result<SemaphoreWithWord::Parts> SemaphoreWithWord::make(uint64_t mode, uint64_t initial) {
    // A word whose last semaphore the kernel still holds is refused as busy: another one is tried.
    constexpr unsigned attempts = 64;
    for (unsigned attempt = 0; attempt < attempts; ++attempt) {
        const SemaphoreWord place = TRY(allocate_semaphore_word());
        // Order: relaxed, nobody else knows the word before the semaphore exists.
        place.word->store(initial, std::memory_order_relaxed);
        auto handle =
            program_state.budget.create_semaphore(mode, initial, place.memory, place.offset);
        if (handle.ok()) return Parts{std::move(*handle), place.word};
        release_semaphore_word(place.word);
        if (handle.error() != Error::busy) return handle.status();
    }
    return Error::busy;
}

Result<CountingSemaphore> CountingSemaphore::create(uint64_t initial) {
    if (initial > abi::semaphore_max) return Status(Error::bad_argument, 1);
    auto parts = TRY(make(abi::semaphore_counting, initial));
    return CountingSemaphore(std::move(parts.handle), parts.word, true);
}

Result<BinarySemaphore> BinarySemaphore::create() {
    auto parts = TRY(make(abi::semaphore_binary, 0));
    return BinarySemaphore(std::move(parts.handle), parts.word, true);
}

Result<SequenceSemaphore> SequenceSemaphore::create() {
    auto parts = TRY(make(abi::semaphore_sequence, 0));
    return SequenceSemaphore(std::move(parts.handle), parts.word, true);
}

}  // namespace annulus
