# SPDX-License-Identifier: Apache-2.0
"""--isolate of a running VM: what is left around it, and what works on.

That nothing of the host is there for the process is tried from inside in
tests/unit/test_sandbox_isolate.c. Here VMs have it, as root's and nobody's.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import BUILD, Api, Case
from jail import jails  # noqa: F401
from test_guest_net import wire  # noqa: F401
from test_gate import is_gone, until
from test_sandbox import (AS_NOBODY, NOBODY, VMM, denying,  # noqa: F401
                          hello, needs_landlock, nobody, run, status,
                          under_filter)
from test_snapshot_uffd import (asked, end, handler, load,  # noqa: F401
                                need_uffd, saved)
from vsock_host import connect

UNSHARE = 272
KINDS = ("user", "mnt", "net", "ipc")

pytestmark = needs_landlock


def can_isolate():
    """Does this host give namespaces to an ordinary user?"""
    words = AS_NOBODY.split() if os.geteuid() == 0 else []
    return subprocess.run([*words, "unshare", "--user", "--mount", "--net",
                           "--ipc", "true"], capture_output=True, timeout=60,
                          check=False).returncode == 0


@pytest.fixture(autouse=True)
def namespaces():
    if not can_isolate():
        pytest.skip("this host gives no user namespaces")


@pytest.fixture
def folder():
    """Short, and open to everybody."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="volt-i") as path:
        os.chmod(path, 0o777)
        yield Path(path)


def links(pid):
    return [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS]


def assert_alone(pid):
    """No file system, no interface but lo, no capability; by /proc.

    Only root looks into a process that is locked: for others this is for the
    tests that root runs."""
    if os.geteuid() != 0:
        return
    mounts = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    assert len(mounts) == 1 and " / / ro," in mounts[0], mounts
    devices = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    for tid in os.listdir(f"/proc/{pid}/task"):
        s = status(pid, tid)
        if s["Name"].strip().startswith(("kvm-", "vhost-", "iou-")):
            continue
        for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(s[kind], 16) == 0, (s["Name"], kind)
        assert not set(links(f"{pid}/task/{tid}")) & set(links("self"))


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_state_and_client(vmm, folder, request, user):
    """Told as the rest is; the gate still finds what a client names."""
    words = [] if user == "root" else request.getfixturevalue("nobody")
    sock = folder / "api.sock"
    one = vmm.spawn([*words, VMM, "--api-sock", sock, "--id", "alone",
                     "--sandbox", "strict", "--isolate", "--level", "Info"])
    api = Api(sock)
    api.wait()
    assert api.call("GET", "/volt/sandbox")[1]["isolated"] is False
    kernel = shutil.copy(vmm.guest("ticker"), folder)  # the tree may be closed
    api.set("PUT", "/boot-source", {"kernel_image_path": str(kernel)})
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})
    one.wait_for("tick 1")
    said = api.call("GET", "/volt/sandbox")[1]
    assert said["isolated"] is True and said["locked"] is True
    assert all("alone" in gap or "volt-jailer make" in gap
               for gap in said["gaps"])
    assert said["pid_namespace"] is False
    assert "namespaces of its own" in one.log()
    assert_alone(one.pid)
    gate = int(Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text())
    assert links(gate) == links("self") or user == "nobody"
    ps = subprocess.run([*(AS_NOBODY.split() if words else []),
                         BUILD / "volt", "ps"], text=True, timeout=60,
                        capture_output=True, check=False,
                        env={"PATH": os.environ["PATH"],
                             "XDG_RUNTIME_DIR": "/nonexistent"})
    assert [row.split()[4] for row in ps.stdout.splitlines()
            if row.startswith("alone")] == ["strict,isolated"], ps
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", {"snapshot_path": f"{folder}/s/"})
    api.set("PATCH", "/vm", {"state": "Resumed"})
    one.process.terminate()
    assert one.finish().code == -signal.SIGTERM
    clone = vmm.spawn([*words, VMM, "--restore", folder / "s", "--isolate"])
    clone.wait_for("tick ")
    assert_alone(clone.pid)
    clone.process.terminate()
    assert clone.finish().code == -signal.SIGTERM


