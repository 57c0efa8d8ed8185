# SPDX-License-Identifier: MIT
"""The check of limits finds those without a test at the limit and one above."""

import pathlib
import unittest

import support  # noqa: F401
import limits

header = pathlib.PurePosixPath("abi/limits.h")
other = pathlib.PurePosixPath("services/x/y.h")
sources = {
    header: "inline constexpr unsigned depth = 4;\n",
    other: "    static constexpr size_t name_max = 8;\nconstexpr uint64_t maximum = 3;\n",
}


def case(body):
    return f"TEST(one, \"promise\") {{\n    {body}\n}}\n"


def missing(*bodies, exceptions=None):
    tests = {"tests/a.cpp": "".join(case(body) for body in bodies)}
    return limits.problems(sources, tests, exceptions or {})


class Limits(unittest.TestCase):
    def test_what_counts(self):
        self.assertEqual(limits.limits(header, sources[header]), ["depth"])
        self.assertEqual(limits.limits(other, sources[other]), ["name_max"])
        self.assertEqual(limits.limits(other, "constexpr uint64_t max_size = 1;"), ["max_size"])
        self.assertEqual(limits.limits(other, "const unsigned a_max = 1;\nx = a_max;"), [])

    def test_both_named(self):
        self.assertEqual(missing("f(abi::depth); g(abi::depth + 1);",
                                 "f(name_max); g(2 * y::name_max);"), [])
        self.assertEqual(missing("f(depth); g(depth / 2);",
                                 "f(name_max); g(uint64_t{name_max} / 2);"), [])
        self.assertEqual(missing("f(depth - 1); g(depth);",
                                 "// name_max, and name_max + 1"), [])

    def test_cast(self):
        self.assertEqual(missing("f(depth); g(uint64_t{abi::depth} + 1);",
                                 "f(name_max); g(name_max + 1);"), [])

    def test_missing(self):
        good = "f(name_max); g(name_max + 1);"
        for bad in ("", "f(depth);", "f(depth + 1);", "f(depth); g(depth + 10);",
                    "f(in_depth); g(in_depth + 1);", "f(depth); g(2 * depth_of);"):
            found = missing(bad, good)
            self.assertEqual(len(found), 1, bad)
            self.assertIn("depth has no test", found[0])

    def test_one_case_holds_both(self):
        self.assertEqual(len(missing("f(depth);", "f(depth + 1);",
                                     "f(name_max); g(name_max + 1);")), 1)

    def test_exceptions(self):
        good = "f(name_max); g(name_max + 1);"
        self.assertEqual(missing(good, exceptions={"abi/limits.h": {"depth": "why"}}), [])
        self.assertEqual(len(missing(good, exceptions={"abi/limits.h": {"depth": " "}})), 1)
        self.assertEqual(len(missing(good, exceptions={"abi/other.h": {"depth": "why"}})), 2)

    def test_needless_exception(self):
        bodies = ("f(depth); g(depth + 1);", "f(name_max); g(name_max + 1);")
        self.assertEqual(len(missing(*bodies, exceptions={"abi/limits.h": {"depth": "why"}})), 1)

    def test_two_of_one_name(self):
        twice = {header: "constexpr unsigned a_max = 1;", other: "constexpr unsigned a_max = 2;"}
        tests = {"tests/a.cpp": case("f(a_max); g(a_max + 1);")}
        self.assertEqual(limits.problems(twice, tests, {}), [])
        self.assertEqual(limits.problems(twice, tests, {"abi/limits.h": {"a_max": "why"}}), [])


if __name__ == "__main__":
    unittest.main()
