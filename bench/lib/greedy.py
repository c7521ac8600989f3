# SPDX-License-Identifier: Apache-2.0
"""The API beside a guest that keeps the VMM busy: how long GET / takes.

One guest (tests/guest/greedy.c), each of its deeds in turn, and one that does
nothing. A client asks REQUESTS times, each time on a new connection. The
console goes to /dev/null, which takes all, the log into a pipe that nobody
reads.
"""

import contextlib
import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import stats
from .part import Table

NAME = "greedy"
REQUESTS = 500
PAUSE_S = 0.002
LIMIT_MS = 50
MEMORY = 64
DISK_MIB = 64

# What a deed needs.
ENTROPY = {"entropy": {}}
BALLOON = {"balloon": {"amount_mib": 0, "deflate_on_oom": False,
                       "free_page_reporting": True}}


def disk(engine):
    return {"drives": [{"drive_id": "d", "path_on_host": "disk",
                        "is_root_device": False, "io_engine": engine}]}


DEEDS = (
    ("none", "none", {}),
    ("serial", "serial", {}),
    ("log", "log", ENTROPY),
    ("entropy", "entropy", ENTROPY),
    ("reports", "reports", BALLOON),
    ("reads, Sync", "reads", disk("Sync")),
    ("reads, Async", "reads", disk("Async")),
    ("zeroes, Sync", "zeroes", disk("Sync")),
    ("zeroes, Async", "zeroes", disk("Async")),
    ("malformed", "malformed", disk("Async")),
)


def command(ctx, folder, deed, devices):
    """volt-vmm with a config file in @folder, whose disk is there."""
    config = {"boot-source": {
                  "kernel_image_path": str(ctx.tree.guest("greedy")),
                  "boot_args": f"do={deed}"},
              "machine-config": {"vcpu_count": 1, "mem_size_mib": MEMORY},
              "drives": [], **devices}
    (folder / "disk").write_bytes(bytes(DISK_MIB << 20))
    for drive in config["drives"]:
        drive["path_on_host"] = str(folder / "disk")
    (folder / "config").write_text(json.dumps(config))
    return [str(ctx.tree.vmm), "--api-sock", str(folder / "sock"),
            "--config-file", str(folder / "config")]


def get(path):
    """GET / on a connection of its own, ms; it has to be answered."""
    begin = time.monotonic()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(120)
        sock.connect(str(path))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return (time.monotonic() - begin) * 1000


@contextlib.contextmanager
def guest(argv, sock):
    """A VM that is at it for a moment; killed at the end."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as vmm:
        try:
            while not sock.exists():
                assert vmm.poll() is None, vmm.stderr.read()
                time.sleep(0.01)
            time.sleep(0.5)
            yield
        finally:
            vmm.kill()


def latency(ctx, deed, devices):
    """Percentiles of REQUESTS answers beside the guest."""
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as name:
        folder = Path(name)
        with guest(command(ctx, folder, deed, devices), folder / "sock"):
            took = []
            for _ in range(REQUESTS):
                took.append(get(folder / "sock"))
                time.sleep(PAUSE_S)
    return {"median": stats.percentile(took, 0.5),
            "p99": stats.percentile(took, 0.99), "max": max(took)}


def measure(ctx):
    return {name: latency(ctx, deed, devices)
            for name, deed, devices in DEEDS}


def show(found):
    rows = [[name, f"{f['median']:.2f}", f"{f['p99']:.2f}", f"{f['max']:.2f}"]
            for name, f in found.items()]
    return [Table(["GET / beside a guest, ms", "median", "p99", "max"], rows)]


TARGETS = tuple(
    (f"GET / beside a guest: {name} (p99)", LIMIT_MS, "ms",
     lambda f, name=name: f[name]["p99"]) for name, _, _ in DEEDS)
