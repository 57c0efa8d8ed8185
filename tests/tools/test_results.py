# SPDX-License-Identifier: MIT
"""Reports and budgets: nothing that did not run counts as passed."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import support  # noqa: F401
import budgets
import report
import transcript


def measured(row, name, *figures):
    return transcript.Measurement(row, name, *figures)


class Reports(unittest.TestCase):
    def finish(self, *bodies):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "report.json"
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                results = report.Report(path)
                for number, body in enumerate(bodies):
                    with results.suite(f"s{number}") as suite:
                        body(suite)
                failures = results.finish()
            return failures, output.getvalue(), json.loads(path.read_text())

    def test_passing(self):
        failures, text, data = self.finish(lambda suite: suite.passes("a"))
        self.assertEqual(failures, 0)
        self.assertEqual(text.splitlines()[-1], "1 passed, 0 failed")
        self.assertEqual(set(data), {"suites", "budgets"})
        self.assertEqual(set(data["suites"][0]),
                         {"name", "passed", "failed", "skipped", "seconds", "counters"})

    def test_an_empty_suite_fails(self):
        self.assertEqual(self.finish(lambda suite: None)[0], 1)
        self.assertEqual(self.finish(lambda suite: suite.skips("a", "no reason"))[0], 1)

    def test_an_exception_fails(self):
        self.assertEqual(self.finish(lambda suite: suite.passes(1 // 0))[0], 1)


class Budgets(unittest.TestCase):
    rows = [{"row": "1", "name": "null call", "instructions": 40, "entries": 1, "cr3_writes": 0}]

    def judge(self, released, counted):
        found, problems = budgets.judge(self.rows, released, counted)
        return found[0].met, problems

    def test_met(self):
        self.assertEqual(self.judge([measured("1", "null call", 40, 0, 0)],
                                    [measured("1", "null call", 55, 1, 0)]), (True, []))

    def test_exceeded(self):
        for released, counted in ((41, (1, 0)), (40, (2, 0)), (40, (1, 1))):
            self.assertFalse(self.judge([measured("1", "null call", released, 0, 0)],
                                        [measured("1", "null call", 0, *counted)])[0])

    def test_a_limit_above_the_budget_passes_but_is_not_met(self):
        row = {**self.rows[0], "limit": 46}
        for figure, passes in ((46, True), (47, False)):
            found, _ = budgets.judge([row], [measured("1", "null call", figure, 0, 0)],
                                     [measured("1", "null call", 0, 1, 0)])
            self.assertFalse(found[0].met)
            self.assertEqual(budgets._explain(row, found[0]) is None, passes)

    def test_either_figure_missing(self):
        good = [measured("1", "null call", 1, 1, 0)]
        self.assertFalse(self.judge([], good)[0])
        self.assertFalse(self.judge(good, [])[0])

    def test_a_measurement_without_a_budget(self):
        good = [measured("1", "null call", 1, 1, 0)]
        other = [measured("9", "new", 1, 1, 0)]
        self.assertEqual(len(self.judge(good + other, good)[1]), 1)

    def test_two_different_figures(self):
        good = measured("1", "null call", 1, 1, 0)
        self.assertEqual(len(self.judge([good, measured("1", "null call", 2, 1, 0)], [good])[1]), 1)


unittest.main()
