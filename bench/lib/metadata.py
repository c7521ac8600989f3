# SPDX-License-Identifier: Apache-2.0
"""What a guest's question to the metadata service takes.

A bare-metal guest (tests/guest/mmds.c) opens a connection for each, asks, reads
the answer and prints it. Time is from one printed answer to the next, so what
the guest does itself and its console are in it: compare versions, and trees.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from .network import TAP, Namespace
from .part import Table, ms
from .stats import summary

NAME = "metadata"
ASK = 40
DOCUMENT = {"latest": {"user-data": "hello"}}
CASES = {"version 1": ("V1", ""), "version 2": ("V2", "token ")}


def argv_of(tree, folder, version, words):
    config, document = Path(folder) / "config", Path(folder) / "document"
    document.write_text(json.dumps(DOCUMENT))
    config.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(tree.guest("mmds")),
                        "boot_args": words + "get=/latest/user-data " * ASK},
        "drives": [],
        "network-interfaces": [{"iface_id": "n0", "host_dev_name": TAP}],
        "mmds-config": {"network_interfaces": ["n0"], "version": version}}))
    return [str(tree.vmm), "--no-api", "--config-file", str(config),
            "--metadata", str(document)]


def gaps(space, argv):
    """Microseconds from each answer to the next."""
    with subprocess.Popen([*space.join, *argv], stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as vmm:
        times = [time.monotonic() for line in vmm.stdout
                 if line.startswith(b"status 200")]
    assert len(times) == ASK, times
    return [(b - a) * 1e6 for a, b in zip(times, times[1:])]


def measure(ctx):
    found = {}
    with Namespace() as space, tempfile.TemporaryDirectory() as folder:
        if not space.works or not os.access("/dev/net/tun", os.W_OK):
            return None
        for name, (version, words) in CASES.items():
            argv = argv_of(ctx.tree, folder, version, words)
            found[name] = summary(gaps(space, argv))
    return found


def show(found):
    rows = [[name, ms(f, "min"), ms(f, "median"), ms(f, "p95")]
            for name, f in found.items()]
    return [Table(["metadata, ms for a question", "least", "median", "p95"],
                  rows)]
