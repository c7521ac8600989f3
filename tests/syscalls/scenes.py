# SPDX-License-Identifier: Apache-2.0
"""What the VMs do while they are traced: starts, restores, a working day.

Each scene is a function of a Stage. Together they make every request of the
API, drive every device, take every kind of snapshot and end in every way; the
guests are the bare-metal ones of tests/guest. A scene fails as a test does.
"""

import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

# pylint: disable=wrong-import-position
from conftest import BUILD, Api, Case, Vmm  # noqa: E402
from netns import Namespace  # noqa: E402
from test_snapshot_uffd import Handler  # noqa: E402
from vsock_host import connect, listen  # noqa: E402

VMM = BUILD / "volt-vmm"
PEER = ROOT / "tests/e2e/net_peer.py"
MAC, GUEST = "06:00:ac:10:00:02", "10.0.0.2"
DISK = 4 << 20
LIMIT = {"bandwidth": {"size": 65536, "refill_time": 20},
         "ops": {"size": 40, "refill_time": 20}}
FREE = {"ops": {"size": 0, "refill_time": 0},
        "bandwidth": {"size": 0, "refill_time": 0}}
BALLOON = {"amount_mib": 4, "deflate_on_oom": True,
           "stats_polling_interval_s": 1, "free_page_hinting": True,
           "free_page_reporting": True}
ENDS = {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: -signal.SIGINT,
        signal.SIGHUP: 156, signal.SIGXCPU: 154, signal.SIGXFSZ: 151,
        signal.SIGSEGV: 150, signal.SIGBUS: 149, signal.SIGILL: 157,
        signal.SIGSYS: 148}


class Skip(Exception):
    """A scene that this host has no stage for, and why."""


class Stage:
    """A folder, the VMs of a scene, and the guests' network."""

    def __init__(self, folder):
        self.folder = folder
        self.vmm = Vmm(folder)
        self.net = None

    def close(self):
        self.vmm.close()
        if self.net:
            self.net.close()

    def disk(self, name, size=DISK):
        path = self.folder / name
        path.write_bytes(b"\x42" * size)
        return str(path)

    def run(self, *args, **fields):
        """A guest from its start to its end, all its checks passed."""
        result = self.vmm.run(Case(*args, **fields))
        result.assert_passed()
        return result

    def said(self, *argv, code=0):
        """volt-vmm with options that make no VM run."""
        run = self.vmm.spawn([VMM, *argv])
        run.process.stdin.close()
        result = run.finish()
        assert result.code == code, result
        return result

    def api(self, *args, words=()):
        """A volt-vmm that waits at its socket."""
        sock = self.folder / f"api{len(self.vmm.started)}.sock"
        run = self.vmm.spawn([*words, VMM, "--api-sock", sock, *args])
        api = Api(sock)
        api.wait()
        return run, api

    def kernel(self, guest):
        return str(self.vmm.guest(guest))

    def namespace(self, *taps):
        """A network namespace with taps; the words that enter it."""
        if not os.access("/dev/net/tun", os.W_OK):
            raise Skip("no usable /dev/net/tun")
        self.net = Namespace()
        for tap in taps:
            self.net.run("ip", "tuntap", "add", tap, "mode", "tap")
            self.net.run("ip", "link", "set", tap, "mtu", "9000", "up")
        self.net.run("ip", "addr", "add", "10.0.0.1/24", "dev", taps[0])
        return self.net.join

    def peer(self, *operations):
        self.net.run("python3", PEER, GUEST, *operations)


def start_vm(api):
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})


def pause(api):
    api.set("PATCH", "/vm", {"state": "Paused"})


def resume(api):
    api.set("PATCH", "/vm", {"state": "Resumed"})


def refused(api, method, url, body=None):
    status, answer = api.call(method, url, body)
    assert status == 400, (url, status, answer)


