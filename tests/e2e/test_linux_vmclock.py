# SPDX-License-Identifier: Apache-2.0
"""A program in a Linux guest sees in /dev/vmclock0 that its VM was restored.

Debian 12's and 13's kernels have no driver for it: this one is the newest that
Debian 13 gets by backports. vmclock_linux.py is its host.
"""

import sys
from pathlib import Path

import pytest

from conftest import BUILD, ROOT, in_lab, long_only, need_lab, said


@pytest.mark.lab
@long_only("a kernel of backports, and a chain of restores")
def test_a_program_counts_restores(build, tmp_path):
    need_lab()
    kernel = said(ROOT / "tests/kernel/stock", "--series", "backports",
                  "--print", "bzimage")
    initrd = said(ROOT / "tests/initramfs/build", "--series", "backports")
    out, log = in_lab(
        [sys.executable, Path(__file__).parent / "vmclock_linux.py",
         BUILD / "volt-vmm", kernel, initrd], tmp_path, 1200)
    assert out.splitlines() == ["ok"], f"{out}\n{log[-5000:]}"
