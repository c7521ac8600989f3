# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a Linux guest under load, in the lab.

Two CPUs, one of them in a loop; the other reads files past the page cache,
checks their sums, writes and syncs, and draws random numbers of its device.
TCP goes out and fio writes, four requests at a time, and reads back and checks
what it wrote, all the time. snapshot_linux.py is its host.

Debian's cloud kernel has no driver for the VM generation ID, so what is compared
there is the device's numbers, and more of them than the driver had fetched
before the snapshot: those few are in the guest's memory, so clones share them.
The slim kernel, which takes part when somebody has built it, has that driver:
it has to say that it heard, and getrandom() has to differ. make check-long: ten
clones and a chain of twenty instead of two and of one, and KVM's own interrupt
chips.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import (BUILD, LONG, NO_SLIM, ROOT, guest_image, in_lab,
                      mkfs_ext4, need_lab, said, slim_kernel)

CASES = {
    "stock": ["original", "clones", "random_numbers", "vsock", "tcp", "chain"],
    "slim": ["original", "clones", "random_numbers", "reseeded", "vsock",
             "tcp"],
} | ({"full": ["original", "clones", "vsock", "tcp"]} if LONG else {})
CLONES, DEPTH = (10, 20) if LONG else (2, 1)
HERE = Path(__file__).parent
SCRIPT = """\
dmesg -n 7
mkdir -p /mnt
mount -t ext4 /dev/vda /mnt
cd /mnt
md5sum f* >/tmp/sums
vsockguest 0 >/dev/null &
ip address add 10.0.0.2/24 dev eth0
ip link set eth0 up
while :; do yes "TCP of a guest" | nc 10.0.0.1 5000; sleep 1; done 2>/dev/null &
while :; do :; done &
lib=/mnt/fio/lib64/ld-linux-x86-64.so.2
$lib --library-path /mnt/fio/lib/x86_64-linux-gnu /mnt/fio/bin/fio --name=load \
	--filename=/mnt/load --size=512k --rw=randwrite --bs=4k --direct=1 \
	--ioengine=libaio --iodepth=4 --rate_iops=10 --thread --time_based \
	--runtime=1d --verify=crc32c --verify_backlog=16 --verify_fatal=1 \
	>/tmp/fio.log 2>&1 &
fio=$!
while kill -0 $fio && ! [ -s /mnt/load ]; do sleep 1; done
n=0
while :; do
	echo 5 >/proc/sys/vm/drop_caches
	data=bad
	md5sum -c -s /tmp/sums && data=good
	kill -0 $fio || { data=fio; cat /tmp/fio.log; }
	load=$(md5sum </mnt/load)
	n=$((n + 1))
	echo $n >/mnt/count && sync || data=unwritten
	drawn=$(dd if=/dev/hwrng bs=512 count=1 2>/dev/null | md5sum)
	own=$(dd if=/dev/urandom bs=16 count=1 2>/dev/null | md5sum)
	read -r uptime _ </proc/uptime
	echo "ROUND $n $data $uptime ${own%% *} ${drawn%% *} $load"
done
"""


def disk_image(folder):
    tree = folder / "tree"
    tree.mkdir()
    for number in range(4):
        (tree / f"f{number}").write_bytes(os.urandom(256 << 10))
    subprocess.run([ROOT / "tests/initramfs/fio", tree / "fio"], check=True)
    return mkfs_ext4(tree, folder / "disk", "24M")


@pytest.fixture(scope="module")
def said_in_lab(build, tmp_path_factory):
    need_lab()
    folder = tmp_path_factory.mktemp("snapshot")
    kernel = said(ROOT / "tests/kernel/stock", "--print", "bzimage")
    kinds = [f"stock={kernel},{CLONES},{DEPTH}"]
    if LONG:
        kinds.append(f"full={kernel},1,0")
    if slim_kernel():
        kinds.append(f"slim={slim_kernel()},{CLONES},0")
    out, log = in_lab(
        [sys.executable, HERE / "snapshot_linux.py", BUILD / "volt-vmm",
         guest_image(folder, "vsockguest", "snapshot", SCRIPT),
         disk_image(folder),
         *kinds],
        folder, 3600 if LONG else 1500)
    return out.splitlines(), log[-5000:]


@pytest.mark.lab
@pytest.mark.parametrize("kind, case",
                         [(k, c) for k, cases in CASES.items() for c in cases])
def test_linux_guest(said_in_lab, kind, case):
    if kind == "slim" and not slim_kernel():
        pytest.skip(NO_SLIM)
    lines, log = said_in_lab
    assert f"ok {kind} {case}" in lines, "\n".join(lines) + "\n" + log
