# SPDX-License-Identifier: Apache-2.0
"""The power fails in the midst of a save, squash, import or (de)compression.

strace tells the order of writes, names and syncs. From that each directory is
made that a file system may show afterwards: what was synced is there; of the
names that were not, any of them; a file that was not synced is torn: one half
of it, zeros for the other, without its label. In each of them is the old
snapshot or the new one, whole, and behind the end only the new one; and the
next one takes its place. Some five seconds each.
"""

import itertools
import json
import os
import re
import shutil
import subprocess

import pytest

from apiclient import gate_of
from conftest import long_only, looks_into
from patience import killed_at_last
from test_snapshot_chain import a_chain, done, volt
from test_snapshot_diff import VOLT, asked, save, start
from test_snapshot_ways import contents

CALLS = ("write,pwritev,pwritev2,pwrite64,copy_file_range,ftruncate,fallocate,"
         "fsetxattr,fsync,fdatasync,openat,link,linkat,rename,renameat,"
         "renameat2,unlink,unlinkat")
LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>)?")
CHANGES = {"write", "pwritev", "pwritev2", "pwrite64", "copy_file_range",
           "ftruncate", "fallocate", "fsetxattr"}
LOCK = "state.json.lock"
MOST = 5  # names on their way of which any may be there: 2 ** MOST ways


def whole_lines(text):
    """Calls in the order of their ends; what came between their halves."""
    begun = {}
    for line in text.splitlines():
        pid = line.split(maxsplit=1)[0]
        if line.endswith("<unfinished ...>"):
            begun[pid] = line.removesuffix("<unfinished ...>")
        elif " resumed>" in line:
            yield begun.pop(pid, "") + line.split(" resumed>", 1)[1]
        else:
            yield line


