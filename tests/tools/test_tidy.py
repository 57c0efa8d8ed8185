# SPDX-License-Identifier: MIT
"""clang-tidy over sources in groups reports what it reports of each alone, with its file."""

import pathlib
import re
import tempfile
import unittest

import support  # noqa: F401
import project
import tidy

flags = ["-std=c++23", "-O2"]
moved = """
namespace std {
template <typename T> struct remove_reference { using type = T; };
template <typename T> struct remove_reference<T&> { using type = T; };
template <typename T> struct remove_reference<T&&> { using type = T; };
template <typename T> typename remove_reference<T>::type&& move(T&& t);
template <typename T> T&& forward(typename remove_reference<T>::type& t);
template <typename T> void swap(T& a, T& b);
template <typename T> struct vector { vector(); vector(const vector&); ~vector();
    T* begin() const; T* end() const; int size() const; };
template <typename C> struct basic_string { basic_string(); ~basic_string(); };
using string = basic_string<char>;
template <typename C> struct basic_string_view { basic_string_view(const basic_string<C>&); };
using string_view = basic_string_view<char>;
}
struct Held { Held(); Held(Held&&); Held(const Held&); ~Held(); void use() const; };
extern "C" void* memset(void*, int, unsigned long);
"""
lines_62 = "    use(1);\n" * 62

# One finding of each kind that .clang-tidy asks for.
planted = {
    "bugprone-copy-constructor-init": "struct Base { Base(); Base(const Base&); int a; };\n"
        "struct Derived : Base { Derived(const Derived&) {} };",
    "bugprone-dangling-handle": "void f() { std::string_view view = std::string(); (void)view; }",
    "bugprone-infinite-loop": "void f() { int i = 0; int j = 0; while (i < 9) { ++j; } }",
    "bugprone-misplaced-widening-cast": "long f(int a) { return (long)(a * 1000); }",
    "bugprone-move-forwarding-reference":
        "template <typename T> void f(T&& t) { T u(std::move(t)); }",
    "bugprone-redundant-branch-condition":
        "void use(int);\nvoid f(bool a) { if (a) { if (a) { use(1); } } }",
    "bugprone-sizeof-container": "unsigned long f(std::vector<int>& v) { return sizeof(v); }",
    "bugprone-sizeof-expression": "unsigned long f(int* p) { return sizeof(sizeof(p)); }",
    "bugprone-suspicious-memset-usage": "void f(int* p) { memset(p, '0', 9); }",
    "bugprone-suspicious-semicolon":
        "void use(int);\nvoid f(int a) {\n    if (a == 1);\n    use(a);\n}",
    "bugprone-swapped-arguments": "void use(int, double);\nvoid f() { use(1.5, 2); }",
    "bugprone-terminating-continue":
        "void use(int);\nvoid f(int a) { do { if (a) continue; use(a); } while (false); }",
    "bugprone-too-small-loop-variable":
        "void use(int);\nvoid f(long n) { for (short i = 0; i < n; ++i) { use(i); } }",
    "bugprone-undefined-memory-manipulation":
        "void f(Held* held) { memset(held, 0, sizeof(Held)); }",
    "bugprone-unused-raii": "void use(int);\nvoid f() { Held(); use(1); }",
    "bugprone-use-after-move":
        "void f() { Held a; Held b(std::move(a)); a.use(); }",
    "misc-definitions-in-headers": "int f() { return 1; }",
    "misc-redundant-expression": "bool f(int a, int b) { return a == b || a == b; }",
    "modernize-use-equals-delete": "class Once { Once(const Once&); };",
    "modernize-use-nullptr": "int* f() { return 0; }",
    "modernize-use-override":
        "struct Base { virtual void f(); };\nstruct Derived : Base { virtual void f(); };",
    "modernize-use-using": "typedef int Number;",
    "performance-for-range-copy":
        "void f(const std::vector<Held>& v) { for (const Held held : v) { held.use(); } }",
    "performance-unnecessary-value-param": "void f(const Held held) { held.use(); }",
    "readability-duplicate-include": '#include "moved.h"',
    "readability-function-size": "void use(int);\nvoid f() {\n" + lines_62 + "}",
    "readability-identifier-naming": "void Loud() {}",
    "readability-misleading-indentation":
        "void use(int);\nvoid f(bool a) {\n    if (a)\n        use(1);\n        use(2);\n}",
}


class Groups(unittest.TestCase):
    def setUp(self):
        # Below a folder whose files .clang-tidy's HeaderFilterRegex takes, and below its rules.
        project.results.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix="tidy-", dir=project.results)
        self.addCleanup(place.cleanup)
        self.folder = pathlib.Path(place.name) / "tests"
        self.folder.mkdir()
        self.write("moved.h", "#pragma once\n#pragma GCC system_header\n" + moved)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return pathlib.PurePosixPath(path.relative_to(project.root))

    def examine(self, texts):
        """What is found in sources of the given texts, by name; the group's under group.cpp."""
        paths = [self.write(name, text) for name, text in texts.items()]
        examined = {}
        alone = tidy._examine

        def examine(path, flags):
            examined[pathlib.PurePath(path).name] = alone(path, flags)
            return examined[pathlib.PurePath(path).name]

        tidy._examine = examine
        try:
            found = {path.name: lines for path, lines in tidy._examine_group("test", paths, flags)}
        finally:
            tidy._examine = alone
        return found | {"group.cpp": examined["group.cpp"]}, len(examined)

    def test_each_kind_is_found_in_a_group(self):
        kinds = set(re.findall(r"^    ([a-z]+-[a-z-]+),?$",
                               (project.root / ".clang-tidy").read_text(), re.M))
        self.assertEqual(kinds, set(planted))
        for kind, text in planted.items():
            sound, place = '#include "moved.h"\n', "planted.cpp:"
            if kind == "misc-definitions-in-headers":
                self.write("planted.h", f"#pragma once\n{text}\n")
                text, place = '#include "planted.h"', "planted.h:"
            found, _ = self.examine({"sound.cpp": sound, "planted.cpp": f"{sound}{text}\n"})
            with self.subTest(kind):
                self.assertEqual(found["sound.cpp"], [])
                for source in ("group.cpp", "planted.cpp"):
                    self.assertTrue(any(place in line and kind in line
                                        for line in found[source]), (source, found))

    def test_a_sound_group_is_not_taken_apart(self):
        found, examined = self.examine({"a.cpp": "int a = 1;\n", "b.cpp": "int b = 1;\n"})
        self.assertEqual((found, examined), ({"a.cpp": [], "b.cpp": [], "group.cpp": []}, 1))

    def test_sources_that_do_not_go_together_are_examined_alone(self):
        found, _ = self.examine({"a.cpp": "static int a = 1;\nint f() { return a; }\n",
                                 "b.cpp": "static long a = 1;\nlong g() { return a; }\n"})
        self.assertTrue(found["group.cpp"])
        self.assertEqual((found["a.cpp"], found["b.cpp"]), ([], []))

    def test_a_source_that_does_not_compile_is_reported(self):
        found, _ = self.examine({"a.cpp": "int a = 1;\n", "b.cpp": "int b = c;\n"})
        self.assertEqual(found["a.cpp"], [])
        self.assertIn("b.cpp:1", found["b.cpp"][0])


unittest.main()
