# SPDX-License-Identifier: MIT
"""Includes: dependencies between folders go one way; freestanding code uses no hosted headers."""

import functools
import re

import project

# A folder may include from itself and from these; kernel/arch may also include from boot.
allowed = {
    "abi": set(),
    "base": {"abi"},
    "boot": {"abi", "base", "kernel", "arch"},
    "kernel": {"abi", "base", "arch"},
    "channel": {"abi", "base"},
    "runtime": {"abi", "base", "channel"},
    "drivers": {"abi", "base", "channel", "runtime"},
    "services": {"abi", "base", "channel", "runtime"},
    "proxies": {"abi", "base", "channel", "runtime"},
    "programs": {"abi", "base", "channel", "runtime"},
}
# In these folders a program is a folder of its own, and no program includes from another.
# The value is how deep below the root a program's folder lies.
program_depth = {"drivers": 3, "services": 2, "proxies": 2, "programs": 2}

# Standard headers for code without an operating system below it.
freestanding = set("""
    algorithm array atomic bit bitset charconv compare concepts coroutine cstddef cstdint cstring
    expected functional initializer_list iterator limits memory new numeric optional ranges
    source_location span string_view tuple type_traits utility variant version
    limits.h stdarg.h stddef.h stdint.h string.h
""".split())

# Libraries that are built with the system: their headers, and where they may be included.
libraries = {
    "lwip": ("services/net/", "tests/"),
    "netif": ("services/net/", "tests/"),
}

_include = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


@functools.cache
def includes(path):
    """The file's includes as (quoted path or None, standard header or None)."""
    return _include.findall(project.text(path))


def resolve(quoted):
    """The project's file that a quoted include means, or None."""
    candidates = [quoted]
    if quoted.startswith("arch/"):
        candidates += [f"kernel/arch/x86_64/include/{quoted}", f"tests/host/include/{quoted}"]
    known = _known()
    return next((known[name] for name in candidates if name in known), None)


@functools.cache
def _known():
    return {str(path): path for path in project.files()}


def _problems_of_quoted(path, quoted):
    folder = path.parts[0]
    if quoted.startswith("."):
        return f"{path}: includes \"{quoted}\": write the path from the root"
    if quoted == "generated/objects.h":  # the build makes it from abi/, over the runtime
        above = folder not in allowed or "runtime" in allowed[folder] | {folder}
        return None if above else f"{path}: {folder} must not include \"{quoted}\""
    if quoted == "generated/offsets.h.S":  # of kernel/arch/*/offsets.cpp
        return None if path.parts[:2] == ("kernel", "arch") else f"{path}: is not the kernel's"
    if resolve(quoted) is None:
        return f"{path}: includes \"{quoted}\", which is not there"
    if folder not in allowed:
        return None
    to = quoted.split("/")[0]
    reachable = allowed[folder] | ({"boot"} if path.parts[:2] == ("kernel", "arch") else set())
    if to != folder and to not in reachable:
        return f"{path}: {folder} must not include from {to} (\"{quoted}\")"
    if quoted.startswith("kernel/arch/") and path.parts[:2] != ("kernel", "arch"):
        return f"{path}: includes \"{quoted}\": portable code includes \"arch/...\""
    depth = program_depth.get(folder)
    if depth and to == folder and quoted.split("/")[:depth] != list(path.parts[:depth]):
        return f"{path}: a program must not include another's \"{quoted}\""
    return None


def problems(path):
    found = []
    for quoted, standard in includes(path):
        if quoted:
            found.append(_problems_of_quoted(path, quoted))
        elif path.parts[0] in allowed and standard not in freestanding and not _in_place(
                path, standard.split("/")[0]):
            found.append(f"{path}: includes <{standard}>, which is not for freestanding code")
    return [problem for problem in found if problem]


def _in_place(path, library):
    return any(str(path).startswith(folder) for folder in libraries.get(library, ()))


def closure(path):
    """The file and every project file that it includes, directly or not."""
    seen = {path}
    waiting = [path]
    while waiting:
        for quoted, _ in includes(waiting.pop()):
            reached = resolve(quoted) if quoted else None
            if reached and reached not in seen:
                seen.add(reached)
                waiting.append(reached)
    return seen


def run(report):
    with report.suite("layering") as suite:
        for path in project.sources(".h", ".cpp", ".S"):
            if path.parts[0] in project.code_folders:
                suite.check(str(path), "\n".join(problems(path)))
