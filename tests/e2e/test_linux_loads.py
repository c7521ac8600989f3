# SPDX-License-Identifier: Apache-2.0
"""A Linux guest with real loads, saved and restored in each way, in the lab.

A database that takes transactions, a Python and a Node that are warm, and a
compiler run side by side, their data in the guest's memory. Whatever way a
clone takes (raw, a chain of diffs, compressed and served by volt-pager; with
its files in the page cache, and not), each load goes on where it was: the
database is consistent by its own check and by its sums, the interpreters
compute what they would have without a snapshot, and the compiler makes the
same object file. loads_linux.py is the host; make check-long.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import (BUILD, ROOT, guest_image, in_lab, long_only, need_lab,
                      said)

CASES = ["original", *(f"{way}-{cache}" for way in ("raw", "chain", "packed")
                       for cache in ("warm", "cold"))]
SECONDS = 3600
SCRIPT = Path(__file__).with_name("loads_guest.sh")


@pytest.fixture(scope="module")
def lines(build, tmp_path_factory):
    need_lab()
    made = subprocess.run([ROOT / "tests/loads"], text=True, timeout=1800,
                          capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system with the loads: {made.stderr[-300:]}")
    folder = tmp_path_factory.mktemp("loads")
    out, log = in_lab(
        [sys.executable, SCRIPT.with_name("loads_linux.py"), BUILD, folder,
         said(ROOT / "tests/kernel/stock", "--print", "bzimage"),
         guest_image(folder, "vsockguest", "loads", SCRIPT.read_text()),
         made.stdout.strip()], folder, SECONDS)
    return out.splitlines(), log[-5000:]


@pytest.mark.lab
@long_only("half an hour")
@pytest.mark.parametrize("case", CASES)
def test_loads(lines, case):
    out, log = lines
    assert f"ok {case}" in out, "\n".join(out) + "\n" + log
