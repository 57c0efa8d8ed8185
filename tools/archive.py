#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Packs a boot archive: the manifest, files and programs of one folder under system/.

The archive is POSIX ustar, the same bytes for the same input. Entries, in this order: `manifest`,
`programs/<name>` for each program, `files/<path>` for each file under the folder's files/.

Usage: archive.py IMAGE SCENARIO_FOLDER [PROGRAM]...
"""

import io
import os
import pathlib
import sys
import tarfile


def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o444
    archive.addfile(entry, io.BytesIO(content))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    image = pathlib.Path(sys.argv[1])
    scenario = pathlib.Path(sys.argv[2])
    programs = sorted(map(pathlib.Path, sys.argv[3:]), key=lambda path: path.name)
    files = sorted(path for path in (scenario / "files").rglob("*") if path.is_file())

    unfinished = image.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as archive:
        add(archive, "manifest", (scenario / "manifest").read_bytes())
        for program in programs:
            add(archive, f"programs/{program.name}", program.read_bytes())
        for path in files:
            add(archive, path.relative_to(scenario).as_posix(), path.read_bytes())
    os.replace(unfinished, image)


main()
