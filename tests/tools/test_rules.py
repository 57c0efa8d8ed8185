# SPDX-License-Identifier: MIT
"""Style and layering rules report what they should, and leave sound files alone."""

import pathlib
import unittest

import support  # noqa: F401
import layering
import project
import standard
import style
import tidy

header = "// SPDX-License-Identifier: MIT\n// What it is.\n#pragma once\n"


def style_of(name, text):
    return style.problems(pathlib.PurePosixPath(name), text)


class Style(unittest.TestCase):
    def test_a_sound_file(self):
        self.assertEqual(style_of("kernel/a.h", header + "// x86 in a comment is fine.\n"), [])

    def test_each_rule(self):
        for name, text, word in (
                ("kernel/a.cpp", "int a;\n", "SPDX"),
                ("kernel/a.cpp", "// SPDX-License-Identifier: MIT\n\nint a;\n", "sentence"),
                ("kernel/a.h", header.replace("#pragma once\n", ""), "pragma"),
                ("kernel/a.h", header + "int a; \n", "end of the line"),
                ("kernel/a.h", header + "\tint a;\n", "tab"),
                ("kernel/a.h", header + "//" + "x" * 99 + "\n", "columns"),
                ("kernel/a.h", header + "// TODO later\n", "TODO"),
                ("kernel/a.h", header + "#define A 1\n", "macro"),
                ("kernel/a.h", header + "#ifdef ANNULUS_DEBUG\n#endif\n", "always defined"),
                ("kernel/a.h", header + "void f() { goto out; }\n", "goto"),
                ("kernel/a.h", header + 'auto a = "x86_64";\n', "architecture"),
                ("runtime/a.h", header + 'void f() { asm("nop"); }\n', "assembly"),
                ("base/a.h", header + "int a;\n" * 600, "limit is 600")):
            found = style_of(name, text)
            self.assertEqual(len(found), 1, (word, found))
            self.assertIn(word, found[0])

    def test_exceptions(self):
        for name, text in (("kernel/arch/x86_64/a.h", 'void f() { asm("cli"); }\n'),
                           ("base/a.h", "#define TRY(x) x\n"),
                           ("kernel/a.h", "// TODO(#12): later\n"),
                           ("boot/a.h", "int x86;\n")):
            self.assertEqual(style_of(name, header + text), [])

    def test_comments_are_blanked_and_strings_kept(self):
        self.assertEqual(style.without_comments('a /* x\n y */ b "//c" // d'),
                         'a     \n      b "//c"     ')


class Lint(unittest.TestCase):
    def test_precompiled_headers_are_left_out(self):
        flags = ("-O2 -Winvalid-pch -Xclang -include-pch -Xclang a.pch -Xclang -include -Xclang a.h"
                 " -Xclang -fother -c").split()
        self.assertEqual(tidy.without_precompiled(flags), ["-O2", "-Xclang", "-fother", "-c"])


class Layering(unittest.TestCase):
    def problems(self, name, text):
        path = pathlib.PurePosixPath(name)
        project.text.cache_clear()
        layering.includes.cache_clear()
        saved, known = project.text, layering._known
        project.text = lambda _: text
        layering._known = lambda: {
            entry: pathlib.PurePosixPath(entry) for entry in (
                "abi/a.h", "base/b.h", "kernel/k.h", "runtime/r.h", "services/x/x.h",
                "kernel/arch/x86_64/include/arch/cpu.h")}
        try:
            return layering.problems(path)
        finally:
            project.text, layering._known = saved, known
            layering.includes.cache_clear()

    def test_one_way(self):
        for name, include, good in (
                ("kernel/k.cpp", '"base/b.h"', True),
                ("kernel/k.cpp", '"arch/cpu.h"', True),
                ("services/x/main.cpp", '"services/x/x.h"', True),
                ("tests/host/a/a.cpp", '"kernel/k.h"', True),
                ("tests/host/a/a.cpp", "<vector>", True),
                ("base/b.cpp", "<span>", True),
                ("base/b.cpp", '"kernel/k.h"', False),
                ("base/b.cpp", '"arch/cpu.h"', False),
                ("abi/a.h", '"base/b.h"', False),
                ("kernel/k.cpp", '"runtime/r.h"', False),
                ("kernel/k.cpp", '"kernel/arch/x86_64/include/arch/cpu.h"', False),
                ("runtime/r.cpp", '"kernel/k.h"', False),
                ("services/y/main.cpp", '"services/x/x.h"', False),
                ("kernel/k.cpp", '"../base/b.h"', False),
                ("kernel/k.cpp", '"kernel/missing.h"', False),
                ("kernel/k.cpp", "<vector>", False)):
            found = self.problems(name, f"#include {include}\n")
            self.assertEqual(not found, good, (name, include, found))


class StandardHeaders(unittest.TestCase):
    def problems(self, text):
        saved = standard._asked_for
        standard._asked_for = lambda _: set(layering._include.findall(text)[0][1:]
                                            if "#include" in text else ())
        try:
            return standard.problems(pathlib.PurePosixPath("kernel/a.h"), text)
        finally:
            standard._asked_for = saved

    def test_names_need_their_header(self):
        for text, word in (("std::byte a;", "needs <cstddef>"),
                           ("auto b = std::min(1, 2);", "needs <algorithm>"),
                           ("std::map<int, int> c;", "has no header"),
                           ("uint64_t d;", "<stdint.h>"),
                           ("auto e = memcmp(a, b, 1);", "<string.h>")):
            found = self.problems(text)
            self.assertEqual(len(found), 1, (text, found))
            self.assertIn(word, found[0])

    def test_sound_files(self):
        for text in ("#include <cstddef>\nstd::byte a; size_t b;",
                     "#include <span>\nauto c = std::size(d);", "other::memcmp(a); e.memset();",
                     'auto f = "uint64_t";'):
            self.assertEqual(self.problems(text), [])


unittest.main()
