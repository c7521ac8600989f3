# SPDX-License-Identifier: Apache-2.0
"""What a VM needs it has when its guest starts: no descriptor is made late.

A filter that forbids to make them, and a process that may have no more, leave
such a VM as it was.
"""

import json
import os
import re
import resource
import shutil
import socket
import time
from pathlib import Path

import pytest

from conftest import BUILD, Api, UnixHttp
from test_snapshot import snapshot
from test_snapshot_state import config, taps  # noqa: F401 (a fixture)

# All calls that make a descriptor ...
CALLS = """
    open openat openat2 creat open_by_handle_at open_tree accept accept4 socket
    socketpair pipe pipe2 dup dup2 dup3 eventfd eventfd2 signalfd signalfd4
    timerfd_create epoll_create epoll_create1 inotify_init inotify_init1
    fanotify_init memfd_create memfd_secret userfaultfd pidfd_open pidfd_getfd
    clone3 perf_event_open bpf io_uring_setup mq_open fsopen fspick fsmount
    landlock_create_ruleset
""".split()
# ... and those that may or may not, with what they say if they do.
OTHERS = {
    "fcntl": re.compile(r"F_DUPFD"),
    "recvmsg": re.compile(r"SCM_RIGHTS"),
    "ioctl": re.compile(r"KVM_CREATE_(VM|VCPU|DEVICE|GUEST_MEMFD)\b|"
                        r"KVM_GET_STATS_FD|USERFAULTFD_IOC_NEW"),
}
LINE = re.compile(r"^(\w+)\((.*)\) += (\d+)")
UNFINISHED = " <unfinished ...>"
RESUMED = re.compile(r"^<\.\.\. \w+ resumed>")


class Vm:
    """A VM with every device, and a line for each descriptor it makes."""

    def __init__(self, vmm, taps, folder, *args):
        self.folder = folder
        self.trace = folder / f"trace{len(vmm.started)}"
        sock = folder / f"api{len(vmm.started)}.sock"
        self.run = vmm.spawn([
            *taps.join, "strace", "-D", "-f", "-s", "4096", "-o", self.trace,
            "-e", "trace=" + ",".join("?" + c for c in [*CALLS, *OTHERS]),
            BUILD / "volt-vmm", "--api-sock", sock, *args])
        self.api = Api(sock)
        self.api.wait()

    def made(self):
        """(call, arguments, descriptor), all until now."""
        found, begun = [], {}
        for line in self.trace.read_text(errors="replace").splitlines():
            thread, _, call = line.partition(" ")
            call = call.strip()
            if call.endswith(UNFINISHED):
                begun[thread] = call.removesuffix(UNFINISHED)
                continue
            match = LINE.match(RESUMED.sub(
                lambda _, t=thread: begun.pop(t), call))
            if not match:
                continue
            name, args, fd = match.groups()
            if name not in OTHERS or OTHERS[name].search(args):
                found.append((name, args, int(fd)))
        return found

    def requests(self):
        """One of each kind by the guest."""
        self.run.send("r")
        self.run.wait_for("ready\r\n")

    def state(self, state):
        self.api.set("PATCH", "/vm", {"state": state})


def everything(vmm, folder):
    """A config file: all that a VM can have, some of it with limits."""
    path = config(vmm, folder, "split")
    vm = json.loads(path.read_text())
    limit = vm["entropy"]["rate_limiter"]
    vm["serial"] = {"rate_limiter": limit["bandwidth"]}
    vm["metrics"] = {"metrics_path": str(folder / "metrics")}
    vm["logger"] = {"log_path": str(folder / "log"), "level": "Debug"}
    path.write_text(json.dumps(vm))
    return path


def change_all(vm):
    """Every change that a running VM takes; the files that it names."""
    slow = {"ops": {"size": 1, "refill_time": 50}}
    other = vm.folder / "other.img"
    other.write_bytes(bytes(1 << 20))
    for drive in "ab":
        vm.api.set("PATCH", f"/drives/{drive}",
                   {"drive_id": drive, "rate_limiter": slow})
        vm.api.set("PATCH", f"/drives/{drive}",
                   {"drive_id": drive, "path_on_host": str(other)})
    vm.api.set("PATCH", "/network-interfaces/n0", {
        "iface_id": "n0", "rx_rate_limiter": slow, "tx_rate_limiter": slow})
    vm.api.set("PATCH", "/balloon", {"amount_mib": 2})
    vm.api.set("PATCH", "/balloon/statistics",
               {"stats_polling_interval_s": 2})
    vm.api.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    return {str(other)}


def save(vm, name, kind):
    """A snapshot; the files that it names."""
    state, memory = vm.folder / f"{name}.state", vm.folder / f"{name}.mem"
    vm.api.set("PUT", "/snapshot/create",
               {"snapshot_path": str(state), "mem_file_path": str(memory),
                "snapshot_type": kind})
    return {str(state), str(memory), str(vm.folder)}


