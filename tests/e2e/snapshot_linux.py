# SPDX-License-Identifier: Apache-2.0
"""Drives a Linux guest and its clones, in the lab; see test_linux_snapshot.py.

usage: snapshot_linux.py VOLT-VMM INITRD DISK KIND=KERNEL,CLONES,DEPTH...

KIND is one of FAMILIES. Prints "ok KIND NAME" or "FAIL KIND NAME: why" for each
case.
"""

import ctypes
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from conftest import LONG, Api, Running
from netns import Namespace
from vsock_host import connect, echo

# What one step may take; a round takes some 6, times the guests that run.
SECONDS = 360 if LONG else 90
CALM = 600  # seconds of guest time between two rounds: more is a jump
LINE = b"TCP of a guest\n"
FORKED = "crng reseeded due to virtual machine fork"
CLONE_NEWNET = 0x40000000
BAD = re.compile(r"can't request|lockup|stall|unstable|clocksource|BUG|WARNING|Oops|panic|"
                 r"I/O error|EXT4-fs error|hung|rror -", re.I)


class World:
    """A tap in a network of its own, and who takes the guest's TCP there.

    All taps have one hardware address, which clones know as their peer's.
    """

    count = 0

    def __init__(self):
        World.count += 1
        self.tap = f"t{World.count}"
        self.space = Namespace()
        for words in (f"tuntap add {self.tap} mode tap",
                      f"link set {self.tap} address 02:00:00:00:00:01 up",
                      f"address add 10.0.0.1/24 dev {self.tap}"):
            self.space.run("ip", *words.split())
        self.calls = self.good = 0
        self.bad = None
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        net = f"/proc/{self.space.holder.pid}/ns/net"
        with open(net, "rb") as file:
            assert ctypes.CDLL(None).setns(file.fileno(), CLONE_NEWNET) == 0
        with socket.create_server(("10.0.0.1", 5000)) as server:
            while True:
                with server.accept()[0] as sock:
                    self.calls += 1
                    self.take(sock)

    def take(self, sock):
        at = 0
        try:
            while data := sock.recv(4096):
                want = LINE * (len(data) // len(LINE) + 2)
                if data != want[at:at + len(data)]:
                    self.bad = data
                at = (at + len(data)) % len(LINE)
                self.good += len(data)
        except ConnectionError:
            pass

    def wait_for_more(self):
        """Than what has come so far."""
        before, end = self.good, time.monotonic() + SECONDS
        while self.good == before:
            assert time.monotonic() < end, "no TCP of the guest"
            time.sleep(0.05)
        assert self.bad is None, self.bad


class Vm:
    """A VM of the family, with files and a network of its own."""

    def __init__(self, vmm, disk, *options):
        self.vmm = vmm
        self.world = World()
        self.folder = Path(tempfile.mkdtemp())
        self.disk = self.folder / "disk"
        shutil.copy(disk, self.disk)
        self.vsock = self.folder / "v.sock"
        self.run = Running([*self.world.space.join, vmm, *options,
                            "--api-sock", self.folder / "api.sock"],
                           self.folder / "log")
        self.api = Api(self.folder / "api.sock")
        self.api.wait(SECONDS)
        self.rounds = []
        self.own = []  # of getrandom(), one a round
        self.loads = []  # what fio's file held, one a round

    def boot(self, kernel, initrd):
        put = [("/machine-config", {"vcpu_count": 2, "mem_size_mib": 192}),
               ("/boot-source",
                {"kernel_image_path": kernel, "initrd_path": initrd,
                 "boot_args": "console=ttyS0 reboot=k quiet volt.quiet "
                              "volt.run=snapshot"}),
               ("/drives/data",
                {"drive_id": "data", "path_on_host": str(self.disk),
                 "is_root_device": False}),
               ("/network-interfaces/net",
                {"iface_id": "net", "host_dev_name": self.world.tap,
                 "tx_rate_limiter": {"bandwidth": {"size": 200000,
                                                   "refill_time": 1000}}}),
               ("/entropy", {}),
               ("/vsock", {"guest_cid": 3, "uds_path": str(self.vsock)}),
               ("/actions", {"action_type": "InstanceStart"})]
        for url, body in put:
            self.api.set("PUT", url, body)
        return self

    def snapshot(self, folder):
        """Of the guest and its drive at one moment; the drive's copy."""
        self.api.set("PATCH", "/vm", {"state": "Paused"})
        subprocess.run([self.vmm, "--api-sock", self.folder / "api.sock",
                        "--snapshot", folder], check=True)
        shutil.copy(self.disk, f"{folder}.disk")
        self.api.set("PATCH", "/vm", {"state": "Resumed"})
        return folder

    def load(self, folder):
        self.api.set("PUT", "/snapshot/load", {
            "snapshot_path": str(folder), "resume_vm": True,
            "vsock_override": {"uds_path": str(self.vsock)},
            "network_overrides": [{"iface_id": "net",
                                   "host_dev_name": self.world.tap}],
            "drive_overrides": [{"drive_id": "data",
                                 "path_on_host": str(self.disk)}]})

    def go_on(self, count):
        """@count more rounds of the guest's work."""
        for _ in range(count):
            self.run.wait_for("ROUND ", SECONDS)
            number, data, uptime, own, drawn, load = self.run.wait_for(
                "\n", SECONDS).split()[:6]
            assert data == "good", self.run.whole[-2000:]
            self.rounds.append((int(number), float(uptime), drawn))
            self.own.append(own)
            self.loads.append(load)

    def check(self, before):
        """No round is lost or repeated, and time goes on as before."""
        for (last, then, _), (number, now, _) in zip(
                [before] + self.rounds, self.rounds):
            assert number == last + 1, (before, self.rounds)
            assert then <= now < then + CALM, (before, self.rounds)
        for line in self.run.whole.decode(errors="replace").splitlines():
            assert not (line.startswith("[") and BAD.search(line)), line

    def check_vsock(self):
        sock = connect(self.vsock, 9, SECONDS)
        assert sock, "refused"
        sent, got = echo(sock, 100000)
        assert got == sent, (got, sent)

    def end(self):
        if self.run.process.poll() is None:
            self.run.process.kill()
        self.run.process.wait()
        shutil.rmtree(self.folder)
        self.world.space.close()


class Family:
    def __init__(self, vmm, initrd, disk, options, kernel, clones, depth):
        self.vmm, self.count, self.depth = vmm, int(clones), int(depth)
        self.place = Path(tempfile.mkdtemp())
        self.first = Vm(vmm, disk, *options).boot(kernel, initrd)
        self.clones = []
        self.snap = None

    def clone(self, folder):
        clone = Vm(self.vmm, f"{folder}.disk")
        clone.load(folder)
        return clone


def original(family):
    """The one that was saved goes on."""
    vm = family.first
    vm.go_on(2)
    vm.check_vsock()
    vm.world.wait_for_more()
    before, calls = vm.rounds[-1], vm.world.calls
    family.snap = vm.snapshot(family.place / "s")
    vm.go_on(2)
    vm.check((before[0] - 2, 0.0, ""))
    vm.world.wait_for_more()
    assert vm.world.calls == calls, "TCP broke"
    vm.end()


def clones(family):
    """They go on where the snapshot was, with the data of then."""
    family.clones = [family.clone(family.snap) for _ in range(family.count)]
    for clone in family.clones:
        clone.go_on(3)
    for clone in family.clones:
        number, then, _ = clone.rounds[0]
        same = next(r for r in family.first.rounds if r[0] == number - 1)
        clone.check(same)
        assert len(set(clone.loads)) > 1, "fio stands still"


def random_numbers(family):
    """What each has from its device is its own."""
    # The first round may end with what was drawn before the snapshot.
    drawn = [x for clone in family.clones for _, _, x in clone.rounds[1:]]
    assert len(set(drawn)) == len(drawn) > 0, drawn


def reseeded(family):
    """The guest hears that it is a copy, and parts of its own random numbers."""
    for clone in family.clones:
        if FORKED.encode() not in clone.run.whole:
            clone.run.wait_for(FORKED, SECONDS)
        clone.go_on(2)
    own = [x for clone in family.clones for x in clone.own[-1:]]
    assert len(set(own)) == len(own) > 1, own
    assert FORKED.encode() not in family.first.run.whole


def tcp(family):
    """Their connections are gone with their peer; they make new ones."""
    for clone in family.clones:
        clone.world.wait_for_more()


def vsock(family):
    """Whoever listened does so still, and each clone is called by itself."""
    for clone in family.clones:
        clone.check_vsock()


def chain(family):
    """A snapshot of a clone of a snapshot, over its own files."""
    for clone in family.clones[1:]:
        clone.end()
    vm = family.clones[0]
    for number in range(family.depth):
        vm.go_on(1)
        folder = vm.snapshot(family.place / f"c{number % 2}")
        vm.end()
        heir = family.clone(folder)
        heir.go_on(2)
        assert heir.rounds[0][0] > vm.rounds[-1][0]
        assert heir.rounds[0][1] >= vm.rounds[-1][1]
        heir.check((heir.rounds[0][0] - 1, *vm.rounds[-1][1:]))
        vm = heir
    vm.check_vsock()
    vm.end()


FAMILIES = {
    "stock": ((), (original, clones, random_numbers, vsock, tcp, chain)),
    "full": (("--irqchip", "full"), (original, clones, vsock, tcp)),
    "slim": ((), (original, clones, random_numbers, reseeded, vsock, tcp)),
}


def run(kind, vmm, initrd, disk, *what):
    options, steps = FAMILIES[kind]
    family = Family(vmm, initrd, disk, options, *what)
    for step in steps:
        try:
            step(family)
            print("ok", kind, step.__name__, flush=True)
        except Exception as why:
            traceback.print_exc()
            print(f"FAIL {kind} {step.__name__}: {why!r}", flush=True)
            break
    for vm in [family.first, *family.clones]:
        if vm.run.process.poll() is None:
            vm.run.process.kill()


for word in sys.argv[4:]:
    name, _, rest = word.partition("=")
    run(name, *sys.argv[1:4], *rest.split(","))
