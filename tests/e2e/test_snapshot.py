# SPDX-License-Identifier: Apache-2.0
"""Snapshots of bare-metal guests: saved while they run, restored elsewhere."""

import json
import os
import re
import signal
import subprocess

import pytest

from conftest import BUILD, Api, Case


def start(vmm, folder, guest="ticker", cmdline="period=20 cpus", **fields):
    """A VM with an API socket, running."""
    sock = folder / f"api{len(vmm.started)}.sock"
    argv = Case(guest, cmdline, **fields).argv(BUILD, folder)
    argv[argv.index("--no-api"):argv.index("--no-api") + 1] = [
        "--api-sock", str(sock)]
    run = vmm.spawn(argv)
    api = Api(sock)
    api.wait()
    return run, api


def snapshot(api, folder):
    """By the command line, as a person does it."""
    return subprocess.run([BUILD / "volt-vmm", "--api-sock", api.path,
                           "--snapshot", folder], capture_output=True,
                          text=True, check=False)


def restore(vmm, folder, *args):
    return vmm.spawn([BUILD / "volt-vmm", "--restore", folder, *args])


def ticks(text):
    return [int(n) for n in re.findall(r"tick (\d+)\r?\n", text)]


@pytest.mark.parametrize("irqchip", ["split", "full"])
@pytest.mark.parametrize("cpus", [1, 4])
def test_a_guest_goes_on_where_it_was(vmm, tmp_path, irqchip, cpus):
    run, api = start(vmm, tmp_path, cpus=cpus, irqchip=irqchip)
    run.wait_for("tick 10")
    assert snapshot(api, tmp_path / "s").returncode == 0
    assert sorted(os.listdir(tmp_path / "s")) == ["memory.snap", "state.json"]
    json.loads((tmp_path / "s/state.json").read_text())
    run.wait_for("tick")  # it runs again
    run.process.terminate()
    run.finish()
    last = ticks(run.whole.decode())[-1]
    for _ in range(3):
        clone = restore(vmm, tmp_path / "s")
        clone.wait_for("tick ")
        clone.wait_for(f"tick {last + 5}")
        clone.process.terminate()
        clone.finish()
        seen = ticks(clone.whole.decode())
        assert seen[0] >= 10
        assert seen == list(range(seen[0], seen[0] + len(seen)))


def test_a_chain_of_snapshots(vmm, tmp_path):
    """Each over the files that its VM runs from."""
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    for _ in range(20):
        assert snapshot(api, tmp_path / "s").returncode == 0
        run.process.kill()
        run.process.wait()
        sock = tmp_path / f"api{len(vmm.started)}.sock"
        run = restore(vmm, tmp_path / "s", "--api-sock", sock)
        api = Api(sock)
        api.wait()
        run.wait_for("tick")
        run.wait_for("tick")
    assert sorted(os.listdir(tmp_path / "s")) == ["memory.snap", "state.json"]
    assert os.stat(tmp_path / "s/memory.snap").st_blocks * 512 < 4 << 20


def test_firecrackers_two_files(vmm, tmp_path):
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    body = {"snapshot_path": str(tmp_path / "a.state"),
            "mem_file_path": str(tmp_path / "a.mem")}
    status, answer = api.call("PUT", "/snapshot/create", body)
    assert status == 400 and "unavailable while running" in \
        answer["fault_message"]
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", body)
    api.set("PATCH", "/vm", {"state": "Resumed"})
    run.wait_for("tick")
    sock = tmp_path / "load.sock"
    clone = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    api.set("PUT", "/snapshot/load",
            {"snapshot_path": body["snapshot_path"], "resume_vm": True,
             "mem_backend": {"backend_type": "File",
                             "backend_path": body["mem_file_path"]}})
    clone.wait_for("tick")
    config = api.call("GET", "/vm/config")[1]
    assert config["boot-source"]["kernel_image_path"].endswith("ticker.elf")


@pytest.mark.parametrize("what", ["crc", "short", "memory", "version"])
def test_a_damaged_snapshot_is_refused(vmm, tmp_path, what):
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    folder = tmp_path / "s"
    assert snapshot(api, folder).returncode == 0
    state, memory = folder / "state.json", folder / "memory.snap"
    text = state.read_bytes()
    if what == "crc":
        state.write_bytes(text.replace(b'"rax"', b'"rex"'))
    elif what == "short":
        state.write_bytes(text[:20])
    elif what == "version":
        state.write_bytes(text.replace(b'"version":"2.', b'"version":"7.'))
    else:
        os.truncate(memory, 1 << 20)
    result = restore(vmm, folder).finish()
    words = {"crc": "CRC-64", "short": "File too short to contain CRC",
             "version": "format version 7.",
             "memory": "memory file holds"}
    assert result.code == 1
    assert words[what] in result.log


def test_a_full_disk_leaves_all_as_it_was(vmm, tmp_path):
    """RLIMIT_FSIZE stands for it: the file cannot grow."""
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    folder = tmp_path / "s"
    assert snapshot(api, folder).returncode == 0
    before = (folder / "state.json").read_bytes()
    subprocess.run(["prlimit", f"--pid={run.pid}", "--fsize=1048576"],
                   check=True)
    failed = snapshot(api, folder)
    assert failed.returncode == 1 and "File too large" in failed.stderr
    assert sorted(os.listdir(folder)) == ["memory.snap", "state.json"]
    assert (folder / "state.json").read_bytes() == before
    run.wait_for("tick")
    assert run.process.poll() is None
    restore(vmm, folder).wait_for("tick")


