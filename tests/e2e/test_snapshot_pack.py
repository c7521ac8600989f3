# SPDX-License-Identifier: Apache-2.0
"""Compressed snapshots: the same pages, or a sentence.

Also what is left of one that is killed at a system call, or has no room.
"""

import collections
import json
import os
import random
import resource
import shutil
import subprocess

from test_cli_run import Cli
from test_snapshot_chain import LIMIT, SEED, a_chain, done, refused, volt
from test_snapshot_diff import VOLT, check_clone, merge
from test_snapshot_killed import LONG, NAMES, calls_in, moment, some

DEEP = 5


def packed(folder):
    return (folder / "memory.snap").read_bytes()[:8] == b"voltpak1"


def ident(folder):
    """Of its state, however the memory is called."""
    return json.loads((folder / "state.json").read_text())["id"]


def compress(folder, *options):
    result = volt("compress", *options, folder)
    assert (result.returncode, result.stderr) == (0, ""), result
    assert packed(folder) and sorted(os.listdir(folder)) == NAMES
    return result.stdout


def test_in_any_order(vmm, tmp_path):
    """Compressed and not, merged, squashed, exported, and raw again."""
    store, other = tmp_path / "store", tmp_path / "other"
    store.mkdir()
    other.mkdir()
    written = a_chain(vmm, store, DEEP)
    raw = {i: (store / f"s{i}/memory.snap").read_bytes()
           for i in range(DEEP + 1)}
    order = list(range(DEEP + 1))
    random.Random(SEED).shuffle(order)
    for i in order:
        compress(store / f"s{i}", "--frame", str(64 << i % 6),
                 "--level", str(1 + i), "--threads", str(1 + i))
    shown = volt("ls", "--json", store)
    assert shown.returncode == 0 and "damaged" not in shown.stdout, shown
    read = volt("verify", store)
    assert read.returncode == 0 and "damaged" not in read.stdout, read
    assert "compressed to" in volt("inspect", store / "s3").stdout
    # A VM cannot map it, and says what to do; nor what needs it.
    refused(vmm, store / "s0", "s0/memory.snap is compressed", "volt restore")
    done(volt("decompress", store / f"s{DEEP}"))
    refused(vmm, store / f"s{DEEP}", "is compressed")
    for i in order[:3]:
        done(volt("export", store / f"s{i}", tmp_path / f"p{i}"))
        done(volt("import", tmp_path / f"p{i}", other / f"s{i}"))
        assert (other / f"s{i}/memory.snap").read_bytes() == raw[i]
    # A base that is compressed, a diff that is not, and the other way round.
    done(merge(store / "s1", store / "s2"))
    assert not packed(store / "s2")
    compress(store / "s2")
    done(volt("export", "--whole", store / f"s{DEEP}", tmp_path / "whole"))
    done(volt("import", tmp_path / "whole", tmp_path / "alone"))
    check_clone(vmm, tmp_path / "alone", *written.checks(f"s{DEEP}"))
    done(volt("squash", store / f"s{DEEP}"))
    check_clone(vmm, store / f"s{DEEP}", *written.checks(f"s{DEEP}"))
    for i in range(DEEP):
        if packed(store / f"s{i}"):
            done(volt("decompress", store / f"s{i}"))
        if i != 2:
            assert (store / f"s{i}/memory.snap").read_bytes() == raw[i]
        check_clone(vmm, store / f"s{i}", *written.checks(f"s{i}"))


def test_what_is_wrong_is_told(vmm, tmp_path):
    a_chain(vmm, tmp_path, 1)
    state = tmp_path / "s0/state.json"
    memory = tmp_path / "s0/memory.snap"
    again = volt("decompress", tmp_path / "s0")
    assert again.returncode == 1 and "is raw already" in again.stderr
    compress(tmp_path / "s0")
    again = volt("compress", tmp_path / "s0")
    assert again.returncode == 1 and "is compressed already" in again.stderr
    assert volt("compress", "--frame", "96", tmp_path / "s1").returncode == 64
    data, before = memory.read_bytes(), state.read_bytes()
    for bad, words in ((data[:-1], "it was cut short"),
                       (data[:50], "holds 50 bytes, not"),
                       (data + b"x", "something follows its end"),
                       (data[:80] + b"?" + data[81:], "CRC of its head"),
                       (data[:-9] + b"?" + data[-8:], "CRC of its index"),
                       (data[:500] + b"?!" + data[502:], "frame 0 of"),
                       (b"voltpak2" + data[8:], "later version")):
        memory.write_bytes(bad)
        result = volt("decompress", tmp_path / "s0")
        assert result.returncode == 1 and words in result.stderr, result
        result = volt("verify", tmp_path / "s1")
        assert result.returncode == 1 and "s0/memory" in result.stderr, result
        # What needs it says so, too.
        result = volt("squash", tmp_path / "s1")
        assert result.returncode == 1, result
        assert (memory.read_bytes(), state.read_bytes()) == (bad, before)
        assert sorted(os.listdir(tmp_path / "s0")) == NAMES
    # Of another snapshot, and whole.
    compress(tmp_path / "s1")
    shutil.copy(tmp_path / "s1/memory.snap", memory)
    result = volt("decompress", tmp_path / "s0")
    assert result.returncode == 1 and "does not hold" in result.stderr, result
    memory.write_bytes(data)  # no attributes
    done(volt("decompress", tmp_path / "s0"))


