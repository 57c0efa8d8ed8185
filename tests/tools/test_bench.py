# SPDX-License-Identifier: MIT
"""What `make bench` makes of the figures: rows, ratios, targets, and what it refuses."""

import json
import pathlib
import sys
import tempfile
import unittest

import support  # noqa: F401

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "bench"))
import annulus
import baseline
import comparison
import crossing
import document
import flame
import further
import linux
import machines
import nginx
import profiling
import serving
import serving_report
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


slower = [Measurement("2", "call", 220, 0, 0)]


def rows():
    found, _ = linux.parse(said)
    return comparison.compare(budgets, released, counted, [released, slower], 2.0, found, [found])


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

    def test_times_have_the_noise_of_several_boots(self):
        call, ring, _ = rows()
        self.assertEqual(call.annulus.wall, (60, 85, 110))
        self.assertEqual(ring.annulus.wall, (15, 15, 15))
        self.assertEqual(call.linux[0].wall, (3000, 3000, 3000))
        self.assertEqual(call.record()["annulus"]["wall_most_ns"], 110)
        self.assertIn("| 85.0 (60.0 - 110.0) |", document.text(rows(), [], "a machine"))

    def test_a_batch_is_compared_with_a_batch(self):
        self.assertEqual([one.instructions for one in rows()[1].linux], [15])

    def test_a_wait_for_many_is_compared_with_one_for_as_many(self):
        names = [f"wait_any of {count}, block and wake" for count in (1, 8, 128)]
        measured = [Measurement("8", name, 1, 0, 0) for name in names]
        ways = {"8": [(f"futex_waitv of {count}", count) for count in (1, 8, 128)]}
        found = comparison.compare(
            [{"row": "8", "name": name, "instructions": 1} for name in names], measured, measured,
            [], 1.0, ways, [])
        self.assertEqual([[one.instructions for one in row.linux] for row in found],
                         [[1], [8], [128]])

    def test_a_row_without_an_equivalent_has_no_ratio(self):
        self.assertIsNone(rows()[2].ratio)

    def test_a_budget_that_was_not_measured_is_an_error(self):
        with self.assertRaises(KeyError):
            comparison.compare(budgets, released[1:], counted, [], 1.0, {}, [])

    def test_losses_are_told_first(self):
        text = document.text(rows(), [], "a machine")
        self.assertLess(text.index("Where Annulus loses"), text.index("## Rows"))
        self.assertIn("Row 12, ring entry, batch 128: 30 against 15 on Linux", text)
        self.assertIn("Row 2, call: 120, the target is 100", text)

    def test_a_curve_tells_where_it_is_above_linux(self):
        curve = {"id": "c", "title": "t", "x": "bytes", "note": "n",
                 "ways": {"Annulus: call": [(1, 10), (4, 30)], "Annulus: ring": [(1, 20), (4, 25)],
                          "Linux: pipe": [(1, 15), (4, 24)]}}
        text = document.text([], [curve], "a machine")
        self.assertIn('- Curve "t", bytes: 4 (25 against 24).', text)

    def test_page_and_data_hold_every_row(self):
        curve = {"id": "set", "title": "t", "x": "members", "note": "n",
                 "ways": linux.parse(said)[1]["set"]}
        self.assertIn("<svg", document.page(rows(), [curve], "a machine"))
        self.assertEqual(document.data(rows(), [curve], "a machine").count('"target"'), 3)


def spread(median):
    return {"least": median - 1.0, "median": median, "most": median + 1.0}


def load(size, own, other, cpus=1):
    return {"size": size, "connections": 8, "keep_alive": True, "cpus": cpus,
            "annulus": {"by_cpu": spread(own), "by_wall": spread(own)},
            "linux": {"by_cpu": spread(other), "by_wall": spread(other)}}


started = {"first_answer_ms": spread(300.0), "memory_mib": 20.0, "image_mib": 2.0}
http = {"runs": 3, "loads": [load(0, 900.0, 600.0), load(1024, 500.0, 600.0),
                             load(65536, 100.0, 101.0)],
        "instructions": [{"size": 1024, "annulus": 90, "linux": 100},
                         {"size": 65536, "annulus": 110, "linux": 100}],
        "start": {"annulus": started, "linux": started}}


