# SPDX-License-Identifier: MIT
"""Where guest instructions go: blocks that the plug-in counted, named by program and function.

A profile is {(process, "program" or "kernel", function): instructions}. Stacks are not known, so a
function's figure is its own, without what it calls.
"""

import bisect
import collections
import re
import struct
import time

import linux
import machines
import project

folder = project.root / "build" / "bench" / "profile"
_entry = struct.Struct("<4Q")
_connections = 8
_seconds = 6


def plugin():
    """The plug-in, built when its source is newer."""
    folder.mkdir(parents=True, exist_ok=True)
    source = project.root / "bench" / "emulator" / "profile.cpp"
    built = folder / "profile.so"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        linux.output("clang++-19", "-std=c++23", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC",
                     "-shared", str(source), "-o", str(built))
    return built


def read_counts(path):
    """(region, address) -> instructions, so far."""
    data = path.read_bytes()
    if struct.unpack_from("<Q", data)[0]:
        raise machines.Failure("the profile's table is full")
    found = collections.Counter()
    for region, address, instructions, executed in _entry.iter_unpack(data[_entry.size:]):
        if executed:
            found[region, address] += instructions * executed
    return found


class Symbols:
    """Functions of a program, by address."""

    def __init__(self, functions):
        """`functions`: (address, name)."""
        ordered = sorted(functions)
        self.addresses = [address for address, _ in ordered]
        self._names = [name for _, name in ordered]

    @property
    def end(self):
        return self.addresses[-1] + 65536

    def name(self, address):
        at = bisect.bisect_right(self.addresses, address) - 1
        return self._names[at] if at >= 0 else "?"


def _listed(text):
    for line in text.splitlines():
        parts = line.split(None, 2)
        if len(parts) == 3 and parts[1] in "tTwW":
            yield int(parts[0], 16), parts[2].replace("\t", " ")


def of_program(path):
    return Symbols(_listed(linux.output("llvm-nm-19", "-C", "--defined-only", str(path))))


def of_linux(server):
    """The functions that the running Linux lists; its package has no list."""
    server.ask("symbols\n", "SYMBOLS END")
    return Symbols(_listed(server.fetch("symbols").decode()))


def find_base(symbols, addresses):
    """(hits, base): where a program lies, if addresses of blocks are of it; most blocks begin in
    the middle of a function, but each function that ran has one at its beginning."""
    votes = collections.Counter()
    by_offset = collections.defaultdict(list)
    for address in symbols.addresses:
        by_offset[address & 0xfff].append(address)
    for address in addresses:
        votes.update({address - one for one in by_offset[address & 0xfff]})
    if not votes:
        return 0, 0
    base, hits = max(votes.items(), key=lambda item: item[1])
    return hits, base


def clusters(addresses, gap=1 << 24):
    """Addresses of programs in groups that lie far from each other."""
    found = []
    for address in sorted(addresses):
        if not found or address - found[-1][-1] > gap:
            found.append([])
        found[-1].append(address)
    return found


def place(programs, addresses):
    """[(first, last address, program's name, base)] for groups of addresses that ran.

    The program that explains most of a group's blocks is taken; nothing for groups of a few blocks.
    """
    found = []
    for group in clusters(addresses):
        hits, base, name = max((*find_base(symbols, group), name)
                               for name, symbols in programs.items())
        if hits >= 3:
            found.append((group[0], group[-1], name, base))
    return found


def attribute(counts, kernel, programs):
    """The profile; `programs`: name -> Symbols, or a name for every program's code."""
    users = {address for _, address in counts if address >> 63 == 0}
    placed = [] if isinstance(programs, str) else place(programs, users)

    def owner(low, high):
        for first, last, name, base in placed:
            if low <= last and first <= high:
                return name, base
        return (programs if isinstance(programs, str) else "others"), None

    profile = collections.Counter()
    for (region, address), instructions in counts.items():
        if address >> 63:
            name, _ = owner(region << 21, (region << 21) + (1 << 21) - 1)
            profile[name, "kernel", kernel.name(address)] += instructions
        else:
            name, base = owner(address, address)
            function = "?" if base is None else programs[name].name(address - base)
            profile[name, "program", function] += instructions
    return profile


def short(function):
    """A demangled name without its arguments and our own namespace."""
    cut = re.sub(r"\(anonymous namespace\)::|annulus::", "", function)
    depth, end = 0, len(cut)
    for at, letter in enumerate(cut):
        if letter == "(" and depth == 0 and at > 0:
            end = at
            break
        depth += {"<": 1, ">": -1}.get(letter, 0)
    return cut[:end]


def _symbols(system, server):
    """(of the kernel, of the programs)."""
    if system.name == "linux":
        return of_linux(server), "nginx"
    names = ("archive", "firewall", "http", "init", "net", "pci", "serial", "shell", "virtio",
             "memory_files")
    programs = project.target / "programs"
    return (of_program(system.kernel),
            {name: of_program(programs / name) for name in names})


def measure(system, sizes):
    """size -> profile, in instructions for each request."""
    table = folder / f"{system.name}.counts"
    server = system.start(f"{plugin()},out={table}")
    found = {}
    try:
        server.wait_answer()
        time.sleep(1)
        named = _symbols(system, server)
        for size in sizes:
            server.load(f"size-{size}", _connections, True)
            before = read_counts(table)
            requests, _, _ = server.load(f"size-{size}", _connections, True, _seconds)
            counts = read_counts(table)
            counts.subtract(before)
            profile = attribute(+counts, *named)
            found[size] = {key: count / requests for key, count in profile.items()}
    finally:
        server.stop()
    return found


def measure_instructions(systems, sizes):
    """Instructions for each request, kept alive: [{"size", name of the system: instructions}]."""
    profiles = {system.name: measure(system, sizes) for system in systems}
    return [{"size": size, **{name: round(sum(found[size].values()))
                              for name, found in profiles.items()}} for size in sizes]
