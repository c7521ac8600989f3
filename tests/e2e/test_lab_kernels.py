# SPDX-License-Identifier: Apache-2.0
"""The sandbox's own tests on other kernels than this host's, in the lab.

What Landlock can forbid and which system calls the C library makes depend on
the kernel: Debian 12's has Landlock's ABI 2, Debian 13's 6, and the newest
that Debian 13 gets by backports has what is newer. They run there as root.
"""

import re
import sys

import pytest

from conftest import BUILD, ROOT, in_lab, long_only

# What VOLT_LAB_KERNEL names, and the ABI of Landlock that it has at least.
KERNELS = {"6.1": 2, "6.12": 6, "backports": 7}
FILES = ("test_sandbox.py", "test_sandbox_first.py", "test_gate.py",
         "test_allow.py", "test_hostile_guest.py")
ABI = "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))"
SECONDS = 3600


@pytest.mark.lab
@long_only("a lab for each kernel")
@pytest.mark.parametrize("kernel", KERNELS)
def test_sandbox(build, tmp_path, monkeypatch, kernel):
    monkeypatch.delenv("VOLT_LAB", raising=False)
    monkeypatch.setenv("VOLT_LAB_KERNEL", kernel)
    tests = " ".join(f"tests/e2e/{name}" for name in FILES)
    out, log = in_lab(
        ["env", f"VOLT_BUILD={BUILD}", "VOLT_TEST_LONG=0", "TMPDIR=/tmp",
         "PYTHONDONTWRITEBYTECODE=1", "sh", "-c",
         f"cd {ROOT} && uname -r && {sys.executable} -c '{ABI}' && "
         f"exec {sys.executable} -m pytest -q -rs -p no:cacheprovider "
         f"--tb=short --timeout=600 {tests}"], tmp_path, SECONDS)
    release, abi, *lines = out.splitlines() or ["", "0"]
    assert re.match(r"\d+\.\d+" if kernel == "backports"
                    else re.escape(kernel) + r"\.", release), log[-3000:]
    assert int(abi) >= KERNELS[kernel], (release, abi)
    assert lines, log[-3000:]
    assert " passed" in lines[-1], out[-8000:]
    assert "failed" not in lines[-1] and "error" not in lines[-1], out[-8000:]