def got(api, url):
    status, answer = api.call("GET", url)
    assert status == 200, (url, answer)
    return answer


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def until_it_ran(run):
    """The guest's first CPU has used up CPU time."""
    def ticks():
        return sum(int((task / "stat").read_text().split(")")[1].split()[11])
                   for task in Path(f"/proc/{run.pid}/task").iterdir()
                   if (task / "comm").read_text().startswith("fc_vcpu"))
    until(lambda: ticks() > 1)


# Starts and restores.

def start(stage):
    """By flags: protocols, interrupt chips, CPUs, initrd, timeline."""
    stage.run("hello")
    stage.run("hello-pvh", cpus=2, extra=("--timing",))
    stage.run("smp", cpus=4, irqchip="full")
    initrd = stage.folder / "initrd"
    initrd.write_bytes(bytes(20000))
    stage.run("hello", "initrd=0", extra=("--initrd", str(initrd)))
    stage.run("hello", memory=3500, extra=(
        "--boot-timer", "--id", "a", "--level", "Debug", "--show-level",
        "--log-path", str(stage.folder / "log"), "--metrics-path",
        str(stage.folder / "metrics"), "--track-dirty-pages"))


def start_devices(stage):
    """The same with devices, by a file."""
    stage.run("rng", devices={"entropy": {}, "balloon": BALLOON,
                              "vsock": {"guest_cid": 3, "uds_path": str(
                                  stage.folder / "v.sock")},
                              "drives": [
        {"drive_id": "a", "path_on_host": stage.disk("a"),
         "is_root_device": True, "io_engine": "Sync"},
        {"drive_id": "b", "path_on_host": stage.disk("b"),
         "is_root_device": False, "io_engine": "Async"}]},
        extra=("--lock-drives",))


def no_start(stage):
    """What ends before a VM runs."""
    for option in ("--help", "--version", "--snapshot-version"):
        stage.said(option)
    missing = str(stage.folder / "missing")
    for argv in (("--kernel", missing), ("--restore", missing),
                 ("--config-file", missing), ("--describe-snapshot", missing),
                 ("--snapshot", missing, "--api-sock", missing)):
        stage.said("--no-api", *argv, code=1) if argv[0] not in (
            "--describe-snapshot", "--snapshot") else stage.said(*argv, code=1)
    stage.said("--nonsense", code=153)
    stage.said("--api-sock", "/nowhere/api.sock", code=1)
    stage.said("--no-api", "--kernel", stage.kernel("hello"), "--disk",
               missing, code=1)
    stage.said("--no-api", "--kernel", "/dev/null", code=1)


def saved(stage, guest="ticker", words="period=20 cpus", **fields):
    """A snapshot's folder."""
    run, api = stage.vmm.start_api(Case(guest, words, **fields))
    run.wait_for("tick 3" if guest == "ticker" else "ready\r\n")
    folder = stage.folder / "s"
    stage.said("--api-sock", api.path, "--snapshot", folder)
    run.process.terminate()
    run.finish()
    return folder


def restore(stage):
    """By flags: as it was, with its clock moved, tracked, paused."""
    folder = saved(stage, cpus=2)
    for more in ((), ("--clock", "realtime"), ("--track-dirty-pages",)):
        run = stage.vmm.spawn([VMM, "--no-api", "--restore", folder, *more])
        run.wait_for("tick ")
        run.process.terminate()
        run.finish()
    run, api = stage.api("--restore", folder, "--paused")
    resume(api)
    run.wait_for("tick ")
    run.process.terminate()
    run.finish()
    stage.said("--describe-snapshot", folder / "state.json")
    run = stage.vmm.spawn([VMM, "--no-api", "--restore", folder / "state.json",
                           "--snapshot-memory", folder / "memory.snap"])
    run.wait_for("tick ")
    run.process.terminate()
    run.finish()
    (folder / "state.json").write_text("{}")
    stage.said("--no-api", "--restore", folder, code=1)


