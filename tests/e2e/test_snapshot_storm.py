# SPDX-License-Identifier: Apache-2.0
"""A storm of saves, merges, restores, copies and kills.

What a VM's memory was at the moment of a save is read from its process
(/proc/PID/mem), so nothing of Volt's says what is right. After each step the
snapshot that the step was about is restored, if it says that it is whole, or
its bases are beside it, and its memory is compared byte for byte; what is
refused names a file or a snapshot, its own or one that it differs from. Some seconds; with VOLT_TEST_LONG=1 a thousand steps in all, of five
seeds. VOLT_TEST_SEED=N repeats one.
"""

import contextlib
import http.client
import json
import os
import random
import shutil
import subprocess
import threading
import time

import pytest

from conftest import BUILD, Api, Case, Running, looks_into, runs_linux
from test_snapshot_diff import LOG, RING, has_ring

VOLT = BUILD / "volt"
MIB = 24
SIZE = MIB << 20
ALIGNED = 2 << 20  # guest memory
# Every restore makes a new one, and counts there.
GENID, CLOCK = slice(0xe0000, 0xe0010), slice(0xff000, 0xff070)
LONG = os.environ.get("VOLT_TEST_LONG") == "1"
STEPS = 200 if LONG else 25
SEEDS = ([int(os.environ["VOLT_TEST_SEED"])] if "VOLT_TEST_SEED" in os.environ
         else range(5 if LONG else 1))
COPIES = (["cp", "-r", "--sparse=auto"], ["cp", "-a"],
          ["cp", "-r", "--sparse=always"], ["cp", "-r", "--sparse=never"])


