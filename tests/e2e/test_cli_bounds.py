# SPDX-License-Identifier: Apache-2.0
"""What a VM of volt's may take of the host: cgroups, files, its console's log.

On this host with cgroups of version 1 that the tests make, as root and as an
ordinary user to whom they are given.
"""

import itertools
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from test_cli_run import VOLT, cli  # noqa: F401
from test_jailer import cgroup_mounts, remove_groups
from test_sandbox import NOBODY, nobody  # noqa: F401

KINDS = ("memory", "cpu", "pids")
MIB = 1 << 20
NUMBERS = itertools.count()  # a group that stays fails no other test


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


class Groups:
    """One group in each hierarchy that counts, below which VMs have theirs."""

    def __init__(self, user=0):
        self.path = f"/volt-test-{os.getpid()}-{next(NUMBERS)}"
        self.at = {}
        for kind in KINDS:
            for mount, version, options in cgroup_mounts():
                if version == "cgroup" and kind in options:
                    self.at[kind] = mount / self.path[1:]
        if set(self.at) != set(KINDS):
            pytest.skip("this host has no cgroups of version 1 for them")
        for folder in set(self.at.values()):
            folder.mkdir()
            os.chown(folder, user, user)

    def of(self, name, kind):
        return self.at[kind] / f"volt-{name}"

    def gone(self, name):
        """Nothing is left of a VM: the keeper may need a moment."""
        until(lambda: not any(self.of(name, k).exists() for k in KINDS))

    def close(self):
        """Also after a test that failed, whose VM is still there."""
        for folder in set(self.at.values()):
            inside = list(folder.glob("volt-*"))
            for tasks in (group / "cgroup.procs" for group in inside):
                for pid in tasks.read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            remove_groups(*inside, folder)


@pytest.fixture
def groups():
    if os.geteuid() != 0:
        pytest.skip("needs root to make cgroups")
    made = Groups()
    yield made
    made.close()


@pytest.fixture
def given():
    """The same, and they are nobody's."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make cgroups")
    made = Groups(NOBODY)
    yield made
    made.close()


@pytest.fixture
def folder():
    """Short, and open to everybody."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="volt-b") as path:
        os.chmod(path, 0o777)
        yield Path(path)


def start(cli, guest, *words):
    """volt run, with no memory but what @words say."""
    env = [f"{name}={value}" for name, value in cli.env.items()]
    return cli.vmm.spawn(["env", *env, VOLT, "run", "--kernel",
                          cli.vmm.guest(guest), *words])


def bounded(groups):
    return ("--cgroup", groups.path, "--max-memory", "100M", "--max-cpu",
            "150", "--max-pids", "20")


def processes(run):
    """The VM's, the gate's, the keeper's, each once it has its name."""
    names = {}

    def named():
        text = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text()
        names.update({Path(f"/proc/{p}/comm").read_text().strip(): int(p)
                      for p in text.split()})
        return names.keys() >= {"fc_api", "volt-keeper"}

    until(named)
    return run.pid, names["fc_api"], names["volt-keeper"]


def assert_bounded(groups, name, run):
    vm, gate, keeper = processes(run)
    for kind in KINDS:
        inside = (groups.of(name, kind) / "cgroup.procs").read_text().split()
        assert sorted(map(int, inside)) == sorted((vm, gate)), kind
    read = {file: int((groups.of(name, file.split(".")[0]) / file).read_text())
            for file in ("memory.limit_in_bytes", "cpu.cfs_quota_us",
                         "cpu.cfs_period_us", "pids.max")}
    assert read == {"memory.limit_in_bytes": 100 * MIB, "pids.max": 20,
                    "cpu.cfs_quota_us": 150000, "cpu.cfs_period_us": 100000}
    assert os.getsid(keeper) == keeper != os.getsid(vm)
    return keeper


def assert_ended(pid):
    until(lambda: not Path(f"/proc/{pid}").exists()
          or Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1][1] in "ZX")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_cgroup_of_its_own(cli, groups, how):
    """Bounds are there before the guest; group and keeper end with the VM."""
    run = cli.start("spin", "--name", "b", *bounded(groups))
    run.wait_for("spinning")
    keeper = assert_bounded(groups, "b", run)
    run.process.send_signal(how)
    assert run.finish().code == -how
    groups.gone("b")
    assert_ended(keeper)