def restore_uffd(stage):
    """Memory that another process serves."""
    if not os.access("/dev/userfaultfd", os.W_OK):
        raise Skip("no /dev/userfaultfd")
    folder = saved(stage, "pages", "", memory=32)
    handler = Handler(stage.folder, folder / "memory.snap")
    run, api = stage.api()
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": str(folder / "state.json"), "resume_vm": True,
        "mem_backend": {"backend_type": "Uffd",
                        "backend_path": handler.path}})
    run.send("z 0 64 0\n")
    run.wait_for("right")
    api.set("PUT", "/snapshot/create",
            {"snapshot_path": f"{stage.folder}/again/"})
    handler.end()  # and what the guest asks for then never comes
    until(lambda: run.process.poll() is not None or not time.sleep(0.5))
    run.process.kill()
    run, api = stage.api()
    refused(api, "PUT", "/snapshot/load", {
        "snapshot_path": str(folder / "state.json"),
        "mem_backend": {"backend_type": "Uffd",
                        "backend_path": handler.path}})


# The working day.

def configure(api, stage, tap):
    """Every PUT and GET before the start, those that are refused as well."""
    api.set("PUT", "/logger", {"log_path": str(stage.folder / "day.log"),
                               "level": "Debug", "show_log_origin": True})
    api.set("PUT", "/metrics", {"metrics_path": str(stage.folder / "m")})
    api.set("PUT", "/serial", {"serial_out_path": str(stage.folder / "out")})
    api.set("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 64})
    api.set("PATCH", "/machine-config", {"track_dirty_pages": True})
    refused(api, "PUT", "/boot-source", {"kernel_image_path": "/nowhere"})
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("devices"),
                                    "boot_args": "none"})
    for engine in ("Sync", "Async"):
        api.set("PUT", f"/drives/{engine}", {
            "drive_id": engine, "path_on_host": stage.disk(engine),
            "is_root_device": False, "io_engine": engine,
            "cache_type": "Writeback", "rate_limiter": LIMIT})
    if tap:
        api.set("PUT", "/network-interfaces/n0", {
            "iface_id": "n0", "host_dev_name": tap, "guest_mac": MAC,
            "rx_rate_limiter": LIMIT, "tx_rate_limiter": LIMIT})
        refused(api, "DELETE", "/network-interfaces/n0")
        api.set("PUT", "/mmds/config", {"network_interfaces": ["n0"],
                                        "version": "V2"})
    api.set("PUT", "/entropy", {"rate_limiter": LIMIT})
    api.set("PUT", "/balloon", BALLOON)
    api.set("PUT", "/vsock", {"guest_cid": 3,
                              "uds_path": str(stage.folder / "v.sock")})
    refused(api, "DELETE", "/drives/Sync")
    api.set("PUT", "/mmds", {"a": "b"})
    refused(api, "PATCH", "/vm", {"state": "Paused"})
    refused(api, "PUT", "/snapshot/load", {"snapshot_path": "/nowhere/"})


