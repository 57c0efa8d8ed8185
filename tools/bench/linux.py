# SPDX-License-Identifier: MIT
"""Debian's Linux kernel with our own program as its only one.

The kernel comes from the package that linux-image-cloud-amd64 names; it is unpacked below build/,
not installed. The program is bench/linux, linked statically, in an initial file system of one file.
"""

import re
import shutil
import subprocess

import machines
import project

folder = project.root / "build" / "bench" / "linux"
append = "console=ttyS0 quiet mitigations=off nokaslr panic=-1"
_package = "linux-image-cloud-amd64"


def _output(*command, cwd=None):
    result = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
    if result.returncode != 0:
        raise machines.Failure(f"{' '.join(map(str, command))} failed:\n{result.stdout[-2000:]}")
    return result.stdout


def _download(package, to):
    _output("apt-get", "-q", "-o", "APT::Sandbox::User=", "download", package, cwd=to)
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
    meta = _download(_package, folder)
    depends = _output("dpkg", "-f", str(meta), "Depends")
    name = re.match(r"(linux-image-\S+)", depends)
    if name is None:
        raise machines.Failure(f"{_package} depends on no kernel: {depends!r}")
    package = _download(name[1], folder)
    _output("dpkg-deb", "-x", str(package), str(folder / "unpacked"))
    version = _output("dpkg", "-f", str(package), "Version").strip()
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


def archive(program):
    return (_entry(1, "dev", 0o40755, b"") + _entry(2, "init", 0o100755, program) +
            _entry(0, "TRAILER!!!", 0, b""))


def image():
    """The initial file system, built anew when the program changed."""
    program = folder / "init"
    sources = sorted((project.root / "bench" / "linux").glob("*.cpp"))
    newest = max(path.stat().st_mtime for path in (project.root / "bench" / "linux").iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        _output("clang++-19", "-std=c++23", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
                f"-I{project.root}", *map(str, sources), "-o", str(program))
    place = folder / "initrd.cpio"
    place.write_bytes(archive(program.read_bytes()))
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


def measure():
    """(rows, curves) in instructions, and the kernel's package."""
    image_file, package = kernel()
    lines = machines.boot_twice("Linux", image_file, image(), append, ("LINUX ",))
    return parse(lines), package


def measure_time():
    """The same in cycles of the host: one boot."""
    image_file, _ = kernel()
    lines = machines.boot(image_file, image(), append, icount=False)
    return parse([line for line in lines if line.startswith("LINUX ")])