class Serving(unittest.TestCase):
    def test_what_wrk_says_is_read(self):
        said = "  1109 requests in 2.01s, 1.33MB read\n"
        self.assertEqual(serving.parse_wrk(said), (1109, 2.01, None))
        self.assertEqual(serving.parse_wrk("  9 requests in 500.00ms, 1.33MB read\n")[1], 0.5)

    def test_an_answer_that_is_none_is_an_error(self):
        said = "  9 requests in 2.01s, 1.33MB read\n  Non-2xx or 3xx responses: 9\n"
        self.assertIsNotNone(serving.parse_wrk(said)[2])
        self.assertIsNotNone(serving.parse_wrk("unable to connect")[2])

    def test_a_load_under_which_linux_serves_more_is_a_loss(self):
        lines = serving_report.losses(http)
        self.assertEqual(len(lines), 3)
        self.assertIn("64 KiB, kept alive: 110 guest instructions", lines[2])
        self.assertIn("1 KiB", lines[0])
        self.assertNotIn("overlap", lines[0])
        self.assertIn("overlap", lines[1])

    def test_losses_come_first_in_the_report_too(self):
        text = document.text(rows(), [], "a machine", http)
        self.assertLess(text.index("- HTTP, 1 KiB"), text.index("## Rows"))
        self.assertIn("| 1.50 |", text)

    def test_the_page_and_the_data_have_them(self):
        self.assertIn("HTTP requests", document.page(rows(), [], "a machine", http))
        self.assertIn('"connections": 8', document.data(rows(), [], "a machine", http))

    def test_the_data_keep_their_shape(self):
        found = json.loads(document.data(rows(), [], "a machine", http))
        self.assertEqual(set(found), {"machine", "rows", "curves", "http"})
        for row in found["rows"]:
            self.assertLessEqual({"row", "name", "annulus", "linux", "sel4", "target", "met",
                                  "note"}, set(row))
            for figures in (one for one in (row["annulus"], row["linux"]) if one is not None):
                self.assertLessEqual({"instructions", "entries", "cr3_writes", "adjusted",
                                      "wall_ns"}, set(figures))
        self.assertEqual([one["kind"] for one in found["http"]],
                         ["load"] * 3 + ["instructions"] * 2 + ["start"] * 2)
        self.assertEqual([one["system"] for one in found["http"][-2:]], ["annulus", "linux"])
        self.assertEqual(json.loads(document.data(rows(), [], "a machine"))["http"], [])

    def test_two_cpus_are_named(self):
        two = {**http, "loads": [load(1024, 500.0, 600.0, cpus=2)]}
        self.assertIn("kept alive, two CPUs: 500.0", serving_report.losses(two)[0])
        self.assertIn("| 1 KiB | 2 | 8 | kept alive |", document.text(rows(), [], "m", two))
        self.assertIn("kept alive, two CPUs", document.page(rows(), [], "m", two))

    def test_modules_come_behind_what_they_need(self):
        modules = {"card": b"x\0depends=ring,bus\0", "ring": b"\0depends=bus\0",
                   "bus": b"depends=\0"}
        self.assertEqual(nginx.in_order(["card"], modules.get), ["bus", "ring", "card"])


def stored(instructions, entries=2, row="2"):
    return {"row": row, "name": "call", "instructions": instructions, "entries": entries,
            "cr3_writes": 2}


class Further(unittest.TestCase):
    figures = {(entry.row, entry.figure): (1000 + number, 4, 2)
               for number, entry in enumerate(further.catalogue)}
    linux_ways = {"14": [("pipe, 4 KiB", 40), ("pipe, 64 KiB", 640)],
                  "24": [("UDP echo of 64 B", 5)]}

    def rows(self):
        return further.compare(self.figures, self.linux_ways)

    def test_each_row_meets_its_own_equivalent(self):
        found = {row.name: [one.instructions for one in row.linux] for row in self.rows()}
        self.assertEqual(found["4 KiB handed over and back"], [40])
        self.assertEqual(found["64 B there and back by UDP, loopback"], [5])
        self.assertEqual(found["64 B there and back by TCP, loopback"], [])

    def test_rows_have_entries_loads_and_bytes_too(self):
        row = next(row for row in self.rows() if row.name == "4 KiB handed over and back")
        self.assertEqual(row.annulus.adjusted, row.annulus.instructions + 4 * 130 + 2 * 380)
        self.assertEqual((row.annulus.copied, row.linux[0].copied), (0, 4 * 4096))
        self.assertEqual(row.linux[0].adjusted, 40 + 4 * 130 + 2 * 380)

    def test_what_is_above_linux_is_told_first(self):
        text = document.text(self.rows(), [], "a machine")
        self.assertLess(text.index("against 40 on Linux"), text.index("## Rows"))

    def test_what_annulus_says_of_curves_is_read(self):
        lines = ["POINT set | wait_any | 8 | 70", "FIGURE 14 | 4096 B | 1208 | 4 | 2",
                 "TEST PASS curves.one it does", "TEST END curves passed=1 failed=0"]
        curves, figures = annulus.parse_curves(lines)
        self.assertEqual(curves, {"set": {"wait_any": [(8, 70)]}})
        self.assertEqual(figures, {("14", "4096 B"): (1208, 4, 2)})

    def test_a_row_that_was_not_measured_is_an_error(self):
        with self.assertRaises(KeyError):
            further.compare({}, {})


