# SPDX-License-Identifier: MIT
"""Debian's Linux kernel with our own program as its only one.

The kernel comes from the package that linux-image-cloud-amd64 names; it is unpacked below build/,
not installed. The program is bench/linux, linked statically, in an initial file system of one file.
"""

import pathlib
import re
import shutil
import subprocess

import machines
import project

folder = project.root / "build" / "bench" / "linux"
append = "console=ttyS0 quiet mitigations=off nokaslr panic=-1"
_package = "linux-image-cloud-amd64"


def output(*command, cwd=None):
    """What a program said; that it failed is a failure of the measurement."""
    result = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
    if result.returncode != 0:
        raise machines.Failure(f"{' '.join(map(str, command))} failed:\n{result.stdout[-2000:]}")
    return result.stdout


def download(package, to):
    """The file of a Debian package, fetched into a folder."""
    output("apt-get", "-q", "-o", "APT::Sandbox::User=", "download", package, cwd=to)
    found = sorted(to.glob(f"{package}_*.deb"))
    if not found:
        raise machines.Failure(f"apt-get download left no {package}_*.deb")
    return found[-1]


def kernel():
    """(the kernel's file, its package and version); fetched once."""
    stamp = folder / "package"
    images = sorted((folder / "unpacked" / "boot").glob("vmlinuz-*"))
    if stamp.exists() and images:
        return images[0], stamp.read_text().strip()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    meta = download(_package, folder)
    depends = output("dpkg", "-f", str(meta), "Depends")
    name = re.match(r"(linux-image-\S+)", depends)
    if name is None:
        raise machines.Failure(f"{_package} depends on no kernel: {depends!r}")
    package = download(name[1], folder)
    output("dpkg-deb", "-x", str(package), str(folder / "unpacked"))
    version = output("dpkg", "-f", str(package), "Version").strip()
    stamp.write_text(f"{name[1]} {version}\n")
    package.unlink()
    images = sorted((folder / "unpacked" / "boot").glob("vmlinuz-*"))
    if not images:
        raise machines.Failure(f"{name[1]} holds no kernel")
    return images[0], stamp.read_text().strip()


def _entry(number, name, mode, data):
    """One file of a cpio archive in the format newc (cpio(5))."""
    head = "070701" + "".join(f"{value:08X}" for value in (
        number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0))
    record = head.encode() + name.encode() + b"\0"
    record += b"\0" * (-len(record) % 4) + data
    return record + b"\0" * (-len(record) % 4)


def pack(files):
    """An initial file system of (path, mode, bytes); the folders they need are made."""
    made, records = set(), []

    def add(name, mode, data):
        records.append(_entry(len(records) + 1, name, mode, data))

    for name, mode, data in files:
        for parent in reversed(pathlib.PurePosixPath(name).parents[:-1]):
            if parent not in made:
                made.add(parent)
                add(str(parent), 0o40755, b"")
        made.add(pathlib.PurePosixPath(name))
        add(name, mode, data)
    return b"".join(records) + _entry(0, "TRAILER!!!", 0, b"")


def archive(program, end):
    return pack([("dev", 0o40755, b""), ("init", 0o100755, program), ("end", 0o100755, end)])


def build(sources, program, *flags):
    """Links a static program from a folder of bench/, when a source is newer than it."""
    folder_ = project.root / "bench" / sources
    newest = max(path.stat().st_mtime for path in folder_.iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        output("clang++-19", "-std=c++23", "-O2", "-Wall", "-Wextra", "-Werror", "-static", *flags,
               f"-I{project.root}", *map(str, sorted(folder_.glob("*.cpp"))), "-o", str(program))
    return program


def image():
    """The initial file system, built anew when the program changed."""
    program = build("linux", folder / "init")
    place = folder / "initrd.cpio"
    end = build("linux_end", folder / "end", "-nostdlib")
    place.write_bytes(archive(program.read_bytes(), end.read_bytes()))
    return place


def parse(lines):
    """(rows, curves): row -> [(way, figure)], curve -> way -> [(x, figure)]."""
    rows, curves = {}, {}
    for line in lines:
        kind, _, rest = line.removeprefix("LINUX ").partition(" ")
        fields = rest.split(" | ")
        if kind == "ROW":
            rows.setdefault(fields[0], []).append((fields[1], int(fields[2])))
        elif kind == "POINT":
            ways = curves.setdefault(fields[0], {})
            ways.setdefault(fields[1], []).append((int(fields[2]), int(fields[3])))
        elif kind == "FAIL":
            raise machines.Failure(f"the program on Linux: {rest}")
    if "LINUX END" not in lines:
        raise machines.Failure("the program on Linux did not come to its end:\n" +
                               "\n".join(lines[-10:]))
    return rows, curves


def measure(curves=True):
    """(rows, curves) in instructions, and the kernel's package."""
    image_file, package = kernel()
    wanted = append if curves else f"{append} bench=rows"
    lines = machines.boot_twice("Linux", image_file, image(), wanted, ("LINUX ",))
    return parse(lines), package


def measure_time():
    """Rows in cycles of the host: one boot."""
    image_file, _ = kernel()
    lines = machines.boot(image_file, image(), f"{append} bench=rows", icount=False)
    return parse([line for line in lines if line.startswith("LINUX ")])
