# SPDX-License-Identifier: Apache-2.0
"""Memory of one VMM with an idle guest: resident and private."""

import tempfile

from . import peers
from .part import Table, disk_and_net, has_taps, with_tap
from .proc import figures, running

NAME = "memory"


def beside_another(argv, text):
    """Figures of a VM while a second one of the same program runs.

    The pages of the program's file are private to it while it is alone on the
    host; what one more VM costs shows only beside another.
    """
    with running(argv, text), running(argv, text) as vmm:
        return figures(vmm.pid)


def devices(ctx, argv):
    """Figures with a block and a network device; None without taps."""
    if not has_taps():
        return None
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as folder:
        return beside_another(with_tap(argv + disk_and_net(folder)), "tick 3")


def measure(ctx):
    """Each VMM with an idle guest that ticks."""
    tree, memory = ctx.tree, ctx.memory
    kernel = tree.guest("ticker")
    argv = tree.volt(memory).command(kernel, memory)
    found = {"volt-vmm": beside_another(argv, "tick 3")}
    more = devices(ctx, argv)
    if more:
        found["volt-vmm, disk and net"] = more
    argv = [str(tree.probe), str(kernel), str(memory)]
    found["bare probe"] = beside_another(argv, "tick 3")
    qemu = peers.qemu(tree)
    if qemu:
        argv = qemu.command(tree.guest("ticker-pvh"), memory)
        found[qemu.name] = beside_another(argv, "tick 3")
    return found


def show(found):
    rows = [[name, str(f["rss_kib"]), str(f["peak_kib"]),
             str(f["private_kib"]), str(f["vmm_rss_kib"]),
             str(f["vmm_private_kib"]), str(f["guest_rss_kib"])]
            for name, f in found.items()]
    return [Table(["memory, KiB", "RSS", "peak", "private", "VMM's RSS",
                   "VMM's private", "guest's RSS"], rows)]


TARGETS = (
    ("private memory", 1024, "KiB", lambda f: f["volt-vmm"]["private_kib"]),
    ("resident memory (peak)", 2560, "KiB",
     lambda f: f["volt-vmm"]["peak_kib"]),
    ("private memory, disk and net", 1280, "KiB",
     lambda f: f.get("volt-vmm, disk and net", {}).get("private_kib")),
)
