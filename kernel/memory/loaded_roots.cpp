// SPDX-License-Identifier: MIT
// Which CPUs have loaded a page table.
#include "kernel/memory/address_space.h"
#include "kernel/schedule/cpu.h"

namespace annulus::kernel {

// A CPU writes loaded_root before it loads the page table, which is a serialising instruction
// (Intel SDM vol. 3, 8.3). So when the caller's fence, behind its change, comes first, that CPU
// walks the changed table; otherwise its loaded_root is seen here.
bool loaded_elsewhere(arch::PhysicalAddress root) {
    const Cpu& here = this_cpu();
    for (unsigned i = 0; i < online_cpus(); ++i) {
        const Cpu& cpu = cpu_at(i);
        // Relaxed: ordered by the caller's fence, as above.
        if (&cpu != &here && __atomic_load_n(&cpu.loaded_root, __ATOMIC_RELAXED) == root)
            return true;
    }
    return false;
}

}  // namespace annulus::kernel
