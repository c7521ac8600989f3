# SPDX-License-Identifier: Apache-2.0
"""Memory that is plugged while the guest runs: it has what was asked for, the
host gets back what goes, and a clone has what was plugged.

A bare-metal guest does what the host asks for, and writes and checks one page
in 16 of it.
"""

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from conftest import BUILD, Api, Case
from poolclient import PoolDaemon
from test_balloon import ok, refused
from test_pager import Pager
from test_pool import make, processes, until
from test_snapshot_diff import RING, need_ring
from test_snapshot_pack import compress
from test_snapshot_uffd import Handler, free_huge_pages, need_uffd

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


def machine(**more):
    return {"machine-config": {"vcpu_count": 1, "mem_size_mib": 64, **more}}


def test_by_an_option(vmm, tmp_path):
    """Blocks and slots are of the usual sizes then."""
    guest = Guest.__new__(Guest)
    guest.run = vmm.spawn([
        BUILD / "volt-vmm", "--api-sock", tmp_path / "s", "--kernel",
        vmm.guest("memplug"), "--memory", "64M", "--hotplug-memory", "512M"])
    guest.run.wait_for("step ready")
    guest.api = Api(tmp_path / "s")
    status = ok(guest.api, "GET", "/hotplug/memory")
    assert {key: status[key] for key in HOTPLUG} == HOTPLUG
    guest.follow(130, "plugged")
    guest.kill()


def test_the_balloon_beside(vmm):
    """It takes half of what was plugged; the rest is as it was, also when what
    the balloon has is unplugged, and plugged again."""
    guest = Guest(vmm, balloon={"amount_mib": 0, "deflate_on_oom": False})
    before = private_mib(guest.api)
    guest.follow(256, "inflated")
    assert holds(private_mib(guest.api) - before, 128)
    guest.go("plugged")
    guest.follow(62, "unplugged")
    guest.follow(300, "again")
    guest.go("all")
    assert holds(private_mib(guest.api) - before, 0)
    guest.end()


@pytest.mark.parametrize("pages", ["Transparent", "2M"])
def test_huge_pages(vmm, pages):
    if pages == "2M" and free_huge_pages() < 32 + 80 // 2:
        pytest.skip("this host has not set 72 huge pages aside")
    guest = Guest(vmm, **machine(huge_pages=pages))
    before = private_mib(guest.api)
    guest.follow(80, "plugged")
    # How many of the pages are huge ones is the host's affair.
    assert 80 / 16 <= private_mib(guest.api) - before < 80 + SMALL
    guest.follow(20, "unplugged")
    assert private_mib(guest.api) - before < 20 + SMALL
    guest.follow(60, "again")
    guest.go("all")
    assert private_mib(guest.api) - before < SMALL
    guest.end()


def another_serves(folder, compressed):
    """The snapshot in @folder, by a process like its users' or by volt-pager."""
    if not compressed:
        return Handler(folder.parent, folder / "memory.snap")
    compress(folder)
    return Pager(folder.parent, folder)


@pytest.mark.parametrize("compressed", [False, True])
def test_another_process_serves_it(vmm, tmp_path, compressed):
    """Also what goes and comes back: that is zero, whatever the file has."""
    need_uffd()
    guest = Guest(vmm)
    guest.follow(130, "plugged")
    guest.save(tmp_path / "one")
    guest.kill()
    server = another_serves(tmp_path / "one", compressed)
    path = str(server.sock if compressed else server.path)
    try:
        clone = clone_of(vmm, tmp_path / "one/state.json", tmp_path / "c.sock",
                         mem_backend={"backend_type": "Uffd",
                                      "backend_path": path})
        assert plugged(clone.api) == (130, 130)
        clone.follow(40, "unplugged")
        clone.follow(200, "again")
        clone.go("all")
        assert plugged(clone.api) == (0, 200)
        clone.run.send("\n")
        result = clone.run.finish()
        assert result.code == 0 and result.done()[1] == 0, result
    finally:
        server.process.kill()
        server.process.wait()


def test_clones_of_a_pool(vmm, tmp_path):
    """A lease has what was plugged, and is given more than others."""
    guest = Guest(vmm)
    guest.follow(130, "plugged")
    guest.save(tmp_path / "one")
    guest.kill()
    folder = Path(tempfile.mkdtemp(prefix="volt-pool-", dir="/tmp"))
    daemon = PoolDaemon(BUILD, folder)
    try:
        with daemon.client() as client:
            make(client, tmp_path / "one")
            leases = [client.lease("web") for _ in range(2)]
            apis = [Api(lease.path) for lease in leases]
            ask(apis[0], 200)
            assert [plugged(api) for api in apis] == [(130, 200), (130, 130)]
            assert [size_mib(api) for api in apis] == [64 + 130] * 2
            for lease in leases:
                lease.close()
    finally:
        daemon.kill()
        for pid in processes(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not processes(folder))
        shutil.rmtree(folder)


@pytest.mark.parametrize("tracked", ["pagemap", "log", "ring"])
def test_clones_and_diffs(vmm, tmp_path, tracked):
    """Of a VM with plugged memory, of its clone, and of the clone's diff."""
    need_ring(RING if tracked == "ring" else [])
    how = {"pagemap": {}, "log": {"track_dirty_pages": True},
           "ring": {"track_dirty_pages": True, "dirty_ring": True}}[tracked]
    guest = Guest(vmm, **machine(**how))
    guest.follow(130, "plugged")
    guest.save(tmp_path / "one")
    memory = (tmp_path / "one/memory.snap").stat()
    assert memory.st_size == (64 + 512) * MIB
    assert holds(memory.st_blocks * 512 / MIB, 130)
    guest.kill()

    clone = clone_of(vmm, tmp_path / "one", tmp_path / "c.sock", **how)
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
