# SPDX-License-Identifier: Apache-2.0
"""System calls before the first KVM_RUN, by name."""

import re
import shutil
from collections import Counter

from .part import Table
from .strace import candidates, trace

NAME = "syscalls"
CALL = re.compile(r"^(?:\d+\s+)?(\w+)\(")


def measure(ctx):
    if not shutil.which("strace"):
        return None
    counts = {}
    for name, argv in candidates(ctx.tree, ctx.memory).items():
        calls = Counter()
        for line in trace(argv):
            if "KVM_RUN" in line:
                break
            match = CALL.match(line)
            if match:
                calls[match.group(1)] += 1
        counts[name] = {"total": sum(calls.values()),
                        "calls": dict(calls.most_common())}
    return counts


def show(found):
    rows = [[name, str(f["total"]),
             ", ".join(f"{c} {n}" for c, n in list(f["calls"].items())[:6])]
            for name, f in found.items()]
    return [Table(["system calls before KVM_RUN", "all", "most"], rows)]
