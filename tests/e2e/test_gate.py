# SPDX-License-Identifier: Apache-2.0
"""The two halves of the process: what the gate has, and how both end."""

import contextlib
import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path

import apiclient
import pytest
from conftest import BUILD, LONG, Api, Case, long_only, looks_into
from patience import PATIENCE
from test_snapshot_state import taps  # noqa: F401

# The kernel ends the other half in a moment; 50 ms is what is promised. A busy
# machine has its own idea of 50 ms, so a test waits longer, and says so.
STARTS = 1000 if LONG else 30


def until(what, seconds=PATIENCE):
    """Wait for @what; its last value."""
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.002)
    return what()


def is_gone(pid):
    """It runs no more: it is not there, or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rsplit(")", 1)[1].split()[0] in "ZX"


def links(pid):
    """What each descriptor of a process is: {number: text}. One that it closes
    between the list and the look is none."""
    folder = f"/proc/{pid}/fd"
    found = {}
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found[int(fd)] = os.readlink(f"{folder}/{fd}")
    return found


def children(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.fixture
def api(build, tmp_path):
    with apiclient.Api(build, tmp_path) as vmm:
        yield vmm


@pytest.fixture
def guest(vmm):
    """A guest that runs; (process, API)."""
    run, api = vmm.start_api(Case("ticker", "period=10"))
    run.wait_for("tick 3")
    return run, api


# ---- what the gate has ----

def test_the_gate_has_a_wire_a_door_and_clients(api, tmp_path):
    """Nothing of a drive that is there before, nor of one that comes."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    api.ok("PUT", "/drives/a", {"drive_id": "a", "is_root_device": False,
                                "path_on_host": str(disk)})
    fds = links(api.gate())
    assert [fds.pop(fd) for fd in range(3)] == ["/dev/null"] * 3
    kinds = sorted(text.split(":")[0] for text in fds.values())
    # The wire, the door and perhaps the client that asked.
    assert kinds[0] == "anon_inode" and set(kinds[1:]) == {"socket"}, fds
    assert len(kinds) <= 4, fds


def test_the_gate_has_nothing_of_a_running_vm(guest):
    run, api = guest
    fds = links(apiclient.gate_of(run.pid))
    assert not [x for x in fds.values()
                if "kvm" in x or "memfd" in x or "eventfd" in x
                or "pipe" in x], fds
    maps = Path(f"/proc/{apiclient.gate_of(run.pid)}/maps").read_text()
    assert "kvm" not in maps and "ticker" not in maps


def test_what_was_open_at_the_start_is_not_the_gates(build, tmp_path):
    """A descriptor that a launcher left open."""
    reader, writer = os.pipe()
    vmm = subprocess.Popen([build / "volt-vmm", "--api-sock", "s"],
                           cwd=tmp_path, pass_fds=[writer],
                           stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        until((tmp_path / "s").exists)
        gate = until(lambda: children(vmm.pid))[0]
        assert until(lambda: len(links(gate)) == 6)
        assert "pipe" not in "".join(links(gate).values())
    finally:
        vmm.kill()
        vmm.wait()
        os.close(reader)


def test_the_gate_keeps_the_folder_and_has_its_name(api):
    gate = api.gate()
    assert Path(f"/proc/{gate}/comm").read_text() == "fc_api\n"
    assert Path(f"/proc/{api.pid}/comm").read_text() == "firecracker\n"
    assert os.readlink(f"/proc/{gate}/cwd") == str(api.folder)


def test_the_gate_handles_its_own_signal_only(api):
    """That of its filter. Others' handlers are the other half's; what a
    terminal sends is ignored."""
    text = Path(f"/proc/{api.gate()}/status").read_text()
    caught, ignored = (int(re.search(rf"^{key}:\s*(\w+)", text, re.M)[1], 16)
                       for key in ("SigCgt", "SigIgn"))
    assert caught == 1 << (signal.SIGSYS - 1)
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
                signal.SIGPIPE, signal.SIGXFSZ):
        assert ignored & 1 << (sig - 1), sig


def test_peers_see_the_process_that_was_started(api):
    """SO_PEERCRED is of who listens."""
    sock = api.connect()
    cred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    assert struct.unpack("3i", cred)[0] == api.pid


