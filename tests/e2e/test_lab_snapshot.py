# SPDX-License-Identifier: Apache-2.0
"""What depends on the host's KVM, with a stock one: in the lab.

Which pages KVM notes as written, and which of its MSRs go on by themselves.
In make check-long: it takes some minutes. Dirty rings are tested here only:
a software-assisted KVM overruns them.
"""

import sys
from pathlib import Path

import pytest

from conftest import BUILD, in_lab, long_only, need_lab

HERE = Path(__file__).parent
FILES = ("test_snapshot_diff.py", "test_snapshot_state.py",
         "test_snapshot_ways.py",
         "test_memory_hotplug.py::test_clones_and_diffs")
HUGE = ("test_memory_hotplug.py::test_huge_pages",
        "test_snapshot_uffd.py::test_2_mib_pages")


def pytest_of(names, *more):
    """The command that runs these tests of this folder."""
    return ["env", f"VOLT_BUILD={BUILD}", "VOLT_TEST_LONG=0", sys.executable,
            "-m", "pytest", "-q", "-p", "no:cacheprovider", *more,
            *(HERE / name for name in names)]


@pytest.mark.lab
@long_only("some minutes")
def test_snapshots_on_a_stock_kvm(build, tmp_path):
    need_lab()
    out, log = in_lab(pytest_of(FILES, "-k", "not large"), tmp_path, 900)
    last = out.splitlines()[-1] if out else log[-2000:]
    assert " passed" in last and "failed" not in last, out[-5000:]


@pytest.mark.lab
@long_only("a lab of its own")
def test_huge_pages(build, tmp_path):
    """Set aside there, as this host's are not ours to set aside."""
    need_lab()
    out, log = in_lab(
        ["sh", "-c", "echo 128 >/proc/sys/vm/nr_hugepages && exec \"$@\"", "sh",
         *pytest_of(HUGE)], tmp_path, 600)
    assert out.splitlines()[-1:] and out.splitlines()[-1].startswith(
        "3 passed"), out[-5000:] + log[-2000:]


@pytest.mark.lab
@long_only("a lab of its own")
def test_files_on_an_older_kernel(build, tmp_path):
    """Linux 6.1: no name for a nameless file without a capability; a tmpfs
    without extended attributes."""
    need_lab()
    out, log = in_lab([BUILD / "tests/unit/test_snapshot_files"], tmp_path, 300)
    text = out + log
    assert "[  PASSED  ]" in text and "FAILED" not in text, text[-5000:]
    assert "in_a_jail" in text and "SKIPPED" not in text.split("in_a_jail")[1]
