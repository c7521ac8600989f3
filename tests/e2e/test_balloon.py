# SPDX-License-Identifier: Apache-2.0
"""The balloon: memory really goes back to the host, told over the API.

A bare-metal guest writes 64 MiB and then gives them back by each of the ways
there are, one step at a time.
"""

import time

import pytest

from conftest import BUILD, Api, Case

TOUCHED_KIB = 64 << 10
BALLOON = {"amount_mib": 16, "deflate_on_oom": True,
           "stats_polling_interval_s": 1, "free_page_hinting": True,
           "free_page_reporting": True}


def resident_kib(run):
    """What the VMM holds of the host's memory."""
    with open(f"/proc/{run.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise AssertionError("no VmRSS")


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def ok(api, method, url, body=None):
    status, answer = api.call(method, url, body)
    assert status in (200, 204), (url, answer)
    return answer


def refused(api, method, url, body=None):
    status, answer = api.call(method, url, body)
    assert status == 400, (url, status, answer)
    return answer["fault_message"]


@pytest.fixture
def guest(vmm):
    run, api = vmm.start_api(Case("balloon", "steps touch=64", memory=256,
                                  devices={"balloon": BALLOON}))

    def step(name):
        run.wait_for(f"step {name}")

    def go():
        run.send("\n")
    return run, api, step, go


def test_every_way(guest):
    run, api, step, go = guest
    step("touched")
    full = resident_kib(run)
    assert full > TOUCHED_KIB
    assert ok(api, "GET", "/balloon") == BALLOON
    go()
    step("inflated")
    assert resident_kib(run) < full - TOUCHED_KIB * 9 // 10
    stats = ok(api, "GET", "/balloon/statistics")
    assert (stats["target_mib"], stats["actual_mib"]) == (16, 64)
    assert (stats["target_pages"], stats["actual_pages"]) == (4096, 16384)
    go()
    step("deflated")
    assert resident_kib(run) > full - TOUCHED_KIB // 10
    assert ok(api, "GET", "/balloon/statistics")["actual_mib"] == 0
    go()
    step("reported")
    assert resident_kib(run) < full - TOUCHED_KIB * 9 // 10
    go()
    step("to-hint")
    hinting = "/balloon/hinting/"
    assert ok(api, "GET", hinting + "status") == {"host_cmd": 0,
                                                  "guest_cmd": None}
    ok(api, "PATCH", hinting + "start")
    assert ok(api, "GET", hinting + "status")["host_cmd"] == 2
    go()
    step("hinted")
    assert resident_kib(run) > full - TOUCHED_KIB // 10
    assert ok(api, "GET", hinting + "status") == {"host_cmd": 1,
                                                  "guest_cmd": 0}
    ok(api, "PATCH", hinting + "start", {"acknowledge_on_stop": False})
    assert ok(api, "GET", hinting + "status")["host_cmd"] == 3
    ok(api, "PATCH", hinting + "stop")
    assert ok(api, "GET", hinting + "status")["host_cmd"] == 1
    go()
    for free in 1000, 1001:
        step("stats")
        wait_until(lambda want=free: ok(api, "GET", "/balloon/statistics")
                   .get("free_memory") == want, "no new statistics")
        stats = ok(api, "GET", "/balloon/statistics")
        assert stats["total_memory"] == 2000
        assert "swap_in" not in stats
        go()
    run.finish().assert_passed()


def test_target_and_interval(guest):
    run, api, step, _ = guest
    step("touched")
    ok(api, "PATCH", "/balloon", {"amount_mib": 32})
    assert ok(api, "GET", "/balloon")["amount_mib"] == 32
    assert ok(api, "GET", "/vm/config")["balloon"]["amount_mib"] == 32
    assert ok(api, "GET", "/balloon/statistics")["target_pages"] == 8192
    # More pages than 32 bits count, and statistics on or off.
    assert "too large" in refused(api, "PATCH", "/balloon",
                                  {"amount_mib": 1 << 24})
    assert "after activation" in refused(
        api, "PATCH", "/balloon/statistics", {"stats_polling_interval_s": 0})
    ok(api, "PATCH", "/balloon/statistics", {"stats_polling_interval_s": 60})
    assert ok(api, "GET", "/balloon")["stats_polling_interval_s"] == 60
    run.process.terminate()
    run.finish()


def test_pause_keeps_it(guest):
    """A pause between request and answer loses nothing."""
    run, api, step, go = guest
    step("touched")
    ok(api, "PATCH", "/vm", {"state": "Paused"})
    go()
    ok(api, "PATCH", "/balloon", {"amount_mib": 8})
    ok(api, "PATCH", "/vm", {"state": "Resumed"})
    step("inflated")
    assert ok(api, "GET", "/balloon/statistics")["target_mib"] == 8
    run.process.terminate()
    run.finish()


def test_snapshot_of_a_balloon(guest, vmm, tmp_path):
    """What was given back is zero for the clone too, which can give more: its
    memory is a file's, whose old bytes must not come back (D12)."""
    run, api, step, go = guest
    step("touched")
    go()
    step("inflated")
    ok(api, "PATCH", "/vm", {"state": "Paused"})
    ok(api, "PUT", "/snapshot/create", {"snapshot_path": f"{tmp_path}/snap/"})
    run.process.terminate()
    run.finish()
    clone = vmm.spawn([BUILD / "volt-vmm", "--api-sock", tmp_path / "c.sock"])
    api = Api(tmp_path / "c.sock")
    api.wait()
    ok(api, "PUT", "/snapshot/load", {"snapshot_path": f"{tmp_path}/snap",
                                      "resume_vm": True})
    assert ok(api, "GET", "/balloon") == BALLOON
    assert ok(api, "GET", "/balloon/statistics")["actual_mib"] == 64
    clone.send("\n")
    clone.wait_for("step deflated")  # it found zeros, and wrote to them
    clone.send("\n")
    clone.wait_for("step reported")
    assert resident_kib(clone) < TOUCHED_KIB // 2
    clone.send("\n")
    clone.wait_for("step to-hint")  # zeros again
    clone.process.terminate()
    assert not clone.finish().failures()