class Disk:
    """The directory as it is, and what of it is on the disk for sure.

    A file goes by the number of its inode; two hard links keep the files
    that were there, and those that came. The lock file goes by its name.
    """

    def __init__(self, folder, kept):
        self.folder, self.kept = folder, kept
        self.kept.mkdir()
        self.names = {}
        self.synced = set()
        for name in os.listdir(folder):
            self.names[name] = self.keep(name)
        self.synced.update(self.names.values())
        self.durable, self.pending = dict(self.names), []
        self.renamed = self.over = False
        self.states = {}

    def keep(self, name):
        path = self.folder / name
        number = path.stat().st_ino
        if not (self.kept / str(number)).exists():
            os.link(path, self.kept / str(number))
        return number

    # ---- what a line says ----

    def inode(self, word):
        """Of a word like 7</folder/#123>(deleted) or 7</folder/name>."""
        path = re.search(r"<(.*?)>", word)
        if not path:
            return None
        where, _, name = path.group(1).rpartition("/")
        if where != str(self.folder):
            return None
        return int(name[1:]) if name[0] == "#" else self.names.get(name)

    def is_here(self, word):
        return f"<{self.folder}>" in word

    def name_op(self, op):
        self.pending.append(op)
        assert self.apply(self.names, op), op

    @staticmethod
    def apply(names, op):
        kind, source, target = op
        if kind == "unlink":
            return names.pop(target, None) is not None
        if kind == "rename":
            source = names.pop(source, None)
        elif kind == "link":
            source = names.get(source)
        if source is not None:
            names[target] = source
        return source is not None

    def link(self, args):
        where, name, to, target = args[:4]
        name, target = name.strip('"'), target.strip('"')
        assert self.is_here(to), args
        number = self.inode(where) if not name else None
        self.name_op(("new", number, target) if number else
                     ("link", name, target))

    def call(self, name, text, result, path):
        args = text.split(", ")
        if name == "openat":
            if "O_CREAT" in text and path == str(self.folder / LOCK):
                self.name_op(("new", LOCK, LOCK))
        elif name in CHANGES:
            word = args[2] if name == "copy_file_range" else args[0]
            self.synced.discard(self.inode(word))
        elif name in ("fsync", "fdatasync"):
            if self.is_here(args[0]):
                self.durable, self.pending = dict(self.names), []
                self.over = self.renamed
            elif self.inode(args[0]):
                self.synced.add(self.inode(args[0]))
        elif name in ("link", "linkat"):
            self.link(args)
        elif name in ("rename", "renameat", "renameat2"):
            old, new = args[1].strip('"'), args[3].strip('"')
            self.name_op(("rename", old, new))
            self.renamed = self.renamed or new == "state.json"
        elif name in ("unlink", "unlinkat"):
            self.name_op(("unlink", None, args[1].strip('"')))
        self.note((name, text[-80:]))

    def note(self, what):
        """Each directory that may be there if the power fails now."""
        pending = self.pending
        assert len(pending) <= MOST, pending
        for chosen in itertools.product((True, False), repeat=len(pending)):
            names = dict(self.durable)
            for op in itertools.compress(pending, chosen):
                self.apply(names, op)
            torn = frozenset(names.values()) - self.synced - {LOCK}
            key = frozenset(names.items()), torn
            over = self.states.get(key, (self.over, what))[0]
            self.states[key] = (over and self.over, what)

    def follow(self, trace):
        begun = False
        for line in whole_lines(trace):
            found = LINE.match(line)
            if not found or found.group(4)[0] == "-":
                continue
            _, name, text, result, path = found.groups()
            begun = begun or str(self.folder / LOCK) in line
            if begun and str(self.folder) in line:
                self.call(name, text, result, path)
        assert self.over, "the directory was not synced at the end"
        for name in os.listdir(self.folder):
            assert self.names[name] == self.keep(name), name

    def make(self, names, torn, place):
        """The directory, as it would be found."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name, number in names:
            if number == LOCK:
                (place / name).touch(mode=0o600)
            elif number in torn:
                data = (self.kept / str(number)).read_bytes()
                half = len(data) // 2
                (place / name).write_bytes(data[:half] + bytes(half))
            else:
                os.link(self.kept / str(number), place / name)


def told(folder):
    shown = json.loads(volt("inspect", "--json", folder).stdout)
    return json.loads((folder / "state.json").read_text())["id"], \
        shown["memory_ok"]


def fails_anywhere(store, name, deed, again):
    """@deed changes the snapshot store/@name under strace, and returns what
    that wrote; @again does it without."""
    place = store / name
    before = contents(place, store.parent / "scratch")
    old = told(place)[0]
    disk = Disk(place, store.parent / "kept")
    disk.follow(deed())
    new = told(place)[0]
    after = contents(place, store.parent / "scratch")
    assert old != new
    shutil.rmtree(place)
    seen = set()
    for (names, torn), (over, what) in disk.states.items():
        disk.make(names, torn, place)
        ident, right = told(place)
        assert right and ident in ((new,) if over else (old, new)), what
        assert contents(place, store.parent / "scratch") == (
            after if ident == new else before), what
        seen.add(ident)
        again(ident == new)
        done_or_told = volt("gc", store)
        assert done_or_told.returncode == 0, (what, done_or_told)
        assert LOCK not in os.listdir(place), what
        assert contents(place, store.parent / "scratch") == (
            after if told(place)[0] != old else before), what
    assert seen == {old, new} and len(disk.states) > 8


def traced(folder, *argv):
    trace = folder / "trace"
    result = subprocess.run(
        ["strace", "-f", "-y", "-s", "0", "-o", trace, "-e",
         f"trace={CALLS}", VOLT, "snapshot", *argv],
        text=True, capture_output=True, timeout=120, check=False)
    assert result.returncode == 0, result
    return trace.read_text()


ALSO = long_only("like the others")


@pytest.mark.parametrize("way", [
    "squash", "compress", pytest.param("import", marks=ALSO),
    pytest.param("decompress", marks=ALSO)])
def test_of_a_file(vmm, tmp_path, way):
    store = tmp_path / "store"
    store.mkdir()
    a_chain(vmm, store, 1)
    for path in store.iterdir():
        if not path.is_dir():
            path.unlink()
    argv = [way, store / "s1"]
    if way == "import":
        done(volt("export", "--whole", store / "s1", tmp_path / "sent"))
        argv = [way, tmp_path / "sent", store / "s1"]
    elif way == "compress":
        argv[1:1] = ["--threads", "1"]
    elif way == "decompress":
        assert volt("compress", store / "s1").returncode == 0

    def again(is_new):
        result = volt(*argv)
        assert result.returncode == 0 or (is_new and
                                          "already" in result.stderr), result

    fails_anywhere(store, "s1", lambda: traced(tmp_path, *argv), again)


@looks_into
@pytest.mark.parametrize("kind", [pytest.param("Full", marks=ALSO), "Diff"])
def test_of_a_save(vmm, tmp_path, kind):
    """Over what the VM comes from: a diff makes that one whole."""
    store = tmp_path / "store"
    store.mkdir()
    run, api = start(vmm, tmp_path, "--track-dirty-pages")
    asked(run, "w 0 100 1", "wrote")
    save(api, store / "s", "Full")
    asked(run, "w 50 10 2", "wrote")

    def deed():
        trace = tmp_path / "trace"
        with killed_at_last(subprocess.Popen(
                ["strace", "-f", "-y", "-s", "0", "-o", trace, "-e",
                 f"trace={CALLS}", "-p", str(run.pid), "-p",
                 str(gate_of(run.pid))],
                stderr=subprocess.PIPE, text=True)) as strace:
            for _ in range(2):
                while "attached" not in strace.stderr.readline():
                    assert strace.poll() is None
            save(api, store / "s", kind)
            strace.terminate()
            strace.wait(60)
        return trace.read_text()

    fails_anywhere(store, "s", deed, lambda is_new: None)
