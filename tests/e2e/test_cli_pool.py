# SPDX-License-Identifier: Apache-2.0
"""volt pool, against a daemon of the test's own: what it asks, what it prints.

The daemon answers what the test tells it to; the real one is tested elsewhere.
"""

import json
import os
import socket
import subprocess
import threading

import pytest

from conftest import BUILD

VOLT = BUILD / "volt"


class Daemon:
    """Listens where volt looks; keeps requests, gives answers in turn."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "volt").mkdir(mode=0o700)
        self.path = folder / "volt/pool.sock"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(60)
        self.sock.bind(str(self.path))
        self.sock.listen()
        self.asked = []
        self.answers = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.sock.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(60)
                self.asked.append(json.loads(peer.recv(1 << 16)))
                answer, *fds = self.answers.pop(0)
                if isinstance(answer, bytes):
                    if answer:
                        peer.send(answer)
                    continue
                text = json.dumps({"v": 1, "tag": 0, **answer}).encode()
                socket.send_fds(peer, [text], fds)
                for fd in fds:
                    os.close(fd)

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join(60)


class Pool:
    def __init__(self, folder):
        self.folder = folder
        self.daemon = Daemon(folder)

    def run(self, *words, answers=({},)):
        self.daemon.answers = [a if isinstance(a, tuple) else (a,)
                               for a in answers]
        self.daemon.asked.clear()
        done = subprocess.run(
            [VOLT, "pool", *map(str, words)], capture_output=True, text=True,
            cwd=self.folder, timeout=60, check=False,
            env={**os.environ, "XDG_RUNTIME_DIR": str(self.folder)})
        return done

    def asks(self, *words, **how):
        """A command that succeeds: its one request, and what it printed."""
        done = self.run(*words, **how)
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert len(self.daemon.asked) == 1
        request = self.daemon.asked[0]
        assert request.pop("v") == 1
        request.pop("tag", None)
        return request, done.stdout


@pytest.fixture
def pool(build, tmp_path):
    it = Pool(tmp_path)
    yield it
    it.daemon.close()


def test_what_create_asks(pool, tmp_path):
    asked, said = pool.asks("create", "web", "snaps/web")
    assert not said
    assert asked["create"] == {
        "pool": "web", "kind": "clone", "snapshot": f"{tmp_path}/snaps/web",
        "size": 8, "parallel": 0, "rate": 0, "cpu": 0, "memory_mib": 0,
        "queue": 256, "wait_ms": 5000, "vmm": []}
    asked, _ = pool.asks(
        "create", "--shell", "--size", 3, "--parallel", 2, "--rate", 9,
        "--cpu", 50, "--budget", 1024, "--queue", 0, "--wait", 7, "--clock", "any",
        "/s/state", "/s/memory", "--", "--isolate", "--level", "Off")
    assert asked["create"] == {
        "pool": "any", "kind": "shell", "snapshot": "/s/state",
        "memory": "/s/memory", "size": 3, "parallel": 2, "rate": 9, "cpu": 50,
        "memory_mib": 1024, "queue": 0, "wait_ms": 7, "clock": True,
        "vmm": ["--isolate", "--level", "Off"]}


@pytest.mark.parametrize("words, asked", [
    (("resize", "web", 4), {"resize": {"pool": "web", "size": 4}}),
    (("drain", "web"), {"drain": {"pool": "web"}}),
    (("rm", "web"), {"rm": {"pool": "web"}}),
    (("release", "web-17"), {"release": {"name": "web-17"}}),
])
def test_what_is_only_done(pool, words, asked):
    request, said = pool.asks(*words)
    assert request == asked and not said


LEASE = {"lease": {"id": "web-3f", "name": "web-17", "pid": 4711,
                   "api": "/run/x\x1b[2J/api.sock", "us": 180}}


def test_what_lease_asks_and_tells(pool, tmp_path):
    asked, said = pool.asks("lease", "web", answers=[LEASE])
    assert {k: v for k, v in asked["lease"].items() if v} == {"pool": "web"}
    assert said == "web-17  PID 4711  /run/x\\x1b[2J/api.sock  180 us\n"
    asked, said = pool.asks(
        "lease", "--name", "web-17", "--snapshot", "other", "--disk",
        "root=a.img", "--overlay", "root=over", "--overlay", "data=/over",
        "--net", "n0=tap7", "--net", "n1=tap8,06:00:00:00:00:01", "--vsock",
        "v.sock", "--memory", 64, "--cpu", 150, "--pids", 9, "--cgroup",
        "/vms", "--cid", 17, "--wait", 0, "--paused", "--json", "web",
        answers=[LEASE])
    assert asked["lease"] == {
        "pool": "web", "name": "web-17", "snapshot": f"{tmp_path}/other",
        "drives": [{"id": "root", "path": f"{tmp_path}/a.img",
                    "overlay": f"{tmp_path}/over"},
                   {"id": "data", "overlay": "/over"}],
        "networks": [{"id": "n0", "tap": "tap7"},
                     {"id": "n1", "tap": "tap8", "mac": "06:00:00:00:00:01"}],
        "vsock": f"{tmp_path}/v.sock", "cid": 17, "cgroup": "/vms",
        "limits": {"memory_mib": 64, "cpu": 150, "pids": 9}, "wait_ms": 0,
        "paused": True}
    assert json.loads(said) == LEASE["lease"]


def test_a_guest_that_cannot_be_told(pool):
    """The lease is there all the same: what it is, why not, and the way out."""
    done = pool.run("lease", "--vsock", "v.sock", "--agent", "web",
                    answers=[LEASE])
    assert done.returncode == 1 and "PID 4711" in done.stdout
    assert "its guest was not told" in done.stderr
    assert "`volt pool release web-17` ends it" in done.stderr


def test_what_limits_a_lease_asks_for(pool):
    asked, _ = pool.asks(
        "lease", "--disk", "root=/a.img", "--disk-limit",
        "root=bytes:2M/500+1G,ops:100", "--disk-limit", "data=ops:0",
        "--net", "n0=tap7", "--net-limit", "n0=tx-ops:7/1,rx-bytes:3K",
        "--net-limit", "n1=rx-ops:9", "web", answers=[LEASE])
    assert asked["lease"]["drives"] == [
        {"id": "root", "path": "/a.img", "rate_limiter": {
            "bandwidth": {"size": 2 << 20, "refill_time": 500,
                          "one_time_burst": 1 << 30},
            "ops": {"size": 100, "refill_time": 1000}}},
        {"id": "data", "rate_limiter": {
            "ops": {"size": 0, "refill_time": 1000}}}]
    assert asked["lease"]["networks"] == [
        {"id": "n0", "tap": "tap7",
         "rx_rate_limiter": {"bandwidth": {"size": 3072, "refill_time": 1000}},
         "tx_rate_limiter": {"ops": {"size": 7, "refill_time": 1}}},
        {"id": "n1",
         "rx_rate_limiter": {"ops": {"size": 9, "refill_time": 1000}}}]


LIMIT = "takes ID=KIND:SIZE[/MS][+BURST][,...], not"


@pytest.mark.parametrize("flag, text", [
    ("disk", "root"), ("disk", "=ops:1"), ("disk", "r=ops"), ("disk", "r=ops:"),
    ("disk", "r=ops:1,"), ("disk", "r=ops:1,ops:2"), ("disk", "r=rx-ops:1"),
    ("disk", "r=ops:1x"), ("disk", "r=ops:1/"), ("disk", "r=ops:1+"),
    ("disk", "r=ops:99999999999999999999"), ("disk", "r=bytes:99999999999999G"),
    ("net", "n=ops:1"), ("net", "n=rx-ops:-1"), ("net", "n=rx-ops:1;tx-ops:1"),
])
def test_a_limit_that_makes_no_sense_is_not_asked(pool, flag, text):
    done = pool.run("lease", f"--{flag}-limit={text}", "web")
    assert done.returncode == 64, done.stderr
    assert f"--{flag}-limit {LIMIT} '{text}'" in done.stderr
    assert not pool.daemon.asked


@pytest.mark.parametrize("words, sentence", [
    (("lease", "--disk", "root", "web"), "--disk takes ID=PATH, not 'root'"),
    (("lease", "--overlay", "=x", "web"), "--overlay takes ID=DIR, not '=x'"),
    (("lease", "--net", "n0=", "web"), "--net takes ID=TAP[,MAC], not 'n0='"),
    (("lease", "--disk", "r=a", "--disk", "r=b", "web"), "r is given twice"),
    (("lease", "--agent", "web"), "--vsock"),
    (("lease", "--agent", "--vsock", "s", "--paused", "web"), "--paused"),
    (("create", "web"), "of which snapshot?"),
    (("ls", ""), "'' cannot name a pool or a lease"),
    (("release", "a/b"), "'a/b' cannot name a pool or a lease"),
    (("lease", "--name", "x" * 49, "web"), "cannot name a pool or a lease"),
    (("resize", "web", "many"), "'many' is no number"),
    (("create", "--size", "5000", "web", "s"), "--size"),
])
def test_what_makes_no_sense_is_not_asked(pool, words, sentence):
    done = pool.run(*words)
    assert done.returncode == 64 and sentence in done.stderr, done.stderr
    assert not pool.daemon.asked


def row(**more):
    return {"pool": "web", "kind": "clone", "snapshot": "/s", "owner": 0,
            "size": 8, "starting": 1, "ready": 2, "leased": 3, "ending": 0,
            "waiting": 4, "private_kib": 2048, "draining": False, **more}


def member(number):
    return {"id": f"web-{number}", "pool": "web", "state": "leased",
            "name": f"n{number}", "pid": number, "api": f"/a{number}"}


def test_what_ls_tells(pool):
    asked, said = pool.asks("ls", answers=[{"ls": {
        "pools": [row(), row(pool="old", kind="shell", snapshot=None,
                             draining=True, trouble="it is gone")],
        "members": []}}])
    assert {k: v for k, v in asked["ls"].items() if v} == {}
    lines = said.splitlines()
    assert lines[0].split()[:4] == ["POOL", "KIND", "SIZE", "READY"]
    assert lines[1].split() == ["web", "clone", "8", "2", "1", "3", "0", "4",
                                "2.0", "/s"]
    assert lines[2].endswith("- (draining)")
    assert lines[3] == "old does not refill: it is gone"


def test_ls_asks_for_the_rest(pool):
    """An answer has so many; the next goes on behind the last of them."""
    pages = [{"ls": {"pools": [row()], "members": [member(1), member(2)],
                     "more": True}},
             {"ls": {"pools": [row()], "members": [member(3)]}}]
    done = pool.run("ls", "--members", "web", answers=pages)
    assert done.returncode == 0, done.stderr
    first, second = (request["ls"] for request in pool.daemon.asked)
    assert first["members"] and first["pool"] == "web"
    assert not first.get("after") and second["after"] == "web-2"
    assert [line.split()[0] for line in done.stdout.splitlines() if line] == [
        "POOL", "web", "VM", "web-1", "web-2", "web-3"]
    done = pool.run("ls", "--members", "--json", answers=pages)
    assert [len(json.loads(line)["members"]) for line in
            done.stdout.splitlines()] == [2, 1]


@pytest.mark.parametrize("end, sentence", [
    ({"known": True, "status": 3, "signal": 0}, "has ended with exit code 3"),
    ({"known": True, "status": 0, "signal": 9}, "was ended by signal 9"),
    ({"known": False, "status": 0, "signal": 0}, "nobody knows how"),
])
def test_what_wait_tells(pool, end, sentence):
    asked, said = pool.asks("wait", "web-17", answers=[{"exit": end}])
    assert asked == {"wait": {"name": "web-17"}} and sentence in said
    _, said = pool.asks("wait", "--json", "web-17", answers=[{"exit": end}])
    assert json.loads(said) == end


@pytest.mark.parametrize("flags, form", [
    ((), "json"), (("--openmetrics",), "openmetrics")])
def test_metrics_are_the_files_text(pool, tmp_path, flags, form):
    (tmp_path / "text").write_text("x" * 5000 + "\n# EOF\n")
    fd = os.open(tmp_path / "text", os.O_RDONLY)
    os.lseek(fd, 77, os.SEEK_SET)
    asked, said = pool.asks("metrics", *flags, answers=[({}, fd)])
    assert asked == {"metrics": {"format": form}}
    assert said == "x" * 5000 + "\n# EOF\n"


@pytest.mark.parametrize("answer, sentence", [
    ({"error": {"code": "full", "text": "Pool web has no\x1b member left"}},
     "Pool web has no\\x1b member left"),
    (b"", "The pool daemon ended before it answered"),
    (b"{", "is not understood"),
    (b'{"v":1,"tag":0,"lease":7}', "is not understood"),
    ({}, "The pool daemon gave no VM"),
])
def test_a_daemon_that_refuses_or_fails(pool, answer, sentence):
    done = pool.run("lease", "web", answers=[answer])
    assert done.returncode == 1 and not done.stdout
    assert sentence in done.stderr and done.stderr.count("\n") == 1


def test_without_a_daemon_it_says_how_to_start_one(build, tmp_path):
    """Not there, left behind, or something else."""
    def said(*words):
        done = subprocess.run(
            [VOLT, "pool", "ls", *words], capture_output=True, text=True,
            timeout=60, check=False,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)})
        assert done.returncode == 1 and not done.stdout
        return done.stderr
    (tmp_path / "volt").mkdir(mode=0o700)
    for _ in range(2):
        text = said()
        assert f"No pool daemon listens at {tmp_path}/volt/pool.sock" in text
        assert "systemctl --user start volt-pool" in text
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            if not (tmp_path / "volt/pool.sock").exists():
                sock.bind(str(tmp_path / "volt/pool.sock"))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "other"))
        sock.listen()
        assert "is no pool daemon" in said("--socket", tmp_path / "other")
    assert "is no path of a socket" in said("--socket", "x" * 200)


def test_the_daemon_is_no_vm(pool):
    """Its socket lies among those of VMs: volt ps does not list it."""
    done = subprocess.run(
        [VOLT, "ps"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(pool.folder)})
    assert done.returncode == 0, done.stderr
    assert not any(line.split()[:1] == ["pool"]
                   for line in done.stdout.splitlines())
