# SPDX-License-Identifier: Apache-2.0
"""Bounds of volt's VMs in the lab: cgroups of version 2, as systemd gives them.

To root, and to an ordinary user who is alone in a cgroup that is his.
"""

import pytest

from conftest import BUILD, in_lab

MIB = 1 << 20

LAB = r"""
B=$1
G=/sys/fs/cgroup
mkdir -p $G
mount -t cgroup2 none $G 2>/dev/null || :
export XDG_RUNTIME_DIR=/tmp/run
mkdir -p $XDG_RUNTIME_DIR /tmp/user
chmod 777 /tmp/user; chmod 666 /dev/kvm
BOUNDS="--max-memory 100M --max-cpu 150 --max-pids 20"
vm() { # NAME GROUP: runs in the background; tells of it, and ends it
	for i in $(seq 60); do
		grep -q spinning /tmp/user/$1 && break
		sleep 0.5
	done
	g=$2/volt-$1
	echo "$1 memory $(cat $g/memory.max) cpu $(cat $g/cpu.max) pids" \
		"$(cat $g/pids.max) oom $(cat $g/memory.oom.group)"
	kill $(head -n1 $g/cgroup.procs)
	for i in $(seq 20); do [ -e $g ] || break; sleep 0.5; done
	sleep 1
	grep -v spinning /tmp/user/$1
	echo "$1 left $(find $2 -mindepth 1 -maxdepth 1 -type d | wc -l)"
}
run="$B/volt run --kernel $B/tests/guest/spin.elf --memory 32"
# Root, where the lab's own processes are, and in a directory of its own.
$run --name top $BOUNDS </dev/null
echo "top $?"
mkdir $G/own
$run --name own $BOUNDS --cgroup /own </dev/null >/tmp/user/own 2>&1 &
vm own $G/own
# An ordinary user: delegated as systemd does it, and alone in there.
mkdir $G/scope
chown 65534 $G/scope $G/scope/cgroup.procs $G/scope/cgroup.subtree_control
sh -c 'echo $$ >/sys/fs/cgroup/scope/cgroup.procs
XDG_RUNTIME_DIR=/tmp/user exec setpriv --reuid=65534 --regid=65534 \
	--clear-groups "$@"' sh $run --name user $BOUNDS </dev/null \
	>/tmp/user/user 2>&1 &
vm user $G/scope
echo "user handed down $(cat $G/scope/cgroup.subtree_control)."
# Not alone.
sh -c 'echo $$ >/sys/fs/cgroup/scope/cgroup.procs; sleep 60 &
XDG_RUNTIME_DIR=/tmp/user setpriv --reuid=65534 --regid=65534 \
	--clear-groups "$@"; echo "shared $?"' sh $run --name two $BOUNDS </dev/null
# In nothing that is his.
XDG_RUNTIME_DIR=/tmp/user setpriv --reuid=65534 --regid=65534 --clear-groups \
	$run --name none $BOUNDS </dev/null
echo "none $?"
# His, but not what this process is in.
XDG_RUNTIME_DIR=/tmp/user setpriv --reuid=65534 --regid=65534 --clear-groups \
	$run --name far $BOUNDS --cgroup /scope </dev/null
echo "far $?"
"""


@pytest.mark.lab
def test_root_and_a_user(build, tmp_path):
    """Root's and a user's; what is said to a user who cannot."""
    script = tmp_path / "bounds.sh"
    script.write_text(LAB)
    out, log = in_lab(["sh", script, BUILD], tmp_path, 300)
    lines = out.replace("\r", "").splitlines()
    for name in ("own", "user"):
        assert (f"{name} memory {100 * MIB} cpu 150000 100000 pids 20 oom 1"
                ) in lines, (name, out, log)
    for line in ("top 1", "own left 0", "user left 0", "user handed down .",
                 "shared 1", "none 1", "far 1"):
        assert line in lines, (line, out, log)
    assert "has other processes in it" in log, log
    assert "No cgroup is delegated to you: " in log, log
    assert log.count("systemd-run --user --scope -p Delegate=yes") == 4, log
