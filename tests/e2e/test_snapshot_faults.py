# SPDX-License-Identifier: Apache-2.0
"""Snapshots where the disk or the process fails, on this host's KVM."""

import collections
import contextlib
import os
import re
import signal
import subprocess

import pytest

from conftest import BUILD, Api, Case
from own_disk import REACHES, OwnDisk
from test_snapshot import restore, snapshot, start


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


# A locked VM is killed by its filters where strace skips a call to make it
# fail: the call's number is -1 then, which is none of x86-64's. Landlock stays.
CALLS_MAY_FAIL = ("--no-seccomp",)


def start_behind(vmm, folder, wrapper, *flags):
    """A ticking VM with @flags whose process is started by @wrapper."""
    sock = folder / f"api{len(vmm.started)}.sock"
    argv = Case("ticker", "period=20").argv(BUILD, folder)
    argv[argv.index("--no-api"):argv.index("--no-api") + 1] = [
        "--api-sock", str(sock)]
    run = vmm.spawn([*wrapper, *argv, *flags])
    api = Api(sock)
    api.wait()
    return run, api


@pytest.fixture
def small_disk(vmm, tmp_path):
    """A VM, and a disk that holds one snapshot of it and has no room for
    another."""
    disk = OwnDisk("size=200k", "mode=700")
    if not disk.path:
        pytest.skip(disk.why)
    run, api = start(vmm, tmp_path, extra=REACHES)
    run.wait_for("tick 3")
    assert snapshot(api, disk.path).returncode == 0
    yield run, api, disk
    disk.close()


def test_no_space_left(small_disk):
    run, api, disk = small_disk
    before = files_of(disk.path)
    failed = snapshot(api, disk.path)
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    assert files_of(disk.path) == before
    run.wait_for("tick")


def test_a_disk_that_became_read_only(small_disk):
    run, api, disk = small_disk
    disk.make_read_only()
    before = files_of(disk.path)
    failed = snapshot(api, disk.path)
    assert failed.returncode == 1
    assert "Read-only file system" in failed.stderr
    assert files_of(disk.path) == before
    run.wait_for("tick")


def test_memory_that_cannot_be_read(vmm, tmp_path):
    """A page of a tmpfs without room is an error when it is touched, as one of
    a broken disk: the guest ends, and the message names the file."""
    disk = OwnDisk("size=1m", "mode=700")
    if not disk.path:
        pytest.skip(disk.why)
    run, api = start(vmm, tmp_path, guest="pages", cmdline="", extra=REACHES)
    run.wait_for("ready")
    assert snapshot(api, disk.path).returncode == 0
    run.process.kill()
    clone = restore(vmm, disk.path)
    with open(f"{disk.path}/fill", "wb", buffering=0) as fill:
        with contextlib.suppress(OSError):
            while True:
                fill.write(bytes(4096))
    clone.send("w 4000 1 1\n")
    result = clone.finish()
    disk.close()
    assert result.code in (162, 165)
    assert "cannot reach guest memory that exists" in result.log
    assert f"{disk.path}/memory.snap: is its disk in order" in result.log


def test_a_disk_that_cannot_sync(vmm, tmp_path):
    """fsync fails from the second snapshot on: the first one stays."""
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    folder = tmp_path / "s"
    assert snapshot(api, folder).returncode == 0
    run.process.kill()
    before = files_of(folder)
    run, api = start_behind(
        vmm, tmp_path, ["strace", "-D", "-f", "-o", tmp_path / "trace", "-e",
                        "trace=fsync,fdatasync", "-e",
                        "inject=fsync,fdatasync:error=EIO"], *CALLS_MAY_FAIL)
    run.wait_for("tick 3")
    failed = snapshot(api, folder)
    assert failed.returncode == 1 and "Input/output error" in failed.stderr
    assert files_of(folder) == before
    run.wait_for("tick")


def traced(tmp_path, folder, *options):
    """A restore under strace: its exit code."""
    return subprocess.run(
        ["strace", "-f", "-o", tmp_path / "trace", *options,
         BUILD / "volt-vmm", "--no-api", "--restore", folder],
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
        timeout=60).returncode


