# SPDX-License-Identifier: Apache-2.0
"""Drives a Linux guest and its clones, in the lab; see test_linux_snapshot.py.

usage: snapshot_linux.py VOLT-VMM KERNEL INITRD DISK CLONES DEPTH

Prints "ok NAME" or "FAIL NAME: why" for each case.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from conftest import Api, Running
from vsock_host import connect, echo

SECONDS = 240
CALM = 600  # seconds of guest time between two rounds: more is a jump
BAD = re.compile(r"lockup|stall|unstable|clocksource|BUG|WARNING|Oops|panic|"
                 r"I/O error|EXT4-fs error|hung|rror -", re.I)


class Vm:
    """A VM of the family, with files of its own."""

    def __init__(self, vmm, disk):
        self.vmm = vmm
        self.folder = Path(tempfile.mkdtemp())
        self.disk = self.folder / "disk"
        shutil.copy(disk, self.disk)
        self.vsock = self.folder / "v.sock"
        self.run = Running([vmm, "--api-sock", self.folder / "api.sock"],
                           self.folder / "log")
        self.api = Api(self.folder / "api.sock")
        self.api.wait(SECONDS)
        self.rounds = []

    def boot(self, kernel, initrd):
        put = [("/machine-config", {"vcpu_count": 2, "mem_size_mib": 192}),
               ("/boot-source",
                {"kernel_image_path": kernel, "initrd_path": initrd,
                 "boot_args": "console=ttyS0 reboot=k quiet volt.quiet "
                              "volt.run=snapshot"}),
               ("/drives/data",
                {"drive_id": "data", "path_on_host": str(self.disk),
                 "is_root_device": False}),
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
            "drive_overrides": [{"drive_id": "data",
                                 "path_on_host": str(self.disk)}]})

    def go_on(self, count):
        """@count more rounds of the guest's work."""
        for _ in range(count):
            self.run.wait_for("ROUND ", SECONDS)
            number, data, uptime, drawn = self.run.wait_for(
                "\n", SECONDS).split()[:4]
            assert data == "good", self.run.whole[-2000:]
            self.rounds.append((int(number), float(uptime), drawn))

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


class Family:
    def __init__(self, vmm, kernel, initrd, disk, clones, depth):
        self.vmm, self.count, self.depth = vmm, int(clones), int(depth)
        self.place = Path(tempfile.mkdtemp())
        self.first = Vm(vmm, disk).boot(kernel, initrd)
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
    before = vm.rounds[-1]
    family.snap = vm.snapshot(family.place / "s")
    vm.go_on(2)
    vm.check((before[0] - 2, 0.0, ""))
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


def random_numbers(family):
    """What each has from its device is its own."""
    drawn = [x for clone in family.clones for _, _, x in clone.rounds]
    assert len(set(drawn)) == len(drawn) > 0, drawn


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


def main():
    family = Family(*sys.argv[1:])
    for step in (original, clones, random_numbers, vsock, chain):
        try:
            step(family)
            print("ok", step.__name__, flush=True)
        except Exception as why:
            traceback.print_exc()
            print(f"FAIL {step.__name__}: {why!r}", flush=True)
            break
    for vm in [family.first, *family.clones]:
        if vm.run.process.poll() is None:
            vm.run.process.kill()


main()
