# SPDX-License-Identifier: Apache-2.0
"""`volt run --net user`: a bare-metal guest behind passt, in a namespace."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BUILD, PATIENCE
from netns import Namespace

VOLT = BUILD / "volt"
HOST = "198.51.100.1"
GUEST = "10.0.2.15"
# Sends a datagram to a published port from an address of the host's.
ASK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
s.settimeout(float(sys.argv[4]))
s.sendto(sys.argv[3].encode(), (sys.argv[1], int(sys.argv[2])))
try:
    print(s.recv(100).decode())
except TimeoutError:
    print("no answer")
"""


class Host:
    """A namespace with a way out, in which VMs run."""

    def __init__(self, folder):
        self.ns = Namespace()
        self.folder = folder
        self.started = []
        # No tap: an ordinary user may have none.
        self.ns.run("ip", "link", "add", "out0", "type", "veth", "peer",
                    "name", "far0")
        self.ns.run("ip", "link", "set", "far0", "up")
        self.ns.run("ip", "addr", "add", f"{HOST}/24", "dev", "out0")
        self.ns.run("ip", "link", "set", "out0", "up")
        self.ns.run("ip", "route", "add", "default", "via", "198.51.100.2")

        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(folder),
                    "VOLT_STATE": str(folder / "state")}
        folder.chmod(0o700)

    def argv(self, *words):
        return [*self.ns.join, VOLT, "run", "--kernel",
                BUILD / "tests/guest/netecho.elf", "--cmdline",
                f"ip={GUEST} features=0", *words]

    def start(self, *words):
        process = subprocess.Popen(self.argv(*words), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True,
                                   env=self.env)
        self.started.append(process)
        for line in process.stdout:
            if "listening" in line:
                return process
        pytest.fail("the guest did not start")

    def refused(self, *words, env=None):
        run = subprocess.run(self.argv(*words), stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=PATIENCE,
                             check=False, env=env or self.env)
        assert run.returncode in (1, 64) and run.stderr.count("\n") == 1, run
        return run.stderr

    def ask(self, port, text, seconds=PATIENCE):
        return self.ns.run("python3", "-c", ASK, HOST, port, text,
                           seconds).stdout.strip()

    def passts(self):
        """Processes of passt in the namespace that are not ended."""
        ours = os.readlink(f"/proc/{self.ns.holder.pid}/ns/net")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    name, rest = f.read().rsplit(")", 1)
                if "(passt" in name and rest.split()[0] != "Z" and \
                        os.readlink(f"/proc/{pid}/ns/net") == ours:
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def no_passt(self):
        end = time.monotonic() + PATIENCE
        while self.passts():
            assert time.monotonic() < end, "passt is left over"
            time.sleep(0.02)

    def close(self):
        for process in self.started:
            process.kill()
            process.wait()
            process.stdout.close()
        self.ns.close()


@pytest.fixture
def host(build, tmp_path):
    if not shutil.which("passt"):
        pytest.skip("passt is not installed")
    host = Host(tmp_path)
    yield host
    host.close()


def test_a_published_port(host):
    """Asked for by name, the guest answers this host; passt ends with it."""
    vm = host.start("--net", "user,host", "-p", f"{HOST}:18090:1000/udp",
                    "-p", f"{HOST}:18091:9/udp")
    assert host.passts()
    assert host.ask(18090, "hello") == "hello"
    assert host.ask(18091, "stop", 0.1) == "no answer"
    assert vm.wait(PATIENCE) == 0
    host.no_passt()