def patch(api, stage, tap):
    """Every request of a VM that runs."""
    for url in ("/", "/version", "/vm/config", "/machine-config", "/balloon",
                "/balloon/statistics", "/balloon/hinting/status"):
        got(api, url)
    for engine in ("Sync", "Async"):
        api.set("PATCH", f"/drives/{engine}", {
            "drive_id": engine, "rate_limiter": FREE,
            "path_on_host": stage.disk(engine + "2")})
        refused(api, "PATCH", f"/drives/{engine}", {
            "drive_id": engine, "path_on_host": "/nowhere"})
    if tap:
        api.set("PATCH", "/mmds", {"c": "d"})
        got(api, "/mmds")
        api.set("PATCH", "/network-interfaces/n0", {
            "iface_id": "n0", "rx_rate_limiter": FREE,
            "tx_rate_limiter": FREE})
    api.set("PATCH", "/balloon", {"amount_mib": 8})
    api.set("PATCH", "/balloon/statistics", {"stats_polling_interval_s": 2})
    api.set("PATCH", "/balloon/hinting/start", {})
    api.set("PATCH", "/balloon/hinting/stop", {})
    api.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    api.set("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    refused(api, "PUT", "/actions", {"action_type": "InstanceStart"})
    refused(api, "PUT", "/boot-source", {"kernel_image_path": "x"})


def snapshots(api, stage):
    """Full and Diff, in two files and in a folder, over themselves too."""
    body = {"snapshot_path": str(stage.folder / "state"),
            "mem_file_path": str(stage.folder / "memory")}
    refused(api, "PUT", "/snapshot/create", body)
    pause(api)
    for kind in ("Full", "Diff", "Full", "Diff"):
        api.set("PUT", "/snapshot/create", {**body, "snapshot_type": kind})
    for kind in ("Full", "Diff", "Diff", "Full"):
        api.set("PUT", "/snapshot/create", {
            "snapshot_path": f"{stage.folder}/{kind}/", "snapshot_type": kind,
            **({"memory_checksum": True} if kind == "Full" else {})})
    refused(api, "PUT", "/snapshot/create", {
        "snapshot_path": "/nowhere/s", "mem_file_path": "/nowhere/m"})
    refused(api, "PUT", "/snapshot/create", {"snapshot_path": "/proc/s/"})
    resume(api)
    api.set("PUT", "/snapshot/create",
            {"snapshot_path": f"{stage.folder}/live/"})


def broken_clients(path):
    """Bytes that are no request, half of one, and more than fits."""
    for data in (b"nonsense\r\n\r\n", b"GET / HT",
                 b"PUT /x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
                 b"GET /" + b"x" * 100000):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(1)
            while sock.recv(4096):
                pass
        except OSError:
            pass
        sock.close()
    many = [socket.socket(socket.AF_UNIX) for _ in range(12)]
    for sock in many:
        sock.settimeout(1)
        sock.connect(str(path))
    for sock in many:
        sock.close()


def day(stage):
    """One VM with every device, from its configuration to its end."""
    words, tap = [], None
    try:
        words, tap = stage.namespace("vt0", "vt1"), "vt0"
    except Skip as why:
        print(f"  without a network interface: {why}")
    run, api = stage.api("--id", "day", words=words)
    configure(api, stage, tap)
    start_vm(api)
    out = stage.folder / "out"
    until(lambda: "ready" in out.read_text())
    patch(api, stage, tap)
    snapshots(api, stage)
    broken_clients(api.path)
    run.process.send_signal(signal.SIGPIPE)
    got(api, "/")
    run.process.terminate()
    run.finish()
    run, api = stage.api("--id", "clone", words=words)
    api.set("PUT", "/metrics", {"metrics_path": str(stage.folder / "m2")})
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": f"{stage.folder}/Full/", "resume_vm": True,
        "track_dirty_pages": True, "clock_realtime": True,
        "network_overrides": [{"iface_id": "n0", "host_dev_name": "vt1"}]
        if tap else [],
        "drive_overrides": [{"drive_id": "Sync",
                             "path_on_host": stage.disk("other")}],
        "vsock_override": {"uds_path": str(stage.folder / "v2.sock")}})
    until_it_ran(run)
    got(api, "/vm/config")
    api.set("PUT", "/snapshot/create", {
        "snapshot_path": f"{stage.folder}/clone/", "snapshot_type": "Diff"})
    run.send("\n")  # the guest goes on to its end
    run.process.terminate()
    run.finish()


