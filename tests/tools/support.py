# SPDX-License-Identifier: MIT
"""Lets the tests of the tools import them."""

import pathlib
import sys

root = pathlib.Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(root / "tools"), str(root / "tools" / "test")]