def test_without_any_privilege(build, tmp_path):
    """Nor that of a root of a namespace, which the others are."""
    if os.geteuid() == 0 or not shutil.which("passt"):
        pytest.skip("this is root, or passt is not installed")
    tmp_path.chmod(0o700)
    far = "ip link add out0 type veth peer name far0; ip link set far0 up; " \
        f"ip addr add {HOST}/24 dev out0; ip link set out0 up; " \
        "ip route add default via 198.51.100.2; ip link set lo up; "
    with subprocess.Popen(
            ["unshare", "--user", "--map-current-user", "--keep-caps", "--net",
             "sh", "-ec", f"PATH=$PATH:/usr/sbin:/sbin; {far} "
             "exec setpriv --ambient-caps=-all --inh-caps=-all "
             "--bounding-set=-all \"$@\"", "sh", VOLT, "run", "--kernel",
             BUILD / "tests/guest/netecho.elf", "--cmdline",
             f"ip={GUEST} features=0", "--net", "user,host", "-p",
             f"{HOST}:18090:1000/udp", "--timeout", "100"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}) as vm:
        assert any("listening" in line for line in vm.stdout)
        status = Path(f"/proc/{vm.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status, status
        join = ["nsenter", "--target", str(vm.pid), "--user", "--net",
                "--preserve-credentials"]
        said = subprocess.run([*join, "python3", "-c", ASK, HOST, "18090",
                               "hello", str(PATIENCE)], text=True, check=True,
                              capture_output=True, timeout=PATIENCE).stdout
        assert said == "hello\n"
        vm.terminate()
        assert vm.wait(PATIENCE) == -signal.SIGTERM


def test_in_the_background(host):
    """`volt run -d`: its network is its holder's, and ends with it."""
    def volt(*words, code=0):
        run = subprocess.run([*host.ns.join, VOLT, *words], env=host.env,
                             text=True, stdin=subprocess.DEVNULL, capture_output=True,
                             timeout=PATIENCE, check=False)
        assert run.returncode == code, run
        return run.stdout

    words = host.argv("-d", "--name", "web", "--net", "user,host", "-p",
                      f"{HOST}:18090:1000/udp")[len(host.ns.join) + 1:]
    assert volt(*words) == "web\n"
    end = time.monotonic() + PATIENCE
    while "listening" not in volt("logs", "web"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert host.ask(18090, "hello") == "hello"
    # Another that wants the port: an error, and nothing of it is kept.
    volt(*(x if x != "web" else "two" for x in words), code=1)
    assert host.ask(18090, "again") == "again"
    volt("stop", "--wait", "0", "web")
    host.no_passt()
    assert volt("wait", "web") == "143\n"
    volt("rm", "web")
    assert volt(*words) == "web\n"  # the port is free
    volt("rm", "-f", "web")
    host.no_passt()


def test_the_host_is_out_of_reach(host):
    """The guest gets the question; its answer to this host does not go."""
    metrics = host.folder / "metrics"
    vm = host.start("--net", "user", "-p", f"{HOST}:18090:1000/udp",
                    "-p", f"{HOST}:18091:9/udp", "--", "--metrics-path",
                    metrics)
    assert host.ask(18090, "hello", 0.5) == "no answer"
    host.ask(18091, "stop", 0.1)
    assert vm.wait(PATIENCE) == 0
    lines = [json.loads(x) for x in metrics.read_text().splitlines()]
    assert sum(x["net"]["tx_denied_count"] for x in lines) >= 1
    host.no_passt()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_passt_ends_with_a_killed_vm(host, how):
    vm = host.start("--net", "user")
    assert host.passts()
    vm.send_signal(how)
    vm.wait(PATIENCE)
    host.no_passt()


def test_a_vm_that_does_not_start(host):
    run = subprocess.run(
        [*host.ns.join, VOLT, "run", "--kernel", "/dev/null", "--net", "user"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
        check=False, env=host.env)
    assert run.returncode != 0
    host.no_passt()


def rules(host, *words):
    """What volt-vmm is told, by a VM that runs."""
    vm = host.start(*words)
    with open(f"/proc/{vm.pid}/cmdline") as f:
        argv = f.read().split("\0")
    vm.kill()
    word = argv[argv.index("--net") + 1]
    return word.split("egress=")[1].split()


def test_rules(host):
    """Each address that the issue names, by the option that lets it."""
    plain = rules(host, "--net", "user")
    assert plain[:3] == ["+10.0.2.3@53", "+255.255.255.255@67", "-10.0.2.2/24"]
    for rule in ("-127.0.0.0/8", f"-{HOST}/32", "-169.254.0.0/16",
                 "-0.0.0.0/8", "-224.0.0.0/4", "-240.0.0.0/4", "-::/0"):
        assert rule in plain
    assert "-10.0.0.0/8" not in plain
    with_host = rules(host, "--net", "user,host")
    assert "+10.0.2.2" in with_host and f"-{HOST}/32" not in with_host
    assert "-127.0.0.0/8" in with_host
    assert "-169.254.0.0/16" not in rules(host, "--net", "user,link-local")
    public = rules(host, "--net", "user,public")
    assert {"-10.0.0.0/8", "-172.16.0.0/12", "-192.168.0.0/16",
            "-100.64.0.0/10"} <= set(public)
    # A network in which this host has an address is left alone.
    host.ns.run("ip", "addr", "add", "10.0.2.2/24", "dev", "out0")
    moved = rules(host, "--net", "user")
    assert moved[0] == "+10.0.3.3@53" and "-10.0.2.2/32" in moved


def test_none(host):
    with subprocess.Popen(host.argv("--net", "none"), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          env=host.env) as vm:
        assert "FAIL found" in vm.stdout.read()
    assert not host.passts()


def test_what_is_refused(host):
    assert "unknown word 'x'" in host.refused("--net", "user,x")
    assert "given twice" in host.refused("--net", "user", "--net", "user")
    assert "no other --net" in host.refused("--net", "none", "--net", "user")
    assert "needs --net user" in host.refused("-p", "80:80")
    assert "--publish takes" in host.refused("--net", "user", "-p", "80")
    host.start("--net", "user", "-p", "18090:80")
    assert "port 18090 of this host: it is in use" in host.refused(
        "--net", "user", "-p", "18090:80")
    assert "--publish 203.0.113.9:1:1: port 1 of this host" in host.refused(
        "--net", "user", "-p", "203.0.113.9:1:1")


def test_without_passt(build, tmp_path):
    tmp_path.chmod(0o700)
    run = subprocess.run(
        [VOLT, "run", "--kernel", BUILD / "tests/guest/netecho.elf", "--net",
         "user"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
        env={**os.environ, "PATH": str(tmp_path),
             "XDG_RUNTIME_DIR": str(tmp_path)})
    assert run.returncode == 1
    assert "`apt install passt`, or --net none" in run.stderr
    assert run.stderr.count("\n") == 1
