#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the names that the kernel's assembly uses for places in C++ structures.

The input is kernel/arch/*/offsets.cpp as the compiler's assembly: of it the lines
`.set name, value` go to the output.

Usage: offsets.py OFFSETS.s OFFSETS.h.S
"""

import pathlib
import re
import sys

setting = re.compile(r"^\s*\.set (\w+), (-?\d+)$", re.M)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found = setting.findall(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    names = [name for name, _ in found]
    if not found or len(set(names)) != len(names):
        sys.exit(f"offsets.py: {sys.argv[1]} has no names, or one twice")
    text = "// Made by tools/offsets.py.\n" + "".join(f".set {n}, {v}\n" for n, v in found)
    output = pathlib.Path(sys.argv[2])
    if not output.exists() or output.read_text(encoding="utf-8") != text:
        output.write_text(text, encoding="utf-8")


main()
