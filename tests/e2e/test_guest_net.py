# SPDX-License-Identifier: Apache-2.0
"""Bare-metal guests with a network card on a tap, on this host's KVM."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BUILD, Api, Case, need_tun
from netns import Namespace

PEER = Path(__file__).with_name("net_peer.py")
GUEST = "10.0.0.2"
MAC = "06:00:ac:10:00:02"

CSUM = 1 << 0 | 1 << 1
USO = 7 << 54
MERGE = 1 << 15
EVENT_IDX = 1 << 29


class Wire:
    """A namespace with a tap that the guest is on."""

    def __init__(self, ns, vmm, tmp_path):
        self.ns, self.vmm = ns, vmm
        self.metrics_path = tmp_path / "metrics"
        ns.run("ip", "tuntap", "add", "vt0", "mode", "tap")
        ns.run("ip", "addr", "add", "10.0.0.1/24", "dev", "vt0")
        ns.run("ip", "link", "set", "vt0", "mtu", "9000", "up")

    def start(self, guest, *words, extra=(), **fields):
        """The guest with its interface, in the namespace."""
        case = Case(guest, " ".join(words),
                    devices={"network-interfaces": [
                        {"iface_id": "n0", "host_dev_name": "vt0",
                         "guest_mac": MAC, **fields}]},
                    extra=("--metrics-path", str(self.metrics_path), *extra))
        argv = case.argv(BUILD, self.vmm.folder)
        return self.vmm.spawn([*self.ns.join, *argv])

    def echo(self, *words, **fields):
        run = self.start("netecho", *words, **fields)
        run.wait_for("listening")
        return run

    def peer(self, *operations):
        run = self.ns.run("python3", PEER, GUEST, *operations, ok=False)
        assert run.returncode == 0, run.stderr

    def metrics(self):
        """Sums over all lines, of the one interface and of all."""
        lines = [json.loads(x)
                 for x in self.metrics_path.read_text().splitlines()]
        return tuple({k: sum(x[group][k] for x in lines)
                      for k, v in lines[0][group].items()
                      if isinstance(v, int)} for group in ("net_n0", "net"))


@pytest.fixture
def wire(vmm, tmp_path):
    need_tun()
    namespace = Namespace()
    yield Wire(namespace, vmm, tmp_path)
    vmm.close()
    namespace.close()


@pytest.mark.parametrize("words", [
    ("features=0", "buffer=9100"),
    ("features=0", "buffer=9100", "irq"),
    (f"features={MERGE}",),
    (f"features={MERGE | EVENT_IDX}", "buffer=512", "irq"),
    (f"features={MERGE | CSUM}", "buffer=1600"),
    (f"features={CSUM | USO}", "buffer=65562"),
    (f"features={MERGE | CSUM | USO | EVENT_IDX}",),
    ("irq",),
], ids="plain plain-irq merge small-irq csum uso-big uso-merge all-irq".split())
def test_echo(wire, words):
    """Every size, checksum offload and segmentation, both ways."""
    run = wire.echo(*words, "ip=" + GUEST)
    wire.peer("ping:10", "ping:1400", "ping:8900", "udp:1", "udp:1472",
              "udp:8900", "cut:60000:1400", "stop")
    result = run.finish()
    result.assert_passed()
    numbers = [x for x in result.lines() if x.startswith("# frames")][0].split()
    frames, merged, large = (int(numbers[i]) for i in (2, 4, 6))
    features = int(re.search(r"features 0x(\w+)", result.out).group(1), 16)
    assert frames > 30
    # Where the host's tap knows USO the large send came in one piece.
    assert (large > 0) == (features & USO == USO)
    # Frames larger than a buffer took several.
    assert (merged > 0) == ("features=0" not in words
                            and "buffer=65562" not in words)
    one, all_of_them = wire.metrics()
    assert one == all_of_them
    # Some may have come after the last that the guest looked at.
    assert frames <= one["rx_packets_count"] <= frames + 5
    # But for the last one and what the host's kernel says on its own.
    assert one["tx_packets_count"] > frames / 2
    assert one["tx_malformed_frames"] == one["tx_spoofed_mac_count"] == 0
    assert one["tap_write_fails"] == one["tap_read_fails"] == 0


def test_config_space(wire):
    run = wire.echo(mtu=1400)
    wire.peer("stop")
    result = run.finish()
    result.assert_passed()
    assert any(f"mac {MAC.replace(':0', ':').lstrip('0')} mtu 1400" in x
               for x in result.lines()), result.out


def test_hostile_driver(wire):
    """While the host floods it, too."""
    run = wire.start("nethostile")
    flood = subprocess.Popen([*wire.ns.join, "python3", str(PEER),
                              "10.0.0.255", "flood:1000000"])
    try:
        run.finish().assert_passed()
    finally:
        flood.kill()
        flood.wait()
    one, _ = wire.metrics()
    assert one["tx_malformed_frames"] > 800


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().split()
    return int(fields[13]) + int(fields[14])


def test_d1_d2_starved(wire):
    """A flood without receive buffers costs no CPU, and ends with them."""
    run = wire.start("netecho", "starve=6", "irq")
    run.wait_for("starving")
    wire.ns.run("ip", "neigh", "replace", GUEST, "lladdr", MAC, "dev", "vt0")
    before = cpu_ticks(run.pid)
    wire.peer("flood:20000")
    run.wait_for("listening")
    assert cpu_ticks(run.pid) - before <= 10  # of 100 a second
    wire.peer("ping:100", "udp:1000", "stop")
    run.finish().assert_passed()


def test_tap_down_and_up(wire):
    """Frames are lost meanwhile, and nothing else."""
    run = wire.echo()
    for _ in range(3):
        wire.peer("ping:100", "flood:200")
        wire.ns.run("ip", "link", "set", "vt0", "down")
        wire.ns.run("ip", "link", "set", "vt0", "up")
    wire.peer("ping:100", "udp:1400", "stop")
    run.finish().assert_passed()


def test_tap_deleted(wire):
    """The guest lives on without its wire, and without a busy VMM."""
    run = wire.start("netecho")
    run.wait_for("listening")
    wire.peer("ping:100", "flood:200")
    wire.ns.run("ip", "link", "del", "vt0")
    assert run.process.poll() is None
    before = cpu_ticks(run.pid)
    time.sleep(1)
    assert cpu_ticks(run.pid) - before <= 10  # of 100
    result = run.finish()
    # It gave up waiting for a frame; its end is a reset, exit code 0.
    assert result.code == 0
    assert result.failures() == ["FAIL stopped-by-the-host"]
    assert "the tap was deleted" in result.log


def test_rate_limits(wire):
    """Limited, all comes; the limits change while it runs."""
    limit = {"ops": {"size": 5, "refill_time": 100}}
    run = wire.echo(rx_rate_limiter=limit, tx_rate_limiter=limit)
    wire.peer("udp:1000", "udp:100", "stop")
    run.finish().assert_passed()
    one, _ = wire.metrics()
    assert one["rx_rate_limiter_throttled"] + one[
        "tx_rate_limiter_throttled"] > 0
    assert one["rx_fails"] == 0


def api_vmm(wire, name):
    sock = wire.vmm.folder / name
    run = wire.vmm.spawn([*wire.ns.join, BUILD / "volt-vmm", "--api-sock",
                          sock])
    api = Api(sock)
    api.wait()
    return run, api


def test_snapshot(wire):
    """A guest goes on in another process, on another tap if need be."""
    run, api = api_vmm(wire, "first")
    api.set("PUT", "/boot-source",
            {"kernel_image_path": str(wire.vmm.guest("netecho")),
             "boot_args": "none"})
    api.set("PUT", "/network-interfaces/n0",
            {"iface_id": "n0", "host_dev_name": "vt0", "guest_mac": MAC,
             "rx_rate_limiter": {"ops": {"size": 5, "refill_time": 50}}})
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})
    run.wait_for("listening")
    wire.peer("udp:1000", "ping:8900")
    files = {"snapshot_path": str(wire.vmm.folder / "state"),
             "mem_file_path": str(wire.vmm.folder / "memory")}
    # Twice, and it goes on in between: chains that were held come again.
    for _ in range(2):
        api.set("PATCH", "/vm", {"state": "Paused"})
        api.set("PUT", "/snapshot/create", files)
        api.set("PATCH", "/vm", {"state": "Resumed"})
        wire.peer("udp:1400")
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", files)
    run.process.kill()
    run.process.wait()
    wire.ns.run("ip", "link", "set", "vt0", "down")
    wire.ns.run("ip", "addr", "flush", "dev", "vt0")
    wire.ns.run("ip", "tuntap", "add", "vt1", "mode", "tap")
    wire.ns.run("ip", "addr", "add", "10.0.0.1/24", "dev", "vt1")
    wire.ns.run("ip", "link", "set", "vt1", "mtu", "9000", "up")
    run, api = api_vmm(wire, "second")
    api.set("PUT", "/snapshot/load",
            {**files, "resume_vm": True, "network_overrides": [
                {"iface_id": "n0", "host_dev_name": "vt1"}]})
    wire.peer("ping:100", "udp:1400", "udp:8900", "cut:60000:1400", "stop")
    result = run.finish()
    assert "ok stopped-by-the-host" in result.lines(), result.out
    assert not result.failures()


def flag(wire, *nets):
    """volt-vmm with --net, on the guest that says what it got."""
    if "vt1" not in wire.ns.links():
        wire.ns.run("ip", "tuntap", "add", "vt1", "mode", "tap")
        wire.ns.run("ip", "link", "set", "vt1", "up")
    argv = [BUILD / "volt-vmm", "--no-api",
            "--kernel", wire.vmm.guest("netecho")]
    for net in nets:
        argv += ["--net", net]
    return wire.vmm.spawn([*wire.ns.join, *argv])


def test_flag(wire):
    run = flag(wire, "tap=vt0,mac=06:00:AC:10:00:02,mtu=9000", "tap=vt1")
    assert "mac 6:0:ac:10:0:2 mtu 9000" in run.wait_for("listening")
    wire.peer("udp:100", "stop")
    run.finish().assert_passed()


@pytest.mark.parametrize("nets, says", [
    (["mac=06:00:00:00:00:01"], "no tap"), (["tap="], "no tap"),
    (["tap=vt0,mac=06:00:00:00:00"], "no MAC address"),
    (["tap=vt0,mtu=1500x"], "no MTU"), (["tap=vt0,mtu=70000"], "no MTU"),
    (["tap=vt0,mtu=67"], "out of range"),
    (["tap=vt0,speed=9"], "unknown word"), (["tap=vt0,vhots"], "unknown word"),
    (["tap=vt0", "tap=vt0"], "in use by interface net0 of this VM"),
    (["tap=sixteen-letters-"], "at most 15 characters"),
    (["tap=vt0,mac=06:00:00:00:00:01", "tap=vt1,mac=06:00:00:00:00:01"],
     "already in use"),
    (["tap=lo"], "no tap"), (["tap=vt9"], "there is no tap vt9"),
])
def test_bad_flag(wire, nets, says):
    result = flag(wire, *nets).finish()
    assert result.code == 1
    assert says in result.log


def test_no_vhost(wire):
    """Where the host has none it is refused, in a sentence; limits as well."""
    run, api = api_vmm(wire, "sock")
    body = {"iface_id": "n0", "host_dev_name": "vt0", "vhost": True}
    status, answer = api.call("PUT", "/network-interfaces/n0", {
        **body, "tx_rate_limiter": {"ops": {"size": 1, "refill_time": 1}}})
    assert status == 400 and "limits none" in answer["fault_message"]
    if not os.path.exists("/dev/vhost-net"):
        status, answer = api.call("PUT", "/network-interfaces/n0", body)
        assert status == 400
        assert "leave vhost out" in answer["fault_message"]
    assert api.call("GET", "/vm/config")[1]["network-interfaces"] == []
    # What failed left nothing behind: the tap is free.
    api.set("PUT", "/network-interfaces/n0", {**body, "vhost": False})
    assert run.process.poll() is None
