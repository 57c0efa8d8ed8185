# SPDX-License-Identifier: MIT
"""Jobs: two slots, served in order; a program that hangs is ended with its children."""

import threading
import time
import unittest

import support  # noqa: F401
import jobs


class Slots(unittest.TestCase):
    def test_a_large_job_is_not_overtaken(self):
        order = []
        begun = threading.Event()

        def job(name, weight, seconds):
            with jobs.heavy(weight):
                begun.set()
                order.append(name)
                time.sleep(seconds)

        threads = []
        for name, weight in (("first", 1), ("large", 2), ("small", 1)):
            threads.append(threading.Thread(target=job, args=(name, weight, 0.3)))
            threads[-1].start()
            begun.wait()
            time.sleep(0.05)
        for thread in threads:
            thread.join()
        self.assertEqual(order, ["first", "large", "small"])


class Programs(unittest.TestCase):
    def test_status_and_output(self):
        result = jobs.run(["sh", "-c", "echo out; echo error >&2; exit 3"])
        self.assertEqual((result.status, result.output), (3, "out\nerror\n"))
        self.assertIn("status 3", result.explain())

    def test_a_hanging_program_is_ended_with_its_children(self):
        started = time.monotonic()
        result = jobs.run(["sh", "-c", "sleep 60 & echo begun; wait"], timeout=0.5)
        self.assertLess(time.monotonic() - started, 10)
        self.assertIsNone(result.status)
        self.assertIn("ran out of time", result.explain())

    def test_a_signal_is_named(self):
        self.assertIn("SIGKILL", jobs.run(["sh", "-c", "kill -9 $$"]).explain())


unittest.main()
