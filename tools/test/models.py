# SPDX-License-Identifier: MIT
"""The protocol models, searched by tests/models/run.py; unchanged ones are not searched again."""

import hashlib
import json
import pathlib
import re

import jobs
import project

_case = re.compile(r"^(ok|FAIL) +(\S+) +\d+ states +[\d.]+ s +(.*)$", re.M)
_store = project.results / "models-clean.json"


def _key():
    digest = hashlib.sha256()
    for path in project.files():
        if path.parts[:2] == ("tests", "models"):
            digest.update(str(path).encode() + b"\0" + (project.root / path).read_bytes())
    for tool in ("/usr/bin/spin", "/usr/bin/clang-19"):
        digest.update(pathlib.Path(tool).resolve().stat().st_mtime_ns.to_bytes(8))
    return digest.hexdigest()


def _remembered(key):
    """Names and counters of an earlier run over the same models that found nothing, or None."""
    if not _store.exists():
        return None
    found = json.loads(_store.read_text())
    return (found["cases"], found["counters"]) if found["key"] == key else None


def run(report):
    with report.suite("models") as suite:
        key = _key()
        remembered = _remembered(key)
        if remembered:
            for name in remembered[0]:
                suite.passes(name)
            suite.counters.update(remembered[1], searched=0)
            return
        summary = project.results / "models-summary.json"
        summary.unlink(missing_ok=True)
        result = jobs.run(["python3", "tests/models/run.py", "--report", str(summary)],
                          weight=jobs.slots, timeout=1200, cwd=project.root)
        for mark, name, verdict in _case.findall(result.output):
            suite.check(name, None if mark == "ok" else verdict)
        if not summary.exists() or (not result.ok and not suite.failed):
            suite.fails("run", result.explain())
            return
        totals = json.loads(summary.read_text())
        suite.counters.update(totals["counters"], searched=len(suite.passed))
        if (totals["passed"], totals["failed"]) != (len(suite.passed), len(suite.failed)):
            suite.fails("run", "the report and the lines printed disagree")
        if not suite.failed:
            _store.write_text(json.dumps({"key": key, "cases": suite.passed,
                                          "counters": totals["counters"]}) + "\n")
