# SPDX-License-Identifier: Apache-2.0
"""Every way that a snapshot goes, in any order: the same memory comes out.

A guest writes pages all the time. Each round a clone of the newest snapshot
writes and is saved as a diff of it, while it runs one of the snapshots is
merged, squashed, exported and imported, compressed or copied, and what any of
them holds is compared, page by page, with what it held when it was saved: an
export of the whole chain says so, and so does the guest at the end, from raw
files, and from compressed ones that volt-pager serves. The VM has one of each
device that needs no tap. VOLT_TEST_LONG=1: 30 rounds, and memories up to 8 GiB.
"""

import os
import random
import shutil
import struct
import subprocess
from zlib import crc32

import pytest

from conftest import BUILD, LONG, long_only
from test_snapshot_chain import LIMIT, SEED, Written, done, volt
from test_snapshot_diff import (AREA, LOG, PAGE, RING, asked, check_clone, end,
                                merge, need_ring, save, start)
from test_snapshot_uffd import need_uffd

ROUNDS = 30 if LONG else 8
MOST = 3 << 30  # the guest's addresses have a gap behind it
HEAD = struct.Struct("<IIQQQ")
DATA = 2


def contents(folder, scratch):
    """What the snapshot holds with all that it needs: page to checksum."""
    scratch.unlink(missing_ok=True)
    done(volt("export", "--whole", folder, scratch))
    pages = {}
    with open(scratch, "rb") as parcel:
        assert parcel.read(8) == b"voltprc1"
        while head := parcel.read(HEAD.size):
            kind, _, at, length, _ = HEAD.unpack(head)
            if kind != DATA:
                parcel.seek(length if kind == 1 else 0, os.SEEK_CUR)
                continue
            for off in range(at, at + length, PAGE):
                page = parcel.read(PAGE)
                if page.count(0) != PAGE:
                    pages[off] = crc32(page)
    return pages


class Store:
    """Snapshots s0, s1 ... each a diff of the one before, or no longer."""

    def __init__(self, folder):
        self.folder = folder / "store"
        self.folder.mkdir()
        self.scratch = folder / "scratch"
        self.dice = random.Random(SEED)
        self.names = []
        self.held = {}

    def __getitem__(self, name):
        return self.folder / name

    def add(self, name):
        self.names.append(name)
        self.held[name] = contents(self[name], self.scratch)

    def check(self, name):
        assert contents(self[name], self.scratch) == self.held[name], name

    # ---- ways ----

    def merge(self, name):
        """With the one before it, which goes."""
        below = self.names[self.names.index(name) - 1]
        result = merge(self[below], self[name])
        if "whole already" in result.stderr:
            return
        done(result)
        shutil.rmtree(self[below])
        self.names.remove(below)

    def squash(self, name):
        result = volt("squash", self[name])
        assert result.returncode == 0 or "whole already" in result.stderr, \
            result

    def transfer(self, name):
        self.scratch.unlink(missing_ok=True)
        done(volt("export", self[name], self.scratch))
        shutil.rmtree(self[name])
        done(volt("import", self.scratch, self[name]))

    def pack(self, name):
        """And back, as a VM starts from raw memory."""
        for way in ("compress", "decompress"):
            result = volt(way, self[name])
            assert result.returncode == 0, result
            self.check(name)

    def copy(self, name):
        """Without the label."""
        subprocess.run(["cp", "-r", "--sparse=auto", self[name],
                        self["copied"]], check=True)
        shutil.rmtree(self[name])
        self["copied"].rename(self[name])

    def one_way(self):
        way = self.dice.choice((self.merge, self.squash, self.transfer,
                                self.transfer, self.pack, self.copy))
        name = self.dice.choice(self.names[1:] if way == self.merge
                                else self.names)
        way(name)
        for checked in {name, self.dice.choice(self.names), self.names[-1]}:
            self.check(checked)


def some_pages(dice, pages):
    count = dice.randrange(1, 20)
    return dice.randrange(pages - count), count


def devices(folder):
    """One of each that needs nothing of the host; both engines."""
    drives = []
    for engine in ("Sync", "Async"):
        with open(folder / engine, "wb") as file:
            file.truncate(1 << 20)
        drives.append({"drive_id": engine, "is_root_device": False,
                       "path_on_host": str(folder / engine),
                       "io_engine": engine})
    return {"entropy": {}, "drives": drives,
            "vsock": {"guest_cid": 3, "uds_path": str(folder / "vsock")},
            "balloon": {"amount_mib": 0, "deflate_on_oom": True,
                        "free_page_reporting": True}}


def check_served(vmm, folder, sock, *checks):
    """Some files of the chain are compressed: a pager serves it."""
    pager = subprocess.Popen([BUILD / "volt-pager", "--background", sock,
                              folder])
    assert pager.wait(LIMIT) == 0
    clone = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore", folder,
                       "--uffd", sock])
    for line in checks:
        asked(clone, line, "right")
    end(clone)


def kill(run, folder):
    """What it left is in the way of the next one's vsock."""
    run.process.kill()
    run.process.wait(LIMIT)
    (folder / "vsock").unlink(missing_ok=True)


def rounds(vmm, folder, mib, flags):
    need_ring(flags)
    store = Store(folder)
    pages = (min(mib << 20, MOST) - AREA) // PAGE - 32
    run, api = start(vmm, folder, *flags, memory=mib, devices=devices(folder))
    written = Written(run)
    written.write(0, 400)
    save(api, store["s0"], "Full")
    written.mark("s0")
    store.add("s0")
    for i in range(1, ROUNDS + 1):
        kill(run, folder)
        run, api = start(vmm, folder, *flags, restore=store[f"s{i - 1}"])
        written.run = run
        for _ in range(3):
            written.write(*some_pages(store.dice, pages))
        if i > 1:
            store.one_way()
        written.write(*some_pages(store.dice, pages))
        save(api, store[f"s{i}"])
        written.mark(f"s{i}")
        store.add(f"s{i}")
    kill(run, folder)
    for name in store.names:
        store.check(name)
    verified = volt("verify", store.folder)
    assert verified.returncode == 2, verified  # there are no CRCs
    some = {store.names[0], store.dice.choice(store.names), store.names[-1]}
    for name in some:
        check_clone(vmm, store[name], *written.checks(name))
    need_uffd()
    for name in store.names[::2]:
        assert volt("compress", store[name]).returncode == 0
        store.check(name)
    for name in some:
        check_served(vmm, store[name], folder / "pager",
                     *written.checks(name))


FLAGS = pytest.mark.parametrize(
    "flags", [LOG, RING, []],
    ids=["log", "ring", "pagemap"])


@FLAGS
def test_every_way(vmm, tmp_path, flags):
    rounds(vmm, tmp_path, 64, flags)


@long_only("minutes each")
@pytest.mark.parametrize("mib", [3073, 8192])
@FLAGS
def test_every_way_of_large_ones(vmm, tmp_path, mib, flags):
    """On both sides of the gap below 4 GiB, and sparse."""
    rounds(vmm, tmp_path, mib, flags)
