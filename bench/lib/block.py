# SPDX-License-Identifier: Apache-2.0
"""4 KiB requests on one file: volt-vmm's engines against QEMU's microvm.

The guest is ours (tests/guest/blkload.c), the same ELF on every VMM: it keeps
a number of requests in flight at random places and sleeps until the interrupt.
CPU time is the whole process's, guest included, so what a VMM makes its guest
do counts as well. The file is in the page cache: this is the cost of the way
there, not of a disk. On a software-assisted host the guest's driver runs in
KVM's emulator and is most of both figures: compare the rows, nothing else.

The last row is no block device: a guest (tests/guest/pmem.c) that has the file
as memory copies as many bytes from or to it by itself, so many times that it
takes a while; how many are in flight makes no difference. Where KVM emulates
what a guest does, this is the emulator's speed, and no figure of pmem's.

Exits are those to user space; what KVM handles itself is in nobody's count.
"""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .part import Table

NAME = "block"
DISK_MIB = 64
LOADS = (("read", 1), ("read", 32), ("write", 1), ("write", 32))
COUNTED = ("read", 32)
TRACED = (200, 1200)
TIMEOUT = 120
PMEM = "pmem of volt-vmm"
PMEM_LEAST = 0.3  # seconds of a run
PMEM_MOST = 1 << 22


def options(arg):
    arg.add_argument("--block-requests", type=int, default=5000,
                     help="requests of each run of a block load")
    arg.add_argument("--block-rounds", type=int, default=5,
                     help="runs of each block load; the median counts")


def words(op, depth, requests):
    return f"halt op={op} depth={depth} requests={requests}"


def volt(tree, disk, engine):
    return lambda load: [
        str(tree.vmm), "--no-api", "--kernel", str(tree.guest("blkload-pvh")),
        "--cmdline", load, "--disk", f"{disk},engine={engine}"]


def pmem(tree, disk):
    return lambda load: [
        str(tree.vmm), "--no-api", "--kernel", str(tree.guest("pmem")),
        "--cmdline", f"{load} file={DISK_MIB << 20} size={DISK_MIB << 20}",
        "--pmem", str(disk)]


def qemu(tree, disk, aio):
    return lambda load: [
        "qemu-system-x86_64", "-M", "microvm,pit=off,pic=off,rtc=off,"
        "ioapic2=off", "-accel", "kvm", "-cpu", "qemu64", "-m", "128",
        "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
        "-global", "virtio-mmio.force-legacy=false",
        "-drive", f"if=none,id=d,file={disk},format=raw,cache=writeback,"
        f"aio={aio}", "-device", "virtio-blk-device,drive=d",
        "-kernel", str(tree.guest("blkload-pvh")), "-append", load]


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(x) for x in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def run(argv, requests):
    """Requests per second and per CPU-second of one load; None: it failed."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as vmm:
        start = end = None
        before = 0
        guard = threading.Timer(TIMEOUT, vmm.kill)
        guard.start()
        for line in vmm.stdout:
            if line.startswith(b"ok start"):
                start, before = time.monotonic(), cpu_seconds(vmm.pid)
            if line.startswith(b"load %d 0 " % requests):
                end = time.monotonic()
                break
        vmm.stdout.read()
        _, status, used = os.wait4(vmm.pid, 0)
        vmm.returncode = status
        guard.cancel()
    if start is None or end is None or status != 0:
        return None
    cpu = used.ru_utime + used.ru_stime - before
    return {"iops": requests / (end - start), "iops_per_cpu_s": requests / cpu}


def calls(argv):
    """System calls by name, all threads, under strace."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["strace", "-f", "-qq", "-e", "signal=none", "-o",
                        out.name, *argv], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=TIMEOUT, check=False)
        text = Path(out.name).read_text(errors="replace")
    exits = len(re.findall(r"ioctl\(\d+, KVM_RUN", text))
    return exits, len(re.findall(r"^\d+ +\w+\(", text, re.M)) - exits


def counts(command):
    """Exits and other system calls for each request beyond the first ones."""
    few, many = (calls(command(words(*COUNTED, n))) for n in TRACED)
    return {key: (b - a) / (TRACED[1] - TRACED[0])
            for key, a, b in zip(("exits", "syscalls"), few, many)}


def field(tree, disk):
    rows = {"volt-vmm, Sync": volt(tree, disk, "sync"),
            "volt-vmm, Async": volt(tree, disk, "async")}
    if shutil.which("qemu-system-x86_64"):
        rows["QEMU microvm, threads"] = qemu(tree, disk, "threads")
        rows["QEMU microvm, io_uring"] = qemu(tree, disk, "io_uring")
    rows[PMEM] = pmem(tree, disk)
    return rows


def many(name, command, load, requests):
    """Requests of a run: of memory as many as take long enough."""
    if name != PMEM:
        return requests
    requests = 100
    while requests < PMEM_MOST:
        found = run(command(words(*load, requests)), requests)
        if not found or requests / found["iops"] > PMEM_LEAST:
            break
        requests *= 4
    return requests


def median(runs, key):
    return statistics.median(x[key] for x in runs)


def summary(runs):
    """Of the runs of one load; None when one of them failed."""
    if None in runs:
        return None
    return {key: median(runs, key) for key in runs[0]}


def measure(ctx):
    """The rows take turns, so that a busy moment meets all of them."""
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as folder:
        disk = Path(folder) / "disk.img"
        disk.write_bytes(os.urandom(1 << 20) * DISK_MIB)
        rows = field(ctx.tree, disk)
        runs = {(name, load): [] for name in rows for load in LOADS}
        nr = {(name, load): many(name, rows[name], load, ctx.block_requests)
              for name, load in runs}
        for _ in range(ctx.block_rounds):
            for key in runs:
                runs[key].append(run(rows[key[0]](words(*key[1], nr[key])),
                                     nr[key]))
        found = [{"name": name,
                  "loads": {f"{op} x{depth}": summary(runs[name, (op, depth)])
                            for op, depth in LOADS}} for name in rows]
        if shutil.which("strace"):
            for row in found:
                row.update(counts(rows[row["name"]]))
    return found


def show(found):
    loads = list(found[0]["loads"])
    tables = []
    for key, what in (("iops", "4 KiB requests/s"),
                      ("iops_per_cpu_s", "4 KiB requests per CPU-s")):
        tables.append(Table([what] + loads, [
            [row["name"]] + [f"{row['loads'][load][key]:,.0f}"
                             if row["loads"][load] else "failed"
                             for load in loads] for row in found]))
    if "exits" in found[0]:
        tables.append(Table(
            [f"per request ({COUNTED[0]} x{COUNTED[1]})", "exits",
             "other system calls"],
            [[row["name"], f"{row['exits']:.2f}", f"{row['syscalls']:.2f}"]
             for row in found]))
    return tables


def against(found, key):
    """QEMU's better way over volt-vmm's better engine, the worst load."""
    ratios = []
    for load in found[0]["loads"]:
        best = [max((row["loads"][load][key] for row in found
                     if row["name"].startswith(who) and row["loads"][load]),
                    default=None) for who in ("QEMU", "volt")]
        if None in best:
            return None
        ratios.append(best[0] / best[1])
    return max(ratios)


TARGETS = (
    ("block requests per CPU-s, QEMU's over ours", 1.0, "x",
     lambda found: against(found, "iops_per_cpu_s")),
)
