# SPDX-License-Identifier: Apache-2.0
"""Chains of diffs: restored as they are, merged in any order, squashed.

What is compared is every page that the guest wrote, at each moment. The guest
`pages` is told which.
"""

import ctypes
import itertools
import json
import mmap
import os
import random
import resource
import shutil
import struct
import subprocess

import pytest

from conftest import BUILD
from test_balloon import wait_until
from test_snapshot_diff import (AREA, PAGE, VOLT, asked, check_clone, end,
                                merge, save, start, stored)
from test_snapshot_versions import crc64

DEEP = 30
LIMIT = 60
SEED = 19


def volt(*argv):
    return subprocess.run([VOLT, "snapshot", *argv], text=True, check=False,
                          capture_output=True, timeout=LIMIT)


def done(result):
    assert (result.returncode, result.stderr) == (0, ""), result


class Written:
    """What the guest wrote, and its pages at each moment that was saved."""

    def __init__(self, run):
        self.run = run
        self.seed_of = {}
        self.at = {}
        self.seeds = itertools.count(1)

    def write(self, first, count):
        seed = next(self.seeds)
        asked(self.run, f"w {first} {count} {seed}", "wrote")
        self.seed_of.update((page, seed)
                            for page in range(first, first + count))

    def mark(self, name):
        self.at[name] = dict(self.seed_of)

    def checks(self, name):
        """The guest's words that check all of them."""
        pages = sorted(self.at[name].items())
        for seed, run in itertools.groupby(
                enumerate(pages), lambda x: (x[1][1], x[1][0] - x[0])):
            run = list(run)
            yield f"c {run[0][1][0]} {len(run)} {seed[0]}"


def a_chain(vmm, folder, depth, *args):
    """s0 whole, s1 to s<depth> diffs, in folder."""
    run, api = start(vmm, folder, *(args or ["--track-dirty-pages"]))
    written = Written(run)
    chance = random.Random(SEED)
    written.write(0, 400)
    save(api, folder / "s0", "Full")
    written.mark("s0")
    for i in range(1, depth + 1):
        for _ in range(3):
            written.write(chance.randrange(1000), chance.randrange(1, 20))
        save(api, folder / f"s{i}")
        written.mark(f"s{i}")
    run.process.kill()
    return written


def refused(vmm, folder, *words):
    result = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                        folder]).finish()
    assert result.code == 1
    for word in words:
        assert word in result.log, result.log


def test_a_deep_chain(vmm, tmp_path):
    """Restored, merged in pieces, squashed: byte for byte the same."""
    store = tmp_path / "store"
    store.mkdir()
    written = a_chain(vmm, store, DEEP)
    for i in (0, 1, DEEP // 2, DEEP):
        check_clone(vmm, store / f"s{i}", *written.checks(f"s{i}"))
    # Two diffs make a larger one, whichever are merged first.
    order = list(range(2, DEEP + 1))
    random.Random(SEED).shuffle(order)
    for i in order[:8]:
        below = next(k for k in range(i - 1, -1, -1)
                     if (store / f"s{k}").exists())
        if below == 0:
            continue
        before = stored(store / f"s{below}" / "memory.snap")
        done(merge(store / f"s{below}", store / f"s{i}"))
        assert before <= stored(store / f"s{i}" / "memory.snap")
        shutil.rmtree(store / f"s{below}")
    check_clone(vmm, store / f"s{DEEP}", *written.checks(f"s{DEEP}"))
    # A copy without attributes, whose memory is known by its proof.
    subprocess.run(["cp", "-r", "--sparse=auto", store, tmp_path / "copy"],
                   check=True)
    check_clone(vmm, tmp_path / "copy" / f"s{DEEP}",
                *written.checks(f"s{DEEP}"))
    done(volt("squash", store / f"s{DEEP}"))
    alone = tmp_path / "alone"
    shutil.move(store / f"s{DEEP}", alone)
    check_clone(vmm, alone, *written.checks(f"s{DEEP}"))
    again = volt("squash", alone)
    assert again.returncode == 1 and "whole already" in again.stderr


@pytest.mark.parametrize("tracked", [True, False], ids=["log", "pagemap"])
def test_a_clone_of_a_chain_is_saved(vmm, tmp_path, tracked):
    """Full and diff, of memory that is mapped from several files."""
    written = a_chain(vmm, tmp_path, 3)
    run, api = start(vmm, tmp_path, *["--track-dirty-pages"] * tracked,
                     restore=tmp_path / "s3")
    written.run = run
    written.write(395, 10)
    save(api, tmp_path / "diff")
    written.mark("diff")
    written.write(2000, 3)
    save(api, tmp_path / "full", "Full")
    written.mark("full")
    save(api, tmp_path / "last")
    written.mark("last")
    run.process.kill()
    for name in ("diff", "full", "last"):
        check_clone(vmm, tmp_path / name, *written.checks(name))
    done(volt("squash", tmp_path / "last"))
    check_clone(vmm, tmp_path / "last", *written.checks("last"))


def test_among_many_with_few_descriptors(vmm, tmp_path):
    """What lies beside a chain costs it nothing that it needs."""
    a_chain(vmm, tmp_path, 2)
    for i in range(40):
        subprocess.run(["cp", "-a", tmp_path / "s0", tmp_path / f"t{i}"],
                       check=True)
    result = subprocess.run(
        [VOLT, "snapshot", "squash", tmp_path / "s2"], text=True, check=False,
        capture_output=True, timeout=LIMIT, preexec_fn=lambda:
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)))
    done(result)


