# SPDX-License-Identifier: Apache-2.0
"""Whole Debians with systemd on virtio-blk, in the lab.

Their own kernel, initrd and packages (tests/distro makes them), a network by
DHCP and ssh from the host. distro_linux.py is that host. A short run does none
of it: its kernels boot in test_linux_boot.py, its images in
test_linux_image.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import BUILD, ROOT, in_lab, long_only, need_lab

SUITES = ["bookworm", "trixie"]
# The seconds that a case may take at most; each has a lab of its own.
CASES = {"poweroff": 900, "reboot": 1200, "clones": 2400, "many_cpus": 3600,
         "much_memory": 2400}


@pytest.fixture(scope="module", params=SUITES)
def parts(request, build):
    """The disk, kernel, initrd and key of a Debian."""
    need_lab()
    made = subprocess.run([ROOT / "tests/distro", request.param], text=True,
                          capture_output=True, timeout=1800, check=False)
    if made.returncode and os.geteuid():
        pytest.skip(f"an ordinary user cannot make a Debian here: "
                    f"{made.stderr.strip()[-300:]}")
    assert made.returncode == 0, made.stderr
    facts = dict(x.split("=", 1) for x in made.stdout.splitlines())
    return [facts[name] for name in ("disk", "kernel", "initrd", "key")]


@pytest.mark.lab
@long_only("a Debian is made, and boots in minutes")
@pytest.mark.parametrize("case", CASES)
def test_debian(parts, tmp_path, case):
    out, log = in_lab([sys.executable, Path(__file__).with_name(
        "distro_linux.py"), BUILD / "volt-vmm", tmp_path, *parts, case],
        tmp_path, CASES[case])
    assert f"ok {case}" in out.splitlines(), f"{out}\n{log[-5000:]}"
