# SPDX-License-Identifier: MIT
"""The page-table walk finds pages that are writable and executable, and only those."""

import unittest

import support  # noqa: F401
import monitor

present, writable, huge, no_execute = 1, 2, 1 << 7, 1 << 63


class FakeMemory:
    """Page tables at 0x1000, 0x2000, ... that a test fills in."""

    def __init__(self):
        self.tables = {number * 0x1000: [0] * 512 for number in range(1, 6)}

    def page(self, address):
        return self.tables[address]

    def registers(self):
        return [{"CR0": 1 << 16, "CR3": 0x1000, "CR4": 0, "EFER": 1 << 11}]

    def chain(self, flags=(writable,) * 3):
        for level, bits in enumerate(flags):
            self.tables[0x1000 * (level + 1)][0] = 0x1000 * (level + 2) | present | bits


class Walk(unittest.TestCase):
    def test_reports_a_writable_and_executable_page(self):
        memory = FakeMemory()
        memory.chain()
        memory.tables[0x4000][3] = 0x9000 | present | writable
        problem, counters = monitor.check_wx(memory)
        self.assertIn("0x0000000000003000: 4 KiB", problem)
        self.assertEqual(counters, {"leaves": 1, "executable": 1})

    def test_a_level_above_can_take_either_right_away(self):
        for flags in ((writable, 0, writable), (writable, writable | no_execute, writable)):
            memory = FakeMemory()
            memory.chain(flags)
            memory.tables[0x4000][3] = 0x9000 | present | writable
            memory.tables[0x1000][511] = 0x5000 | present
            memory.tables[0x5000][0] = 1 << 30 | present | huge  # Read, execute.
            self.assertEqual(monitor.check_wx(memory)[0], "", flags)

    def test_kernel_code_that_is_writable_elsewhere(self):
        memory = FakeMemory()
        memory.chain()
        memory.tables[0x4000][3] = 0x203000 | present  # Kernel code.
        memory.tables[0x3000][1] = 0x200000 | present | writable | huge | no_execute
        self.assertEqual(monitor.check_wx(memory)[0],
                         "0x0000000000003000: kernel code, writable through 0x0000000000200000")
        memory.tables[0x3000][1] = 0x400000 | present | writable | huge | no_execute
        self.assertEqual(monitor.check_wx(memory)[0], "")
        memory.tables[0x3000][1] = 0
        memory.tables[0x4000][9] = 0x203000 | present | writable | no_execute
        self.assertIn("through 0x0000000000009000", monitor.check_wx(memory)[0])

    def test_huge_pages_and_the_upper_half(self):
        memory = FakeMemory()
        memory.tables[0x1000][511] = 0x2000 | present | writable
        memory.tables[0x2000][510] = 0x3000 | present | writable
        memory.tables[0x3000][1] = 0x200000 | present | writable | huge
        self.assertIn("0xffffffff80200000: 2048 KiB", monitor.check_wx(memory)[0])

    def test_seeing_nothing_is_a_problem(self):
        self.assertIn("saw nothing", monitor.check_wx(FakeMemory())[0])

    def test_the_bits_that_make_it_count(self):
        memory = FakeMemory()
        memory.registers = lambda: [{"CR0": 0, "CR3": 0x1000, "CR4": 0, "EFER": 0}]
        problem, _ = monitor.check_wx(memory)
        self.assertIn("CR0.WP", problem)
        self.assertIn("EFER.NXE", problem)

    def test_protections(self):
        memory = FakeMemory()
        self.assertIn("SMAP is off", monitor.check_protections(memory)[0])
        memory.registers = lambda: [{"CR4": 1 << 20 | 1 << 21 | 1 << 11}]
        self.assertEqual(monitor.check_protections(memory), ("", {"cpus": 1}))


unittest.main()
