# SPDX-License-Identifier: Apache-2.0
"""volt-pool while its daemon, its members and its clients are killed.

Whatever dies when: a VM is leased, or ready, or gone. A lease that was answered
stays until somebody ends it; one that was not is found by its name, or is not
there. At the end nothing is left. `make check-long` does it for ten minutes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import LONG
from patience import PATIENCE
from poolclient import Refused
from test_pool import (daemon, is_gone, processes, snap,  # noqa: F401
                       until)

SECONDS = 600 if LONG else 2
SEED = 20
LEASED_MAX = 12
TIED = ("import sys; from poolclient import PoolClient;"
        "c = PoolClient(sys.argv[1]);"
        "print(c.lease('clone', name=sys.argv[2], tied=True).pid, flush=True);"
        "sys.stdin.read()")


class Storm:
    """What was done, and what must be there because of it."""

    def __init__(self, daemon, snap):
        self.daemon, self.rng = daemon, random.Random(SEED)
        self.leases = {}   # name: pid, of those that were answered
        self.maybe = set()  # names of those that were not
        self.tied = []
        self.number = 0
        self.kills = 0
        self.client = daemon.client()
        for kind in ("clone", "shell"):
            self.client.call("create", pool=kind, kind=kind, size=3,
                             snapshot=str(snap))

    def name(self):
        self.number += 1
        return f"n{self.number}"

    def lease(self):
        if len(self.leases) >= LEASED_MAX:
            return self.release()
        name = self.name()
        lease = self.client.lease(self.rng.choice(("clone", "shell")),
                                  name=name, api=self.rng.random() < 0.5)
        self.leases[name] = lease.pid
        return lease.close()

    def release(self):
        if self.leases:
            name = self.rng.choice(sorted(self.leases))
            del self.leases[name]
            self.maybe.add(name)
            self.client.call("release", name=name)
            self.maybe.discard(name)

    def kill_a_lease(self):
        if self.leases:
            name = self.rng.choice(sorted(self.leases))
            self.kill(self.leases.pop(name))

    def kill_a_member(self):
        rows = [row for row in self.client.members()
                if row["state"] in ("starting", "ready")]
        if rows:
            self.kill(self.rng.choice(rows)["pid"])

    def kill(self, pid):
        self.kills += 1
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended since

    def tie(self):
        """A client that gets a lease and is killed, sooner or later."""
        if len(self.tied) > 2:
            child = self.tied.pop(0)
            child.kill()
            child.wait(PATIENCE)
            child.stdin.close()
        self.tied.append(subprocess.Popen(
            [sys.executable, "-B", "-c", TIED, self.daemon.socket,
             self.name()], cwd=Path(__file__).parent, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def ask_and_kill_the_daemon(self):
        """In the middle of what it was asked for."""
        for _ in range(self.rng.randrange(4)):
            name = self.name()
            self.maybe.add(name)
            self.client.send("lease", pool="clone", name=name)
        time.sleep(self.rng.random() * 0.01)
        self.kills += 1
        self.daemon.kill()
        self.client.close()
        self.daemon.start()
        self.client = self.daemon.client()

    def step(self):
        what = self.rng.choices(
            (self.lease, self.release, self.kill_a_lease, self.kill_a_member,
             self.tie, self.ask_and_kill_the_daemon), (10, 4, 3, 4, 1, 2))[0]
        try:
            what()
        except Refused as told:
            # A member that was killed while it was being leased.
            assert told.code in ("failed", "timeout"), told

    def check(self):
        """What was answered is there; nothing else is."""
        rows = self.client.members()
        leased = {row["name"]: row["pid"] for row in rows
                  if row["state"] == "leased"}
        for name, pid in self.leases.items():
            assert leased.get(name) == pid and not is_gone(pid), name
        known = {row["pid"] for row in rows}
        ours = {pid: words for pid, words in
                processes(self.daemon.dir).items()
                if b"--api-sock" in words}
        for pid in ours:
            try:
                parent = int(Path(f"/proc/{pid}/stat").read_text()
                             .rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            assert pid in known or parent in known, (pid, ours[pid])

    def end(self):
        for child in self.tied:
            child.kill()
            child.wait(PATIENCE)
            child.stdin.close()
        for kind in ("clone", "shell"):
            self.client.until(kind, ready=3, starting=0, ending=0)
        self.check()
        for name in [*self.leases, *self.maybe]:
            try:
                self.client.call("release", name=name)
            except Refused as told:
                assert told.code == "none" and name in self.maybe, name
        for kind in ("clone", "shell"):
            self.client.call("rm", pool=kind)
        until(lambda: os.listdir(self.daemon.dir) == ["lock"])
        until(lambda: set(processes(self.daemon.folder)) == {
            self.daemon.process.pid})
        self.client.close()


def test_storm(daemon, snap):  # noqa: F811
    storm = Storm(daemon, snap)
    end = time.monotonic() + SECONDS
    fds = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    while time.monotonic() < end or storm.kills < 4:
        storm.step()
    storm.end()
    until(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) <= fds)
