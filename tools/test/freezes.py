# SPDX-License-Identifier: MIT
"""Shared memory is read once per word: looks at every place where base/untrusted.h was inlined.

The line table says which instructions the accessors of base/untrusted.h became. In each function
that has such instructions this follows where addresses come from, and demands:

  - an accessor's load is a plain move into a register, or an exchange;
  - one freeze in the source, as inlined at one place, loads no word twice;
  - no other instruction reads through an address from which an accessor loads.

`tests/tools/freeze_sites.cpp` holds functions that must be accepted and functions that must be
refused; the check fails if it cannot tell them apart, and if the programs hold no place at all.
"""

import json
import re
import shlex

import jobs
import machine_code
import project
import tidy

_header = "base/untrusted.h"
_fixture = "tests/tools/freeze_sites.cpp"
_plain = re.compile(r"(mov[lqwb]|movz[bw][lqw]|xchg[lq])\b")


def accessors():
    """(line, column) of each load in base/untrusted.h."""
    return {(number, match.start() + 1)
            for number, line in enumerate(project.text(_header).splitlines(), 1)
            for match in re.finditer(r"\b__atomic_(load|exchange)_n\(", line)}


def places(path, functions, wanted):
    """{address: chain of source places through which it was inlined} of the accessors' loads."""
    lines = {line for line, _ in wanted}
    addresses = [one.address for function in functions for one in function.instructions
                 if one.line in lines and one.file.endswith(_header)]
    if not addresses:
        return {}
    result = jobs.run(["llvm-symbolizer-19", f"--obj={path}", "--output-style=JSON",
                       *(hex(address) for address in addresses)], timeout=120)
    if not result.ok:
        return {}
    found = {}
    for entry in json.loads(result.output):
        frames = [(frame["FunctionName"], frame["Line"], frame["Column"])
                  for frame in entry["Symbol"]]
        # Beside the load itself, the line may stand for the load of its address from a private
        # object: that is another column.
        if frames[0][1:] in wanted:
            found[int(entry["Address"], 16)] = tuple(frames)
    return found


def problems(function, loads, shared=()):
    """What is wrong in one function; `shared` are roots known to be shared memory."""
    found = []
    reads = machine_code.reads(function)
    frozen = [read for read in reads if read.instruction.address in loads]
    roots = {read.roots for read in frozen} | set(shared)
    seen = set()
    for read in frozen:
        if not _plain.match(read.instruction.text):
            found.append(f"no plain load: {read.instruction}")
        key = (loads[read.instruction.address], read.address)
        if key in seen:
            found.append(f"loads a word again: {read.instruction}")
        seen.add(key)
    for read in reads:
        if read.roots in roots and read.instruction.address not in loads:
            found.append(f"reads shared memory beside a freeze: {read.instruction}")
    return [f"{function.name}: {one}" for one in found]


def _examine(path, wanted):
    """(problems, number of loads) of one program."""
    functions = machine_code.disassemble(path)
    loads = places(path, functions, wanted)
    return [problem for function in functions
            if any(one.address in loads for one in function.instructions)
            for problem in problems(function, loads)], len(loads)


def _compile_fixture():
    """Compiles the fixture with the flags of a program; (path, reason why not)."""
    database = json.loads((project.target / "compile_commands.json").read_text())
    command = next(entry["command"] for entry in database
                   if entry["file"].endswith("/runtime/stream.cpp"))
    words = shlex.split(command)
    flags = tidy.without_precompiled(words[1:words.index("-o")])
    folder = project.results / "freezes"
    folder.mkdir(parents=True, exist_ok=True)
    unit, program = folder / "sites.o", folder / "sites"
    result = jobs.run([words[0], *flags, "-c", str(project.root / _fixture), "-o", str(unit)],
                      cwd=project.target, timeout=120)
    if result.ok:  # Linked, so that every instruction has an address of its own.
        result = jobs.run(["ld.lld-19", "-pie", "--no-dynamic-linker", "-e", "0",
                           "--unresolved-symbols=ignore-all", "-o", str(program), str(unit)])
    return program, None if result.ok else result.explain()


def _check_fixture(suite, wanted):
    program, reason = _compile_fixture()
    if reason:
        suite.fails(_fixture, reason)
        return
    functions = {one.name: one for one in machine_code.disassemble(program)}
    loads = places(program, functions.values(), wanted)
    for name in re.findall(r"\b((?:good|bad)_\w+)\(", project.text(_fixture)):
        if name not in functions:
            suite.fails(name, "was not compiled")
            continue
        found = problems(functions[name], loads, shared=[machine_code.first_argument])
        if name.startswith("good_"):
            suite.check(name, "\n".join(found))
        else:
            suite.check(name, None if found else "was not refused")


def run(report):
    with report.suite("freezes") as suite:
        wanted = accessors()
        if len(wanted) < 4:
            suite.fails(_header, "the accessors are not found any more")
            return
        _check_fixture(suite, wanted)
        total = 0
        for path in sorted((project.target / "programs").glob("*")):
            if b"untrusted.h" in path.read_bytes():
                found, count = _examine(path, wanted)
                total += count
                if count:
                    suite.check(path.name, "\n".join(found))
        suite.counters["loads"] = total
        if total == 0:
            suite.fails("programs", "none reads untrusted memory")
