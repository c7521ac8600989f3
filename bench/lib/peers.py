# SPDX-License-Identifier: Apache-2.0
"""The VMMs that are compared, and how each is started."""

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass


@dataclass
class Peer:
    """A VMM: argv with {kernel} and {memory}; pvh: needs the PVH guest."""

    name: str
    argv: list
    pvh: bool = False
    has_mark: bool = True

    def __str__(self):
        """As --peer takes it."""
        return f"{self.name}={shlex.join(self.argv)}"

    def boots_linux(self):
        """One of the user's that is for a Linux guest, not for the start."""
        return any("{initrd}" in a for a in self.argv)

    def command(self, kernel, memory):
        return [a.replace("{kernel}", str(kernel))
                .replace("{memory}", str(memory)) for a in self.argv]


class Tree:
    """Where a build directory has what the benchmarks need."""

    def __init__(self, build):
        self.build = build.resolve()
        self.vmm = self.find("volt-vmm", "src/vmm/volt-vmm")
        self.probe = self.find("bench/probe")
        self.stopwatch = self.find("bench/stopwatch")

    def find(self, *names):
        for name in names:
            path = self.build / name
            if path.is_file():
                return path
        sys.exit(f"bench/run: {self.build} has no {names[0]}; build it first")

    def guest(self, name):
        return self.find(f"tests/guest/{name}.elf")

    def shown(self, argv):
        """A command without the place of this tree in it."""
        return [a.replace(f"{self.build}/", "build/") for a in argv]

    def volt(self, memory, cmdline=None):
        argv = [str(self.vmm), "--no-api", "--kernel", "{kernel}",
                "--memory", str(memory), "--cpus", "1"]
        if cmdline:
            argv += ["--cmdline", cmdline]
        return Peer("volt-vmm", argv)


def qemu_argv(cpu):
    return ["qemu-system-x86_64", "-M", "microvm,pit=off,pic=off,rtc=off",
            "-accel", "kvm", "-cpu", cpu, "-m", "{memory}", "-nodefaults",
            "-display", "none", "-serial", "stdio", "-no-reboot",
            "-kernel", "{kernel}"]


def qemu(tree):
    """QEMU's microvm with the best CPU model that this KVM takes."""
    if not shutil.which("qemu-system-x86_64"):
        print("QEMU is not installed: no comparison with it "
              "(package qemu-system-x86)")
        return None
    kernel = tree.guest("mark-pvh")
    for cpu in ("host", "qemu64"):
        peer = Peer(f"QEMU microvm ({cpu})", qemu_argv(cpu), pvh=True)
        run = subprocess.run([tree.stopwatch, "-t", "10",
                              *peer.command(kernel, 128)],
                             capture_output=True, text=True, check=False)
        figures = run.stdout.split()
        if run.returncode == 0 and int(figures[0]) >= 0:
            return peer
    print("QEMU runs the guest with no CPU model that was tried")
    return None


def field(tree, memory):
    """All that run in the start comparison, volt-vmm first."""
    peers = [
        tree.volt(memory),
        Peer("bare probe", [str(tree.probe), "{kernel}", "{memory}"]),
        qemu(tree),
        Peer("/bin/true", ["/bin/true"], has_mark=False),
    ]
    return [p for p in peers if p]
