# SPDX-License-Identifier: Apache-2.0
"""Process start to a Linux guest's init, where KVM runs Linux.

Everything it needs comes as paths, so that bench/run can start itself in the
lab for this part alone when the host's KVM cannot run Linux.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from . import measure, stats
from .peers import Peer

ROOT = Path(__file__).resolve().parents[2]
MARK = "VOLT-INIT"
CMDLINE = ("console=ttyS0 quiet reboot=k panic=-1 i8042.noaux i8042.nomux "
           "i8042.dumbkbd volt.quiet")


def made_by(*command):
    """The last line that a script of the tree prints: a path."""
    run = subprocess.run([ROOT / command[0], *command[1:]], text=True,
                         stdout=subprocess.PIPE, check=False)
    return Path(run.stdout.split()[-1]) if run.returncode == 0 else None


def guests(with_slim):
    """Kernels by name, and the initramfs."""
    kernels = {"stock": made_by("tools/kernel/fetch", "--print", "vmlinux")}
    if with_slim:
        kernels["slim"] = made_by("tools/kernel/build-slim", "--print",
                                  "vmlinux")
    initrd = made_by("tests/initramfs/build")
    return {name: path for name, path in kernels.items() if path}, initrd


def qemu(machine, *more):
    return Peer(f"QEMU {machine.split(',')[0]}", [
        "qemu-system-x86_64", "-M", machine, "-accel", "kvm", "-cpu", "host",
        "-m", "{memory}", "-nodefaults", "-display", "none", "-serial",
        "stdio", "-no-reboot", "-kernel", "{kernel}", "-initrd", "{initrd}",
        "-append", "{cmdline}", *more])


def field(tree, extra):
    volt = Peer("volt-vmm", [
        str(tree.vmm), "--no-api", "--kernel", "{kernel}", "--initrd",
        "{initrd}", "--memory", "{memory}", "--cpus", "1", "--cmdline",
        "{cmdline}"])
    return [volt, qemu("microvm,pit=off,pic=off,rtc=off,acpi=on"),
            qemu("q35"), *extra]


def run_one(tree, peer, kernel, initrd, memory):
    argv = [a.replace("{initrd}", str(initrd)).replace("{cmdline}", CMDLINE)
            for a in peer.command(kernel, memory)]
    return measure.once(tree, ["-m", MARK, "-t", "120", *argv])


def boot(tree, kernels, initrd, runs, memory, extra=()):
    """Each kernel under each VMM; a VMM that fails at first is left out."""
    rows = []
    for kernel_name, kernel in kernels.items():
        times = {}
        for number in range(-1, runs):
            for peer in field(tree, extra):
                if number >= 0 and peer.name not in times:
                    continue
                mark, end, status, text = run_one(tree, peer, kernel, initrd,
                                                  memory)
                if mark is None:
                    print(f"{peer.name} does not boot the {kernel_name} "
                          f"kernel (status {status}) {text.strip()[-200:]}",
                          file=sys.stderr)
                    times.pop(peer.name, None)
                    continue
                found = times.setdefault(peer.name, ([], []))
                if number >= 0:
                    found[0].append(mark)
                    found[1].append(end)
        rows += [{"name": name, "kernel": kernel_name,
                  "init_us": stats.summary(found[0]),
                  "exit_us": stats.summary(found[1])}
                 for name, found in times.items()]
    return rows


def in_lab(build, kernels, initrd, runs):
    """This part of bench/run, in the emulated host; its rows."""
    lab = ROOT / "tests/lab/run"
    with tempfile.TemporaryDirectory(dir=build) as folder:
        kernel_args = [f"--boot-kernel={n}={p}" for n, p in kernels.items()]
        run = subprocess.run(
            [lab, "/usr/bin/python3", ROOT / "bench/run", "--build", build,
             "--only", "boot", "--boot-runs", str(runs), "--results", folder,
             "--boot-initrd", initrd, *kernel_args], check=False)
        path = Path(folder) / "results.json"
        if run.returncode or not path.exists():
            print("the lab did not run the boot part", file=sys.stderr)
            return None
        found = json.loads(path.read_text())
        return {"host": found["host"], "rows": found["boot"]["rows"]}
