# SPDX-License-Identifier: Apache-2.0
"""Restores of a whole snapshot and of chains of diffs, in turns."""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from . import stats
from .part import Table
from .snapshot import PHASE, call

NAME = "chain"
DEEP = (0, 2, 10, 30)
RUNS = 3        # of pages that are written between two diffs
MEMORY = 64
LIMIT = 60
# What a chain can make slower.
PARTS = ("state load + JSON parse + CRC verify", "memory mmap",
         "memory register with KVM", "Total", "CPU")


def ask(vmm, line):
    """The guest `pages` does it, and says so."""
    vmm.stdin.write(line + "\n")
    vmm.stdin.flush()
    if "wrote" not in vmm.stdout.readline():
        sys.exit(f"bench/run: the guest did not do '{line}'")


def write_some(vmm, dice, seed):
    for _ in range(RUNS):
        ask(vmm, f"w {dice.randrange(1000)} {dice.randrange(1, 20)} {seed}")


def make(tree, folder):
    """s0, which is whole, and diffs s1 to s<most>."""
    sock = folder / "sock"
    dice = random.Random(19)
    with subprocess.Popen(
            [str(tree.vmm), "--api-sock", str(sock), "--kernel",
             str(tree.guest("pages")), "--memory", str(MEMORY),
             "--track-dirty-pages"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True) as vmm:
        while "ready" not in vmm.stdout.readline():
            if vmm.poll() is not None:
                sys.exit("bench/run: the guest `pages` did not start")
        ask(vmm, "w 0 400 1")
        for i in range(max(DEEP) + 1):
            if i > 0:
                write_some(vmm, dice, i)
            call(sock, "PATCH", "/vm", {"state": "Paused"})
            call(sock, "PUT", "/snapshot/create", {
                "snapshot_path": f"{folder}/s{i}/",
                "snapshot_type": "Diff" if i else "Full"})
            call(sock, "PATCH", "/vm", {"state": "Resumed"})
        vmm.kill()


def restore(tree, snap):
    """The phases of one restore and the CPU time of its whole life, ms."""
    argv = [str(tree.vmm), "--no-api", "--restore", str(snap), "--timing"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as vmm:
        vmm.stdin.write("q 0 0 0\n")
        vmm.stdin.flush()
        text = vmm.stderr.read()
        _, status, used = os.wait4(vmm.pid, 0)
        vmm.returncode = os.waitstatus_to_exitcode(status)
    found = {name: float(value) for name, value in PHASE.findall(text)}
    if "Total" not in found:
        sys.exit(f"bench/run: no restore of {snap}: {text.strip()}")
    found["CPU"] = (used.ru_utime + used.ru_stime) * 1000
    return found


def measure(ctx):
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as name:
        folder = Path(name)
        make(ctx.tree, folder)
        for deep in DEEP:  # what lies beside it is looked at, too
            (folder / f"d{deep}").mkdir()
            for i in range(deep + 1):
                subprocess.run(["cp", "-a", folder / f"s{i}",
                                folder / f"d{deep}"], check=True)
        seen = {deep: [] for deep in DEEP}
        for turn in range(-2, ctx.runs):
            first = turn % len(DEEP)
            for deep in DEEP[first:] + DEEP[:first]:
                found = restore(ctx.tree, folder / f"d{deep}" / f"s{deep}")
                if turn >= 0:
                    seen[deep].append(found)
    return {"restores": [{"deep": deep, "ms": {
        part: stats.summary([x.get(part, 0) for x in seen[deep]])["median"]
        for part in PARTS}} for deep in DEEP]}


def row(found, deep):
    return next(x["ms"] for x in found["restores"] if x["deep"] == deep)


def more(found, deep, part):
    """What a chain costs more than a whole snapshot, ms."""
    return row(found, deep)[part] - row(found, 0)[part]


def show(found):
    names = {0: "whole"}
    rows = [[names.get(deep, f"chain of {deep}"),
             *(f"{row(found, deep)[part]:.3f}" for part in PARTS),
             *(f"{more(found, deep, part):+.3f}" for part in PARTS[-2:])]
            for deep in DEEP]
    return [Table(["chain: restore, ms", "state, chain", "mmap", "KVM",
                   "total", "CPU, whole life", "more", "more CPU"], rows)]


TARGETS = (
    ("restore of a chain of 10, more than a whole one", 0.3, "ms",
     lambda found: more(found, 10, "Total")),
)
