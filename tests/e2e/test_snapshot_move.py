# SPDX-License-Identifier: Apache-2.0
"""Exported and imported snapshots: the same pages, or a sentence.

Also what is left of an import or a squash that is killed at a system call, or
has no room.
"""

import os
import random
import resource
import shutil
import subprocess

from test_snapshot_chain import LIMIT, SEED, a_chain, done, volt
from test_snapshot_diff import VOLT, check_clone, merge
from test_snapshot_killed import LONG, NAMES, calls_in, some

DEEP = 5


def exported(folder, file, *options):
    done(volt("export", *options, folder, file))
    return file


def test_in_any_order(vmm, tmp_path):
    """Diffs, merged ones and whole ones, by files and through a pipe."""
    store, other = tmp_path / "store", tmp_path / "other"
    store.mkdir()
    other.mkdir()
    written = a_chain(vmm, store, DEEP)
    order = list(range(DEEP + 1))
    random.Random(SEED).shuffle(order)
    for i in order:
        file = exported(store / f"s{i}", tmp_path / f"p{i}")
        copy = tmp_path / "copied"
        copy.write_bytes(file.read_bytes())  # no holes, no attributes
        done(volt("import", copy, other / f"s{i}"))
        assert sorted(os.listdir(other / f"s{i}")) == NAMES
    for i in (0, 2, DEEP):
        check_clone(vmm, other / f"s{i}", *written.checks(f"s{i}"))
    # Of a diff the same file comes out again, whatever lay between.
    assert (exported(other / f"s{DEEP}", tmp_path / "again").stat().st_size
            == (tmp_path / f"p{DEEP}").stat().st_size)
    done(merge(other / "s1", other / "s2"))
    shutil.rmtree(other / "s1")
    done(volt("import", exported(other / "s2", tmp_path / "merged"),
              store / "s2"))
    check_clone(vmm, store / f"s{DEEP}", *written.checks(f"s{DEEP}"))
    out = subprocess.Popen([VOLT, "snapshot", "export", "--whole",
                            store / f"s{DEEP}", "-"], stdout=subprocess.PIPE)
    with out, out.stdout as pipe:
        done(subprocess.run([VOLT, "snapshot", "import", "-",
                             tmp_path / "alone"], stdin=pipe, text=True,
                            capture_output=True, timeout=LIMIT, check=False))
        assert out.wait(LIMIT) == 0
    shutil.rmtree(other)
    check_clone(vmm, tmp_path / "alone", *written.checks(f"s{DEEP}"))


def test_what_is_wrong_is_told(vmm, tmp_path):
    a_chain(vmm, tmp_path, 1)
    file = exported(tmp_path / "s1", tmp_path / "p")
    again = volt("export", tmp_path / "s1", file)
    assert again.returncode == 1 and "is there already" in again.stderr
    data = file.read_bytes()
    before = (tmp_path / "s0/state.json").read_bytes()
    for bad, words in ((data[:-1], "the file ends in it"),
                       (data[:len(data) // 2], "the file ends in it"),
                       (data[:-40] + b"?" + data[-39:], "CRC-64"),
                       (data + b"x", "something follows the end"),
                       (b"", "no exported snapshot"),
                       (before, "no exported snapshot")):
        file.write_bytes(bad)
        for place in ("new", "s0"):
            result = volt("import", file, tmp_path / place)
            assert result.returncode == 1 and words in result.stderr, result
        assert not (tmp_path / "new").exists()
        assert (tmp_path / "s0/state.json").read_bytes() == before
        assert sorted(os.listdir(tmp_path / "s0")) == NAMES


def killed(vmm, folder, argv, fresh, checks):
    """@argv, which fills folder, is killed at some of its calls."""
    trace = folder.parent / "trace"

    def run(*strace):
        return subprocess.run([*strace, VOLT, "snapshot", *argv], text=True,
                              capture_output=True, timeout=LIMIT, check=False)
    fresh()
    done(run("strace", "-f", "-o", trace))
    calls = calls_in(trace.read_text(), "state.json")
    assert len(calls) > 40
    for name, number in some(calls):
        fresh()
        run("strace", "-f", "-o", trace, "-e",
            f"inject={name}:signal=KILL:when={number}")
        shown = volt("inspect", folder)
        assert shown.returncode == 0, (name, number, shown)
        again = run()
        assert (again.returncode == 0 or "whole already" in again.stderr), \
            (name, number, again.stderr)
        if again.returncode == 0:
            assert sorted(os.listdir(folder)) == NAMES, (name, number)
    check_clone(vmm, folder, *checks)


def test_killed(vmm, tmp_path):
    """Old or new, whole; and the same command works afterwards."""
    store = tmp_path / "store"
    store.mkdir()
    written = a_chain(vmm, store, 2)
    checks = list(written.checks("s2"))
    subprocess.run(["cp", "-a", store / "s2", tmp_path / "kept"], check=True)
    file = exported(store / "s2", tmp_path / "p", "--whole")

    def fresh():
        shutil.rmtree(store / "s2")
        subprocess.run(["cp", "-a", tmp_path / "kept", store / "s2"],
                       check=True)
    killed(vmm, store / "s2", ["import", file, store / "s2"], fresh, checks)
    if LONG:  # a merge, which is the same, is killed at each call elsewhere
        killed(vmm, store / "s2", ["squash", store / "s2"], fresh, checks)


def test_without_room(vmm, tmp_path):
    """What was there stays, and nothing lies beside it."""
    written = a_chain(vmm, tmp_path, 1)
    file = exported(tmp_path / "s1", tmp_path / "p", "--whole")

    def no_room(*argv):
        return subprocess.run(
            [VOLT, "snapshot", *argv], text=True, capture_output=True,
            timeout=LIMIT, check=False, restore_signals=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                  (1 << 20, 1 << 20)))
    for argv in (("squash", tmp_path / "s1"), ("import", file,
                                               tmp_path / "s1"),
                 ("export", "--whole", tmp_path / "s1", tmp_path / "new"),
                 ("import", file, tmp_path / "new")):
        result = no_room(*argv)
        assert result.returncode == 1 and "File too large" in result.stderr, \
            (argv, result)
        assert not (tmp_path / "new").exists()
        assert sorted(os.listdir(tmp_path / "s1")) == NAMES
    check_clone(vmm, tmp_path / "s1", *written.checks("s1"))
