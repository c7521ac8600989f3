# SPDX-License-Identifier: Apache-2.0
"""Images: what `volt image add` takes for a root file system, against `tar x`
of the same archive, plain and by gzip, from the page cache to the same disk.

The files are of this tree's build, and many small ones. What is added is hashed
three times and synced to the disk, what tar unpacks is neither.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from . import stats
from .part import Table

NAME = "image"
RUNS = 7
FILES_MIB = 192
SMALL = 2000
WAYS = ("tar", "tar.gz")


def make(tree, folder):
    """The archives; bytes of their files."""
    total = 0
    with tarfile.open(folder / "x.tar", "w") as archive:
        for path in sorted(tree.vmm.parent.rglob("*")):
            if path.is_file() and not path.is_symlink() and \
                    path.suffix in ("", ".a", ".o", ".c"):
                if total + path.stat().st_size > FILES_MIB << 20:
                    continue
                total += path.stat().st_size
                archive.add(path, f"large/{path.relative_to(tree.vmm.parent)}")
        (folder / "small").write_bytes(b"x" * 700)
        for i in range(SMALL):
            archive.add(folder / "small", f"small/{i % 40}/{i}")
            total += 700
    with open(folder / "x.tar.gz", "wb") as out:
        subprocess.run(["gzip", "-1c", folder / "x.tar"], stdout=out,
                       check=True)
    return total


def seconds(argv, **env):
    begin = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, **env})
    return time.monotonic() - begin


def unpack(folder, way):
    to = folder / "to"
    to.mkdir()
    took = seconds(["tar", "-xf", folder / f"x.{way}", "-C", to])
    shutil.rmtree(to)
    return took


def add(ctx, folder, way):
    took = seconds([ctx.tree.vmm.with_name("volt"), "image", "add",
                    folder / f"x.{way}"], VOLT_IMAGES=str(folder / "store"))
    shutil.rmtree(folder / "store")
    return took


def measure(ctx):
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vb") as name:
        folder = Path(name)
        total = make(ctx.tree, folder)
        found = {"bytes": total, "ways": {}}
        for way in WAYS:
            ours, theirs = [], []
            for i in range(-1, min(ctx.runs, RUNS)):
                pair = add(ctx, folder, way), unpack(folder, way)
                if i >= 0:
                    ours.append(pair[0])
                    theirs.append(pair[1])
            found["ways"][way] = {"add": stats.summary(ours),
                                  "tar": stats.summary(theirs)}
    return found


def ratio(found, way):
    return found["ways"][way]["add"]["median"] / \
        found["ways"][way]["tar"]["median"]


def show(found):
    mib = found["bytes"] / (1 << 20)
    return [f"{mib:.0f} MiB of files, median MiB/s", Table(
        ["archive", "volt image add", "tar x", "time, ratio"],
        [[way, f"{mib / x['add']['median']:.0f}",
          f"{mib / x['tar']['median']:.0f}", f"{ratio(found, way):.2f}"]
         for way, x in found["ways"].items()])]


TARGETS = tuple(
    (f"image: volt image add to tar x, {way}", 4.0, "",
     lambda found, way=way: ratio(found, way)) for way in WAYS)
