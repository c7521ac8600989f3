# SPDX-License-Identifier: Apache-2.0
"""Balloon and entropy under Linux's own drivers, in the lab.

A stock kernel that finds them through ACPI and has its drivers as modules;
balloon_linux.py is its host.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import BUILD, LAB, ROOT, said

CASES = ["hwrng", "reporting", "statistics", "inflate", "deflate", "hinting",
         "still_usable"]


@pytest.fixture(scope="module")
def said_in_lab(build, tmp_path_factory):
    if os.environ.get("VOLT_TEST_LAB") == "0" or not LAB.exists():
        pytest.skip("no lab")
    log = tmp_path_factory.mktemp("balloon") / "log"
    kernel = said(ROOT / "tools/kernel/fetch", "--print", "bzimage")
    initrd = said(ROOT / "tests/initramfs/build", "--modules")
    with open(log, "wb") as errors:
        run = subprocess.run(
            [LAB, sys.executable, Path(__file__).parent / "balloon_linux.py",
             BUILD / "volt-vmm", kernel, initrd],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            timeout=600, check=False)
    lines = run.stdout.decode(errors="replace").splitlines()
    return lines, log.read_text(errors="replace")[-5000:]


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES)
def test_linux_guest(said_in_lab, case):
    lines, log = said_in_lab
    assert f"ok {case}" in lines, "\n".join(lines) + "\n" + log
