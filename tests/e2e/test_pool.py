# SPDX-License-Identifier: Apache-2.0
"""volt-pool: members that are ready, leases, and who may have what."""

import array
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from apiclient import Api, gate_of
from conftest import BUILD
from patience import PATIENCE
from poolclient import PoolDaemon, Refused

NOBODY = 65534
CGROUPS = next((Path(x.split()[1]) for x in Path("/proc/mounts").read_text()
                .splitlines() if x.split()[2] == "cgroup2"), None)
needs_root = pytest.mark.skipif(os.geteuid() != 0,
                                reason="other users are made by root")


def take_snapshot(folder):
    """Of a guest that prints, in @folder/snap."""
    vm = Api(BUILD, folder)
    try:
        vm.ok("PUT", "/boot-source", {
            "kernel_image_path": str(BUILD / "tests/guest/ticker.elf")})
        vm.ok("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 32})
        vm.ok("PUT", "/actions", {"action_type": "InstanceStart"})
        end = time.monotonic() + PATIENCE
        while "tick" not in vm.log_text():
            assert time.monotonic() < end
            time.sleep(0.01)
        vm.ok("PUT", "/snapshot/create", {"snapshot_path": f"{folder}/snap/"})
    finally:
        vm.close()
    return folder / "snap"


@pytest.fixture(scope="module")
def snap():
    folder = Path(tempfile.mkdtemp(prefix="volt-pool-", dir="/tmp"))
    yield take_snapshot(folder)
    shutil.rmtree(folder)


def processes(folder):
    """Whose command line names @folder: members, and the daemon."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in b" ".join(words):
            found[int(path.parent.name)] = words
    return found


def is_gone(pid):
    """Also when nobody has reaped it: not every first process does."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rsplit(")", 1)[1].split()[0] in "ZX"


