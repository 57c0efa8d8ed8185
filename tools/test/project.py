# SPDX-License-Identifier: MIT
"""Where things are, and which source files the project has."""

import functools
import pathlib
import subprocess

root = pathlib.Path(__file__).resolve().parents[2]
build = root / "build"
target = build / "target"
host = build / "host"
results = build / "test"

code_folders = ("abi", "base", "boot", "kernel", "channel", "runtime", "drivers", "services",
                "proxies", "programs", "tests", "bench")


@functools.cache
def files():
    """Every file of the project as a path from the root: tracked, or new and not ignored."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"], cwd=root, check=True, capture_output=True)
    names = sorted(set(listing.stdout.decode().split("\0")) - {""})
    return [pathlib.PurePosixPath(name) for name in names if (root / name).is_file()]


def sources(*suffixes):
    """Files with one of the suffixes; x.golden.h is an expected output, not a source."""
    return [path for path in files() if path.suffix in suffixes and ".golden." not in path.name]


@functools.cache
def text(path):
    return (root / path).read_text(encoding="utf-8")
