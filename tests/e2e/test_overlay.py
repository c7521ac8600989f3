# SPDX-License-Identifier: Apache-2.0
"""Clones that write to private copies of the snapshot's drive (overlay)."""

import hashlib
import os

import pytest

from conftest import BUILD, Api, Case
from test_guest_blk import BLOCK, DISK_BYTES, drive, make_disk, start_load
from test_sandbox import needs_landlock
from test_sandbox_first import locked  # noqa: F401
from test_snapshot import snapshot

VMM = BUILD / "volt-vmm"
BLOCKS = DISK_BYTES // BLOCK


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def started(vmm, folder, argv):
    sock = folder / f"over{len(vmm.started)}.sock"
    run = vmm.spawn([*argv, "--api-sock", sock])
    api = Api(sock)
    api.wait()
    return run, api


def flushed(run, more=1):
    """Wait for @more acknowledged batches; the last block's number."""
    for _ in range(more):
        run.wait_for("flushed ")
        run.wait_for("\n")
    return [int(line.split()[1]) for line in run.whole.decode().split("\n")[:-1]
            if line.startswith("flushed ")][-1]


@pytest.fixture(params=["Sync", "Async"])
def saved(vmm, tmp_path, request):
    """A snapshot of a guest that writes to its drive all the time."""
    disk = make_disk(tmp_path)
    run, api = start_load(vmm, disk, f"journal={BLOCKS}", request.param)
    flushed(run, 5)
    assert snapshot(api, tmp_path / "s").returncode == 0
    run.process.kill()
    run.process.wait()
    (tmp_path / "over").mkdir()
    return disk, tmp_path / "s", tmp_path / "over"


def load(api, snap, **override):
    return api.call("PUT", "/snapshot/load", {
        "snapshot_path": f"{snap}/", "resume_vm": True,
        "drive_overrides": [{"drive_id": "rootfs", **override}]})


def private_file(pid, folder):
    """The drive of a VM, which has no name, as /proc shows it."""
    found = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")
             if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(f"{folder}/")]
    assert len(found) == 1, found
    return found[0]


def test_clones_write_to_copies(vmm, tmp_path, saved):
    """All at the same time; the drive stays, and the folder is empty."""
    disk, snap, over = saved
    before = digest(disk)
    clones = []
    for _ in range(5):
        run, api = started(vmm, tmp_path, [VMM])
        assert load(api, snap, overlay=str(over))[0] == 204
        clones.append((run, api))
    for run, api in clones:
        last = flushed(run, 8)
        assert api.call("GET", "/vm/config")[1]["drives"][0][
            "path_on_host"] == str(disk)
        api.set("PATCH", "/vm", {"state": "Paused"})
        if os.geteuid() == 0:
            with open(private_file(run.pid, over), "rb") as data:
                data.seek((last - 1) % BLOCKS * BLOCK)
                number = int.from_bytes(data.read(8), "little")
            assert number >= last - 1
        assert b"FAIL" not in run.whole
    assert digest(disk) == before
    assert os.listdir(over) == []
    for run, _ in clones:
        run.process.kill()
        run.process.wait()
    assert os.listdir(over) == []


def test_a_person_says_it_once(vmm, tmp_path, saved):
    """--overlay is for all drives; a copy of another file, too."""
    disk, snap, over = saved
    copy = tmp_path / "copy.img"
    copy.write_bytes(disk.read_bytes())
    before = digest(disk)
    for words in [], ["--disk", f"rootfs={copy}"]:
        run, _ = started(vmm, tmp_path, [VMM, "--restore", snap, "--overlay",
                                         over, "--level", "Info", *words])
        flushed(run, 3)
        assert "is a private copy of" in run.log()
        run.process.kill()
        run.process.wait()
    assert digest(disk) == before == digest(copy)


