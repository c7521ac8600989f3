# SPDX-License-Identifier: Apache-2.0
"""Start to exit, split into the time inside KVM's calls and the VMM's own."""

import re
import shutil
from collections import Counter

from . import stats
from .part import Table, once
from .strace import candidates, trace

NAME = "split"
RUNS = 15
KVM_CALL = re.compile(r"ioctl\(\d+, (KVM_\w+).*<(\d+\.\d+)>$")


def kvm_time(argv):
    """Microseconds in each KVM call of one run, without strace's share.

    The cheapest call of the run does next to nothing: what strace shows for
    it is strace's own cost, and is taken off every call.
    """
    calls = []
    for line in trace(argv, "-T", "--seccomp-bpf", "-e", "trace=ioctl"):
        match = KVM_CALL.search(line)
        if match:
            calls.append((match.group(1), float(match.group(2)) * 1e6))
    if not calls:
        return {}
    cost = min(us for _, us in calls)
    total = Counter()
    for name, us in calls:
        total[name] += us - cost
    return dict(total)


def measure(ctx):
    if not shutil.which("strace"):
        return None
    parts = {}
    for name, argv in candidates(ctx.tree, ctx.memory).items():
        plain, kvm, per_call = [], [], {}
        for _ in range(RUNS):
            plain.append(once(ctx.tree, argv)[1])
            traced = kvm_time(argv)
            kvm.append(sum(traced.values()))
            for call, us in traced.items():
                per_call.setdefault(call, []).append(us)
        total = stats.percentile(plain, 0.5)
        inside = stats.percentile(kvm, 0.5)
        parts[name] = {
            "exit_us": total, "kvm_us": inside, "own_us": total - inside,
            "per_call_us": {c: stats.percentile(v, 0.5) for c, v in
                            sorted(per_call.items(), key=lambda i: -max(i[1]))},
        }
    return parts


def show(found):
    rows = [[name, f"{p['exit_us'] / 1000:.2f}", f"{p['kvm_us'] / 1000:.2f}",
             f"{p['own_us'] / 1000:.2f}"] for name, p in found.items()]
    shown = [Table(["start to exit, ms", "all", "in KVM", "own"], rows)]
    for name, part in found.items():
        top = [f"{call[4:].lower()} {us:.0f}" for call, us in
               list(part["per_call_us"].items())[:8]]
        shown.append(f"{name}, us in KVM calls: " + ", ".join(top))
    return shown
