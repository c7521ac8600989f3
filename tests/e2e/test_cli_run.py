# SPDX-License-Identifier: Apache-2.0
"""volt run, ps and stop, with bare-metal guests."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import BUILD, ROOT, Api

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
        lines = run.stdout.partition("\n\n")[0].splitlines()
        assert lines[0].split() == ["NAME", "STATE", "CPUS", "MEMORY/MiB",
                                    "SANDBOX", "PID", "API"]
        rows = [line.split() for line in lines[1:]]
        for row in rows:
            # How it was started says how far it is locked: test_sandbox.py.
            assert row.pop(-3) in ("strict", "off", "best-effort", "-")
            assert row.pop() == f"{self.folder}/volt/{row[0]}.sock"
        return rows

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


def test_ps_shows_a_vmm_that_was_started_by_itself(cli, tmp_path):
    """By its process; others of this user may run, too."""
    def alone():
        done = cli("ps")
        assert done.returncode == 0 and done.stderr == ""
        mark = done.stdout.partition("\n\nStarted without volt:\n")[2]
        # Another's state may be two words: count from the end.
        rows = [row.split() for row in mark.splitlines()]
        # How far each is locked stands third.
        return {int(row[-2]): row[:-3] + row[-2:] for row in rows}

    own = cli.start("spin", "--name", "web")
    own.wait_for("spinning")
    kernel = cli.vmm.guest("spin")
    runs = []
    for words in (["--id", "a-b", "--api-sock", "relative.sock"],
                  ["--api", f"{tmp_path}/x.sock", "--id=c"],
                  ["--id", "d", "--no-api"], []):
        run = cli.vmm.spawn(["sh", "-c", 'cd "$1"; shift; exec "$@"', "sh",
                             tmp_path, BUILD / "volt-vmm", "--kernel", kernel,
                             "--memory", "32", *words])
        run.wait_for("spinning")
        runs.append(run)
    rows = alone()
    assert own.pid not in rows
    assert [rows[run.pid] for run in runs] == [
        ["a-b", "Running", "1", "32", str(runs[0].pid),
         f"{tmp_path}/relative.sock"],
        ["c", "Running", "1", "32", str(runs[1].pid), f"{tmp_path}/x.sock"],
        ["d", "-", "-", "-", str(runs[2].pid), "-"],
        ["anonymous-instance", "-", "-", "-", str(runs[3].pid), "-"]]
    # A name that the API's socket has lost leads to nobody else's VM.
    (tmp_path / "x.sock").unlink()
    (tmp_path / "x.sock").symlink_to(tmp_path / "relative.sock")
    assert alone()[runs[1].pid][1:4] == ["-", "-", "-"]


def test_ps_shows_them_all(cli, tmp_path):
    """However many there are: programs of that name, for a moment."""
    shutil.copy("/bin/busybox", tmp_path / "volt-vmm")
    many = [subprocess.Popen(["sleep", "100"], executable=tmp_path / "volt-vmm")
            for _ in range(300)]
    try:
        done = cli("ps")
    finally:
        for one in many:
            one.kill()
        for one in many:
            one.wait(60)
    assert done.returncode == 0, done.stderr
    rows = {row.split()[-2] for row in done.stdout.splitlines() if row}
    assert rows >= {str(one.pid) for one in many}


def test_options_after_dashes_are_the_vmms(cli):
    run = cli.start("irq", "--cmdline", "full", "--", "--irqchip", "full")
    run.process.stdin.close()
    run.finish().assert_passed()


def test_stop_asks_the_guest(cli):
    run = cli.start("keys", "--name", "web", "--cmdline", "none")
    run.wait_for("waiting")
    stop = cli("stop", "--wait", "60", "web")
    assert (stop.returncode, stop.stdout) == (0, "web has shut down\n")
    assert run.finish().code == 0
    assert cli.sockets() == []


@pytest.mark.parametrize("wait", ["0", "1"])
def test_stop_ends_a_deaf_guest(cli, wait):
    run = cli.start("spin", "--name", "web")
    run.wait_for("spinning")
    stop = cli("stop", "--wait", wait, "web")
    assert stop.returncode == 0
    assert stop.stdout == {"0": "web was ended\n",
                           "1": "web did not shut down in 1 s; ended\n"}[wait]
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
    # Its gate may have had the time to remove it.
    assert cli.sockets() in (["web.sock"], [])
    assert cli.rows() == []
    stop = cli("stop", "web")
    assert stop.returncode == 1 and "no VM named web" in stop.stderr
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
    assert rows == [["a-deaf-one", "busy", "-", "-", str(os.getpid())],
                    ["alive", "Running", "1", "32", str(run.pid)]]


def test_answers_that_are_no_http(cli):
    """Whatever listens there: no answer, no crash."""
    path = cli.folder / "volt/web.sock"
    path.parent.mkdir(0o700)
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


def drip(listener, stop):
    """Serve one client, a byte of a head without an end every 0.2 s."""
    conn = listener.accept()[0]
    try:
        conn.sendall(b"HTTP/1.1 200 OK\r\nA: ")
        while not stop.wait(0.2):
            conn.sendall(b"b")
    except OSError:
        pass
    conn.close()


def test_a_vm_that_answers_without_an_end(cli):
    """Each byte comes in time, the answer never: ps goes on all the same."""
    path = cli.folder / "volt/slow.sock"
    path.parent.mkdir(0o700)
    stop = threading.Event()
    with socket.socket(socket.AF_UNIX) as slow:
        slow.bind(str(path))
        slow.listen()
        server = threading.Thread(target=drip, args=(slow, stop))
        server.start()
        try:
            assert cli.rows() == [["slow", "busy", "-", "-",
                                   str(os.getpid())]]
        finally:
            stop.set()
            server.join()


def test_without_a_kernel(cli):
    run = cli("run")
    assert run.returncode == 1
    assert "--kernel" in run.stderr and \
        "`volt kernel add --package linux-image-cloud-amd64`" in run.stderr


def test_without_a_run_folder(cli, vmm):
    env = {k: v for k, v in os.environ.items() if k != "XDG_RUNTIME_DIR"}
    if os.geteuid() == 0:
        pytest.skip("root has /run/volt, which a test leaves alone")
    run = subprocess.run([VOLT, "run", "--kernel", vmm.guest("hello")],
                         env=env, capture_output=True, text=True, timeout=60,
                         check=False)
    assert run.returncode == 1 and "XDG_RUNTIME_DIR" in run.stderr


@pytest.mark.parametrize("args", [
    ["run", "--initrd", "x", "word"], ["run", "--name", "a/b"],
    ["run", "--name", ""], ["run", "--name", "x" * 65], ["run", "--kernel"],
    ["run", "--nope"], ["ps", "word"], ["stop"], ["stop", "a", "b"],
    ["stop", "../x"],
    ["stop", "--wait", "soon", "web"], ["stop", "--kill", "--wait", "1", "w"],
    ["run", "--memory", "8X"], ["run", "--cpus", "33"], ["help", "nope"]])
def test_bad_usage(cli, args):
    run = cli(*args)
    assert run.returncode == 64
    assert run.stdout == ""
    assert re.fullmatch(r"volt( [a-z]+)?: [^\n]+\n", run.stderr)


def test_a_form_of_snapshot_names_no_vm(cli):
    forms = re.findall(r"^### volt snapshot ([a-z]+)$",
                       (ROOT / "docs/cli.md").read_text(), re.M)
    assert {"inspect", "merge", "squash"} < set(forms)
    for form in forms:
        run = cli("run", "--name", form)
        assert run.returncode == 64, form
        assert f"volt snapshot {form}" in run.stderr


def test_stop_ends_a_paused_vm_at_once(cli):
    run = cli.start("spin", "--name", "web")
    run.wait_for("spinning")
    Api(cli.folder / "volt/web.sock").set("PATCH", "/vm", {"state": "Paused"})
    stop = cli("stop", "--wait", "3600", "web")
    assert (stop.returncode, stop.stdout) == (0, "web was paused; ended\n")
    assert run.finish().code == -signal.SIGTERM


def test_stop_waits_for_a_vm_that_does_not_answer(cli):
    """A volt-vmm in the midst of a save does not answer: no SIGKILL."""
    run = cli.start("spin", "--name", "web")
    run.wait_for("spinning")
    run.process.send_signal(signal.SIGSTOP)
    stop = subprocess.Popen([VOLT, "stop", "--wait", "2", "web"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, **cli.env})
    time.sleep(5)
    assert stop.poll() is None and run.process.poll() is None
    run.process.send_signal(signal.SIGCONT)
    out, err = stop.communicate(timeout=60)
    assert (stop.returncode, err) == (0, "")
    assert out == "web did not answer in 2 s; ended\n"
    # It leaves in order: the socket is gone.
    assert run.finish().code == -signal.SIGTERM and cli.sockets() == []


def test_stop_kill(cli):
    run = cli.start("spin", "--name", "web")
    run.wait_for("spinning")
    stop = cli("stop", "--kill", "web")
    assert (stop.returncode, stop.stdout) == (0, "web was killed\n")
    assert run.finish().code == -signal.SIGKILL


def test_one_of_many_that_start_at_once(cli):
    """A dead VM's socket is there, and each would remove it."""
    (cli.folder / "volt").mkdir(0o700)
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(cli.folder / "volt/web.sock"))
        runs = [cli.start("spin", "--name", "web") for _ in range(6)]
        alive = []
        end = time.monotonic() + 60
        while len(alive) != 1 or not cli.rows():
            alive = [x for x in runs if x.process.poll() is None]
            assert alive and time.monotonic() < end
            time.sleep(0.05)
        assert {x.process.returncode for x in runs} == {None, 1}
        assert cli.rows()[0][-1] == str(alive[0].pid)
        assert cli("stop", "--wait", "0", "web").returncode == 0
        assert cli.sockets() == []


