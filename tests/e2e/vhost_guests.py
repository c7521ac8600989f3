# SPDX-License-Identifier: Apache-2.0
"""Bare-metal guests whose frames the host's kernel moves (vhost-net).

usage: vhost_guests.py BUILD FOLDER

In a network namespace of its caller's, on a host with vhost-net, which here is
the lab. Prints "VHOST name ok" or "VHOST name FAILED" and why, for each case.
"""

import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import net_peer

BUILD, FOLDER = map(Path, sys.argv[1:3])
MAC = "06:00:ac:10:00:02"
NET = f"tap=vt0,mac={MAC},vhost"
SECONDS = 120
PATIENCE = " patience=20"  # of a guest, while the host's end is slow to start
MERGE, EVENT_IDX = 1 << 15, 1 << 29
# The lab's own memory: what it shares with its host is slow.
SAVED = tempfile.mkdtemp()
FILES = {"snapshot_path": f"{SAVED}/state", "mem_file_path": f"{SAVED}/memory"}
REFUSED = "vhost and track_dirty_pages do not go together"


class Vmm:
    """A VMM with its console in a file."""

    def __init__(self, name, *argv):
        self.console, self.log = FOLDER / f"{name}.out", FOLDER / f"{name}.log"
        with open(self.console, "wb") as out, open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [BUILD / "volt-vmm", *argv], stdin=subprocess.DEVNULL,
                stdout=out, stderr=log)

    def wait_for(self, text):
        end = time.monotonic() + SECONDS
        while text not in self.console.read_text(errors="replace"):
            assert time.monotonic() < end, f"no {text!r} on the console"
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def finish(self):
        assert self.process.wait(SECONDS) == 0, self.log.read_text()
        text = self.console.read_text(errors="replace")
        assert "FAIL" not in text, text[-2000:]
        return text

    def close(self):
        self.process.kill()
        self.process.wait()


class Api(Vmm):
    """A VMM that is driven over its API."""

    def __init__(self, name, *argv):
        self.path = FOLDER / f"{name}.sock"
        super().__init__(name, "--api-sock", self.path, *argv)
        end = time.monotonic() + SECONDS
        while not self.listens():
            assert time.monotonic() < end, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)

    def listens(self):
        """A path that is there may not be listened at yet."""
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(self.path)) == 0

    def set(self, method, url, body, status=204):
        """One request; what the answer says."""
        conn = http.client.HTTPConnection("localhost")
        conn.sock = socket.socket(socket.AF_UNIX)
        conn.sock.settimeout(SECONDS)
        conn.sock.connect(str(self.path))
        conn.request(method, url, body and json.dumps(body))
        answer = conn.getresponse()
        text = answer.read().decode()
        assert answer.status == status, (url, text)
        conn.close()
        return text

    def configure(self):
        self.set("PUT", "/machine-config",
                 {"vcpu_count": 1, "mem_size_mib": 32})
        self.set("PUT", "/boot-source", {
            "kernel_image_path": str(BUILD / "tests/guest/netecho.elf"),
            "boot_args": "irq" + PATIENCE})
        self.set("PUT", "/network-interfaces/n0", {
            "iface_id": "n0", "host_dev_name": "vt0", "guest_mac": MAC,
            "vhost": True})

    def start(self):
        self.set("PUT", "/actions", {"action_type": "InstanceStart"})


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=SECONDS)


def make_tap():
    ip("tuntap", "add", "vt0", "mode", "tap")
    ip("addr", "add", "10.0.0.1/24", "dev", "vt0")
    ip("link", "set", "vt0", "mtu", "9000", "up")


def peer(*operations):
    """Not by a process of its own: Python takes seconds to begin here."""
    try:
        net_peer.run("10.0.0.2", *operations)
    except SystemExit as why:
        raise AssertionError(why.code) from None


def flood():
    """Return: the process that does it until it is killed."""
    pid = os.fork()
    if pid == 0:
        net_peer.run("10.0.0.255", "flood:1000000000")
        os._exit(0)
    return pid


def guest(name, kernel, words, *more):
    return Vmm(name, "--no-api", "--net", NET, "--cmdline", words, "--kernel",
               BUILD / f"tests/guest/{kernel}.elf", *more)


def echo(name, words):
    vmm = guest(name, "netecho", words + PATIENCE)
    try:
        vmm.wait_for("listening")
        peer("ping:10", "udp:1", "udp:8900", "stop")
        vmm.finish()
    finally:
        vmm.close()