def forks(trace):
    """Where in a trace a process was made that is no thread."""
    return [found.start() for found in re.finditer(
        r"^v?fork\(|^clone\(.*flags=(?:CLONE_.*)?SIGCHLD", trace, re.M)]


@pytest.mark.parametrize("devices, gates", [
    ("entropy", 0), ("null", 0), ("vsock", 1)])
def test_a_file_without_api_has_the_gate_it_needs(vmm, tmp_path, devices,
                                                  gates):
    """One for the socket device, started before anything is opened; else none,
    at no time."""
    vsock = {"guest_cid": 3, "uds_path": str(tmp_path / "v")}
    case = Case("ticker", "period=10", devices={
        "entropy": {"entropy": {}}, "null": {"vsock": None},
        "vsock": {"vsock": vsock}}[devices])
    trace = tmp_path / "trace"
    run = vmm.spawn(["strace", "-D", "-e", "trace=fork,clone,openat", "-o",
                     trace, *case.argv(BUILD, tmp_path)])
    run.wait_for("tick 3")
    assert len(children(run.pid)) == gates
    calls = trace.read_text()
    assert len(forks(calls)) == gates
    if gates:
        assert forks(calls)[0] < calls.index("/dev/kvm")


@pytest.mark.parametrize("devices, gates", [("none", 0), ("vsock", 1)])
def test_a_restore_without_api_has_the_gate_it_needs(vmm, tmp_path, devices,
                                                     gates):
    """One for the socket device, started before anything of it is opened;
    else none, at no time."""
    vsock = {"vsock": {"guest_cid": 3, "uds_path": str(tmp_path / "v")}}
    run, api = vmm.start_api(Case("ticker", "period=10",
                                  devices=vsock if gates else {}))
    run.wait_for("tick 3")
    api.set("PUT", "/snapshot/create", {"snapshot_path": f"{tmp_path}/s/"})
    run.process.kill()
    run.process.wait()
    (tmp_path / "v").unlink(missing_ok=True)
    trace = tmp_path / "trace"
    clone = vmm.spawn(["strace", "-D", "-e", "trace=fork,clone,openat", "-o",
                       trace, BUILD / "volt-vmm", "--no-api", "--restore",
                       tmp_path / "s"])
    clone.wait_for("tick")
    assert len(children(clone.pid)) == gates
    calls = trace.read_text()
    assert len(forks(calls)) == gates
    if gates:
        assert forks(calls)[0] < calls.index("/dev/kvm")


def test_ps_lists_a_vm_once(api, build, tmp_path):
    out = subprocess.run([build / "volt", "ps"], capture_output=True,
                         env=dict(os.environ, XDG_RUNTIME_DIR=str(tmp_path)),
                         text=True, timeout=60, check=True).stdout
    assert str(api.pid) in out
    assert str(api.gate()) not in out.split()


# ---- ends ----

@pytest.mark.parametrize("half", ["guest process", "gate"])
def test_killing_either_half_ends_both(guest, half):
    run, _ = guest
    gate = apiclient.gate_of(run.pid)
    os.kill(gate if half == "gate" else run.pid, signal.SIGKILL)
    assert until(lambda: is_gone(run.pid) and is_gone(gate))
    code = run.finish().code
    assert code == (1 if half == "gate" else -signal.SIGKILL)


def test_a_gate_that_dies_is_told(guest):
    run, _ = guest
    os.kill(apiclient.gate_of(run.pid), signal.SIGKILL)
    assert "serves the API has died" in run.finish().log


@pytest.mark.parametrize("sig", ["INT", "TERM", "HUP", "QUIT", "PIPE"])
def test_signals_of_the_group_are_not_for_the_gate(api, sig):
    os.kill(api.gate(), getattr(signal, f"SIG{sig}"))
    assert api.alive()


@pytest.mark.parametrize("sig", ["TERM", "INT"])
def test_a_clean_end_leaves_no_child(api, sig):
    """Its gate is reaped, not left to init; the socket is gone."""
    gate = api.gate()
    api.process.send_signal(getattr(signal, f"SIG{sig}"))
    assert api.process.wait(PATIENCE) == -getattr(signal, f"SIG{sig}")
    assert not Path(f"/proc/{gate}").exists()
    assert not api.socket.exists()


