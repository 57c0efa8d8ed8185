# SPDX-License-Identifier: MIT
"""Rows of Annulus against those that were stored: what a change did.

Counted figures have no noise, so one more than stored is worse.
"""

import json

_figures = ("instructions", "entries", "cr3_writes")


def record(released, counted):
    """What is stored: a list of {"row", "name", "instructions", "entries", "cr3_writes"}."""
    counts = {(one.row, one.name): one for one in counted}
    return [{"row": one.row, "name": one.name, "instructions": one.instructions,
             "entries": counts[one.row, one.name].entries,
             "cr3_writes": counts[one.row, one.name].cr3_writes} for one in released]


def store(path, rows):
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    path.write_text(f'{{"rows": [\n{lines}\n]}}\n')


def load(path):
    return json.loads(path.read_text())["rows"]


def compare(before, now):
    """(lines of a table, whether something got worse). A row that is gone is worse."""
    old = {(row["row"], row["name"]): row for row in before}
    new = {(row["row"], row["name"]): row for row in now}
    lines, worse = [], False
    for key in [*old, *(key for key in new if key not in old)]:
        name = f"row {key[0]:<4} {key[1]}"
        if key not in new:
            lines.append(f"GONE    {name}")
            worse = True
        elif key not in old:
            lines.append(f"new     {name}: {new[key]['instructions']:,}")
        else:
            changes = [f"{what.replace('_', ' ')} {old[key][what]:,} -> {new[key][what]:,}"
                       for what in _figures if old[key][what] != new[key][what]]
            if any(new[key][what] > old[key][what] for what in _figures):
                lines.append(f"WORSE   {name}: {', '.join(changes)}")
                worse = True
            elif changes:
                lines.append(f"better  {name}: {', '.join(changes)}")
            else:
                lines.append(f"same    {name}: {new[key]['instructions']:,}")
    return lines, worse
