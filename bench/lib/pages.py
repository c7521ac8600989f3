# SPDX-License-Identifier: Apache-2.0
"""A Linux boot under each of the host's policies for huge pages.

/sys/kernel/mm/transparent_hugepage/enabled is the whole host's, so this part
always runs in the lab, where it is nobody else's. The rows are volt-vmm, the
same when its configuration asks for huge pages, and the user's peers.
"""

import json
import os
import tempfile
from pathlib import Path

from . import host, linux, report
from .part import Table, ms
from .peers import Peer

NAME = "pages"
POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")
POLICIES = ("never", "madvise", "always")


def asking(ctx, folder, kernel, initrd):
    """volt-vmm with huge_pages: Transparent, which only a config file has."""
    for how in linux.HOW:
        (Path(folder) / f"{how}.json").write_text(json.dumps({
            "boot-source": {"kernel_image_path": str(kernel),
                            "initrd_path": str(initrd),
                            "boot_args": linux.cmdline(ctx, how)},
            "machine-config": {"vcpu_count": 1, "mem_size_mib": ctx.memory,
                               "huge_pages": "Transparent"}, "drives": []}))
    return Peer("volt-vmm, Transparent", [
        str(ctx.tree.vmm), "--no-api", "--config-file", f"{folder}/{{how}}.json"])


def under(ctx, policy, kernels, initrd):
    POLICY.write_text(policy)
    for name, kernel in kernels.items():
        with tempfile.TemporaryDirectory(dir=ctx.tree.build) as folder:
            vmms = [linux.volt(ctx.tree),
                    asking(ctx, folder, kernel, initrd), *linux.peers(ctx)]
            for row in linux.boot(ctx, vmms, name, kernel, initrd):
                yield {"policy": policy, **row}


def measure(ctx):
    kernels, initrd = linux.wanted(ctx)
    if not kernels or not initrd:
        print("no guest kernel or initramfs: no figures of huge pages")
        return None
    if not os.environ.get("VOLT_IN_LAB"):
        return linux.in_lab(ctx, NAME, kernels, initrd)
    before = POLICY.read_text().split("[")[1].split("]")[0]
    try:
        rows = [row for policy in POLICIES
                for row in under(ctx, policy, kernels, initrd)]
    finally:
        POLICY.write_text(before)
    return {"host": host.describe(), "rows": rows}


def show(found):
    rows = []
    for row in found["rows"]:
        counts = row["counts"] or {}
        rows.append([row["policy"], row["name"], row["kernel"],
                     ms(row["init_us"], "median"),
                     *(str(counts.get(name, "-")) for name in
                       ("exits", "pf_fixed", "pages_2m", "rss_kib",
                        "private_kib"))])
    return [Table(["huge pages by the host's policy", "VMM", "kernel",
                   "init, ms", "exits", "faults", "2 MiB pages", "RSS, KiB",
                   "private, KiB"], rows),
            "these figures' " + report.host_line(found["host"])]