def test_a_handler_serves_and_its_death_is_seen(vmm, tmp_path, saved,
                                                handler, monkeypatch):
    """Its watcher makes way for the namespaces, and is in them then."""
    need_uffd()
    server = handler()
    monkeypatch.setattr(
        vmm, "spawn", lambda argv, spawn=vmm.spawn: spawn([*argv, "--isolate"]))
    one, api, code, answer = load(vmm, tmp_path, server)
    assert code == 204, answer
    assert api.call("GET", "/volt/sandbox")[1]["isolated"] is True
    asked(one, "c 0 4 7", "right")
    assert_alone(one.pid)
    server.end()
    result = one.finish()
    assert result.code == 1
    assert "serves the guest's memory is gone" in result.log


def test_vsock(vmm, folder):
    path = folder / "v.sock"
    one = vmm.start("vsock", "cid=3", extra=("--isolate",), devices={
        "vsock": {"guest_cid": 3, "uds_path": str(path)}})
    one.wait_for("ready")
    assert_alone(one.pid)
    with connect(path, 9) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    connect(path, 1).close()
    one.finish().assert_passed()


def test_a_tap_works(wire):
    one = wire.echo(extra=("--isolate",))
    assert_alone(one.pid)
    wire.peer("ping:10", "udp:1472")


