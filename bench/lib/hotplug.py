# SPDX-License-Identifier: Apache-2.0
"""Plug and unplug of 1 GiB while the guest runs: what the VMM does for it.

The bare-metal guest asks for 32 blocks of 2 MiB at a time (tests/guest/
memplug.c); of what it has it writes one page in 16, so that there is something
to give back. Time is the VMM's own count (`plug_agg` and `unplug_agg` of its
metrics): the guest's part is left out. System calls are those that change
memory, of a GiB more.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from .part import Table, ms
from .proc import rollup, wait_output
from .stats import summary

NAME = "hotplug"
GIB = 1024
RUNS = 5
# Those that change memory: how often the loop wakes is the host's affair.
CALL = re.compile(r"^(?:\d+\s+)?(?:m\w+\(|ioctl\(\d+, "
                  r"KVM_SET_USER_MEMORY_REGION)", re.MULTILINE)


class Api(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def send_json(self, method, url, body):
        self.request(method, url, json.dumps(body))
        answer = self.getresponse()
        assert answer.status == 204, answer.read()
        answer.read()


def private_mib(pid):
    now = rollup(pid)
    return (now["Private_Clean"] + now["Private_Dirty"]) / 1024


def argv_of(tree, folder, inside=()):
    return [*inside, str(tree.vmm), "--kernel", str(tree.guest("memplug")),
            "--memory", "64", "--hotplug-memory", f"{2 * GIB}",
            "--api-sock", f"{folder}/s", "--metrics-path", f"{folder}/m"]


def traced(pid):
    """What strace runs, which passes no signal on; None: it is no strace."""
    if Path(f"/proc/{pid}/comm").read_text() != "strace\n":
        return None
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return int(children.split()[0])


def life(argv, folder, mib):
    """The guest plugs @mib and unplugs them again: private MiB after each, and
    the last line of metrics."""
    found = {}
    with open(f"{folder}/errors", "w+b") as errors, subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors) as vmm:
        try:
            wait_output(vmm, errors, b"step ready", 60)
            api = Api(f"{folder}/s")
            for kind, step, size in (("plug", b"step plugged", mib),
                                     ("unplug", b"step unplugged", 0)):
                api.send_json("PATCH", "/hotplug/memory",
                              {"requested_size_mib": size})
                vmm.stdin.write(b"\n")
                vmm.stdin.flush()
                wait_output(vmm, errors, step, 120)
                found[kind] = private_mib(vmm.pid)
            api.send_json("PUT", "/actions", {"action_type": "FlushMetrics"})
        finally:
            api.close()
            os.kill(traced(vmm.pid) or vmm.pid, signal.SIGTERM)
    lines = Path(folder, "m").read_text().splitlines()
    metrics = [json.loads(line)["memory_hotplug"] for line in lines]
    return found, {key: sum(m[key] if isinstance(m[key], int)
                            else m[key]["sum_us"] for m in metrics)
                   for key in metrics[0]}


def once(ctx, mib, inside=()):
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as folder:
        argv = argv_of(ctx.tree, folder, [x.replace("@", folder)
                                          for x in inside])
        found = life(argv, folder, mib)
        trace = Path(folder, "trace")
        return (*found, len(CALL.findall(trace.read_text(errors="replace")))
                if trace.exists() else 0)


def measure(ctx):
    rows = [once(ctx, GIB)[:2] for _ in range(RUNS)]
    found = {kind: {"us": summary([m[f"{kind}_agg"] for _, m in rows]),
                    "requests": rows[0][1][f"{kind}_count"],
                    "private_mib": summary([p[kind] for p, _ in rows])}
             for kind in ("plug", "unplug")}
    if shutil.which("strace"):
        less, more = (once(ctx, mib, ["strace", "-f", "-o", "@/trace"])[2]
                      for mib in (GIB, 2 * GIB))
        found["calls"] = more - less
    return found


def show(found):
    rows = [[f"{kind} of 1 GiB", str(found[kind]["requests"]),
             ms(found[kind]["us"], "median"), ms(found[kind]["us"], "p95"),
             f"{found[kind]['private_mib']['median']:.1f}"]
            for kind in ("plug", "unplug")]
    tables = [Table(["memory hot-plug", "requests", "VMM's ms", "p95",
                     "private MiB after it"], rows)]
    if "calls" in found:
        tables.append("system calls on memory for a GiB that comes and goes: "
                      f"{found['calls']}")
    return tables


TARGETS = (
    ("private memory that 1 GiB leaves behind", 2, "MiB",
     lambda f: f["unplug"]["private_mib"]["median"]),
)
