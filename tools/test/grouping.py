# SPDX-License-Identifier: MIT
"""Sources that one run of clang-tidy can look at together.

Most of the time for a source goes into the headers it includes, so sources with the same flags
and rules are included by one file, as far as their own names (in unnamed namespaces, macros, tests)
and what their programs' headers declare do not meet. What is said here only saves time: a group
about which clang-tidy has anything to say, were it that it does not compile, is taken apart and
each of its sources examined alone.
"""

import functools
import re

import layering
import project

lines_max = 2500

_tests = re.compile(r"^TEST(?:_F|_P)?\((\w+)(?:, (\w+))?")
_type = re.compile(r"^(?:class|struct|enum class|enum|union|concept)\s+(\w+)\b(?!<)")
# What a source has for itself.
_alone = ("static ", "const", "TEST", "#define", 'extern "C" int ')
_other = re.compile(r"(\w+)\s*(?:\[[^]]*\])*\s*[({=;]")
_programs = ("tests/abi/", "tests/hostile/", "bench/programs/", "services/", "programs/",
             "drivers/")
_space = re.compile(r"^namespace\s*([\w:]*)\s*\{")

# What each program defines once: its name, what a definition says, the header that declares it, and
# the declaration under the name it gets in a group.
_one_each = (
    ("program_main", "annulus::program_main(", "runtime/program.h",
     "namespace annulus {{ Result<void> {}(Environment& environment); }}"),
    ("suite", "annulus::test::suite =", "tests/guest/harness.h",
     "namespace annulus::test {{ extern const char* const {}; }}"),
)


def _declared(line):
    """The name that a line without indentation declares, or None."""
    if test := _tests.match(line):
        return ".".join(filter(None, test.groups()))
    if line.startswith("#define "):
        return line.split()[1].partition("(")[0]
    if not line[:1].isalpha() or line.startswith(("namespace", "template", "static_assert")):
        return None
    found = _type.match(line) or _other.search(line)
    return found[1] if found else None


@functools.cache
def _names(path):
    """The names that a file declares outside any class: its own, others, and those of one meaning.

    Its own come with their namespaces. Of one meaning are types, with their namespaces, and what
    several sources of a program may name; each comes with where it is.
    """
    own, others, single = set(), set(), {}
    spaces = [""]  # The unnamed one adds nothing to the name of what is in it.
    unnamed = 0
    of_program = str(path).startswith(_programs)
    for line in project.text(path).splitlines():
        if space := _space.match(line):
            spaces.append(spaces[-1] + (space[1] + "::" if space[1] else ""))
            unnamed += not space[1]
        elif line.startswith("}  // namespace") and len(spaces) > 1:
            unnamed -= line == "}  // namespace"
            spaces.pop()
        name = _declared(line)
        if name and not any(name == given and mark in line for given, mark, *_ in _one_each):
            if unnamed or line.startswith(_alone):
                own.add((spaces[-1], name))
            else:
                others.add(name)
            if _type.match(line) and not line.endswith(";"):
                single[spaces[-1] + name] = path
            elif of_program and (path.suffix == ".h" or name in others):
                single["()" + name] = path.parent
    return own, others, single


@functools.cache
def names(path):
    """A source's own names, the others that it declares or sees, and those of one meaning."""
    own, others, single = _names(path)
    others, single = set(others), dict(single)
    for header in layering.closure(path) - {path}:
        in_header, declared, defined = _names(header)
        others |= declared | {name for _, name in in_header}
        single.update(defined)
    return own, others, single


class _Group:
    """Sources whose names do not meet."""

    def __init__(self):
        self.paths, self.lines = [], 0
        self.own, self.others, self.single = set(), set(), {}

    def takes(self, path):
        own, others, single = names(path)
        return (self.lines + project.text(path).count("\n") <= lines_max
                and not self.own & own
                and not {name for _, name in self.own} & others
                and not {name for _, name in own} & self.others
                and all(self.single.get(name, place) == place for name, place in single.items()))

    def add(self, path):
        own, others, single = names(path)
        self.paths.append(path)
        self.lines += project.text(path).count("\n")
        self.own |= own
        self.others |= others
        self.single.update(single)


def groups(paths):
    """The paths in groups of at most `lines_max` lines, a longer source by itself."""
    made = []
    for path in paths:
        group = next((group for group in made if group.takes(path)), None)
        if group is None:
            group = _Group()
            made.append(group)
        group.add(path)
    return [group.paths for group in made]


def text(paths):
    """A source that includes the sources of a group."""
    lines = []
    for number, path in enumerate(paths):
        renamed = [one for one in _one_each if one[1] in project.text(path)]
        for name, _, header, declaration in renamed:
            lines += [f'#include "{header}"', declaration.format(f"{name}_{number}"),
                      f"#define {name} {name}_{number}"]
        lines.append(f'#include "{project.root / path}"')
        lines += [f"#undef {name}" for name, *_ in renamed]
    return "".join(line + "\n" for line in lines)
