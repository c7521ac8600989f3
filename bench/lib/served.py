# SPDX-License-Identifier: Apache-2.0
"""Who fills a restored guest's memory: a mapped file, volt-pager, a page server
as clients write it, and QEMU's mapped-ram migration; cold and warm files.

The guest and its questions are those of the part `packed`. Beside the time to
the first answer stands the most memory that each side took: the VMM, and who
serves it.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import stats
from .packed import (MEMORY_MIB, QUESTION, WRITTEN, Guest, faults, forget,
                     make, serving)
from .part import Table
from .proc import peak

NAME = "served"
RUNS = 7
FIRST = (9, 0)  # QEMU with mapped-ram


def options(parser):
    parser.add_argument("--qemu", default="qemu-system-x86_64",
                        help="the QEMU of the part `served`: 9.0 or later")


# ---- Volt ----

def restored(tree, folder, cold, server):
    """Of one restore: us to the answer, KiB of both, faults or None."""
    argv = [tree.vmm, "--no-api", "--restore", folder]
    sock, process = folder.parent / "server", None
    sock.unlink(missing_ok=True)
    if cold:
        forget(folder)
    begin = time.monotonic()
    if server:
        process = serving([*server(sock, folder)], sock)
        argv += ["--uffd", sock]
    guest = Guest(argv)
    guest.begin = begin
    took = guest.ask(QUESTION)
    kib = [peak(guest.process.pid), peak(process.pid) if process else 0]
    guest.end()
    return took, kib, faults(process.communicate(timeout=60)[1]) \
        if process else None


def ways(tree):
    pager = tree.vmm.with_name("volt-pager")
    return {
        "mapped": None,
        "volt-pager": lambda sock, folder: (pager, "--json", "--no-hot", sock,
                                            folder),
        "a page server": lambda sock, folder: (
            tree.find("bench/pageserver"), sock, folder / "memory.snap"),
    }


# ---- QEMU ----

class Qmp:
    """QEMU's monitor, one command after the other."""

    def __init__(self, path, limit=60):
        end = time.monotonic() + limit
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(limit)
        while self.sock.connect_ex(str(path)):
            if time.monotonic() > end:
                sys.exit("bench/run: served: QEMU has no monitor")
            time.sleep(0.0005)
        self.lines = self.sock.makefile("rb")
        self.lines.readline()
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        self.sock.sendall(json.dumps({"execute": command,
                                      "arguments": arguments}).encode())
        while True:
            said = json.loads(self.lines.readline())
            if "error" in said:
                sys.exit(f"bench/run: served: QEMU: {said['error']['desc']}")
            if "return" in said:
                return said["return"]

    def mapped_ram(self):
        self.run("migrate-set-capabilities", capabilities=[
            {"capability": "mapped-ram", "state": True}])

    def wait(self, limit=60):
        """For the migration's end."""
        end = time.monotonic() + limit
        while (status := self.run("query-migrate").get("status")) \
                != "completed":
            if status == "failed" or time.monotonic() > end:
                sys.exit(f"bench/run: served: QEMU's migration: {status}")
            time.sleep(0.0005)


def qemu_argv(ctx, folder, cpu, *more):
    return [ctx.qemu, "-M", "microvm,pit=off,pic=off,rtc=off", "-accel", "kvm",
            "-cpu", cpu, "-m", str(MEMORY_MIB), "-nodefaults", "-display",
            "none", "-serial", "stdio", "-no-reboot", "-kernel",
            str(ctx.tree.guest("pages-pvh")), "-qmp",
            f"unix:{folder}/qmp,server=on,wait=off", *more]


def why_no_qemu(ctx):
    if not shutil.which(ctx.qemu):
        return f"{ctx.qemu} is not there (package qemu-system-x86)"
    said = subprocess.run([ctx.qemu, "--version"], capture_output=True,
                          text=True, check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    if not found or tuple(map(int, found.groups())) < FIRST:
        return (f"{found.group(0) if found else ctx.qemu} has no mapped-ram "
                "(QEMU 9.0; Debian 13)")
    return None


def qemu_saved(ctx, folder, cpu):
    """A migration file of the guest that wrote its pages."""
    guest = Guest(qemu_argv(ctx, folder, cpu))
    guest.process.stdout.readline()
    guest.ask(f"w 0 {WRITTEN} 1")
    qmp = Qmp(folder / "qmp")
    qmp.mapped_ram()
    qmp.run("stop")
    qmp.run("migrate", uri=f"file:{folder}/memory/file")
    qmp.wait()
    guest.end()


def qemu_restored(ctx, folder, cpu, cold):
    (folder / "qmp").unlink(missing_ok=True)
    if cold:
        forget(folder / "memory")
    guest = Guest(qemu_argv(ctx, folder, cpu, "-incoming", "defer"))
    qmp = Qmp(folder / "qmp")
    qmp.mapped_ram()
    qmp.run("migrate-incoming", uri=f"file:{folder}/memory/file")
    qmp.wait()
    qmp.run("cont")
    took = guest.ask(QUESTION)
    kib = [peak(guest.process.pid), 0]
    guest.end()
    return took, kib, None


# ---- the part ----

def measure(ctx):
    tree = ctx.tree
    if not os.access("/dev/userfaultfd", os.W_OK):
        print("no /dev/userfaultfd: no figures of served memory",
              file=sys.stderr)
        return None
    why = why_no_qemu(ctx)
    with tempfile.TemporaryDirectory(dir=tree.build) as name:
        folder = Path(name)
        make(tree, folder)
        each = {way: (lambda cold, server=server: restored(
            tree, folder / "raw", cold, server))
            for way, server in ways(tree).items()}
        if not why:
            (folder / "memory").mkdir()
            qemu_saved(ctx, folder, "host")
            each["QEMU, mapped-ram"] = lambda cold: qemu_restored(
                ctx, folder, "host", cold)
        found = {way: {"cold": [], "warm": [], "kib": [0, 0], "faults": None}
                 for way in each}
        for _ in range(RUNS):
            for way, go in each.items():
                for cache in ("cold", "warm"):
                    took, kib, waited = go(cache == "cold")
                    row = found[way]
                    row[cache].append(took)
                    row["kib"] = list(map(max, row["kib"], kib))
                    row["faults"] = waited
        for row in found.values():
            for cache in ("cold", "warm"):
                row[cache] = stats.summary(row[cache])
    return {"ways": found, "no_qemu": why}


def show(found):
    mapped = found["ways"]["mapped"]
    yield Table(["restore to first answer", "cold ms", "to mapped", "warm ms",
                 "to mapped", "pages waited for", "peak KiB, VMM", "server"],
                [[way, *(text for cache in ("cold", "warm") for text in (
                    f"{r[cache]['median'] / 1000:.1f}",
                    f"{r[cache]['median'] / mapped[cache]['median']:.2f}")),
                  str(r["faults"] or "-"), *map(str, r["kib"])]
                 for way, r in found["ways"].items()])
    if found["no_qemu"]:
        yield f"no comparison with mapped-ram: {found['no_qemu']}"


def to_the_server(found):
    ways_found = found["ways"]
    return (ways_found["volt-pager"]["cold"]["median"]
            / ways_found["a page server"]["cold"]["median"])


TARGETS = [
    ("volt-pager: cold restore to first answer, to a page server's", 1, "",
     to_the_server),
]