def block(stage):
    """Both engines: reads, writes, flushes, discards, errors, limits."""
    for engine in ("Sync", "Async"):
        drive = {"drive_id": "rootfs", "is_root_device": False,
                 "io_engine": engine, "cache_type": "Writeback"}
        stage.run("blk", f"id=rootfs sectors={DISK >> 9} flush", devices={
            "drives": [{**drive, "path_on_host": stage.disk("d")}]})
        stage.run("blkload", "requests=200 depth=8 op=write", devices={
            "drives": [{**drive, "path_on_host": stage.disk("d"),
                        "rate_limiter": LIMIT}]})
        run, api = stage.vmm.start_api(Case(
            "blk", f"resize={DISK >> 9}", devices={"drives/rootfs": {
                **drive, "path_on_host": stage.disk("empty", 0)}}))
        run.wait_for("ready")
        api.set("PATCH", "/drives/rootfs", {
            "drive_id": "rootfs", "path_on_host": stage.disk("d")})
        run.finish().assert_passed()
        disk = stage.disk("short")
        run, api = stage.vmm.start_api(Case(
            "blkload", "requests=400 depth=8 op=read",
            devices={"drives/rootfs": {**drive, "path_on_host": disk}}))
        os.truncate(disk, 32768)
        assert run.finish().code == 0


def network(stage):
    """Frames both ways, limits that change, a tap that goes away."""
    words = stage.namespace("vt0")
    run, api = stage.api(words=words)
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("netecho"),
                                    "boot_args": "irq patience=20"})
    api.set("PUT", "/network-interfaces/n0", {
        "iface_id": "n0", "host_dev_name": "vt0", "guest_mac": MAC,
        "mtu": 9000, "rx_rate_limiter": {
            "ops": {"size": 5, "refill_time": 50}}})
    start_vm(api)
    run.wait_for("listening")
    stage.peer("ping:10", "udp:1472", "cut:60000:1400")
    pause(api)
    stage.peer("flood:20")
    api.set("PUT", "/snapshot/create", {
        "snapshot_path": f"{stage.folder}/net/"})
    resume(api)
    stage.peer("ping:100")
    stage.net.run("ip", "link", "set", "vt0", "down")
    stage.net.run("ip", "link", "set", "vt0", "up")
    stage.peer("ping:100")
    stage.net.run("ip", "link", "del", "vt0")
    got(api, "/")
    run.process.terminate()
    run.finish()


def full_chips(stage):
    """KVM's own interrupt chips, with a device and in a snapshot."""
    run, api = stage.api("--irqchip", "full")
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("ticker"),
                                    "boot_args": "period=20"})
    api.set("PUT", "/entropy", {})
    start_vm(api)
    run.wait_for("tick 3")
    pause(api)
    api.set("PUT", "/snapshot/create", {
        "snapshot_path": f"{stage.folder}/full/"})
    run.process.terminate()
    run.finish()
    for end in ("full", "split"):
        run = stage.vmm.start("rng", irqchip=end, devices={"entropy": {}})
        assert run.finish().code == 0


def vhost(stage):
    """The host's kernel moves the frames."""
    if not os.access("/dev/vhost-net", os.W_OK):
        raise Skip("no usable /dev/vhost-net; the lab has one")
    words = stage.namespace("vt0")
    run, api = stage.api(words=words)
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("netecho"),
                                    "boot_args": "irq patience=60"})
    api.set("PUT", "/network-interfaces/n0", {
        "iface_id": "n0", "host_dev_name": "vt0", "guest_mac": MAC,
        "vhost": True})
    start_vm(api)
    run.wait_for("listening")
    stage.peer("ping:10", "udp:1472")
    pause(api)
    api.set("PUT", "/snapshot/create", {
        "snapshot_path": f"{stage.folder}/net/"})
    resume(api)
    stage.peer("ping:100")
    run.process.terminate()
    run.finish()
    run, api = stage.api(words=words)
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": f"{stage.folder}/net/", "resume_vm": True})
    stage.peer("ping:100", "stop")
    run.finish()