def test_memory_that_shrinks_under_a_guest(vmm, tmp_path):
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 3")
    assert snapshot(api, tmp_path / "s").returncode == 0
    clone = restore(vmm, tmp_path / "s")
    clone.wait_for("tick")
    os.truncate(tmp_path / "s/memory.snap", 0)
    result = clone.finish()
    assert result.code == 149
    assert "memory.snap" in result.log


def test_versions(vmm, tmp_path):
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 1")
    assert snapshot(api, tmp_path / "s").returncode == 0
    ours = subprocess.run([BUILD / "volt-vmm", "--snapshot-version"],
                          capture_output=True, text=True, check=True)
    theirs = subprocess.run([BUILD / "volt-vmm", "--describe-snapshot",
                             tmp_path / "s/state.json"],
                            capture_output=True, text=True, check=True)
    assert ours.stdout.splitlines()[0] in theirs.stdout
    assert theirs.stderr == ""
    text = (tmp_path / "s/state.json").read_bytes()
    for name, damaged, words in (
            ("bit", text[:-9] + bytes([text[-9] ^ 1]) + text[-8:], "CRC-64"),
            ("cut", text[:-1], "CRC-64"), ("short", text[:9], "too short"),
            ("empty", b"", "too short"), ("other", b"{}" * 99, "not the")):
        (tmp_path / name).write_bytes(damaged)
        refused = subprocess.run([BUILD / "volt-vmm", "--describe-snapshot",
                                  tmp_path / name], capture_output=True,
                                 text=True, check=False)
        assert (refused.returncode, refused.stdout) == (1, ""), name
        assert words in refused.stderr, refused.stderr


def test_an_ended_vm_leaves_by_its_signal(vmm, tmp_path):
    run, api = start(vmm, tmp_path)
    run.wait_for("tick 1")
    assert snapshot(api, tmp_path / "s").returncode == 0
    clone = restore(vmm, tmp_path / "s")
    clone.wait_for("tick")
    clone.process.send_signal(signal.SIGTERM)
    assert clone.finish().code == -signal.SIGTERM


@pytest.mark.parametrize("irqchip", ["split", "full"])
def test_every_class_of_register(vmm, tmp_path, irqchip):
    """The guest holds known values, and checks them in its clone."""
    run, api = start(vmm, tmp_path, "state", "", irqchip=irqchip)
    run.wait_for("ready")
    assert snapshot(api, tmp_path / "s").returncode == 0
    clone = restore(vmm, tmp_path / "s")
    for vm in (run, clone):
        vm.send("x")
        vm.finish().assert_passed()


def test_devices_come_along(vmm, tmp_path):
    """The configuration is the same after a restore, but for overrides."""
    for name in ("a.img", "b.img"):
        (tmp_path / name).write_bytes(bytes(1 << 20))
    sock = tmp_path / "dev.sock"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    limit = {"ops": {"size": 10, "refill_time": 100}}
    api.set("PUT", "/boot-source",
            {"kernel_image_path": str(vmm.guest("ticker")),
             "boot_args": "period=20"})
    api.set("PUT", "/drives/root",
            {"drive_id": "root", "path_on_host": str(tmp_path / "a.img"),
             "is_root_device": True, "rate_limiter": limit})
    api.set("PUT", "/entropy", {})
    api.set("PUT", "/vsock", {"guest_cid": 3,
                              "uds_path": str(tmp_path / "v1.sock")})
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})
    run.wait_for("tick 3")
    before = api.call("GET", "/vm/config")[1]
    folder = str(tmp_path / "s")
    assert snapshot(api, folder).returncode == 0
    sock = tmp_path / "load.sock"
    clone = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    api.set("PUT", "/snapshot/load",
            {"snapshot_path": folder, "resume_vm": True,
             "vsock_override": {"uds_path": str(tmp_path / "v2.sock")},
             "drive_overrides": [{"drive_id": "root",
                                  "path_on_host": str(tmp_path / "b.img")}]})
    clone.wait_for("tick")
    before["vsock"]["uds_path"] = str(tmp_path / "v2.sock")
    before["drives"][0]["path_on_host"] = str(tmp_path / "b.img")
    assert api.call("GET", "/vm/config")[1] == before


@pytest.mark.skipif(os.geteuid() != 0, reason="hiding /proc takes root")
@pytest.mark.parametrize("proc", [True, False])
def test_a_snapshot_without_pagemap_says_so(vmm, tmp_path, proc):
    """Nobody knows then what the guest wrote: all counts as written, and the
    log says why."""
    argv = Case("ticker", "period=20").argv(BUILD, tmp_path)
    argv[argv.index("--no-api")] = f"--api-sock={tmp_path / 'api.sock'}"
    hide = "" if proc else "mount -t tmpfs none /proc && "
    run = vmm.spawn(["unshare", "-m", "sh", "-c", hide + 'exec "$@"', "sh",
                     *argv])
    api = Api(tmp_path / "api.sock")
    api.wait()
    run.wait_for("tick 3")
    assert snapshot(api, tmp_path / "s").returncode == 0
    assert ("which tells the pages that the guest has written: No such file "
            "or directory: all count as written" in run.log()) == (not proc)
    run.process.terminate()
    run.finish()
    clone = restore(vmm, tmp_path / "s")
    clone.wait_for("tick ")
    clone.process.terminate()
    clone.finish()
