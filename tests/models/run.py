#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks every SPIN model under this folder exhaustively, and that every mutant of it is caught.

A folder with a `models.json` is a model:

    {"source": "x.pml",              the Promela file
     "end_states": "checked",        or "asserted": the model itself checks what is blocked at rest
     "models": [{"name": "n",        a configuration
                 "defines": ["D"],   its -D definitions
                 "large": true,  optional: optimise the verifier, the search is long
                 "mutants": {"M": "what -DMUTANT_M breaks", ...}}]}

A model passes when the search was complete and found no error; a mutant is caught when the search
found one. A model without mutants fails: nothing would show that it can fail at all.
"""

import argparse
import concurrent.futures
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PREPROCESSOR = "-Pclang-19 -std=gnu99 -Wno-everything -E -x c"
LARGE_FLAGS = ["-O1", "-fno-inline"]
SMALL_FLAGS = ["-O0"]  # optimising would take longer than searching
COMMON_FLAGS = ["-w", "-DSAFETY", "-DMEMLIM=3000"]
DEPTH = 1_000_000
JOBS = 2


class Case:
    """One configuration, whole or with one mutant."""

    def __init__(self, folder, description, model, mutant, meaning):
        self.source = folder / description["source"]
        self.asserted = description.get("end_states", "checked") == "asserted"
        self.defines = list(model["defines"])
        self.large = model.get("large", False)
        self.mutant = mutant
        self.meaning = meaning
        self.name = f"{folder.name}/{model['name']}"
        if mutant:
            self.defines.append(f"MUTANT_{mutant}")
            self.name += f"/{mutant}"
        self.passed = False
        self.states = 0
        self.seconds = 0.0
        self.verdict = ""


def load_cases(root, pattern):
    """Every model and mutant under root whose name contains pattern; a model has mutants."""
    cases = []
    for file in sorted(root.glob("*/models.json")):
        description = json.loads(file.read_text())
        for model in description["models"]:
            if not model["mutants"]:
                raise ValueError(f"{file}: model {model['name']} has no mutants")
            cases.append(Case(file.parent, description, model, None, ""))
            for mutant, meaning in model["mutants"].items():
                cases.append(Case(file.parent, description, model, mutant, meaning))
    return [case for case in cases if pattern in case.name]


def run_tool(command, folder, seconds):
    """Runs a command and returns (exit code, output). A time-out is exit code -1."""
    try:
        done = subprocess.run(command, cwd=folder, timeout=seconds, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired:
        return -1, "time limit"
    return done.returncode, done.stdout


def build(case, folder):
    """Generates and compiles the verifier; returns an error text or None."""
    defines = [f"-D{define}" for define in case.defines]
    code, output = run_tool(["spin", PREPROCESSOR, "-a", *defines, str(case.source)], folder, 60)
    if code != 0 or not (folder / "pan.c").exists():
        return "spin: " + output.strip()[-300:]
    flags = COMMON_FLAGS + (LARGE_FLAGS if case.large and not case.mutant else SMALL_FLAGS)
    code, output = run_tool(["clang-19", *flags, "-o", "pan", "pan.c"], folder, 60)
    return None if code == 0 else "clang-19: " + output.strip()[-300:]


def search(case, folder, seconds):
    """Runs the verifier and fills in the verdict."""
    command = ["./pan", f"-m{DEPTH}", "-w21"] + (["-E"] if case.asserted else [])
    code, output = run_tool(command, folder, seconds)
    errors = re.search(r"errors: (\d+)", output)
    stored = re.search(r"(\d+) states, stored", output)
    found = re.search(r"pan:\d+: (.*)", output)
    if code != 0 and not errors or not errors or not stored:
        case.verdict = "no result: " + output.strip()[-200:]
        return
    case.states = int(stored.group(1))
    truncated = "max search depth too small" in output or "out of memory" in output
    complete = "Search not completed" not in output and not truncated
    if case.mutant:
        caught = re.search(r"assertion violated|invalid end state", output)
        case.passed = int(errors.group(1)) > 0 and bool(caught)
        case.verdict = f"caught: {found.group(1)}" if case.passed else "NOT CAUGHT: " + case.meaning
    else:
        case.passed = int(errors.group(1)) == 0 and complete
        reason = found.group(1) if found else "search truncated"
        case.verdict = "no error, search complete" if case.passed else "ERROR: " + reason


def check(case, work, seconds):
    """Builds and searches one case in its own folder under work."""
    started = time.monotonic()
    folder = work / case.name.replace("/", ".")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    error = build(case, folder)
    if error:
        case.verdict = "NOT BUILT: " + error
    else:
        search(case, folder, seconds)
    case.seconds = time.monotonic() - started
    return case


def report(cases, seconds):
    """The summary, as written to the report file."""
    models = [case for case in cases if not case.mutant]
    mutants = [case for case in cases if case.mutant]
    return {
        "name": "models",
        "passed": sum(case.passed for case in cases),
        "failed": sum(not case.passed for case in cases),
        "skipped": 0,
        "seconds": round(seconds, 1),
        "counters": {
            "models": sum(case.passed for case in models),
            "mutants_caught": sum(case.passed for case in mutants),
            "states": sum(case.states for case in models),
        },
    }


def main():
    parser = argparse.ArgumentParser(description="Checks the SPIN models and their mutants.")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/models"),
                        help="folder for generated verifiers (default: build/models)")
    parser.add_argument("--report", type=pathlib.Path, help="write a JSON summary here")
    parser.add_argument("--only", default="", help="only cases whose name contains this text")
    parser.add_argument("--limit", type=float, default=300, help="seconds for one search")
    arguments = parser.parse_args()

    started = time.monotonic()
    cases = load_cases(HERE, arguments.only)
    # Whole models first: they take longest.
    cases.sort(key=lambda case: case.mutant is not None)
    work = arguments.work.resolve()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        jobs = [pool.submit(check, case, work, arguments.limit) for case in cases]
        for job in concurrent.futures.as_completed(jobs):
            case = job.result()
            mark = "ok  " if case.passed else "FAIL"
            print(f"{mark} {case.name:52} {case.states:9} states {case.seconds:6.1f} s  "
                  f"{case.verdict}", flush=True)
    summary = report(cases, time.monotonic() - started)
    counters = summary["counters"]
    print(f"models: {summary['passed']} passed, {summary['failed']} failed; "
          f"{counters['models']} models, {counters['mutants_caught']} mutants caught, "
          f"{counters['states']} states, {summary['seconds']} s")
    if arguments.report:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text(json.dumps(summary) + "\n")
    return 0 if cases and summary["failed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
