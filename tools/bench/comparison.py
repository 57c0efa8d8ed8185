# SPDX-License-Identifier: MIT
"""Rows of the comparison: what each is, what is left out, and how the figures are put together.

Adjusted figure: instructions + 130 for each entry to the kernel + 380 for each load of a page
table, since an emulator counts either as one instruction. The weights are from runs on hardware.
"""

import dataclasses
import statistics

entry_weight = 130
load_weight = 380

# seL4 13, release, one CPU, fast path on, by the same protocol: constants, not measured here.
# For each row: (built for one CPU, with its scheduling contexts, built for several CPUs).
sel4 = {"1": (98, 100, 145), "2": (439, 541, 612), "3": (2224, 3043, 2488),
        "5": (1595, 2158, 2054), "6": (1595, 2158, 2054), "16": (1366, 1611, 1621),
        "18": (1673, 1905, 1966), "19": (1657, 1914, 1921), "20": (7006, 7284, 7332)}
sel4_notes = {"1": "system call, no capability looked up",
              "2": "Call and ReplyRecv without words, two address spaces, the server without FPU",
              "3": "64 words, one address space, by the slow path",
              "5": "notifications, two address spaces, the waiter of higher priority",
              "6": "the same as row 5: it has no call for both",
              "16": "Page_Map and Unmap, neither touched nor allocated",
              "18": "retype and delete of an endpoint",
              "19": "CNode_Mint and Delete", "20": "retype and delete of a TCB alone"}

notes = {
    "1": "Annulus checks a handle; getppid() checks nothing.",
    "2": "Linux blocks on words in memory that both share, so it checks no right; pipes and "
         "sockets carry one byte.",
    "2s": "The server is the runtime's Server::run. Linux: as row 2.",
    "2x": "The server is a coroutine. Linux: as row 2.",
    "5e": "As row 5 through a channel's doorbells.",
    "6e": "As row 6 through a channel's doorbells.",
    "3": "512 bytes into the server's memory, a short answer; neither server looks at them.",
    "3r": "As row 3, and the server of Annulus reads each byte in place; those of Linux do not.",
    "3x": "The server is a coroutine. Linux: as row 3.",
    "4": "No kernel in between, on either side, for the futex word.",
    "5": "Two semaphores, four calls a round.",
    "6": "Linux has no call that wakes and waits; the round trip of row 5 stands for it.",
    "8": "The peer wakes the last of them; both sides block. As row 5, one side by wait_any.",
    "10": "One side sleeps on a set. Linux also reads the eventfd, which takes its unit.",
    "10x": "The peer is a coroutine. Linux: as row 10.",
    "11": "The 64 events are fetched together. Linux also reads each eventfd, which takes its "
          "unit.",
    "12": "Annulus checks a handle for each entry; an io_uring NOP checks nothing.",
    "13": "To a running receiver: the sender alone. In batches: both sides, with the wake. Linux, "
          "for either: a batch of 32 in one write to a pipe, answered by a byte; MSG_RING carries "
          "12 bytes to a ring of the same process, which takes all 32 at once.",
    "15": "Control alone: a channel's buffers are passed on, and nobody writes or reads the "
          "bytes in them; a pipe copies them in and out. The curve of messages has the copies on "
          "both sides.",
    "16": "The page exists before; on Linux with memfd, too.",
    "17": "The page is cleared on both sides.",
    "18": "Over existing memory. Linux: an eventfd, which has no memory.",
}

# Entries to the kernel and loads of a page table on Linux, by what its programs do: counted by
# reading bench/linux, not measured.
linux_counts = {
    "getppid": (1, 0), "futex": (4, 2), "pipe, 1 B": (4, 2), "unix stream, 1 B": (4, 2),
    "unix stream, 512 B": (4, 2), "unix seqpacket, 512 B": (4, 2),
    "futex word, no system call": (0, 0), "SysV semop": (2, 0), "eventfd": (4, 2),
    "epoll of 1 eventfd": (5, 2), "epoll of 1000 eventfds": (5, 2), "io_uring NOP, alone": (1, 0),
    "io_uring NOP, 128 at once": (0, 0), "eventfd + close": (2, 0), "pipe + 2 close": (3, 0),
    "pipe, batch of 32 in one write": (0, 0), "io_uring MSG_RING, batch of 32": (0, 0),
    "futex_waitv of 1": (4, 2), "futex_waitv of 8": (4, 2), "futex_waitv of 128": (4, 2),
    "epoll of 64 eventfds": (2, 0), "pipe, 4 KiB": (4, 2), "pipe, 64 KiB": (4, 2),
    "shared memory and futex, 4 KiB": (4, 2), "shared memory and futex, 64 KiB": (4, 2),
    "mmap + touch + munmap, anonymous": (3, 0), "mmap + touch + munmap of a memfd's page": (3, 0),
    "anonymous page fault": (1, 0), "dup + close": (2, 0), "pread of 64 B, tmpfs": (1, 0),
    "pread of 4 KiB, tmpfs": (1, 0), "io_uring, fixed file and buffer": (0, 0),
    "UDP echo of 64 B": (4, 2), "TCP echo of 64 B": (4, 2),
}
# Bytes that are copied from one memory to another, by reading the programs and what serves them;
# nothing is said where they are not known. Rows that are not named copy none.
_copied = {"3": 512, "3r": 512, "3x": 512, ("13", "64 B message to a running receiver"): 64,
           ("13", "64 B message in batches of 32 with one wake"): 128,
           ("22", "read of 64 B by a call"): 128, ("22", "read of 4096 B by a call"): 8192,
           ("23", "read of 4096 B by a ring"): 8192,
           ("23", "read of 4096 B through a channel"): 4096,
           "16": 0, "20": None, "21": None, "24": None}
