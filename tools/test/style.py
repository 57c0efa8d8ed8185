# SPDX-License-Identifier: MIT
"""Rules that clang-format and clang-tidy do not know: file headers, sizes, words, architecture."""

import re

import project

lines_limit = 600
columns = 100

# Files that may hold inline assembly or name an architecture, beside kernel/arch, boot, */arch/*.
# Each stands for a reason that a reader accepts.
architecture_files = {
    "base/elf.h": "the machine for which a program file is",
    "base/elf.cpp": "the machine for which a program file is",
    "runtime/memory_functions.cpp": "string instructions, which no C++ gives",
    "runtime/raw_system_call.S": "the system call instruction",
    "runtime/system_call.h": "the system call instruction",
}

# Macros outside base/ that something else asks for.
macro_files = {
    "kernel/assert.h": "assertions name their own text and line",
    "services/net/lwip/arch/cc.h": "lwIP is configured by macros",
    "services/net/lwip/lwipopts.h": "lwIP is configured by macros",
}

# Included several times on purpose.
repeated_files = ("services/net/lwip/lwippools.h",)

_comment_or_text = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')',
                              re.DOTALL)
_bare_todo = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))")
_architecture = re.compile(r"\b(x86|x86_64|amd64|i[3-6]86|aarch64|arm64|risc-?v\d*|intel)\b", re.I)
_inline_assembly = re.compile(r"\b(asm|__asm__)\b")
_conditional = re.compile(r"^\s*#\s*(ifdef|ifndef)\s+ANNULUS_|defined\s*\(?\s*ANNULUS_", re.M)


def without_comments(text):
    """C++ text with comments blanked; lines keep their numbers, string literals stay."""
    def blank(match):
        return match[0] if match[1] is not None else re.sub(r"[^\n]", " ", match[0])
    return _comment_or_text.sub(blank, text)


def _header(path, lines):
    start = 1 if lines and lines[0].startswith("#!") else 0
    if len(lines) <= start or "SPDX-License-Identifier: MIT" not in lines[start]:
        return ["1: the first line is not the SPDX line"]
    about = lines[start + 1].strip() if len(lines) > start + 1 else ""
    if not re.match(r'(//|#|/\*|"""|<!--)\s*\S', about):
        return [f"{start + 2}: no sentence says what the file is"]
    return []


def _every_line(path, lines):
    for number, line in enumerate(lines, 1):
        if len(line) > columns:
            yield f"{number}: {len(line)} columns, the limit is {columns}"
        if line != line.rstrip():
            yield f"{number}: space at the end of the line"
        if "\t" in line and path.name != "Makefile":
            yield f"{number}: a tab"
        if _bare_todo.search(line) and "tools" not in path.parts[:2]:
            yield f"{number}: a TODO without an issue"


def _may_name_architecture(path):
    return ("arch" in path.parts[:-1] or path.parts[0] in ("boot", "tests", "bench") or
            str(path) in architecture_files)


def _cpp(path, text):
    code = without_comments(text)
    once = "\n#pragma once\n" in text or path.parts[0] == "tools" or str(path) in repeated_files
    if path.suffix == ".h" and not once:
        yield "1: no #pragma once"
    for number, line in enumerate(code.splitlines(), 1):
        if re.search(r"\bgoto\b(?!.*\basm\b)", line) and "asm goto" not in line:
            yield f"{number}: goto"
        if re.match(r"\s*#\s*define\b", line) and path.parts[0] not in ("base", "tools", "tests"):
            if str(path) not in macro_files:
                yield f"{number}: a macro outside base/"
        if not _may_name_architecture(path):
            if _architecture.search(line):
                yield f"{number}: names an architecture outside kernel/arch and boot"
            if _inline_assembly.search(line):
                yield f"{number}: assembly outside kernel/arch and boot"
        if _conditional.search(line):
            yield f"{number}: ANNULUS_ names are always defined: use #if or if constexpr"


def problems(path, text):
    lines = text.splitlines()
    found = _header(path, lines) + list(_every_line(path, lines))
    if len(lines) > lines_limit:
        found.append(f"{lines_limit + 1}: {len(lines)} lines, the limit is {lines_limit}")
    if path.suffix in (".h", ".cpp") and path.parts[0] != "tools":
        found += _cpp(path, text)
    return [f"{path}:{problem}" for problem in found]


def is_checked(path, first_line):
    if ".golden." in path.name:
        return False
    return (path.suffix in (".h", ".cpp", ".S", ".ld", ".py", ".cmake", ".pml") or
            path.name in ("CMakeLists.txt", "Makefile") or first_line.startswith("#!"))


def run(report):
    with report.suite("style") as suite:
        lines = 0
        for path in project.files():
            try:
                text = project.text(path)
            except UnicodeDecodeError:
                continue  # Data, such as a fuzzing corpus.
            if is_checked(path, text.partition("\n")[0]):
                lines += text.count("\n")
                suite.check(str(path), "\n".join(problems(path, text)))
        suite.counters["lines"] = lines
