# SPDX-License-Identifier: Apache-2.0
"""volt run, ps and stop, with bare-metal guests."""

import os
import signal
import socket
import subprocess

import pytest

from conftest import BUILD

VOLT = BUILD / "volt"


class Cli:
    """volt with a run folder of the test's own."""

    def __init__(self, vmm, folder):
        self.vmm = vmm
        self.folder = folder
        self.env = {"XDG_RUNTIME_DIR": str(folder),
                    "VOLT_CACHE": str(folder / "cache")}

    def __call__(self, *args, **kwargs):
        return subprocess.run([VOLT, *args], text=True, timeout=120,
                              env={**os.environ, **self.env}, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              **kwargs)

    def start(self, guest, *args):
        words = [f"{name}={value}" for name, value in self.env.items()]
        return self.vmm.spawn(["env", *words, VOLT, "run", "--kernel",
                               self.vmm.guest(guest), "--memory", "32",
                               *args])

    def rows(self):
        """volt ps without its heading, as lists of words."""
        run = self("ps")
        assert run.returncode == 0 and run.stderr == ""
        lines = run.stdout.splitlines()
        assert lines[0].split() == ["NAME", "STATE", "CPUS", "MEMORY/MiB",
                                    "PID"]
        return [line.split() for line in lines[1:]]

    def sockets(self):
        return sorted(p.name for p in (self.folder / "volt").glob("*"))


@pytest.fixture
def cli(vmm, tmp_path):
    return Cli(vmm, tmp_path)


def test_run_passes_console_and_code(cli):
    run = cli.start("hello", "--name", "web")
    run.process.stdin.close()
    assert run.finish().code == 0
    assert cli.sockets() == []
    assert cli.rows() == []


def test_ps_tells_the_truth(cli):
    one = cli.start("spin", "--name", "web-1", "--cpus", "2")
    two = cli.start("spin")
    one.wait_for("spinning")
    two.wait_for("spinning")
    assert cli.rows() == sorted([
        ["web-1", "Running", "2", "32", str(one.pid)],
        [f"vm-{two.pid}", "Running", "1", "32", str(two.pid)]])
    assert (cli.folder / "volt").stat().st_mode & 0o777 == 0o700


def test_options_after_dashes_are_the_vmms(cli):
    run = cli.start("irq", "--cmdline", "full", "--", "--irqchip", "full")
    run.process.stdin.close()
    run.finish().assert_passed()


def test_stop_asks_the_guest(cli):
    run = cli.start("keys", "--name", "web", "--cmdline", "none")
    run.wait_for("waiting")
    assert cli("stop", "--wait", "60", "web").returncode == 0
    assert run.finish().code == 0
    assert cli.sockets() == []


@pytest.mark.parametrize("wait", ["0", "1"])
def test_stop_ends_a_deaf_guest(cli, wait):
    run = cli.start("spin", "--name", "web")
    run.wait_for("spinning")
    assert cli("stop", "--wait", wait, "web").returncode == 0
    assert run.finish().code == -signal.SIGTERM
    assert cli.sockets() == [] and cli.rows() == []


def test_names_are_unique(cli):
    run = cli.start("spin", "--name", "web")
    run.wait_for("spinning")
    second = cli("run", "--name", "web", "--kernel", cli.vmm.guest("hello"))
    assert second.returncode == 1
    assert "runs already" in second.stderr
    assert [row[0] for row in cli.rows()] == ["web"]


def test_socket_of_a_killed_vm(cli):
    run = cli.start("spin", "--name", "web")
    run.wait_for("spinning")
    run.process.kill()
    run.process.wait()
    assert cli.sockets() == ["web.sock"]
    assert cli.rows() == []
    stop = cli("stop", "web")
    assert stop.returncode == 1 and "No VM named web" in stop.stderr
    again = cli.start("hello", "--name", "web")
    again.process.stdin.close()
    assert again.finish().code == 0


def test_a_vm_that_does_not_answer(cli):
    """ps goes on to the next; the one that hangs is named with its state."""
    run = cli.start("spin", "--name", "alive")
    run.wait_for("spinning")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(cli.folder / "volt/a-deaf-one.sock"))
        deaf.listen()
        rows = cli.rows()
    assert rows == [["a-deaf-one", "no", "answer", "-", "-",
                     str(os.getpid())],
                    ["alive", "Running", "1", "32", str(run.pid)]]


def test_answers_that_are_no_http(cli):
    """Whatever listens there: no answer, no crash."""
    path = cli.folder / "volt/web.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind(str(path))
        odd.listen()
        for answer in (b"", b"no http at all\r\n\r\n",
                       b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nab",
                       b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{]",
                       b"HTTP/1.1 400 \r\nContent-Length: 0\r\n\r\n",
                       b"HTTP/1.1 200 \r\nContent-Length: 99999999\r\n\r\n"
                       + b"x" * 100000):
            ps = subprocess.Popen([VOLT, "ps"], stdout=subprocess.PIPE,
                                  text=True,
                                  env={**os.environ, **cli.env})
            conn = odd.accept()[0]
            conn.recv(1000)
            try:
                conn.sendall(answer)
            except BrokenPipeError:
                pass
            conn.close()
            out = ps.communicate(timeout=60)[0]
            assert ps.returncode == 0
            assert "no answer" in out.splitlines()[1]


def test_without_a_kernel(cli):
    run = cli("run")
    assert run.returncode == 1
    assert "--kernel" in run.stderr and "tools/kernel/fetch" in run.stderr


def test_without_a_run_folder(cli, vmm):
    env = {k: v for k, v in os.environ.items() if k != "XDG_RUNTIME_DIR"}
    if os.geteuid() == 0:
        pytest.skip("root has /run/volt, which a test leaves alone")
    run = subprocess.run([VOLT, "run", "--kernel", vmm.guest("hello")],
                         env=env, capture_output=True, text=True, timeout=60,
                         check=False)
    assert run.returncode == 1 and "XDG_RUNTIME_DIR" in run.stderr


@pytest.mark.parametrize("args", [
    ["run", "word"], ["run", "--name", "a/b"], ["run", "--name", ""],
    ["run", "--name", "x" * 65], ["run", "--kernel"], ["run", "--nope"],
    ["ps", "word"], ["stop"], ["stop", "a", "b"], ["stop", "../x"],
    ["stop", "--wait", "soon", "web"]])
def test_bad_usage(cli, args):
    run = cli(*args)
    assert run.returncode == 64
    assert run.stdout == "" and run.stderr != ""


def test_run_with_disks(cli, tmp_path):
    """--disk is passed on, several times; without an initrd: the root."""
    for name in ("a", "b"):
        with open(tmp_path / name, "wb") as disk:
            disk.truncate(4 << 20)
    run = cli.start("blk", "--cmdline", "id=a flush", "--disk",
                    f"{tmp_path}/a,id=a", "--disk",
                    f"{tmp_path}/b,engine=async,ro")
    run.process.stdin.close()
    run.finish(120).assert_passed()
    run = cli.start("hello", "--disk", str(tmp_path / "a"))
    run.process.stdin.close()
    assert "root=/dev/vda rw" in run.finish().out
