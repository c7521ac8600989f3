# SPDX-License-Identifier: Apache-2.0
"""Exits for each request and each frame, those that KVM handles included.

The guests and commands are those of the block and the network part. What a
longer run of the same load has more, over how much longer it is: the start
does not count. KVM counts; where its counters cannot be read, or it is of the
software-assisted kind, this part runs in the lab.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from . import block, host, kvmstat, lab, network, report
from .part import Table

NAME = "exits"
COUNTS = (200, 1200)
WHAT = ("exits", "irq_injections")
TIMEOUT = 300


def run(argv, folder):
    """The counters of a whole run, or None."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as vmm:
        vm = kvmstat.Vm(vmm, folder)
        try:
            vmm.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            vmm.kill()
            return None
        found = [vm.count(name) for name in WHAT]
        vm.close()
    return None if None in found else found


def each(command, folder):
    """By counter, for one request or frame; None: not to be had."""
    runs = [run(command(number), folder) for number in COUNTS]
    if None in runs:
        return None
    return {name: (many - few) / (COUNTS[1] - COUNTS[0])
            for name, few, many in zip(WHAT, *runs)}


def block_rows(ctx, folder):
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as place:
        disk = Path(place) / "disk.img"
        disk.write_bytes(bytes(block.DISK_MIB << 20))
        for name, command in block.field(ctx.tree, disk).items():
            for op, depth in block.LOADS[:2]:
                yield f"{name}: {op} x{depth}", each(
                    lambda n, c=command, o=op, d=depth:
                    c(block.words(o, d, n)), folder)


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


def measure(ctx):
    folder = kvmstat.mount() if host.runs_linux() else None
    if not folder:
        return None if os.environ.get("VOLT_IN_LAB") else lab.measure(ctx, NAME)
    rows = [{"name": name, **found} for rows in (block_rows, network_rows)
            for name, found in rows(ctx, folder) if found]
    return {"host": host.describe(), "rows": rows} if rows else None


def show(found):
    return [Table(["for each request or frame", "exits", "interrupts"],
                  [[row["name"]] + [f"{row[name]:.2f}" for name in WHAT]
                   for row in found["rows"]]),
            "exits' " + report.host_line(found["host"])]
