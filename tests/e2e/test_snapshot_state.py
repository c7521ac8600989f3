# SPDX-License-Identifier: Apache-2.0
"""The whole state, field by field: saved, restored, saved again."""

import json
import os
from pathlib import Path

import pytest

from conftest import BUILD, Api, looks_into, need_tun
from netns import Namespace
from test_snapshot import snapshot

EPOLL_PWAIT2 = 441

# What may differ, and why: (path with * for any one step, reason). All else is
# equal. A path that is in neither state is a mistake here.
DIFFERS = (
    ("crc64", "covers the rest"),
    ("id", "names the snapshot, at random"),
    ("memory_moment", "the same"),
    ("memory_run", "names the process, at random"),
    ("memory_proof/samples", "of memory, where the generation ID is new"),
    ("created", "when it was taken"),
    ("created_ns", "when it was taken"),
    ("vm/clock_ns", "the guest's clock goes on"),
    ("vm/realtime_ns", "the host's clock goes on"),
    ("vcpus/*/msrs/0x10", "TSC goes on"),
    ("vcpus/*/lapic/0x390", "the timer's current count goes on"),
)
CHIPS_DIFFER = (
    ("vm/chips/pic_master/irr", "a restore raises the VM generation ID's"),
    ("vm/chips/pit/channels/*/count_load_time", "by the host's clock"),
)
# Not every host's KVM has them.
HOST_DIFFERS = (
    ("vcpus/*/msrs/0x40000010", "the vCPU's run time, as Hyper-V counts it"),
    ("vcpus/*/msrs/0x40000020", "Hyper-V's reference time goes on"),
)
PIC = ("last_irr", "irr", "imr", "isr", *map(str, range(4, 16)))


def by_path(value, path=()):
    """{path: leaf} of a state; MSRs by index, LAPIC and PIC by register."""
    if path[-1:] == ("msrs",):
        value = dict(value)
    elif path[-1:] == ("lapic",):
        regs = bytes.fromhex(value).ljust(1024, b"\0")
        value = {hex(at): regs[at:at + 4].hex() for at in range(0, 1024, 4)}
    elif path[-1:] in (("pic_master",), ("pic_slave",)):
        value = dict(zip(PIC, bytes.fromhex(value), strict=True))
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {"/".join(map(str, path)): value}
    leaves = {"/".join(map(str, path)): len(value)}
    for key, item in value.items():
        leaves |= by_path(item, (*path, key))
    return leaves


def matches(path, pattern):
    have, want = path.split("/"), pattern.split("/")
    return len(have) == len(want) and all(
        w in ("*", h) for h, w in zip(have, want))


def differences(first, second):
    """The paths that differ and are not in the table."""
    one, two = by_path(first), by_path(second)
    table = DIFFERS + (CHIPS_DIFFER if "chips" in first["vm"] else ())
    for pattern, _ in table:
        assert any(matches(path, pattern) for path in one), pattern
    table += HOST_DIFFERS
    return sorted(path for path in one.keys() | two.keys()
                  if one.get(path) != two.get(path)
                  and not any(matches(path, p) for p, _ in table))


@pytest.fixture
def taps(vmm):
    """A namespace with a tap."""
    need_tun()
    namespace = Namespace()
    namespace.run("ip", "tuntap", "add", "vt0", "mode", "tap")
    namespace.run("ip", "link", "set", "vt0", "up")
    yield namespace
    vmm.close()
    namespace.close()


def config(vmm, folder, irqchip):
    """A config file with every device there is, limits and all."""
    (folder / "disk.img").write_bytes(os.urandom(1 << 20))
    limit = {"bandwidth": {"size": 1 << 30, "refill_time": 100},
             "ops": {"size": 1000, "one_time_burst": 10, "refill_time": 100}}
    path = folder / "vm.json"
    path.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(vmm.guest("devices"))},
        "machine-config": {"vcpu_count": 2, "mem_size_mib": 64,
                           "track_dirty_pages": irqchip == "full"},
        "drives": [{"drive_id": "a", "path_on_host": str(folder / "disk.img"),
                    "is_root_device": True, "is_read_only": False,
                    "rate_limiter": limit},
                   {"drive_id": "b", "path_on_host": str(folder / "disk.img"),
                    "is_root_device": False, "is_read_only": True,
                    "io_engine": "Async"}],
        "network-interfaces": [{"iface_id": "n0", "host_dev_name": "vt0",
                                "guest_mac": "06:00:ac:10:00:02", "mtu": 1400,
                                "rx_rate_limiter": limit}],
        "vsock": {"guest_cid": 42, "uds_path": str(folder / "v.sock")},
        "entropy": {"rate_limiter": limit},
        "balloon": {"amount_mib": 1, "deflate_on_oom": True,
                    "stats_polling_interval_s": 1,
                    "free_page_hinting": True, "free_page_reporting": True}}))
    return path


