# SPDX-License-Identifier: Apache-2.0
"""What time is it for a guest that was paused, or saved and restored?"""

import json
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


def tscs(run):
    """What a guest with several CPUs has read; no CPU was behind another."""
    text = run.whole.decode()
    assert "back" not in text and "FAIL" not in text, text
    return [int(n) for n in re.findall(r"tsc (\d+)\r?\n", text)]


def saved_tsc(vmm, folder):
    """A snapshot of a guest with two CPUs that compare their TSCs."""
    run, api = start(vmm, folder, "tsc", "", cpus=2)
    run.wait_for("tsc ")
    run.wait_for("\n")
    assert snapshot(api, folder / "s").returncode == 0
    run.process.kill()
    run.process.wait()
    return tscs(run)[-1]


def ticks_per_second(snap):
    state = json.loads((snap / "state.json").read_text())
    khz = {vcpu["tsc_khz"] for vcpu in state["vcpus"]}
    assert len(khz) == 1
    if khz == {0}:
        pytest.skip("this host does not tell the frequency of the TSC")
    return khz.pop() * 1000


def goes_on(run, lines=5):
    for _ in range(lines):
        run.wait_for("tsc ")
    run.wait_for("\n")
    return tscs(run)


@pytest.mark.parametrize("how", [(), ("--clock", "realtime")])
def test_a_clones_cpus_have_one_tsc(vmm, tmp_path, how):
    """Each finds what another has read before it, to the tick."""
    saved = saved_tsc(vmm, tmp_path)
    for _ in range(3):
        clone = restore(vmm, tmp_path / "s", *how)
        found = goes_on(clone)
        assert saved <= found[0] and found == sorted(found)
        clone.process.kill()
        clone.process.wait()


def test_the_wall_clock_of_a_guest_on_tsc(vmm, tmp_path):
    """--clock realtime is for those who count it, too: Linux does where it
    trusts it."""
    saved = saved_tsc(vmm, tmp_path)
    second = ticks_per_second(tmp_path / "s")
    time.sleep(1)
    assert goes_on(restore(vmm, tmp_path / "s", "--clock", "realtime"), 1)[
        0] >= saved + second


def test_the_wall_clock_of_a_guest_on_kvm_clock(vmm, tmp_path):
    run, api = clock(vmm, tmp_path)
    assert snapshot(api, tmp_path / "s").returncode == 0
    run.process.kill()
    run.process.wait()
    saved = times(run)[-1]
    time.sleep(1)
    clone = restore(vmm, tmp_path / "s", "--clock", "realtime")
    clone.wait_for("clock")
    clone.wait_for("\n")
    assert times(clone)[0] >= saved + 1_000_000_000
