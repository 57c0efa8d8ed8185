# SPDX-License-Identifier: MIT
"""Checks of what was built: no vector or x87 registers, no segment both writable and executable."""

import re

import jobs
import project

_register = re.compile(r"%(?:[xyz]mm\d|mm\d|st\b|st\()")
_segment = re.compile(r"^\s+(\w+)\s+0x\w+\s+0x\w+\s+0x\w+\s+0x\w+\s+0x\w+\s+([RWE ]{3})\s", re.M)


def _vector_registers(path):
    """The first instructions that name a vector or x87 register, or None."""
    result = jobs.run(["llvm-objdump-19", "-d", "--no-show-raw-insn", str(path)], timeout=120)
    if not result.ok:
        return result.explain()
    function = None
    found = []
    for line in result.output.splitlines():
        if line.endswith(">:"):
            function = line.split("<", 1)[1][:-2]
        elif _register.search(line):
            found.append(f"{function}: {line.strip()}")
    return "\n".join(found[:10]) or None


def _segments(path):
    """What is wrong with the program headers, or None."""
    result = jobs.run(["llvm-readelf-19", "-lW", str(path)])
    if not result.ok:
        return result.explain()
    headers = _segment.findall(result.output)
    if not any(kind == "LOAD" for kind, _ in headers):
        return "no segment to load"
    for kind, flags in headers:
        if kind == "INTERP":
            return "asks for an interpreter"
        if "W" in flags and "E" in flags:
            return f"a {kind} segment is writable and executable"
    return None


def run(report):
    with report.suite("objects") as suite:
        kernels = [project.target / "kernel" / f"kernel-{variant}.elf"
                   for variant in ("release", "debug", "counting")]
        programs = sorted((project.target / "programs").glob("*"))
        for path in kernels + programs:
            if not path.exists():
                suite.fails(path.name, "was not built")
                continue
            # test_thread tests what preemption does to vector registers, in assembly of its own.
            if path.name != "test_thread":
                suite.check(f"{path.name} uses no vector registers", _vector_registers(path))
            suite.check(f"{path.name} has no writable code", _segments(path))
