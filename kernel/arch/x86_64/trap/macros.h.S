// SPDX-License-Identifier: MIT
// Macros for assembly that touches user memory.

// One instruction that opens or closes user memory to the kernel. On CPUs without SMAP they are
// replaced by no-operations of the same length when the kernel starts.
.macro smap_instruction name
777:    \name
    .pushsection .smap_sites, "a"
    .quad 777b
    .popsection
.endm

// A page fault at label `from` in kernel mode is resolved, or continues at label `to`. With a 0 as
// the third word, not here, it is not resolved.
.macro exception_entry from, to
    .pushsection .exception_table, "a"
    .balign 8
    .quad \from, \to, 1
    .popsection
.endm
