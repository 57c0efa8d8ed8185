# SPDX-License-Identifier: MIT
"""The comparison as text (report.md), as data (report.json) and as a page with plots."""

import html
import json

import comparison
import crossing
import pairs
import plots
import serving_report

_head = """# Annulus against Linux in the same virtual machine

{machine}

Figures are instructions for one operation unless they say otherwise. *Adjusted* adds 130 for each
entry to the kernel and 380 for each load of a page table, which an emulator counts as one
instruction each. *Copied* are bytes. Linux's entries and loads, and copied bytes on both sides, are
counted by reading the programs; 0 also for a part of a batch that shares one. *ns* are of the
host's clock, without -icount: the median of several boots, with the least and the most of them.
They drift with the host's load.
Both systems run on one emulated CPU, so all that a peer does is part of the figure.
An instruction is not a cycle: a ratio below 1.4 is no win, and one between different kinds of
operation none below 1.9.
"""


def _number(value):
    return "-" if value is None else f"{value:,}"


def _ratio(row):
    return "-" if row.ratio is None else f"{row.ratio:.1f}x"


def _time(figures):
    """Nanoseconds: the median, and the least and the most beside it."""
    if figures.wall is None:
        return "-"
    digits = 0 if figures.wall[1] >= 100 else 1
    least, median, most = (f"{one:,.{digits}f}" for one in figures.wall)
    return f"{median} ({least} - {most})"


def _best(ways, system, x):
    found = [dict(points)[x] for way, points in ways.items()
             if way.startswith(system) and x in dict(points)]
    return min(found, default=None)


def _curve_losses(curves):
    """A line for each curve of which Linux is the better at some place."""
    lines = []
    for curve in curves:
        ways, worse = curve["ways"], []
        for x in sorted({x for points in ways.values() for x, _ in points}):
            own, other = _best(ways, "Annulus", x), _best(ways, "Linux", x)
            if own is not None and other is not None and own > other:
                worse.append(f"{x:,} ({_number(own)} against {_number(other)})")
        if worse:
            lines.append(f"- Curve \"{curve['title']}\", {curve['x']}: {', '.join(worse)}.")
    return lines


def _losses(rows, curves, http, timed):
    missed = [row for row in rows if not row.met and row.annulus.instructions is not None]
    slower = [row for row in rows if row.ratio is not None and row.ratio < 1]
    lines = ["## Where Annulus loses", ""]
    slower_paths = [*pairs.losses(timed), *_curve_losses(curves), *serving_report.losses(http)]
    if not missed and not slower and not slower_paths:
        return [*lines, "No row is above its target or above Linux.", ""]
    for row in slower:
        lines.append(f"- Row {row.row}, {row.name}: {_number(row.annulus.instructions)} against "
                     f"{_number(row.linux[0].instructions)} on Linux ({row.linux[0].way}).")
    for row in missed:
        lines.append(f"- Row {row.row}, {row.name}: {_number(row.annulus.instructions)}, the "
                     f"target is {_number(row.target)}.")
    absent = [f"{row.row} ({row.name})" for row in rows if row.annulus.instructions is None]
    if absent:
        lines.append(f"- Without a figure on Annulus: {'; '.join(absent)}.")
    return [*lines, *slower_paths, ""]


def _table(rows):
    lines = ["## Rows", "",
             "| row | operation | Annulus | adjusted | ns | entries | loads | copied | target | "
             "Linux | adjusted | ns | copied | way | ratio |",
             f"|{'---|' * 15}"]
    for row in rows:
        own = row.annulus
        ways = row.linux or [None]
        for number, other in enumerate(ways):
            first = number == 0
            cells = [row.row, row.name, _number(own.instructions), _number(own.adjusted),
                     _time(own), _number(own.entries), _number(own.cr3_writes),
                     _number(own.copied), _number(row.target) +
                     ("" if row.met or own.instructions is None else " (missed)")]
            cells = cells if first else [""] * len(cells)
            if other is None:
                cells += ["-"] * 5
            else:
                cells += [_number(other.instructions), _number(other.adjusted),
                          _time(other), _number(other.copied), other.way]
            lines.append(f"| {' | '.join([*cells, _ratio(row) if first else ''])} |")
    return [*lines, ""]


