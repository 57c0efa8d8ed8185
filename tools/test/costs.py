# SPDX-License-Identifier: MIT
"""The README's table of costs says what bench/baseline.json holds."""

import json
import re

import project

_heading = "## What it costs"
_row = re.compile(r"^\| ([^|]+?) +\| +([\d,]+) +\|", re.MULTILINE)
_rows_min = 8


def table(text):
    """(operation, instructions) of each line of the table below the heading."""
    _, found, rest = text.partition(f"\n{_heading}\n")
    section = rest.partition("\n## ")[0] if found else ""
    return [(name, int(count.replace(",", ""))) for name, count in _row.findall(section)]


def problems(text, rows):
    """What is wrong with the README's `text`, for the baseline's rows."""
    stored = {row["name"]: row["instructions"] for row in rows}
    lines = table(text)
    wrong = []
    if len(lines) < _rows_min:
        wrong.append(f"{_heading}: {len(lines)} operations, {_rows_min} at least are expected")
    for name, count in lines:
        if name not in stored:
            wrong.append(f"{name}: is no operation of bench/baseline.json")
        elif stored[name] != count:
            wrong.append(f"{name}: {count}, but {stored[name]} in bench/baseline.json")
    return wrong


def run(report):
    with report.suite("costs") as suite:
        rows = json.loads((project.root / "bench" / "baseline.json").read_text())["rows"]
        found = problems((project.root / "README.md").read_text(), rows)
        suite.check("the README's costs are the baseline's", "\n".join(found) or None)