@pytest.mark.parametrize("what, words", [
    ("file", "is no directory"), ("link", "is no directory"),
    ("open", "chmod 700"), ("other", "belongs to uid 1")])
def test_folder_that_is_not_ours_alone(cli, tmp_path, what, words):
    folder = cli.folder / "volt"
    if what == "file":
        folder.write_text("")
    elif what == "link":
        (tmp_path / "own").mkdir(0o700)
        folder.symlink_to(tmp_path / "own")
    else:
        folder.mkdir(0o700)
        if what == "open":
            folder.chmod(0o750)
        elif os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        else:
            os.chown(folder, 1, 1)
    for args in (["ps"], ["stop", "web"], ["snapshot", "web", tmp_path / "s"],
                 ["run", "--kernel", cli.vmm.guest("hello")]):
        done = cli(*args)
        assert done.returncode == 1
        assert words in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_help_is_everywhere(cli):
    for words in ([], ["run"], ["ps"], ["stop"], ["snapshot"], ["restore"],
                  ["doctor"], ["net"], ["net", "add"], ["net", "del"],
                  ["net", "list"], ["snapshot", "inspect"],
                  ["snapshot", "merge"], ["snapshot", "squash"],
                  ["snapshot", "export"], ["snapshot", "import"]):
        shown = [cli(*words, "--help"), cli(*words, "-h"), cli("help", *words)]
        for done in shown:
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout == shown[0].stdout
        assert shown[0].stdout.startswith(f"Usage: volt {' '.join(words)}")
        assert max(map(len, shown[0].stdout.splitlines())) <= 80


