# SPDX-License-Identifier: Apache-2.0
"""Process start to a Linux guest's init, where KVM runs Linux.

Everything it needs comes as paths, so that bench/run can start itself in the
lab for this part alone when the host's KVM cannot run Linux.
"""

import argparse
import sys
from pathlib import Path

from . import host, lab, report, stats, svg
from .part import Table, find, ms, once, ratio
from .peers import Peer

NAME = "boot"
MARK = "VOLT-INIT"
CMDLINE = ("console=ttyS0 quiet reboot=k panic=-1 i8042.noaux i8042.nomux "
           "i8042.dumbkbd volt.quiet")


def parse_kernel(text):
    name, sep, path = text.partition("=")
    if not sep:
        raise argparse.ArgumentTypeError("a kernel is NAME=PATH")
    return name, Path(path)


def options(arg):
    arg.add_argument("--boot-runs", type=int, default=5,
                     help="runs of each Linux boot")
    arg.add_argument("--boot-kernel", type=parse_kernel, action="append",
                     default=[], help="NAME=PATH (default: the stock kernel)")
    arg.add_argument("--boot-initrd", type=Path, help="its initramfs")
    arg.add_argument("--slim", action="store_true",
                     help="also boot the slim kernel; builds it once")


def guests(with_slim, *initrd_options):
    """Kernels by name, and the initramfs."""
    kernels = {"stock": lab.made_by("tools/kernel/fetch", "--print", "vmlinux")}
    if with_slim:
        kernels["slim"] = lab.made_by("tools/kernel/build-slim", "--print",
                                  "vmlinux")
    initrd = lab.made_by("tests/initramfs/build", *initrd_options)
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
    return once(tree, ["-m", MARK, "-t", "120", *argv])


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


def in_lab(ctx, part, kernels, initrd, *more):
    """A part of bench/run that boots Linux, in the emulated host."""
    return lab.measure(ctx, part, "--boot-initrd", initrd,
                       *(f"--boot-kernel={n}={p}" for n, p in kernels.items()),
                       *more)


def measure(ctx):
    """Here when KVM runs Linux, else in the lab."""
    kernels, initrd = dict(ctx.boot_kernel), ctx.boot_initrd
    if not kernels:
        kernels, initrd = guests(ctx.slim)
    if not kernels or not initrd:
        print("no guest kernel or initramfs: no boot figures")
        return None
    if not host.runs_linux():
        return in_lab(ctx, NAME, kernels, initrd,
                      f"--boot-runs={ctx.boot_runs}")
    return {"host": host.describe(), "runs": ctx.boot_runs,
            "rows": boot(ctx.tree, kernels, initrd, ctx.boot_runs,
                         ctx.memory)}


def show(found):
    rows = []
    for row in found["rows"]:
        same = [r for r in found["rows"] if r["kernel"] == row["kernel"]]
        cells = [row["name"], row["kernel"], ms(row["init_us"], "median"),
                 ms(row["init_us"], "p95"), ms(row["exit_us"], "median")]
        for prefix in ("QEMU microvm", "QEMU q35"):
            value = ratio(row, find(same, prefix), "init_us")
            cells.append(f"{value:.3f}" if value else "-")
        rows.append(cells)
    return [Table(["start to a Linux guest's init, ms", "kernel", "init",
                   "p95", "exit", "/ microvm", "/ q35"], rows),
            "boot figures' " + report.host_line(found["host"])]


def charts(found, results):
    where = {**results, "host": found["host"]}
    return {"boot.svg": svg.bars(
        "Process start to a Linux guest's /init", where,
        f"median of {found['runs']} interleaved runs, line to p95; guest of "
        f"{results['memory_mib']} MiB, 1 CPU, Debian 12's stock cloud kernel "
        "and a slim one",
        [(f"{r['name']}, {r['kernel']}", [r["init_us"]])
         for r in found["rows"] if r["init_us"]], ["to /init"])}
