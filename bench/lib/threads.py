# SPDX-License-Identifier: Apache-2.0
"""A Linux guest whose threads read a disk, one request in flight each.

What the part exits shows of it: KVM's counters, the disk's interrupts as the
guest counts them, and the CPU time of the whole VMM, guest included. All are
those of a run of fio less those of a shorter one before it, in one boot, so
that neither the boot nor fio's start counts.
"""

import re
import subprocess
import sys
import threading

from . import block, kvmstat, lab, linux

JOBS = 4
# Requests of each thread in the two runs.
RUNS = (50, 1050)
CMDLINE = (linux.CMDLINE + f" volt.run=reads volt.jobs={JOBS} volt.reads="
           + ",".join(map(str, RUNS)))
MARK = re.compile(rb"VOLT-READS (\d+) (\d+)")
MEMORY = "256"
TIMEOUT = 240


def made():
    """The guest's kernel and initramfs, or None twice."""
    kernel = lab.made_by("tests/kernel/stock", "--print", "vmlinux")
    return kernel, kernel and lab.made_by("tests/initramfs/build", "--modules",
                                          "--fio")


def volt(tree, disk, engine):
    return [str(tree.vmm), "--no-api", "--kernel", "{kernel}", "--initrd",
            "{initrd}", "--memory", MEMORY, "--cmdline", CMDLINE, "--disk",
            f"{disk},engine={engine}"]


def qemu(disk, aio):
    machine = linux.qemu(
        "microvm,pit=off,pic=off,rtc=off,acpi=on",
        "-global", "virtio-mmio.force-legacy=false", "-drive",
        f"if=none,id=d,file={disk},format=raw,cache=writeback,aio={aio}",
        "-device", "virtio-blk-device,drive=d")
    return [a.replace("{memory}", MEMORY).replace("{cmdline}", CMDLINE)
            for a in machine.argv]


def commands(ctx, disk, kernel, initrd):
    """By the name of the VMM and its engine."""
    rows = {"volt-vmm, Sync": volt(ctx.tree, disk, "sync"),
            "volt-vmm, Async": volt(ctx.tree, disk, "async"),
            "QEMU microvm, threads": qemu(disk, "threads"),
            "QEMU microvm, io_uring": qemu(disk, "io_uring")}
    return {name: [a.replace("{kernel}", str(kernel))
                   .replace("{initrd}", str(initrd)) for a in argv]
            for name, argv in rows.items()}


def look(vmm, vm, mark):
    """All that is counted, as it stands at a mark of the guest's."""
    counts = vm.all_counts()
    return counts and counts | {"requests": int(mark.group(1)),
                                "disk_irqs": int(mark.group(2)),
                                "cpu_us": block.cpu_seconds(vmm.pid) * 1e6}


def looks(argv, folder):
    """At each mark, or None where something is missing."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as vmm:
        vm = kvmstat.Vm(vmm, folder)
        guard = threading.Timer(TIMEOUT, vmm.kill)
        guard.start()
        found = []
        for line in vmm.stdout:
            mark = MARK.search(line)
            if mark:
                found.append(look(vmm, vm, mark))
        guard.cancel()
        vm.close()
    return found if len(found) == 1 + len(RUNS) and None not in found else None


def each(argv, folder):
    """By counter, for one request; None: the guest did not get so far."""
    found = looks(argv, folder)
    if not found:
        print(f"{argv[0]}: the guest did not read", file=sys.stderr)
        return None
    start, few, many = found
    more = {key: many[key] - 2 * few[key] + start[key] for key in start}
    return {key: value / more["requests"] for key, value in more.items()}


def rows(ctx, folder, disk, kernel, initrd):
    for name, argv in commands(ctx, disk, kernel, initrd).items():
        yield f"{name}: Linux, {JOBS} threads read", each(argv, folder)
