# SPDX-License-Identifier: MIT
"""Clients on the host that go on asking while parts of system/default are killed or changed."""

import re
import threading
import time

import web

page_end = b"</html>"


def _page(port, within):
    """Asks for the first page on a connection of its own: "good", "broken: why" or what was odd."""
    began = time.monotonic()
    try:
        answer = web.exchange(port, web.get("/", "Connection: close\r\n"), within=within)
    except OSError as error:
        return f"broken: {error!r} after {time.monotonic() - began:.1f} s"
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    if not length or len(body) < int(length[1]):
        return f"broken: it ended after {len(answer)} bytes"
    if web.status_of(answer) == 503:
        return "broken: 503"  # The files' server has died; the web server is about to start anew.
    good = web.status_of(answer) == 200 and b"<h1>Annulus</h1>" in body and page_end in body
    return "good" if good and len(body) == int(length[1]) else repr(answer[:300])


class Load:
    """Starts threads that ask for a page again and again, for Calm to end."""

    guest_ports = (80,)
    threads = 6
    counts = {}  # of all that were started: what _page answered -> how often, if it was not broken
    broken = []  # of all that were started: why a connection broke
    lock = threading.Lock()
    ending = threading.Event()
    running = []

    def __init__(self, port):
        self.port = port
        self.counters = {}

    def work(self):
        while not self.ending.is_set():
            found = _page(self.port, 3)
            with self.lock:
                if found.startswith("broken"):
                    self.broken.append(found)
                else:
                    self.counts[found] = self.counts.get(found, 0) + 1
            if found != "good":
                time.sleep(0.05)

    def good(self):
        with self.lock:
            return self.counts.get("good", 0)

    def wait_for_more(self, more, within):
        """The problem, or None once so many more answers were good."""
        wanted = self.good() + more
        end = time.monotonic() + within
        while self.good() < wanted:
            if time.monotonic() > end:
                missing = wanted - self.good()
                return f"{missing} of {more} answers are missing: {self.counts}, {self.broken}"
            time.sleep(0.02)
        return None

    def cases(self):
        if not self.running:
            self.ending.clear()
            self.counts.clear()
            self.broken.clear()
            self.running.extend(threading.Thread(target=self.work, daemon=True)
                                for _ in range(self.threads))
            for thread in self.running:
                thread.start()
        yield "clients that go on asking get answers", self.wait_for_more(30, web.limit)


class Loaded(Load):
    """Sees that Load's clients are answered again after a death under them."""

    def cases(self):
        began = time.monotonic()
        problem = self.wait_for_more(30, 40)
        self.counters["ms until clients under load were answered 30 times"] = int(
            (time.monotonic() - began) * 1000)
        yield "they are answered again", problem


class Calm(Loaded):
    """Ends them. Each answer was whole and right, or the connection broke or said 503."""

    def cases(self):
        yield from super().cases()
        self.ending.set()
        for thread in self.running:
            thread.join(10)
        self.running.clear()
        with self.lock:
            self.counters["answers under load"] = self.counts.get("good", 0)
            self.counters["requests that deaths broke"] = len(self.broken)
            odd = [found for found in self.counts if found != "good"]
        yield "no answer was wrong", f"answered {odd[0]}" if odd else None


class Unbroken(Calm):
    """Ends them, and none of their connections broke."""

    def cases(self):
        yield from super().cases()
        yield "no connection broke", web.differs("what broke", self.broken, [])


class Refused:
    """A port that the firewall does not allow: QEMU accepts, and no byte ever comes."""

    guest_ports = (80,)

    def __init__(self, port):
        self.port = port
        self.counters = {}

    def cases(self):
        found = _page(self.port, 2)
        answered = None if found.startswith("broken") else f"it is {found}"
        yield "a new connection gets no answer", answered
