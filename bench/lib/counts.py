# SPDX-License-Identifier: Apache-2.0
"""What a start and a restore take, counted: figures that no clock disturbs.

System calls and instructions go from the process' start to its first KVM_RUN,
all threads together; KVM_RUN and page faults to the end of a guest that prints
one character. Descriptors and private memory are those of a VM whose guest
idles, beside another one of the same kind where there can be two.

bench/counts.json has the figures of an earlier tree: a change that costs
something shows in the last table. They hold for the compiler, libraries and
kernel that it names.
"""

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import host, snapshot
from .part import Table, disk_and_net, has_taps, watched, with_tap
from .proc import figures, running
from .stats import summary

NAME = "counts"
KEPT = Path(__file__).resolve().parents[1] / "counts.json"
RUNS = 3
CALL = re.compile(r"^(?:\d+\s+)?(\w+)\(")
KEYS = {"calls": "system calls", "instructions": "instructions",
        "runs": "KVM_RUN", "faults": "page faults",
        "descriptors": "descriptors", "private_kib": "private KiB"}


def options(arg):
    arg.add_argument("--counts-keep", action="store_true",
                     help="make the figures of `counts` those of "
                          "bench/counts.json")


class Kind:
    """A way to begin: its commands, and what is around them."""

    def __init__(self, ctx, folder, devices, argv, idle):
        self.ctx, self.folder, self.devices = ctx, folder, devices
        self.argv, self.idle = argv, idle

    def inside(self, argv):
        """With its tap, and no socket of the last run."""
        if not self.devices:
            return argv
        return with_tap(["sh", "-c", 'rm -f "$0"; exec "$@"',
                         f"{self.folder}/vsock", *argv])

    def calls(self):
        """System calls to the first KVM_RUN, and all KVM_RUN."""
        out = Path(self.folder) / "trace"
        argv = ["strace", "-f", "-o", str(out), *self.argv]
        subprocess.run(self.inside(argv), stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=60, check=False)
        lines = out.read_text(errors="replace").splitlines()
        runs = [i for i, line in enumerate(lines)
                if re.search(r"\bioctl\(\d+, KVM_RUN", line)]
        return (sum(bool(CALL.match(x)) for x in lines[:runs[0]]),
                len(runs))

    def instructions(self):
        run = subprocess.run(
            self.inside([str(self.ctx.tree.find("bench/steps")), *self.argv]),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120,
            check=True, text=True)
        return int(run.stdout)

    def faults(self):
        if self.devices:
            return None  # those of the shells around it count as well
        return watched(self.ctx.tree, self.argv)[4]

    def at_rest(self):
        """Descriptors, and private memory beside another."""
        with contextlib.ExitStack() as stack:
            if not self.devices:
                stack.enter_context(running(self.idle, "tick"))
            vmm = stack.enter_context(running(self.inside(self.idle), "tick"))
            fds = len(list(Path(f"/proc/{vmm.pid}/fd").iterdir()))
            private = figures(vmm.pid)["vmm_private_kib"]
        return fds, None if self.devices else private

    def measure(self):
        calls, runs = zip(*(self.calls() for _ in range(RUNS)))
        steps = [self.instructions() for _ in range(RUNS)]
        faults = [self.faults() for _ in range(RUNS)]
        fds, private = zip(*(self.at_rest() for _ in range(RUNS)))
        middle = {"calls": calls, "instructions": steps, "runs": runs,
                  "faults": faults, "descriptors": fds,
                  "private_kib": private}
        return {key: summary(list(v))["median"] if v[0] is not None
                else None for key, v in middle.items()}


def probe(ctx, folder):
    argv = [str(ctx.tree.probe)]
    return Kind(ctx, folder, False,
                [*argv, str(ctx.tree.guest("mark")), str(ctx.memory)],
                [*argv, str(ctx.tree.guest("ticker")), str(ctx.memory)])


def start(ctx, folder, more):
    def command(guest):
        return ctx.tree.volt(ctx.memory).command(ctx.tree.guest(guest),
                                                 ctx.memory)
    return Kind(ctx, folder, bool(more), [*command("mark"), *more],
                [*command("ticker"), *more])


def restore(ctx, folder, more):
    """Of two snapshots: a guest that ends at once, one that idles."""
    argv = {}
    for guest, ready in (("remark", "."), ("ticker", "tick 3")):
        place = Path(folder) / guest
        place.mkdir()
        Path(folder, "vsock").unlink(missing_ok=True)  # of the last run
        snapshot.save(ctx.tree, guest, ready, ctx.memory, place, more)
        argv[guest] = snapshot.restore_argv(ctx.tree, place)
    return Kind(ctx, folder, bool(more), argv["remark"], argv["ticker"])


def kinds(ctx, folder):
    yield "bare probe, start", probe(ctx, folder)
    yield "start", start(ctx, folder, ())
    yield "restore", restore(ctx, folder, ())
    if not has_taps():
        return
    folder = Path(folder) / "devices"
    folder.mkdir()
    more = [*disk_and_net(folder), "--vsock", f"cid=3,path={folder}/vsock"]
    yield "start, disk, net, vsock", start(ctx, folder, more)
    yield "restore, disk, net, vsock", restore(ctx, folder, more)


def measure(ctx):
    if not shutil.which("strace"):
        return None
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as folder:
        rows = {name: kind.measure() for name, kind in kinds(ctx, folder)}
    found = {"host": host.describe(), "compiler": compiler(ctx.tree),
             "rows": rows}
    found["kept"] = json.loads(KEPT.read_text())
    if ctx.counts_keep:
        kept = {key: found[key] for key in ("host", "compiler", "rows")}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    return found


def compiler(tree):
    """Ours and the C library's, as they name themselves in the program."""
    run = subprocess.run(["readelf", "--string-dump=.comment", tree.vmm],
                         capture_output=True, text=True, check=False)
    names = re.findall(r"\]\s+(.*)", run.stdout)
    return ", ".join(sorted(set(names), reverse=True))


def cell(value):
    return "-" if value is None else f"{value:.0f}"


def change(now, kept):
    """In percent."""
    if now is None or not kept:
        return "-"
    return f"{100 * (now - kept) / kept:+.1f} %"


def show(found):
    rows = found["rows"]
    kept = found["kept"]["rows"]
    tables = [Table(["counts", *KEYS.values()],
                    [[name, *(cell(row[key]) for key in KEYS)]
                     for name, row in rows.items()])]
    tables.append(Table(
        ["counts, against bench/counts.json", *KEYS.values()],
        [[name, *(change(row[key], kept.get(name, {}).get(key))
                  for key in KEYS)] for name, row in rows.items()]))
    if found["compiler"] != found["kept"]["compiler"]:
        tables.append(f"bench/counts.json is of {found['kept']['compiler']}, "
                      f"these are of {found['compiler']}")
    return tables
