# SPDX-License-Identifier: MIT
"""GoogleTest programs, in three builds, and the fuzz targets."""

import json
import os
import pathlib
import re
import shutil
import tempfile

import jobs
import project

# Of each fuzz target: so many runs, or as many as fit into so many seconds.
runs = int(os.environ.get("FUZZ_RUNS", "20000"))
fuzz_seconds = 60

# Sanitizers end the program at the first finding.
_environment = dict(os.environ,
                    ASAN_OPTIONS="abort_on_error=1:handle_sigill=1:detect_stack_use_after_return=1",
                    UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
                    TSAN_OPTIONS="halt_on_error=1:abort_on_error=1:handle_sigill=1",
                    ASAN_SYMBOLIZER_PATH="/usr/bin/llvm-symbolizer-19",
                    TSAN_SYMBOLIZER_PATH="/usr/bin/llvm-symbolizer-19")


def programs(build):
    """The test programs that the sources call for: one for each folder."""
    threads = {path.parent for path in project.sources(".cpp")
               if path.parts[:3] == ("tests", "host", "threads")}
    others = {path.parent for path in project.sources(".cpp")
              if path.parts[:2] == ("tests", "host") and path.parent not in threads}
    folders = threads if build == "threads" else others
    return sorted(folder.name for folder in folders)


def _cases(suite, program, results, result):
    """Takes over the cases of one program's JSON file; true if there was any."""
    if not results.exists():
        return False
    found = False
    for group in json.loads(results.read_text())["testsuites"]:
        for case in group["testsuite"]:
            name = f"{program}/{case['classname']}.{case['name']}"
            found = True
            if case.get("result") != "COMPLETED":
                suite.skips(name, case.get("result", "not run").lower())
            elif case.get("failures"):
                suite.fails(name, "\n".join(one["failure"] for one in case["failures"]))
            else:
                suite.passes(name)
    return found


def _run_program(suite, build, program):
    path = project.host / "tests" / build / program
    if not path.exists():
        suite.fails(program, "was not built")
        return
    with tempfile.TemporaryDirectory() as folder:
        results = pathlib.Path(folder) / "results.json"
        result = jobs.run([str(path), f"--gtest_output=json:{results}"], timeout=180,
                          weight=jobs.slots if build == "threads" else 1,
                          env=_environment, cwd=project.root)
        found = _cases(suite, program, results, result)
        failed = any(case.startswith(f"{program}/") for case, _ in suite.failed)
        if not found or (not result.ok and not failed):
            suite.fails(program, result.explain())


def run(report, build):
    with report.suite(f"host-{build}") as suite:
        for program in programs(build):
            _run_program(suite, build, program)


def _fuzz(suite, source):
    program = project.host / "fuzz" / source.stem
    if not program.exists():
        suite.fails(source.stem, "was not built")
        return
    with tempfile.TemporaryDirectory() as folder:
        # New inputs go to the temporary folder: a run neither depends on nor changes others.
        corpus = [folder]
        seeds = project.root / "tests" / "fuzz" / "corpus" / source.stem
        if seeds.is_dir():
            corpus.append(str(seeds))
        result = jobs.run([str(program), f"-runs={runs}", "-seed=1",
                           f"-max_total_time={fuzz_seconds}", "-timeout=10",
                           f"-artifact_prefix={folder}/", *corpus],
                          timeout=120, env=_environment, cwd=project.root)
        done = re.search(r"^Done (\d+) runs in (\d+) second", result.output, re.M)
        if result.ok and done:
            suite.counters[f"{source.stem} runs"] = int(done[1])
            if int(done[1]) >= runs or int(done[2]) >= fuzz_seconds:
                suite.passes(source.stem)
            else:
                suite.fails(source.stem, f"ended after {done[1]} of {runs} runs")
            return
        kept = project.results / "fuzz"
        kept.mkdir(parents=True, exist_ok=True)
        for artifact in pathlib.Path(folder).glob("*-*"):
            if artifact.name.split("-")[0] in ("crash", "timeout", "oom", "leak"):
                shutil.copy(artifact, kept / f"{source.stem}-{artifact.name}")
        suite.fails(source.stem, f"{result.explain()}\n(the input is in {kept})")


def run_fuzz(report):
    with report.suite("fuzz") as suite:
        for source in project.sources(".cpp"):
            if source.parts[:2] == ("tests", "fuzz") and len(source.parts) == 3:
                _fuzz(suite, source)
