# SPDX-License-Identifier: Apache-2.0
"""Exits for each request and each frame, those that KVM handles included.

The guests and commands are those of the block and the network part, and a
Linux guest whose threads read (threads.py). What a longer run of the same load
has more, over how much longer it is: the start does not count. KVM counts;
where its counters cannot be read, or it is of the software-assisted kind, this
part runs in the lab. The disk is in memory, so this is the cost of the way
there; of a file of the host's the lab caches nothing.

"disk" are the interrupts that the guest's Linux counts for its disk; those that
KVM injects are its timer's, too. CPU time is that of the whole VMM, guest
included.
"""

import os
import subprocess
import tempfile
import threading
from pathlib import Path

from . import block, host, kvmstat, lab, network, report, threads
from .part import Table

NAME = "exits"
COUNTS = (200, 1200)
LOADS = (("read", 1), ("read", 4), ("read", 32))
COLUMNS = {"exits": "exits",
           **{key: name for name, key in kvmstat.EXITS.items()
              if name != "port"},
           kvmstat.INJECTED: "injected", "disk_irqs": "disk",
           "cpu_us": "CPU us"}
KINDS = "all", "linux", "bare"
TIMEOUT = 300


def options(arg):
    arg.add_argument("--exits-guests", choices=KINDS, default="all",
                     help="which guests: Linux, the bare-metal ones, or both")
    arg.add_argument("--exits-disk", type=Path, default="/dev/shm",
                     help="where the disk is (default: in memory); in the lab "
                          "a folder of the host's is a slow disk")
    arg.add_argument("--exits-kernel", type=Path, help="kernel of the Linux "
                     "guest")
    arg.add_argument("--exits-initrd", type=Path, help="its initramfs")


def run(argv, folder):
    """The counters of a whole run, or None."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as vmm:
        vm = kvmstat.Vm(vmm, folder)
        guard = threading.Timer(TIMEOUT, vmm.kill)
        guard.start()
        _, status, used = os.wait4(vmm.pid, 0)
        vmm.returncode = status
        guard.cancel()
        found = vm.all_counts()
        vm.close()
    if status != 0 or not found:
        return None
    return found | {"cpu_us": (used.ru_utime + used.ru_stime) * 1e6}


def each(command, folder):
    """By counter, for one request or frame; None: not to be had."""
    runs = [run(command(number), folder) for number in COUNTS]
    if None in runs:
        return None
    few, many = runs
    return {key: (many[key] - few[key]) / (COUNTS[1] - COUNTS[0])
            for key in few}


def block_rows(ctx, folder, disk):
    for name, command in block.field(ctx.tree, disk).items():
        for op, depth in LOADS:
            yield f"{name}: {op} x{depth}", each(
                lambda n, c=command, o=op, d=depth: c(block.words(o, d, n)),
                folder)


def network_rows(ctx, folder):
    with network.Namespace() as space:
        if not space.works or not os.access("/dev/net/tun", os.W_OK):
            return
        commands = network.commands(ctx.tree)
        if os.access("/dev/vhost-net", os.W_OK):
            commands["volt-vmm, vhost"] = lambda words: network.volt(
                ctx.tree, words, ",vhost")
        for name, command in commands.items():
            yield f"{name}: send 1514 B", each(
                lambda n, c=command: [
                    *space.join, *c(f"mode=send size=1514 count={n}")], folder)


def disk_rows(ctx, folder, kernel, initrd):
    with tempfile.NamedTemporaryFile(dir=ctx.exits_disk) as disk:
        disk.write(bytes(block.DISK_MIB << 20))
        disk.flush()
        if ctx.exits_guests != "linux":
            yield from block_rows(ctx, folder, disk.name)
        if ctx.exits_guests != "bare" and kernel and initrd:
            yield from threads.rows(ctx, folder, disk.name, kernel, initrd)


def measure(ctx):
    kernel, initrd = ctx.exits_kernel, ctx.exits_initrd
    if not kernel and ctx.exits_guests != "bare":
        kernel, initrd = threads.made()
    folder = kvmstat.mount() if host.runs_linux() else None
    if not folder:
        if os.environ.get("VOLT_IN_LAB"):
            return None
        linux = ("--exits-kernel", kernel, "--exits-initrd", initrd)
        return lab.measure(ctx, NAME, "--exits-guests", ctx.exits_guests,
                           "--exits-disk", ctx.exits_disk, *(linux if kernel and initrd else ()))
    found = list(disk_rows(ctx, folder, kernel, initrd))
    if ctx.exits_guests != "linux":
        found += network_rows(ctx, folder)
    rows = [{"name": name, **one} for name, one in found if one]
    return {"host": host.describe(), "rows": rows} if rows else None


def cells(row):
    for key in COLUMNS:
        digits = 0 if key == "cpu_us" else 2
        yield f"{row[key]:.{digits}f}" if key in row else "-"


def show(found):
    return [Table(["for each request or frame", *COLUMNS.values()],
                  [[row["name"], *cells(row)] for row in found["rows"]]),
            "exits' " + report.host_line(found["host"])]
