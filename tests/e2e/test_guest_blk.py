# SPDX-License-Identifier: Apache-2.0
"""Bare-metal guests on block devices: both engines, hosts that fail, kill -9."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import time

import pytest

from conftest import BUILD, Api, Case, mkfs_ext4

SECTOR = 512
DISK_BYTES = 4 << 20
BLOCK = 4096
ENGINES = ("Sync", "Async")


def make_disk(folder, name="disk.img", size=DISK_BYTES):
    path = folder / name
    with open(path, "wb") as disk:
        disk.truncate(size)
    return path


def drive(path, **fields):
    return {"drive_id": "rootfs", "path_on_host": str(path),
            "is_root_device": False, **fields}


def words(**fields):
    """What guest blk is to expect of such a drive."""
    return " ".join(
        ["id=rootfs", f"sectors={DISK_BYTES // SECTOR}"]
        + ["flush"] * (fields.get("cache_type") == "Writeback")
        + ["ro"] * fields.get("is_read_only", False))


GUESTS = [
    ("blk", {"io_engine": "Sync", "cache_type": "Writeback"}, {}),
    ("blk", {"io_engine": "Async", "cache_type": "Writeback"}, {}),
    ("blk-pvh", {"io_engine": "Async"}, {"cpus": 2}),
    ("blk", {"io_engine": "Sync"}, {"irqchip": "full"}),
    ("blk", {"is_read_only": True, "io_engine": "Async"}, {}),
    ("blk", {"is_read_only": True}, {}),
]


@pytest.mark.parametrize("guest, fields, more", GUESTS)
def test_driver_good_and_bad(vmm, tmp_path, guest, fields, more):
    disk = make_disk(tmp_path)
    if fields.get("is_read_only"):
        disk.chmod(0o400)
    case = Case(guest, words(**fields), name="blk",
                devices={"drives": [drive(disk, **fields)]}, **more)
    result = vmm.run(case, seconds=300)
    result.assert_passed()
    assert "broke the rules" not in result.log
    assert disk.stat().st_size == DISK_BYTES


def test_flags_for_people(vmm, tmp_path):
    disk = make_disk(tmp_path)
    run = vmm.run(Case("blk", "id=data flush", extra=(
        "--disk", f"{disk},id=data,engine=async")), seconds=300)
    run.assert_passed()
    for spec, text in (("nowhere", "Cannot open the disk nowhere: No such"),
                       (f"{tmp_path}", "Is a directory"),
                       ("/dev/null", "Block device required"),
                       (f"{disk},x", "unknown word 'x'"),
                       (f"{disk},id=a-b", "'a-b' is no id")):
        run = vmm.run(Case("blk", extra=("--disk", spec)))
        assert run.code == 1 and text in run.log, run


@pytest.mark.parametrize("engine", ENGINES)
def test_io_uring_denied_means_sync(vmm, tmp_path, engine):
    """One line says so, and the guest does not notice."""
    case = Case("blk", words(cache_type="Writeback"), name="blk", devices={
        "drives": [drive(make_disk(tmp_path), io_engine=engine,
                         cache_type="Writeback")]})
    run = vmm.spawn(["strace", "-f", "-o", "/dev/null", "-e",
                     "trace=io_uring_setup", "-e",
                     "inject=io_uring_setup:error=EPERM",
                     *case.argv(BUILD, tmp_path)])
    run.process.stdin.close()
    result = run.finish(300)
    result.assert_passed()
    assert result.log.count("engine Async is not possible here") == \
        (engine == "Async")
    assert "Operation not permitted" in result.log or engine == "Sync"


def start_load(vmm, disk, cmdline, engine, limits=None):
    """blkload over the API: (run, api)."""
    case = Case("blkload", cmdline, devices={
        "drives/rootfs": drive(disk, io_engine=engine, cache_type="Writeback",
                               rate_limiter=limits)})
    return vmm.start_api(case)


@pytest.mark.parametrize("engine", ENGINES)
def test_placeholder_grows(vmm, tmp_path, engine):
    """PATCH of a zero-length drive: the guest gets an interrupt and reads."""
    empty = make_disk(tmp_path, "empty", 0)
    real = tmp_path / "real"
    real.write_bytes(b"\x42" * DISK_BYTES)
    case = Case("blk", f"resize={DISK_BYTES // SECTOR}", devices={
        "drives/rootfs": drive(empty, io_engine=engine)})
    run, api = vmm.start_api(case)
    run.wait_for("ready")
    status, _ = api.call("PATCH", "/drives/rootfs",
                         {"drive_id": "rootfs", "path_on_host": "/nowhere"})
    assert status == 400
    api.set("PATCH", "/drives/rootfs",
            {"drive_id": "rootfs", "path_on_host": str(real)})
    _, config = api.call("GET", "/vm/config")
    assert config["drives"][0]["path_on_host"] == str(real)
    run.finish().assert_passed()


@pytest.mark.parametrize("engine", ENGINES)
def test_flushed_data_survives_kill_9(vmm, tmp_path, engine):
    """The VMM is killed under load: what was acknowledged is on the disk."""
    disk = make_disk(tmp_path)
    blocks = DISK_BYTES // BLOCK
    for wait in (1, 20, 90):
        run, _ = start_load(vmm, disk, f"journal={blocks}", engine)
        for _ in range(wait):
            run.wait_for("flushed ")
        os.kill(run.pid, signal.SIGKILL)
        run.finish()
        flushed = 0
        for line in run.whole.decode().split("\n")[:-1]:
            if line.startswith("flushed "):
                flushed = int(line.split()[1])
        assert flushed >= wait * 16 - 16
        data = disk.read_bytes()
        for number in range(max(0, flushed - blocks), flushed):
            at = number % blocks * BLOCK
            found = int.from_bytes(data[at:at + 8], "little")
            # A later round may have come by, too.
            assert found == number or found >= flushed, (number, found)


@pytest.mark.parametrize("engine", ENGINES)
def test_shrinking_disk_ends_nothing(vmm, tmp_path, engine):
    disk = make_disk(tmp_path)
    os.truncate(disk, DISK_BYTES)
    run, api = start_load(vmm, disk, "requests=4000 depth=8 op=read", engine)
    os.truncate(disk, 8 * BLOCK)
    result = run.finish()
    assert result.code == 0
    assert "FAIL load-failed" in result.out
    assert "the file is shorter than it was" in result.log


@pytest.mark.parametrize("engine", ENGINES)
def test_rlimit_fsize_ends_nothing(vmm, tmp_path, engine):
    """Writes beyond the limit fail in the guest; SIGXFSZ kills nobody."""
    disk = make_disk(tmp_path)
    run, api = start_load(vmm, disk, "requests=3000 depth=4 op=write", engine)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (8 * BLOCK, 8 * BLOCK))
    result = run.finish()
    assert result.code == 0, result
    assert "load 3000" in result.out
    assert "FAIL load-failed" in result.out
    assert "File too large" in result.log


@contextlib.contextmanager
def freezable(folder):
    """A folder, on a file system of its own that can be frozen."""
    tree, place = folder / "tree", folder / "place"
    tree.mkdir()
    place.mkdir()
    make_disk(tree)
    image = mkfs_ext4(tree, folder / "image", "16M")
    mounted = subprocess.run(["mount", "-o", "loop", image, place],
                             capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a loop mount takes root: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["fsfreeze", "-u", place], check=False,
                       stderr=subprocess.DEVNULL)
        subprocess.run(["umount", "-l", place], check=True)


def test_hung_disk_does_not_hang_the_vmm(vmm, tmp_path):
    """Requests wait for the host; the API does not, and all goes on after."""
    with freezable(tmp_path) as place:
        blocks = DISK_BYTES // BLOCK
        run, api = start_load(vmm, place / "disk.img", f"journal={blocks}",
                              "Async")
        for _ in range(3):
            run.wait_for("flushed ")
        subprocess.run(["fsfreeze", "-f", place], check=True)
        assert api.call("GET", "/")[1]["state"] == "Running"
        for _ in range(100):  # the guest has to come to its next request
            api.set("PATCH", "/vm", {"state": "Paused"})
            status, body = api.call("PUT", "/snapshot/create", {
                "snapshot_path": str(tmp_path / "state"),
                "mem_file_path": str(tmp_path / "memory")})
            if status == 400:
                break
            api.set("PATCH", "/vm", {"state": "Resumed"})
            time.sleep(0.1)
        assert status == 400
        assert "still has requests in flight" in body["fault_message"]
        api.set("PATCH", "/vm", {"state": "Resumed"})
        subprocess.run(["fsfreeze", "-u", place], check=True)
        run.read_some(0)
        before = run.whole.count(b"flushed ")
        while run.whole.count(b"flushed ") < before + 20:
            run.wait_for("flushed ")
        assert b"FAIL" not in run.whole
        run.process.kill()
        run.process.wait()


def test_counters_by_device(vmm, tmp_path):
    """block_<id> for each drive, and block, their sum."""
    metrics = tmp_path / "metrics"
    case = Case("blkload", "requests=500 op=write", name="load", devices={
        "drives": [drive(make_disk(tmp_path)),
                   {**drive(make_disk(tmp_path, "b")), "drive_id": "b"}]},
        extra=("--metrics-path", str(metrics)))
    vmm.run(case).assert_passed()
    lines = [json.loads(x) for x in metrics.read_text().splitlines()]
    for name, want in (("block_rootfs", 500), ("block_b", 0), ("block", 500)):
        assert sum(x[name]["write_count"] for x in lines) == want
        assert sum(x[name]["write_bytes"] for x in lines) == want * BLOCK
        assert sum(x[name]["execute_fails"] for x in lines) == 0
    last = lines[-1]
    assert set(last["block"]) == set(last["block_b"])
    assert set(last["block"]["write_agg"]) == {"min_us", "max_us", "sum_us"}


def test_limits_by_patch(vmm, tmp_path):
    """A limit holds the guest back, and PATCH lets it go."""
    limits = {"ops": {"size": 100, "refill_time": 3600000}}
    run, api = start_load(vmm, make_disk(tmp_path), "requests=400", "Sync",
                          limits)
    time.sleep(0.5)
    assert b"load" not in run.whole
    api.set("PATCH", "/drives/rootfs", {"drive_id": "rootfs", "rate_limiter": {
        "ops": {"size": 0, "refill_time": 0}}})
    run.finish().assert_passed()


def test_root_device_words(vmm, tmp_path):
    """root= before the devices, PARTUUID when there is one, and the first."""
    disk = make_disk(tmp_path)
    for fields, want in (
            ({"is_read_only": True}, "root=/dev/vda ro"),
            ({"partuuid": "0eaa91a0-01"}, "root=PARTUUID=0eaa91a0-01 rw")):
        case = Case("hello", "first -- init", name="hello", devices={"drives": [
            {**drive(disk), "drive_id": "a"},
            {**drive(disk), "is_root_device": True, **fields}]})
        result = vmm.run(case)
        assert result.code == 0
        cmdline = [x for x in result.lines() if "root=" in x]
        assert len(cmdline) == 1
        assert f"first pci=off {want} virtio_mmio.device=" in cmdline[0]
        assert cmdline[0].rstrip().endswith("-- init")


def test_too_many_drives(vmm, tmp_path):
    """Refused at the start, with Firecracker's words; the process stays."""
    disk = make_disk(tmp_path)
    case = Case("blkload")
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", tmp_path / "a.sock"])
    api = Api(tmp_path / "a.sock")
    api.wait()
    api.set("PUT", "/boot-source",
            {"kernel_image_path": str(vmm.guest(case.guest))})
    for i in range(40):
        api.set("PUT", f"/drives/d{i}", {**drive(disk), "drive_id": f"d{i}"})
    status, answer = api.call("PUT", "/actions",
                              {"action_type": "InstanceStart"})
    assert status == 400
    assert "Could not allocate GSI" in answer["fault_message"]
    assert run.process.poll() is None