def strangers(vm):
    """Who comes and says nothing: each waits for a deadline of ours."""
    slow = socket.socket(socket.AF_UNIX)
    slow.connect(str(vm.api.path))
    slow.sendall(b"GET / HT")
    guest = socket.socket(socket.AF_UNIX)
    guest.connect(str(vm.folder / "v.sock"))
    guest.sendall(b"CONNECT 99\n")
    return slow, guest


def a_day(vm):
    """Use all of it; the files that requests named."""
    vm.requests()
    away = strangers(vm)
    named = change_all(vm)
    for _ in range(3):
        vm.requests()  # held back by the limits
    time.sleep(1.2)    # the balloon's timer, too
    vm.state("Paused")
    named |= save(vm, "full", "Full") | save(vm, "diff", "Diff")
    vm.state("Resumed")
    vm.requests()
    for sock in away:
        sock.close()
    vm.run.send("x")
    result = vm.run.finish()
    assert result.code == 0 and not result.failures(), result.log
    return named


def late(made, named):
    """Of what was made: neither a connection nor named by a request."""
    places, wrong = set(), []
    for name, args, fd in made:
        path = re.search(r'"(.*?)"', args)
        path = path.group(1) if path else ""
        within = re.match(r"\d+", args)
        passed = re.search(r"SCM_RIGHTS, cmsg_data=\[([\d, ]+)\]", args)
        if name == "accept4":
            continue
        if passed:  # by our own other half, whose calls are here as well
            places |= set(passed[1].split(", "))
            continue
        # The file itself, one below it, or another descriptor of either.
        if (name in ("open", "openat") and path in named or
                name in ("openat", "fcntl") and within and
                within[0] in places):
            places.add(str(fd))
        else:
            wrong.append(f"{name}({args}) = {fd}")
    return wrong


needs_strace = pytest.mark.skipif(not shutil.which("strace"),
                                  reason="strace is not installed")


@needs_strace
@pytest.mark.parametrize("irqchip", ["split", "full"])
def test_only_connections_and_named_files(vmm, taps, tmp_path, irqchip):
    vm = Vm(vmm, taps, tmp_path, "--irqchip", irqchip, "--config-file",
            everything(vmm, tmp_path))
    vm.run.wait_for("ready\r\n")
    before = vm.made()
    names = {name for name, _, _ in before}
    assert {"epoll_create1", "eventfd2", "io_uring_setup", "socket",
            "ioctl"} <= names, names  # we do see them
    named = a_day(vm)
    assert late(vm.made()[len(before):], named) == []


@needs_strace
def test_a_clone_neither(vmm, taps, tmp_path):
    vm = Vm(vmm, taps, tmp_path, "--config-file", everything(vmm, tmp_path))
    vm.run.wait_for("ready\r\n")
    assert snapshot(vm.api, tmp_path / "s").returncode == 0
    vm.run.process.kill()
    vm.run.process.wait()
    (tmp_path / "v.sock").unlink()
    clone = Vm(vmm, taps, tmp_path, "--restore", tmp_path / "s")
    clone.requests()
    before = clone.made()
    named = a_day(clone)
    assert late(clone.made()[len(before):], named) == []


def test_none_is_left(vmm, taps, tmp_path):
    """The process may have no more, and nobody notices."""
    sock = tmp_path / "api.sock"
    run = vmm.spawn([*taps.join, BUILD / "volt-vmm", "--api-sock", sock,
                     "--config-file", everything(vmm, tmp_path)])
    run.wait_for("ready\r\n")
    conn = UnixHttp(sock)  # one connection for all, made before
    conn.request("GET", "/")
    conn.getresponse().read()
    used = [int(fd) for fd in os.listdir(f"/proc/{run.pid}/fd")]
    _, hard = resource.prlimit(run.pid, resource.RLIMIT_NOFILE)
    assert sorted(used) == list(range(len(used))), "there is a gap"
    resource.prlimit(run.pid, resource.RLIMIT_NOFILE, (len(used), hard))

    def ask(method, url, body):
        conn.request(method, url, json.dumps(body))
        answer = conn.getresponse()
        text = answer.read()
        assert answer.status == 204, text

    slow = {"ops": {"size": 1, "refill_time": 50}}
    for drive in "ab":
        ask("PATCH", f"/drives/{drive}",
            {"drive_id": drive, "rate_limiter": slow})
    ask("PATCH", "/network-interfaces/n0", {
        "iface_id": "n0", "rx_rate_limiter": slow, "tx_rate_limiter": slow})
    for _ in range(3):
        run.send("r")
        run.wait_for("ready\r\n")
    ask("PATCH", "/vm", {"state": "Paused"})
    ask("PATCH", "/vm", {"state": "Resumed"})
    ask("PUT", "/actions", {"action_type": "FlushMetrics"})
    metrics = Path(tmp_path / "metrics").read_text().splitlines()
    assert json.loads(metrics[-1])["block_a"][
        "rate_limiter_throttled_events"] > 0
    conn.close()
    run.send("x")
    result = run.finish()
    assert result.code == 0 and not result.failures(), result.log