def allow(stage):
    """--allow: what the gate opens below a directory, and what not."""
    inside = stage.folder / "inside"
    inside.mkdir()
    (inside / "disk").write_bytes(bytes(4096))
    run, api = stage.api("--allow", inside, "--allow", f"{stage.folder}:ro")
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("ticker")})
    for name, read_only in (("w", False), ("r", True)):
        api.set("PUT", f"/drives/{name}", {
            "drive_id": name, "path_on_host": stage.disk(name),
            "is_root_device": False, "is_read_only": read_only})
    start_vm(api)
    run.wait_for("tick 1")
    for name in ("w", "r"):
        api.set("PATCH", f"/drives/{name}", {
            "drive_id": name, "path_on_host": str(inside / "disk")})
        refused(api, "PATCH", f"/drives/{name}", {
            "drive_id": name, "path_on_host": "/etc/passwd"})
    api.set("PUT", "/snapshot/create", {"snapshot_path": f"{inside}/s/"})
    refused(api, "PUT", "/snapshot/create", {
        "snapshot_path": f"{stage.folder}/s/"})
    run.process.terminate()
    run.finish()


def isolated(stage):
    """A lock with namespaces of the process's own."""
    stage.run("hello", extra=("--isolate",))


def first(stage):
    """--sandbox-first: put and started, and loaded, through the gate."""
    run, api = stage.api("--sandbox-first")
    api.set("PUT", "/logger", {"log_path": str(stage.folder / "log")})
    api.set("PUT", "/metrics", {"metrics_path": str(stage.folder / "metrics")})
    api.set("PUT", "/serial", {"serial_out_path": str(stage.folder / "tty")})
    initrd = stage.disk("initrd", 20000)
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("ticker"),
                                    "initrd_path": initrd})
    for name, read_only in (("w", False), ("r", True)):
        api.set("PUT", f"/drives/{name}", {
            "drive_id": name, "path_on_host": stage.disk(name),
            "is_root_device": False, "is_read_only": read_only})
    for name in ("v", "w"):
        api.set("PUT", "/vsock", {"guest_cid": 3, "uds_path": str(
            stage.folder / f"{name}.sock")})
    start_vm(api)
    until(lambda: "tick 1" in (stage.folder / "tty").read_text())
    api.set("PUT", "/snapshot/create", {"snapshot_path":
                                        f"{stage.folder}/first/"})
    run.process.terminate()
    run.finish()
    (stage.folder / "tty").unlink()
    run, api = stage.api("--sandbox-first")
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": f"{stage.folder}/first", "resume_vm": True})
    until(lambda: "tick" in (stage.folder / "tty").read_text())
    run.process.terminate()
    run.finish()


def first_network(stage):
    """The same with a tap, which the gate attaches."""
    words = stage.namespace("vt0")
    run, api = stage.api("--sandbox-first", words=words)
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("ticker")})
    api.set("PUT", "/network-interfaces/n0", {"iface_id": "n0",
                                              "host_dev_name": "vt0"})
    start_vm(api)
    run.wait_for("tick 1")
    run.process.terminate()
    run.finish()


def lease(stage):
    """A clone of a VM that is given drives, a tap and a socket, in both orders
    of lock and load."""
    words = stage.namespace("vt0")
    run, api = stage.api(words=words)
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("ticker")})
    for name in ("w", "x"):
        api.set("PUT", f"/drives/{name}", {
            "drive_id": name, "path_on_host": stage.disk(name),
            "is_root_device": False, "is_read_only": False})
    api.set("PUT", "/network-interfaces/n0", {"iface_id": "n0",
                                              "host_dev_name": "vt0"})
    api.set("PUT", "/vsock", {"guest_cid": 3, "uds_path": str(
        stage.folder / "lent.sock")})
    start_vm(api)
    run.wait_for("tick 1")
    api.set("PUT", "/snapshot/create", {"snapshot_path":
                                        f"{stage.folder}/lent/"})
    run.process.terminate()
    run.finish()
    for number, flags in enumerate(((), ("--sandbox-first",))):
        run, api = stage.api(*flags, words=words)
        api.set("PUT", "/snapshot/load", {
            "snapshot_path": f"{stage.folder}/lent/", "lease": True})
        api.set("PUT", "/volt/lease", {
            "drives": [{"drive_id": "w", "overlay": str(stage.folder)},
                       {"drive_id": "x", "path_on_host":
                        stage.disk(f"own{number}")}],
            "network_interfaces": [{"iface_id": "n0",
                                    "host_dev_name": "vt0"}],
            "vsock": {"uds_path": str(stage.folder / f"l{number}.sock")},
            "resume_vm": True})
        run.wait_for("tick")
        run.process.terminate()
        run.finish()