def test_as_a_user_to_whom_it_was_given(vmm, nobody, given, folder):
    run = vmm.spawn([*nobody, "env", f"XDG_RUNTIME_DIR={folder}", VOLT, "run",
                     "--kernel", vmm.guest("spin"), "--memory", "32",
                     "--name", "u", *bounded(given)])
    run.wait_for("spinning")
    assert_bounded(given, "u", run)
    run.process.terminate()
    assert run.finish().code == -signal.SIGTERM
    given.gone("u")


@pytest.mark.parametrize("words", [(), ("--cgroup", "/")])
def test_a_user_who_owns_none(vmm, nobody, folder, words):
    """One sentence that says what to do; no VM, no name, no keeper."""
    if not [x for x in cgroup_mounts() if x[1] == "cgroup"
            and "pids" in x[2]]:
        pytest.skip("this host has no cgroups of version 1")
    done = subprocess.run(
        [*nobody, "env", f"XDG_RUNTIME_DIR={folder}", VOLT, "run",
         "--kernel", vmm.guest("spin"), "--name", "n", "--max-pids", "20",
         *words], text=True, capture_output=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and done.stdout == ""
    assert "No cgroup is delegated to you: " in done.stderr
    assert "systemd-run --user --scope -p Delegate=yes" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((folder / "volt").glob("*"))


def test_below_this_process(cli, groups):
    """Without --cgroup: where volt was started, here by a launcher."""
    def go_in():
        for folder in groups.at.values():
            (folder / "cgroup.procs").write_text(str(os.getpid()))
    words = [f"{name}={value}" for name, value in cli.env.items()]
    process = subprocess.Popen(
        ["env", *words, VOLT, "run", "--kernel", cli.vmm.guest("spin"),
         "--name", "d", "--max-pids", "20"], preexec_fn=go_in,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until(lambda: str(process.pid) in (groups.of("d", "pids")
              / "cgroup.procs").read_text().split()
              if groups.of("d", "pids").exists() else False)
    finally:
        process.kill()
        process.wait(60)
    groups.gone("d")


def test_restored_ones_are_bounded_too(cli, groups, tmp_path):
    run = cli.start("ticker", "--name", "one")
    run.wait_for("tick 1")
    done = cli("snapshot", "one", str(tmp_path / "s"))
    assert done.returncode == 0, done
    env = [f"{name}={value}" for name, value in cli.env.items()]
    clone = cli.vmm.spawn(["env", *env, VOLT, "restore", "--name", "two",
                           *bounded(groups), tmp_path / "s"])
    clone.wait_for("tick ")
    assert_bounded(groups, "two", clone)
    for one in (run, clone):
        one.process.kill()
        one.finish()
    groups.gone("two")


def test_too_few_processes(cli, groups):
    """The bound holds, and the VM says what failed."""
    done = cli("run", "--kernel", cli.vmm.guest("hello"), "--cpus", "4",
               "--cgroup", groups.path, "--max-pids", "3")
    assert done.returncode == 1
    assert "Resource temporarily unavailable" in done.stderr


def test_too_much_memory(cli, groups):
    """The guest takes more than its bound: it alone is ended."""
    run = start(cli, "pages", "--name", "m", "--memory", "128", "--cgroup",
                    groups.path, "--max-memory", "24M")
    run.wait_for("ready")
    run.send("w 0 12000 7\n")
    assert run.finish().code == -signal.SIGKILL
    groups.gone("m")


def test_groups_of_dead_ones(cli, groups):
    """An empty one is taken; in one that is used nothing is done."""
    for kind in KINDS:
        groups.of("s", kind).mkdir()
    run = cli.start("spin", "--name", "s", *bounded(groups))
    run.wait_for("spinning")
    run.process.kill()
    run.finish()
    groups.gone("s")
    group = groups.of("s", "pids")
    group.mkdir()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (group / "cgroup.procs").write_text(str(sleeper.pid))
        done = cli("run", "--kernel", cli.vmm.guest("spin"), "--name", "s",
                   "--cgroup", groups.path, "--max-pids", "9")
        assert done.returncode == 1 and "is in use" in done.stderr
        assert str(sleeper.pid) in (group / "cgroup.procs").read_text()
    finally:
        sleeper.kill()
        sleeper.wait()
        remove_groups(group)


def test_mistakes(cli, tmp_path):
    kernel = ("--kernel", str(cli.vmm.guest("spin")))
    os.mkfifo(tmp_path / "fifo")
    for code, words, said in (
            (64, ("--cgroup", "/x"), "--cgroup needs --max-memory"),
            (64, ("--console-log-size", "1M"), "console-log"),
            (64, ("--max-cpu", "0"), "max-cpu"),
            (64, ("--max-file", "2000000G"), "max-file"),
            (1, ("--console-log", str(tmp_path / "fifo")), "console's log"),
            (1, ("--console-log", str(tmp_path)), "console's log"),
            (1, ("--console-log", str(tmp_path / "no/log")), "console's log"),
            (1, ("--max-pids", "9", "--cgroup", "/no/such"),
             "Cannot open the cgroup")):
        done = cli("run", *kernel, *words)
        assert done.returncode == code, (words, done)
        assert said in done.stderr, (words, done)


# ---- files ----


def total(folder):
    return sum(x.stat().st_size for x in folder.glob("con*"))


def test_a_flood_keeps_the_disk_bounded(cli, tmp_path):
    """A guest that prints without end: two files, the newest is there."""
    log, old = tmp_path / "con.log", tmp_path / "con.log.1"
    log.write_bytes(b"before\n" + bytes(MIB - 2000))
    old.write_bytes(b"older")
    run = start(cli, "greedy", "--memory", "64", "--cmdline", "do=serial",
                "--console-log", str(log), "--console-log-size", "1M")
    until(lambda: old.stat().st_size == MIB, 120)
    assert old.read_bytes().startswith(b"before\n")
    until(lambda: log.exists() and log.stat().st_size > 2000, 120)
    assert total(tmp_path) <= 2 * MIB
    run.process.terminate()
    assert run.finish().code == -signal.SIGTERM
    assert sorted(x.name for x in tmp_path.glob("con*")) == \
        ["con.log", "con.log.1"]
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_console_is_whole(cli, tmp_path):
    """All that a guest prints is there when volt has ended, or soon after."""
    log = tmp_path / "con.log"
    run = cli.start("hello", "--console-log", str(log))
    result = run.finish()
    assert result.code == 0 and "ok boot" not in result.out
    until(lambda: log.exists() and "\ndone " in
          log.read_text().replace("\r", ""))
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_log_on_a_full_disk(cli, tmp_path):
    """The guest goes on; one line says that output is lost."""
    if not os.path.exists("/dev/full") or os.geteuid() != 0:
        pytest.skip("needs root for a small file system")
    small = tmp_path / "small"
    small.mkdir()
    words = [f"{name}={value}" for name, value in cli.env.items()]
    run = cli.vmm.spawn([
        "unshare", "-m", "sh", "-c",
        "mount --make-rprivate / && mount -t tmpfs -o size=64k none \"$0\" && "
        "cd \"$0\" && exec \"$@\"", small, "env", *words, VOLT, "run",
        "--kernel", cli.vmm.guest("greedy"), "--memory", "64", "--cmdline",
        "do=serial", "--console-log", "log"])
    until(lambda: "console output is lost" in run.log())
    time.sleep(0.2)
    assert run.process.poll() is None
    run.process.terminate()
    result = run.finish()
    assert result.code == -signal.SIGTERM
    assert result.log.count("console output is lost") == 1


def test_files_are_bounded(cli, tmp_path):
    """A guest that writes beyond gets an I/O error and lives."""
    disk = tmp_path / "disk"
    with open(disk, "wb") as image:
        image.truncate(16 * MIB)
    run = cli.start("blkload", "--disk", str(disk), "--cmdline",
                    "requests=3000 depth=4 op=write", "--max-file", "1M")
    result = run.finish()
    assert result.code == 0, result
    assert "load 3000" in result.out and "FAIL load-failed" in result.out
    assert "File too large" in result.log
    assert disk.stat().st_blocks * 512 <= MIB + 65536