def test_as_a_snapshot_is_taken(vmm, tmp_path):
    """With a checksum, which is of what is in it, however it is stored."""
    cli = Cli(vmm, tmp_path)
    run = cli.start("ticker", "--name", "first")
    run.wait_for("tick")
    snap = tmp_path / "snap"
    result = cli("snapshot", "--checksum", "--compress", "first", snap)
    assert (result.returncode, result.stderr) == (0, ""), result
    assert "compressed" in result.stdout and packed(snap)
    assert volt("inspect", "--verify", snap).returncode == 0
    data = (snap / "memory.snap").read_bytes()
    (snap / "memory.snap").write_bytes(data[:300] + b"?!" + data[302:])
    assert volt("inspect", "--verify", snap).returncode == 1
    (snap / "memory.snap").write_bytes(data)
    done(volt("decompress", snap))
    assert volt("inspect", "--verify", snap).returncode == 0
    # In the place of one that is compressed.
    result = cli("snapshot", "--compress", "first", snap)
    assert (result.returncode, result.stderr) == (0, ""), result
    assert packed(snap) and sorted(os.listdir(snap)) == NAMES


def test_killed_at_every_call(vmm, tmp_path):
    a_chain(vmm, tmp_path, 1)
    trace, work = tmp_path / "trace", tmp_path / "work"
    raw = (tmp_path / "s1/memory.snap").read_bytes()
    outcomes = collections.Counter()
    for verb in ("compress", "decompress"):
        if verb == "decompress":
            compress(tmp_path / "s1")

        def fresh():
            shutil.rmtree(work, ignore_errors=True)
            subprocess.run(["cp", "-a", tmp_path / "s1", work], check=True)

        def run(*strace):
            argv = [*strace, VOLT, "snapshot", verb]
            argv += ["--threads", "1"] if verb == "compress" else []
            return subprocess.run([*argv, work], capture_output=True,
                                  text=True, check=False, timeout=LIMIT)

        fresh()
        assert run("strace", "-f", "-o", trace).returncode == 0
        calls = [c for c in calls_in(trace.read_text(), "work/state.json")
                 if c[0] not in ("clone3", "execve")]
        chosen = some(calls)
        for name, number in chosen if LONG else chosen[::4] + chosen[-6:]:
            fresh()
            run("strace", "-f", "-o", trace, "-e",
                f"inject={name}:signal=KILL:when={number}")
            # The state decides, under whatever name the memory is.
            new = ident(work) != ident(tmp_path / "s1")
            assert moment(work) == moment(tmp_path / "s1")
            shown = volt("inspect", "--json", work)
            assert shown.returncode == 0, (name, number, shown)
            assert json.loads(shown.stdout)["memory_ok"]
            again = run()
            if new:
                assert "already" in again.stderr, (name, number, again)
            else:
                assert again.returncode == 0, (name, number, again)
            outcomes[verb, new] += 1
            # Back, and what was left is gone.
            done_or_said = volt("decompress", work)
            if verb == "decompress":
                assert "raw already" in done_or_said.stderr
                compress(work)
                done(volt("decompress", work))
            else:
                done(done_or_said)
            assert (work / "memory.snap").read_bytes() == raw
            assert sorted(os.listdir(work)) == NAMES, (name, number)
    assert len(outcomes) == 4 and min(outcomes.values()) > 1, outcomes


def test_no_room(vmm, tmp_path):
    """What cannot be written changes nothing."""
    a_chain(vmm, tmp_path, 1)

    before = (tmp_path / "s0/memory.snap").read_bytes()
    result = subprocess.run(
        [VOLT, "snapshot", "compress", tmp_path / "s0"], text=True,
        capture_output=True, timeout=LIMIT, check=False, restore_signals=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                              (20000, 20000)))
    assert result.returncode == 1 and "too large" in result.stderr, result
    assert sorted(os.listdir(tmp_path / "s0")) == NAMES
    assert (tmp_path / "s0/memory.snap").read_bytes() == before
