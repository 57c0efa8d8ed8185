# SPDX-License-Identifier: MIT
"""clang-tidy over every source in the build, remembering what was found clean.

A source is looked at again when its text, that of any project header it includes, the rules, the
compile command or the compiler changed; together with others, see grouping.py. That each source
includes the standard headers it needs, which the others' would hide, is for standard.py.
"""

import collections
import concurrent.futures
import hashlib
import itertools
import json
import pathlib
import re
import shlex

import grouping
import jobs
import layering
import project

_finding = re.compile(rf"^{re.escape(str(project.root))}/(\S+: (?:error|warning): .*)$", re.M)
_store = project.results / "tidy.json"


def without_precompiled(flags):
    """The flags without precompiled headers, which would hide that a source lacks an include."""
    kept = []
    rest = iter(flags)
    for flag in rest:
        if flag == "-Xclang":
            following = next(rest)
            if following in ("-include-pch", "-include"):
                next(rest), next(rest)  # -Xclang and the file.
            else:
                kept += [flag, following]
        elif flag not in ("-Winvalid-pch", "-fpch-instantiate-templates"):
            kept.append(flag)
    return kept


def _flags(command, folder):
    words = shlex.split(command)
    # How far to compile (offsets.cpp stops at assembly) says nothing to the analyser.
    flags = [word for word in words[1:words.index("-o")] if word != "-S"]
    # Tests keep theirs: GoogleTest's headers would take most of the time again.
    return without_precompiled(flags) if folder == project.target else flags


def _commands():
    """The compiler's flags for each source that some tree builds."""
    chosen = {}
    for folder in (project.target, project.host):
        database = folder / "compile_commands.json"
        if not database.exists():
            continue
        for entry in json.loads(database.read_text()):
            path = pathlib.Path(entry["file"])
            if path.suffix == ".cpp" and path.is_relative_to(project.root):
                name = pathlib.PurePosixPath(path.relative_to(project.root))
                if name not in chosen:
                    chosen[name] = _flags(entry["command"], folder)
    present = set(project.files())
    return {name: flags for name, flags in chosen.items() if name in present}


def _key(path, flags):
    digest = hashlib.sha256(b"".join(
        (project.root / rules).read_bytes() for rules in (".clang-tidy", "tests/host/.clang-tidy")))
    digest.update("\0".join(flags).encode())
    digest.update(pathlib.Path("/usr/bin/clang-tidy-19").resolve().stat().st_mtime_ns.to_bytes(8))
    for name in sorted(layering.closure(path)):
        digest.update(str(name).encode() + b"\0" + (project.root / name).read_bytes())
    return digest.hexdigest()


def _examine(path, flags):
    """What clang-tidy has to say about one source, a line each."""
    result = jobs.run(["clang-tidy-19", "--quiet", str(path), "--", *flags], cwd=project.root,
                      timeout=300)
    if result.ok:
        return []
    return _finding.findall(result.output) or [result.explain()]


def _rules(path):
    """The nearest rules above a source."""
    return next(folder / ".clang-tidy" for folder in (project.root / path).parents
                if (folder / ".clang-tidy").exists())


def _examine_group(number, paths, flags):
    """What clang-tidy has to say about each of the sources, which have one set of flags."""
    if len(paths) > 1:
        folder = project.results / "tidy" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        # clang-tidy takes the rules that lie above a file; tests/host's ask for the root's too.
        (folder / ".clang-tidy").write_bytes(_rules(paths[0]).read_bytes())
        source = folder / "group.cpp"
        source.write_text(grouping.text(paths))
        if not _examine(source, flags):
            return [(path, []) for path in paths]
    return [(path, _examine(path, flags)) for path in paths]


def _grouped(waiting):
    """The sources that wait, in groups to examine together; the longest first."""
    alike = collections.defaultdict(list)
    for path, (_, flags) in waiting.items():
        alike[tuple(flags), _rules(path)].append(path)
    found = [(paths, flags) for (flags, _), all_paths in alike.items()
             for paths in grouping.groups(all_paths)]
    return sorted(found, key=lambda group: -len(group[0]))


def run(report):
    with report.suite("tidy") as suite:
        known = json.loads(_store.read_text()) if _store.exists() else {}
        clean = {}
        waiting = {}
        reported = set()
        for path, flags in sorted(_commands().items()):
            key = _key(path, flags)
            if known.get(str(path)) == key:
                clean[str(path)] = key
                suite.passes(str(path))
            else:
                waiting[path] = (key, flags)
        suite.counters["examined"] = len(waiting)
        groups = _grouped(waiting)
        suite.counters["groups"] = len(groups)
        with concurrent.futures.ThreadPoolExecutor(jobs.slots) as pool:
            answers = pool.map(lambda item: _examine_group(item[0], *item[1]), enumerate(groups))
            for path, found in itertools.chain.from_iterable(answers):
                if found:
                    # A header's finding comes up in every source that includes it.
                    new = [line for line in found if line not in reported]
                    reported.update(new)
                    suite.fails(str(path), "\n".join(new) or "includes what is reported above")
                else:
                    suite.passes(str(path))
                    clean[str(path)] = waiting[path][0]
        _store.parent.mkdir(parents=True, exist_ok=True)
        _store.write_text(json.dumps(clean, indent=1) + "\n")
