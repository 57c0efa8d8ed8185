# SPDX-License-Identifier: MIT
"""Results: suites of cases, budgets, the report file and the summary."""

import contextlib
import dataclasses
import json
import threading
import time

import jobs


class Suite:
    """Cases of one kind. A suite that ends without any case counts as one failure."""

    def __init__(self, name):
        self.name = name
        self.passed = []
        self.failed = []  # (case, detail)
        self.skipped = []  # (case, reason)
        self.counters = {}
        self.seconds = 0.0
        self._began = time.monotonic() - jobs.waited()

    def passes(self, case):
        self.passed.append(case)

    def fails(self, case, detail):
        self.failed.append((case, detail))

    def skips(self, case, reason):
        self.skipped.append((case, reason))

    def check(self, case, problem):
        """Passes when there is no problem; a problem is a text."""
        if problem:
            self.fails(case, problem)
        else:
            self.passes(case)

    def finish(self):
        self.seconds = time.monotonic() - jobs.waited() - self._began
        if not self.passed and not self.failed:
            self.fails("runs", "no case of this suite ran")


@dataclasses.dataclass
class Budget:
    """One row of the performance table: figures measured, and the instructions allowed."""

    row: str
    name: str
    instructions: int | None
    entries: int | None
    cr3_writes: int | None
    budget: int
    met: bool


class Report:
    """Collects finished suites from several threads and prints each as it comes."""

    def __init__(self, path):
        self._path = path
        self._lock = threading.Lock()
        self._suites = []
        self.budgets = []

    @contextlib.contextmanager
    def suite(self, name):
        """Runs a suite; an exception inside is a failed case, so that nothing vanishes."""
        suite = Suite(name)
        try:
            yield suite
        except Exception as error:
            suite.fails("runs", f"{type(error).__name__}: {error}")
        suite.finish()
        self.add(suite)

    def add(self, suite):
        with self._lock:
            self._suites.append(suite)
            print(_line(suite), flush=True)

    def failed(self):
        return sum(len(suite.failed) for suite in self._suites)

    def finish(self):
        """Writes the file and prints the failures' last line; returns the number of failures."""
        suites = [{"name": suite.name, "passed": len(suite.passed), "failed": len(suite.failed),
                   "skipped": len(suite.skipped), "seconds": round(suite.seconds, 2),
                   "counters": suite.counters} for suite in self._suites]
        budgets = [dataclasses.asdict(budget) for budget in self.budgets]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({"suites": suites, "budgets": budgets}, indent=1) + "\n")
        passed = sum(suite["passed"] for suite in suites)
        print(f"{passed} passed, {self.failed()} failed", flush=True)
        return self.failed()


def _line(suite):
    skipped = f", {len(suite.skipped)} skipped" if suite.skipped else ""
    verdict = "FAILED" if suite.failed else "ok"
    lines = [f"{verdict:6} {suite.name}: {len(suite.passed)} of "
             f"{len(suite.passed) + len(suite.failed)} cases{skipped} ({suite.seconds:.1f} s)"]
    for case, detail in suite.failed:
        lines.append(f"       {suite.name}: {case}")
        lines += [f"           {line}" for line in detail.rstrip().splitlines()]
    for case, reason in suite.skipped:
        lines.append(f"       skipped {case}: {reason}")
    return "\n".join(lines)
