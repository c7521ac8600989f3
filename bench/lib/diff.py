# SPDX-License-Identifier: Apache-2.0
"""What it costs to compare a clone's pages with those of its base, and gains.

A diff of a clone leaves out pages that were written with what the base holds.
Where the first ones are all different, few of the others are looked at. A plain
write and sync of as many bytes comes between them, in turns.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import stats
from .chain import ask
from .part import Table
from .pool import cpu_ns
from .snapshot import call, plain_write

NAME = "diff"
MEMORY = 64
PAGES = 4096
RUNS = 21
WAYS = {"all are others, and written": 2, "all are the same, and left out": 1}


def saved(vmm, sock, folder):
    """A diff: (us, us of CPU, bytes of its memory on disk)."""
    call(sock, "PATCH", "/vm", {"state": "Paused"})
    before = cpu_ns(vmm.pid)
    took = call(sock, "PUT", "/snapshot/create", {
        "snapshot_path": f"{folder}/", "snapshot_type": "Diff"})
    spent = (cpu_ns(vmm.pid) - before) / 1000
    call(sock, "PATCH", "/vm", {"state": "Resumed"})
    return took, spent, (folder / "memory.snap").stat().st_blocks * 512


def started(argv, sock, mark):
    vmm = subprocess.Popen([*map(str, argv), "--api-sock", str(sock)],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
    if mark:
        while mark not in vmm.stdout.readline():
            if vmm.poll() is not None:
                sys.exit("bench/run: diff: the guest did not start")
    return vmm


def ended(vmm):
    vmm.kill()
    vmm.communicate()


def clone(tree, folder, seed):
    """The diff of a clone that has written with @seed."""
    sock = folder / "clone"
    vmm = started([tree.vmm, "--restore", folder / "base",
                   "--track-dirty-pages"], sock, None)
    ask(vmm, f"w 0 {PAGES} {seed}")
    found = saved(vmm, sock, folder / "diff")
    ended(vmm)
    shutil.rmtree(folder / "diff")
    sock.unlink(missing_ok=True)
    return found


def measure(ctx):
    tree = ctx.tree
    seen = {way: [] for way in WAYS}
    plain = []
    with tempfile.TemporaryDirectory(dir=tree.build) as name:
        folder = Path(name)
        sock = folder / "sock"
        vmm = started([tree.vmm, "--kernel", tree.guest("pages"), "--memory",
                       MEMORY], sock, "ready")
        ask(vmm, f"w 0 {PAGES} 1")
        call(sock, "PATCH", "/vm", {"state": "Paused"})
        call(sock, "PUT", "/snapshot/create",
             {"snapshot_path": f"{folder}/base/"})
        ended(vmm)
        for _ in range(RUNS):
            for way, seed in WAYS.items():
                seen[way].append(clone(tree, folder, seed))
            plain.append(plain_write(folder, PAGES * 4096 >> 20))
    return {"plain_us": stats.percentile(plain, 0.5), "ways": {way: {
        "us": stats.percentile([took for took, _, _ in found], 0.5),
        "cpu_us": stats.percentile([spent for _, spent, _ in found], 0.5),
        "bytes": found[-1][2]} for way, found in seen.items()}}


def show(found):
    yield Table([f"a diff of {PAGES} pages that a clone wrote", "ms",
                 "CPU, ms", "KiB on disk"],
                [[way, f"{x['us'] / 1000:.2f}", f"{x['cpu_us'] / 1000:.2f}",
                  str(x["bytes"] >> 10)] for way, x in found["ways"].items()])
    others, same = (found["ways"][way] for way in WAYS)
    yield (f"as many bytes written and synced: {found['plain_us'] / 1000:.2f} ms")
    yield (f"comparing all of them and writing none, by the other: "
           f"{same['us'] / others['us']:.2f} of the time, "
           f"{same['cpu_us'] / others['cpu_us']:.2f} of the CPU")


def beside_plain(found):
    """The written diff, less 1 ms, by the plain write."""
    return (found["ways"][next(iter(WAYS))]["us"] - 1000) / found["plain_us"]


TARGETS = [
    ("a diff of 16 MiB, less 1 ms / plain write of as many bytes", 1.1, "x",
     beside_plain),
]
