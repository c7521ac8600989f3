# SPDX-License-Identifier: Apache-2.0
"""Process start to the guest's mark and to exit, against the peers."""

import sys

from . import peers, stats, svg
from .part import Table, find, ms, once, ratio

NAME = "start"


def measure(ctx):
    """Interleaved runs of every peer, so that noise hits all alike.

    Each round begins with another one: who runs after QEMU finds cold caches.
    """
    field = peers.field(ctx.tree, ctx.memory) + [
        p for p in ctx.peer if not p.boots_linux()]
    times = {p.name: {"mark": [], "exit": []} for p in field}
    for number in range(-3, ctx.runs):
        first = number % len(field)
        for peer in field[first:] + field[:first]:
            kernel = ctx.tree.guest("mark-pvh" if peer.pvh else "mark")
            mark, end, status, text = once(ctx.tree,
                                           peer.command(kernel, ctx.memory))
            if peer.has_mark and mark is None:
                sys.exit(f"bench/run: {peer.name} never showed the mark "
                         f"(status {status}): {text.strip()[-400:]}")
            if number < 0:
                continue
            if mark is not None:
                times[peer.name]["mark"].append(mark)
            times[peer.name]["exit"].append(end)
    return [{"name": p.name, "command": ctx.tree.shown(p.argv),
             "mark_us": stats.summary(times[p.name]["mark"]),
             "exit_us": stats.summary(times[p.name]["exit"])} for p in field]


def show(found):
    rows = []
    for row in found:
        cells = [row["name"]]
        for key in ("mark_us", "exit_us"):
            cells += [ms(row[key], "median"), ms(row[key], "p95")]
            for prefix in ("QEMU", "bare"):
                value = ratio(row, find(found, prefix), key)
                cells.append(f"{value:.3f}" if value else "-")
        rows.append(cells)
    return [Table(["start, ms", "mark", "p95", "/ QEMU", "/ probe",
                   "exit", "p95", "/ QEMU", "/ probe"], rows)]


def ours(key, prefix):
    return lambda found: ratio(find(found, "volt-vmm"), find(found, prefix),
                               key)


TARGETS = (
    ("start to mark / QEMU", 0.05, "x", ours("mark_us", "QEMU")),
    ("start to exit / QEMU", 0.08, "x", ours("exit_us", "QEMU")),
    ("start to mark / bare probe", 1.5, "x", ours("mark_us", "bare")),
    ("start to exit / bare probe", 1.5, "x", ours("exit_us", "bare")),
)


def charts(found, results):
    return {"start.svg": svg.bars(
        "Process start to the guest's first output, and to exit", results,
        f"median of {results['runs']} interleaved runs, line to p95; "
        f"guest of {results['memory_mib']} MiB and ten instructions",
        [(row["name"], [row["mark_us"], row["exit_us"]]) for row in found],
        ["to the guest's first output", "to exit"])}
