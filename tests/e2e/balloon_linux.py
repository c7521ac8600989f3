# SPDX-License-Identifier: Apache-2.0
"""Drives one Linux guest with a balloon, entropy, hot-plug and files that are
memory, in the lab.

usage: balloon_linux.py VOLT-VMM KERNEL INITRD

Prints "ok NAME" or "FAIL NAME: why" for each case; see test_linux_balloon.py.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from conftest import Api, Running, mkfs_ext4

SECONDS = 120
MEMORY, HALF, FILE, PLUG = 256, 128, 100, 256  # MiB
LOAD = 8  # MiB that it copies and reads while memory comes and goes

# Each step waits for a line from the host.
SCRIPT = f"""\
mkdir /pm
mount -t ext4 -o dax /dev/pmem0 /pm
echo "T-pmem $(grep ' /pm ' /proc/mounts)"
echo "T-seed $(cat /pm/seed)"
echo from-the-guest >/pm/file
sync
umount /pm
dd if=/dev/hwrng of=/dev/pmem1 bs=4096 count=2 conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
echo "T-pmem1 $(dd if=/dev/pmem1 bs=4096 count=2 2>/dev/null | md5sum)"
read -r rng </sys/class/misc/hw_random/rng_current
echo "T-rng $rng"
echo "T-bytes $(dd if=/dev/hwrng bs=4096 count=32 2>/dev/null | wc -c)"
echo "T-sums $(dd if=/dev/hwrng bs=4096 count=1 2>/dev/null | md5sum)"
echo "T-sums $(dd if=/dev/hwrng bs=4096 count=1 2>/dev/null | md5sum)"
dd if=/dev/zero of=/file bs=1M count={FILE} 2>/dev/null
echo filled
read -r _
rm /file
echo T-removed
busy() {{
	good=0
	while [ -e /busy ]; do
		cat /random /random /random >/copy
		[ "$(tail -c {LOAD}m /copy | md5sum)" = "$sum" ] || echo T-bad
		good=$((good + 1))
	done
	rm /copy
	echo "T-rounds $good"
}}
dd if=/dev/urandom of=/random bs=1M count={LOAD} 2>/dev/null
sum=$(md5sum </random)
: >/busy
busy &
while read -r ask && [ "$ask" ]; do
	read -r _ total _ </proc/meminfo
	echo "T-total $total"
