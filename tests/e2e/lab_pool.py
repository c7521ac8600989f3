#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""volt-pool where cgroups of version 2 have their controllers: test_pool_lab.py.

usage: lab_pool.py BUILD FOLDER

In a network namespace of its caller's, as root, on a host with vhost-net. Prints
"ok NAME" for each check.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from apiclient import gate_of  # noqa: E402
from conftest import Api  # noqa: E402
from patience import PATIENCE  # noqa: E402
from poolclient import PoolClient, PoolDaemon, Refused  # noqa: E402

BUILD, FOLDER = map(Path, sys.argv[1:3])
PEER = Path(__file__).with_name("net_peer.py")
ROOT = Path("/sys/fs/cgroup")
WANTED = "+cpu +memory +pids"
MIB = 1 << 20
MAC = "06:00:ac:10:00:02"


def until(what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def group(name, hands_down=False):
    path = ROOT / name
    path.mkdir()
    if hands_down:
        (path / "cgroup.subtree_control").write_text(WANTED)
    return path


def enter(path):
    (path / "cgroup.procs").write_text(str(os.getpid()))


def procs(path):
    return set(map(int, (path / "cgroup.procs").read_text().split()))


def number(path, file, key=None):
    text = (path / file).read_text()
    if key:
        text = next(line.split()[1] for line in text.splitlines()
                    if line.split()[0] == key)
    return int(text)


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=PATIENCE)


def tap(name):
    ip("tuntap", "add", name, "mode", "tap")
    ip("link", "set", name, "up")


def snapshot():
    """Of a guest that polls its interface of vhost without end."""
    tap("vt0")
    (FOLDER / "disk.img").write_bytes(os.urandom(8 * MIB))
    sock = FOLDER / "api.sock"
    with subprocess.Popen([BUILD / "volt-vmm", "--api-sock", sock],
                          stdin=subprocess.DEVNULL) as vmm:
        api = Api(sock)
        api.wait()
        for path, body in (
                ("/serial", {"serial_out_path": str(FOLDER / "console")}),
                ("/boot-source", {
                    "kernel_image_path": str(BUILD / "tests/guest/netecho.elf"),
                    "boot_args": "patience=100"}),
                ("/machine-config", {"vcpu_count": 1, "mem_size_mib": 32}),
                ("/drives/a", {"drive_id": "a", "is_root_device": False,
                               "is_read_only": False,
                               "path_on_host": str(FOLDER / "disk.img")}),
                ("/network-interfaces/n0", {
                    "iface_id": "n0", "host_dev_name": "vt0",
                    "guest_mac": MAC, "vhost": True}),
                ("/actions", {"action_type": "InstanceStart"})):
            api.set("PUT", path, body)
        until(lambda: "listening" in (FOLDER / "console").read_text())
        api.set("PATCH", "/vm", {"state": "Paused"})
        api.set("PUT", "/snapshot/create", {"snapshot_path": f"{FOLDER}/snap/"})
        vmm.kill()
    ip("link", "del", "vt0")


def from_group(path, **lease):
    """A lease by a client that is in this cgroup; where the VM is then."""
    pid = os.fork()
    if pid == 0:
        enter(path)
        try:
            with PoolClient(FOLDER / "pool.sock", PATIENCE) as client:
                client.lease("web", **lease)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def check_moved(client, more):
    """Without a word of cgroups: where the client is."""
    lessee = group("lessee")
    from_group(lessee, name="moved", **more)
    vm = next(row for row in client.members() if row.get("name") == "moved")
    assert procs(lessee) == {vm["pid"], gate_of(vm["pid"])}, procs(lessee)
    # Its copy of the disk was made there, and is charged there.
    assert number(lessee, "memory.current") >= 8 * MIB
    client.call("release", name="moved")
    until(lambda: not procs(lessee))
    lessee.rmdir()
    print("ok moved")


def check_limits(client, more):
    """Each controller at work, on both halves, in a cgroup of the VM's own."""
    tenant = group("tenant", hands_down=True)
    lease = client.lease("web", name="bound", cgroup="/tenant", limits={
        "memory_mib": 64, "cpu": 20, "pids": 30}, **more)
    own = tenant / f"volt-{lease.id}"
    assert procs(own) == {lease.pid, gate_of(lease.pid)}
    assert number(own, "memory.max") == 64 * MIB
    assert (own / "cpu.max").read_text() == "20000 100000\n"
    assert number(own, "pids.max") == 30
    assert number(own, "memory.current") >= 8 * MIB
    assert number(own, "pids.current") >= 3
    until(lambda: number(own, "cpu.stat", "nr_throttled") > 2)
    client.call("release", name="bound")
    lease.close()
    assert not own.exists()
    print("ok limits")
    # Not even its copy of the disk: nothing is left of it.
    try:
        client.lease("web", cgroup="/tenant", limits={"memory_mib": 2}, **more)
        raise AssertionError("8 MiB in 2")
    except Refused as refused:
        assert refused.code == "failed", refused
    until(lambda: not [x for x in tenant.iterdir() if x.is_dir()])
    tenant.rmdir()
    print("ok memory")


def check_vhost(client, more):
    """The interface is one of vhost still, with the lease's tap behind it."""
    lease = client.lease("web", name="net", **more)
    net = Api(lease.path).call("GET", "/vm/config")[1]["network-interfaces"][0]
    assert net["vhost"] and net["host_dev_name"] == "vt1", net
    ip("addr", "add", "10.0.0.1/24", "dev", "vt1")
    subprocess.run([sys.executable, PEER, "10.0.0.2", "ping:10", "udp:1"],
                   check=True, timeout=PATIENCE)
    client.call("release", name="net")
    lease.close()
    print("ok vhost")


def main():
    ROOT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "cgroup2", "none", ROOT], check=False,
                   stderr=subprocess.DEVNULL, timeout=PATIENCE)
    (ROOT / "cgroup.subtree_control").write_text(WANTED)
    snapshot()
    tap("vt1")
    here = group("daemon")
    enter(here)
    daemon = PoolDaemon(BUILD, FOLDER)
    more = {"drives": [{"id": "a", "overlay": str(FOLDER)}],
            "networks": [{"id": "n0", "tap": "vt1"}]}
    try:
        with daemon.client() as client:
            client.call("create", pool="web", kind="clone", size=1,
                        snapshot=f"{FOLDER}/snap", wait_ms=PATIENCE * 1000)
            for check in (check_moved, check_limits, check_vhost):
                client.until("web", ready=1)
                check(client, more)
            client.call("rm", pool="web")
        daemon.stop()
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
    assert procs(here) == {os.getpid()}, procs(here)
    print("ok all")


if __name__ == "__main__":
    main()
