# SPDX-License-Identifier: Apache-2.0
"""What time is it for a guest that was paused, or saved and restored?"""

import re
import time

import pytest

from test_snapshot import restore, snapshot, start


def clock(vmm, folder):
    """A guest that reads its clock, or skip where there is none."""
    run, api = start(vmm, folder, "clock", "")
    run.wait_for("\n")
    if "none" in run.whole.decode():
        pytest.skip("this KVM has no kvm-clock")
    return run, api


def times(run):
    text = run.whole.decode()
    assert "back" not in text
    return [int(n) for n in re.findall(r"clock (\d+)\r?\n", text)]


def test_a_guest_hears_that_it_was_paused(vmm, tmp_path):
    """So that it does not take the pause for a CPU that hangs."""
    run, api = clock(vmm, tmp_path)
    api.set("PATCH", "/vm", {"state": "Paused"})
    assert "stopped" not in run.whole.decode()
    api.set("PATCH", "/vm", {"state": "Resumed"})
    run.wait_for("stopped")
    run.wait_for("clock")
    times(run)


def test_a_clone_goes_on_with_the_time(vmm, tmp_path):
    """However long nobody had it; the guest itself looks for a step back."""
    run, api = clock(vmm, tmp_path)
    assert snapshot(api, tmp_path / "s").returncode == 0
    run.process.kill()
    run.process.wait()
    saved = times(run)[-1]
    time.sleep(1)
    clone = restore(vmm, tmp_path / "s")
    clone.wait_for("stopped")
    clone.wait_for("clock")
    clone.wait_for("clock")
    assert saved <= times(clone)[0]