def calls_of(trace):
    """Every (name, n): the n-th call of that name of one thread."""
    seen, found = collections.Counter(), set()
    for pid, name in re.findall(r"^(\d+) +(\w+)\(", trace, re.M):
        seen[pid, name] += 1
        found.add((name, seen[pid, name]))
    return sorted(found)


def test_killed_at_every_system_call_of_a_restore(vmm, tmp_path):
    """The snapshot is as it was, and goes on serving."""
    run, api = start(vmm, tmp_path, guest="remark", cmdline="")
    run.wait_for(".")
    folder = tmp_path / "s"
    assert snapshot(api, folder).returncode == 0
    run.process.kill()
    before = files_of(folder)
    assert traced(tmp_path, folder) == 0
    calls = calls_of((tmp_path / "trace").read_text())
    assert len(calls) > 50
    killed = 0
    for name, number in calls:
        code = traced(tmp_path, folder, "-e",
                      f"inject={name}:signal=KILL:when={number}")
        # The guest may end first: the last calls are not always made.
        killed += code in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert killed > len(calls) * 3 // 4
    assert files_of(folder) == before
    assert restore(vmm, folder).finish().code == 0


# Every kind of call that only a snapshot makes, in the order of the first ones:
# of the half that writes, and of the gate, which gives names.
WRITES = ("fallocate", "pwritev2", "fdatasync")
NAMES = ("mkdir", "flock", "ftruncate", "fsetxattr", "fsync", "linkat",
         "renameat", "unlinkat")


def behind_inject(tmp_path, what):
    return ["strace", "-D", "-f", "-o", tmp_path / "trace", "-e",
            f"inject={what}"]


@pytest.mark.parametrize("name, calls", [
    ("SIGTERM", WRITES + NAMES), ("SIGINT", ("pwritev2", "renameat"))])
def test_ended_in_the_midst_of_a_snapshot(vmm, tmp_path, name, calls):
    """The new one, and nothing beside it: the VMM thread does not leave what it
    has begun, and the gate ends with the other half only."""
    folder = tmp_path / "s"
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    assert snapshot(api, folder).returncode == 0
    run.process.kill()
    replaced = set()
    for call in calls:
        before = files_of(folder)["state.json"]
        run, api = start_behind(vmm, tmp_path, behind_inject(
            tmp_path, f"{call}:signal={name}:when=1"))
        run.wait_for("tick 3")
        snapshot(api, folder)
        if call in NAMES:
            run.wait_for("tick")
            run.process.send_signal(getattr(signal, name))
        assert run.finish().code == -getattr(signal, name), call
        assert sorted(os.listdir(folder)) == ["memory.snap", "state.json"]
        if files_of(folder)["state.json"] != before:
            replaced.add(call)
        clone = restore(vmm, folder)
        clone.wait_for("tick")
        clone.process.kill()
    assert replaced == set(calls)


KILLED_AT = (("pwritev2", 1), ("fdatasync", 1), ("fsync", 1), ("linkat", 1),
             ("linkat", 2), ("renameat", 1), ("renameat", 2))


def test_killed_in_the_midst_of_a_snapshot(vmm, tmp_path):
    """One of the two is whole, and the next one leaves only itself.

    Every single call: tests/unit/test_snapshot_files.c.
    """
    folder = tmp_path / "s"
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    assert snapshot(api, folder).returncode == 0
    run.process.kill()
    for call, number in KILLED_AT:
        run, api = start_behind(vmm, tmp_path, behind_inject(
            tmp_path, f"{call}:signal=KILL:when={number}"))
        run.wait_for("tick 3")
        assert snapshot(api, folder).returncode == 1, call
        assert run.finish().code == (
            1 if call in NAMES else -signal.SIGKILL), call
        whole = subprocess.run([BUILD / "volt", "snapshot", "inspect",
                                folder], capture_output=True, check=False)
        assert whole.returncode == 0, whole.stdout
        clone = restore(vmm, folder)
        clone.wait_for("tick")
        clone.process.kill()
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    assert snapshot(api, folder).returncode == 0
    assert sorted(os.listdir(folder)) == ["memory.snap", "state.json"]
