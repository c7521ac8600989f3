# SPDX-License-Identifier: Apache-2.0
"""What each option of `volt kernel build` costs on the way to /init.

The base, the base with one option each, and the tests' slim kernel, which has
seven of them. They take turns, so that what disturbs a run disturbs all; exits
and faults are those of one more boot each, whose guest stays at /init: bench/init,
and nothing else is in the initramfs. All files are read from memory: how the lab
comes to the host's costs more than the guest.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import host, kvmstat, lab, linux, stats
from .kvmstat import EXITS, PAGES
from .part import Table, find, ms, once

NAME = "kernel"
TARGET = 0.6
ROOT = lab.ROOT
FRAGMENTS = ROOT / "src/kernel/config"


def options(arg):
    arg.add_argument("--kernel-options", default="",
                     help="build the base, and it with each of these options: "
                          "a list, or all; minutes each (default: the part "
                          "kernel takes what is built)")
    arg.add_argument("--kernel-file", type=linux.parse_kernel,
                     action="append", default=[],
                     help="NAME=PATH, of the part kernel")


def there_are():
    return sorted(p.stem for p in FRAGMENTS.glob("*.config")
                  if p.stem != "base")


def volt(tree, *words):
    """The path that `volt kernel` prints, in the cache's store; or None."""
    cache = os.environ.get("VOLT_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
        "volt")
    env = {**os.environ, "VOLT_CACHE": cache, "VOLT_STORE": f"{cache}/store"}
    quiet = subprocess.DEVNULL if words[0] == "path" else None
    run = subprocess.run([tree.build / "volt", "kernel", *words], text=True,
                         stdout=subprocess.PIPE, stderr=quiet, env=env,
                         check=False)
    return run.stdout.strip() if run.returncode == 0 else None


def name_of(option):
    """Of the store: another one for other fragments."""
    digest = hashlib.sha256()
    for name in ("base", *([option] if option else [])):
        digest.update((FRAGMENTS / f"{name}.config").read_bytes())
    return f"bench-{option or 'base'}-{digest.hexdigest()[:8]}"


def one(ctx, option, build):
    """The path of the base with that option, or None."""
    name = name_of(option)
    path = volt(ctx.tree, "path", name)
    if not path and build and volt(
            ctx.tree, "build", "--package", "linux-source-6.1", "--suite",
            "bookworm", "--with", option, "--name", name,
            "--keep") is not None:
        path = volt(ctx.tree, "path", name)
    return Path(path) if path else None


def kernels(ctx):
    """By name, the base first."""
    if ctx.kernel_file:
        return dict(ctx.kernel_file)
    wish = there_are() if ctx.kernel_options == "all" else \
        ctx.kernel_options.split(",") if ctx.kernel_options else []
    if unknown := set(wish) - set(there_are()):
        sys.exit(f"bench/run: no option {unknown.pop()} of a kernel; there are "
                 + ", ".join(there_are()))
    found = {}
    for option in ["", *there_are()]:
        path = one(ctx, option, wish and (not option or option in wish))
        if path:
            found[f"+ {option}" if option else "base"] = path
    if (slim := lab.made_by("tests/kernel/slim", "--there")):
        found["slim"] = slim
    return found | dict(ctx.boot_kernel)


def vmm_in(folder, tree):
    """volt-vmm, its program copied there."""
    program = Path(shutil.copy(tree.vmm, folder))
    peer = linux.volt(tree)
    peer.argv[0] = str(program)
    return peer


def forget(ctx):
    """Write what the last guest may have had.

    An emulator has translated the code that was there, and has to forget that
    when the memory is written: the next guest's boot must not pay for it.
    """
    return len(bytearray(b"x") * (2 * ctx.memory << 20))


def rounds(ctx, vmm, initrd, files):
    """Microseconds to /init, by kernel."""
    times = {name: [] for name in files}
    for number in range(-1, ctx.boot_runs):
        for name, path in files.items():
            forget(ctx)
            mark, _, status, text = once(
                ctx.tree, ["-m", linux.MARK, "-t", "120", *linux.command(
                    ctx, vmm, path, initrd, "run")])
            if mark is None:
                sys.exit(f"bench/run: the kernel {name} does not boot (status "
                         f"{status}) {text.strip()[-400:]}")
            if number >= 0:
                times[name].append(mark)
    return times


def measure_here(ctx, folder, files):
    vmm = vmm_in(folder, ctx.tree)
    initrd = folder / "initrd"
    subprocess.run([ROOT / "tests/initramfs/pack", "-o", initrd,
                    f"init={ctx.tree.find('bench/init')}"], check=True)
    near = {name: shutil.copyfile(path, folder / f"kernel{number}")
            for number, (name, path) in enumerate(files.items())}
    times = rounds(ctx, vmm, initrd, near)
    debugfs = kvmstat.mount()
    return [{"name": name, "bytes": path.stat().st_size,
             "init_us": stats.summary(times[name]),
             "counts": debugfs and linux.counts(
                 linux.command(ctx, vmm, path, initrd, "stay"), debugfs)}
            for name, path in near.items()]


def measure(ctx):
    files = kernels(ctx)
    if "base" not in files:
        print("no kernel of volt kernel build: --kernel-options all builds "
              "them", file=sys.stderr)
        return None
    if not host.runs_linux():
        return lab.measure(
            ctx, NAME, f"--boot-runs={ctx.boot_runs}",
            f"--boot-words={ctx.boot_words}",
            *(f"--kernel-file={n}={p}" for n, p in files.items()))
    with tempfile.TemporaryDirectory(dir="/dev/shm",
                                     prefix="volt-bench-") as folder:
        rows = measure_here(ctx, Path(folder), files)
    return {"host": host.describe(), "runs": ctx.boot_runs,
            "words": ctx.boot_words, "rows": rows}


def least(row, other):
    """The least time by the other's: what disturbs a run only adds to it."""
    return row["init_us"]["min"] / other["init_us"]["min"] \
        if row and other else None


def cells(row, base):
    value = least(row, base)
    counts = row["counts"] or {}
    numbers = ["exits", *EXITS.values(), *PAGES.values()]
    return [row["name"], str(row["bytes"] >> 10),
            *(ms(row["init_us"], key) for key in ("min", "median", "p95")),
            f"{value:.2f}" if value else "-",
            *(str(counts.get(name, "-")) for name in numbers)]


def show(found):
    base = find(found["rows"], "base")
    return [Table(["volt kernel build, to /init", "KiB", "least ms", "median",
                   "p95", "least / base",
                   "exits", *EXITS, *PAGES],
                  [cells(row, base) for row in found["rows"]])]


def base_to(name):
    return lambda found: least(find(found["rows"], "base"),
                               find(found["rows"], name))


TARGETS = (
    ("base kernel to init / slim", TARGET, "x", base_to("slim")),
)
