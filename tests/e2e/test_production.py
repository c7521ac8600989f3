# SPDX-License-Identifier: Apache-2.0
"""docs/production.md: its commands, in its order, with three microVMs.

All of it in namespaces of the test's own, but for the cgroups. Behind the
host, in one more, are an internet, a metadata service and a private network.
"""

import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT
from jail import NEEDS, may_jail

PAGE = ROOT / "docs/production.md"
UIDS = 710000

SETUP = """
set -eu
mount -t tmpfs none /run
ip link set lo up
# What is behind the host.
ip netns add world
ip link add wan0 type veth peer name lan netns world
ip addr add 203.0.113.2/24 dev wan0
ip link set wan0 up
ip route add default via 203.0.113.1
ip -n world addr add 203.0.113.1/24 dev lan
ip -n world link set lan up
ip -n world link set lo up
for a in 198.51.100.1 169.254.169.254 192.168.7.7; do
	ip -n world addr add $a/32 dev lo
done
"""

CHECKS = """
# ---- what the page promises ----
reaches() { ip netns exec "$1" timeout 1 bash -c "</dev/tcp/$2/$3" 2>/dev/null; }
serve() { ip netns exec world python3 -c '
import socket, threading
s = socket.create_server(("", 80), backlog=64)
print("up", flush=True)
while True:
    s.accept()[0].close()' & }
serve >"$IMAGES/served" 2>&1
server=$!
until grep -q up "$IMAGES/served"; do sleep 0.05; done
python3 -c '
import socket, time
s = socket.create_server(("", 8080))
time.sleep(600)' &
own=$!
sleep 0.3
reaches world 203.0.113.2 8080 || echo "no such server on the host"
reaches vm1 198.51.100.1 80 && echo "ok internet"
for a in 169.254.169.254 192.168.7.7 203.0.113.2 10.200.0.5; do
	reaches vm1 $a 80 && echo "BAD: $a"
	reaches vm1 $a 8080 && echo "BAD: $a"
done
reaches vm3 10.200.0.6 80 && echo "BAD: another"
kill $server $own
for n in 1 3; do
	api $n GET '' | grep -q '"state":"Running"' && echo "ok running $n"
	p=$(cat "$(jail $n)/volt-vmm.pid")
	grep -q "^Uid:.*$((UIDS + n))" /proc/$p/status && echo "ok user $n"
	grep -q "/volt-vmm/vm$n\\$" /proc/$p/cgroup && echo "ok cgroup $n"
	[ "$(stat -c %h "$(jail $n)/vmlinux" 2>/dev/null || echo 2)" -ge 2 ]
done
cmp "$(jail 3)/memory" "$IMAGES/memory" && echo "ok memory"
[ ! -e "$JAILS/volt-vmm/vm2" ] && echo "ok ended"
boot_again() { make_network 2; clone 2; api 2 GET '' >/dev/null && echo "ok again"; }
boot_again
for n in 1 2 3; do end $n; done
[ -z "$(ls "$JAILS/volt-vmm")" ] && echo "ok empty"
rmdir /sys/fs/cgroup/volt-vmm /sys/fs/cgroup/*/volt-vmm 2>/dev/null || :
"""


def blocks():
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def test_the_page_is_one_script():
    assert len(blocks()) > 10
    subprocess.run(["sh", "-n"], input="\n".join(blocks()), text=True,
                   check=True)


@pytest.fixture
def folder():
    if not may_jail():
        pytest.skip(NEEDS)
    for name in ("nft", "ip", "curl"):
        if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin"):
            pytest.skip(f"{name} is not there")
    if os.path.exists("/sys/fs/cgroup/cgroup.type"):
        pytest.skip("cgroup v2 of a container: processes in its root")
    made = f"/tmp/vp{os.getpid()}"
    os.mkdir(made)
    yield made
    shutil.rmtree(made)


def test_every_step(build, folder):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")
    end = 'clean() { for p in "$JAILS"/volt-vmm/*/root/*.pid; do ' \
        '[ ! -e "$p" ] || kill -9 "$(cat "$p")" || :; done; }\n'
    script = SETUP + "\n".join([blocks()[0], end, "trap clean EXIT",
                                *blocks()[1:]]) + CHECKS
    run = subprocess.run(
        ["unshare", "--mount", "--net", "bash"], input=script, text=True,
        capture_output=True, timeout=300, check=False,
        env={**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}:/usr/sbin",
             "N": "3", "JAILS": f"{folder}/j", "IMAGES": f"{folder}/i",
             "KERNEL": str(BUILD / "tests/guest/ticker.elf"),
             "UIDS": str(UIDS)})
    text = run.stdout[-3000:] + run.stderr[-3000:]
    assert run.returncode == 0, text
    assert "BAD" not in run.stdout, text
    for word in ("internet", "running 1", "running 3", "user 1", "user 3",
                 "cgroup 1", "cgroup 3", "memory", "ended", "again", "empty"):
        assert f"ok {word}\n" in run.stdout, (word, text)
