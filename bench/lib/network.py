# SPDX-License-Identifier: Apache-2.0
"""Frames through a tap: what they cost the VMM, against QEMU in one run.

A bare-metal guest sends or receives many frames (tests/guest/netbench.c) in a
network namespace of the benchmark's own. On a software-assisted host the
guest's own code is slow, so frames per second say little there; the CPU time of
the VMM's other threads, those that are no vCPU, is what a frame costs here and
in QEMU alike. A packet socket plays the world.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import peers
from .part import Table

NAME = "network"
TAP = "vt0"
VOLT, MMDS, QEMU = "volt-vmm", "volt-vmm, metadata", "QEMU microvm"
VCPU = re.compile(r"vcpu|CPU \d+/KVM", re.IGNORECASE)
# Frames of each direction and size; the last column is how many.
LOADS = [("send", 1514, 60000), ("send", 60000, 20000),
         ("receive", 1514, 40000)]
TRACED = 2000
FLOOD = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind((sys.argv[1], 0))
frame = b"\\xff" * 6 + b"\\x02" * 6 + b"\\x88\\xb5" + bytes(int(sys.argv[2]) - 14)
while True:
    try:
        sock.send(frame)
    except OSError:
        pass
"""


class Namespace:
    """A network namespace with one tap, as long as a process sleeps in it."""

    def __init__(self):
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self.holder = subprocess.Popen(
            ["unshare", *user, "--net", "sh", "-c", "echo up; read x"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self.works = self.holder.stdout.readline() == "up\n"
        self.join = ["nsenter", "--target", str(self.holder.pid), "--net",
                     *(["--user", "--preserve-credentials"] if user else [])]

    def __enter__(self):
        for line in (f"tuntap add {TAP} mode tap",
                     f"link set {TAP} mtu 65521 up"):
            if self.works:
                subprocess.run([*self.join, "ip", *line.split()], check=True)
        return self

    def __exit__(self, *_):
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()


def volt(tree, words, more=""):
    return [str(tree.vmm), "--no-api", "--kernel", str(tree.guest("netbench")),
            "--memory", "128", "--net", f"tap={TAP}{more}", "--cmdline", words]


def volt_mmds(tree, words, folder):
    """The same with the metadata service, which sees each frame first."""
    config = Path(folder) / "mmds.json"
    config.write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(tree.guest("netbench")),
                        "boot_args": words},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 128},
        "drives": [],
        "network-interfaces": [{"iface_id": "n0", "host_dev_name": TAP}],
        "mmds-config": {"network_interfaces": ["n0"], "version": "V2"}}))
    return [str(tree.vmm), "--no-api", "--config-file", str(config)]


def qemu(tree, words):
    """The peer's command with a card and names for its threads."""
    peer = peers.qemu(tree)
    if not peer:
        return None
    argv = peer.command(tree.guest("netbench-pvh"), 128)
    machine = argv.index("-M") + 1
    argv[machine] += ",acpi=off"
    return [*argv, "-name", "guest,debug-threads=on",
            "-global", "virtio-mmio.force-legacy=false",
            "-netdev", f"tap,id=n0,ifname={TAP},script=no,downscript=no",
            "-device", "virtio-net-device,netdev=n0", "-append", words]


def commands(tree, folder):
    """By name, what turns a guest's words into a command."""
    found = {VOLT: lambda words: volt(tree, words),
             MMDS: lambda words: volt_mmds(tree, words, folder)}
    if qemu(tree, ""):
        found[QEMU] = lambda words: qemu(tree, words)
    return found


def others_ns(pid):
    """CPU time of all threads but the vCPUs."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            if not VCPU.search((task / "comm").read_text()):
                total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return total


def wait_line(process, text):
    for line in process.stdout:
        if line.strip() == text:
            return
    sys.exit(f"bench/run: no {text!r} from the guest")


def run_one(space, argv, mode, size, count):
    """One run: VMM CPU a frame, frames a second."""
    with subprocess.Popen([*space.join, *argv], stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True,
                          stderr=subprocess.DEVNULL) as vmm:
        flood = None
        try:
            wait_line(vmm, "go")
            if mode == "receive":
                flood = subprocess.Popen([*space.join, sys.executable, "-c",
                                          FLOOD, TAP, str(size)])
            begin, cpu = time.monotonic(), others_ns(vmm.pid)
            wait_line(vmm, "end")
            cpu = others_ns(vmm.pid) - cpu
            wall = time.monotonic() - begin
        finally:
            if flood:
                flood.kill()
                flood.wait()
            vmm.kill()
    return {"us": cpu / 1000 / count, "per_s": count / wall,
            "gbit_per_cpu_s": size * 8 * count / max(cpu, 1)}


def calls(space, argv):
    """System calls of one run by name, but those that enter the guest."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trace"
        subprocess.run([*space.join, "strace", "-f", "-o", out, *argv],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=120, check=False)
        text = out.read_text(errors="replace")
    return Counter(re.findall(r"^\d+\s+(\w+)\(", text, re.MULTILINE)) - Counter(
        {"ioctl": 10**9})


def calls_a_frame(space, command):
    """What twice the frames cost more, so that the start does not count."""
    few, many = (sum(calls(space, command(
        f"mode=send size=1514 count={n}")).values())
        for n in (TRACED, 2 * TRACED))
    return (many - few) / TRACED


def measure(ctx):
    found = {"loads": [], "calls": {}}
    with Namespace() as space, tempfile.TemporaryDirectory() as folder:
        if not space.works or not os.access("/dev/net/tun", os.W_OK):
            return None
        for name, command in commands(ctx.tree, folder).items():
            for mode, size, count in LOADS:
                argv = command(f"mode={mode} size={size} count={count}")
                found["loads"].append({
                    "vmm": name, "mode": mode, "size": size,
                    **run_one(space, argv, mode, size, count)})
            if shutil.which("strace"):
                found["calls"][name] = calls_a_frame(space, command)
    return found


def show(found):
    rows = [[f"{f['vmm']}: {f['mode']} {f['size']} B", f"{f['us']:.2f}",
             f"{f['gbit_per_cpu_s']:.1f}", f"{f['per_s']:.0f}"]
            for f in found["loads"]]
    calls_rows = [[name, f"{n:.2f}"] for name, n in found["calls"].items()]
    return [Table(["network", "VMM's CPU us a frame", "Gbit a CPU-second",
                   "frames a second"], rows),
            Table(["system calls a frame sent", "all"], calls_rows)]


def cpu_ratio(found, mode, size):
    us = {f["vmm"]: f["us"] for f in found["loads"]
          if f["mode"] == mode and f["size"] == size}
    return us[VOLT] / us[QEMU] if us.get(QEMU) else None


def calls_ratio(found):
    calls_of = found["calls"]
    return calls_of[MMDS] / calls_of[VOLT] if calls_of else None


TARGETS = (
    ("CPU to send 1514 bytes", 1.0, "of QEMU's",
     lambda f: cpu_ratio(f, "send", 1514)),
    ("CPU to receive 1514 bytes", 1.0, "of QEMU's",
     lambda f: cpu_ratio(f, "receive", 1514)),
    ("system calls a frame with the metadata service", 1.01,
     "of those without", calls_ratio),
)
