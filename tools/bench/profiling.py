# SPDX-License-Identifier: MIT
"""Where guest instructions go: blocks that the plug-in counted, named by program and function.

A profile is {(process, "program" or "kernel", function): instructions}, exactly counted; a
function's figure is its own, without what it calls. Who called it is sampled: {(process, function,
...): instructions}, the outermost first, those of the kernel behind "kernel".
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
_entries_max = 1 << 19
_depth_max = 61
_block_max = 4096  # bytes that the last block of a program may have
_sample = struct.Struct(f"<{3 + _depth_max}Q")
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
    if any(struct.unpack_from("<2Q", data)):
        raise machines.Failure("the profile's table is full")
    found = collections.Counter()
    end = (1 + _entries_max) * _entry.size
    for region, address, instructions, executed in _entry.iter_unpack(data[_entry.size:end]):
        if executed:
            found[region, address] += instructions * executed
    return found


def read_samples(path):
    """(region, addresses, the innermost first) -> how often it was seen, so far."""
    found = collections.Counter()
    data = path.read_bytes()[(1 + _entries_max) * _entry.size:]
    for count, region, depth, *frames in _sample.iter_unpack(data):
        if depth:
            found[region, tuple(frames[:depth])] += count
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


class Names:
    """Names of code; `programs`: name -> Symbols, or a name for every program's code, whose
    functions are not known then. `users`: addresses of programs that ran."""

    def __init__(self, kernel, programs, users):
        self._kernel = kernel
        self._programs = programs
        self._placed = [] if isinstance(programs, str) else place(programs, users)

    def _owner(self, low, high):
        for first, last, name, base in self._placed:
            if low <= last + _block_max and first <= high:
                return name, base
        return (self._programs if isinstance(self._programs, str) else "others"), None

    def process(self, region):
        """The process whose code lies in a region."""
        return self._owner(region << 21, (region << 21) + (1 << 21) - 1)[0]

    def code(self, address):
        """(process, function); no process for the kernel's."""
        if is_kernel(address):
            return None, self._kernel.name(address)
        name, base = self._owner(address, address)
        return name, "?" if base is None else self._programs[name].name(address - base)


def is_kernel(address):
    return address >> 63 != 0


def attribute(counts, kernel, programs):
    """(the profile, the names that it was made with)."""
    names = Names(kernel, programs, {address for _, address in counts if not is_kernel(address)})
    profile = collections.Counter()
    for (region, address), instructions in counts.items():
        process, function = names.code(address)
        if process is None:
            profile[names.process(region), "kernel", function] += instructions
        else:
            profile[process, "program", function] += instructions
    return profile, names


def attribute_samples(samples, names, total):
    """Paths of calls -> instructions, of which there are `total`."""
    paths = collections.Counter()
    seen = sum(samples.values())
    if not seen:
        raise machines.Failure("no call stack was sampled")
    for (region, frames), count in samples.items():
        path = [names.process(region)]
        for address in reversed(frames):
            process, function = names.code(address)
            if process is None and "kernel" not in path:
                path.append("kernel")
            if function != "?":
                path.append(short(function))
        paths[tuple(path)] += total * count / seen
    return paths


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
    """size -> (profile, paths of calls), in instructions for each request."""
    table = folder / f"{system.name}.counts"
    server = system.start(f"{plugin()},out={table}")
    found = {}
    try:
        server.wait_answer()
        time.sleep(1)
        named = _symbols(system, server)
        for size in sizes:
            server.load(f"size-{size}", _connections, True)
            before, samples_before = read_counts(table), read_samples(table)
            requests, _, _ = server.load(f"size-{size}", _connections, True, _seconds)
            counts, samples = read_counts(table), read_samples(table)
            counts.subtract(before)
            samples.subtract(samples_before)
            profile, names = attribute(+counts, *named)
            each = {key: count / requests for key, count in profile.items()}
            found[size] = each, attribute_samples(+samples, names, sum(each.values()))
    finally:
        server.stop()
    return found


def measure_instructions(systems, sizes):
    """Instructions for each request, kept alive: [{"size", name of the system: instructions}]."""
    profiles = {system.name: measure(system, sizes) for system in systems}
    return [{"size": size, **{name: round(sum(found[size][0].values()))
                              for name, found in profiles.items()}} for size in sizes]
