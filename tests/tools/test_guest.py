# SPDX-License-Identifier: MIT
"""A boot passes only if the guest says all that is expected, ends cleanly and in time.

A small Python program stands in for QEMU: it prints lines and ends with a status.
"""

import pathlib
import sys
import tempfile
import types
import unittest

import support  # noqa: F401
import guest
import report

good = "TEST PASS s.1 works\nTEST END s passed=1 failed=0\n"


class FakeMachine:
    kernel = image = pathlib.Path(__file__)

    def __init__(self, program):
        self.program = program

    def arguments(self):
        return [sys.executable, "-u", "-c", self.program]


def run(program, **scenario):
    scenario = {"name": "fake", "system": "fake", "expect": ["s"], **scenario}
    boot = guest.Boot(scenario, "release", 1)
    guest.silence_limit = guest.exit_limit = 1.5
    with tempfile.TemporaryDirectory() as folder:
        one = guest.Run(boot, folder)
        one.machine = lambda: FakeMachine(program)
        one.run()
    suite = report.Suite("fake")
    guest.judge(one, suite)
    return {case for case, _ in suite.failed}, set(suite.passed)


def says(text, status=33):
    return f"import os; print({text!r}, end='', flush=True); os._exit({status})"


class Boots(unittest.TestCase):
    def test_a_good_boot(self):
        failed, passed = run(says(good))
        self.assertEqual(failed, set())
        self.assertEqual(passed, {"s.1 works", "s ends", "powers off"})

    def test_a_failed_case(self):
        self.assertIn("s.1 works", run(says("TEST FAIL s.1 works -- no\n"
                                            "TEST END s passed=0 failed=1\n"))[0])

    def test_an_early_end(self):
        self.assertEqual(run(says("TEST PASS s.1 works\n"))[0], {"s ends"})

    def test_another_status(self):
        self.assertEqual(run(says(good, 0))[0], {"powers off"})

    def test_a_panic(self):
        self.assertIn("serial", run(says(good + "panic: no\n", 35))[0])

    def test_a_panic_that_is_expected(self):
        self.assertEqual(run(says(good + "panic: yes\n", 35), exit="panicked")[0], set())
        self.assertEqual(run(says(good + "panic: yes\n", 33), exit="panicked")[0], {"powers off"})
        self.assertEqual(run(says(good, 35), exit="panicked")[0], {"panics once"})
        self.assertEqual(run(says(good + "panic: 1\npanic: 2\n", 35), exit="panicked")[0],
                         {"panics once"})

    def test_an_unexpected_suite(self):
        self.assertEqual(run(says(good.replace("s.1", "t.1").replace("END s", "END t") + good))[0],
                         {"t"})

    def test_silence(self):
        failed, _ = run(f"import time; print({good!r}, end=''); time.sleep(60)")
        self.assertEqual(failed, {"progress", "powers off"})

    def test_endless_noise(self):
        failed, _ = run("import time\nwhile True: print('x'); time.sleep(0.1)", timeout=2)
        self.assertIn("progress", failed)

    def test_serving(self):
        failed, _ = run(f"import time; print({good!r}, end=''); time.sleep(60)", exit="serves")
        self.assertEqual(failed, set())

    def test_a_talk(self):
        program = ("import os\nprint('shell> ', end='')\nassert input() == 'hi'\n"
                   f"print('hello')\nprint({good!r}, end='')\nos._exit(33)")
        talk = [{"wait": "shell> $", "send": "hi\n"}, {"wait": "^hello$"}]
        self.assertEqual(run(program, script=talk)[0], set())
        talk[1]["wait"] = "^goodbye$"
        self.assertEqual(run(program, script=talk)[0], {"step 1: ^goodbye$"})

    def test_figures_of_a_talk(self):
        program = f"import os\nprint('used 31.5')\nprint({good!r}, end='')\nos._exit(33)"
        step = {"wait": "^used (?P<used>[0-9.]+)$", "at_most": {"used": 31.5}}
        self.assertEqual(run(program, script=[step])[0], set())
        step["at_most"]["used"] = 31.4
        self.assertEqual(run(program, script=[step])[0], {"used is at most 31.4"})

    def test_the_best_of_some_boots(self):
        boots = [types.SimpleNamespace(clients=[types.SimpleNamespace(counters={"ms": number})])
                 for number in (30, 10, 20)]
        for most, failed in ((10, []), (9, ["ms: the best of 3 is at most 9"])):
            suite = report.Suite("fake")
            guest.judge_best({"best": {"ms": most}}, boots, suite)
            self.assertEqual([case for case, _ in suite.failed], failed)
        suite = report.Suite("fake")
        guest.judge_best({"best": {"other": 1}}, boots, suite)
        self.assertEqual(len(suite.failed), 1)

    def test_a_check_that_the_guest_did_not_ask_for(self):
        self.assertIn("monitor.wx", run(says(good), checks=["wx"])[0])


unittest.main()
