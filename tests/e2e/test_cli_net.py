# SPDX-License-Identifier: Apache-2.0
"""volt net, in network namespaces of the test's own.

Nothing here runs in the host's namespace but what has to fail before it does
anything.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import need_tun
from netns import FORWARDING, PATH, VOLT, Namespace

WORLD = Path(__file__).with_name("net_world.py")
# The user namespace of a test without root knows one user.
UIDS = ("1234", "7") if os.geteuid() == 0 else ("0", "0")


@pytest.fixture
def ns():
    need_tun()
    namespace = Namespace()
    before = namespace.links()
    yield namespace
    try:
        for row in namespace.rows():
            namespace.net("del", row[0])
        assert namespace.links() == before
    finally:
        namespace.close()


@pytest.fixture
def nft():
    if not shutil.which("nft", path=PATH):
        pytest.skip("no nft here (Debian: nftables)")


def test_add_and_del(ns):
    shown = ns.net("add", "vt0", "--no-nat", "--address", "10.9.8.1/28",
                   "--mtu", "9000", "--user", UIDS[0]).stdout
    assert "10.9.8.2/28" in shown and "default via 10.9.8.1" in shown
    link = ns.link("vt0")
    assert ns.addresses("vt0") == ["10.9.8.1/28"]
    assert link["mtu"] == 9000
    assert "UP" in link["flags"]
    info = link["linkinfo"]["info_data"]
    assert info["type"] == "tap" and info["persist"] and info["vnet_hdr"]
    assert not info["multi_queue"]
    assert ns.rows() == [["vt0", "10.9.8.1/28", "9000", UIDS[0], "no", "free"]]
    assert ns.forwarding() == "0"
    ns.net("del", "vt0")
    assert ns.links() == {"lo"}


def test_addresses_are_picked(ns):
    """Free networks in order; a gap is filled; other interfaces count."""
    ns.run("ip", "addr", "add", "172.16.1.9/30", "dev", "lo")
    for name in "a", "b", "c":
        ns.net("add", name, "--no-nat")
    assert ns.addresses("a") == ["172.16.0.1/24"]
    assert ns.addresses("b") == ["172.16.2.1/24"]
    ns.net("del", "a")
    ns.net("add", "d", "--no-nat")
    assert ns.addresses("d") == ["172.16.0.1/24"]


def test_add_twice_changes(ns, nft):
    """Each wish as if it were the first, and what is not wished is undone."""
    ns.net("add", "vt0", "--user", UIDS[0])
    first = ns.link("vt0")
    ns.net("add", "vt0", "--user", UIDS[0])
    assert ns.link("vt0")["ifindex"] == first["ifindex"]
    assert ns.addresses("vt0") == ["172.16.0.1/24"]
    assert len(ns.tables()) == 1
    ns.net("add", "vt0", "--no-nat", "--address", "10.0.0.1/24",
           "--mtu", "1400", "--user", UIDS[1])
    assert ns.link("vt0")["ifindex"] == first["ifindex"]
    assert ns.rows() == [["vt0", "10.0.0.1/24", "1400", UIDS[1], "no", "free"]]
    assert ns.tables() == [] and ns.forwarding() == "0"


def test_nat_is_undone(ns, nft):
    ns.net("add", "vt0")
    assert ns.tables() == ["table ip volt_vt0"]
    assert ns.forwarding() == "1"
    ns.net("del", "vt0")
    assert ns.tables() == [] and ns.forwarding() == "0"


def test_forwarding_outlives_the_first_tap(ns, nft):
    for name in "a", "b", "c":
        ns.net("add", name)
    for name in "a", "b":
        ns.net("del", name)
        assert ns.forwarding() == "1"
    ns.net("del", "c")
    assert ns.forwarding() == "0"


def test_forwarding_that_was_on_stays(ns, nft):
    ns.run("sh", "-c", f"echo 1 >{FORWARDING}")
    ns.net("add", "vt0")
    ns.net("del", "vt0")
    assert ns.forwarding() == "1"


def test_odd_names(ns, nft):
    name = "Vm-1.net_x"
    ns.net("add", name)
    assert ns.tables() == [f"table ip volt_{name}"]
    ns.net("del", name)
    assert ns.tables() == []


def test_foreign_interfaces_are_left_alone(ns):
    ns.run("ip", "tuntap", "add", "mine", "mode", "tap")
    ns.run("ip", "link", "set", "mine", "alias", "volt network")
    for verb in "add", "del":
        run = ns.net(verb, "mine", ok=False)
        assert run.returncode == 1
        assert "left alone" in run.stderr
    assert "mine" in ns.links() and ns.addresses("mine") == []
    assert ns.rows() == []
    ns.run("ip", "link", "del", "mine")


def test_del_of_nothing(ns):
    run = ns.net("del", "vt0")
    assert "nothing to do" in run.stdout


def test_overlap_is_refused(ns):
    ns.net("add", "a", "--no-nat", "--address", "10.0.0.1/24")
    run = ns.net("add", "b", "--no-nat", "--address", "10.0.0.9/28", ok=False)
    assert run.returncode == 1 and "10.0.0.1/24" in run.stderr
    assert "b" not in ns.links()


def test_no_nft(ns, tmp_path):
    """The tap that was made on the way is gone again, and so is forwarding."""
    # An empty PATH is not enough where /usr/sbin/nft is: that is not there
    # either, so strace says.
    trace = tmp_path / "trace"
    run = ns.run("/usr/bin/strace", "-f", "-o", trace, "-P", "/usr/sbin/nft",
                 "-e", "inject=execve:error=ENOENT", "-E", f"PATH={tmp_path}",
                 VOLT, "net", "add", "vt0", ok=False)
    assert "/usr/sbin/nft" in trace.read_text()
    assert run.returncode == 1
    assert "nftables" in run.stderr and "--no-nat" in run.stderr
    assert ns.links() == {"lo"} and ns.forwarding() == "0"


def test_tap_in_use(ns):
    """A process that is attached shows; the owner cannot change then."""
    ns.net("add", "vt0", "--no-nat", "--user", "0")
    script = ("import fcntl, os, struct, sys\n"
              "fd = os.open('/dev/net/tun', os.O_RDWR)\n"
              "fcntl.ioctl(fd, 0x400454ca,"
              " struct.pack('16sH22x', b'vt0', 0x5002))\n"
              "print('on', flush=True)\n"
              "sys.stdin.read()\n")
    user = subprocess.Popen([*ns.join, "/usr/bin/python3", "-c", script],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert user.stdout.readline() == b"on\n"
        assert ns.rows()[0][-2:] == ["in", "use"]
        run = ns.net("add", "vt0", "--no-nat", "--user", "5", ok=False)
        assert run.returncode == 1 and "attached" in run.stderr
        ns.net("add", "vt0", "--no-nat", "--user", "0", "--mtu", "1300")
        assert ns.link("vt0")["mtu"] == 1300
        run = ns.net("del", "vt0", ok=False)
        assert run.returncode == 1 and "is in use" in run.stderr
        assert "vt0" in ns.links()
        ns.net("del", "--force", "vt0")
        assert "vt0" not in ns.links()
    finally:
        user.stdin.close()
        user.wait()
        user.stdout.close()


def test_many_at_once_get_addresses_of_their_own(ns):
    runs = [subprocess.Popen([*ns.join, VOLT, "net", "add", f"vt{i}",
                              "--no-nat"], stdout=subprocess.DEVNULL)
            for i in range(8)]
    assert [run.wait(60) for run in runs] == [0] * 8
    assert len({row[1] for row in ns.rows()}) == 8
    for i in range(8):
        ns.net("del", f"vt{i}")


def test_guests_reach_out_and_nobody_in(ns, nft):
    ns.net("add", "vt0", "--user", "0")
    run = ns.run("/usr/bin/python3", WORLD, "vt0", "172.16.0.2", "172.16.0.1")
    assert json.loads(run.stdout) == {
        "out": ["192.0.2.1", 7, "out"],
        "back": ["192.0.2.2", 7, 5000, "back"],
        "host": ["172.16.0.1", "host"],
    }


@pytest.mark.parametrize("args", [
    [], ["add"], ["add", "a", "b"], ["add", "tap/0"], ["add", "x" * 16],
    ["add", "a", "--address", "0.0.0.1/8"],
    ["add", "a", "--address", "127.1.0.1/16"],
    ["add", "a", "--address", "224.0.0.1/24"],
    ["add", "a", "--address", "255.0.0.1/24"],
    ["add", "a", "--nat", "--no-nat"], ["del", "a", "b"], ["list", "x"],
    ["add", "a", "--address", "10.0.0.0/24"], ["add", "a", "--mtu", "1"],
    ["add", "a", "--user", "root"], ["add", "a", "--queues", "2"], ["del"],
    ["del", "a b"], ["list", "x"], ["frob"]])
def test_bad_usage(ns, args):
    run = ns.net(*args, ok=False)
    assert run.returncode == 64
    assert run.stdout == "" and run.stderr != ""
    assert ns.links() == {"lo"}


def test_needs_root(ns):
    """Without CAP_NET_ADMIN, in the namespace; list needs nothing."""
    fd = os.open(VOLT, os.O_RDONLY)
    try:
        drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all",
                "--reuid=65534", "--clear-groups", f"/proc/self/fd/{fd}"]
        if os.geteuid() != 0:
            drop = ["setpriv", "--bounding-set=-all", f"/proc/self/fd/{fd}"]
        for verb in "add", "del":
            run = ns.run(*drop, "net", verb, "vt0", ok=False, pass_fds=[fd])
            assert run.returncode == 1
            assert "sudo volt net " + verb in run.stderr
        assert ns.run(*drop, "net", "list", pass_fds=[fd]).returncode == 0
    finally:
        os.close(fd)
    assert ns.links() == {"lo"}
