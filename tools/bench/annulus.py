# SPDX-License-Identifier: MIT
"""Annulus under measurement: the programs of the budgets in tests/, and those of the curves."""

import re

import machines
import project
import transcript

_image = project.target / "images" / "test_budgets.img"
_curves_image = project.target / "images" / "bench_curves.img"
_marks = ("BUDGET ", "POINT ", "FIGURE ", "TEST ")


def kernel(variant):
    return project.target / "kernel" / f"kernel-{variant}.elf"


def parse(lines, suite="budgets"):
    """Measurements of one boot, in which the suite must have ended well."""
    said = transcript.Transcript()
    for line in lines:
        said.add(line)
    failed = [f"{name}.{case}: {detail}" for name, part in said.suites.items()
              for case, (_, detail) in part.cases.items() if detail]
    if failed or said.problems or not said.ended([suite]):
        raise machines.Failure("the programs on Annulus failed: " +
                               "; ".join(failed + said.problems or lines[-5:]))
    return said.measurements


def measure():
    """(measurements of the release kernel, of the counting kernel)."""
    released = machines.boot_twice("Annulus", kernel("release"), _image, "", _marks)
    counted = [line for line in machines.boot(kernel("counting"), _image)
               if line.startswith(_marks)]
    return parse(released), parse(counted)


def parse_curves(lines):
    """(curves, figures): curve -> way -> [(x, instructions)], and (row, name) ->
    (instructions, entries, loads)."""
    parse([line for line in lines if not line.startswith(("POINT ", "FIGURE "))], "curves")
    curves, figures = {}, {}
    for line in lines:
        if line.startswith("POINT "):
            curve, way, x, figure = line.removeprefix("POINT ").split(" | ")
            curves.setdefault(curve, {}).setdefault(way, []).append((int(x), int(figure)))
        elif line.startswith("FIGURE "):
            row, name, *found = line.removeprefix("FIGURE ").split(" | ")
            figures[row, name] = tuple(map(int, found))
    return curves, figures


def measure_curves():
    """(curves, figures): instructions are of the release kernel, the rest of the counting one."""
    lines = machines.boot_twice("Annulus's curves", kernel("release"), _curves_image, "", _marks)
    curves, released = parse_curves(lines)
    _, counted = parse_curves([line for line in machines.boot(kernel("counting"), _curves_image)
                               if line.startswith(_marks)])
    return curves, {key: (instructions, *counted[key][1:])
                    for key, (instructions, _, _) in released.items()}


def measure_figures_time():
    """The figures of the curves' program as parse_curves() answers, in cycles of the host."""
    lines = machines.boot(kernel("release"), _curves_image, icount=False)
    return parse_curves([line for line in lines if line.startswith(_marks)])[1]


def measure_time():
    """(measurements in cycles of the host, of one boot; cycles per nanosecond)."""
    lines = machines.boot(kernel("release"), _image, icount=False)
    rate = next((int(match[1]) for line in lines
                 if (match := re.search(r"(\d+) MHz cycle counter", line))), None)
    if rate is None:
        raise machines.Failure("Annulus did not say how fast the cycle counter is")
    return parse([line for line in lines if line.startswith(_marks)]), rate / 1000
