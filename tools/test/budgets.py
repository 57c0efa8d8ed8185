# SPDX-License-Identifier: MIT
"""Compares measured operations with tests/budgets.json.

Instructions come from the release kernel, kernel entries and CR3 writes from the counting kernel,
which perturbs the instructions. Every budget needs both, and every measurement needs a budget.

A row may have a `limit` above its budget: what is reached today. Then the report says that the
budget is not met, and the test fails above the limit, so that nothing is lost on the way down.
"""

import json

import project
import report as reports

path = project.root / "tests" / "budgets.json"


def _figures(measured):
    """Measurements of one variant by row and name; the same figure measured twice must agree."""
    found = {}
    problems = []
    for one in measured:
        key = (one.row, one.name)
        if key in found and found[key] != one:
            problems.append(f"row {one.row} {one.name}: measured twice with different results")
        found[key] = one
    return found, problems


def judge(rows, released, counted):
    """The report's budget rows, and problems that belong to no row.

    `released` and `counted` are measurements of the release and of the counting kernel.
    """
    released, problems = _figures(released)
    counted, more = _figures(counted)
    problems += more
    result = []
    for row in rows:
        key = (row["row"], row["name"])
        speed, count = released.pop(key, None), counted.pop(key, None)
        instructions = speed and speed.instructions
        entries, cr3_writes = (count.entries, count.cr3_writes) if count else (None, None)
        met = (instructions is not None and entries is not None and
               instructions <= row["instructions"] and entries <= row["entries"] and
               cr3_writes <= row["cr3_writes"])
        result.append(reports.Budget(row["row"], row["name"], instructions, entries, cr3_writes,
                                     row["instructions"], met))
    for row, name in sorted({*released, *counted}):
        problems.append(f"row {row} {name}: measured, but tests/budgets.json has no budget for it")
    return result, problems


def _explain(row, budget):
    within = row.get("limit", row["instructions"])
    if budget.met or (budget.instructions is not None and budget.entries is not None and
                      budget.instructions <= within and budget.entries <= row["entries"] and
                      budget.cr3_writes <= row["cr3_writes"]):
        return None
    return (f"instructions {budget.instructions} of {within}, "
            f"entries {budget.entries} of {row['entries']}, "
            f"CR3 writes {budget.cr3_writes} of {row['cr3_writes']}")


def run(report, measured):
    """`measured` is a list of (variant, measurements)."""
    if not path.exists() and not any(found for _, found in measured):
        return
    with report.suite("budgets") as suite:
        rows = json.loads(path.read_text())["rows"] if path.exists() else []
        by_variant = {variant: [one for name, found in measured if name == variant
                                for one in found] for variant in ("release", "counting")}
        report.budgets, problems = judge(rows, by_variant["release"], by_variant["counting"])
        for row, budget in zip(rows, report.budgets, strict=True):
            suite.check(f"row {budget.row} {budget.name}", _explain(row, budget))
        for problem in problems:
            suite.fails("rows", problem)
        suite.counters["met"] = sum(budget.met for budget in report.budgets)
        suite.counters["not met"] = len(report.budgets) - suite.counters["met"]
    for budget in report.budgets:
        if not budget.met:
            print(f"       not met: row {budget.row} {budget.name}: "
                  f"{budget.instructions} instructions, the budget is {budget.budget}", flush=True)