done
rm /busy
wait
dd if=/dev/zero of=/file bs=1M count={FILE} 2>/dev/null && rm /file
echo again
"""


class Guest:
    """The VM and its API."""

    def __init__(self, vmm, kernel, initrd):
        folder = Path(tempfile.mkdtemp())
        (folder / "tree").mkdir()
        (folder / "tree/seed").write_text("of-the-host\n")
        # DAX wants blocks as large as pages.
        self.image = mkfs_ext4(folder / "tree", folder / "pmem.ext4", "16M",
                               "-b", "4096")
        self.only_read = folder / "read-only"
        self.only_read.write_bytes(bytes(range(256)) * 100)
        self.metrics = folder / "metrics"
        self.run = Running([vmm, "--api-sock", folder / "api.sock",
                            "--metrics-path", self.metrics], folder / "log")
        self.api = Api(folder / "api.sock")
        self.api.wait(SECONDS)
        script = base64.b64encode(SCRIPT.encode()).decode()
        put = [("/machine-config", {"vcpu_count": 1, "mem_size_mib": MEMORY}),
               ("/boot-source",
                {"kernel_image_path": kernel, "initrd_path": initrd,
                 "boot_args": "console=ttyS0 reboot=k quiet volt.quiet "
                              "memhp_default_state=online_movable "
                              f"volt.run={script}"}),
               ("/entropy", {}),
               ("/hotplug/memory", {"total_size_mib": PLUG}),
               ("/balloon", {"amount_mib": 0, "deflate_on_oom": False,
                             "stats_polling_interval_s": 1,
                             "free_page_reporting": True,
                             "free_page_hinting": True}),
               ("/pmem/a", {"id": "a", "path_on_host": str(self.image)}),
               ("/pmem/b", {"id": "b", "path_on_host": str(self.only_read),
                            "read_only": True}),
               ("/actions", {"action_type": "InstanceStart"})]
        for url, body in put:
            self.api.set("PUT", url, body)

    def line(self, word):
        """The rest of the line of the next @word."""
        self.run.wait_for(word, SECONDS)
        return self.run.wait_for("\n", SECONDS).strip()

    def resident_mib(self):
        status = Path(f"/proc/{self.run.pid}/status").read_text("ascii")
        return int(status.split("VmRSS:")[1].split()[0]) >> 10

    def get(self, url):
        status, answer = self.api.call("GET", url)
        assert status == 200, answer
        return answer

    def stats(self):
        return self.get("/balloon/statistics")


def until(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


def pmem(guest):
    """A file system with DAX; stores to what is read only go nowhere."""
    assert ",dax" in guest.line("T-pmem ")
    assert guest.line("T-seed ") == "of-the-host"
    was = hashlib.md5(bytes(range(256)) * 32).hexdigest()
    assert guest.line("T-pmem1 ").split()[0] == was
    assert guest.only_read.read_bytes() == bytes(range(256)) * 100


def hwrng(guest):
    assert guest.line("T-rng ") == "virtio_rng.0"
    assert guest.line("T-bytes ") == str(32 * 4096)
    assert guest.line("T-sums ") != guest.line("T-sums ")


def reporting(guest):
    """The memory of a file that is gone comes back by itself."""
    guest.run.wait_for("filled", SECONDS)
    full = guest.resident_mib()
    guest.run.send("\n")
    guest.run.wait_for("T-removed", SECONDS)
    until(lambda: guest.resident_mib() < full - FILE // 2,
          lambda: f"{guest.resident_mib()} of {full} MiB are left")


def statistics(guest):
    until(lambda: guest.stats().get("free_memory"), guest.stats)
    stats = guest.stats()
    assert 0 < stats["free_memory"] <= stats["total_memory"], stats
    assert stats["total_memory"] <= MEMORY << 20, stats
    assert stats["available_memory"] > 0 and "major_faults" in stats, stats


def inflate(guest):
    before = guest.stats()["total_memory"]
    guest.api.set("PATCH", "/balloon", {"amount_mib": HALF})
    until(lambda: guest.stats()["actual_mib"] == HALF, guest.stats)
    until(lambda: guest.stats()["total_memory"] <= before - (HALF << 20),
          guest.stats)
    assert guest.resident_mib() < MEMORY - HALF + 16


def deflate(guest):
    guest.api.set("PATCH", "/balloon", {"amount_mib": 0})
    until(lambda: guest.stats()["actual_mib"] == 0, guest.stats)


def hinting(guest):
    """A whole run: the guest lists its free pages, and stops by itself."""
    guest.api.set("PATCH", "/balloon/hinting/start", {})
    until(lambda: guest.get("/balloon/hinting/status") ==
          {"host_cmd": 1, "guest_cmd": 0},
          lambda: guest.get("/balloon/hinting/status"))


def plugged(guest):
    return guest.get("/hotplug/memory")["plugged_size_mib"]


def total_mib(guest):
    """What the guest's kernel has."""
    guest.run.send("total\n")
    return int(guest.line("T-total ")) >> 10


def plug(guest):
    guest.total = total_mib(guest)
    guest.api.set("PATCH", "/hotplug/memory", {"requested_size_mib": PLUG})
    until(lambda: plugged(guest) == PLUG, lambda: plugged(guest))
    until(lambda: total_mib(guest) == guest.total + PLUG,
          lambda: total_mib(guest))


def unplug(guest):
    """All of it, for the guest puts there only what it can move."""
    guest.api.set("PATCH", "/hotplug/memory", {"requested_size_mib": 0})
    until(lambda: plugged(guest) == 0, lambda: plugged(guest))
    until(lambda: total_mib(guest) == guest.total, lambda: total_mib(guest))
    assert guest.resident_mib() < MEMORY + 32


def under_load(guest):
    """What the guest wrote meanwhile was there again, each time."""
    guest.run.send("\n")
    assert int(guest.line("T-rounds ")) > 1
    guest.run.wait_for("again", SECONDS)
    guest.result = guest.run.finish(SECONDS)
    assert "T-bad" not in guest.result.out


def still_usable(guest):
    """What was given back works as memory, and the guest ends well."""
    assert "VOLT-RUN exit=0" in guest.result.out, guest.result
    assert guest.result.code == 0, guest.result


def pmem_kept(guest):
    """What it wrote to its file system is in the host's file, flushed."""
    said = subprocess.run(["/usr/sbin/debugfs", "-R", "cat file", guest.image],
                          capture_output=True, check=True).stdout
    assert said == b"from-the-guest\n", said
    lines = guest.metrics.read_text("ascii").splitlines()
    assert sum(json.loads(x)["pmem_a"]["flush_count"] for x in lines) > 0


def main():
    guest = Guest(*sys.argv[1:])
    for step in (pmem, hwrng, reporting, statistics, inflate, deflate, hinting,
                 plug, unplug, under_load, still_usable, pmem_kept):
        try:
            step(guest)
            print("ok", step.__name__, flush=True)
        except Exception as why:
            traceback.print_exc()
            print(f"FAIL {step.__name__}: {why!r}", flush=True)
    if guest.run.process.poll() is None:
        print(guest.run.log()[-2000:], guest.run.whole[-2000:],
              file=sys.stderr)
        guest.run.process.kill()


main()
