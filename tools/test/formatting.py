# SPDX-License-Identifier: MIT
"""clang-format: every C++ file is as the formatter would write it."""

import re

import jobs
import project


def run(report):
    with report.suite("format") as suite:
        paths = [str(path) for path in project.sources(".h", ".cpp")]
        bad = {}
        for start in range(0, len(paths), 50):
            result = jobs.run(["clang-format-19", "--dry-run", *paths[start:start + 50]],
                              cwd=project.root)
            if not result.ok:
                suite.fails("clang-format", result.explain())
            for name, line in re.findall(r"^(\S+?):(\d+):\d+: warning:", result.output, re.M):
                bad.setdefault(name, line)
        for path in paths:
            line = bad.get(path)
            suite.check(path, line and f"{path}:{line}: not formatted: run make format")
