# SPDX-License-Identifier: Apache-2.0
"""`volt run` of `true`, from the command to its exit: booted and from a warm
start, beside a bare boot of the same kernel by volt-vmm (to its init and out
again), and beside podman with crun on the same image, if that is installed.

All in one run, by turns; nobody has a network. What is shown is the wall time of
the process.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from . import host, lab, linux, report, stats
from .part import Table, find

NAME = "run"
IMAGE = "bench:1"
SECONDS = 300
BARE = "volt-vmm, the kernel alone"
SIZE = 1000  # bytes of a KB


def options(arg):
    arg.add_argument("--run-runs", type=int, default=7,
                     help="runs of each way to `true`")


def make_tar(path):
    """The root file system: busybox as true."""
    with tarfile.open(path, "w") as archive:
        archive.add(shutil.which("busybox"), "bin/true")
        data = b"root:x:0:0::/:/bin/true\n"
        info = tarfile.TarInfo("etc/passwd")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


def call(argv, env):
    """Microseconds of it."""
    begin = time.monotonic()
    run = subprocess.run([str(x) for x in argv], env=env, timeout=SECONDS,
                         stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, check=False)
    took = (time.monotonic() - begin) * 1e6
    if run.returncode:
        raise RuntimeError(f"{argv[0]}: {run.returncode} {run.stderr[-500:]}")
    return took


def podman(folder, env):
    """podman with the image loaded, or None."""
    program = shutil.which("podman")
    if not program:
        print("podman is not installed: no figures of it", file=sys.stderr)
        return None
    argv = [program, "--root", folder / "pr", "--runroot", folder / "pq",
            "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
    try:
        call([*argv, "import", folder / "x.tar", IMAGE], env)
    except RuntimeError as error:
        print(f"no figures of podman: {error}", file=sys.stderr)
        return None
    return [*argv, "run", "--rm", "--network", "none", "--cgroups", "disabled",
            f"localhost/{IMAGE}", "/bin/true"]


def ways(ctx, kernel, initrd, folder, env):
    volt = ctx.tree.vmm.with_name("volt")
    run = [volt, "run", "--net", "none", "--kernel", "debian", "--memory",
           f"{ctx.memory}M"]
    bare = linux.command(ctx, linux.volt(ctx.tree), kernel, initrd, "run")
    found = {BARE: bare,
             "volt run --no-warm": [*run, "--no-warm", IMAGE, "/bin/true"],
             "volt run, a warm start": [*run, IMAGE, "/bin/true"],
             "podman run, crun": podman(folder, env)}
    return {name: argv for name, argv in found.items() if argv}


def sizes(ctx, kernel):
    volt = ctx.tree.vmm.with_name("volt")
    return {"agent": (ctx.tree.build / "src/agent/volt-agent").stat().st_size,
            "volt": volt.stat().st_size, "kernel": Path(kernel).stat().st_size}


def measure_here(ctx, kernel, initrd):
    times, rows = {}, []
    with tempfile.TemporaryDirectory(prefix="vr") as name:
        folder = Path(name)
        env = {**os.environ, "VOLT_IMAGES": str(folder / "images"),
               "VOLT_CACHE": str(folder / "cache"), "VOLT_STORE": os.path.join(
                   os.environ.get("VOLT_CACHE") or os.path.expanduser(
                       "~/.cache/volt"), "store")}
        make_tar(folder / "x.tar")
        call([ctx.tree.vmm.with_name("volt"), "image", "add", "--name", IMAGE,
              folder / "x.tar"], env)
        each = ways(ctx, kernel, initrd, folder, env)
        # The first fills caches, and saves the warm start.
        for i in range(-1, ctx.run_runs):
            for way, argv in list(each.items()):
                try:
                    took = call(argv, env)
                except RuntimeError as error:
                    print(f"{way} failed: {error}", file=sys.stderr)
                    del each[way]
                    continue
                if i >= 0:
                    times.setdefault(way, []).append(took)
    rows = [{"name": way, "us": stats.summary(took)}
            for way, took in times.items()]
    return {"host": host.describe(), "rows": rows, "sizes": sizes(ctx, kernel)}


def measure(ctx):
    """Here when KVM runs Linux, else in the lab."""
    kernels, initrd = linux.wanted(ctx)
    if not kernels or not initrd:
        print("no guest kernel or initramfs: no figures of volt run")
        return None
    if not host.runs_linux():
        return linux.in_lab(ctx, NAME, kernels, initrd,
                            f"--run-runs={ctx.run_runs}")
    return measure_here(ctx, next(iter(kernels.values())), initrd)


def over_bare(found, name):
    row, bare = find(found["rows"], name), find(found["rows"], BARE)
    return row["us"]["median"] / bare["us"]["median"] if row and bare else None


def show(found):
    rows = [[row["name"], f"{row['us']['median'] / 1000:.0f}",
             f"{row['us']['min'] / 1000:.0f}", f"{row['us']['p95'] / 1000:.0f}",
             f"{over_bare(found, row['name']):.2f}"
             if over_bare(found, row["name"]) else "-"]
            for row in found["rows"]]
    size = ", ".join(f"{name} {value / SIZE:.0f} KB"
                     for name, value in found["sizes"].items())
    return [Table(["`true`, from the command to its exit, ms", "median",
                   "least", "p95", "/ bare boot"], rows), f"sizes: {size}",
            "figures of volt run: " + report.host_line(found["host"])]
