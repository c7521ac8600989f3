# SPDX-License-Identifier: Apache-2.0
"""Snapshots in a jail against snapshots outside: bytes, and time in turns.

A jail has no /proc, which tells what a guest has written: what volt-jailer
hands over instead must cost no page and no time. The jail's user is an ordinary
one. Both folders are on one file system.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import stats
from .part import Table
from .proc import running
from .snapshot import call

NAME = "jail"
MODES = ("outside", "jail")
RUNS = 40
MEMORY = 128
USER = 64321


def argv_outside(ctx, folder):
    shutil.copy(ctx.tree.guest("ticker"), folder / "kernel")
    return folder, [str(ctx.tree.vmm), "--api-sock", str(folder / "sock"),
                    "--kernel", str(folder / "kernel"), "--memory",
                    str(MEMORY)]


def argv_jail(ctx, folder):
    root = folder / "volt-vmm/b/root"
    root.mkdir(parents=True)
    shutil.copy(ctx.tree.guest("ticker"), root / "kernel")
    return root, [str(ctx.tree.vmm.parent / "volt-jailer"), "--id", "b",
                  "--exec-file", str(ctx.tree.vmm), "--uid", str(USER),
                  "--gid", str(USER), "--chroot-base-dir", str(folder), "--",
                  "--api-sock", "/sock", "--kernel", "/kernel", "--memory",
                  str(MEMORY)]


def may_jail():
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False,
                          capture_output=True).returncode == 0


def snapshot(mode, root):
    """us of one, and the bytes of its memory that are there."""
    prefix = "" if mode == "jail" else str(root)
    for name in ("state", "memory"):
        with contextlib.suppress(FileNotFoundError):
            (root / name).unlink()
    took = call(root / "sock", "PUT", "/snapshot/create", {
        "snapshot_path": f"{prefix}/state", "mem_file_path": f"{prefix}/memory"})
    return took, os.stat(root / "memory").st_blocks * 512


def measure(ctx):
    if not may_jail():
        return None
    times = {mode: [] for mode in MODES}
    sizes = {mode: [] for mode in MODES}
    with contextlib.ExitStack() as stack:
        roots = {}
        for mode, make in zip(MODES, (argv_outside, argv_jail)):
            folder = Path(stack.enter_context(
                tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vb")))
            folder.chmod(0o755)
            roots[mode], argv = make(ctx, folder)
            stack.enter_context(running(argv, "tick 2"))
            call(roots[mode] / "sock", "PATCH", "/vm", {"state": "Paused"})
        for number in range(-3, min(ctx.runs, RUNS)):
            for mode in MODES if number % 2 else reversed(MODES):
                took, size = snapshot(mode, roots[mode])
                if number >= 0:
                    times[mode].append(took)
                    sizes[mode].append(size)
    return {"create_us": {m: stats.summary(times[m]) for m in MODES},
            "memory_bytes": {m: max(sizes[m]) for m in MODES}}


def ratio(found, key="median"):
    times = found["create_us"]
    return times["jail"][key] / times["outside"][key]


def show(found):
    times, sizes = found["create_us"], found["memory_bytes"]
    rows = [[f"create, ms, {key}", *(f"{times[m][key] / 1000:.2f}"
                                     for m in MODES), f"{ratio(found, key):.2f}"]
            for key in ("min", "median")]
    rows.append(["memory file, KiB", *(f"{sizes[m] >> 10}" for m in MODES),
                 f"{sizes['jail'] / sizes['outside']:.2f}"])
    return [Table(["snapshot", *MODES, "ratio"], rows)]


TARGETS = (
    ("jail: snapshot time to outside", 1.25, "", ratio),
    ("jail: snapshot bytes to outside", 1.1, "",
     lambda found: found["memory_bytes"]["jail"]
     / found["memory_bytes"]["outside"]),
)
