# SPDX-License-Identifier: Apache-2.0
"""Snapshots that somebody asks for, or has made, in ways nobody should."""

import os
import stat
import subprocess
import sys
import time

import pytest

from conftest import BUILD, Api, looks_into
from patience import killed_at_last
from test_snapshot import restore, snapshot, start


def empty_vmm(vmm, folder):
    """A process that waits for a snapshot to load."""
    sock = folder / f"load{len(vmm.started)}.sock"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    return run, api


def paths(folder, name):
    return {"snapshot_path": str(folder / f"{name}.state"),
            "mem_file_path": str(folder / f"{name}.mem")}


def test_a_first_diff_is_whole(vmm, tmp_path):
    """Of a VM that comes from a kernel: there is nothing it differs from."""
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    api.set("PATCH", "/vm", {"state": "Paused"})
    files = paths(tmp_path, "a")
    api.set("PUT", "/snapshot/create", {**files, "snapshot_type": "Diff"})
    clone, api = empty_vmm(vmm, tmp_path)
    api.set("PUT", "/snapshot/load", {**files, "resume_vm": True})
    clone.wait_for("tick")
    clone.wait_for("tick")


def test_only_files_are_replaced(vmm, tmp_path):
    """A device, pipe or directory in the place of a file stays."""
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    api.set("PATCH", "/vm", {"state": "Paused"})
    files = paths(tmp_path, "a")
    os.mkfifo(files["mem_file_path"])
    status, answer = api.call("PUT", "/snapshot/create", files)
    assert status == 400, answer
    assert stat.S_ISFIFO(os.stat(files["mem_file_path"]).st_mode)
    assert not os.path.exists(files["snapshot_path"])
    files = paths(tmp_path, "b")
    os.mkfifo(files["snapshot_path"])
    status, answer = api.call("PUT", "/snapshot/create", files)
    assert status == 400, answer
    assert stat.S_ISFIFO(os.stat(files["snapshot_path"]).st_mode)
    api.set("PATCH", "/vm", {"state": "Resumed"})
    run.wait_for("tick")


def test_a_clone_has_its_own_console_file(vmm, tmp_path):
    """PUT /serial before the load is for this VM, not the saved one."""
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    assert snapshot(api, tmp_path / "s").returncode == 0
    _, api = empty_vmm(vmm, tmp_path)
    out = tmp_path / "console"
    out.touch()
    api.set("PUT", "/serial", {"serial_out_path": str(out)})
    api.set("PUT", "/snapshot/load", {"snapshot_path": str(tmp_path / "s"),
                                      "resume_vm": True})
    for _ in range(500):
        if b"tick" in out.read_bytes():
            return
        os.sched_yield()
        api.call("GET", "/")
    raise AssertionError("nothing in the console file")


@looks_into
def test_many_snapshots_leave_nothing_behind(vmm, tmp_path):
    """Neither descriptors nor memory, nor files: done or failed."""
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    api.set("PATCH", "/vm", {"state": "Paused"})

    def held():
        with open(f"/proc/{run.pid}/status", encoding="ascii") as f:
            rss = [x for x in f if x.startswith("RssAnon")][0]
        return len(os.listdir(f"/proc/{run.pid}/fd")), int(rss.split()[1])

    bad = {"snapshot_path": str(tmp_path / "none/a"),
           "mem_file_path": str(tmp_path / "a.mem")}

    def some(nr):
        for _ in range(nr):
            api.set("PUT", "/snapshot/create", paths(tmp_path, "a"))
            assert api.call("PUT", "/snapshot/create", bad)[0] == 400

    some(10)
    before = held()
    some(200)
    after = held()
    for _ in range(600):  # clients that are being let go
        if after[0] <= before[0] + 2:
            break
        time.sleep(0.1)
        after = held()
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1] + 256
    assert len([x for x in os.listdir(tmp_path) if x.startswith("a.")]) == 2


def test_a_handler_that_dies_before_it_serves(vmm, tmp_path):
    """The VMM thread itself waits for a page: it must not wait for ever."""
    if not os.access("/dev/userfaultfd", os.W_OK):
        pytest.skip("no /dev/userfaultfd for this user")
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    assert snapshot(api, tmp_path / "s").returncode == 0
    code = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
            "s.bind(sys.argv[1])\ns.listen(1)\nprint(flush=True)\n"
            "s.accept()[0].recv(4096)\n")
    path = str(tmp_path / "uffd")
    with killed_at_last(subprocess.Popen(
            [sys.executable, "-c", code, path],
            stdout=subprocess.PIPE)) as handler:
        handler.stdout.readline()
        clone, api = empty_vmm(vmm, tmp_path)
        api.call("PUT", "/snapshot/load",
                 {"snapshot_path": str(tmp_path / "s/state.json"),
                  "mem_backend": {"backend_type": "Uffd",
                                  "backend_path": path}})
    result = clone.finish()
    assert result.code == 1
    assert "serves the guest's memory is gone" in result.log