def vsock(stage):
    """Connections of the host and of the guest, closed in every order."""
    path = stage.folder / "v.sock"
    listener = listen(path, 52)
    run, api = stage.vmm.start_api(Case(
        "vsock", "cid=3 connect=3",
        devices={"vsock": {"guest_cid": 3, "uds_path": str(path)}}))
    inside = [listener.accept()[0] for _ in range(3)]
    run.wait_for("ready")
    for sock in inside:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    inside.pop().close()
    sock = connect(path, 9)
    sock.sendall(bytes(200000))
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(65536):
        pass
    sock.close()
    bad = socket.socket(socket.AF_UNIX)
    bad.connect(str(path))
    bad.sendall(b"HELLO 9\n")
    bad.settimeout(10)
    assert bad.recv(10) == b""
    other = connect(path, 9)
    pause(api)
    other.sendall(b"while paused")
    api.set("PUT", "/snapshot/create", {
        "snapshot_path": f"{stage.folder}/vsock/"})
    resume(api)
    assert other.recv(100) == b"while paused"
    other.close()
    connect(path, 1).close()
    for sock in inside:
        sock.close()
    run.finish()
    listener.close()
    # Nobody listens for the guest.
    run = stage.vmm.start("vsock", "cid=3 hostile=1", devices={
        "vsock": {"guest_cid": 3, "uds_path": str(stage.folder / "w.sock")}})
    run.wait_for("ready", 120)
    connect(stage.folder / "w.sock", 1).close()
    run.finish().assert_passed()


def balloon(stage):
    """Inflated, deflated, reported, hinted; statistics by a timer."""
    run, api = stage.vmm.start_api(Case("balloon", "steps touch=8",
                                        devices={"balloon": BALLOON}))
    for name in ("touched", "inflated", "deflated", "reported"):
        run.wait_for(f"step {name}")
        run.send("\n")
    run.wait_for("step to-hint")
    api.set("PATCH", "/balloon/hinting/start", {})
    run.send("\n")
    run.wait_for("step hinted")
    api.set("PATCH", "/balloon/hinting/stop", {})
    run.send("\n")
    for free in (1000, 1001):
        run.wait_for("step stats")
        until(lambda want=free: got(api, "/balloon/statistics").get(
            "free_memory") == want)
        run.send("\n")
    run.finish().assert_passed()


def pmem(stage):
    """A file that is memory, flushed; behind its end zeros."""
    bytes_, size = 5 * 4096 + 100, 2 << 20
    path = stage.folder / "pmem"
    for more, words in ({}, "file"), ({"read_only": True}, "ro file"):
        path.write_bytes(bytes(bytes_))
        if more:
            path.write_bytes(b"".join(
                (off | 1).to_bytes(8, "little").ljust(4096, b"\0")
                for off in range(0, bytes_, 4096))[:bytes_])
        stage.run("pmem", f"{words}={bytes_} size={size}", devices={"pmem": [
            {"id": "p", "path_on_host": str(path), **more}]})


def entropy(stage):
    """Random bytes, at once and as a limit allows."""
    run = stage.vmm.start("rng", devices={"entropy": {}})
    assert run.finish().code == 0
    run = stage.vmm.start("devices", devices={
        "entropy": {"rate_limiter": {"ops": {"size": 1, "refill_time": 50}}},
        "balloon": BALLOON, "vsock": {"guest_cid": 3, "uds_path": str(
            stage.folder / "x.sock")}})
    assert run.finish().code == 0