def test_a_failed_load_is_answered_before_the_end(api):
    fault = api.fault("PUT", "/snapshot/load", {
        "snapshot_path": "none", "mem_file_path": "none"})
    assert "No such file" in fault
    assert api.process.wait(PATIENCE) == 1
    assert not api.socket.exists()


def test_an_end_does_not_wait_for_a_gate_that_is_stopped(api):
    gate = api.gate()
    os.kill(gate, signal.SIGSTOP)
    api.process.terminate()
    assert api.process.wait(PATIENCE) == -signal.SIGTERM
    assert until(lambda: is_gone(gate))


def gate_metrics(api, path):
    """The sums of group volt_gate, of all lines so far."""
    api.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    groups = [json.loads(line)["volt_gate"]
              for line in path.read_text().splitlines()]
    return {key: sum(group[key] for group in groups)
            for key in groups[0] if not key.endswith("agg")}, groups[-1]


def counted_vm(vmm, tmp_path):
    """(run, API, metrics' file) of a guest with a drive."""
    disk, metrics = tmp_path / "disk", tmp_path / "metrics"
    disk.write_bytes(bytes(4096))
    metrics.touch()
    run, api = vmm.start_api(Case("ticker", "period=10", devices={
        "metrics": {"metrics_path": str(metrics)},
        "drives/a": {"drive_id": "a", "is_root_device": False,
                     "path_on_host": str(disk)}}))
    run.wait_for("tick 3")
    return run, api, metrics


def test_what_the_gate_does_is_counted(vmm, tmp_path):
    """Firecracker's groups stay as they are (test_api_logger.py)."""
    _, api, metrics = counted_vm(vmm, tmp_path)
    for path, status in ((tmp_path / "disk", 204), (tmp_path / "none", 400)):
        assert api.call("PATCH", "/drives/a", {
            "drive_id": "a", "path_on_host": str(path)})[0] == status
    counts, last = gate_metrics(api, metrics)
    assert counts["opens_count"] == 1 and counts["open_fails"] == 1
    assert counts["requests_count"] >= 8
    assert counts["timeouts_count"] == counts["dials_count"] == 0
    assert last["wait_agg"]["sum_us"] > 0


