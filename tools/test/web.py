# SPDX-License-Identifier: MIT
"""Clients on the host for the web server in the guest (system/test_web): each case is a promise.

`Clients(port).cases()` yields (case, problem or None) and fills in counters. The connections go
through QEMU's user network, so no network of the host is touched.
"""

import concurrent.futures
import hashlib
import http.client
import re
import shutil
import socket
import subprocess
import threading
import time

import connecting

limit = 120  # Seconds for any single exchange.
sizes = (0, 1, 1460, 16384, 65537, 1048576, 16777216)

# What tests/abi/web writes; it repeats after 253 * 128 bytes.
_period = bytes((at * 13 + at // 253) & 255 for at in range(253 * 128))


def content(size):
    return (_period * (size // len(_period) + 1))[:size]


def exchange(port, request, end=True, within=limit):
    """Sends bytes on a connection of its own and reads until the server closes it."""
    with connecting.connect(port, within) as connection:
        connection.sendall(request)
        if end:
            connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def status_of(answer):
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match[1]) if match else None


def differs(what, found, wanted):
    return None if found == wanted else f"{what} is {found!r}, not {wanted!r}"


def get(target, headers="", version="1.1"):
    return f"GET {target} HTTP/{version}\r\nHost: annulus\r\n{headers}\r\n".encode("latin-1")


_good = get("/size-1")

# Requests that are wrong, or nearly, and the statuses that may answer them.
malformed = [
    (b"GET /\r\n\r\n", 400), (b"\r\n" * 10, 400), (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505), (b"GET / HTTP/1.1x\r\nHost: a\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), (b"G\0T / HTTP/1.1\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400), (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (get("x"), 400), (get("/%"), 400), (get("/%0"), 400), (get("/%00"), 400), (get("/%gg"), 400),
    (get("/.."), 400), (get("/../etc/passwd"), 400), (get("/docs/../../manifest"), 400),
    (get("/%2e%2e/manifest"), 400), (get("/..%2fmanifest"), 400), (get("/docs/./index.html"), 400),
    (get("//"), 404), (get("/docs//index.html"), 404), (get("/none"), 404), (get("/size-1/x"), 404),
    (get("/" + "a" * 255), 404), (get("/" + "a" * 256), 404), (get("/" + "a/" * 900), 404),
    (get("/" + "a" * 2047), 404), (get("/" + "a" * 2048), 414), (b"GET /" + b"a" * 9000, 414),
    (b"A" * 20000, 414), (get("/", "X: y\r\n" * 64), 431), (get("/", "X: " + "y" * 5000), 431),
    (get("/", ("X: " + "y" * 3000 + "\r\n") * 3), 431), (get("/", "X : y\r\n"), 400),
    (get("/", "X\r\n"), 400), (get("/", ": y\r\n"), 400), (get("/", "X: y\r\n folded\r\n"), 400),
    (get("/", "X: a\rb\r\n"), 400), (get("/", "X: \x01\r\n"), 400), (get("/", "Host: b\r\n"), 400),
    (get("/", "Content-Length: -1\r\n"), 400), (get("/", "Content-Length: 1x\r\n"), 400),
    (get("/", "Content-Length: 1\r\nContent-Length: 1\r\n"), 400),
    (get("/", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
    (get("/", "Transfer-Encoding: chunked\r\n"), 501),
    (get("/", "Content-Length: 99999999999999999999\r\n"), 413),
    (get("/", "Content-Length: 16385\r\n"), 413),
    (b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405), (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501), (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (get("/docs"), 301), (get("/size-1?a=/../b"), 200), (get("http://x/size-1"), 200),
]


class Clients:
    """One run against one server."""

    guest_ports = (80,)

    def __init__(self, port):
        self.port = port
        self.counters = {"requests served": 0}
        self._lock = threading.Lock()

    def _served(self, count=1):
        with self._lock:
            self.counters["requests served"] += count

    def files(self):
        """Files of every size, through curl, compared by their SHA-256."""
        if shutil.which("curl") is None:
            yield "curl is there", "curl is missing: run tools/setup test"
            return
        for size in sizes:
            began = time.monotonic()
            result = subprocess.run(
                ["curl", "-sS", "--max-time", str(limit), "-w", "%{stderr}%{http_code}",
                 f"http://127.0.0.1:{self.port}/size-{size}"], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            found = hashlib.sha256(result.stdout).hexdigest()
            wanted = hashlib.sha256(content(size)).hexdigest()
            problem = differs("curl's report", (result.returncode, result.stderr), (0, b"200"))
            problem = problem or differs(f"the sum of {len(result.stdout)} bytes", found, wanted)
            self._served()
            if size == max(sizes):
                kilobytes = size / 1024 / (time.monotonic() - began)
                self.counters["KiB a second"] = int(kilobytes)
            yield f"curl gets a file of {size} bytes", problem

    def keep_alive(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit)
        connection.connect()
        own = connection.sock
        wanted = content(1460)
        for number in range(1000):
            connection.request("GET", "/size-1460")
            answer = connection.getresponse()
            if answer.status != 200 or answer.read() != wanted:
                return f"request {number} was answered by {answer.status}"
            if connection.sock is not own:
                return f"the server closed the connection after request {number}"
            self._served()
        connection.close()
        return None

    def pipelined(self):
        answer = exchange(self.port, _good * 50 + get("/size-1", "Connection: close\r\n"))
        self._served(51)
        return differs("the number of answers", answer.count(b"HTTP/1.1 200 OK\r\n"), 51)

    def head(self):
        answer = exchange(self.port, b"HEAD /size-16777216 HTTP/1.1\r\nHost: a\r\n\r\n")
        self._served()
        head, _, body = answer.partition(b"\r\n\r\n")
        return (differs("the status", status_of(answer), 200) or differs("the body", body, b"") or
                (None if b"\r\nContent-Length: 16777216" in head else f"its head is {head!r}"))

    def types(self):
        for target, kind in (("/", "text/html"), ("/docs/", "text/html"),
                             ("/docs/a%20b.txt", "text/plain"),
                             ("/size-1", "application/octet-stream")):
            answer = exchange(self.port, get(target))
            self._served()
            if f"\r\nContent-Type: {kind}".encode() not in answer:
                return f"{target}: {answer[:300]!r}"
        return None

    def at_once(self, count=64):
        """All connections are open and in the middle of a request before the first goes on."""
        meet = threading.Barrier(count)
        wanted = content(65537)

        def one(_):
            with connecting.connect(self.port, limit) as connection:
                request = get("/size-65537", "Connection: close\r\n")
                connection.sendall(request[:30])
                meet.wait(limit)
                connection.sendall(request[30:])
                answer = b""
                while part := connection.recv(65536):
                    answer += part
            return status_of(answer) == 200 and answer.endswith(wanted)

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            good = sum(pool.map(one, range(count)))
        self._served(good)
        return differs("the number of whole answers", good, count)

    def one_more(self, workers=64):
        """All workers have a request that does not end; one more is served when one of them is."""
        request = get("/size-1", "Connection: close\r\n")
        held = []

        def finish(connection):
            connection.sendall(request[20:])
            answer = b""
            while part := connection.recv(65536):
                answer += part
            connection.close()
            self._served()
            return status_of(answer)

        for _ in range(workers):
            held.append(connecting.connect(self.port, limit))
            held[-1].sendall(request[:20])
        with connecting.connect(self.port, limit) as late:
            late.settimeout(1)
            late.sendall(request)
            try:
                return f"it was answered at once, by {late.recv(300)!r}"
            except TimeoutError:
                pass
            first = finish(held.pop())
            late.settimeout(limit)
            answer = b""
            while part := late.recv(65536):
                answer += part
        self._served()
        others = [finish(connection) for connection in held]
        return (differs("the status of the one that ended", first, 200) or
                differs("the status of the one more", status_of(answer), 200) or
                differs("those of the others", set(others), {200}))

    def wrong(self):
        for request, wanted in malformed:
            try:
                found = status_of(exchange(self.port, request))
            except OSError as error:
                return f"{request[:80]!r} broke the connection: {error}"
            self._served()
            if found != wanted:
                return f"{request[:80]!r} was answered by {found}, not {wanted}"
        return differs("a sound request afterwards", status_of(exchange(self.port, _good)), 200)

    def impatient(self):
        """Connections that are reset in the middle of a large file."""
        for number in range(100):
            with connecting.connect(self.port, limit) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sendall(get("/size-16777216"))
                if number % 2:
                    connection.recv(1000)
        return differs("a sound request afterwards", status_of(exchange(self.port, _good)), 200)

    def slow(self):
        answer = exchange(self.port, b"GET / HT", end=False)
        return differs("the status", status_of(answer), 408)

    def cases(self):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            slow = pool.submit(self.slow)
            yield from self.files()
            yield "a thousand requests share one connection", self.keep_alive()
            yield "requests that are sent together are answered in order", self.pipelined()
            yield "HEAD answers the length without the bytes", self.head()
            yield "types follow from names, and folders have an index", self.types()
            yield "sixty-four connections are served at once", self.at_once()
            yield f"{len(malformed)} odd requests get their statuses", self.wrong()
            yield "a hundred clients that leave early harm nobody", self.impatient()
            yield "a client that never ends its request is told and let go", slow.result()
        yield "the sixty-fifth connection waits until a worker is free", self.one_more()


class First:
    """Asks for a page of system/default from power-on until it is answered."""

    guest_ports = (80,)

    def __init__(self, port):
        self.port = port
        self.counters = {}

    def ask(self):
        """One attempt. Gives up soon: QEMU needs seconds to see that a guest was not there yet."""
        try:
            return exchange(self.port, get("/", "Connection: close\r\n"), within=0.1)
        except OSError:
            return b""

    def cases(self):
        began = time.monotonic()
        answer = b""
        while not answer and time.monotonic() - began < limit:
            answer = self.ask()
            time.sleep(0 if answer else 0.005)
        self.counters["ms to the first answer"] = int((time.monotonic() - began) * 1000)
        yield ("the first request after power-on is answered",
               None if b"<h1>Annulus</h1>" in answer else f"by {answer[:300]!r}")


class Pages:
    """The pages of system/default, asked for until they are there."""

    guest_ports = (80,)

    def __init__(self, port):
        self.port = port
        self.counters = {}

    def page(self, target, part):
        answer = b""
        for _ in range(100):
            try:
                # QEMU takes seconds to find out that a guest was not there yet: better ask anew.
                answer = exchange(self.port, get(target, "Connection: close\r\n"), within=3)
            except OSError:
                answer = b""
            # 503: the files' server has died, and the web server is about to start anew.
            if answer and status_of(answer) != 503:
                break
            time.sleep(0.2)
        missing = None if part in answer else f"{part!r} is not in {answer[:300]!r}"
        return differs("the status", status_of(answer), 200) or missing

    def cases(self):
        yield "the default system answers on port 80", self.page("/", b"<h1>Annulus</h1>")
        yield "its pages lead on", self.page("/about/", b"tcp/listen/80")


class Keep:
    """Opens a connection to system/default and leaves it open, for Kept."""

    guest_ports = (80,)
    connections = {}  # port of the host -> the connection that was left open

    def __init__(self, port):
        self.port = port
        self.counters = {}

    def ask(self, within):
        """Asks for the first page; the problem with its answer, or None. Does not close."""
        connection = self.connections[self.port]
        connection.settimeout(within)
        connection.sendall(get("/"))
        answer = b""
        while b"</html>" not in answer:
            part = connection.recv(65536)
            if not part:
                return f"the connection ended behind {answer[:300]!r}"
            answer += part
        return differs("the status", status_of(answer), 200)

    def cases(self):
        self.connections[self.port] = connecting.connect(self.port, limit)
        yield "a connection is opened, and kept", self.ask(limit)


class Kept(Keep):
    """Asks again on the connection that Keep left open."""

    within = 20  # Seconds: several times as long as TCP waits before it repeats what was lost.

    def cases(self):
        began = time.monotonic()
        problem = self.ask(self.within)
        self.counters["ms until a kept connection was answered"] = int(
            (time.monotonic() - began) * 1000)
        yield "a connection that was there before goes on", problem


class Guarded:
    """Two ports on which the guest serves; its firewall lets only the first one through."""

    guest_ports = (80, 81)

    def __init__(self, allowed, denied):
        self.allowed, self.denied = allowed, denied
        self.counters = {}

    def denied_port(self, patience=5):
        """QEMU accepts the connection itself, so what shows is that no byte ever comes."""
        with connecting.connect(self.denied, limit) as connection:
            connection.settimeout(patience)
            connection.sendall(get("/"))
            try:
                answer = connection.recv(1000)
            except (TimeoutError, ConnectionResetError):
                return None
        return differs("the answer", answer, b"")

    def allowed_port(self):
        answer = exchange(self.allowed, get("/", "Connection: close\r\n"))
        return differs("the status", status_of(answer), 200)

    def cases(self):
        yield "a port that the firewall allows is open", self.allowed_port()
        yield "a port that it does not allow is closed", self.denied_port()
        yield "and the other one stays open", self.allowed_port()
