# SPDX-License-Identifier: Apache-2.0
"""Memory that is plugged while the guest runs: it has what was asked for, the
host gets back what goes, and a clone has what was plugged.

A bare-metal guest does what the host asks for, and writes and checks one page
in 16 of it.
"""

import pytest

from conftest import BUILD, Api, Case
from test_balloon import ok, refused

MIB = 1 << 20
HOTPLUG = {"total_size_mib": 512, "block_size_mib": 2, "slot_size_mib": 128}
SMALL = 2  # MiB that the rest of the guest may take, and change


def share():
    """Of what is plugged, as far as the host has pages for it."""
    with open("/sys/kernel/mm/transparent_hugepage/enabled",
              encoding="ascii") as policy:
        return 1 if "[always]" in policy.read() else 1 / 16


def holds(mib, plugged_mib):
    """@mib is what so much plugged memory takes."""
    want = plugged_mib * share()
    return want <= mib < want + SMALL


def private_mib(api):
    return ok(api, "GET", "/volt/memory")["guest"]["private_bytes"] / MIB


def size_mib(api):
    return ok(api, "GET", "/volt/memory")["guest"]["size_bytes"] / MIB


def plugged(api):
    status = ok(api, "GET", "/hotplug/memory")
    return status["plugged_size_mib"], status["requested_size_mib"]


def ask(api, mib):
    ok(api, "PATCH", "/hotplug/memory", {"requested_size_mib": mib})


class Guest:
    def __init__(self, vmm, **machine):
        self.vmm = vmm
        self.run, self.api = vmm.start_api(Case(
            "memplug", "steps", memory=64,
            devices={"hotplug/memory": HOTPLUG, **machine}))
        self.run.wait_for("step ready")

    def follow(self, mib, step):
        """The guest has @mib plugged, and has come to @step."""
        ask(self.api, mib)
        self.go(step)
        assert plugged(self.api) == (mib, mib)

    def go(self, step):
        self.run.send("\n")
        self.run.wait_for(f"step {step}")

    def save(self, folder, **how):
        ok(self.api, "PATCH", "/vm", {"state": "Paused"})
        ok(self.api, "PUT", "/snapshot/create",
           {"snapshot_path": f"{folder}/", **how})

    def end(self):
        self.run.send("\n")
        self.run.finish().assert_passed()

    def kill(self):
        self.run.process.terminate()
        self.run.finish()


def clone_of(vmm, folder, sock, **how):
    """The same guest from the snapshot in @folder, which goes on."""
    clone = Guest.__new__(Guest)
    clone.vmm = vmm
    clone.run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    clone.api = Api(sock)
    clone.api.wait()
    ok(clone.api, "PUT", "/snapshot/load",
       {"snapshot_path": f"{folder}", "resume_vm": True, **how})
    return clone


def test_it_comes_and_really_goes(vmm):
    guest = Guest(vmm)
    before = private_mib(guest.api)
    assert size_mib(guest.api) == 64
    guest.follow(260, "plugged")
    assert size_mib(guest.api) == 64 + 260
    assert holds(private_mib(guest.api) - before, 260)
    guest.follow(62, "unplugged")
    assert size_mib(guest.api) == 64 + 62
    assert holds(private_mib(guest.api) - before, 62)
    guest.follow(300, "again")
    assert holds(private_mib(guest.api) - before, 300)
    guest.go("all")
    assert plugged(guest.api) == (0, 300)
    assert holds(private_mib(guest.api) - before, 0)
    guest.end()


def test_sizes_that_make_no_sense(vmm):
    guest = Guest(vmm)
    for mib in 3, 514, 2**32 - 1:
        assert refused(guest.api, "PATCH", "/hotplug/memory",
                       {"requested_size_mib": mib}) == (
            "Memory hotplug update error: Failed to create memory hotplug "
            f"device: Size {mib * MIB} is invalid: it must be a multiple of "
            "block size and less than the total size")
    assert plugged(guest.api) == (0, 0)
    guest.kill()


@pytest.mark.parametrize("tracked", [False, True])
def test_clones_and_diffs(vmm, tmp_path, tracked):
    """Of a VM with plugged memory, of its clone, and of the clone's diff."""
    machine = {}
    if tracked:
        machine["machine-config"] = {
            "vcpu_count": 1, "mem_size_mib": 64, "track_dirty_pages": True}
    guest = Guest(vmm, **machine)
    guest.follow(130, "plugged")
    guest.save(tmp_path / "one")
    memory = (tmp_path / "one/memory.snap").stat()
    assert memory.st_size == (64 + 512) * MIB
    assert holds(memory.st_blocks * 512 / MIB, 130)
    guest.kill()

    clone = clone_of(vmm, tmp_path / "one", tmp_path / "c.sock",
                     **({"track_dirty_pages": True} if tracked else {}))
    assert plugged(clone.api) == (130, 130)
    # Nothing is asked for that the guest does not have.
    clone.follow(40, "unplugged")
    assert ok(clone.api, "GET", "/volt/dirty")["dirty_bytes"] < SMALL * MIB
    clone.save(tmp_path / "two", snapshot_type="Diff")
    diff = (tmp_path / "two/memory.snap").stat()
    assert diff.st_size == (64 + 512) * MIB
    # What was unplugged costs nothing.
    assert diff.st_blocks * 512 < SMALL * MIB
    clone.kill()

    second = clone_of(vmm, tmp_path / "two", tmp_path / "d.sock")
    assert plugged(second.api) == (40, 40)
    ask(second.api, 200)
    second.run.send("\n")
    second.run.wait_for("step again")
    assert plugged(second.api) == (200, 200)
    second.run.process.terminate()
    assert not second.run.finish().failures()
