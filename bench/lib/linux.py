# SPDX-License-Identifier: Apache-2.0
"""A Linux guest on its way to /init under each VMM: time, exits, pages.

What the parts boot and pages share. Everything comes as paths, so that
bench/run can start itself in the lab for one part alone when the host's KVM
cannot run Linux.
"""

import argparse
import sys
from pathlib import Path

from . import kvmstat, lab, stats
from .part import once
from .peers import Peer
from .proc import figures, running

MARK = "VOLT-INIT"
CMDLINE = "console=ttyS0 reboot=k panic=1 quiet volt.quiet"
# How the guest goes on at the mark: it ends, or it stays, so that what KVM
# counts is the way there. In the words of both inits.
HOW = {"run": " volt.end=reboot", "stay": " volt.end=hang -- stay"}


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
    arg.add_argument("--boot-words", default="",
                     help="more of its command line, such as acpi=off")
    arg.add_argument("--slim", action="store_true",
                     help="also boot the slim kernel; builds it once")


def guests(with_slim, *initrd_options):
    """Kernels by name, and the initramfs."""
    kernels = {"stock": lab.made_by("tests/kernel/stock", "--print", "vmlinux")}
    if with_slim:
        kernels["slim"] = lab.made_by("tests/kernel/slim")
    initrd = lab.made_by("tests/initramfs/build", *initrd_options)
    return {name: path for name, path in kernels.items() if path}, initrd


def wanted(ctx, *initrd_options):
    """The kernels and the initramfs that were asked for, else the usual."""
    if ctx.boot_kernel:
        return dict(ctx.boot_kernel), ctx.boot_initrd or lab.made_by(
            "tests/initramfs/build", *initrd_options)
    return guests(ctx.slim, *initrd_options)


def qemu(machine, *more):
    return Peer(f"QEMU {machine.split(',')[0]}", [
        "qemu-system-x86_64", "-M", machine, "-accel", "kvm", "-cpu", "host",
        "-m", "{memory}", "-nodefaults", "-display", "none", "-serial",
        "stdio", "-no-reboot", "-kernel", "{kernel}", "-initrd", "{initrd}",
        "-append", "{cmdline}", *more])


def volt(tree):
    return Peer("volt-vmm", [
        str(tree.vmm), "--no-api", "--kernel", "{kernel}", "--initrd",
        "{initrd}", "--memory", "{memory}", "--cpus", "1", "--cmdline",
        "{cmdline}"])


def peers(ctx):
    """The user's own that boot Linux."""
    return [p for p in ctx.peer if p.boots_linux()]


def field(ctx):
    """All that boot Linux, volt-vmm first, the user's peers last."""
    return [volt(ctx.tree), qemu("microvm,pit=off,pic=off,rtc=off,acpi=on"),
            qemu("q35"), *peers(ctx)]


def cmdline(ctx, how):
    return " ".join(filter(None, (CMDLINE, ctx.boot_words))) + HOW[how]


def command(ctx, peer, kernel, initrd, how):
    return [a.replace("{initrd}", str(initrd)).replace("{how}", how)
            .replace("{cmdline}", cmdline(ctx, how))
            for a in peer.command(kernel, ctx.memory)]


def counts(argv, folder):
    """Of one boot: KVM's counters at /init, and the VMM's memory; or None."""
    try:
        with running(argv, MARK, 120) as vmm:
            vm = kvmstat.Vm(vmm, folder)
            found = vm.all_counts()
            vm.close()
            return found and found | figures(vmm.pid)
    except RuntimeError as error:
        print(f"no counters: {error}", file=sys.stderr)
        return None


def boot(ctx, vmms, name, kernel, initrd):
    """A row for each of @vmms; one that fails at first is left out."""
    times = {}
    for number in range(-1, ctx.boot_runs):
        for peer in vmms:
            if number >= 0 and peer.name not in times:
                continue
            mark, end, status, text = once(
                ctx.tree, ["-m", MARK, "-t", "120",
                           *command(ctx, peer, kernel, initrd, "run")])
            if mark is None:
                print(f"{peer.name} does not boot the {name} kernel (status "
                      f"{status}) {text.strip()[-200:]}", file=sys.stderr)
                times.pop(peer.name, None)
                continue
            found = times.setdefault(peer.name, ([], []))
            if number >= 0:
                found[0].append(mark)
                found[1].append(end)
    folder = kvmstat.mount()
    return [{"name": peer.name, "kernel": name,
             "init_us": stats.summary(times[peer.name][0]),
             "exit_us": stats.summary(times[peer.name][1]),
             "counts": folder and counts(
                 command(ctx, peer, kernel, initrd, "stay"), folder)}
            for peer in vmms if peer.name in times]


def in_lab(ctx, part, kernels, initrd, *more):
    """A part of bench/run that boots Linux, in the emulated host."""
    return lab.measure(ctx, part, "--boot-initrd", initrd,
                       f"--boot-runs={ctx.boot_runs}",
                       f"--boot-words={ctx.boot_words}",
                       *(f"--boot-kernel={n}={p}" for n, p in kernels.items()),
                       *(f"--peer={p}" for p in peers(ctx)),
                       *more)
