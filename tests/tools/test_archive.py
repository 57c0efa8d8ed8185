# SPDX-License-Identifier: MIT
"""The boot archive is plain ustar, complete, and the same bytes for the same input."""

import os
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

import support


def pack(folder, *programs):
    image = folder / "x.img"
    subprocess.run([support.root / "tools" / "archive.py", image, folder / "system", *programs],
                   check=True)
    return image.read_bytes()


class Archive(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)
        (self.folder / "system" / "files" / "etc").mkdir(parents=True)
        (self.folder / "system" / "manifest").write_text("program init\n")
        (self.folder / "system" / "files" / "etc" / "name").write_text("annulus\n")
        self.programs = [self.folder / name for name in ("init", "console")]
        for path in self.programs:
            path.write_bytes(path.name.encode() * 1000)

    def test_entries(self):
        pack(self.folder, *self.programs)
        with tarfile.open(self.folder / "x.img", "r:") as archive:
            names = archive.getnames()
            self.assertEqual(names, ["manifest", "programs/console", "programs/init",
                                     "files/etc/name"])
            self.assertEqual(archive.extractfile("programs/init").read(), b"init" * 1000)

    def test_deterministic(self):
        first = pack(self.folder, *self.programs)
        os.utime(self.programs[0], (1, 1))
        os.chmod(self.programs[1], 0o700)
        self.assertEqual(first, pack(self.folder, *reversed(self.programs)))

    def test_programs_that_were_not_built_are_left_out_with_what_needs_them(self):
        texts = {name: f"# {name}\nprogram {name} {{\n    {line}\n}}\n" for name, line in (
            ("driver", "provide network"), ("net", "give x network\n    provide net"),
            ("web", 'give port net "tcp/listen/80"'), ("other", "give y archive"))}
        (self.folder / "system" / "manifest").write_text("".join(texts.values()))
        command = [support.root / "tools" / "archive.py", "--without", "net",
                   self.folder / "x.img", self.folder / "system"]
        subprocess.run(command, check=True)
        with tarfile.open(self.folder / "x.img", "r:") as archive:
            manifest = archive.extractfile("manifest").read().decode()
        self.assertEqual(manifest, f"{texts['driver']}# net\n# web\n{texts['other']}")

    def test_the_format_is_the_one_that_the_system_reads(self):
        self.assertEqual(pack(self.folder)[257:265], b"ustar\00000")


unittest.main()
