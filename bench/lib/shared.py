# SPDX-License-Identifier: Apache-2.0
"""Ten VMs of one kernel: one copy of its pages in the page cache."""

import contextlib
import os
import tempfile
from pathlib import Path

from . import elf
from .part import Table
from .proc import figures, running

NAME = "shared"
COUNT = 10
PAYLOAD_MIB = 32
PAYLOAD_GPA = 16 << 20


def options(arg):
    arg.add_argument("--vmlinux", type=Path,
                     help="kernel of the ten VMs (default: a made-up one)")


def make_kernel(tree, path):
    """The ticker guest with a large segment of data behind it.

    Stands for a kernel where none is at hand: the guest reads all of the
    segment, so its pages are resident in each VM.
    """
    path.write_bytes(elf.with_segment(
        tree.guest("ticker").read_bytes(), PAYLOAD_GPA,
        os.urandom(4096) * (PAYLOAD_MIB << 8)))


def measure(ctx):
    """All of them at once: what is shared, what is private."""
    tree, vmlinux = ctx.tree, ctx.vmlinux
    with tempfile.TemporaryDirectory(dir=tree.build) as folder:
        if vmlinux:
            kernel, text, cmdline = vmlinux, "Linux version", "console=ttyS0"
        else:
            kernel, text = Path(folder) / "kernel.elf", "tick 1"
            make_kernel(tree, kernel)
            cmdline = f"read-at={PAYLOAD_GPA >> 20} read={PAYLOAD_MIB}"
        argv = tree.volt(128, cmdline).command(kernel, 128)
        with contextlib.ExitStack() as stack:
            vms = [stack.enter_context(running(argv, text))
                   for _ in range(COUNT)]
            each = [figures(vm.pid) for vm in vms]
    return {"vms": COUNT, "kernel": vmlinux.name if vmlinux else "made up",
            "kernel_kib": (PAYLOAD_MIB << 10 if not vmlinux
                           else vmlinux.stat().st_size >> 10),
            "sum_rss_kib": sum(f["rss_kib"] for f in each),
            "sum_pss_kib": sum(f["pss_kib"] for f in each),
            "sum_private_kib": sum(f["private_kib"] for f in each),
            "each": each}


def show(found):
    count, kernel = found["vms"], found["kernel_kib"]
    rows = [[f"{count} VMs of one kernel ({found['kernel']})", str(kernel),
             str(found["sum_rss_kib"] // count),
             str(found["sum_private_kib"] // count),
             str(found["sum_pss_kib"])]]
    return [Table(["KiB", "kernel", "RSS of each", "private of each",
                   "all together (PSS)"], rows)]


def shared_part(found):
    """Of what all map, the part that is there once."""
    return (found["sum_pss_kib"] - found["sum_private_kib"]) / found[
        "kernel_kib"]


TARGETS = (
    ("ten VMs: shared pages / kernel's size", 1.1, "x", shared_part),
)
