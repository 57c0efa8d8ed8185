# SPDX-License-Identifier: MIT
"""The check of object types finds what is not documented or not tested."""

import unittest

import support  # noqa: F401
import kinds

text = """
enum class ObjectType : uint8_t {
    none = 0,
    budget = 1,
    ports = 10,  // of a device
    any = 31,
};
"""
complete = ["docs/object/budget.md", "tests/abi/budget/main.cpp", "docs/object/ports.md",
            "tests/abi/hardware/main.cpp"]


class Kinds(unittest.TestCase):
    def test_types(self):
        self.assertEqual(kinds.types(text), ["budget", "ports"])

    def test_nothing_missing(self):
        self.assertEqual(kinds.problems(text, complete), [])

    def test_each_missing_file(self):
        for path in complete:
            found = kinds.problems(text, [other for other in complete if other != path])
            self.assertEqual([line.split(":")[0] for line in found], [path])


if __name__ == "__main__":
    unittest.main()
