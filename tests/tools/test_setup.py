# SPDX-License-Identifier: MIT
"""What tools/setup, tools/fetch and tools/build do on machines that lack something.

Each case has a tree of its own with copies of the tools, and a PATH that holds a few real programs
and stand-ins for apt and its kin. The stand-ins note how they were called.
"""

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import unittest

import support

real_programs = ("bash", "cat", "chown", "dirname", "env", "flock", "grep", "ln", "mkdir", "mv",
                 "nproc", "python3", "rm")
not_root = 65534 if os.geteuid() == 0 else None
real_headers = "usr/lib/llvm-19/include/c++/v1/__config"
headers = "usr/lib/llvm-absent/include/c++/v1/__config"  # which this machine does not have


class Machine:
    """A tree with the tools, and the programs of a made-up machine."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder) / "annulus"
        self.bin = pathlib.Path(folder) / "bin"
        self.calls = pathlib.Path(folder) / "calls"
        (self.root / "tools").mkdir(parents=True)
        self.bin.mkdir()
        self.calls.touch()
        for name in ("setup", "fetch", "build", "sources.json"):
            shutil.copy(support.root / "tools" / name, self.root / "tools" / name)
        for name in real_programs:
            (self.bin / name).symlink_to(shutil.which(name))
        # Whoever runs the tools here may write here.
        for path in (pathlib.Path(folder), *pathlib.Path(folder).rglob("*")):
            if not path.is_symlink():
                path.chmod(0o777)

    def program(self, name, script="exit 0"):
        """A stand-in, after noting how it was called."""
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.calls}"\n{script}\n',
                        encoding="utf-8")
        path.chmod(0o755)

    def run(self, tool, *arguments, user=None):
        return subprocess.run(["bash" if tool != "fetch" else "python3",
                               str(self.root / "tools" / tool), *arguments],
                              env={"PATH": str(self.bin), "HOME": str(self.root)}, user=user,
                              cwd=self.root, capture_output=True, text=True, timeout=120)

    def called(self):
        return self.calls.read_text(encoding="utf-8").splitlines()


class OnMachine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="annulus-setup-")
        self.addCleanup(folder.cleanup)
        self.machine = Machine(folder.name)

    def installed(self, *names):
        listing = "\n".join(f"echo 'installed {name}'" for name in names)
        self.machine.program("dpkg-query", listing + "\nexit 1")  # as with one unknown name


class Setup(OnMachine):
    def test_an_unknown_group_is_refused(self):
        done = self.machine.run("setup", "everything")
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown group 'everything'", done.stderr)

    def test_without_apt_it_names_what_is_needed(self):
        done = self.machine.run("setup", "run")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no apt", done.stderr)
        self.assertIn("qemu-system-x86", done.stderr)

    def test_nothing_missing_calls_nothing(self):
        self.machine.program("apt-get")
        self.installed("qemu-system-x86", "python3")
        done = self.machine.run("setup", "run")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([call for call in self.machine.called() if call.startswith("apt")], [])

    def test_only_what_is_missing_is_installed(self):
        self.machine.program("apt-get")
        self.machine.program("sudo", 'exec "$@"')
        self.installed("python3")
        done = self.machine.run("setup", "run")
        self.assertEqual(done.returncode, 0, done.stderr)
        install = [call for call in self.machine.called() if call.startswith("apt-get") and
                   " install " in call]
        self.assertEqual(len(install), 1)
        self.assertEqual(install[0].split(" install ")[1], "qemu-system-x86")
        self.assertIn("--no-remove", install[0])

    def test_a_failed_update_or_installation_says_what_is_missing(self):
        self.machine.program("sudo", 'exec "$@"')
        self.installed("python3")
        for step in ("update", "install"):
            self.machine.program("apt-get", f'[[ " $* " != *" {step} "* ]]')
            done = self.machine.run("setup", "run")
            self.assertEqual(done.returncode, 1, step)
            self.assertIn("could not get: qemu-system-x86", done.stderr)

    def test_a_user_without_sudo_is_told_what_root_has_to_do(self):
        self.machine.program("apt-get")
        self.installed("python3")
        done = self.machine.run("setup", "run", user=not_root)
        self.assertEqual(done.returncode, 1)
        self.assertIn("missing: qemu-system-x86", done.stderr)
        self.assertIn("as root run tools/setup", done.stderr)
        self.assertEqual([call for call in self.machine.called() if call.startswith("apt")], [])

    def test_a_user_with_sudo_uses_it(self):
        self.machine.program("apt-get")
        self.machine.program("sudo", 'exec "$@"')
        self.installed("python3")
        done = self.machine.run("setup", "run", user=not_root)
        self.assertEqual(done.returncode, 0, done.stderr)
        sudo = [call for call in self.machine.called() if call.startswith("sudo")]
        self.assertEqual(len(sudo), 2)

    def test_headers_come_whole_or_not_at_all(self):
        tool = self.machine.root / "tools" / "setup"
        text = tool.read_text(encoding="utf-8")
        self.assertIn(real_headers, text)
        tool.write_text(text.replace(real_headers, headers), encoding="utf-8")
        self.installed("clang-19", "lld-19", "llvm-19", "libclang-rt-19-dev", "cmake",
                       "ninja-build", "make", "python3")
        self.machine.program("apt-get", '[[ " $* " != *" download "* ]] || : >libc++-19-dev_1.deb')
        self.machine.program("sudo", 'exec "$@"')
        unpack = f'mkdir -p "$3/{pathlib.Path(headers).parent}"; : >"$3/{headers}"'
        place = self.machine.root / "build" / "toolchain"
        self.machine.program("dpkg-deb", unpack + "; exit 1")  # in the middle of it
        done = self.machine.run("setup", "build")
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not get: libc++-19-dev (headers only)", " ".join(done.stderr.split()))
        self.assertFalse((place / headers).exists())
        self.machine.program("dpkg-deb", unpack)
        done = self.machine.run("setup", "build")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((place / headers).exists())
        self.assertEqual(list(place.glob("download*")), [])
        calls = len(self.machine.called())
        self.assertEqual(self.machine.run("setup", "build").returncode, 0)
        self.assertEqual(len(self.machine.called()), calls + 1)  # dpkg-query


class Fetch(OnMachine):
    def setUp(self):
        super().setUp()
        self.archive = self.machine.root / "upstream.tar.xz"
        self.write_archive({"lib-1/src/core.c": "int x;\n", "lib-1/README": "no\n"})
        self.describe(hashlib.sha256(self.archive.read_bytes()).hexdigest())
        self.apt()

    def write_archive(self, files, links=()):
        with tarfile.open(self.archive, "w:xz") as tar:
            for name, text in files.items():
                about = tarfile.TarInfo(name)
                about.size = len(text)
                tar.addfile(about, io.BytesIO(text.encode()))
            for name, target in links:
                about = tarfile.TarInfo(name)
                about.type, about.linkname = tarfile.SYMTYPE, target
                tar.addfile(about)

    def describe(self, digest):
        self.machine.root.joinpath("tools/sources.json").write_text(json.dumps({"lib": {
            "version": "1", "sha256": digest, "folder": "lib-1", "keep": ["src/"],
            "needed_by": "the part that needs lib"}}), encoding="utf-8")

    def apt(self, mirror=True, fails=None, offers="lib_1.orig.tar.xz"):
        """apt-get: with a mirror or none, failing at one step, offering an archive by that name."""
        listed = "Debian||http://mirror.invalid/debian/|stable|main" if mirror else ""
        self.machine.program("apt-get", f'''
            case " $* " in
                *" indextargets "*) echo "{listed}" | grep . || true ;;
                *" {fails} "*) echo "E: the mirror is away"; exit 100 ;;
                *" source "*) cat "{self.archive}" >"{offers}" ;;
            esac''')

    def fetched(self):
        return sorted(str(path.relative_to(self.machine.root / "build/sources"))
                      for path in (self.machine.root / "build/sources").rglob("*")
                      if path.is_file() and path.name != ".lock")

    def refused(self, *saying):
        done = self.machine.run("fetch")
        self.assertEqual(done.returncode, 1)
        for words in ("lib is MISSING", "not built: the part that needs lib", *saying):
            self.assertIn(words, done.stderr)
        self.assertEqual(self.fetched(), [])

    def test_what_is_wanted_is_unpacked_once(self):
        done = self.machine.run("fetch")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.fetched(), ["lib/fetched.json", "lib/src/core.c"])
        calls = len(self.machine.called())
        self.assertGreater(calls, 0)
        done = self.machine.run("fetch")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(self.machine.called()), calls)

    def test_another_version_is_fetched_again(self):
        self.assertEqual(self.machine.run("fetch").returncode, 0)
        self.write_archive({"lib-1/src/new.c": "int y;\n"})
        self.describe(hashlib.sha256(self.archive.read_bytes()).hexdigest())
        self.assertEqual(self.machine.run("fetch").returncode, 0)
        self.assertEqual(self.fetched(), ["lib/fetched.json", "lib/src/new.c"])

    def test_without_a_mirror_it_says_so(self):
        self.apt(mirror=False)
        self.refused("apt knows no Debian archive")

    def test_a_failing_mirror_is_named(self):
        for step in ("update", "source"):
            self.apt(fails=step)
            self.refused(f"apt-get {step} failed", "the mirror is away")

    def test_another_version_than_wanted_is_refused(self):
        self.apt(offers="lib_2.orig.tar.xz")
        self.refused("the archive offers lib_2.orig.tar.xz, not lib_1.orig.tar.xz")

    def test_other_contents_than_stated_are_refused(self):
        self.describe("0" * 64)
        self.refused("SHA-256", "0" * 64)

    def test_an_archive_that_is_none_is_refused(self):
        self.archive.write_bytes(b"not an archive")
        self.describe(hashlib.sha256(b"not an archive").hexdigest())
        self.refused()

    def test_nothing_outside_is_written(self):
        self.write_archive({"lib-1/src/../../../escaped": "x", "lib-1/src/good.c": "x"},
                           links=[("lib-1/src/link", "/etc")])
        self.describe(hashlib.sha256(self.archive.read_bytes()).hexdigest())
        self.assertEqual(self.machine.run("fetch").returncode, 0)
        self.assertEqual(self.fetched(), ["lib/fetched.json", "lib/src/good.c"])
        self.assertEqual(list(self.machine.root.rglob("escaped")), [])
        self.assertFalse((self.machine.root / "build/sources/lib/src/link").is_symlink())

    def test_an_unknown_name_is_refused(self):
        done = self.machine.run("fetch", "other")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Usage:", done.stderr)

    def test_a_failed_fetch_does_not_stop_the_build(self):
        self.apt(fails="update")
        self.machine.program("cmake", "mkdir -p build/target; : >build/target/build.ninja")
        self.machine.program("ninja", "echo built")
        done = self.machine.run("build", "target", "kernel-release")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("built", done.stdout)
        self.assertIn("lib is MISSING", done.stderr)
        self.assertTrue(any(call.startswith("ninja") and "kernel-release" in call
                            for call in self.machine.called()))

    def test_a_failed_configuration_or_build_fails(self):
        self.machine.program("cmake", "echo 'no such preset'; exit 1")
        self.machine.program("ninja", "exit 1")
        done = self.machine.run("build", "target")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such preset", done.stderr)
        self.machine.program("cmake", ": >build/target/build.ninja")
        self.assertNotEqual(self.machine.run("build", "target").returncode, 0)


if __name__ == "__main__":
    unittest.main()