def maps_of(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return maps.read().splitlines()


def ram_of(pid):
    """The guest's memory, as it is, but for what tells it of a restore.

    It is one mapping, or one after the other, of several files.
    """
    spans = [[int(x, 16) for x in line.split()[0].split("-")]
             for line in maps_of(pid) if " rw-p " in line]
    follows = dict(spans)
    found = []
    for start in follows:
        end = start
        while end in follows and end < start + SIZE:
            end = follows[end]
        if end == start + SIZE and start % ALIGNED == 0:
            found.append(start)
    assert len(found) == 1, spans
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        mem.seek(found[0])
        data = bytearray()
        while len(data) < SIZE:
            data += mem.read(SIZE - len(data))
    for part in GENID, CLOCK:
        data[part] = bytes(part.stop - part.start)
    return bytes(data)


class Machine:
    """A VM of the guest `pages` that runs."""

    count = 0

    def __init__(self, folder, *args, restore=None):
        Machine.count += 1
        self.sock = folder / f"vm{Machine.count}.sock"
        self.log = folder / f"vm{Machine.count}.log"
        argv = Case("pages", "at=8", memory=MIB).argv(BUILD, folder)
        argv.remove("--no-api")
        if restore:
            argv = [BUILD / "volt-vmm", "--restore", restore, "--paused"]
        self.run = Running([str(x) for x in (*argv, "--api-sock", self.sock,
                                             *args)], self.log)
        self.api = Api(self.sock)
        if not restore:
            self.run.wait_for("ready\r\n")

    def up(self):
        """A restore came to an end: does it stand still there?"""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.run.process.poll() is not None:
                return False
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.api.call("GET", "/")[1]["state"] == "Paused":
                    return True
            time.sleep(0.001)
        raise AssertionError("neither restored nor refused")

    def ask(self, line):
        self.run.send(line + "\n")
        assert "wrote" in self.run.wait_for("\n")

    def end(self):
        self.run.process.kill()
        self.run.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.run.process.stdin.close()
        self.run.process.stdout.close()
        self.sock.unlink(missing_ok=True)


class Storm:
    """The snapshots, what they have to hold, and the VMs."""

    def __init__(self, folder, seed):
        self.folder = folder
        self.dice = random.Random(seed)
        self.slots = [folder / f"s{i}" for i in range(5)]
        self.truth = {}    # memory by moment
        self.machines = []
        self.written = 0
        self.ring = RING if has_ring() and runs_linux() else LOG
        self.whole = self.refused = 0

    # ---- what is there ----

    @staticmethod
    def moment(slot):
        try:
            state = json.loads((slot / "state.json").read_text())
        except FileNotFoundError:
            return None
        return state["memory_moment"]

    @staticmethod
    def is_diff(slot):
        state = json.loads((slot / "state.json").read_text())
        return state["memory_storage"] == "diff"

    def verdict(self, slot):
        """Restored and compared: its moment; refused by name: None."""
        shown = subprocess.run([VOLT, "snapshot", "inspect", "--json", slot],
                               capture_output=True, text=True, check=False)
        clone = Machine(self.folder, restore=slot)
        try:
            if not clone.up():
                why = clone.run.log()
                assert clone.run.process.returncode == 1, why
                assert str(self.folder) in why or "o such file" in why, why
                # Its own fault, or that of what it differs from.
                assert shown.returncode == 1 or self.is_diff(slot), \
                    (why, shown.stdout)
                self.refused += 1
                return None
            assert shown.returncode == 0, shown.stdout
            moment = self.moment(slot)
            assert ram_of(clone.run.pid) == self.truth[moment], \
                f"{slot} is not what it says: {moment}"
            self.whole += 1
            return moment
        finally:
            clone.end()

    # ---- steps ----

    def boot(self, restore=None):
        if len(self.machines) > 2:
            self.lose(self.dice.choice(self.machines))
        args = self.dice.choice(([], LOG, self.ring))
        machine = Machine(self.folder, *args, restore=restore)
        if restore:
            assert machine.up(), machine.run.log()
            machine.api.set("PATCH", "/vm", {"state": "Resumed"})
        self.machines.append(machine)

    def lose(self, machine):
        machine.end()
        self.machines.remove(machine)

    def write(self, machine):
        self.written += 1
        machine.ask(f"w {self.dice.randrange(200)} "
                    f"{self.dice.choice((1, 1, 3, 40))} {self.written}")

    def save(self, machine, slot, kind, kill):
        """To the end, or killed somewhere on the way. Return: it is there."""
        machine.api.set("PATCH", "/vm", {"state": "Paused"})
        ram = ram_of(machine.run.pid)
        before = self.moment(slot)
        body = {"snapshot_path": f"{slot}/", "snapshot_type": kind}
        if self.dice.random() < .3:
            slot.mkdir(exist_ok=True)
            body = {"snapshot_path": f"{slot}/state.json",
                    "mem_file_path": f"{slot}/memory.snap",
                    "snapshot_type": kind}
        status = None
        if kill:
            delay = self.dice.uniform(0, .008)
            killer = threading.Timer(delay, machine.run.process.kill)
            killer.start()
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, answer = machine.api.call("PUT", "/snapshot/create", body)
        if kill:
            killer.join()
            self.lose(machine)
        else:
            machine.api.set("PATCH", "/vm", {"state": "Resumed"})
        after = self.moment(slot)
        if after is not None and after != before:
            self.truth.setdefault(after, ram)
        if status == 400:
            assert kind == "Diff" and str(slot) in answer["fault_message"], \
                answer
        assert status is not None or kill
        return status == 204

    def step_save(self, kill=False):
        machine, slot = self.dice.choice(self.machines), self.pick()
        kind = self.dice.choice(("Full", "Diff"))
        good = self.verdict(slot) if kill else None
        self.write(machine)
        done = self.save(machine, slot, kind, kill)
        moment = self.verdict(slot)
        if done and kind == "Full":
            assert moment, f"a full snapshot in {slot} is refused"
        if good and kill and kind == "Full":
            assert moment, f"{slot} was lost by a kill"
        if not kill:
            assert sorted(os.listdir(slot)) in (
                [], ["memory.snap", "state.json"]), os.listdir(slot)

    def step_merge(self, kill=False):
        base, diff = self.pick(), self.pick()
        if base == diff:
            return
        good = self.verdict(base)
        argv = [VOLT, "snapshot", "merge", base, diff]
        with subprocess.Popen(argv, stderr=subprocess.PIPE,
                              text=True) as merge:
            if kill:
                time.sleep(self.dice.uniform(0, .01))
                merge.kill()
            why = merge.stderr.read()
        if kill:  # the same command works
            again = subprocess.run(argv, capture_output=True, text=True,
                                   check=False)
            why = again.stderr
            assert "File exists" not in why, why
            code = again.returncode
        else:
            code = merge.returncode
        assert code in (0, 1)
        assert code == 0 or "snapshot" in why, why
        moment = self.verdict(diff)
        if code == 0:
            assert moment or self.is_diff(diff), \
                f"what was merged in {diff} is refused"
            assert sorted(os.listdir(diff)) == ["memory.snap", "state.json"]
        assert self.verdict(base) == good

    def step_copy(self):
        one, other = self.pick(), self.pick()
        if one == other or not one.exists():
            return
        shutil.rmtree(other, ignore_errors=True)
        good = self.verdict(one)  # without the other, which it may need
        subprocess.run([*self.dice.choice(COPIES), one, other], check=True)
        # Killed behind the rename of its state: that finds its memory by id.
        state = other / "state.json"
        if state.exists():
            half = other / f"memory.snap.{json.loads(state.read_text())['id']}"
            if half.exists():
                half.replace(other / "memory.snap")
        # What else a kill left in the one is provably nobody's in the other.
        for path in other.iterdir():
            if path.name not in ("memory.snap", "state.json"):
                path.unlink()
        assert self.verdict(other) == good

    def step_mix(self):
        """A memory, or a piece of one, comes to another state."""
        one, other = self.pick(), self.pick()
        source, target = one / "memory.snap", other / "memory.snap"
        if one == other or not source.exists() or not target.exists():
            return
        # A VM whose memory file is cut short ends, and says so.
        for machine in [x for x in self.machines if any(
                line.endswith(str(target)) for line in maps_of(x.run.pid))]:
            self.lose(machine)
        what = self.dice.randrange(4)
        if what == 0:
            shutil.copyfile(source, target)  # the label there stays
        elif what == 1:
            subprocess.run(["cp", "-a", source, target], check=True)
        elif what == 2:
            os.truncate(target, self.dice.randrange(1, SIZE))
        else:
            os.truncate(target, 17 << 20)
            os.truncate(target, SIZE)
        self.verdict(other)

    def step_gc(self):
        """Tidied up, perhaps in part: all is as it was, and proved."""
        slot = self.pick()
        good = self.verdict(slot)
        kill = self.dice.random() < .5
        with subprocess.Popen([VOLT, "snapshot", "gc", self.folder],
                              stdout=subprocess.DEVNULL) as gc:
            if kill:
                time.sleep(self.dice.uniform(0, .01))
                gc.kill()
            code = gc.wait(60)
        assert code == 0 or kill
        assert self.verdict(slot) == good
        if code == 0 and slot.exists():
            assert set(os.listdir(slot)) <= {"memory.snap", "state.json"}
        if good and not self.is_diff(slot):
            proved = subprocess.run([VOLT, "snapshot", "verify", slot],
                                    capture_output=True, text=True,
                                    timeout=60, check=False)
            assert proved.returncode == 2, proved  # there are no CRCs

    def step_restore(self):
        slot = self.pick()
        if self.verdict(slot):
            self.boot(restore=slot)

    def pick(self):
        return self.dice.choice(self.slots)

    def step(self):
        while len(self.machines) < 2:
            self.boot()
        kinds = ((self.step_save, 6), (self.step_merge, 3),
                 (self.step_copy, 2), (self.step_mix, 1),
                 (self.step_restore, 2), (self.step_gc, 2),
                 (lambda: self.step_save(kill=True), 3),
                 (lambda: self.step_merge(kill=True), 2))
        self.dice.choices([k for k, _ in kinds], [w for _, w in kinds])[0]()

    def close(self):
        for machine in list(self.machines):
            self.lose(machine)


@looks_into
@pytest.mark.parametrize("seed", SEEDS)
def test_storm(build, tmp_path, seed):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")
    storm = Storm(tmp_path, seed)
    try:
        for number in range(STEPS):
            try:
                storm.step()
            except Exception as exc:
                raise AssertionError(f"seed {seed}, step {number}") from exc
    finally:
        storm.close()
    assert storm.whole > STEPS // 3 and storm.refused > 0
