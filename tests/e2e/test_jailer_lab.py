# SPDX-License-Identifier: Apache-2.0
"""volt-jailer in the lab: cgroup v2 with its real controllers, Linux 6.1.

There no unprivileged user can name a file by its descriptor (Linux 6.10 lets
him): a snapshot in a jail, which has no /proc, is whole all the same.
"""

import pytest

from conftest import BUILD, in_lab

SCRIPT = """
set -e
B=$1
mkdir -p /sys/fs/cgroup /tmp/j/volt-vmm/v/root
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || true
cp $B/tests/guest/ticker.elf /tmp/j/volt-vmm/v/root/k
$B/volt-jailer --id v --exec-file $B/volt-vmm --uid 55 --gid 55 \\
    --chroot-base-dir /tmp/j --cgroup-version 2 --cgroup memory.max=192M \\
    --cgroup pids.max=32 --cgroup 'cpu.max=50000 100000' --new-pid-ns \\
    --daemonize -- --api-sock /run/a.sock --kernel /k </dev/null
R=/tmp/j/volt-vmm/v/root
P=$(cat $R/volt-vmm.pid)
G=/sys/fs/cgroup/volt-vmm/v
echo "group $(cat /proc/$P/cgroup)"
echo "memory $(cat $G/memory.max) pids $(cat $G/pids.max) cpu $(cat $G/cpu.max)"
grep -q "^$P\\$" $G/cgroup.procs && echo "in it"
echo "user $(sed -n 's/^Uid:[[:space:]]*\\([0-9]*\\).*/\\1/p' /proc/$P/status)"
$B/volt-vmm --api-sock $R/run/a.sock --snapshot /snap && echo "saved"
echo "names $(ls $R/snap | tr '\\n' ' ')"
echo "kib $(du -k $R/snap/memory.snap | cut -f1)"
grep -c "$(cat /proc/sys/kernel/random/boot_id)" $R/snap/state.json
kill $P
while [ -e /proc/$P ]; do sleep 0.1; done
rmdir $G && echo "removed"
"""


@pytest.mark.lab
def test_cgroup_v2_and_an_old_kernel(build, tmp_path):
    script = tmp_path / "jail.sh"
    script.write_text(SCRIPT)
    out, log = in_lab(["sh", script, BUILD], tmp_path, 300)
    lines = out.replace("\r", "").splitlines()
    for line in ("group 0::/volt-vmm/v",
                 "memory 201326592 pids 32 cpu 50000 100000", "in it",
                 "user 55", "saved", "1", "removed"):
        assert line in lines, (line, out, log)
    names = next(x for x in lines if x.startswith("names ")).split()[1:]
    assert {"state.json", "memory.snap"} <= set(names), out
    assert not [x for x in names if x.endswith(".tmp")], out
    kib = int(next(x for x in lines if x.startswith("kib ")).split()[1])
    assert 0 < kib < 2048, out
