# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every system call of a merge, of a diff and of a full save.

What is there is the old or the new snapshot, and the same command works
afterwards and leaves nothing but its result. strace makes the list of calls
and kills at each. Without VOLT_TEST_LONG=1 it kills at each kind of call, first
and last, and at some others.
"""

import collections
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from apiclient import gate_of
from conftest import BUILD, looks_into
from patience import killed_at_last
from test_snapshot_diff import VOLT, asked, check_clone, save, start

LONG = os.environ.get("VOLT_TEST_LONG") == "1"
NAMES = ["memory.snap", "state.json"]
# Behind the answer to a save, for the last calls of the half that answered.
GRACE = 10


def calls_in(trace, begin):
    """(name, n) of each call from the first one that has @begin on."""
    seen, found, begun = collections.Counter(), [], False
    for pid, name, rest in re.findall(r"^(\d+) +(\w+)\((.*)", trace, re.M):
        seen[pid, name] += 1
        begun = begun or begin in rest
        if begun:
            found.append((name, seen[pid, name]))
    return found


def some(calls):
    """All of them, or the first and last of a kind and each twentieth."""
    if LONG:
        return calls
    by_name = collections.defaultdict(list)
    for name, number in calls:
        by_name[name].append(number)
    ends = {(n, k) for n, ks in by_name.items() for k in (ks[0], ks[-1])}
    return [c for i, c in enumerate(calls) if c in ends or i % 20 == 0]


def moment(folder):
    return json.loads((folder / "state.json").read_text())["memory_moment"]


def a_chain(vmm, folder):
    """A base and a diff of it; checks of the diff's memory when whole."""
    run, api = start(vmm, folder, "--track-dirty-pages")
    asked(run, "w 0 100 1", "wrote")
    save(api, folder / "base", "Full")
    asked(run, "w 50 10 2", "wrote")
    save(api, folder / "diff")
    run.process.kill()
    return "c 0 50 1", "c 50 10 2", "c 60 40 1"


def test_killed_at_every_call_of_a_merge(vmm, tmp_path):
    checks = a_chain(vmm, tmp_path)
    diff, trace = tmp_path / "d", tmp_path / "trace"
    argv = [VOLT, "snapshot", "merge", tmp_path / "base", diff]

    def merge(*strace):
        return subprocess.run([*strace, *argv], capture_output=True, text=True,
                              check=False)

    def fresh():
        shutil.rmtree(diff, ignore_errors=True)
        subprocess.run(["cp", "-a", tmp_path / "diff", diff], check=True)

    fresh()
    done = merge("strace", "-f", "-o", trace)
    assert done.returncode == 0, done.stderr
    calls = calls_in(trace.read_text(), "base/state.json")
    assert len(calls) > 60
    outcomes = collections.Counter()
    for name, number in some(calls):
        fresh()
        merge("strace", "-f", "-o", trace, "-e",
              f"inject={name}:signal=KILL:when={number}")
        left = sorted(os.listdir(diff))
        whole = '"memory_storage":"raw"' in (diff / "state.json").read_text()
        if whole and outcomes["whole"] < 3:
            check_clone(vmm, diff, *checks)
        shown = subprocess.run([VOLT, "snapshot", "inspect", diff],
                               capture_output=True, text=True, check=False)
        assert shown.returncode == 0, (name, number, left, shown.stdout)
        assert moment(diff) == moment(tmp_path / "diff")
        again = merge()
        if whole:
            assert again.returncode == 1 and "whole already" in again.stderr
        else:
            assert again.returncode == 0, (name, number, left, again.stderr)
            assert sorted(os.listdir(diff)) == NAMES, (name, number, left)
        outcomes["whole" if whole else "diff"] += 1
    assert outcomes["whole"] > 3 and outcomes["diff"] > 10
    check_clone(vmm, diff, *checks)


class Saves:
    """VMs that are killed in the midst of saving to one directory.

    One half of the process writes, the other one, the gate, gives names: it is
    @half whose calls are counted, and which is killed. A life need not make as
    many calls of a kind as the counted one did: @missed are those that were
    not killed.
    """

    def __init__(self, vmm, folder, kind, half):
        self.vmm, self.folder, self.kind = vmm, folder, kind
        self.half = half
        self.missed = 0
        self.trace = folder / "trace"
        self.place = folder / "s"
        run, api = start(vmm, folder)
        asked(run, "w 0 100 1", "wrote")
        save(api, folder / "old", "Full")
        run.process.kill()

    def save(self, *inject):
        """A VM saves over what it comes from, with strace at its side."""
        shutil.rmtree(self.place, ignore_errors=True)
        subprocess.run(["cp", "-a", self.folder / "old", self.place],
                       check=True)
        run, api = start(self.vmm, self.folder, "--track-dirty-pages",
                         restore=self.place)
        asked(run, "w 50 10 2", "wrote")
        api.set("PATCH", "/vm", {"state": "Paused"})
        gate = gate_of(run.pid)
        with killed_at_last(subprocess.Popen(
                ["strace", "-f", "-p",
                 str(gate if self.half == "gate" else run.pid), "-o",
                 self.trace,
                 *inject], stderr=subprocess.PIPE, text=True)) as strace:
            while "attached" not in strace.stderr.readline():
                assert strace.poll() is None
            with contextlib.suppress(OSError, http.client.HTTPException):
                api.call("PUT", "/snapshot/create", {
                    "snapshot_path": f"{self.place}/",
                    "snapshot_type": self.kind})
            if not inject:
                strace.terminate()  # what comes now is no part of a save
                strace.wait(60)
                run.process.kill()
            try:
                code = run.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.missed += 1
                run.process.kill()
                run.process.wait(60)
            else:
                # Either half takes the other one with it.
                assert code == (1 if inject and self.half == "gate"
                                else -signal.SIGKILL)

    def check(self, what):
        """Old or new, whole; and the next save is undisturbed."""
        new = moment(self.place) != moment(self.folder / "old")
        check_clone(self.vmm, self.place, "c 0 50 1",
                    f"c 50 10 {2 if new else 1}", "c 60 40 1")
        run, api = start(self.vmm, self.folder, "--track-dirty-pages",
                         restore=self.place)
        asked(run, "w 70 1 3", "wrote")
        save(api, self.place, self.kind)
        run.process.kill()
        run.process.wait(60)
        self.vmm.forget_ended()
        assert sorted(os.listdir(self.place)) == NAMES, what
        return new


@pytest.mark.parametrize("half,begin,least", [
    ("gate", "state.json.lock", (10, 2)),
    pytest.param("guest process", "", (10, 0), marks=looks_into)])
@pytest.mark.parametrize("kind", ["Full", "Diff"])
def test_killed_at_every_call_of_a_save(vmm, tmp_path, kind, half, begin,
                                        least):
    saves = Saves(vmm, tmp_path, kind, half)
    saves.save()
    calls = calls_in(saves.trace.read_text(), begin)
    assert len(calls) > 25, calls
    outcomes = collections.Counter()
    for name, number in some(calls):
        saves.save("-e", f"inject={name}:signal=KILL:when={number}")
        new = saves.check((name, number))
        outcomes[new] += 1
    assert outcomes[False] > least[0] and outcomes[True] >= least[1]
    assert saves.missed <= 3, saves.missed
    # The last life saved over what the last kill left.
    check_clone(vmm, saves.place, "c 0 50 1", f"c 50 10 {2 if new else 1}",
                "c 70 1 3")
