# SPDX-License-Identifier: MIT
"""Linux as a web server: Debian's kernel, Debian's nginx, nothing else.

The packages are unpacked below build/, not installed. The initial file system holds the server, the
libraries that it names, the modules of the network card, the files to serve and our first program.
"""

import re
import shutil

import linux
import machines

folder = linux.folder.parent / "nginx"
_packages = ("nginx", "libc6", "libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g")
_modules = ("virtio_pci", "virtio_net")

configuration = """user root;
daemon off;
worker_processes {workers};
error_log stderr crit;
pid /nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    server {{
        listen 80 backlog=1024;
        root /www;
    }}
}}
"""


def unpacked():
    """(folder of the unpacked packages, nginx's version); fetched once."""
    stamp = folder / "version"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for package in _packages:
            file = linux.download(package, folder)
            linux.output("dpkg-deb", "-x", str(file), str(folder / "unpacked"))
            if package == "nginx":
                version = linux.output("dpkg", "-f", str(file), "Version").strip()
            file.unlink()
        stamp.write_text(f"{version}\n")
    return folder / "unpacked", stamp.read_text().strip()


def _needed(program):
    dynamic = linux.output("readelf", "-dW", str(program))
    return re.findall(r"\(NEEDED\)\s+Shared library: \[(.*?)\]", dynamic)


def libraries(below, program):
    """The libraries that a program needs, through each other too: name -> file."""
    found, waiting = {}, _needed(program)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        files = sorted(below.rglob(name))
        if not files:
            raise machines.Failure(f"no package of {_packages} holds {name}")
        found[name] = files[0].resolve()
        waiting += _needed(found[name])
    return found


def needs(module):
    """The names that a kernel module says it depends on."""
    match = re.search(rb"\0depends=([^\0]*)\0", b"\0" + module)
    return [name.decode() for name in match[1].split(b",") if name] if match else []


def in_order(names, read):
    """The modules and all that they depend on, each behind what it needs."""
    order = []

    def add(name):
        if name not in order:
            for needed in needs(read(name)):
                add(needed)
            order.append(name)

    for name in names:
        add(name)
    return order


def _module_files():
    image, _ = linux.kernel()
    below = image.parent.parent / "lib" / "modules"
    files = {path.stem.replace("-", "_"): path for path in below.rglob("*.ko")}
    names = in_order(_modules, lambda name: files[name].read_bytes())
    listed = "".join(f"/modules/{name}.ko\n" for name in names)
    return [*((f"modules/{name}.ko", 0o100644, files[name].read_bytes()) for name in names),
            ("modules/list", 0o100644, listed.encode())]


def image(pages, workers):
    """The initial file system; `pages`: name -> bytes."""
    below, _ = unpacked()
    program = below / "usr" / "sbin" / "nginx"
    init = linux.build("linux_nginx", folder / "init")
    files = [(name, 0o40755, b"") for name in ("dev", "proc", "sys", "tmp", "var/log/nginx",
                                               "var/lib/nginx")]
    files += [("init", 0o100755, init.read_bytes()),
              ("usr/sbin/nginx", 0o100755, program.read_bytes()),
              ("etc/nginx.conf", 0o100644, configuration.format(workers=workers).encode()),
              ("etc/passwd", 0o100644, b"root:x:0:0:root:/:/\n"),
              ("etc/group", 0o100644, b"root:x:0:\n")]
    for name, library in sorted(libraries(below, program).items()):
        place = "lib64" if name.startswith("ld-") else "lib/x86_64-linux-gnu"
        files.append((f"{place}/{name}", 0o100755, library.read_bytes()))
    files += _module_files()
    files += [(f"www/{name}", 0o100644, content) for name, content in pages.items()]
    place = folder / f"initrd-{workers}.cpio"
    place.write_bytes(linux.pack(files))
    return place