def polling():
    echo("polling", f"features={MERGE}")


def small_buffers():
    echo("small", f"features={MERGE | EVENT_IDX} buffer=512 irq")


def hostile():
    """What the kernel refuses costs the driver a reset, and nobody else."""
    metrics = FOLDER / "metrics"
    flooding = flood()
    vmm = guest("hostile", "nethostile", "vhost", "--metrics-path", metrics)
    try:
        vmm.finish()
    finally:
        vmm.close()
        os.kill(flooding, signal.SIGKILL)
        os.waitpid(flooding, 0)
    lines = [json.loads(x) for x in metrics.read_text().splitlines()]
    assert sum(x["net"]["event_fails"] for x in lines) > 40
    assert "a queue that vhost-net refuses" in vmm.log.read_text()


def snapshot():
    """The queues go on where the kernel was, here and in another process."""
    vmm = Api("first")
    try:
        vmm.configure()
        vmm.start()
        vmm.wait_for("listening")
        for state in ("Resumed", "Resumed", None):
            peer("udp:1000", "ping:8900")
            vmm.set("PATCH", "/vm", {"state": "Paused"})
            vmm.set("PUT", "/snapshot/create", FILES)
            if state:
                vmm.set("PATCH", "/vm", {"state": state})
    finally:
        vmm.close()
    vmm = Api("second")
    try:
        vmm.set("PUT", "/snapshot/load", {**FILES, "resume_vm": True})
        peer("ping:100", "udp:1400", "udp:8900", "stop")
        vmm.finish()
    finally:
        vmm.close()


def alone(vmm):
    """It is in namespaces of its own, and the kernel's thread is there: since
    Linux 6.4 as one of the process."""
    told = vmm.set("GET", "/volt/sandbox", None, 200)
    assert json.loads(told)["isolated"] is True, told
    version = tuple(map(int, platform.release().split(".")[:2]))
    task = Path(f"/proc/{vmm.process.pid}/task")
    names = [(x / "comm").read_text() for x in task.iterdir()]
    assert any(x.startswith("vhost-") for x in names) == (version >= (6, 4)), \
        names


def isolated():
    """A user namespace takes a process with one thread: the kernel's comes
    later, at a start and at a restore."""
    vmm = Api("isolated", "--isolate")
    try:
        vmm.configure()
        vmm.start()
        vmm.wait_for("listening")
        peer("udp:1000", "ping:8900")
        alone(vmm)
        vmm.set("PATCH", "/vm", {"state": "Paused"})
        vmm.set("PUT", "/snapshot/create", FILES)
    finally:
        vmm.close()
    vmm = Api("isolated2", "--isolate")
    try:
        vmm.set("PUT", "/snapshot/load", {**FILES, "resume_vm": True})
        peer("ping:100", "udp:8900")
        alone(vmm)
        peer("stop")
        vmm.finish()
    finally:
        vmm.close()


def tracking():
    """Refused at a start, and for what snapshot() saved: nobody would see what
    the host's kernel writes."""
    vmm = guest("tracking", "netecho", "irq", "--track-dirty-pages")
    try:
        assert vmm.process.wait(SECONDS) != 0
        assert REFUSED in vmm.log.read_text(), vmm.log.read_text()
    finally:
        vmm.close()
    vmm = Api("tracked")
    try:
        text = vmm.set("PUT", "/snapshot/load",
                       {**FILES, "track_dirty_pages": True}, 400)
        assert REFUSED in text, text
    finally:
        vmm.close()


def deleted():
    """Before the start: a card without a wire, not a broken one."""
    vmm = Api("deleted")
    try:
        vmm.configure()
        ip("link", "del", "vt0")
        vmm.start()
        vmm.wait_for("listening")
        assert "FAIL link-up" in vmm.console.read_text()
        log = vmm.log.read_text()
        assert "the tap was deleted" in log and "broke" not in log, log
    finally:
        vmm.close()


def main():
    ip("link", "set", "lo", "up")
    make_tap()
    for case in (polling, small_buffers, hostile, isolated, snapshot,
                 tracking, deleted):
        begin = time.monotonic()
        try:
            case()
            print(f"VHOST {case.__name__} ok", flush=True)
        except Exception:  # pylint: disable=broad-except
            print(f"VHOST {case.__name__} FAILED", flush=True)
            traceback.print_exc(file=sys.stdout)
        print(f"# {time.monotonic() - begin:.1f} s", flush=True)
    shutil.rmtree(SAVED)


main()
