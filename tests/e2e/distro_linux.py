# SPDX-License-Identifier: Apache-2.0
"""Drives guests that are whole Debians, in the lab; see test_linux_distro.py.

usage: distro_linux.py VOLT-VMM PLACE DISK KERNEL INITRD KEY CASE

PLACE is a folder of the host, where disks are copied without passing through
the lab. Prints "ok CASE" or "FAIL CASE: why", with a line for each step before
it, so that a case that is cut shows how far it came. An ssh takes the lab some
seconds, and starts a manager of root's units: what a step asks, it asks in one.
"""

import re
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

from conftest import Api, Running
from netns import Namespace

SECONDS = 1500  # for any one step: 32 CPUs share one of a busy machine
# All units are up, or which are not.
HEALTH = ("systemctl is-system-running --wait; "
          "systemctl --failed --plain --no-legend")
PROMPT = "guest login:"
HOST, GUEST = "10.0.0.1", "10.0.0.2"
# Not systemd's 90 s: on a busy machine the serial port is found later than that.
CMDLINE = ("console=ttyS0 reboot=k panic=1 quiet root=/dev/vda rw "
           f"systemd.default_timeout_start_sec={SECONDS} "
           f"systemd.default_device_timeout_sec={SECONDS}")
CLONES = 10
BAD = re.compile(r"^\[ *[0-9.]+\].*(lockup|stall|BUG|WARNING|Oops|panic|"
                 r"I/O error|EXT4-fs error|blocked for more)", re.M)
DHCPD = f"""\
start {GUEST}
end {GUEST}
interface t0
lease_file {{0}}/leases
pidfile {{0}}/udhcpd.pid
option subnet 255.255.255.0
option router {HOST}
"""


