# SPDX-License-Identifier: MIT
"""Rows without a budget in tests/budgets.json.

A row's name on Annulus is that of its FIGURE (bench/programs/bench_curves).
"""

import dataclasses

import comparison


@dataclasses.dataclass(frozen=True)
class Entry:
    row: str
    name: str
    figure: str
    target: int
    linux: str  # what the name of a way on Linux holds
    note: str


_files = ("From the file service in a process of its own, copied; Linux: tmpfs in its kernel. "
          "The target is for a file whose cache the client maps.")
_handed = ("A packet channel's buffer: the owner writes its first bytes, the peer reads them and "
           "gives it back; both sleep. Linux: memory that both shared before, with futexes; a "
           "memfd is passed, mapped and unmapped each time; a pipe copies twice each way.")
_local = ("Both ends are programs of the machine, beside net's process: three address spaces. "
          "Linux's stack is in its kernel.")
catalogue = (
    Entry("14", "4 KiB handed over and back", "4096 B handed over and back", 320, " 4 KiB",
          _handed),
    Entry("14", "64 KiB handed over and back", "65536 B handed over and back", 320, " 64 KiB",
          _handed),
    Entry("19", "a second handle made and closed", "duplicate + close", 150, "",
          "Annulus also chooses its rights."),
    Entry("20", "a thread started and joined", "start_thread + join", 2500, "",
          "With a stack of its own each time; Linux's library keeps stacks."),
    Entry("21", "a process started, ended and waited for", "spawn + exit + wait", 20000, "",
          "Annulus: from a prepared image, with the runtime's start. Linux executes two "
          "instructions without any library; fork starts no other program."),
    Entry("22", "64 B read from a file", "read of 64 B by a call", 300, "64 B", _files),
    Entry("22", "4 KiB read from a file", "read of 4096 B by a call", 320, " 4 KiB", _files),
    Entry("23", "4 KiB read from a file, 32 at once", "read of 4096 B by a ring", 90, "",
          "By a ring into registered memory, from the file service in a process of its own, which "
          "copies; Linux: tmpfs in its kernel. A batch is 32 reads and one entry."),
    Entry("23", "4 KiB read from a file through a channel, 32 at once",
          "read of 4096 B through a channel", 90, "",
          "The file service copies into memory that it shares with the client, who looks at the "
          "bytes there; Linux: tmpfs in its kernel. A batch is 32 reads and two entries."),
    Entry("24", "64 B there and back by UDP, loopback", "UDP", 2500, "UDP", _local),
    Entry("24", "64 B there and back by TCP, loopback", "TCP by calls", 4500, "TCP",
          f"By calls. {_local}"),
    Entry("24", "64 B there and back by TCP, through channels", "TCP through channels", 4500, "TCP",
          f"The bytes in memory shared with net. {_local}"),
)


def compare(figures, linux, timed=(), rate=1.0, linux_timed=()):
    """The rows; `figures`: (row, name) -> (instructions, entries, loads) on Annulus. `timed` and
    `linux_timed`: one for each boot without -icount, as `figures` and `linux`, in cycles."""
    linux_times = comparison.by_way(linux_timed)
    rows = []
    for entry in catalogue:
        key = (entry.row, entry.figure)
        wall = comparison.nanoseconds([run[key][0] for run in timed], rate)
        own = comparison.Figures(*figures[key], wall, copied=comparison.annulus_copied(*key))
        ways = [comparison.linux_figures(way, cost, comparison.nanoseconds(
                    linux_times.get((entry.row, way)), rate))
                for way, cost in linux.get(entry.row, []) if entry.linux in way]
        rows.append(comparison.Row(entry.row, entry.name, own,
                                   sorted(ways, key=lambda one: one.instructions), entry.target,
                                   entry.note))
    return rows
