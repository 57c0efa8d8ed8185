# SPDX-License-Identifier: MIT
"""What `make bench` makes of the figures: rows, ratios, targets, and what it refuses."""

import pathlib
import sys
import unittest

import support  # noqa: F401

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "bench"))
import comparison
import document
import linux
import machines
from transcript import Measurement

budgets = [{"row": "2", "name": "call", "instructions": 100},
           {"row": "12", "name": "ring entry, batch 128", "instructions": 40},
           {"row": "99", "name": "what Linux has not", "instructions": 1}]
released = [Measurement("2", "call", 120, 0, 0),
            Measurement("12", "ring entry, batch 128", 30, 0, 0),
            Measurement("99", "what Linux has not", 1, 0, 0)]
counted = [Measurement("2", "call", 999, 2, 2),
           Measurement("12", "ring entry, batch 128", 999, 0, 0),
           Measurement("99", "what Linux has not", 9, 0, 0)]
said = ["LINUX ROW 2 | pipe, 1 B | 9000", "LINUX ROW 2 | futex | 6000",
        "LINUX ROW 12 | io_uring NOP, alone | 800", "LINUX ROW 12 | io_uring NOP, 128 at once | 15",
        "LINUX POINT set | epoll | 1 | 10", "LINUX POINT set | epoll | 10 | 20", "LINUX END"]


def rows():
    found, _ = linux.parse(said)
    return comparison.compare(budgets, released, counted, released, 2.0, found, found)


class Comparisons(unittest.TestCase):
    def test_the_best_way_of_linux_comes_first(self):
        call = rows()[0]
        self.assertEqual([one.way for one in call.linux], ["futex", "pipe, 1 B"])
        self.assertEqual(call.ratio, 50)
        self.assertFalse(call.met)

    def test_the_adjusted_figure_weighs_entries_and_page_tables(self):
        call = rows()[0]
        self.assertEqual(call.annulus.adjusted, 120 + 2 * 130 + 2 * 380)
        self.assertEqual(call.linux[0].adjusted, 6000 + 4 * 130 + 2 * 380)
        self.assertEqual(call.annulus.wall_ns, 60)

    def test_a_batch_is_compared_with_a_batch(self):
        self.assertEqual([one.instructions for one in rows()[1].linux], [15])

    def test_a_row_without_an_equivalent_has_no_ratio(self):
        self.assertIsNone(rows()[2].ratio)

    def test_a_budget_that_was_not_measured_is_an_error(self):
        with self.assertRaises(KeyError):
            comparison.compare(budgets, released[1:], counted, [], 1.0, {}, {})

    def test_losses_are_told_first(self):
        text = document.text(rows(), [], "a machine")
        self.assertLess(text.index("Where Annulus loses"), text.index("## Rows"))
        self.assertIn("Row 12, ring entry, batch 128: 30 against 15 on Linux", text)
        self.assertIn("Row 2, call: 120, the target is 100", text)

    def test_page_and_data_hold_every_row(self):
        curve = {"id": "set", "title": "t", "x": "members", "note": "n",
                 "ways": linux.parse(said)[1]["set"]}
        self.assertIn("<svg", document.page(rows(), [curve], "a machine"))
        self.assertEqual(document.data(rows(), [curve], "a machine").count('"target"'), 3)


class Linux(unittest.TestCase):
    def test_what_does_not_end_is_no_result(self):
        with self.assertRaises(machines.Failure):
            linux.parse(said[:-1])

    def test_a_failure_is_passed_on(self):
        with self.assertRaisesRegex(machines.Failure, "no memory"):
            linux.parse(["LINUX FAIL mmap: no memory", "LINUX END"])

    def test_the_archive_is_one_that_linux_reads(self):
        data = linux.archive(b"program")
        self.assertEqual(len(data) % 4, 0)
        self.assertEqual(data.count(b"070701"), 3)
        self.assertTrue(data.rstrip(b"\0").endswith(b"TRAILER!!!"))


unittest.main()