def _notes(rows):
    lines = ["## What a row holds", ""]
    seen = set()
    for row in rows:
        if row.note and (row.row, row.note) not in seen:
            seen.add((row.row, row.note))
            lines.append(f"- Row {row.row}: {row.note}")
    return [*lines, ""]


def _sel4():
    lines = ["## seL4 beside them", "",
             "Constants, measured once by the same protocol (release, fast path on, without the "
             "page-table split): one CPU, with scheduling contexts (MCS), built for several CPUs.",
             "", "| row | one CPU | MCS | SMP | what |", "|---|---|---|---|---|"]
    for row, figures in comparison.sel4.items():
        lines.append(f"| {row} | {' | '.join(f'{one:,}' for one in figures)} | "
                     f"{comparison.sel4_notes[row]} |")
    return [*lines, ""]


def _point(curve, way, x):
    """A figure; in time, with the least and the most beside it."""
    if "spreads" not in curve:
        return _number(dict(curve["ways"][way]).get(x))
    spread = dict(curve["spreads"][way]).get(x)
    return "-" if spread is None else f"{spread[1]:,} ({spread[0]:,} - {spread[2]:,})"


def _curves(curves):
    lines = ["## Curves", ""]
    for curve in curves:
        lines += [f"### {curve['title']}", "", curve["note"], ""]
        ways = curve["ways"]
        points = sorted({x for one in ways.values() for x, _ in one})
        lines += [f"| {curve['x']} | {' | '.join(ways)} |", "|---" * (len(ways) + 1) + "|"]
        for x in points:
            cells = [_point(curve, way, x) for way in ways]
            lines.append(f"| {x:,} | {' | '.join(cells)} |")
        lines += ["", *crossing.text(curve)]
    return lines


def _with_crossings(curves):
    return [{**curve, **crossing.of_curve(curve["ways"])} for curve in curves]


def text(rows, curves, machine, http=None, timed=()):
    curves = _with_crossings(curves)
    return "\n".join([_head.format(machine=machine), *_losses(rows, curves, http, timed),
                      *_table(rows), *pairs.text(timed),
                      *_notes(rows), *_sel4(), *serving_report.text(http), *_curves(curves)])


def data(rows, curves, machine, http=None, timed=()):
    return json.dumps({"machine": machine, "rows": [row.record() for row in [*rows, *timed]],
                       "curves": _with_crossings(curves),
                       "http": serving_report.listed(http)}, indent=1) + "\n"


def _table_of_costs(curve):
    cells = "".join(f"<tr><td>{html.escape(one['way'])}<td>{one['cost']:,}<td>"
                    f"{'-' if one['each'] is None else format(one['each'], ',.3f')}"
                    for one in curve["costs"])
    crossed = "".join(f"<li>From {one['x']:,} on, {html.escape(one['above'])} is cheaper than "
                      f"{html.escape(one['below'])}." for one in curve["crossovers"])
    return (f"<p>{html.escape(curve['note'])}</p><details><summary>What each more of "
            f"{html.escape(curve['x'])} costs, and {len(curve['crossovers'])} crossovers</summary>"
            f"<table><tr><th>way<th>at the least<th>each more{cells}</table><ul>{crossed}</ul>"
            "</details>")


def page(rows, curves, machine, http=None, timed=()):
    """A page of its own: no script, no other file."""
    parts = [plots.bars("Instructions for one operation",
                        [(f"{row.row} {row.name}",
                          [("Annulus", row.annulus.instructions or 0),
                           *((f"Linux: {one.way}", one.instructions) for one in row.linux[:1])])
                         for row in rows])]
    if timed:
        parts.append(plots.bars("Cycles of the host for one operation, the median",
                                [(f"{row.row} {row.name}",
                                  [("Annulus", row.annulus[1]),
                                   *((f"Linux: {way}", spread[1])
                                     for way, spread in row.linux[:1])]) for row in timed]))
    for curve in _with_crossings(curves):
        parts.append(plots.lines(curve["title"], curve["x"], curve["ways"], curve["crossovers"]))
        parts.append(_table_of_costs(curve))
    parts += serving_report.plots_of(http)
    return (f"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
            f"<title>Annulus against Linux</title>\n<style>body{{font:16px sans-serif;margin:2em;"
            f"max-width:70em}}</style>\n<h1>Annulus against Linux</h1>\n"
            f"<p>{html.escape(machine)}</p>\n" + "\n".join(parts) + "\n</html>\n")
