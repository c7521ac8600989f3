# SPDX-License-Identifier: Apache-2.0
"""Compressed memory: how fast it is read, how large it is, how soon a guest
answers that is served, against the same snapshot mapped; all with cold files.

The memory is a guest's that holds files of this tree's build, which stand for
programs and data. The guest's answer needs pages all over its memory.
"""

import ctypes
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import stats, svg
from .part import Table
from .snapshot import call

NAME = "packed"
MEMORY_MIB = 256
FRAMES_KIB = (64, 128, 256, 512, 1024, 2048)
FILES_MIB = 96
RUNS = 21
WARM = "mapped, all of it in the page cache"
HOT = ("mapped, working set read ahead", "served, working set first",
       "served, compressed, hot run first")
PAGE = 4096
CHUNK = 1 << 20
# A pager that has read nothing for so long reads no more.
AHEAD_SECONDS = 0.2
# The guest writes so many pages, and answers by one in so many, in pieces.
WRITTEN, PIECES, PIECE = 32768, 64, 8
STRIDE = WRITTEN // PIECES
# Pages all over the memory; one answer.
QUESTION = f"r 0 {PIECE} 1 {STRIDE} {PIECES}"


class Guest:
    """The guest `pages`, by its console."""

    def __init__(self, argv):
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)

    def ask(self, *lines):
        """us since the start until all of them were answered."""
        self.process.stdin.write("".join(x + "\n" for x in lines).encode())
        self.process.stdin.flush()
        for _ in lines:
            said = self.process.stdout.readline()
            if not re.match(rb"right|wrote|ready", said):
                sys.exit(f"bench/run: packed: the guest says {said!r}")
        return (time.monotonic() - self.begin) * 1e6

    def end(self):
        self.process.kill()
        self.process.wait()


def forget_nothing(folder):
    """All of these files is in the page cache."""
    for path in folder.iterdir():
        path.read_bytes()


def make(tree, folder):
    """A snapshot of a guest that wrote its pages."""
    sock = folder / "api"
    guest = Guest([tree.vmm, "--api-sock", sock, "--kernel",
                   tree.guest("pages"), "--memory", str(MEMORY_MIB)])
    guest.process.stdout.readline()
    guest.ask(f"w 0 {WRITTEN} 1")
    call(sock, "PATCH", "/vm", {"state": "Paused"})
    call(sock, "PUT", "/snapshot/create", {"snapshot_path": f"{folder}/raw/"})
    guest.end()


def volt(tree, *argv):
    subprocess.run([tree.vmm.with_name("volt"), *argv], check=True,
                   stdout=subprocess.DEVNULL)


def forget(folder):
    """Nothing of these files is in the page cache."""
    for path in folder.iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def serving(argv, sock):
    """The process of @argv, once its socket is there."""
    server = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    while not sock.exists():
        if server.poll() is not None:
            sys.exit(f"bench/run: {argv[0]} does not serve")
        time.sleep(0.0005)
    return server


def answer(tree, folder, pager=None, more=(), prepare=forget,
           question=QUESTION):
    """(us to the first answer, what the pager tells), with cold files.

    @pager: its options; None: there is none, the file is mapped.
    @more: options of the VMM.
    @prepare: what is done to the files.

    It is one question and one answer, of pages all over the memory, so that
    the console, each of whose bytes leaves the guest, is not what is measured.
    """
    argv = [tree.vmm, "--no-api", "--restore", folder, *more]
    server, sock = None, folder.parent / "pager"
    prepare(folder)
    begin = time.monotonic()
    if pager is not None:
        server = serving([tree.vmm.with_name("volt-pager"), "--json", *pager,
                          sock, folder], sock)
        argv += ["--uffd", sock]
    guest = Guest(argv)
    guest.begin = begin
    took = guest.ask(question)
    guest.end()
    return took, server.communicate(timeout=60)[1] if server else ""