def console(stage):
    """A terminal, a pipe nobody reads, input in a burst, Ctrl-A x."""
    master, slave = pty.openpty()
    run = subprocess.Popen(["setsid", "--ctty", VMM, "--no-api", "--kernel",
                            stage.kernel("ticker")], stdin=slave,
                           stdout=slave, stderr=subprocess.DEVNULL)
    seen = b""
    while b"tick 2" not in seen:
        seen += os.read(master, 4096)
    os.write(master, b"hello\x01x")
    until(lambda: run.poll() is not None)
    os.close(master)
    os.close(slave)
    run = stage.vmm.start("console", "lines=300 echo")
    run.wait_for("ready")
    run.send("a line\n" * 50 + "quit\n")
    run.finish().assert_passed()
    for goes_away in (False, True):
        run = stage.vmm.start("console", "lines=200")
        fcntl.fcntl(run.process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        if goes_away:
            run.wait_for("1")
            run.process.stdout.close()
        assert run.process.wait(timeout=120) == 0


def logs(stage):
    """Log and metrics into FIFOs that fill and lose their reader."""
    fds = {}
    for name in ("log", "metrics"):
        os.mkfifo(stage.folder / name)
        fds[name] = os.open(stage.folder / name, os.O_RDONLY | os.O_NONBLOCK)
    run, api = stage.api()
    api.set("PUT", "/logger", {"log_path": str(stage.folder / "log"),
                               "level": "Trace"})
    api.set("PUT", "/metrics", {"metrics_path": str(stage.folder / "metrics")})
    api.set("PUT", "/boot-source", {"kernel_image_path":
                                    stage.kernel("ticker"),
                                    "boot_args": "none"})
    start_vm(api)
    run.wait_for("tick 1")
    for _ in range(30):
        api.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    json.loads(os.read(fds["metrics"], 65536).splitlines()[0])
    for fd in fds.values():
        os.close(fd)
    api.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    got(api, "/")
    run.process.terminate()
    run.finish()


def ends(stage):
    """Every end that a guest or a signal makes."""
    for name in ("i8042", "acpi-reset", "acpi-s5", "triple-fault",
                 "bad-rip", "no-emulation", "mmio-rip"):
        stage.vmm.run(Case("resets", f"end={name}"))
    for number, code in ENDS.items():
        run = stage.vmm.start("ticker", "cpus", cpus=2)
        run.wait_for("tick 2")
        run.process.send_signal(number)
        found = run.finish().code
        assert found == code, (number, found)
    run, api = stage.vmm.start_api(Case("keys"))
    run.wait_for("waiting")
    api.set("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    run.finish().assert_passed()
    run, api = stage.vmm.start_api(Case("spin"))
    run.wait_for("spinning")
    for _ in range(5):
        pause(api)
        resume(api)
    pause(api)
    run.process.terminate()
    run.finish()
    run = stage.vmm.start("ticker")
    run.wait_for("tick 1")
    run.process.send_signal(signal.SIGSTOP)
    run.process.send_signal(signal.SIGCONT)
    run.wait_for("tick 3")
    run.process.terminate()
    run.finish()


SCENES = (start, start_devices, no_start, restore, restore_uffd, day, block,
          network, full_chips, vhost, allow, isolated, first, first_network,
          lease,
          vsock, balloon, pmem, entropy, console, logs, ends)
# What the end-to-end lane has time for.
SHORT = (start_devices, no_start, restore, restore_uffd, day, allow, isolated,
         first, vsock, ends)


def chosen(names):
    """The scenes of a list of names; "short" is one; None: all."""
    if names is None:
        return SCENES
    if names == "short":
        return SHORT
    by_name = {scene.__name__: scene for scene in SCENES}
    return [by_name[name] for name in names.split(",")]
