# SPDX-License-Identifier: Apache-2.0
"""What a part of the benchmark is, and what parts share.

A part is a module of this folder that bench/run's PARTS names. It has

    NAME            as in --only and in results.json
    measure(ctx)    what was found, as JSON takes it, or None for nothing
    show(found)     what a person reads of it: Tables and lines of text

and may have

    options(parser) adds the part's own arguments to bench/run's
    TARGETS         (name, limit, unit, value(found)) of what must be met
    charts(found, results)  {file name: SVG} (svg.bars() draws most)

ctx is bench/run's arguments with `tree`, the build directory, added.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Table:
    """Its first column is text, the others are numbers."""

    head: list
    rows: list

    def text(self):
        """Columns as wide as their widest cell, numbers to the right."""
        cells = [self.head] + self.rows
        widths = [max(len(r[i]) for r in cells) for i in range(len(self.head))]
        lines = []
        for row in cells:
            line = row[0].ljust(widths[0])
            for cell, width in zip(row[1:], widths[1:]):
                line += "  " + cell.rjust(width)
            lines.append(line.rstrip())
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join(lines)

    def markdown(self):
        lines = ["| " + " | ".join(row) + " |" for row in
                 [self.head] + self.rows]
        lines.insert(1, "|---" + "|---:" * (len(self.head) - 1) + "|")
        return "\n".join(lines)


def find(rows, prefix):
    """The row whose name starts so, or None."""
    for row in rows or ():
        if row["name"].startswith(prefix):
            return row
    return None


def ms(summary, key):
    return f"{summary[key] / 1000:.2f}" if summary else "-"


def ratio(row, other, key):
    """Median to median, or None."""
    if not row or not other or not row[key] or not other[key]:
        return None
    return row[key]["median"] / other[key]["median"]


def once(tree, argv, inside=()):
    """One run under the stopwatch: (mark us or None, exit us, status, text).

    The stopwatch is run by the command @inside, which does not count.
    """
    return watched(tree, argv, inside)[:4]


def watched(tree, argv, inside=()):
    """The same, and the page faults of the whole life."""
    run = subprocess.run([*inside, tree.stopwatch, *argv],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, check=False)
    if run.returncode:
        sys.exit(f"bench/run: {run.stderr.strip()}")
    mark, end, status, _, faults = (int(x) for x in run.stdout.split())
    return (mark / 1000 if mark >= 0 else None, end / 1000, status, run.stderr,
            faults)


def has_taps():
    """Can this process make a tap in a network namespace of its own?"""
    if subprocess.run(["unshare", "--net", "test", "-w", "/dev/net/tun"],
                      stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return True
    print("no network namespace or tap: no figures with devices",
          file=sys.stderr)
    return False


def with_tap(argv):
    """The command in a network namespace of its own, which has the tap vt0."""
    return ["unshare", "--net", "sh", "-c",
            "PATH=$PATH:/usr/sbin:/sbin; ip tuntap add vt0 mode tap && "
            "ip link set vt0 up && exec \"$@\"", "sh", *argv]


def disk_and_net(folder):
    """volt-vmm's arguments for a disk in @folder and the tap of with_tap()."""
    disk = Path(folder) / "disk"
    disk.write_bytes(bytes(1 << 20))
    return ["--disk", str(disk), "--net", "tap=vt0"]
