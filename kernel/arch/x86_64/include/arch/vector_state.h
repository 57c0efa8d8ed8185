// SPDX-License-Identifier: MIT
// The state of x87, SSE, AVX and AVX-512 registers. The kernel never uses them itself.
#pragma once

namespace annulus::arch {

// An area is cpu_features().vector_state_size bytes, 64-byte aligned, kernel memory.

// Fills a fresh area with the clean state: registers zero, exceptions masked, round to nearest.
void init_vector_state(void* area);

// Writes the running CPU's state to an area that was initialised once.
void save_vector_state(void* area);

// Loads a state that save_vector_state or init_vector_state wrote.
void restore_vector_state(const void* area);

// Loads the clean state.
void clear_vector_state();

}  // namespace annulus::arch
