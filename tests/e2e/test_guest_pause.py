# SPDX-License-Identifier: Apache-2.0
"""Pause and resume reach vCPUs that sit in KVM_RUN, and lose no wake-up.

The ticker's CPUs sleep in the kernel, the spinning guest never leaves guest
mode by itself: the two places where a request can be missed.
"""

import signal
import time

import pytest

from conftest import Case


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def pause(api):
    api.set("PATCH", "/vm", {"state": "Paused"})
    assert api.call("GET", "/")[1]["state"] == "Paused"


def resume(api):
    api.set("PATCH", "/vm", {"state": "Resumed"})
    assert api.call("GET", "/")[1]["state"] == "Running"


@pytest.mark.parametrize("cpus", [1, 4])
def test_a_paused_guest_is_silent(vmm, cpus):
    run, api = vmm.start_api(Case("ticker", "period=10 cpus", cpus=cpus))
    run.wait_for("tick 3")
    pause(api)
    while run.read_some(0.2):
        pass
    assert run.read_some(1) is None
    resume(api)
    assert run.read_some(20)


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_paused_guest_uses_no_cpu(vmm, cpus):
    run, api = vmm.start_api(Case("spin", cpus=cpus))
    run.wait_for("spinning")
    pause(api)
    before = cpu_ticks(run.pid)
    time.sleep(1)
    assert cpu_ticks(run.pid) - before < 50
    resume(api)
    before = cpu_ticks(run.pid)
    while cpu_ticks(run.pid) - before < 5:
        time.sleep(0.05)


@pytest.mark.parametrize("guest,text", [("ticker", "tick 1"),
                                        ("spin", "spinning")])
@pytest.mark.parametrize("cpus", [1, 4])
def test_many_pauses(vmm, guest, text, cpus):
    run, api = vmm.start_api(Case(guest, "period=1 cpus", cpus=cpus))
    run.wait_for(text)
    for _ in range(100):
        pause(api)
        resume(api)
    if guest == "ticker":
        while run.read_some(0.05):
            break
        run.seen = b""
        run.wait_for("tick")
    assert run.process.poll() is None


def test_pause_twice_and_resume_twice(vmm):
    run, api = vmm.start_api(Case("ticker"))
    run.wait_for("tick 1")
    pause(api)
    pause(api)
    resume(api)
    resume(api)
    run.wait_for("tick 8")


def test_a_paused_guest_can_be_ended(vmm):
    run, api = vmm.start_api(Case("spin"))
    run.wait_for("spinning")
    pause(api)
    run.process.terminate()
    assert run.finish().code == -signal.SIGTERM


def test_ctrl_alt_del_reaches_the_guest(vmm):
    run, api = vmm.start_api(Case("keys"))
    run.wait_for("waiting")
    api.set("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    result = run.finish()
    result.assert_passed()
    keys = [int(x.split()[1], 16) for x in result.lines() if "key " in x]
    # Set 1 (translated) or set 2; Ctrl, Alt, Delete with its prefix or not
    assert [k for k in keys if k != 0xe0] in ([0x1d, 0x38, 0x53],
                                             [0x14, 0x11, 0x71])
