# SPDX-License-Identifier: MIT
"""The protocol that tests in the guest speak on the serial port.

    TEST PASS <suite>.<id> <sentence>
    TEST FAIL <suite>.<id> <sentence> -- <detail>
    TEST COUNT <suite> <name> <number>
    BUDGET <row> <name> instructions=<n> entries=<n> cr3=<n>
    MONITOR <check>
    TEST END <suite> passed=<n> failed=<n>

A suite has ended well if its END agrees with the lines before it.
"""

import dataclasses
import re

_forms = {
    "pass": re.compile(r"TEST PASS (\w+)\.(\S+) (.+)"),
    "fail": re.compile(r"TEST FAIL (\w+)\.(\S+) (.+?) -- (.*)"),
    "count": re.compile(r"TEST COUNT (\w+) (.+) (\d+)"),
    "end": re.compile(r"TEST END (\w+) passed=(\d+) failed=(\d+)"),
    "budget": re.compile(r"BUDGET (\S+) (.+) instructions=(\d+) entries=(\d+) cr3=(\d+)"),
    "monitor": re.compile(r"MONITOR (\w+)"),
}
# A debug kernel also says when an operation answers an error that its description does not name.
_problem = re.compile(r"\bundescribed: ")
_panic = re.compile(r"\bpanic: ")


@dataclasses.dataclass
class Measurement:
    row: str
    name: str
    instructions: int
    entries: int
    cr3_writes: int


@dataclasses.dataclass
class GuestSuite:
    cases: dict = dataclasses.field(default_factory=dict)  # id -> (sentence, detail or None)
    counters: dict = dataclasses.field(default_factory=dict)
    end: tuple | None = None


class Transcript:
    """What one boot has said so far."""

    def __init__(self):
        self.lines = []
        self.suites = {}
        self.measurements = []
        self.problems = []
        self.panics = []

    def add(self, line):
        """Takes one line; returns the name of a monitor check when the line asks for one."""
        line = line.rstrip("\r\n")
        self.lines.append(line)
        if _problem.search(line):
            self.problems.append(line)
        if _panic.search(line):
            self.panics.append(line)
        if not line.startswith(("TEST ", "BUDGET ", "MONITOR ")):
            return None
        for form, pattern in _forms.items():
            match = pattern.fullmatch(line)
            if match:
                return getattr(self, f"_{form}")(*match.groups())
        self.problems.append(f"not a line of the test protocol: {line}")
        return None

    def ended(self, names):
        return all(name in self.suites and self.suites[name].end for name in names)

    def _suite(self, name):
        suite = self.suites.setdefault(name, GuestSuite())
        if suite.end:
            self.problems.append(f"{name} goes on after its END")
        return suite

    def _case(self, suite, case, sentence, detail):
        cases = self._suite(suite).cases
        if case in cases:
            self.problems.append(f"{suite}.{case} ran twice")
        cases[case] = (sentence, detail)

    def _pass(self, suite, case, sentence):
        self._case(suite, case, sentence, None)

    def _fail(self, suite, case, sentence, detail):
        self._case(suite, case, sentence, detail or "no detail")

    def _count(self, suite, name, number):
        self._suite(suite).counters[name] = int(number)

    def _budget(self, row, name, *figures):
        self.measurements.append(Measurement(row, name, *map(int, figures)))

    def _monitor(self, check):
        return check

    def _end(self, name, passed, failed):
        suite = self._suite(name)
        suite.end = (int(passed), int(failed))
        seen_failed = sum(detail is not None for _, detail in suite.cases.values())
        seen = (len(suite.cases) - seen_failed, seen_failed)
        if seen != suite.end:
            self.problems.append(f"{name}: END says {passed} passed and {failed} failed, "
                                 f"seen were {seen[0]} and {seen[1]}")
        if not suite.cases:
            self.problems.append(f"{name} ended without a case")
