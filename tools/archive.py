#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Packs a boot archive: the manifest, files and programs of one folder under system/.

The archive is POSIX ustar, the same bytes for the same input. Entries, in this order: `manifest`,
`programs/<name>` for each program, `files/<path>` for each file under the folder's files/.

Usage: archive.py [--without NAME]... IMAGE SCENARIO_FOLDER [PROGRAM]...

--without leaves out of the manifest a program that could not be built, and those that are handed
something by it.
"""

import io
import os
import pathlib
import re
import sys
import tarfile


def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o444
    archive.addfile(entry, io.BytesIO(content))


def without(manifest, names):
    """The manifest's text without these programs and all that depend on them."""
    names = set(names)
    block = re.compile(r"^program (\S+) \{\n(.*?)^\}\n", re.M | re.S)
    while True:
        provided = set()
        for name, body in block.findall(manifest):
            if name in names:
                provided |= set(re.findall(r"^ *provide +(\S+)", body, re.M))
        needing = {name for name, body in block.findall(manifest)
                   if provided & set(re.findall(r"^ *give +\S+ +(\S+)", body, re.M))}
        if needing <= names:
            return block.sub(lambda match: "" if match[1] in names else match[0], manifest)
        names |= needing


def main():
    arguments = sys.argv[1:]
    left_out = []
    while arguments[:1] == ["--without"] and len(arguments) > 1:
        left_out.append(arguments[1])
        arguments = arguments[2:]
    if len(arguments) < 2:
        sys.exit(__doc__)
    image = pathlib.Path(arguments[0])
    scenario = pathlib.Path(arguments[1])
    programs = sorted(map(pathlib.Path, arguments[2:]), key=lambda path: path.name)
    files = sorted(path for path in (scenario / "files").rglob("*") if path.is_file())

    unfinished = image.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as archive:
        manifest = (scenario / "manifest").read_text()
        add(archive, "manifest", without(manifest, left_out).encode())
        for program in programs:
            add(archive, f"programs/{program.name}", program.read_bytes())
        for path in files:
            add(archive, path.relative_to(scenario).as_posix(), path.read_bytes())
    os.replace(unfinished, image)


main()