class Network:
    """A network of one guest's own: a tap, and a DHCP server at it."""

    def __init__(self, folder):
        self.space = Namespace()
        for words in ("tuntap add t0 mode tap",
                      "link set t0 address 02:00:00:00:00:01 up",
                      f"address add {HOST}/24 dev t0"):
            self.space.run("ip", *words.split())
        (folder / "leases").touch()
        (folder / "udhcpd.conf").write_text(DHCPD.format(folder))
        self.server = subprocess.Popen(
            [*self.space.join, "busybox", "udhcpd", "-f",
             folder / "udhcpd.conf"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=open(folder / "udhcpd.log", "wb"))

    def close(self):
        self.server.kill()
        self.server.wait()
        self.space.close()


class Guest:
    """A Debian on a disk of its own, in a network of its own."""

    count = 0

    def __init__(self, world, disk, *options):
        Guest.count += 1
        self.world = world
        self.folder = world.place / f"guest{Guest.count}"
        self.folder.mkdir()
        self.disk = self.folder / "disk"
        subprocess.run(["cp", disk, self.disk], check=True)
        self.network = Network(self.folder)
        self.options = [str(x) for x in options]
        self.run = None

    def start(self, *options):
        # Unix sockets work in the lab's own file systems only (tests/lab).
        sock = Path(f"/tmp/{self.folder.name}.sock")
        sock.unlink(missing_ok=True)
        self.run = Running(
            [*self.network.space.join, self.world.vmm, "--api-sock", sock,
             *map(str, options)], self.folder / "log")
        self.api = Api(sock)
        return self

    def boot(self):
        return self.start(
            "--kernel", self.world.kernel, "--initrd", self.world.initrd,
            "--disk", f"{self.disk},id=root", "--net", "tap=t0",
            "--cmdline", CMDLINE, *self.options)

    def restore(self, snapshot):
        return self.start("--restore", snapshot, "--disk", f"root={self.disk}",
                          "--net", "net0=t0")

    def wait_for_login(self):
        self.run.wait_for(PROMPT, SECONDS)

    def ssh(self, command):
        """What a command prints, by ssh as root of the guest."""
        end = time.monotonic() + SECONDS
        while True:
            ended = subprocess.run(
                [*self.network.space.join, "ssh", "-q", "-i", self.world.key,
                 "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                 "-o", "UserKnownHostsFile=/dev/null", "-o",
                 "ConnectTimeout=60", f"root@{GUEST}", command], text=True,
                stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=SECONDS)
            if ended.returncode != 255:
                assert ended.returncode == 0, (command, ended)
                return ended.stdout.strip()
            # The prompt may come before the address or the server.
            assert time.monotonic() < end, (command, ended)
            time.sleep(1)

    def ask_healthy(self, command="true"):
        """What a command prints, all units are up, and no kernel complains."""
        *said, state = self.ssh(f"{command}; {HEALTH}").splitlines()
        assert state == "running", (said, state)
        console = self.run.whole.decode(errors="replace")
        assert not BAD.search(console), BAD.search(console).group()
        return "\n".join(said)

    def end_by(self, command):
        """Its own end, by a command that takes the connection along."""
        self.ssh(f"systemd-run --on-active=1 {command} 2>&1")
        result = self.run.finish(SECONDS)
        assert result.code == 0, result
        assert not BAD.search(result.out), BAD.search(result.out).group()

    def close(self):
        if self.run and self.run.process.poll() is None:
            self.run.process.kill()
            self.run.process.wait()
        self.network.close()
        shutil.rmtree(self.folder)


class World:
    def __init__(self, vmm, place, disk, kernel, initrd, key):
        self.vmm, self.place, self.disk = vmm, Path(place), disk
        self.kernel, self.initrd, self.key = kernel, initrd, key
        self.guests = []

    def guest(self, *options, disk=None):
        self.guests.append(Guest(self, disk or self.disk, *options))
        return self.guests[-1]

    def close(self):
        while self.guests:
            self.guests.pop().close()


def poweroff(world):
    """A boot, an address by DHCP, ssh, no failed unit, and its end."""
    guest = world.guest("--memory", 512).boot()
    guest.wait_for_login()
    address = guest.ask_healthy("ip -4 -o address show scope global")
    assert f"{GUEST}/24" in address and "dynamic" in address, address
    guest.end_by("systemctl poweroff")


def reboot(world):
    """The VMM ends; started again, the guest has what it had."""
    ids = "cat /etc/machine-id /proc/sys/kernel/random/boot_id"
    guest = world.guest("--memory", 512).boot()
    guest.wait_for_login()
    first = guest.ssh(f"{ids}; echo kept >/root/file").split()
    guest.end_by("systemctl reboot")
    guest.boot().wait_for_login()
    second = guest.ask_healthy(f"{ids} /root/file").split()
    assert (second[0], second[2]) == (first[0], "kept"), second
    assert second[1] != first[1], second
    guest.end_by("systemctl poweroff")


def clones(world):
    """A snapshot at the login prompt, and guests that go on from it."""
    first = world.guest("--memory", 384).boot()
    first.wait_for_login()
    boot = first.ask_healthy("sync; cat /proc/sys/kernel/random/boot_id")
    step("the original is up")
    first.api.set("PATCH", "/vm", {"state": "Paused"})
    snapshot = world.place / "snapshot"
    first.api.set("PUT", "/snapshot/create",
                  {"snapshot_path": f"{snapshot}/", "snapshot_type": "Full"})
    copies = [world.guest(disk=first.disk) for _ in range(CLONES)]
    world.guests.remove(first)
    first.close()
    step(f"a snapshot and {CLONES} disks")
    for clone in copies:
        clone.restore(snapshot)
    for number, clone in enumerate(copies):
        clone.run.send("\n")
        clone.wait_for_login()
        assert clone.ssh(f"echo {number} >/root/number; sync; "
                         "cat /proc/sys/kernel/random/boot_id") == boot
        step(f"clone {number} goes on")
    for number, clone in enumerate(copies):
        assert clone.ask_healthy("echo 3 >/proc/sys/vm/drop_caches; "
                                 "cat /root/number") == str(number)
        step(f"clone {number} has what it wrote")


def many_cpus(world):
    guest = world.guest("--memory", 1024, "--cpus", 32).boot()
    guest.wait_for_login()
    assert guest.ask_healthy("nproc; cat /sys/devices/system/cpu/online"
                             ) == "32\n0-31"
    guest.end_by("systemctl poweroff")


def much_memory(world):
    """Beyond the hole below 4 GiB, and used."""
    guest = world.guest("--memory", 5120).boot()
    guest.wait_for_login()
    step("up")
    size = 4300 << 20
    kib, found = guest.ask_healthy(
        "awk '/MemTotal/ {print $2}' /proc/meminfo; "
        "mount -o remount,size=95% /dev/shm; "
        f"head -c {size} /dev/zero >/dev/shm/zeros; "
        "stat -c %s /dev/shm/zeros").split()
    assert int(kib) > 4900 * 1024, kib
    assert found == str(size), found
    guest.end_by("systemctl poweroff")


CASES = {case.__name__: case
         for case in (poweroff, reboot, clones, many_cpus, much_memory)}
START = time.monotonic()


def step(what):
    print(f"after {time.monotonic() - START:.0f} s: {what}", flush=True)


def main():
    *world, name = sys.argv[1:]
    world = World(*world)
    try:
        CASES[name](world)
        print(f"ok {name}", flush=True)
    except Exception as why:
        traceback.print_exc()
        print(f"FAIL {name}: {why!r}", flush=True)
        for guest in world.guests[:1]:
            print(guest.run.whole[-3000:].decode(errors="replace"),
                  guest.run.log()[-1000:], sep="\n", flush=True)
    finally:
        world.close()
        step("the end")


main()