def read_of_figures(cycles):
    return {key: (cycles, 0, 0) for key in Further.figures}


class FurtherTimes(unittest.TestCase):
    def test_rows_without_a_budget_have_times_too(self):
        timed = [read_of_figures(cycles) for cycles in (40, 20, 30)]
        found = further.compare(Further.figures, Further.linux_ways, timed, 2.0,
                                [{"24": [("UDP echo of 64 B", 8)]}])
        udp = next(row for row in found if "UDP" in row.name)
        self.assertEqual((udp.annulus.wall, udp.linux[0].wall), ((10, 15, 20), (4, 4, 4)))


class Crossings(unittest.TestCase):
    flat = [(1, 100), (10, 110), (100, 200)]
    steep = [(1, 10), (10, 100), (100, 1000)]

    def test_each_more_is_the_slope_where_there_are_many(self):
        self.assertEqual(crossing.each(self.steep), 10)
        self.assertEqual(crossing.each([(1, 5), (2, 1005), (4, 1009), (6, 1013)]), 2)
        self.assertIsNone(crossing.each([(1, 5)]))

    def test_a_way_becomes_the_cheaper_one_between_two_points(self):
        # 110 - 100 = 10 dearer at 10, 800 cheaper at 100.
        self.assertEqual(crossing.crossings(self.flat, self.steep), [(11, True)])
        self.assertEqual(crossing.crossings(self.steep, self.flat), [(11, False)])
        self.assertEqual(crossing.crossings(self.flat, self.flat), [])

    def test_ways_that_touch_do_not_cross(self):
        other = [(1, 90), (10, 110), (100, 150)]
        self.assertEqual(crossing.crossings(self.flat, other), [])

    def test_only_points_of_both_count(self):
        self.assertEqual(crossing.crossings(self.flat, [(1, 10), (50, 900), (100, 1000)]),
                         [(11, True)])

    def test_two_ways_of_linux_are_not_compared(self):
        ways = {"Linux: a": self.flat, "Linux: b": self.steep}
        self.assertEqual(crossing.of_curve(ways)["crossovers"], [])
        ways["Annulus: c"] = self.flat
        self.assertEqual(crossing.of_curve(ways)["crossovers"],
                         [{"x": 11, "below": "Linux: b", "above": "Annulus: c"}])

    def test_report_data_and_page_have_them(self):
        curve = {"id": "c", "title": "t", "x": "bytes", "note": "n",
                 "ways": {"Annulus: a": self.flat, "Annulus: b": self.steep}}
        text = document.text([], [curve], "a machine")
        self.assertIn("- From 11 on, Annulus: a is cheaper than Annulus: b.", text)
        self.assertIn("| Annulus: b | 10 | 10.000 |", text)
        found = json.loads(document.data([], [curve], "a machine"))["curves"][0]
        self.assertEqual(found["crossovers"],
                         [{"x": 11, "below": "Annulus: b", "above": "Annulus: a"}])
        self.assertEqual(found["costs"][1],
                         {"way": "Annulus: b", "least_x": 1, "cost": 10, "each": 10.0})
        page = document.page([], [curve], "a machine")
        self.assertIn("stroke-dasharray", page)
        self.assertIn("From 11 on, Annulus: a", page)


class Baselines(unittest.TestCase):
    def test_one_more_of_anything_is_worse(self):
        for now in (stored(101), stored(100, entries=3), stored(90, entries=3)):
            lines, worse = baseline.compare([stored(100)], [now])
            self.assertTrue(worse)
            self.assertTrue(lines[0].startswith("WORSE"))

    def test_the_same_and_fewer_are_not(self):
        lines, worse = baseline.compare([stored(100)], [stored(100)])
        self.assertEqual((lines[0][:4], worse), ("same", False))
        lines, worse = baseline.compare([stored(100)], [stored(99)])
        self.assertEqual((lines[0][:6], worse), ("better", False))
        self.assertIn("100 -> 99", lines[0])

    def test_a_row_that_is_gone_is_worse_and_a_new_one_is_not(self):
        lines, worse = baseline.compare([stored(100)], [stored(100, row="3")])
        self.assertTrue(worse)
        self.assertEqual([line.split()[0] for line in lines], ["GONE", "new"])
        self.assertFalse(baseline.compare([], [stored(1)])[1])

    def test_what_was_stored_is_read_again(self):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder) / "baseline.json"
            rows_ = baseline.record(released, counted)
            baseline.store(place, rows_)
            self.assertEqual(baseline.load(place), rows_)
        self.assertEqual(rows_[0], {"row": "2", "name": "call", "instructions": 120, "entries": 2,
                                    "cr3_writes": 2})


