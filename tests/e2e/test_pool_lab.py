# SPDX-License-Identifier: Apache-2.0
"""volt-pool in the lab: cgroups of version 2 with controllers, and vhost-net."""

import sys
from pathlib import Path

import pytest

from conftest import BUILD, in_lab

SCRIPT = Path(__file__).with_name("lab_pool.py")


@pytest.mark.lab
def test_where_leases_go_and_what_bounds_them(build, tmp_path):
    """Both halves in the lessee's cgroup, and each controller at work there."""
    script = tmp_path / "pool.sh"
    script.write_text(
        "mkdir /tmp/pool && unshare --net sh -c '\n"
        "ip link set lo up\n"
        f"exec {sys.executable} {SCRIPT} {BUILD} /tmp/pool'\n")
    out, log = in_lab(["sh", script], tmp_path, 400)
    lines = out.replace("\r", "").splitlines()
    for name in ("moved", "limits", "memory", "vhost", "all"):
        assert f"ok {name}" in lines, (name, out, log)