def unread(sock):
    """Bytes that the other end has not taken yet."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def sleeps(pid):
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rsplit(")", 1)[1].split()[0] == "S"


def ticks_on(run):
    """The guest goes on."""
    for _ in range(20):
        run.wait_for("tick ")


def test_metrics_flow_while_the_gate_is_stopped(vmm, tmp_path):
    """Those of the end need no client, and no gate."""
    run, api, metrics = counted_vm(vmm, tmp_path)
    requests = gate_metrics(api, metrics)[0]["requests_count"]
    lines = len(metrics.read_text().splitlines())
    os.kill(apiclient.gate_of(run.pid), signal.SIGSTOP)
    ticks_on(run)
    run.process.terminate()
    assert run.finish().code == -signal.SIGTERM
    told = [json.loads(line)["volt_gate"]
            for line in metrics.read_text().splitlines()]
    assert len(told) > lines
    # The request that flushed them is counted by the line behind it.
    assert sum(x["requests_count"] for x in told) in (requests, requests + 1)


@long_only("10 s, as long as a call of the gate may take")
def test_a_gate_that_stops_in_a_request_is_counted(vmm, tmp_path):
    """The PATCH fails in its time, the guest runs meanwhile, and afterwards the
    gate serves as before."""
    run, api, metrics = counted_vm(vmm, tmp_path)
    gate = apiclient.gate_of(run.pid)
    body = json.dumps({"drive_id": "a",
                       "path_on_host": str(tmp_path / "disk")}).encode()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(api.path))
        os.kill(run.pid, signal.SIGSTOP)
        client.sendall(b"PATCH /drives/a HTTP/1.1\r\nContent-Length: %d\r\n"
                       b"\r\n%s" % (len(body), body))
        assert until(lambda: unread(client) == 0 and sleeps(gate))
        os.kill(gate, signal.SIGSTOP)
        os.kill(run.pid, signal.SIGCONT)
        ticks_on(run)
        time.sleep(11)
        ticks_on(run)
        os.kill(gate, signal.SIGCONT)
        assert b"400 " in client.recv(4096)
    counts, last = gate_metrics(api, metrics)
    assert counts["timeouts_count"] == 1 and counts["opens_count"] == 0
    assert last["wait_agg"]["max_us"] >= 10_000_000
    assert api.call("PATCH", "/drives/a", json.loads(body))[0] == 204


def test_a_stopped_gate_costs_the_api_not_the_guest(guest):
    run, api = guest
    gate = apiclient.gate_of(run.pid)
    os.kill(gate, signal.SIGSTOP)
    run.wait_for("tick")
    run.wait_for("tick")
    os.kill(gate, signal.SIGCONT)
    assert api.call("GET", "/")[1]["state"] == "Running"


def test_a_gate_without_memory_costs_the_api_not_the_guest(vmm, tmp_path):
    """A client whose request does not fit is hung up on; the next one is
    served, and the guest runs meanwhile."""
    sock = tmp_path / "sock"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock, "--kernel",
                     vmm.guest("ticker"), "--cmdline", "period=10",
                     "--http-api-max-payload-size", str(64 << 20)])
    run.wait_for("tick 3")
    gate = apiclient.gate_of(run.pid)
    size = int(Path(f"/proc/{gate}/statm").read_text().split()[0]) * 4096
    _, hard = resource.prlimit(gate, resource.RLIMIT_AS)
    resource.prlimit(gate, resource.RLIMIT_AS, (size + (1 << 20), hard))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(sock))
        client.sendall(b"PUT /mmds HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
                       % (32 << 20))
        with pytest.raises(OSError):
            for _ in range(64):
                client.sendall(bytes(1 << 19))
            client.sendall(client.recv(1) + b"x")
    run.wait_for("tick")
    run.wait_for("tick")
    assert Api(sock).call("GET", "/")[1]["state"] == "Running"


def test_a_stopped_guest_process_stops_no_client_for_good(api):
    """What was asked meanwhile is answered afterwards, all of it."""
    os.kill(api.pid, signal.SIGSTOP)
    socks = [api.send(b"GET /version HTTP/1.1\r\n\r\n") for _ in range(10)]
    time.sleep(0.2)
    os.kill(api.pid, signal.SIGCONT)
    for sock in socks:
        assert apiclient.read_response(sock)[0] == 200
        sock.close()


def test_a_large_request_and_a_large_answer(build, tmp_path):
    """Far more than the wire takes at once."""
    with apiclient.Api(build, tmp_path, "--http-api-max-payload-size",
                       "3000000", "--mmds-size-limit", "3000000") as api:
        args = "x" * 2000
        fault = api.fault("PUT", "/boot-source", {
            "kernel_image_path": "k" * 2900000, "boot_args": args})
        assert "File name too long" in fault or "kernel" in fault
        assert api.alive()


# ---- again and again ----

def test_who_waits_for_the_end_can_start_again(build, tmp_path):
    """Socket and drive, which it locks, are free when the process is gone."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    drive = json.dumps({"drive_id": "a", "is_root_device": False,
                        "path_on_host": str(disk)})
    for i in range(STARTS):
        with apiclient.Api(build, tmp_path, "--lock-drives") as api:
            api.ok("PUT", "/drives/a", json.loads(drive))
            gate = api.gate()
            if i % 2 == 0:
                api.process.terminate()
                api.process.wait(PATIENCE)
                assert not api.socket.exists()
        assert is_gone(gate) or i % 2
        assert is_gone(api.pid)


def has_ended(pidfd):
    """It does, in a while; the descriptor is gone then, too."""
    ended = select.select([pidfd], [], [], PATIENCE)[0]
    os.close(pidfd)
    return bool(ended)


