#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the kernel's table of function names and checks that adding it moved no function.

The table is the section .symbols, between the linker's kernel_symbols_begin and
kernel_symbols_end:

    u32 count
    count x { u32 offset of the function from kernel_text_begin, u32 offset of its name }
    the names, each ended by a zero byte

Entries are sorted by offset; a name's offset counts from the start of the section. Without the
table (the first link) the section is empty.

Usage: symbols.py make KERNEL.elf TABLE.S      symbols.py check UNNAMED.elf KERNEL.elf
"""

import subprocess
import sys

text_base = "kernel_text_begin"


def functions(elf):
    """The address of `text_base` and the (address, mangled name) of each function, sorted."""
    listing = subprocess.run(["llvm-nm-19", "--numeric-sort", "--defined-only", elf],
                             check=True, capture_output=True, text=True).stdout
    base = None
    found = {}
    for line in listing.splitlines():
        address, kind, name = line.split(" ", 2)
        if name == text_base:
            base = int(address, 16)
        elif kind in "tTwW":
            # Of several names for one address the first in the linker's order is kept.
            found.setdefault(int(address, 16), name)
    if base is None:
        sys.exit(f"symbols.py: {elf} does not define {text_base}")
    return base, sorted((a, n) for a, n in found.items() if base <= a < base + 2**32)


def readable(names):
    """Demangled names without parameter lists."""
    result = subprocess.run(["llvm-cxxfilt-19", "--no-params"], input="\n".join(names) + "\n",
                            check=True, capture_output=True, text=True).stdout
    return result.splitlines()


def make(elf, table):
    base, entries = functions(elf)
    names = readable([name for _, name in entries]) if entries else []
    lines = ["// Made by tools/symbols.py.", '.section .symbols, "a"', f".long {len(entries)}"]
    place = 4 + 8 * len(entries)
    for (address, _), name in zip(entries, names, strict=True):
        lines.append(f".long {address - base:#x}, {place}")
        place += len(name.encode()) + 1
    for name in names:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'.asciz "{quoted}"')
    with open(table, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")


def check(unnamed, named):
    if functions(unnamed) != functions(named):
        sys.exit(f"symbols.py: the table moved functions of {named}: "
                 "the linker script must place .symbols last")


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("make", "check"):
        sys.exit(__doc__)
    {"make": make, "check": check}[sys.argv[1]](sys.argv[2], sys.argv[3])


main()
