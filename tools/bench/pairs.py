# SPDX-License-Identifier: MIT
"""What is measured in time: curves with both sides awake on two CPUs, and rows 25 to 27.

A spread is (least, median, most). On two CPUs it is of 15 batches in one boot; of rows 25 and 26 it
is of several boots with one CPU. Figures of curves are nanoseconds, those of rows cycles of the
host's counter, as their targets are.
"""

import dataclasses

import annulus
import comparison
import linux
import machines
import project

_image = project.target / "images" / "bench_pairs.img"
_seconds_limit = 400

# Row -> (name, target in cycles, [how the same is done on Linux], note).
_single = {
    "25": ("a call and its answer, in time", 11_500, ("2", "call and reply"), "2",
           "Row 2 in host time, on one CPU."),
    "26": ("64 B in batches of 32, in time", 600,
           ("13", "64 B message in batches of 32 with one wake"), "13",
           "Row 13 in host time, on one CPU."),
}
_double = (
    ("27", "64 B to a peer that looks for it", 500, ("64 B in shared memory",),
     "One way, half of a round trip, on two CPUs; the kernels take no part."),
    ("27", "wake of a peer that sleeps", 20_000, ("futex", "eventfd"),
     "One way, half of a round trip: both sides sleep, each on a CPU of its own. Most of it is the "
     "emulator's: it lets a halted CPU's thread sleep."),
)


@dataclasses.dataclass
class TimedRow:
    row: str
    name: str
    target: int
    note: str
    annulus: tuple
    linux: list  # (way, spread), the least first
    rate: float  # cycles per nanosecond

    @property
    def met(self):
        return self.annulus[0] <= self.target

    def _figures(self, spread, way=""):
        return {"instructions": None, "entries": None, "cr3_writes": None, "adjusted": None,
                "wall_ns": round(spread[1] / self.rate, 1),
                "wall_least_ns": round(spread[0] / self.rate, 1),
                "wall_most_ns": round(spread[2] / self.rate, 1), "way": way,
                "wall_cycles": dict(zip(("least", "median", "most"), spread))}

    def record(self):
        ways = [self._figures(spread, way) for way, spread in self.linux]
        return {"row": self.row, "name": self.name, "annulus": self._figures(self.annulus),
                "linux": ways[0] if ways else None, "linux_others": ways[1:], "sel4": None,
                "target": self.target, "met": self.met, "note": self.note}


def parse(lines, mark):
    """curve -> way -> [(x, spread in cycles)]."""
    found = {}
    for line in lines:
        if line.startswith(mark):
            curve, way, x, *spread = line.removeprefix(mark).split(" | ")
            found.setdefault(curve, {}).setdefault(way, []).append(
                (int(x), tuple(map(int, spread))))
    return found


def measure():
    """(Annulus's, Linux's), each as parse() answers, of one boot with two CPUs."""
    own = machines.boot(annulus.kernel("release"), _image, icount=False, cpus=2,
                        limit=_seconds_limit)
    annulus.parse([line for line in own if line.startswith("TEST ")], "pairs")
    image_file, _ = linux.kernel()
    other = machines.boot(image_file, linux.image(), f"{linux.append} bench=pairs", icount=False,
                          cpus=2, limit=_seconds_limit)
    linux.parse([line for line in other if line.startswith("LINUX ")])
    return parse(own, "TIME "), parse(other, "LINUX TIME ")


def curves(titles, own, other, rate):
    """Curves of the median in nanoseconds, with the spread beside each point."""
    found = []
    for name, (title, x, note) in titles.items():
        ways, spreads = {}, {}
        for system, all_ways in (("Annulus", own), ("Linux", other)):
            for way, points in all_ways.get(name, {}).items():
                ways[f"{system}: {way}"] = [(at, round(one[1] / rate)) for at, one in points]
                spreads[f"{system}: {way}"] = [
                    (at, [round(figure / rate) for figure in one]) for at, one in points]
        found.append({"id": f"{name}_time", "title": f"{title}: nanoseconds on two CPUs", "x": x,
                      "note": note, "ways": ways, "spreads": spreads, "unit": "ns"})
    return found


def rows(own_runs, linux_runs, own, other, rate):
    """Rows 25 to 27. `own_runs`: measurements of boots with one CPU; `linux_runs`: rows of boots,
    each row -> [(way, cycles)]."""
    times, linux_times = comparison.by_row(own_runs), comparison.by_way(linux_runs)
    found = []
    for row, (name, target, key, linux_row, note) in _single.items():
        mine = comparison.spread(times[key])
        ways = [(way, comparison.spread(cycles))
                for (of, way), cycles in linux_times.items() if of == linux_row]
        found.append(TimedRow(row, name, target, note, mine,
                              sorted(ways, key=lambda one: one[1]), rate))
    for row, name, target, ways, note in _double:
        theirs = [(way, other[row][way][0][1]) for way in ways]
        found.append(TimedRow(row, name, target, note, own[row][name][0][1],
                              sorted(theirs, key=lambda one: one[1]), rate))
    return found


def text(timed):
    """The table of the report."""
    if not timed:
        return []
    lines = ["## Rows in host time", "",
             "Cycles of the host's counter: the median, and the least and the most. A target is "
             "met if the least is.", "",
             "| row | operation | Annulus | target | Linux | way |", "|---|---|---|---|---|---|"]
    for row in timed:
        for number, (way, spread) in enumerate(row.linux):
            own = [row.row, row.name, _cell(row.annulus),
                   f"{row.target:,}{'' if row.met else ' (missed)'}"]
            lines.append(f"| {' | '.join(own if number == 0 else [''] * 4)} | {_cell(spread)} | "
                         f"{way} |")
    return [*lines, "", *(f"- Row {row.row}, {row.name}: {row.note}" for row in timed), ""]


def losses(timed):
    lines = [f"- Row {row.row}, {row.name}: {row.annulus[0]:,} cycles at least, the target is "
             f"{row.target:,}." for row in timed if not row.met]
    return lines + [f"- Row {row.row}, {row.name}: {row.annulus[1]:,} cycles against "
                    f"{row.linux[0][1][1]:,} on Linux ({row.linux[0][0]})."
                    for row in timed if row.linux and row.annulus[1] > row.linux[0][1][1]]


def _cell(spread):
    return f"{spread[1]:,} ({spread[0]:,} - {spread[2]:,})"
