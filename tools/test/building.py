# SPDX-License-Identifier: MIT
"""The builds as cases: what does not build fails, and the tests of the rest still run."""

import os

import jobs
import project


def run(report, trees):
    with report.suite("build") as suite:
        for tree in trees:
            environment = dict(os.environ, JOBS=str(jobs.slots))
            result = jobs.run([str(project.root / "tools" / "build"), tree, "-k", "0"],
                              weight=jobs.slots, timeout=1200, cwd=project.root, env=environment)
            suite.check(tree, None if result.ok else result.explain(60))
