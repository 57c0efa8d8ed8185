# SPDX-License-Identifier: MIT
"""The two systems under measurement: both in the same QEMU, started by the same code.

A run is a list of lines from the serial port. Without `icount` the time-stamp counter is the
host's, and figures are times.
"""

import subprocess
import sys

import emulator
import jobs

_seconds_limit = 1200  # a busy machine needed more than 600


class Failure(Exception):
    """Why there is nothing to report."""


def boot(kernel, image, append="", icount=True):
    """The lines that a machine with one CPU says from power-on to its end."""
    machine = emulator.Machine(kernel=kernel, image=image, cpus=1, append=append, icount=icount)
    arguments = machine.arguments()
    if not icount:  # The same CPU in both, and as with icount.
        arguments[arguments.index("-cpu") + 1] = "max,-erms,-fsrm"
    process = jobs.start(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        output, _ = process.communicate(timeout=_seconds_limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"{kernel.name} was not done after {_seconds_limit} s") from None
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
