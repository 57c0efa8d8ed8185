# SPDX-License-Identifier: MIT
"""The check of the README's costs finds what differs, what is unknown, and a table that is gone."""

import unittest

import support  # noqa: F401
import costs

rows = [{"name": f"operation {i}", "instructions": 1000 + i} for i in range(9)]
lines = [f"| operation {i} | 1,00{i} | 9,999 | pipe |" for i in range(9)]


def text(table):
    return "\n".join(["# A", "| not | 5 |", "", "## What it costs", "", "| operation | Annulus |",
                      "|---|---|", *table, "", "## Next", "| operation 1 | 7 |", ""])


class Costs(unittest.TestCase):
    def test_a_table_that_agrees(self):
        self.assertEqual(costs.table(text(lines))[8], ("operation 8", 1008))
        self.assertEqual(costs.problems(text(lines), rows), [])

    def test_another_figure(self):
        found = costs.problems(text([*lines[:8], lines[8].replace("1,008", "1,007")]), rows)
        self.assertEqual(found, ["operation 8: 1007, but 1008 in bench/baseline.json"])

    def test_an_operation_that_is_not_measured(self):
        self.assertEqual(len(costs.problems(text([*lines, "| other | 3 | - | |"]), rows)), 1)

    def test_a_table_that_is_too_short_or_gone(self):
        self.assertEqual(len(costs.problems(text(lines[:7]), rows)), 1)
        self.assertEqual(len(costs.problems("# A\n", rows)), 1)


if __name__ == "__main__":
    unittest.main()
