# SPDX-License-Identifier: Apache-2.0
"""System calls before the first KVM_RUN, and the time inside KVM's."""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from . import measure, stats

CALL = re.compile(r"^(?:\d+\s+)?(\w+)\(")
KVM_CALL = re.compile(r"ioctl\(\d+, (KVM_\w+).*<(\d+\.\d+)>$")


def trace(argv, *options):
    """strace's lines for one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trace"
        subprocess.run(["strace", "-f", "-o", out, *options, *argv],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60, check=False)
        return out.read_text(errors="replace").splitlines()


def candidates(tree, memory):
    kernel = tree.guest("mark")
    return {
        "volt-vmm": tree.volt(memory).command(kernel, memory),
        "bare probe": [str(tree.probe), str(kernel), str(memory)],
    }


def before_run(tree, memory):
    """Count the calls up to the first KVM_RUN, by name."""
    if not shutil.which("strace"):
        return None
    counts = {}
    for name, argv in candidates(tree, memory).items():
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


def split(tree, memory, runs=15):
    """Start to exit, split into KVM's time and the VMM's own."""
    if not shutil.which("strace"):
        return None
    parts = {}
    for name, argv in candidates(tree, memory).items():
        plain, kvm, per_call = [], [], {}
        for _ in range(runs):
            plain.append(measure.once(tree, argv)[1])
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
