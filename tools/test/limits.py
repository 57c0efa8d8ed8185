# SPDX-License-Identifier: MIT
"""Every named limit has a test at the limit and one above, or a reason why it has none.

A limit is a constant of abi/limits.h, or one whose name says `max` or `min`. It is tested when the
body of one test case under tests/ names it by itself and also a neighbour (`x + 1`, `x - 1`,
`2 * x`, `x / 2`), in the code or in a comment. tests/limits.json holds the exceptions and their
reasons: constants that bound nothing that somebody asks for, and limits that cannot be reached.
"""

import collections
import json
import pathlib
import re

import project

exceptions_file = pathlib.PurePosixPath("tests/limits.json")
_all_of = pathlib.PurePosixPath("abi/limits.h")  # everything in it counts, whatever its name

_constant = re.compile(r"^\s*(?:(?:inline|static) )*constexpr [\w:]+ (\w+) =", re.MULTILINE)
_limit_name = re.compile(r"(?:^|_)(?:max|min)(?:_|$)")
_test = re.compile(r"^(?:TEST|TEST_F|TYPED_TEST)\(", re.MULTILINE)
_file_end = re.compile(r"^\}", re.MULTILINE)


def limits(path, text):
    """The names of the limits that a source file defines."""
    names = _constant.findall(text)
    return [name for name in names if path == _all_of or _limit_name.search(name)]


def bodies(text):
    """The test cases of a file, each from its head to the end of its body."""
    starts = [match.start() for match in _test.finditer(text)]
    ends = [_file_end.search(text, start) for start in starts]
    return [text[start:end.end()] for start, end in zip(starts, ends) if end]


def covers(body, name):
    """Whether a test case names both the limit and something next to it."""
    if name not in body:  # most do not, and this is quick
        return False
    word = rf"\b{name}\b"
    beside = rf"\b2 \* (?:\w+::)*{name}\b|{word}\}}? (?:[+-] 1|/ 2)\b"
    return re.search(beside, body) is not None and len(re.findall(word, body)) >= 2


def problems(sources, tests, exceptions):
    """What is wrong: `sources` and `tests` as {path: text}, `exceptions` as {path: {name: why}}."""
    cases = [body for text in tests.values() for body in bodies(text)]
    found = []
    defined = {(str(path), name) for path, text in sources.items()
               for name in limits(path, text)}
    times = collections.Counter(name for _, name in defined)
    for path, text in sources.items():
        for name in dict.fromkeys(limits(path, text)):
            excepted = name in exceptions.get(str(path), {})
            tested = any(covers(body, name) for body in cases)
            if excepted and tested and times[name] == 1:  # else the test may be of another one
                found.append(f"{path}: {name} is tested, and listed in {exceptions_file} as not")
            if not excepted and not tested:
                found.append(f"{path}: {name} has no test at it and one above")
    for path, names in exceptions.items():
        for name, reason in names.items():
            if (path, name) not in defined:
                found.append(f"{exceptions_file}: {path} has no limit {name}")
            if not reason.strip():
                found.append(f"{exceptions_file}: {path}: {name} without a reason")
    return found


def run(report):
    with report.suite("limits") as suite:
        code = project.sources(".h", ".cpp")
        tests = {path: project.text(path) for path in code if path.parts[0] == "tests"}
        sources = {path: project.text(path) for path in code
                   if path.parts[0] in project.code_folders
                   and path.parts[0] not in ("tests", "bench")}
        exceptions = json.loads(project.text(exceptions_file))
        found = problems(sources, tests, exceptions)
        suite.check("every limit has a test at it and one above", "\n".join(found) or None)