def test_full_stdout(cli):
    with open("/dev/full", "w") as full:
        for words in (["--help"], ["--version"], ["ps"], ["run", "--help"],
                      ["net", "list"], ["doctor", "--json"]):
            done = subprocess.run([VOLT, *words], stdout=full, text=True,
                                  stderr=subprocess.PIPE, timeout=120,
                                  env={**os.environ, **cli.env}, check=False)
            assert done.returncode == 74
            assert done.stderr == ("volt: cannot write to standard output: No "
                                   "space left on device\n")


def test_hostile_words_are_escaped(cli, tmp_path):
    odd = "a\x1b[2J\nb\x7f\x9bc"
    for words in ([odd], ["run", odd], ["run", f"--{odd}"], ["stop", odd],
                  ["run", "--name", odd], ["snapshot", "inspect", odd],
                  ["snapshot", odd, "d"], ["restore", odd], ["net", odd],
                  ["net", "add", odd], ["snapshot", "merge", odd, odd],
                  ["snapshot", "squash", odd],
                  ["run", "--kernel", tmp_path / odd], ["help", odd],
                  ["restore", b"\xff\xfe"], ["run", "--kernel", b"/\xff"],
                  ["restore", "x" * 5000], ["stop", "x" * 5000]):
        done = cli(*words)
        assert done.returncode in (1, 64, 125), words
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        bad = set(map(chr, [*range(32), *range(127, 160)])) - {"\n"}
        assert not set(done.stderr) & bad


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
