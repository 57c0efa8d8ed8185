# SPDX-License-Identifier: MIT
"""Rows without a budget in tests/budgets.json: paths not tuned yet.

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


_several = "The peer wakes the last of them; both sides block. As row 5, one side by wait_any."
_files = ("From the file service in a process of its own, copied; Linux: tmpfs in its kernel. "
          "The target is for a file whose cache the client maps.")
_handed = ("A packet channel's buffer: the owner writes its first bytes, the peer reads them and "
           "gives it back; both sleep. Linux: memory that both shared before, with futexes; a "
           "memfd is passed, mapped and unmapped each time; a pipe copies twice each way.")
_local = ("Both ends are programs of the machine, beside net's process: three address spaces. "
          "Linux's stack is in its kernel.")
catalogue = (
    Entry("8", "wait_any of 1, block and wake", "wait_any of 1", 330, " of 1", _several),
    Entry("8", "wait_any of 8, block and wake", "wait_any of 8", 540, " of 8", _several),
    Entry("8", "wait_any of 128, block and wake", "wait_any of 128", 4140, " of 128", _several),
    Entry("11", "an event of a set with 64 ready, its signal included", "event of 64 ready", 120,
          "", "The 64 events are fetched together. Linux also reads each eventfd, which takes its "
          "unit."),
    Entry("14", "4 KiB handed over and back", "4096 B handed over and back", 320, " 4 KiB",
          _handed),
    Entry("14", "64 KiB handed over and back", "65536 B handed over and back", 320, " 64 KiB",
          _handed),
    Entry("16", "a page mapped, touched and unmapped", "map + touch + unmap of a page", 700, "",
          "The page exists before; on Linux with memfd, too."),
    Entry("17", "a page on demand touched for the first time", "first touch of a page", 900, "",
          "The page is cleared on both sides."),
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


def _is_way_of(entry, way):
    return way.endswith(entry.linux) or (entry.row != "8" and entry.linux in way)


def compare(figures, linux):
    """The rows; `figures`: (row, name) -> (instructions, entries, loads) on Annulus."""
    rows = []
    for entry in catalogue:
        own = comparison.Figures(*figures[entry.row, entry.figure],
                                 copied=comparison.annulus_copied(entry.row, entry.figure))
        ways = [comparison.linux_figures(way, cost) for way, cost in linux.get(entry.row, [])
                if _is_way_of(entry, way)]
        rows.append(comparison.Row(entry.row, entry.name, own,
                                   sorted(ways, key=lambda one: one.instructions), entry.target,
                                   entry.note))
    return rows