def test_it_is_not_saved(vmm, tmp_path, saved):
    """The disk would be lost; with a file of its own it is."""
    disk, snap, over = saved
    run, api = started(vmm, tmp_path, [VMM])
    assert load(api, snap, overlay=str(over))[0] == 204
    flushed(run)
    result = snapshot(api, tmp_path / "again")
    assert result.returncode == 1
    assert "drive rootfs is a private copy (overlay)" in result.stderr
    assert not (tmp_path / "again").exists()
    flushed(run)  # it goes on
    copy = tmp_path / "copy.img"
    copy.write_bytes(disk.read_bytes())
    api.set("PATCH", "/drives/rootfs", {"drive_id": "rootfs",
                                        "path_on_host": str(copy)})
    assert snapshot(api, tmp_path / "again").returncode == 0


@pytest.mark.parametrize("more, said", [
    ({}, "missing field: either `path_on_host` or `overlay` is required"),
    ({"overlay": "{over}/none"}, "No private copy of a drive can be made in "
                                 "{over}/none: No such file or directory"),
    ({"overlay": "{disk}"}, "can be made in {disk}: Not a directory"),
    ({"overlay": "/proc"}, "can be made in /proc: "),
    ({"overlay": "{over}", "path_on_host": "{over}/no"},
     "Error manipulating the backing file: No such file"),
])
def test_what_cannot_be(vmm, tmp_path, saved, more, said):
    disk, snap, over = saved
    names = {"over": over, "disk": disk}
    _, api = started(vmm, tmp_path, [VMM])
    status, answer = load(api, snap, **{
        key: text.format(**names) for key, text in more.items()})
    assert status == 400
    assert said.format(**names) in answer["fault_message"]
    assert os.listdir(over) == []


def test_a_writer_is_in_the_way(vmm, tmp_path, saved):
    """What is copied while another VM writes to it is no disk."""
    disk, snap, over = saved
    writer, _ = started(vmm, tmp_path, [VMM, "--restore", snap,
                                        "--lock-drives"])
    flushed(writer)
    result = vmm.spawn([VMM, "--restore", snap, "--overlay", over,
                        "--lock-drives", "--no-api"]).finish()
    assert result.code == 1
    assert f"{disk} is in use by" in result.log


def test_a_read_only_drive_is_used_as_it_is(vmm, tmp_path):
    disk = make_disk(tmp_path)
    argv = Case("ticker", "period=20", devices={
        "drives": [drive(disk, is_read_only=True)]}).argv(BUILD, tmp_path)
    argv.remove("--no-api")
    run, api = started(vmm, tmp_path, argv)
    run.wait_for("tick")
    assert snapshot(api, tmp_path / "s").returncode == 0
    clone, api = started(vmm, tmp_path, [VMM, "--restore", tmp_path / "s",
                                         "--overlay", tmp_path])
    clone.wait_for("tick")
    assert "private copy" not in clone.log()
    assert snapshot(api, tmp_path / "again").returncode == 0


@needs_landlock
def test_the_gate_makes_it(locked, saved, tmp_path):  # noqa: F811
    """A VM that is locked before the load; and only where --allow permits."""
    disk, snap, over = saved
    before = digest(disk)
    vm = locked()
    vm.load(snapshot_path=f"{snap}/", drive_overrides=[
        {"drive_id": "rootfs", "overlay": str(over)}])
    flushed(vm.run, 3)
    vm.kill()
    assert digest(disk) == before
    vm = locked("--allow", f"{tmp_path}:ro")
    assert "--allow permits only reading there" in vm.refused(
        "/snapshot/load", snapshot_path=f"{snap}/", drive_overrides=[
            {"drive_id": "rootfs", "overlay": str(over)}])
    vm = locked("--allow", f"{tmp_path}:ro", "--allow", over)
    vm.load(snapshot_path=f"{snap}/", drive_overrides=[
        {"drive_id": "rootfs", "overlay": str(over)}])
    flushed(vm.run, 3)
    vm.kill()
    assert digest(disk) == before