def until(what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def daemon():
    folder = Path(tempfile.mkdtemp(prefix="volt-pool-", dir="/tmp"))
    pool = PoolDaemon(BUILD, folder)
    yield pool
    if pool.process.poll() is None:
        pool.kill()
    for pid in processes(folder):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    until(lambda: not processes(folder))
    shutil.rmtree(folder)


@pytest.fixture
def client(daemon):
    with daemon.client() as one:
        yield one


def make(client, snap, pool="web", kind="clone", size=2, **more):
    client.call("create", pool=pool, kind=kind, snapshot=str(snap), size=size,
                **more)
    return client.until(pool, ready=size)


def ask_vm(path):
    """What a VM says of itself."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(path)
        return ask_on(sock)


def ask_on(sock):
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return json.loads(sock.recv(4096).split(b"\r\n\r\n")[1])


def refused(code, call):
    with pytest.raises(Refused) as told:
        call()
    assert told.value.code == code, told.value
    return told.value.text


# ---- leases ----

@pytest.mark.parametrize("kind", ["clone", "shell"])
def test_a_lease_is_a_vm_that_runs(daemon, client, snap, kind):
    make(client, snap, kind=kind)
    first = client.members()
    assert {row["state"] for row in first} == {"ready"}
    lease = client.lease("web", name="web-17", api=True)
    assert lease.pid == next(row["pid"] for row in first
                             if row["id"] == lease.id)
    told = ask_vm(lease.path)
    assert told["state"] == "Running" and told["id"] == "web-17"
    # The connection that came with it is one of that VM.
    assert ask_on(lease.sock) == told
    # It is replaced, and stays what it is.
    client.until("web", ready=2, leased=1)
    assert not select.select([lease.pidfd], [], [], 0)[0]
    assert refused("exists", lambda: client.lease("web", name="web-17"))
    waits = client.send("wait", name="web-17")
    os.kill(lease.pid, signal.SIGKILL)
    assert client.answer(waits)[0]["exit"] == {
        "known": True, "status": 0, "signal": signal.SIGKILL}
    assert select.select([lease.pidfd], [], [], PATIENCE)[0]
    # Who asks late hears it, too; the name is free.
    assert client.exit_of("web-17")["signal"] == signal.SIGKILL
    again = client.lease("web", name="web-17")
    assert again.id != lease.id
    os.kill(again.pid, signal.SIGTERM)
    assert client.exit_of("web-17")["known"]
    again.close()
    lease.close()


def test_released_is_destroyed(daemon, client, snap):
    make(client, snap)
    lease = client.lease("web", name="a")
    gate = gate_of(lease.pid)
    client.call("release", name="a")
    assert is_gone(lease.pid)
    until(lambda: is_gone(gate))
    assert not (daemon.dir / lease.id).exists()
    assert not (daemon.dir / f"{lease.id}.record").exists()
    assert lease.id not in {row["id"] for row in client.members()}
    refused("none", lambda: client.call("release", name="a"))
    # And when all is gone, all is gone.
    client.call("rm", pool="web")
    assert client.pools() == {}
    assert os.listdir(daemon.dir) == ["lock"]
    until(lambda: set(processes(daemon.folder)) == {daemon.process.pid})
    lease.close()


def test_paused_and_tied(daemon, client, snap):
    make(client, snap)
    lease = client.lease("web", paused=True)
    assert ask_vm(lease.path)["state"] == "Paused"
    # A lease that goes with the process that asked.
    code = ("import sys, os; from poolclient import PoolClient;"
            "c = PoolClient(sys.argv[1]);"
            "print(c.lease('web', name='tied', tied=True).pid, flush=True);"
            "sys.stdin.read()")
    child = subprocess.Popen(
        [sys.executable, "-B", "-c", code, daemon.socket],
        cwd=Path(__file__).parent, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE)
    pid = int(child.stdout.readline())
    assert not is_gone(pid)
    # Also when the daemon was another one by then.
    daemon.kill()
    daemon.start()
    child.kill()
    child.wait(PATIENCE)
    child.stdin.close()
    child.stdout.close()
    until(lambda: is_gone(pid))
    assert not is_gone(lease.pid)
    lease.close()


def test_what_a_lease_may_not_be(client, snap):
    make(client, snap, size=1)
    refused("none", lambda: client.lease("other"))
    refused("bad", lambda: client.lease("web", snapshot=str(snap)))
    text = refused("failed", lambda: client.lease(
        "web", drives=[{"id": "none", "path": "/x"}]))
    assert "none" in text
    # What could not become a lease was destroyed, and replaced.
    client.until("web", ready=1, leased=0)
    assert client.metrics()["pool_web"]["failed"] == 1
    refused("none", lambda: client.exit_of("x"))


# ---- queue ----

def test_first_come_first_served(daemon, client, snap):
    client.call("create", pool="web", kind="clone", snapshot=str(snap),
                size=0, parallel=1, queue=6)
    tags = [client.send("lease", pool="web", name=f"n{i}") for i in range(6)]
    over = client.send("lease", pool="web")
    assert "6 leases wait" in refused("full", lambda: client.answer(over))
    with daemon.client() as other:
        refused("full", lambda: other.lease("web"))
        refused("timeout", lambda: other.lease("web", wait_ms=0))
    # Members become ready one after the other, and their ids count up.
    leases = [client.leased(tag) for tag in tags]
    assert [x.id for x in leases] == sorted(x.id for x in leases)
    for lease in leases:
        lease.close()
    # No more were started than were asked for.
    assert client.metrics()["pool_web"]["started"] == 6


def test_deadline_and_who_hangs_up(daemon, client, snap):
    """Of a pool whose members never become ready, which says why."""
    client.call("create", pool="bad", kind="clone", snapshot=str(snap), size=1,
                vmm=["--no-such-option"])
    end = time.monotonic() + PATIENCE
    while "no-such-option" not in client.pools()["bad"].get("trouble", ""):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "no-such-option" in refused(
        "timeout", lambda: client.lease("bad", wait_ms=50))
    with daemon.client() as other:
        for _ in range(3):
            other.send("lease", pool="bad", wait_ms=3600000)
        client.until("bad", waiting=3)
    client.until("bad", waiting=0)
    waits = client.send("lease", pool="bad", wait_ms=3600000)
    client.call("drain", pool="bad")
    refused("draining", lambda: client.answer(waits))
    refused("draining", lambda: client.lease("bad"))


def test_a_member_that_stands_still_holds_up_nobody(client, snap):
    make(client, snap, size=3)
    first = client.members()[0]
    os.kill(gate_of(first["pid"]), signal.SIGSTOP)
    stuck = client.send("lease", pool="web")
    others = [client.lease("web", wait_ms=0) for _ in range(2)]
    assert first["id"] not in {lease.id for lease in others}
    os.kill(first["pid"], signal.SIGKILL)
    refused("failed", lambda: client.answer(stuck))
    client.until("web", ready=3, leased=2, ending=0)


# ---- members ----

def test_a_dead_member_is_replaced(client, snap):
    make(client, snap)
    before = {row["id"]: row for row in client.members()}
    for row in before.values():
        os.kill(row["pid"], signal.SIGKILL)
    until(lambda: before.keys().isdisjoint(
        row["id"] for row in client.members()))
    client.until("web", ready=2, ending=0)
    assert client.metrics()["pool_web"]["died"] == 2
    # The other half's end is the member's.
    other = client.members()[0]
    os.kill(gate_of(other["pid"]), signal.SIGKILL)
    until(lambda: other["id"] not in {row["id"] for row in client.members()})
    client.until("web", ready=2)


@pytest.fixture
def moved(daemon):
    """The daemon, with a volt-vmm that can be moved away."""
    daemon.kill()
    vmm = daemon.folder / "volt-vmm"
    vmm.symlink_to(BUILD / "volt-vmm")
    daemon.options = ["--vmm", vmm]
    daemon.start()
    return daemon, vmm


def test_a_program_that_is_gone(moved, snap):
    """The pool says so at once, and goes on when it is there again."""
    daemon, vmm = moved
    with daemon.client() as client:
        make(client, snap, size=1)
        vmm.unlink()
        client.call("resize", pool="web", size=2)
        until(lambda: client.pools()["web"].get("trouble") ==
              "Cannot run its program: No such file or directory")
        assert len(client.members()) == 1
        assert len(list(daemon.dir.glob("*.record"))) == 1
        vmm.symlink_to(BUILD / "volt-vmm")
        client.until("web", ready=2, ending=0)
    daemon.stop()


def test_resize_and_drain(client, snap):
    make(client, snap, size=1)
    client.call("resize", pool="web", size=3)
    client.until("web", ready=3)
    client.call("resize", pool="web", size=1)
    client.until("web", ready=1, ending=0)
    client.call("drain", pool="web")
    row = client.pools()["web"]
    assert row["draining"] and row["ready"] == row["ending"] == 0
    client.call("resize", pool="web", size=1)
    client.until("web", ready=1, draining=False)


def test_another_snapshot_in_its_place(client, snap, tmp_path):
    """Clones of what is not there any more are given to nobody."""
    own = tmp_path / "own"
    shutil.copytree(snap, own)
    make(client, own)
    old = {row["id"] for row in client.members()}
    shutil.copytree(snap, tmp_path / "new")
    os.rename(own, tmp_path / "old")
    os.rename(tmp_path / "new", own)
    lease = client.lease("web")
    assert lease.id not in old
    lease.close()
    client.until("web", ready=2, ending=0)
    assert old.isdisjoint(row["id"] for row in client.members())
    shutil.rmtree(own)
    refused("no_snapshot", lambda: client.lease("web"))
    row = client.until("web", ready=0, starting=0, ending=0, leased=1)
    assert row["trouble"] == "Its snapshot is gone"
    os.rename(tmp_path / "old", own)
    client.until("web", ready=2)
    refused("no_snapshot", lambda: client.call(
        "create", pool="none", kind="clone", snapshot=str(tmp_path)))


# ---- survival ----

def test_the_next_daemon_goes_on(daemon, client, snap):
    make(client, snap)
    make(client, snap, pool="shells", kind="shell")
    lease = client.lease("web", name="mine")
    client.until("web", ready=2)
    before = {row["id"]: row["pid"] for row in client.members()}
    daemon.kill()
    daemon.start()
    with daemon.client() as now:
        for pool in ("web", "shells"):
            now.until(pool, ready=2, starting=0)
        assert {row["id"]: row["pid"] for row in now.members()} == before
        refused("exists", lambda: now.lease("web", name="mine"))
        assert ask_vm(lease.path)["state"] == "Running"
        other = now.lease("web")
        assert other.id in before
        # It is not their parent any more. Who reaps them knows how they ended.
        os.kill(lease.pid, signal.SIGKILL)
        told = now.exit_of("mine")
        assert not told["known"] or told["signal"] == signal.SIGKILL
        # Also of one that has ended, and that nobody has reaped yet.
        os.kill(other.pid, signal.SIGKILL)
        until(lambda: is_gone(other.pid))
        now.call("release", name=other.name)
        assert not (daemon.dir / other.id).exists()
        other.close()
    lease.close()


@pytest.mark.parametrize("body", [b'{"resume_vm":true}', b"{}"],
                         ids=["runs", "paused"])
def test_what_had_begun_to_change_is_not_given_out(daemon, client, snap, body):
    """Found leased, or changed since its record: it is nobody's."""
    make(client, snap)
    first, second = client.members()
    daemon.kill()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(first["api"])
        sock.sendall(b"PUT /volt/lease HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(body), body))
        assert b" 204 " in sock.recv(4096)
    # Of a process that is another by now.
    record = daemon.dir / f"{second['id']}.record"
    text = json.loads(record.read_text())
    text["start"] += 1
    record.write_text(json.dumps(text))
    (daemon.dir / "web-0").mkdir()
    (daemon.dir / "x.record").write_text("{")
    daemon.start()
    with daemon.client() as now:
        now.until("web", ready=2, starting=0, ending=0)
        found = {row["id"] for row in now.members()}
        assert {first["id"], second["id"]}.isdisjoint(found), (
            first, second, now.members())
    assert is_gone(first["pid"])
    assert not (daemon.dir / "web-0").exists()
    assert not (daemon.dir / "x.record").exists()


def test_a_lease_that_was_cut_off_at_its_begin(daemon, client, snap):
    """Its record has another name, and what is left of a name is no lease."""
    make(client, snap)
    first, second = client.members()
    daemon.kill()
    record = daemon.dir / f"{first['id']}.record"
    record.rename(record.with_suffix(".leasing"))
    record = daemon.dir / f"{second['id']}.record"
    record.with_suffix(".leasing").write_bytes(record.read_bytes())
    daemon.start()
    with daemon.client() as now:
        now.until("web", ready=2, starting=0, ending=0)
        found = {row["id"] for row in now.members()}
        assert first["id"] not in found and second["id"] in found, found
        assert is_gone(first["pid"])
        leases = [now.lease("web") for _ in range(2)]  # in either order
        assert second["id"] in {lease.id for lease in leases}
        for lease in leases:
            now.call("release", name=lease.name)
            lease.close()
    assert not list(daemon.dir.glob("*.leasing"))


def test_told_to_end(daemon, client, snap):
    make(client, snap)
    lease = client.lease("web", name="mine")
    client.until("web", ready=2)
    idle = [row for row in client.members() if row["state"] == "ready"]
    second = subprocess.run(
        [BUILD / "volt-pool", "--socket", daemon.folder / "other.sock",
         "--dir", daemon.dir], capture_output=True, text=True, timeout=PATIENCE)
    assert second.returncode == 1 and "Another volt-pool has" in second.stderr
    daemon.stop()
    assert not daemon.socket.exists()
    assert all(is_gone(row["pid"]) for row in idle)
    assert ask_vm(lease.path)["state"] == "Running"
    daemon.start()
    with daemon.client() as now:
        now.until("web", ready=2, leased=1)
        now.call("release", name="mine")
    lease.close()


# ---- who may what ----

def as_user(uid, daemon, code):
    """A program of another user's, with a client as c; what it prints."""
    run = subprocess.run(
        ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups",
         sys.executable, "-B", "-c",
         "import sys\nfrom poolclient import PoolClient, Refused\n"
         "c = PoolClient(sys.argv[1])\n"
         "def told(*a, **k):\n"
         "    try:\n        return c.call(*a, **k)[0]\n"
         "    except Refused as r:\n        return r.code\n" + code,
         daemon.socket], cwd=Path(__file__).parent, capture_output=True,
        text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@needs_root
def test_other_users_see_nothing(daemon, client, snap):
    make(client, snap)
    lease = client.lease("web", name="mine")
    daemon.folder.chmod(0o755)
    lines = as_user(NOBODY, daemon, """
print(c.pools(), c.members())
for what in ("lease", "drain", "rm", "ls"):
    print(told(what, pool="web"))
print(told("resize", pool="web", size=0))
for what in ("release", "wait"):
    print(told(what, name="mine"))
print("web" in c.metrics("openmetrics"), list(c.metrics()))
""")
    assert lines == ["{} []", *["none"] * 7,
                     "False ['utc_timestamp_ms', 'daemon']"]
    client.until("web", ready=2)
    # One of his own runs as him; he may have root's names.
    shutil.copytree(snap, daemon.folder / "snap")
    daemon.dir.chmod(0o711)
    for path in (daemon.folder / "snap", *(daemon.folder / "snap").iterdir()):
        os.chown(path, NOBODY, NOBODY)
    lines = as_user(NOBODY, daemon, f"""
c.call("create", pool="web", kind="shell", size=1,
       snapshot="{daemon.folder}/snap")
c.until("web", ready=1)
import os
pid = c.members()[0]["pid"]
print(os.stat(f"/proc/{{pid}}/task").st_uid, len(c.pools()))
print(open(f"/proc/{{pid}}/status").read().split("Uid:")[1].split()[0])
""")
    assert lines[1] == str(NOBODY), lines
    assert {row["pool"] for row in client.call("ls")[0]["ls"]["pools"]} == {
        "web"} and len(client.call("ls")[0]["ls"]["pools"]) == 2
    # His members' folders are his. What he puts there is not asked.
    his = next(row for row in client.members()
               if Path(row["api"]).parent.stat().st_uid == NOBODY)
    make(client, snap, pool="shell", kind="shell", size=1)
    mine = client.members("shell")[0]
    daemon.kill()
    os.unlink(his["api"])
    os.symlink(mine["api"], his["api"])
    daemon.start()
    with daemon.client() as now:
        until(lambda: his["id"] not in {row["id"] for row in now.members()})
        until(lambda: mine["id"] in {row["id"] for row in now.members()
                                     if row["state"] == "ready"})
    assert ask_vm(mine["api"])["state"] == "Not started"
    lease.close()


@needs_root
def test_who_stops_his_members_stops_nobody_else(daemon):
    """He may, as soon as a process is his; here long before its program."""
    uid = 64321  # nobody else's: he stops all that he can
    daemon.folder.chmod(0o755)
    daemon.kill()
    daemon.wrapper = ["strace", "-f", "-o", "/dev/null", "-e",
                      "trace=setresuid", "-e",
                      "inject=setresuid:delay_exit=500000"]
    daemon.start()
    as_user(uid, daemon, 'c.call("create", pool="his", kind="shell", size=0, '
                         'parallel=2)')
    with subprocess.Popen(
            ["setpriv", "--reuid", str(uid), "--regid", str(uid),
             "--clear-groups", sys.executable, "-c", """
import os, signal
print("on", flush=True)
while True:
    try:
        os.kill(-1, signal.SIGSTOP)
    except ProcessLookupError:
        pass
"""], stdout=subprocess.PIPE) as stopper, daemon.client(10) as client:
        try:
            assert stopper.stdout.readline() == b"on\n"
            client.call("resize", pool="his", size=2)
            until(lambda: len(client.members()) == 2)
            time.sleep(1)  # they stand still by now
            client.call("rm", pool="his")
            assert not client.pools()
        finally:
            stopper.kill()
    traced = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}")
    os.kill(int((traced / "children").read_text()), signal.SIGTERM)
    assert daemon.process.wait(PATIENCE) == 0


@needs_root
def test_a_users_daemon_serves_him_and_root():
    folder = Path(tempfile.mkdtemp(prefix="volt-pool-", dir="/tmp"))
    folder.chmod(0o777)
    pool = PoolDaemon(BUILD, folder, user=NOBODY, group=NOBODY,
                      extra_groups=[])
    try:
        with pool.client() as root:
            assert root.pools() == {}
        assert as_user(NOBODY, pool, "print(c.pools())") == ["{}"]
        assert as_user(NOBODY - 1, pool, """
try:
    print(c.receive()[0]["error"]["text"])
    print(c.receive())
except ConnectionResetError:
    print("hung up")
""") == ["This volt-pool serves another user", "hung up"]
    finally:
        pool.stop()
        shutil.rmtree(folder)


# ---- hostile clients ----

def test_messages_that_mean_ill(daemon, client, snap):
    make(client, snap)
    with daemon.client() as bad:
        for text in (b"{", b"\0", b"[]", b'{"v":1}', b'{"v":2,"ls":{}}',
                     b'{"v":1,"tag":5,"lease":{"pool":"../x"}}',
                     b"[" * 5000, b"x" * (64 << 10), b"x" * (100 << 10)):
            bad.sock.sendall(text)
            answer, _ = bad.receive()
            assert answer["error"]["code"] in ("bad", "version"), text[:40]
        with open(os.devnull, "rb") as null:
            bad.sock.sendmsg([b'{"v":1,"ls":{}}'], [
                (socket.SOL_SOCKET, socket.SCM_RIGHTS,
                 array.array("i", [null.fileno()] * 3))])
        assert bad.receive()[0]["error"]["code"] == "bad"
        assert bad.pools()["web"]["ready"] == 2
    assert client.pools()["web"]["ready"] == 2


def test_who_does_not_read_its_answers(daemon, client, snap):
    """It is hung up on, and what it would have got goes."""
    make(client, snap)
    bad = daemon.client(1)
    try:
        for _ in range(5000):
            bad.send("metrics", format="json")
    except OSError:
        pass
    assert client.pools()["web"]["ready"] == 2
    bad.close()
    # A lease whose client is gone before its answer is nobody's.
    with daemon.client() as gone:
        for _ in range(4):
            gone.send("lease", pool="web")
    client.until("web", ready=2, leased=0, ending=0, waiting=0)


def test_nothing_is_left_open(daemon, client, snap):
    make(client, snap)

    def open_now():
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    client.until("web", ready=2, ending=0)
    before = open_now()
    for _ in range(8):
        with daemon.client() as other:
            lease = other.lease("web", api=True)
            other.metrics()
            lease.close()
            other.call("release", name=lease.name)
    client.until("web", ready=2, ending=0)
    until(lambda: open_now() == before)


# ---- cgroups, metrics ----

@needs_root
@pytest.mark.skipif(not CGROUPS, reason="no cgroups of version 2")
def test_a_lease_moves_both_halves(client, snap):
    make(client, snap)
    group = CGROUPS / f"volt-pool-test-{os.getpid()}"
    group.mkdir()
    try:
        lease = client.lease("web", cgroup=f"/{group.name}")
        assert set(map(int, (group / "cgroup.procs").read_text().split())) == {
            lease.pid, gate_of(lease.pid)}
        own = client.lease("web", cgroup=f"/{group.name}", limits={})
        below = group / f"volt-{own.id}"
        assert len((below / "cgroup.procs").read_text().split()) == 2
        for one in (lease, own):
            client.call("release", name=one.name)
            one.close()
        until(lambda: not below.exists())
        for wrong in ("/none-of-this-name", "/../x"):
            refused("failed", lambda: client.lease("web", cgroup=wrong))
    finally:
        until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_metrics(client, snap):
    make(client, snap)
    leases = [client.lease("web") for _ in range(3)]
    client.until("web", ready=2)
    told = client.metrics()
    pool = told["pool_web"]
    assert (pool["ready"], pool["leased"], pool["started"]) == (2, 3, 5)
    assert pool["lease_us"]["count"] == 3 and pool["lease_us"]["sum"] > 0
    assert pool["private_kib"] > 0 and pool["clone_kib"] > 0
    lines = client.metrics("openmetrics").splitlines()
    assert lines[-1] == "# EOF"
    assert 'volt_pool_members{pool="web",owner="%d",state="leased"} 3' % \
        os.geteuid() in lines
    assert 'volt_pool_lease_seconds_count{pool="web",owner="%d"} 3' % \
        os.geteuid() in lines
    families = [x.split()[2] for x in lines if x.startswith("# TYPE")]
    assert len(families) == len(set(families))
    for line in lines[:-1]:
        if not line.startswith("#"):
            name = line.split("{")[0]
            assert any(name.startswith("volt_pool_") and f in name
                       for f in families), line
            float(line.rsplit(" ", 1)[1])
    for lease in leases:
        lease.close()