class Same:
    """One VM after the other, all on the same tap, drive and sockets.

    @namespace: where the tap is; None: there is none
    """

    def __init__(self, vmm, folder, namespace, *flags):
        self.vmm, self.tap, self.flags = vmm, namespace is not None, flags
        self.words = namespace.join if namespace else []
        self.disk, self.vsock, self.door = (folder / x for x in "dvs")
        self.disk.write_bytes(bytes(4096))

    def open(self, door):
        """A VM with nothing yet, at @door; (process, API)."""
        run = self.vmm.spawn([*self.words, BUILD / "volt-vmm", "--api-sock",
                              door, "--lock-drives", *self.flags])
        api = Api(door)
        api.wait()
        return run, api

    def puts(self):
        net = {"/network-interfaces/n": {"iface_id": "n",
                                         "host_dev_name": "vt0"}}
        return {"/drives/a": {"drive_id": "a", "is_root_device": False,
                              "path_on_host": str(self.disk)},
                **(net if self.tap else {}),
                "/vsock": {"guest_cid": 3, "uds_path": str(self.vsock)},
                "/boot-source": {
                    "kernel_image_path": str(self.vmm.guest("ticker")),
                    "boot_args": "period=10"},
                "/actions": {"action_type": "InstanceStart"}}

    def start(self):
        """One that runs; (process, its gate)."""
        run, api = self.open(self.door)
        for url, body in self.puts().items():
            api.set("PUT", url, body)
        run.wait_for("tick 0")
        return run, apiclient.gate_of(run.pid)

    def end(self, run, pid, sig):
        """Wait for the process that was started, as its client does; for no
        other."""
        pidfd = os.pidfd_open(run.pid)
        os.kill(pid, sig)
        assert has_ended(pidfd)
        run.process.wait(PATIENCE)
        run.process.stdout.close()
        run.process.stdin.close()

    def sweep(self):
        """The sockets' files, which a SIGKILL leaves, as Firecracker's."""
        for path in (self.door, self.vsock):
            path.unlink(missing_ok=True)


def test_beside_one_that_runs_none_gets_the_same(vmm, taps,  # noqa: F811
                                                 tmp_path):
    """Or what is below would show nothing."""
    same = Same(vmm, tmp_path, taps)
    same.start()
    beside, api = same.open(tmp_path / "beside")
    refused = {url for url, body in same.puts().items()
               if url != "/actions" and api.call("PUT", url, body)[0] != 204}
    assert refused == {"/drives/a", "/network-interfaces/n", "/vsock"}
    same.end(beside, beside.pid, signal.SIGTERM)


@looks_into
@pytest.mark.parametrize("flags", [[], ["--sandbox-first"]],
                         ids=["locked-last", "locked-first"])
def test_the_gate_has_nothing_that_the_next_one_needs(
        vmm, taps, tmp_path, flags):  # noqa: F811
    """Who has a tap or a drive open keeps it until its end, and nobody waits
    for the gate's."""
    same = Same(vmm, tmp_path, taps, *flags)
    run, gate = same.start()
    theirs = set(links(run.pid).values())
    assert {"/dev/net/tun", str(same.disk), "/dev/kvm"} <= theirs
    ours = set(links(gate).values())
    assert {x for x in ours & theirs if not x.startswith("anon_inode:")
            } <= {"/dev/null"}, ours


@pytest.mark.parametrize("tap, flags", [
    (True, []), (True, ["--sandbox-first"]), (False, [])],
    ids=["tap", "tap-locked-first", "no-tap"])
def test_who_waits_has_the_same_again(vmm, request, tmp_path, tap, flags):
    """At once, after each end in turn: in order, and by SIGKILL of either half.
    The other half is not waited for; it is gone, too, in a moment."""
    namespace = request.getfixturevalue("taps") if tap else None
    same = Same(vmm, tmp_path, namespace, *flags)
    before = None
    for i in range(STARTS):
        run, gate = same.start()
        assert before is None or has_ended(before)
        before = os.pidfd_open(gate)
        half, sig = ((run.pid, signal.SIGTERM), (run.pid, signal.SIGKILL),
                     (gate, signal.SIGKILL))[i % 3]
        same.end(run, half, sig)
        if sig == signal.SIGKILL:
            same.sweep()
        assert not same.door.exists() and not same.vsock.exists()
    assert has_ended(before)
