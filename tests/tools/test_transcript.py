# SPDX-License-Identifier: MIT
"""The reader of the guest's test protocol notices what is missing, doubled or malformed."""

import unittest

import support  # noqa: F401
import transcript


def said(*lines):
    result = transcript.Transcript()
    for line in lines:
        result.add(line)
    return result


class Protocol(unittest.TestCase):
    def test_a_sound_suite_has_no_problem(self):
        one = said("boot: hello", "TEST PASS s.1 it works\r", "TEST FAIL s.two it fails -- 3 != 4",
                   "TEST COUNT s frames leaked 12", "TEST END s passed=1 failed=1")
        self.assertEqual(one.problems, [])
        self.assertTrue(one.ended(["s"]))
        self.assertEqual(one.suites["s"].cases["1"], ("it works", None))
        self.assertEqual(one.suites["s"].cases["two"], ("it fails", "3 != 4"))
        self.assertEqual(one.suites["s"].counters, {"frames leaked": 12})

    def test_a_missing_end_is_noticed(self):
        self.assertFalse(said("TEST PASS s.1 it works").ended(["s"]))
        self.assertFalse(said().ended(["s"]))

    def test_fewer_cases_than_the_end_says(self):
        one = said("TEST PASS s.1 it works", "TEST END s passed=2 failed=0")
        self.assertIn("END says 2", one.problems[0])

    def test_an_end_without_cases(self):
        self.assertIn("without a case", said("TEST END s passed=0 failed=0").problems[0])

    def test_a_case_twice(self):
        self.assertIn("twice", said("TEST PASS s.1 a", "TEST PASS s.1 a").problems[0])

    def test_cases_after_the_end(self):
        one = said("TEST PASS s.1 a", "TEST END s passed=1 failed=0", "TEST PASS s.2 b")
        self.assertIn("after its END", one.problems[0])

    def test_a_panic_anywhere(self):
        self.assertEqual(len(said("cpu 1: panic: no").panics), 1)

    def test_an_error_that_is_not_described(self):
        self.assertEqual(len(said("undescribed: memory (object type 1) answered x").problems), 1)

    def test_malformed_lines(self):
        for line in ("TEST PASS s it has no id", "TEST END s passed=1", "BUDGET 1 x", "TEST"
                     " FAIL s.1 no detail"):
            self.assertEqual(len(said(line).problems), 1, line)

    def test_budget_and_monitor(self):
        one = transcript.Transcript()
        self.assertEqual(one.add("MONITOR wx"), "wx")
        self.assertIsNone(one.add("BUDGET 2 call and reply instructions=170 entries=2 cr3=2"))
        self.assertEqual(one.measurements,
                         [transcript.Measurement("2", "call and reply", 170, 2, 2)])


unittest.main()
