# SPDX-License-Identifier: Apache-2.0
"""Balloon, entropy, pmem and hot-plug under Linux's own drivers, in the lab.

A stock kernel that finds them through ACPI and has its drivers as modules;
balloon_linux.py is its host.
"""

import sys
from pathlib import Path

import pytest

from conftest import BUILD, ROOT, in_lab, need_lab, said

CASES = ["pmem", "hwrng", "reporting", "statistics", "inflate", "deflate",
         "hinting", "plug", "unplug", "under_load", "still_usable",
         "pmem_kept"]


@pytest.fixture(scope="module")
def said_in_lab(build, tmp_path_factory):
    need_lab()
    kernel = said(ROOT / "tests/kernel/stock", "--print", "bzimage")
    initrd = said(ROOT / "tests/initramfs/build", "--modules",
                  "--pmem")
    out, log = in_lab(
        [sys.executable, Path(__file__).parent / "balloon_linux.py",
         BUILD / "volt-vmm", kernel, initrd],
        tmp_path_factory.mktemp("balloon"), 600)
    return out.splitlines(), log[-5000:]


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES)
def test_linux_guest(said_in_lab, case):
    lines, log = said_in_lab
    assert f"ok {case}" in lines, "\n".join(lines) + "\n" + log
