# SPDX-License-Identifier: Apache-2.0
"""EIO and ENOSPC of each call of a squash, merge, import, export and verify.

strace makes the list of calls that touch files and lets one fail. Whatever
fails, the snapshot that was there is there, whole, or the new one is; and who
is told of success has the result. Also an export that is killed. Without
VOLT_TEST_LONG=1 the first and the last call of a kind, and some others, fail:
some 12 seconds.
"""

import collections
import os
import re
import shutil
import subprocess

from test_snapshot_chain import LIMIT, a_chain, done, volt
from test_snapshot_diff import VOLT, check_clone
from test_snapshot_killed import LONG, NAMES, some

READS = {"preadv2", "read", "lseek", "openat"}
WRITES = {"pwritev2", "write", "copy_file_range", "ftruncate", "fsync",
          "linkat", "renameat", "openat", "mkdirat", "link"}
FILLS = WRITES - {"openat", "fsync", "renameat"}
# What else would end the program before it is one.
FIRST = "state.json"


def file_calls(trace, names):
    """(name, n) of each that is made after the first look at a snapshot."""
    seen, found, begun = collections.Counter(), [], False
    for name, rest in re.findall(r"^\d+ +(\w+)\((.*)", trace, re.M):
        seen[name] += 1
        begun = begun or FIRST in rest or "voltprc1" in rest
        # Standard output and error are the caller's.
        if begun and name in names and not (
                name == "write" and rest[0] in "12"):
            found.append((name, seen[name]))
    return found


class Place:
    """A chain of s0 and s1, and what a command makes of it."""

    def __init__(self, vmm, folder):
        self.vmm = vmm
        self.folder = folder / "store"
        self.folder.mkdir()
        self.kept = folder / "kept"
        self.trace = folder / "trace"
        self.written = a_chain(vmm, self.folder, 1)
        self.sent = folder / "sent"
        done(volt("export", "--whole", self.folder / "s1", self.sent))
        subprocess.run(["cp", "-a", self.folder, self.kept], check=True)

    def fresh(self):
        shutil.rmtree(self.folder)
        subprocess.run(["cp", "-a", self.kept, self.folder], check=True)

    def run(self, argv, *inject):
        return subprocess.run(
            ["strace", "-f", "-o", self.trace, *inject, VOLT, "snapshot",
             *argv], text=True, capture_output=True, timeout=LIMIT,
            check=False)

    def whole(self, what):
        """All that is there is right, and what lies beside it can go.

        Where the last names could not be made nobody fails: the next one, or
        gc, makes them.
        """
        tidied = volt("gc", self.folder)
        assert tidied.returncode == 0 and "left" not in tidied.stdout, \
            (what, tidied)
        result = volt("verify", self.folder)
        assert result.returncode == 2, (what, result)  # there are no CRCs
        for name in ("s0", "s1"):
            assert sorted(os.listdir(self.folder / name)) == NAMES, what


def fails(place, argv, names, errors, after=lambda what, code: None):
    place.fresh()
    good = place.run(argv)
    assert good.returncode in (0, 2), good
    calls = file_calls(place.trace.read_text(), names)
    assert len(calls) > 2
    for error in errors:
        for name, number in some(calls):
            place.fresh()
            what = (argv[0], error, name, number)
            result = place.run(argv, "-e", f"inject={name}:error={error}:"
                               f"when={number}")
            assert result.returncode in (good.returncode, 1), (what, result)
            assert (result.returncode == 1) == (result.stderr != ""), \
                (what, result)
            after(what, result.returncode)
            place.whole(what)


def test_what_changes_a_snapshot(vmm, tmp_path):
    """Old or new, and nothing else."""
    place = Place(vmm, tmp_path)
    s0, s1 = place.folder / "s0", place.folder / "s1"
    ways = [["squash", s1], ["import", place.sent, s1]]
    if LONG:  # a merge is a squash of two
        ways.append(["merge", s0, s1])
    for argv in ways:
        fails(place, argv, READS | WRITES, ["EIO"])
        fails(place, argv, FILLS, ["ENOSPC"])
    check_clone(vmm, s1, *place.written.checks("s1"))
    # One thread's calls; without its map a diff is what its holes say.
    os.removexattr(place.kept / "s1/memory.snap", "user.volt.extents")
    fails(place, ["compress", s1], {"lseek"}, ["EIO"])


def test_what_only_reads(vmm, tmp_path):
    """An export is there as a whole or not at all."""
    place = Place(vmm, tmp_path)
    out = tmp_path / "out"

    def exported(what, code):
        assert out.exists() == (code == 0), what
        if code == 0:
            assert out.stat().st_size == place.sent.stat().st_size, what
        out.unlink(missing_ok=True)

    argv = ["export", "--whole", place.folder / "s1", out]
    place.run(argv)
    out.unlink(missing_ok=True)
    real_fresh = place.fresh

    def fresh():
        real_fresh()
        out.unlink(missing_ok=True)
    place.fresh = fresh
    fails(place, argv, READS | WRITES, ["EIO"], exported)
    fails(place, argv, FILLS, ["ENOSPC"], exported)
    fails(place, ["verify", place.folder / "s1"], {"preadv2", "read"}, ["EIO"])
    fresh()
    done(place.run(argv))
    for name, number in some(file_calls(place.trace.read_text(),
                                        READS | WRITES)):
        fresh()
        place.run(argv, "-e", f"inject={name}:signal=KILL:when={number}")
        if out.exists():
            assert volt("verify", out).returncode == 0, (name, number)
        place.whole((name, number))
