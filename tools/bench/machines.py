# SPDX-License-Identifier: MIT
"""The two systems under measurement: both in the same QEMU, started by the same code.

A run is a list of lines from the serial port. Without `icount` the time-stamp counter is the
host's, and figures are times.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import threading
import time

import emulator
import jobs

_seconds_limit = 1200  # a busy machine needed more than 600


class Failure(Exception):
    """Why there is nothing to report."""


def _stay_apart(process, cpus):
    """Gives each emulated CPU one of the host's for itself, once its thread is there: else the
    host may have two that wait for each other take turns on one."""
    hosts = sorted(os.sched_getaffinity(0))
    missing = set(range(cpus))
    until = time.monotonic() + 10
    while missing and time.monotonic() < until and process.poll() is None:
        for task in pathlib.Path(f"/proc/{process.pid}/task").glob("*"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                name = (task / "comm").read_text().split()  # CPU 0/TCG
                number = int(name[1].split("/")[0]) if name[0] == "CPU" else None
                if number in missing:
                    os.sched_setaffinity(int(task.name), {hosts[number]})
                    missing.discard(number)
        time.sleep(0.01)


def boot(kernel, image, append="", icount=True, cpus=1, limit=_seconds_limit):
    """The lines that a machine says from power-on to its end."""
    machine = emulator.Machine(kernel=kernel, image=image, cpus=cpus, append=append, icount=icount)
    arguments = machine.arguments()
    if not icount:  # The same CPU in both, and as with icount.
        arguments[arguments.index("-cpu") + 1] = "max,-erms,-fsrm"
    apart = 1 < cpus <= len(os.sched_getaffinity(0))
    if apart:
        arguments += ["-name", "bench,debug-threads=on"]
    process = jobs.start(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, errors="replace")
    if apart:
        threading.Thread(target=_stay_apart, args=(process, cpus), daemon=True).start()
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"{kernel.name} was not done after {limit} s") from None
    finally:
        jobs.stop(process)
    return [line.rstrip("\r") for line in output.splitlines()]


def boot_twice(name, kernel, image, append, marks):
    """The lines with one of the marks, which two runs that count instructions must agree on."""
    runs = []
    for _ in range(2):
        lines = boot(kernel, image, append)
        runs.append([line for line in lines if line.startswith(marks)])
    if runs[0] != runs[1]:
        differ = next((f"{one!r} and {two!r}" for one, two in zip(*runs) if one != two),
                      "one said more")
        raise Failure(f"{name}: two runs that count instructions differ: {differ}")
    if not runs[0]:
        raise Failure(f"{name} said nothing; it ended with:\n" + "\n".join(lines[-10:]))
    print(f"bench: {name}: {len(runs[0])} figures, twice the same", file=sys.stderr, flush=True)
    return runs[0]
