# SPDX-License-Identifier: MIT
"""Every type of kernel object in abi/handle.h has a page in docs/object and a test in tests/abi."""

import re

import project

# Types whose tests lie in the folder of a related one.
tested_with = {"served": "table", "ports": "hardware", "interrupt": "hardware", "power": "console"}

_enumeration = re.compile(r"enum class ObjectType[^{]*\{(.*?)\};", re.DOTALL)
_enumerator = re.compile(r"^\s*(\w+) = \d+,", re.MULTILINE)


def types(text):
    """The names of all types that a handle can name."""
    found = _enumerator.findall(_enumeration.search(text).group(1))
    return [name for name in found if name not in ("none", "any")]


def problems(text, files):
    """What is missing, for the text of abi/handle.h and the paths of the project."""
    names = {str(path) for path in files}
    missing = []
    for name in types(text):
        if f"docs/object/{name}.md" not in names:
            missing.append(f"docs/object/{name}.md: the object type {name} is not documented")
        folder = f"tests/abi/{tested_with.get(name, name)}"
        if f"{folder}/main.cpp" not in names:
            missing.append(f"{folder}/main.cpp: the object type {name} is not tested")
    return missing


def run(report):
    with report.suite("kinds") as suite:
        handle = next(path for path in project.files() if str(path) == "abi/handle.h")
        found = problems(project.text(handle), project.files())
        suite.check("every object type has its page and its test", "\n".join(found) or None)
