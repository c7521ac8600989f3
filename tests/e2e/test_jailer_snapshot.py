# SPDX-License-Identifier: Apache-2.0
"""Snapshots in a jail are those outside: what they hold, and what they tell."""

import json
import os
import signal

import pytest

from conftest import BUILD, Api
from jail import GID, UID, ended, jails  # noqa: F401
from test_jailer import TICKER, start_ticker

# pylint: disable=redefined-outer-name

MIB = 1 << 20
# Pages that a guest writes by chance: it runs some instructions more or less.
CHANCE = 64 * 4096
# Type 1, owner "Volt": src/host/handover.h.
NOTE = b"\5\0\0\0\4\0\0\0\1\0\0\0Volt\0"


def save(api, folder=""):
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", {
        "snapshot_type": "Full", "snapshot_path": f"{folder}/state",
        "mem_file_path": f"{folder}/mem"})


def held(path):
    """Bytes of a sparse file that are there."""
    return os.stat(path).st_blocks * 512


def outside(jails):
    """The same guest's snapshot, made by root without a jail."""
    folder = jails.folder / "outside"
    folder.mkdir()
    run = jails.spawn([BUILD / "volt-vmm", "--api-sock", folder / "a.sock",
                       "--kernel", TICKER])
    run.wait_for("tick 2")
    save(Api(folder / "a.sock"), folder)
    run.process.kill()
    return folder


@pytest.mark.parametrize("options, user", [
    ([], UID), ([], 0), (["--new-pid-ns"], UID),
    (["--daemonize", "--new-pid-ns"], UID),
    (["--resource-limit", "no-file=64"], UID)], ids=str)
def test_snapshot_is_as_large_as_outside(jails, options, user):
    """What is zero is a hole, and the host's boot is known."""
    want = outside(jails)
    jail = jails()
    api = start_ticker(jail, *options, uid=user, gid=user and GID)
    if "--daemonize" not in options:
        jail.run.wait_for("tick 2")
    save(api)
    size = os.stat(jail.root / "mem").st_size
    assert size == os.stat(want / "mem").st_size == 128 * MIB
    assert abs(held(jail.root / "mem") - held(want / "mem")) <= CHANCE
    assert held(jail.root / "mem") < size / 8
    states = [json.loads((x / "state").read_text())
              for x in (jail.root, want)]
    boots = [find_key(state, "boot") for state in states]
    assert boots[0] == boots[1] != [""]
    os.kill(jail.pid(), signal.SIGTERM)
    if not {"--new-pid-ns", "--daemonize"} & set(options):
        jail.run.process.wait(60)
    ended(jail.pid())


def find_key(value, key):
    """Every value of @key, however deep."""
    if isinstance(value, dict):
        return [v for k, v in value.items() if k == key] + \
            [x for v in value.values() for x in find_key(v, key)]
    if isinstance(value, list):
        return [x for v in value for x in find_key(v, key)]
    return []


def without_note(jails):
    """volt-vmm as a program that does not ask for the way to /proc."""
    copy = jails.folder / "other"
    program = (BUILD / "volt-vmm").read_bytes()
    assert program.count(NOTE) == 1
    copy.write_bytes(program.replace(NOTE, NOTE.replace(b"Volt", b"Bolt")))
    copy.chmod(0o755)
    return copy


def open_paths(jail):
    """What the descriptors of its process name."""
    return [os.readlink(f"/proc/{jail.pid()}/fd/{fd}")
            for fd in os.listdir(f"/proc/{jail.pid()}/fd")]


def test_the_way_to_proc_is_closed(jails):
    """Before the API answers, and no program that does not ask gets it."""
    jail = jails()
    start_ticker(jail)
    assert "/proc" not in open_paths(jail)
    assert any(x.endswith("/pagemap") for x in open_paths(jail))
    jail = jails("other", program=without_note(jails))
    start_ticker(jail)
    assert not any("/proc" in x or "pagemap" in x for x in open_paths(jail))


def restored_diff(jail, first):
    """Bytes of a diff of a VM that was restored from @first's snapshot."""
    for name in ("state", "mem"):
        jail.put(first / name)
    run = jail.start(rest=["--api-sock", "/run/a.sock"])
    jail.pid()
    api = jail.api("run/a.sock")
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": "/state", "mem_backend": {
            "backend_type": "File", "backend_path": "/mem"},
        "resume_vm": True})
    run.wait_for("tick ")
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", {
        "snapshot_type": "Diff", "snapshot_path": "/diff-state",
        "mem_file_path": "/diff"})
    return held(jail.root / "diff")


def reads_from_cache(path):
    """Can it be read without waiting for a disk, and is that so now?"""
    with open(path, "rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(MIB)], 0,
                             os.RWF_NOWAIT) == MIB
        except OSError:
            return False


def test_a_restored_vms_diff_holds_what_it_wrote(jails):
    """Only pagemap tells. Without the way to it all pages count as written,
    and those that are as in the base are left out where that costs no read."""
    first = jails.folder / "first"
    first.mkdir()
    (first / "initrd").write_bytes(os.urandom(16 * MIB))
    run = jails.spawn([BUILD / "volt-vmm", "--api-sock", first / "a.sock",
                       "--kernel", TICKER, "--initrd", first / "initrd"])
    run.wait_for("tick 2")
    save(Api(first / "a.sock"), first)
    assert held(first / "mem") >= 16 * MIB
    assert restored_diff(jails("with"), first) < MIB
    cached = reads_from_cache(first / "mem")
    size = restored_diff(jails("without", program=without_note(jails)), first)
    assert size < MIB if cached else size >= 16 * MIB, size


def test_a_snapshot_moves_between_jails(jails):
    """Restored under another user, in another jail; then outside."""
    jail = jails("one")
    api = start_ticker(jail, "--new-pid-ns")
    jail.pid()  # noted, for the end
    jail.run.wait_for("tick 2")
    save(api)
    second = jails("two")
    for name in ("state", "mem"):
        second.put(jail.root / name)
    second.put(TICKER)
    run = second.start(rest=["--api-sock", "/run/a.sock"], uid=UID + 10)
    second.pid()
    api = second.api("run/a.sock")
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": "state", "mem_backend": {
            "backend_type": "File", "backend_path": "/mem"},
        "resume_vm": True})
    run.wait_for("tick ")
    api.set("PATCH", "/vm", {"state": "Paused"})
    run.process.terminate()
    run.process.wait(60)
    run = jails.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                       jail.root / "state", "--snapshot-memory",
                       jail.root / "mem"])
    run.wait_for("tick ")