def test_vhost_works(wire):
    """The kernel's thread, one of the process since Linux 6.4, comes behind the
    lock. The lab has it, too: vhost_guests.py."""
    if not os.access("/dev/vhost-net", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/vhost-net on this host")
    one = wire.start("netecho", extra=("--isolate",), vhost=True)
    one.wait_for("listening")
    assert_alone(one.pid)


def test_in_a_jail(jails):
    """No /proc, and a root of its own already."""
    jail = jails()
    kernel = jail.put(BUILD / "tests/guest/ticker.elf")
    one = jail.start(rest=("--no-api", "--kernel", kernel, "--isolate"))
    one.wait_for("tick 1")
    assert_alone(jail.pid())


@pytest.mark.parametrize("mode, code", [("strict", 1), ("best-effort", 0)])
def test_a_host_that_forbids_them(vmm, mode, code):
    install = under_filter(denying(UNSHARE, 1))
    done = run(*hello(vmm, "--sandbox", mode, "--isolate"), preexec_fn=install)
    assert done.returncode == code, done
    if code:
        assert "no user namespace: Operation not permitted" in done.stderr
        assert "--sandbox best-effort" in done.stderr
        return
    for kind in ("user", "mount", "network", "IPC"):
        assert f"Not in the sandbox: {kind} namespace" in done.stderr


def test_not_without_a_sandbox(vmm):
    done = run(*hello(vmm, "--sandbox", "off", "--isolate"))
    assert done.returncode == 1 and "--isolate is a part" in done.stderr


def test_the_guest_ends_as_without_it(vmm):
    vmm.run(Case("hello", extra=("--isolate",))).assert_passed()


# ---- the PID namespace, which volt makes ----

def volt(folder, words, *options):
    """volt's own process; its VM is named `own`."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    if words:
        os.chown(runtime, NOBODY, NOBODY)
    return [*words, "env", f"XDG_RUNTIME_DIR={runtime}", BUILD / "volt",
            "run", "--name", "own", "--isolate", *options]


def ask(folder, words, *command):
    return subprocess.run(
        [*(AS_NOBODY.split() if words else []), BUILD / "volt", *command],
        text=True, timeout=120, capture_output=True, check=False,
        env={"PATH": os.environ["PATH"],
             "XDG_RUNTIME_DIR": str(folder / "run")})


def children(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.fixture(params=["root", "nobody"])
def own(vmm, folder, request):
    """(volt, number of its volt-vmm, how to ask volt) of a guest that runs."""
    words = [] if request.param == "root" else request.getfixturevalue("nobody")
    kernel = shutil.copy(vmm.guest("ticker"), folder)
    one = vmm.spawn(volt(folder, words, "--kernel", kernel))
    one.wait_for("tick 1")
    first, machine = children(one.pid)
    assert status(first)["Name"].strip() == "volt-init"
    # Its gate is its only child, and both have a number of their own inside.
    gate, = children(machine)
    for pid, inside in ((first, "1"), (machine, "2"), (gate, "3")):
        assert status(pid)["NSpid"].split()[-2:] == [str(pid), inside]
    yield one, machine, lambda *command: ask(folder, words, *command)
    # The first one is in the kernel's hands until somebody reaps the others.
    for pid in (one.pid, machine, gate):
        assert until(lambda pid=pid: is_gone(pid)), pid


def test_a_namespace_of_its_own_is_seen_from_outside(own):
    one, machine, run_volt = own
    row, = [line.split() for line in run_volt("ps").stdout.splitlines()
            if line.startswith("own ")]
    assert row[1] == "Running" and row[4] == "strict,isolated"
    assert row[5] == str(machine)
    said = Api(Path(row[6])).call("GET", "/volt/sandbox")[1]
    assert said["pid_namespace"] is True and said["isolated"] is True
    assert not any("processes" in gap for gap in said["gaps"])
    assert_alone(machine)
    done = run_volt("stop", "--wait", "0", "own")
    assert done.returncode == 0, done
    assert one.finish().code == -signal.SIGTERM


@pytest.mark.parametrize("sig, code", [
    (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, -signal.SIGINT),
    (signal.SIGHUP, 156)], ids=lambda x: str(x))
def test_signals_go_on_to_it_and_its_end_comes_back(own, sig, code):
    one, _, _ = own
    one.process.send_signal(sig)
    assert one.finish().code == code


@pytest.mark.parametrize("whom", ["volt", "volt-vmm", "both"])
def test_nothing_is_left_when_one_is_killed(own, whom):
    """By SIGKILL, volt's too; the fixture looks for what is left."""
    one, machine, run_volt = own
    if whom == "both":
        assert run_volt("stop", "--kill", "own").returncode == 0
    else:
        os.kill(one.pid if whom == "volt" else machine, signal.SIGKILL)
    assert one.process.wait(60) == -signal.SIGKILL


def test_volt_restore_has_one_too(vmm, folder):
    kernel = vmm.guest("ticker")
    one = vmm.spawn(volt(folder, [], "--kernel", kernel))
    one.wait_for("tick 1")
    assert ask(folder, [], "snapshot", "own", folder / "s").returncode == 0
    one.process.kill()
    one.process.wait(60)
    words = volt(folder, [])
    at = words.index("run")
    clone = vmm.spawn([*words[:at], "restore", "--name", "clone", "--isolate",
                       folder / "s"])
    clone.wait_for("tick ")
    _, machine = children(clone.pid)
    assert status(machine)["NSpid"].split()[-1] == "2"
    clone.process.terminate()
    assert clone.finish().code == -signal.SIGTERM


def test_the_exit_code_and_the_console_are_the_guests(vmm, folder):
    done = subprocess.run(volt(folder, [], "--kernel", vmm.guest("hello")),
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0 and "done " in done.stdout
    done = subprocess.run(volt(folder, [], "--kernel", "/dev/null"),
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("mode, code", [("strict", 1), ("best-effort", 0)])
def test_a_host_that_gives_no_pid_namespace(vmm, folder, mode, code):
    done = subprocess.run(
        volt(folder, [], "--sandbox", mode, "--kernel", vmm.guest("hello")),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False, preexec_fn=under_filter(denying(UNSHARE, 1)))
    assert done.returncode == code, done
    if code:
        assert "gives no PID namespace: Operation not perm" in done.stderr
        assert "--sandbox best-effort" in done.stderr
    else:
        assert "Not in the sandbox: processes: no PID" in done.stderr
