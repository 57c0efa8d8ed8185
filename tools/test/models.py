# SPDX-License-Identifier: MIT
"""The protocol models: tests/models/run.py searches them and writes counters."""

import json
import re

import jobs
import project

_case = re.compile(r"^(ok|FAIL) +(\S+) +\d+ states +[\d.]+ s +(.*)$", re.M)


def run(report):
    with report.suite("models") as suite:
        path = project.results / "models.json"
        path.unlink(missing_ok=True)
        result = jobs.run(["python3", "tests/models/run.py", "--report", str(path)],
                          weight=jobs.slots, timeout=1200, cwd=project.root)
        for mark, name, verdict in _case.findall(result.output):
            suite.check(name, None if mark == "ok" else verdict)
        if not path.exists() or (not result.ok and not suite.failed):
            suite.fails("run", result.explain())
            return
        summary = json.loads(path.read_text())
        suite.counters.update(summary["counters"])
        if (summary["passed"], summary["failed"]) != (len(suite.passed), len(suite.failed)):
            suite.fails("run", "the report and the lines printed disagree")