def test_two_files_of_a_client(vmm, tmp_path):
    """Memory files in one directory are each other's bases."""
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    written = Written(run)
    for i in range(3):
        written.write(5 * i, 10)
        api.set("PATCH", "/vm", {"state": "Paused"})
        api.set("PUT", "/snapshot/create", {
            "snapshot_path": str(tmp_path / f"vm{i}"),
            "mem_file_path": str(tmp_path / f"mem{i}"),
            "snapshot_type": "Diff" if i else "Full"})
        api.set("PATCH", "/vm", {"state": "Resumed"})
    written.mark("end")
    run.process.kill()
    clone = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                       tmp_path / "vm2", "--snapshot-memory",
                       tmp_path / "mem2"])
    for line in written.checks("end"):
        asked(clone, line, "right")
    end(clone)


def test_what_is_wrong_is_named(vmm, tmp_path):
    """A base that is missing, changed, cut; and bases in a circle."""
    a_chain(vmm, tmp_path, 2)
    s1, away = tmp_path / "s1", tmp_path / "away"
    away.mkdir()
    shutil.move(s1, away / "s1")
    refused(vmm, tmp_path / "s2", f"{tmp_path}/s2/memory.snap holds only what "
            "changed since snapshot ", f"which is not in {tmp_path}: ")
    shutil.copytree(away / "s1", s1)
    memory = tmp_path / "s0/memory.snap"
    if os.geteuid() == 0:
        os.chown(memory, 65534, 65534)
        refused(vmm, tmp_path / "s2",
                f"{memory} belongs to another user: copy it")
        os.chown(memory, 0, 0)
    with open(memory, "r+b") as file:
        file.seek(AREA)
        old = file.read(64 * PAGE)
        file.seek(AREA)
        file.write(b"\0" * (400 * PAGE))
    refused(vmm, tmp_path / "s2", f"{s1}/memory.snap holds only what changed "
            "since snapshot ", "that is not as it was", f"{memory} does not "
            "hold the memory of snapshot")
    assert old != b"\0" * len(old)
    os.truncate(memory, 1 << 20)
    refused(vmm, tmp_path / "s2", f"{memory} is damaged: the memory file "
            "holds 1048576 bytes")
    # As a hostile hand would make it: s0 and s1 differ from each other.
    shutil.rmtree(tmp_path / "s0")
    shutil.copytree(away / "s1", tmp_path / "s0")
    label = bytearray(os.getxattr(s1 / "memory.snap", "user.volt.memory"))
    first, other = bytes(label[8:16]), b"12345678"
    for name, moment, base in (("s1", first, other), ("s0", other, first)):
        memory = tmp_path / name / "memory.snap"
        stat = os.stat(memory)
        label[8:24] = moment + base
        label[32:] = struct.pack("<QQ", stat.st_mtime_ns // 10**9,
                                 stat.st_mtime_ns % 10**9)
        os.setxattr(memory, "user.volt.memory", bytes(label))
    refused(vmm, tmp_path / "s2", "which differs from it again: a circle")


def resident(memory, page):
    """Is a page of the file in the page cache? Nothing else touches it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(memory, "r+b") as file, \
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE) as view:
        found = (ctypes.c_ubyte * 1)()
        at = ctypes.addressof(ctypes.c_char.from_buffer(view, page * PAGE))
        assert libc.mincore(ctypes.c_void_p(at), PAGE, found) == 0
    return bool(found[0] & 1)


def forget(memory):
    """Or the test says nothing: a file system may keep all in memory."""
    with open(memory, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def working_set(folder, pages):
    moment = json.loads((folder / "state.json").read_text())["memory_moment"]
    moment = int(str(moment), 16)
    head = struct.pack("<8sQII", b"voltwset", moment, len(pages), 0)
    data = struct.pack(f"<{len(pages)}I", *pages)
    (folder / "working-set").write_bytes(
        head + struct.pack("<Q", crc64(head + data)) + data)


def test_pages_are_read_ahead(vmm, tmp_path):
    """Of raw memory those of the working set; of a diff without one its own.

    The VM does not run: nothing asks for these pages.
    """
    far, diff = 16384 - 64, 16384 - 128  # of 64 MiB; the VMM touches none near
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    first = AREA // PAGE
    asked(run, f"w {far - first} 8 1", "wrote")
    asked(run, f"w {diff - first} 8 1", "wrote")
    save(api, tmp_path / "s0", "Full")
    asked(run, f"w {diff - first} 8 2", "wrote")
    save(api, tmp_path / "s1")
    run.process.kill()
    working_set(tmp_path / "s0", [*range(far, far + 8), 2 ** 32 - 1])

    def seen(name, page, *args):
        for memory in tmp_path.glob("*/memory.snap"):
            forget(memory)
        memory = tmp_path / name / "memory.snap"
        if resident(memory, page):
            pytest.skip("this file system keeps what nobody needs")
        run, api = start(vmm, tmp_path, "--paused", *args,
                         restore=tmp_path / name)
        wait_until(lambda: api.call("GET", "/")[1]["state"] == "Paused",
                   "the VM is paused")
        there = resident(memory, page)
        run.process.kill()
        run.process.wait()
        return there

    if seen("s0", far, "--hot-limit", "0"):
        pytest.skip("this host reads so much more that nothing shows")
    assert seen("s0", far)
    assert not seen("s1", diff, "--hot-limit", "0")
    assert seen("s1", diff)
    # A hint of another moment, or a damaged one, is none.
    (tmp_path / "s0/working-set").write_bytes(b"x" * 100)
    assert not seen("s0", far)
