// SPDX-License-Identifier: MIT
// Which words in memory have a semaphore: a word has at most one.
#pragma once

#include "base/result.h"

namespace annulus::kernel {

class Semaphore;

// Claims the semaphore's word. busy: it has a semaphore already.
Result<void> register_semaphore_word(Semaphore& semaphore);
// Gives up the word at this kernel address, which the semaphore does not use any more.
void unregister_semaphore_word(Semaphore& semaphore, uint64_t word);

}  // namespace annulus::kernel