class Profiles(unittest.TestCase):
    kernel = profiling.Symbols([(0xffffffff80000000, "enter"), (0xffffffff80000100, "leave")])
    program = profiling.Symbols([(0x1230, "main"), (0x2340, "send(int)"), (0x2f50, "close")])

    def attributed(self):
        base = 0x7f1234560000
        counts = {(base >> 21, base + 0x1230): 10, (base >> 21, base + 0x2340): 20,
                  (base >> 21, base + 0x2348): 5, (base >> 21, base + 0x2f50): 1,
                  (base >> 21, 0xffffffff80000104): 7, (1, 0xffffffff80000000): 3}
        return profiling.attribute(counts, self.kernel, {"net": self.program})

    def test_code_is_named_by_program_and_function(self):
        profile, _ = self.attributed()
        self.assertEqual(profile["net", "program", "send(int)"], 25)
        self.assertEqual(profile["net", "program", "main"], 10)

    def test_the_kernel_is_charged_to_who_ran_last(self):
        profile, _ = self.attributed()
        self.assertEqual(profile["net", "kernel", "leave"], 7)
        self.assertEqual(profile["others", "kernel", "enter"], 3)

    def test_calls_are_named_from_the_outermost_on(self):
        _, names = self.attributed()
        base = 0x7f1234560000
        samples = {(base >> 21, (0xffffffff80000104, 0xffffffff80000001, base + 0x2345,
                                 base + 0x1234)): 3,
                   (base >> 21, (base + 0x2f50, base + 0x1234)): 1}
        self.assertEqual(
            profiling.attribute_samples(samples, names, 100),
            {("net", "main", "send", "kernel", "enter", "leave"): 75, ("net", "main", "close"): 25})

    def test_no_samples_are_no_result(self):
        with self.assertRaises(machines.Failure):
            profiling.attribute_samples({}, self.attributed()[1], 100)

    def test_the_plugins_file_is_read(self):
        entry, sample = (1).to_bytes(8, "little") * 4, [0] * 64
        sample[:5] = [7, 2, 2, 30, 40]  # seen 7 times, region 2, two frames
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder) / "counts"
            packed = b"".join(one.to_bytes(8, "little") for one in sample)
            place.write_bytes(bytes(32) + entry + bytes(32 * ((1 << 19) - 1)) + packed)
            self.assertEqual(profiling.read_counts(place), {(1, 1): 1})
            self.assertEqual(profiling.read_samples(place), {(2, (30, 40)): 7})
            place.write_bytes((1).to_bytes(8, "little") + bytes(24))
            with self.assertRaises(machines.Failure):
                profiling.read_counts(place)

    def test_the_program_that_explains_most_is_taken(self):
        other = profiling.Symbols([(0x1230, "x"), (0x9999, "y")])
        placed = profiling.place({"other": other, "net": self.program},
                                 [0x7f0000001230, 0x7f0000002340, 0x7f0000002f50])
        self.assertEqual([one[2:] for one in placed], [("net", 0x7f0000000000)])

    def test_names_lose_their_arguments(self):
        self.assertEqual(profiling.short("annulus::(anonymous namespace)::f<a(b)>::g(int, char)"),
                         "f<a(b)>::g")

    def test_a_flame_graph_has_a_box_for_each_part(self):
        graph = flame.svg("t", {("a", "b"): 3, ("a", "c<d>"): 1}, "instructions")
        self.assertIn("<title>a: 4 instructions", graph)
        self.assertIn("c&lt;d&gt;: 1", graph)
        self.assertEqual(graph.count("<rect"), 4)


class Linux(unittest.TestCase):
    def test_what_does_not_end_is_no_result(self):
        with self.assertRaises(machines.Failure):
            linux.parse(said[:-1])

    def test_a_failure_is_passed_on(self):
        with self.assertRaisesRegex(machines.Failure, "no memory"):
            linux.parse(["LINUX FAIL mmap: no memory", "LINUX END"])

    def test_the_archive_is_one_that_linux_reads(self):
        data = linux.archive(b"program", b"end")
        self.assertEqual(len(data) % 4, 0)
        self.assertEqual(data.count(b"070701"), 4)
        self.assertTrue(data.rstrip(b"\0").endswith(b"TRAILER!!!"))

    def test_folders_are_made_once_and_before_what_is_in_them(self):
        data = linux.pack([("a/b/c", 0o100644, b"1"), ("a/b/d", 0o100644, b"2")])
        self.assertEqual(data.count(b"070701"), 5)
        self.assertLess(data.index(b"a/b\0"), data.index(b"a/b/c\0"))


unittest.main()
