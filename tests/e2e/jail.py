# SPDX-License-Identifier: Apache-2.0
"""Jails of the tests' own, in a folder with a short name: paths of sockets."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import BUILD, Api, Running

JAILER = BUILD / "volt-jailer"
UID, GID = 54321, 54322
# What must be there for the jailer to work at all.
NEEDS = "needs root, with the right to make device nodes and mounts"


def may_jail():
    """Is this root, and one that may do what the jailer does?"""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.mknod(f"{folder}/null", 0o020600, os.makedev(1, 3))
        except PermissionError:
            return False
        return subprocess.run(["unshare", "--mount", "true"],
                              capture_output=True, check=False).returncode == 0


class Jail:
    """One jail: where it is, and the process in it."""

    def __init__(self, jails, name, program):
        self.jails = jails
        self.id = name
        self.program = program
        self.folder = jails.base / program.name / name
        self.root = self.folder / "root"
        self.pid_file = self.root / f"{program.name}.pid"
        self.run = None

    def argv(self, *options, rest=(), **changes):
        """The jailer's command line; an option that is None is left out."""
        words = {"id": self.id, "exec-file": self.program, "uid": UID,
                 "gid": GID, "chroot-base-dir": self.jails.base, **changes}
        pairs = [(f"--{key.replace('_', '-')}", str(value))
                 for key, value in words.items() if value is not None]
        return [str(JAILER), *(x for pair in pairs for x in pair),
                *map(str, options), *(["--", *map(str, rest)] if rest else [])]

    def put(self, path, name=None, mode=0o644):
        """A copy of a file in the jail, as a launcher makes one."""
        self.root.mkdir(parents=True, exist_ok=True)
        to = self.root / (name or Path(path).name)
        shutil.copyfile(path, to)
        to.chmod(mode)
        return f"/{to.name}"

    def try_it(self, *options, rest=(), seconds=60, **changes):
        """A jailer that ends: code, stdout, stderr."""
        return subprocess.run(
            self.argv(*options, rest=rest, **changes), text=True, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)

    def start(self, *options, rest=(), **changes):
        """The jailer beside the test; it becomes the program, or ends."""
        self.run = self.jails.spawn(self.argv(*options, rest=rest, **changes))
        return self.run

    def pid(self, seconds=60):
        """Of the program, from the pid file."""
        end = time.monotonic() + seconds
        while True:
            try:
                text = self.pid_file.read_text()
            except FileNotFoundError:
                text = ""
            if text:
                self.jails.pids.add(int(text))
                return int(text)
            assert not self.run or self.run.process.poll() is None or \
                self.run.process.returncode == 0, self.run.log()
            assert time.monotonic() < end, "no pid file"
            time.sleep(0.01)

    def api(self, sock="run/firecracker.socket"):
        api = Api(self.root / sock)
        api.wait()
        return api

    def proc(self, name):
        return (Path("/proc") / str(self.pid()) / name).read_text()

    def status(self, key):
        """The words of a line of /proc/PID/status."""
        for line in self.proc("status").splitlines():
            if line.startswith(key + ":"):
                return line.split()[1:]
        raise KeyError(key)

    def limits(self, name):
        """Soft and hard, as words."""
        for line in self.proc("limits").splitlines():
            if line.startswith(name):
                return tuple(line[len(name):].split()[:2])
        raise KeyError(name)


class Jails:
    """A folder of jails; what runs in them ends with the test."""

    def __init__(self, folder):
        self.folder = Path(tempfile.mkdtemp(prefix="vj", dir="/tmp"))
        self.logs = folder
        self.base = self.folder / "b"
        self.base.mkdir()
        self.runs = []
        self.pids = set()
        self.jails = []
        # As clients that look for Firecracker's name have it.
        self.firecracker = self.folder / "firecracker"
        shutil.copy(BUILD / "volt-vmm", self.firecracker)

    def __call__(self, name="vm", program=None):
        self.jails.append(Jail(self, name, Path(program or BUILD / "volt-vmm")))
        return self.jails[-1]

    def spawn(self, argv):
        self.runs.append(Running(argv, self.logs / f"jail{len(self.runs)}"))
        return self.runs[-1]

    def close(self):
        for run in self.runs:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait()
            run.process.stdout.close()
            try:
                run.process.stdin.close()
            except BrokenPipeError:
                pass
        # Programs of PID namespaces and daemons: theirs by their root, whose
        # name is "/" from here.
        roots = [os.stat(x.root) for x in self.jails if x.root.is_dir()]
        for pid in self.pids:
            try:
                its = os.stat(f"/proc/{pid}/root/.")
                if any(os.path.samestat(its, root) for root in roots):
                    os.kill(pid, signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
        shutil.rmtree(self.folder, ignore_errors=True)


def ended(pid, seconds=60):
    """Waits until a process that is nobody's child here is gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} did not end")


@pytest.fixture
def jails(build, tmp_path):
    """For tests that make jails."""
    if not may_jail():
        pytest.skip(NEEDS)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")
    made = Jails(tmp_path)
    yield made
    made.close()
