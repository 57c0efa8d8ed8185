# SPDX-License-Identifier: MIT
"""Where things are, and which source files the project has."""

import functools
import os
import pathlib

root = pathlib.Path(__file__).resolve().parents[2]
build = root / "build"
target = build / "target"
host = build / "host"
results = build / "test"

code_folders = ("abi", "base", "boot", "kernel", "channel", "runtime", "drivers", "services",
                "proxies", "programs", "tests", "bench")


@functools.cache
def files():
    """Every file of the project as a path from the root; without what is built or git's own."""
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in (".git", "__pycache__")]
        if pathlib.Path(folder) == root:
            below[:] = [name for name in below if name != "build"]
        relative = pathlib.PurePosixPath(pathlib.Path(folder).relative_to(root))
        found += [relative / name for name in names]
    return sorted(path for path in found if not (root / path).is_symlink())


def sources(*suffixes):
    """Files with one of the suffixes; x.golden.h is an expected output, not a source."""
    return [path for path in files() if path.suffix in suffixes and ".golden." not in path.name]


@functools.cache
def text(path):
    return (root / path).read_text(encoding="utf-8")
