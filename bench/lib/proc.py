# SPDX-License-Identifier: Apache-2.0
"""A running VMM's memory, from /proc."""

import contextlib
import os
import re
import select
import subprocess
import tempfile
import time
from pathlib import Path

VMA = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)$")


@contextlib.contextmanager
def running(argv, text, seconds=60):
    """The VMM, once its output has had @text; killed at the end."""
    with tempfile.TemporaryFile() as errors, \
            subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=errors,
                             stdout=subprocess.PIPE) as vmm:
        try:
            wait_output(vmm, errors, text.encode(), seconds)
            yield vmm
        finally:
            vmm.kill()


def wait_output(vmm, errors, text, seconds):
    seen = b""
    end = time.monotonic() + seconds
    while text not in seen:
        ready = select.select([vmm.stdout], [], [],
                              max(0, end - time.monotonic()))[0]
        data = os.read(vmm.stdout.fileno(), 65536) if ready else b""
        if not data:
            errors.seek(0)
            raise RuntimeError(f"{vmm.args[0]}: no {text!r} in its output, but "
                               f"{seen[-300:]!r} and {errors.read()[-300:]!r}")
        seen += data


def rollup(pid):
    """smaps_rollup, in KiB."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, _, value = line.partition(":")
        fields[key] = int(value.split()[0])
    return fields


def peak(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return 0


def mappings(pid):
    """All VMAs: start, end, name and their KiB fields."""
    vmas = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        match = VMA.match(line)
        if match:
            vmas.append({"start": int(match.group(1), 16),
                         "end": int(match.group(2), 16),
                         "name": match.group(3)})
            continue
        key, _, value = line.partition(":")
        if value.endswith(" kB"):
            vmas[-1][key] = int(value.split()[0])
    return vmas


def guest_ram(vmas):
    """The VMAs of guest RAM: the largest one and its neighbours.

    Kernel segments that are mapped from their file split the RAM's mapping,
    so neighbours without a gap belong to it.
    """
    big = max(range(len(vmas)),
              key=lambda i: vmas[i]["end"] - vmas[i]["start"])
    first = last = big
    while first > 0 and vmas[first - 1]["end"] == vmas[first]["start"]:
        first -= 1
    while (last + 1 < len(vmas) and
           vmas[last + 1]["start"] == vmas[last]["end"]):
        last += 1
    return vmas[first:last + 1]


def figures(pid):
    """Whole process, and the part of it that is guest RAM, in KiB."""
    whole = rollup(pid)
    ram = guest_ram(mappings(pid))
    private = whole["Private_Clean"] + whole["Private_Dirty"]
    ram_private = sum(v["Private_Clean"] + v["Private_Dirty"] for v in ram)
    ram_rss = sum(v["Rss"] for v in ram)
    return {"rss_kib": whole["Rss"], "peak_kib": peak(pid),
            "pss_kib": whole["Pss"], "private_kib": private,
            "shared_kib": whole["Shared_Clean"] + whole["Shared_Dirty"],
            "vmm_rss_kib": whole["Rss"] - ram_rss,
            "vmm_private_kib": private - ram_private,
            "guest_rss_kib": ram_rss}
