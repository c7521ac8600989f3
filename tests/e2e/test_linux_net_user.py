# SPDX-License-Identifier: Apache-2.0
"""`volt run IMAGE` and its network by passt, with a stock kernel, in the lab.

What the guest reaches and what not is tried address by address by a Linux guest;
net_user_linux.py on the lab's host. Once it boots, once it is a warm start.
passt is no root's there: it becomes nobody.
"""

import shutil
import sys
from pathlib import Path

import pytest

from conftest import (BUILD, ROOT, in_lab, mkfs_ext4, need_lab, said,
                      stock_store)

CASES = ["start", "resolver", "name", "hosts", "blocked-198.51.100.1",
         "blocked-127.0.0.1", "blocked-10.0.2.2", "blocked-10.0.2.3",
         "blocked-169.254.169.254", "blocked-0.0.0.0", "blocked-10.0.2.200",
         "blocked-fe80::1", "nobody-came", "published", "passt-runs", "end",
         "passt-ends"]
HERE = Path(__file__).parent
LINKS = ("cat", "echo", "httpd", "mkdir", "nc", "nslookup", "sh")


def make_image(place):
    tree = place / "tree"
    for name in ("bin", "etc", "root", "tmp"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for name in LINKS:
        (tree / "bin" / name).symlink_to("busybox")
    return mkfs_ext4(tree, place / "root.img", "16M")


@pytest.fixture(scope="module")
def said_in_lab(build, tmp_path_factory):
    need_lab()
    if not shutil.which("passt"):
        pytest.skip("passt is not installed")
    place = tmp_path_factory.mktemp("net")
    said(ROOT / "tests/kernel/stock", "--print", "vmlinux")
    image = make_image(place)
    out, log = in_lab(
        ["env", f"VOLT_STORE={stock_store()}", "VOLT_CACHE=/tmp/cache",
         sys.executable,
         HERE / "net_user_linux.py", BUILD / "volt", image], place, 300)
    return out.splitlines(), log[-3000:]


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["cold", "warm"])
def test_network(said_in_lab, kind, case):
    lines, log = said_in_lab
    assert f"ok {kind}-{case}" in lines, "\n".join(lines) + "\n" + log
