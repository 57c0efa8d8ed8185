# SPDX-License-Identifier: MIT
"""The whole path: files over HTTP to wrk on the host, from Annulus and from Linux with nginx.

Both are the same QEMU with the same card on the same user network, and serve the same files. What
counts is the processor time of the host that QEMU took from the load's beginning to its end, for
guest, card and network together: `by_cpu` requests for each second of it.
"""

import contextlib
import dataclasses
import io
import re
import shutil
import socket
import statistics
import subprocess
import tarfile
import threading
import time
import urllib.request

import emulator
import jobs
import linux
import machines
import nginx
import project

folder = project.root / "build" / "bench" / "http"
sizes = (0, 1024, 65536, 1048576)
connections = (1, 8, 64)
_memory = 256
_answer_limit = 60
_load_limit = 60


def pages():
    """name -> bytes of the files that are asked for."""
    return {f"size-{size}": bytes(at * 13 & 255 for at in range(256)) * (size // 256)
            for size in sizes}


def annulus_image():
    """The image of the default system with the files to serve among its pages."""
    image = folder / "annulus.img"
    shutil.copyfile(project.target / "images" / "default.img", image)
    with tarfile.open(image, "a", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in pages().items():
            entry = tarfile.TarInfo(f"files/www/{name}")
            entry.size, entry.mode = len(content), 0o444
            archive.addfile(entry, io.BytesIO(content))
    return image


class Server:
    """A running machine that serves on a port of the host."""

    def __init__(self, kernel, image, append="", plugin=None, cpus=1):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        machine = emulator.Machine(kernel=kernel, image=image, cpus=cpus, memory=_memory,
                                   append=append, network=True, forwards=((self.port, 80),))
        arguments = machine.arguments()
        arguments[arguments.index("-cpu") + 1] = "max,-erms,-fsrm"
        if plugin:  # with every instruction counted, and the clock going on when nobody works
            arguments[arguments.index("-accel") + 1] = "tcg"
            arguments += ["-icount", "shift=0", "-plugin", plugin]
        self.began = time.monotonic()
        self._process = jobs.start(arguments, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self._said = b""
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self):
        while part := self._process.stdout.read(4096):
            self._said += part

    def stop(self):
        jobs.stop(self._process)
        self._reader.join(5)
        self._process.stdin.close()
        self._process.stdout.close()

    @property
    def said(self):
        return self._said.decode(errors="replace").replace("\r", "")

    def failed(self, what):
        return machines.Failure(f"{what}; the machine said:\n{self.said[-1500:]}")

    def processor_seconds(self):
        """What the process has used of the host's processors, user and system (clock_gettime(2):
        a process's clock has the number ~pid << 3 | 2)."""
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def wait_answer(self):
        """Seconds from power-on to the first answer; gives up on one attempt soon, since QEMU
        needs seconds to see that a guest was not there yet."""
        while time.monotonic() - self.began < _answer_limit:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.port), 0.1) as connection:
                    connection.settimeout(0.1)
                    connection.sendall(b"GET /size-0 HTTP/1.1\r\nHost: a\r\n"
                                       b"Connection: close\r\n\r\n")
                    if connection.recv(4096).startswith(b"HTTP/1.1 200"):
                        return time.monotonic() - self.began
            time.sleep(0.005)
        raise self.failed("nothing was served")

    def ask(self, line, pattern):
        """A line to the console, and what in the answer matches."""
        begin = len(self.said)
        self._process.stdin.write(line.encode())
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if match := re.search(pattern, self.said[begin:], re.S):
                return match
            time.sleep(0.05)
        raise self.failed(f"no answer to {line!r}")

    def fetch(self, name):
        """A file that the guest serves."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=60) as answer:
            return answer.read()

    def load(self, name, count, keep_alive, seconds=1):
        """One run of wrk: (requests, seconds, processor seconds)."""
        command = ["wrk", "-t1", f"-c{count}", f"-d{seconds}s", "--timeout", "30s"]
        if not keep_alive:
            command += ["-H", "Connection: close"]
        before = self.processor_seconds()
        result = jobs.run([*command, f"http://127.0.0.1:{self.port}/{name}"],
                          timeout=_load_limit)
        used = self.processor_seconds() - before
        if not result.ok:
            raise self.failed(f"wrk failed: {result.explain()}")
        requests, spent, errors = parse_wrk(result.output)
        if errors:
            raise self.failed(f"wrk was not served what it asked for: {errors}")
        return requests, spent, used


def parse_wrk(said):
    """(requests, seconds, what went wrong or None)."""
    match = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", said)
    if match is None:
        return 0, 0.0, said
    seconds = float(match[2]) * {"ms": 0.001, "s": 1, "m": 60}[match[3]]
    wrong = [line.strip() for line in said.splitlines() if "Non-2xx" in line]
    return int(match[1]), seconds, wrong or None


@dataclasses.dataclass
class System:
    """What to boot, and how to learn from its console how much memory is in use, in MiB."""

    name: str
    kernel: object
    image: object
    append: str
    memory_used: object
    cpus: int = 1

    def start(self, plugin=None):
        return Server(self.kernel, self.image, self.append, plugin, self.cpus)


def _annulus_memory(server):
    return float(server.ask("machine\n", r"([\d.]+) MiB of [\d.]+ in use")[1])


def _linux_memory(server):
    free = server.ask("memory\n", r"MemFree: +(\d+) kB.*MEMORY END")[1]
    return _memory - int(free) / 1024


def systems(cpus=1):
    """Both; nginx has a worker for each CPU."""
    folder.mkdir(parents=True, exist_ok=True)
    kernel, _ = linux.kernel()
    return (System("annulus", project.target / "kernel" / "kernel-release.elf", annulus_image(), "",
                   _annulus_memory, cpus),
            System("linux", kernel, nginx.image(pages(), cpus), linux.append, _linux_memory, cpus))


def _spread(figures):
    return {"least": round(min(figures), 1), "median": round(statistics.median(figures), 1),
            "most": round(max(figures), 1)}


def load_seconds(size, count):
    """Long enough that what is under way at the end is a small part of what was answered."""
    if size < 1 << 20:
        return 1
    return 2 if count < 64 else 10


def _measure_cell(server, cell):
    size, count, keep_alive = cell
    for _ in range(3):
        requests, spent, used = server.load(f"size-{size}", count, keep_alive,
                                            load_seconds(size, count))
        # QEMU accepts connections with a queue of one, so what a load before has left in it can
        # cost the first connection a second or more.
        if requests:
            return requests / used, requests / spent
    raise server.failed(f"no request for {cell} was answered in time")


def measure_loads(both, cells, runs):
    """[what one of `cells` (size, connections, keep-alive) costs on either system].

    Both machines are up, of which one is idle: their runs take turns, so that the host's other
    load is the same for both.
    """
    servers = {system.name: system.start() for system in both}
    try:
        for server in servers.values():
            server.wait_answer()
        time.sleep(1)
        found = []
        for cell in cells:
            loads = {name: [] for name in servers}
            long = load_seconds(cell[0], cell[1]) > 2
            for run in range(1 if long else runs + 1):
                for name, server in servers.items():
                    figures = _measure_cell(server, cell)
                    if run > 0 or long:  # the first of short ones warms up
                        loads[name].append(figures)
            found.append({"size": cell[0], "connections": cell[1], "keep_alive": cell[2],
                          "cpus": both[0].cpus, **{
                name: {"by_cpu": _spread([one for one, _ in figures]),
                       "by_wall": _spread([one for _, one in figures])}
                for name, figures in loads.items()}})
        return found
    finally:
        for server in servers.values():
            server.stop()


def measure_start(system, boots):
    """Time from power-on to the first answer in ms, memory in use, size of what is booted."""
    times = []
    for number in range(boots):
        server = system.start()
        try:
            times.append(1000 * server.wait_answer())
            if number == boots - 1:
                time.sleep(2)
                memory = round(system.memory_used(server), 1)
        finally:
            server.stop()
    size = (system.kernel.stat().st_size + system.image.stat().st_size -
            sum(map(len, pages().values())))
    return {"first_answer_ms": _spread(times), "memory_mib": memory,
            "image_mib": round(size / (1 << 20), 2)}


def all_cells():
    return [(size, count, keep_alive) for keep_alive in (True, False) for size in sizes
            for count in connections]


def cells_of_two():
    return [(size, count, keep_alive) for keep_alive in (True, False) for size in (1024, 65536)
            for count in (8, 64)]


def measure(cells=None, runs=3, boots=5):
    """Loads and starts of both systems; two CPUs only if all cells are measured."""
    both = systems()
    loads = measure_loads(both, cells or all_cells(), runs)
    if cells is None:
        loads += measure_loads(systems(2), cells_of_two(), runs)
    return {"runs": runs, "loads": loads,
            "start": {system.name: measure_start(system, boots) for system in both}}
