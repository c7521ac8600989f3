# SPDX-License-Identifier: Apache-2.0
"""Whole Debians with systemd on virtio-blk, in the lab.

Their own kernel, initrd and packages (tests/distro makes them), a network by
DHCP and ssh from the host. distro_linux.py is that host. A short run boots
Debian 12 once; make check-long does all cases with Debian 12 and 13.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import BUILD, LONG, ROOT, in_lab, need_lab

SUITES = ["bookworm", "trixie"] if LONG else ["bookworm"]
CASES = (["poweroff", "reboot", "clones", "many_cpus", "much_memory"]
         if LONG else ["poweroff"])


def parts(suite):
    """The disk, kernel, initrd and key of a Debian."""
    made = subprocess.run([ROOT / "tests/distro", suite], text=True,
                          capture_output=True, check=False)
    if made.returncode and os.geteuid():
        pytest.skip(f"an ordinary user cannot make a Debian here: "
                    f"{made.stderr.strip()[-300:]}")
    assert made.returncode == 0, made.stderr
    facts = dict(x.split("=", 1) for x in made.stdout.splitlines())
    return [facts[name] for name in ("disk", "kernel", "initrd", "key")]


@pytest.fixture(scope="module", params=SUITES)
def said_in_lab(request, build, tmp_path_factory):
    need_lab()
    made = parts(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    out, log = in_lab([sys.executable, Path(__file__).with_name(
        "distro_linux.py"), BUILD / "volt-vmm", folder, *made, *CASES],
        folder, 7200 if LONG else 600)
    return out.splitlines(), log[-5000:]


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES)
def test_debian(said_in_lab, case):
    lines, log = said_in_lab
    assert f"ok {case}" in lines, "\n".join(lines) + "\n" + log