class Resident:
    """Which pages of a file are in the page cache."""

    libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, path):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE,
                                 mmap.PROT_READ | mmap.PROT_WRITE)
        self.pages = -(-len(self.map) // PAGE)
        self.at = ctypes.c_char.from_buffer(self.map)
        self.bits = (ctypes.c_ubyte * self.pages)()

    def bytes(self):
        if self.libc.mincore(ctypes.byref(self.at),
                             ctypes.c_size_t(self.pages * PAGE), self.bits):
            sys.exit("bench/run: packed: no mincore()")
        return sum(bytes(self.bits)) * PAGE


def read_ahead(tree, folder, path, want):
    """(bytes, bytes a second): what a pager that nobody asks reads of a cold
    file, until it has so many, or reads no more."""
    seen = Resident(path)
    forget(folder)
    sock = folder.parent / "ahead"
    server = subprocess.Popen([tree.vmm.with_name("volt-pager"), sock, folder],
                              stderr=subprocess.DEVNULL)
    begin = end = now = time.monotonic()
    size = 0
    while (size < want or not want) and now < end + AHEAD_SECONDS:
        before, have, now = now, seen.bytes(), time.monotonic()
        if have > size:
            begin = begin if size else before  # nothing was there before
            size, end = have, now
    server.kill()
    server.wait()
    sock.unlink(missing_ok=True)
    return size, size / (end - begin)


def sequential(folder, path, size):
    """Bytes a second of a read from the begin of the cold file on."""
    forget(folder)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    room = mmap.mmap(-1, CHUNK)
    begin, at = time.monotonic(), 0
    while at < size:
        got = os.preadv(fd, [room], at)
        if not got:
            break
        at += got
    took = time.monotonic() - begin
    os.close(fd)
    return at / took


def cold_reads(tree, folder):
    """A working set of all that the guest wrote: how fast a pager has it, and
    the storage's own rate, in turns."""
    answer(tree, folder, ["--record", folder / "working-set"],
           question=f"r 0 {WRITTEN} 1 {WRITTEN} 1")
    path = folder / "memory.snap"
    size = read_ahead(tree, folder, path, 0)[0]
    rates = {"ahead": [], "storage": []}
    for _ in range(RUNS):
        rates["ahead"].append(read_ahead(tree, folder, path, size)[1])
        rates["storage"].append(sequential(folder, path, size))
    return {"bytes": size,
            **{way: stats.summary(r)["median"] for way, r in rates.items()}}


def faults(text):
    return int(re.search(r'"faults":(\d+)', text).group(1))


def memory_of(tree, path):
    """Raw memory: what this tree's build has, between zeros."""
    files = sorted((p for p in Path(tree.build).rglob("*.[oa]")
                    if p.stat().st_size > PAGE), key=str)
    left = FILES_MIB << 20
    with open(path, "wb") as out:
        for file in files:
            data = file.read_bytes()[:left]
            data += bytes(-len(data) % PAGE)
            out.write(data)
            left -= len(data)
            if left <= 0:
                break
        out.truncate((out.tell() >> 20 << 20) + (64 << 20))


def speeds(tree, folder):
    """Per frame size: MB/s of libzstd and of the reader, and the file."""
    memory, small = folder / "memory", folder / "memory.zst"
    memory_of(tree, memory)
    subprocess.run(["zstd", "-q", "-1", "-f", memory, "-o", small], check=True)
    found = []
    for kib in FRAMES_KIB:
        line = subprocess.run([tree.find("bench/unpack"), memory, str(kib)],
                              check=True, capture_output=True, text=True)
        size, alone, ours, file = map(float, line.stdout.split())
        found.append({"kib": kib, "alone_mb_s": size / alone,
                      "ours_mb_s": size / ours, "bytes": int(file)})
    return found, small.stat().st_size


def measure(ctx):
    tree = ctx.tree
    if not shutil.which("zstd") or not os.access("/dev/userfaultfd", os.W_OK):
        print("no zstd, or no /dev/userfaultfd: no figures of compressed "
              "memory", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory(dir=tree.build) as name:
        folder = Path(name)
        make(tree, folder)
        raw, hot = folder / "raw", folder / "packed"
        recorded = answer(tree, raw, ["--record", raw / "working-set"])[1]
        shutil.copytree(raw, hot)
        volt(tree, "snapshot", "compress", hot)
        plain = folder / "plain"
        shutil.copytree(raw, plain)
        (plain / "working-set").unlink()
        ways = {"mapped": (plain, None),
                "mapped, working set read ahead": (raw, None),
                "served": (plain, ["--no-hot"]),
                "served, working set first": (raw, []),
                "served, compressed": (hot, ["--no-hot"]),
                "served, compressed, hot run first": (hot, []),
                WARM: (plain, None, (), forget_nothing)}
        times, left = {way: [] for way in ways}, {}
        for turn in range(RUNS):  # each goes first in its turn
            names = list(ways)
            for way in names[turn % len(names):] + names[:turn % len(names)]:
                took, text = answer(tree, *ways[way])
                times[way].append(took)
                if text:
                    left[way] = faults(text)
        sizes, one = speeds(tree, folder)
        cold = cold_reads(tree, plain)
    return {"cold": cold, "recorded": faults(recorded), "left": left, "zstd1_bytes": one,
            "answer_us": {way: stats.summary(t) for way, t in times.items()},
            "frames": sizes}


def show(found):
    mapped = found["answer_us"]["mapped"]["median"]
    yield Table(["cold restore to first answer", "ms", "to mapped",
                 "pages waited for"],
                [[way, f"{s['median'] / 1000:.1f}",
                  f"{s['median'] / mapped:.2f}",
                  str(found["left"].get(way, "-"))]
                 for way, s in found["answer_us"].items()])
    cold = found["cold"]
    yield (f"a cold working set of {cold['bytes'] >> 20} MiB is read at "
           f"{cold['ahead'] / 1e6:.0f} MB/s, as far as the page cache tells; "
           f"O_DIRECT in turns at {cold['storage'] / 1e6:.0f}")
    yield Table(["frame, KiB", "libzstd MB/s", "reader MB/s", "ratio",
                 "size to zstd -1"],
                [[str(f["kib"]), f"{f['alone_mb_s']:.0f}",
                  f"{f['ours_mb_s']:.0f}",
                  f"{f['ours_mb_s'] / f['alone_mb_s']:.2f}",
                  f"{f['bytes'] / found['zstd1_bytes']:.2f}"]
                 for f in found["frames"]])


def storage(found):
    return found["cold"]["storage"] / found["cold"]["ahead"]


def slower(found):
    """The reader, by libzstd alone."""
    return max(f["alone_mb_s"] / f["ours_mb_s"] for f in found["frames"])


def left(found):
    return (found["left"]["served, compressed, hot run first"]
            / found["recorded"])


def median(found, way):
    return found["answer_us"][way]["median"]


def sooner(found):
    return (min(median(found, way) for way in HOT)
            / median(found, "mapped"))


def added(found):
    """The same of what cold files add to a restore from the page cache, which
    is what the host's KVM takes for the guest's pages."""
    warm = median(found, WARM)
    return ((min(median(found, way) for way in HOT) - warm)
            / (median(found, "mapped") - warm))


TARGETS = [
    ("compressed memory: libzstd's own speed to the reader's", 1.25, "",
     slower),
    ("... pages waited for with the hot run, of those without", 0.03, "",
     left),
    ("... cold restore to first answer, best with a working set, to mapped",
     1 / 3, "", sooner),
    ("... the same of what cold files add to warm ones", 1 / 3, "", added),
    ("... the storage's sequential rate to that of a cold working set", 1 / 0.9,
     "", storage),
]


SHORT = {
    "mapped, working set read ahead": "mapped, read ahead",
    "served, working set first": "served, set first",
    "served, compressed": "compressed",
    "served, compressed, hot run first": "compressed, hot first",
    WARM: "mapped, warm",
}


def charts(found, results):
    return {"answer.svg": svg.bars(
        "Cold restore to a guest's first answer", results,
        f"median of {RUNS} interleaved runs, line to p95; the answer needs "
        f"{PIECES * PIECE} pages all over {MEMORY_MIB} MiB",
        [(SHORT.get(way, way), [took])
         for way, took in found["answer_us"].items()],
        ["to the first answer"])}