class Chain:
    """A VM that is saved and goes on as a clone, which stays paused."""

    def __init__(self, vmm, folder, *wrapper):
        self.vmm, self.folder, self.wrapper = vmm, folder, wrapper
        self.states = []
        self.run = self.api = None

    def spawn(self, *args):
        sock = self.folder / f"api{len(self.vmm.started)}.sock"
        self.run = self.vmm.spawn([*self.wrapper, BUILD / "volt-vmm",
                                   "--api-sock", sock, *args])
        self.api = Api(sock)
        self.api.wait()

    def link(self):
        folder = self.folder / f"s{len(self.states)}"
        done = snapshot(self.api, folder)
        assert done.returncode == 0, done.stderr
        self.states.append(json.loads((folder / "state.json").read_text()))
        self.run.process.kill()
        self.run.process.wait()
        (self.folder / "v.sock").unlink(missing_ok=True)  # it leaves it
        self.spawn("--restore", folder, "--paused")
        assert self.api.call("GET", "/")[1]["state"] == "Paused"

    def check(self):
        """Three states are one."""
        self.api.set("PATCH", "/vm", {"state": "Paused"})
        for _ in range(3):
            self.link()
        assert differences(*self.states[:2]) == []
        assert differences(*self.states[1:]) == []
        self.api.set("PATCH", "/vm", {"state": "Resumed"})


@pytest.mark.parametrize("irqchip", ["split", "full"])
def test_every_device(vmm, taps, tmp_path, irqchip):
    """H5: all of them in use; what is saved is what a clone saves again."""
    chain = Chain(vmm, tmp_path, *taps.join)
    chain.spawn("--irqchip", irqchip, "--config-file",
                config(vmm, tmp_path, irqchip))
    chain.run.wait_for("ready\r\n")
    assert "FAIL" not in chain.run.whole.decode()
    chain.check()
    kinds = {slot["kind"] for device in chain.states[0]["devices"]
             if device["name"] == "virtio"
             for slot in device["state"]["slots"]}
    assert kinds == {"block", "net", "vsock", "entropy", "balloon"}
    chain.run.send("x")
    result = chain.run.finish()
    assert "ok block-read" in result.lines()
    assert not result.failures() and result.code == 0


@pytest.mark.parametrize("irqchip", ["split", "full"])
def test_timers_and_cpus(vmm, tmp_path, irqchip):
    """Two CPUs, one of them interrupted by its timer fifty times a second."""
    chain = Chain(vmm, tmp_path)
    chain.spawn("--irqchip", irqchip, "--cpus", "2", "--kernel",
                vmm.guest("ticker"), "--cmdline", "period=20 cpus")
    chain.run.wait_for("tick 5")
    chain.check()
    chain.run.wait_for("tick")
    chain.run.wait_for("tick")


def waits_for_a_deadline(pid):
    """Does the VMM thread wait for its next timer, too, or for events only?"""
    while True:
        words = Path(f"/proc/{pid}/syscall").read_text().split()
        if words[0] == str(EPOLL_PWAIT2):
            return words[4] != "0x0"


@looks_into
def test_no_interrupt_is_repeated_while_a_clone_is_paused(vmm, tmp_path):
    """KVM's IOAPIC asks for that: its state would not stay as it was saved."""
    (tmp_path / "disk.img").write_bytes(bytes(1 << 20))
    chain = Chain(vmm, tmp_path)
    chain.spawn("--irqchip", "full", "--kernel", vmm.guest("ticker"),
                "--cmdline", "period=20", "--disk", tmp_path / "disk.img")
    chain.run.wait_for("tick 2")
    assert waits_for_a_deadline(chain.run.pid)
    chain.link()
    assert not waits_for_a_deadline(chain.run.pid)
    chain.api.set("PATCH", "/vm", {"state": "Resumed"})
    assert waits_for_a_deadline(chain.run.pid)


def test_a_clone_on_another_tap(vmm, taps, tmp_path):
    """And on another disk, with another socket, both VMs at once."""
    taps.run("ip", "tuntap", "add", "vt1", "mode", "tap")
    taps.run("ip", "link", "set", "vt1", "up")
    first = Chain(vmm, tmp_path, *taps.join)
    first.spawn("--config-file", config(vmm, tmp_path, "split"))
    first.run.wait_for("ready\r\n")
    assert snapshot(first.api, tmp_path / "s").returncode == 0
    clone = Chain(vmm, tmp_path, *taps.join)
    (tmp_path / "other.img").write_bytes(bytes(1 << 20))
    clone.spawn("--restore", tmp_path / "s", "--net", "n0=vt1", "--disk",
                f"a={tmp_path}/other.img", "--vsock", tmp_path / "w.sock")
    now = clone.api.call("GET", "/vm/config")[1]
    assert now["network-interfaces"][0]["host_dev_name"] == "vt1"
    assert now["drives"][0]["path_on_host"] == str(tmp_path / "other.img")
    for vm in (first, clone):
        vm.run.send("x")
        result = vm.run.finish()
        assert result.code == 0 and not result.failures(), result.out
