# SPDX-License-Identifier: Apache-2.0
"""Process start to a Linux guest's init, and what KVM counts on the way.

Times are those of many runs. Counters are read in one more, whose guest stays
at init; with root only.
"""

from . import host, linux, report, svg
from .kvmstat import EXITS, PAGES
from .part import Table, find, ms, ratio

NAME = "boot"
PORT_EXITS = 700

options = linux.options


def measure(ctx):
    """Here when KVM runs Linux, else in the lab."""
    kernels, initrd = linux.wanted(ctx)
    if not kernels or not initrd:
        print("no guest kernel or initramfs: no boot figures")
        return None
    if not host.runs_linux():
        return linux.in_lab(ctx, NAME, kernels, initrd)
    rows = []
    for name, kernel in kernels.items():
        rows += linux.boot(ctx, linux.field(ctx), name, kernel, initrd)
    return {"host": host.describe(), "runs": ctx.boot_runs,
            "words": ctx.boot_words, "rows": rows}


def time_rows(found):
    for row in found["rows"]:
        same = [r for r in found["rows"] if r["kernel"] == row["kernel"]]
        cells = [row["name"], row["kernel"], ms(row["init_us"], "median"),
                 ms(row["init_us"], "p95"), ms(row["exit_us"], "median")]
        for prefix in ("QEMU microvm", "QEMU q35"):
            value = ratio(row, find(same, prefix), "init_us")
            cells.append(f"{value:.3f}" if value else "-")
        yield cells


def count_rows(found):
    for row in found["rows"]:
        counts = row["counts"]
        if not counts:
            continue
        kinds = [counts[name] for name in EXITS.values()]
        numbers = [counts["exits"], *kinds, counts["exits"] - sum(kinds),
                   *(counts[name] for name in PAGES.values())]
        yield [row["name"], row["kernel"], *map(str, numbers)]


def show(found):
    rows = list(count_rows(found))
    return [Table(["start to a Linux guest's init, ms", "kernel", "init",
                   "p95", "exit", "/ microvm", "/ q35"],
                  list(time_rows(found))),
            Table(["KVM's counters at init", "kernel", "exits", *EXITS,
                   "other", *PAGES], rows) if rows else
            "no counters: they take root, and a debugfs that can be read",
            "boot figures' " + report.host_line(found["host"])]


def ours(found, kernel):
    return find([r for r in found["rows"] if r["kernel"] == kernel], "volt-vmm")


def port_exits(found):
    row = ours(found, "slim")
    return row and row["counts"] and row["counts"]["io_exits"]


TARGETS = (
    ("slim kernel to init, exits for ports", PORT_EXITS, "exits", port_exits),
)


def charts(found, results):
    where = {**results, "host": found["host"]}
    return {"boot.svg": svg.bars(
        "Process start to a Linux guest's /init", where,
        f"median of {found['runs']} interleaved runs, line to p95; guest of "
        f"{results['memory_mib']} MiB, 1 CPU, Debian's stock cloud kernel "
        "and a slim one",
        [(f"{r['name']}, {r['kernel']}", [r["init_us"]])
         for r in found["rows"] if r["init_us"]], ["to /init"])}
