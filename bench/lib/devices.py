# SPDX-License-Identifier: Apache-2.0
"""What devices cost a Linux guest on its way to /init: with and without.

One of each kind (balloon, disk, card, vsock, entropy) against none at all, in
rounds that begin with another one each time, so that a disturbance hits both.
Time goes from the process' start to the first line of init. The slim kernel has
its drivers built in, so all of them probe before init; the stock one has them
as modules, so for it the mark is the line behind load_modules(), with the same
modules loaded in either case.

Where the host's KVM cannot run Linux, this part too runs in the lab.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from . import host, linux, report, stats
from .network import TAP, Namespace
from .part import Table, ms, once

NAME = "devices"
# What the guest prints, and what that is.
MARKS = {"slim": ("VOLT-INIT", "/init"),
         "stock": ("VOLT-END", "modules loaded")}
SETS = ("none", "all")


def mark_of(kernel):
    """Of one that is neither: /init."""
    return MARKS.get(kernel, MARKS["slim"])


def options(arg):
    arg.add_argument("--devices-runs", type=int, default=5,
                     help="rounds with and without devices")


def config(folder, kernel, initrd, memory, which):
    """A VM as Firecracker's config file has it."""
    disk = folder / "disk"
    disk.write_bytes(bytes(8 << 20))
    vm = {"boot-source": {"kernel_image_path": str(kernel),
                          "initrd_path": str(initrd),
                          "boot_args": linux.CMDLINE},
          "machine-config": {"vcpu_count": 1, "mem_size_mib": memory},
          "drives": []}
    if which == "all":
        vm |= {"balloon": {"amount_mib": 0, "deflate_on_oom": True,
                           "stats_polling_interval_s": 1},
               "drives": [{"drive_id": "disk", "path_on_host": str(disk),
                           "is_root_device": False}],
               "network-interfaces": [{"iface_id": "net",
                                       "host_dev_name": TAP}],
               "vsock": {"guest_cid": 3, "uds_path": str(folder / "vsock")},
               "entropy": {}}
    path = folder / "vm.json"
    path.write_text(json.dumps(vm))
    return path


def run_one(ctx, space, mark, *what):
    """Process start to the mark, us; None when it did not come."""
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as folder:
        path = config(Path(folder), *what)
        mark_us, _, status, text = once(
            ctx.tree, ["-m", mark, "-t", "120", str(ctx.tree.vmm),
                       "--no-api", "--config-file", str(path)], space.join)
    if mark_us is None:
        print(f"no {mark} (status {status}) {text.strip()[-300:]}",
              file=sys.stderr)
    return mark_us


def compare(ctx, space, name, kernel, initrd):
    """Times of each set and the ratios of the rounds."""
    times = {which: [] for which in SETS}
    for number in range(-1, ctx.devices_runs):
        for which in SETS if number % 2 else SETS[::-1]:
            found = run_one(ctx, space, mark_of(name)[0], kernel, initrd,
                            ctx.memory, which)
            if found is None:
                return None
            if number >= 0:
                times[which].append(found)
    ratios = [a / n for a, n in zip(times["all"], times["none"])]
    return {"kernel": name,
            "least": min(times["all"]) / min(times["none"]),
            "ratio": stats.percentile(ratios, 0.5),
            **{which: stats.summary(times[which]) for which in SETS}}


def measure(ctx):
    """Here when KVM runs Linux, else in the lab."""
    kernels, initrd = linux.wanted(ctx, "--modules")
    if not kernels or not initrd:
        print("no guest kernel or initramfs: no figures with devices")
        return None
    if not host.runs_linux():
        return linux.in_lab(ctx, NAME, kernels, initrd,
                            f"--devices-runs={ctx.devices_runs}")
    with Namespace() as space:
        if not space.works or not os.access("/dev/net/tun", os.W_OK):
            print("no network namespace or tap: no figures with devices")
            return None
        rows = [compare(ctx, space, name, kernel, initrd)
                for name, kernel in kernels.items()]
    return {"host": host.describe(), "rows": [row for row in rows if row]}


def show(found):
    rows = [[f"{row['kernel']}, to {mark_of(row['kernel'])[1]}",
             ms(row["none"], "median"), ms(row["all"], "median"),
             f"{row['ratio']:.3f}", f"{row['least']:.3f}"]
            for row in found["rows"]]
    return [Table(["Linux with and without devices, ms", "none", "all",
                   "median of ratios", "of the least"], rows),
            "these figures' " + report.host_line(found["host"])]


def worst(found):
    """Of the kernels; by the least times, which a busy machine disturbs less
    than medians."""
    return max((row["least"] for row in found["rows"]), default=None)


TARGETS = (
    ("Linux to init with all devices", 1.10, "of none's", worst),
)