_linux_copied = {
    "pipe, 1 B": 4, "unix stream, 1 B": 4, "unix stream, 512 B": 1026,
    "unix seqpacket, 512 B": 1026, "pipe, batch of 32 in one write": 128,
    "pipe of 256 KiB": 2048, "unix stream": 2048, "pipe, 4 KiB": 4 * 4096,
    "pipe, 64 KiB": 4 * 65536, "pread of 64 B, tmpfs": 64, "pread of 4 KiB, tmpfs": 4096,
    "io_uring, fixed file and buffer": 4096, "UDP echo of 64 B": 256, "TCP echo of 64 B": 256,
    "pthread_create + join": None, "vfork + exec + exit + wait": None, "fork + exit + wait": None,
}
_other_row = {"3r": "3", "3x": "3", "2x": "2", "2s": "2", "10x": "10", "5e": "5", "6e": "6"}


def spread(figures):
    """(least, median, most)."""
    return min(figures), round(statistics.median(figures)), max(figures)


def nanoseconds(cycles, rate):
    """The spread of cycles in several boots; None without any."""
    return tuple(round(one / rate, 1) for one in spread(cycles)) if cycles else None


def by_row(runs):
    """Measurements of several boots: (row, name) -> [cycles]."""
    found = {}
    for run in runs:
        for one in run:
            found.setdefault((one.row, one.name), []).append(one.instructions)
    return found


def by_way(runs):
    """Rows of Linux in several boots: (row, way) -> [cycles]."""
    found = {}
    for run in runs:
        for row, ways in run.items():
            for way, cycles in ways:
                found.setdefault((row, way), []).append(cycles)
    return found


@dataclasses.dataclass
class Figures:
    instructions: int | None
    entries: int | None = None
    cr3_writes: int | None = None
    wall: tuple | None = None  # nanoseconds in several boots: the least, the median, the most
    way: str = ""
    copied: int | None = None  # bytes

    @property
    def adjusted(self):
        if None in (self.instructions, self.entries, self.cr3_writes):
            return None
        return (self.instructions + entry_weight * self.entries + load_weight * self.cr3_writes)

    def record(self):
        figures = dataclasses.asdict(self)
        wall = figures.pop("wall") or (None, None, None)
        return {**figures, "adjusted": self.adjusted, "wall_ns": wall[1],
                "wall_least_ns": wall[0], "wall_most_ns": wall[2]}


@dataclasses.dataclass
class Row:
    row: str
    name: str
    annulus: Figures
    linux: list  # Figures, the least first
    target: int
    note: str

    @property
    def met(self):
        return (self.annulus.instructions is not None and
                self.annulus.instructions <= self.target)

    @property
    def ratio(self):
        """How many times more Linux needs, in instructions; None without an equivalent."""
        if not self.linux or self.annulus.instructions is None:
            return None
        return self.linux[0].instructions / max(1, self.annulus.instructions)

    def record(self):
        best = self.linux[0].record() if self.linux else None
        own = self.annulus.record() if self.annulus.instructions is not None else None
        return {"row": self.row, "name": self.name, "annulus": own,
                "linux": best, "linux_others": [one.record() for one in self.linux[1:]],
                "sel4": dict(zip(("instructions", "mcs", "smp"), sel4[self.row]),
                             note=sel4_notes[self.row]) if self.row in sel4 else None,
                "target": self.target, "met": self.met, "note": self.note}


def _part(name):
    """Which of a row's figures: the ways of row 12 answer to a batch of one and of 128."""
    return "128" in name


def annulus_copied(row, name):
    return _copied.get((row, name), _copied.get(row, 0))


def linux_figures(way, instructions, wall=None):
    return Figures(instructions, *linux_counts.get(way, (None, None)), wall, way,
                   _linux_copied.get(way, 0))


def _is_same(row, name, way):
    """Whether a way of Linux does what the row's figure of that name is of."""
    if row == "8":
        return way.endswith(name.split(",")[0].removeprefix("wait_any"))
    if row == "12":
        return _part(way) == _part(name)
    return row not in ("10", "10x") or ("1000" in way) == ("32768" in name)


def _linux_ways(row, name, linux, linux_times, rate):
    other = _other_row.get(row, row)
    found = []
    for way, instructions in linux.get(other, []):
        if not _is_same(row, name, way):
            continue
        figures = linux_figures(way, instructions, nanoseconds(linux_times.get((other, way)), rate))
        if way == "eventfd" and row == "4":
            figures.entries, figures.cr3_writes = 2, 0
        found.append(figures)
    return sorted(found, key=lambda one: one.instructions)


def compare(budgets, released, counted, timed, rate, linux, linux_timed):
    """The rows, in the order of tests/budgets.json. `timed` and `linux_timed`: one for each boot
    without -icount, as `released` and `linux`, in cycles."""
    speed = {(one.row, one.name): one for one in released}
    count = {(one.row, one.name): one for one in counted}
    times, linux_times = by_row(timed), by_way(linux_timed)
    rows = []
    for budget in budgets:
        key = (budget["row"], budget["name"])
        if key not in speed or key not in count:
            raise KeyError(f"row {key} of tests/budgets.json was not measured")
        figures = Figures(speed[key].instructions, count[key].entries, count[key].cr3_writes,
                          nanoseconds(times.get(key), rate), copied=annulus_copied(*key))
        rows.append(Row(*key, figures, _linux_ways(*key, linux, linux_times, rate),
                        budget["instructions"], notes.get(budget["row"], "")))
    return rows
