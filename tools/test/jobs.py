# SPDX-License-Identifier: MIT
"""Running other programs: never more than two heavy ones at a time, each with a time limit."""

import collections
import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time

slots = 2
_free = slots
# Re-entrant: a signal handler may ask for it while the main thread holds it.
_change = threading.Condition()
_running = set()
_ending = False
_here = threading.local()
_waiting = collections.deque()


def waited():
    """Seconds for which this thread has waited for slots."""
    return getattr(_here, "waited", 0.0)


@contextlib.contextmanager
def heavy(weight=1):
    """Holds `weight` of the two slots; a job that uses both cores takes both.

    Served in the order of asking, so that small jobs do not keep a large one out.
    """
    global _free
    ticket = object()
    began = time.monotonic()
    with _change:
        _waiting.append(ticket)
        _change.wait_for(lambda: _waiting[0] is ticket and _free >= weight)
        _here.waited = waited() + time.monotonic() - began
        _waiting.popleft()
        _free -= weight
        _change.notify_all()
    try:
        yield
    finally:
        with _change:
            _free += weight
            _change.notify_all()


@dataclasses.dataclass
class Result:
    """How a program ended; `status` is None when it ran out of time."""

    status: int | None
    output: str
    seconds: float

    @property
    def ok(self):
        return self.status == 0

    def explain(self, lines=40):
        how = "ran out of time" if self.status is None else f"ended with status {self.status}"
        if self.status is not None and self.status < 0:
            how = f"was ended by {signal.Signals(-self.status).name}"
        tail = "\n".join(self.output.rstrip().splitlines()[-lines:])
        return f"{how} after {self.seconds:.1f} s\n{tail}"


def start(command, **options):
    """Starts a program in a process group of its own, which `stop` and `stop_all` end."""
    with _change:
        if _ending:
            raise RuntimeError("the tests are being ended")
        process = subprocess.Popen(command, start_new_session=True, **options)
        _running.add(process)
    return process


def stop(process):
    """Ends the program with everything it started, and forgets it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with _change:
        _running.discard(process)


def stop_all():
    """Ends every program that runs; no other starts after it."""
    global _ending
    with _change:
        _ending = True
        processes = list(_running)
    for process in processes:
        stop(process)


def run(command, weight=1, timeout=120, **options):
    """Runs a program to its end; standard output and error come back as one text."""
    with heavy(weight):
        started = time.monotonic()
        process = start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, text=True, errors="replace", **options)
        try:
            output, _ = process.communicate(timeout=timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            stop(process)
            output, _ = process.communicate()
            status = None
        finally:
            stop(process)
    return Result(status, output, time.monotonic() - started)
