# SPDX-License-Identifier: Apache-2.0
"""Process start to the guest's mark and to exit."""

import subprocess
import sys

from . import stats


def once(tree, argv):
    """One run under the stopwatch: (mark us or None, exit us, status)."""
    run = subprocess.run([tree.stopwatch, *argv], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        sys.exit(f"bench/run: {run.stderr.strip()}")
    mark, end, status, _ = (int(x) for x in run.stdout.split())
    return (mark / 1000 if mark >= 0 else None, end / 1000, status, run.stderr)


def start(tree, field, runs, memory):
    """Interleaved runs of every peer, so that noise hits all alike."""
    times = {p.name: {"mark": [], "exit": []} for p in field}
    for number in range(-3, runs):
        for peer in field:
            kernel = tree.guest("mark-pvh" if peer.pvh else "mark")
            mark, end, status, text = once(tree, peer.command(kernel, memory))
            if peer.has_mark and mark is None:
                sys.exit(f"bench/run: {peer.name} never showed the mark "
                         f"(status {status}): {text.strip()[-400:]}")
            if number < 0:
                continue
            if mark is not None:
                times[peer.name]["mark"].append(mark)
            times[peer.name]["exit"].append(end)
    return [{"name": p.name, "command": p.argv,
             "mark_us": stats.summary(times[p.name]["mark"]),
             "exit_us": stats.summary(times[p.name]["exit"])} for p in field]
