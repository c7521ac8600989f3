# SPDX-License-Identifier: Apache-2.0
"""volt-pager: chains, compressed and not, served to real guests.

Each byte that a guest finds is compared. What cannot be read as it was written
ends the VM, and somebody says why.
"""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BUILD, Api
from test_cli_run import VOLT, Cli
from test_snapshot_chain import LIMIT, a_chain, volt
from test_snapshot_diff import asked, end
from test_snapshot_pack import compress
from test_snapshot_uffd import need_uffd, save_before_the_balloon

PAGER = BUILD / "volt-pager"
DEEP = 3


class Pager:
    """A pager's process, and what it says."""

    def __init__(self, folder, *args):
        self.sock = folder / "pager.sock"
        self.said = folder / "pager.err"
        with open(self.said, "wb") as said:
            self.process = subprocess.Popen(
                [PAGER, "--json", *args[:-1], self.sock, args[-1]],
                stderr=said)
        until = time.monotonic() + LIMIT
        while not self.sock.exists():
            assert self.process.poll() is None and time.monotonic() < until, \
                self.text()
            time.sleep(0.01)

    def text(self):
        return self.said.read_text()

    def end(self):
        assert self.process.wait(LIMIT) == 0, self.text()
        assert not self.sock.exists()
        return json.loads(self.text())


@pytest.fixture
def pager(tmp_path):
    need_uffd()
    made = []

    def make(*args):
        made.append(Pager(tmp_path, *args))
        return made[-1]
    yield make
    for one in made:
        one.process.kill()
        one.process.wait()


def clone_of(vmm, folder, server):
    return vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore", folder,
                      "--uffd", server.sock])


def test_chains(vmm, tmp_path, pager):
    written = a_chain(vmm, tmp_path, DEEP)
    for packed in ((), ("s0", "s2"), ("s1", "s3")):
        for name in packed:
            compress(tmp_path / name)
        for name in ("s0", f"s{DEEP}"):
            server = pager(tmp_path / name)
            clone = clone_of(vmm, tmp_path / name, server)
            for line in written.checks(name):
                asked(clone, line, "right")
            locked = Path(f"/proc/{server.process.pid}/status").read_text()
            assert "NoNewPrivs:\t1" in locked and "Seccomp:\t2" in locked
            end(clone)
            stats = server.end()
            assert 0 < stats["faults"] < stats["faulted_pages"]


def test_a_client_of_the_api(vmm, tmp_path, pager):
    written = a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0")
    sock = tmp_path / "api"
    body = {"snapshot_path": str(tmp_path / "s1/state.json"),
            "resume_vm": True,
            "mem_backend": {"backend_type": "File", "backend_path":
                            str(tmp_path / "s1/memory.snap")}}
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    status, answer = api.call("PUT", "/snapshot/load", body)
    assert status == 400 and "is compressed" in answer["fault_message"]
    assert "volt-pager" in answer["fault_message"]
    assert run.finish().code == 1
    server = pager(tmp_path / "s1")
    body["mem_backend"] = {"backend_type": "Uffd",
                           "backend_path": str(server.sock)}
    sock = tmp_path / "api2"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock])
    api = Api(sock)
    api.wait()
    api.set("PUT", "/snapshot/load", body)
    for line in written.checks("s1"):
        asked(run, line, "right")
    # What it never touched is in a snapshot of it, too.
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", {"snapshot_path": f"{tmp_path}/new/"})
    run.process.kill()
    clone = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                       tmp_path / "new"])
    for line in written.checks("s1"):
        asked(clone, line, "right")
    end(clone)


def test_what_it_takes(vmm, tmp_path, pager):
    """And what it did: told by its VM while that runs, in the API and in
    metrics, since nobody else may look."""
    a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0")
    server = pager("--no-hot", tmp_path / "s0")
    sock, path = tmp_path / "api", tmp_path / "metrics"
    run = vmm.spawn([BUILD / "volt-vmm", "--api-sock", sock, "--metrics-path",
                     path, "--restore", tmp_path / "s0", "--uffd",
                     server.sock])
    api = Api(sock)
    api.wait()
    asked(run, "c 0 1 1", "right")
    for _ in range(2):
        code, told = api.call("GET", "/volt/memory")
        assert code == 200 and set(told["pager"]) == {
            "private_bytes", "shared_bytes", "swapped_bytes"}
        assert 0 < told["pager"]["private_bytes"] < 64 << 20
        assert told["served"]["faulted_pages"] >= \
            told["served"]["faults"] > 0 == told["served"]["hot_pages"]
    api.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    line = json.loads(path.read_text().splitlines()[-1])["volt_memory"]
    assert line["pager_private_bytes"] > 0
    assert line["pager_faults"] >= told["served"]["faults"]
    before = told["served"]
    asked(run, "c 3000 1 1", "wrong 8")
    after = api.call("GET", "/volt/memory")[1]["served"]
    assert after["faults"] > before["faults"]
    assert after["zero_pages"] > before["zero_pages"]
    run.process.kill()
    assert server.end()["faults"] == after["faults"]


def test_a_working_set(vmm, tmp_path, pager):
    """What was recorded is there before it is asked for."""
    written = a_chain(vmm, tmp_path, 1)
    lines = list(written.checks("s0"))
    hot = tmp_path / "s0/working-set"
    recorder = pager("--record", hot, tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", recorder)
    for line in lines:
        asked(clone, line, "right")
    end(clone)
    recorded = recorder.end()
    assert recorded["faults"] == recorded["faulted_pages"] > 400
    for packed in (False, True):
        if packed:
            result = volt("compress", tmp_path / "s0")
            assert result.returncode == 0 and " come first" in result.stdout
            hot.unlink()  # it is in the file
        server = pager(tmp_path / "s0")
        clone = clone_of(vmm, tmp_path / "s0", server)
        for line in lines:
            asked(clone, line, "right")
        end(clone)
        stats = server.end()
        assert stats["hot_pages"] >= 400
        # Zeros are in no hot run: one or two more.
        assert stats["faults"] <= recorded["faults"] * 3 // 100 + 2 * packed
    server = pager("--hot-limit", "1", tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", server)
    asked(clone, lines[0], "right")
    end(clone)
    assert 256 <= server.end()["hot_pages"] < 256 + 512


def recorded_of(folder):
    result = volt("working-set", "--json", folder)
    assert result.returncode == 0, result
    return json.loads(result.stdout)


@pytest.mark.parametrize("at", ["mark", "bytes", "seconds"])
def test_the_end_of_a_record(vmm, tmp_path, pager, at):
    """At the guest's mark, so many bytes, a time: what is used later is not in
    it, and comes as fast as ever."""
    written = a_chain(vmm, tmp_path, 0, "--boot-timer")
    lines = list(written.checks("s0"))
    hot = tmp_path / "s0/working-set"
    options = {"mark": (), "bytes": ("--record-limit", "1"),
               "seconds": ("--record-seconds", "1")}[at]
    server = pager("--record", hot, *options, tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", server)
    asked(clone, "c 0 100 1", "right")
    if at == "mark":
        asked(clone, "m 0 0 0", "marked")
    elif at == "bytes":
        asked(clone, "c 100 200 1", "right")
    until = time.monotonic() + LIMIT
    while hot.stat().st_size == 0:
        assert time.monotonic() < until
        time.sleep(0.01)
    found = recorded_of(tmp_path / "s0")
    for line in lines:
        asked(clone, line, "right")
    end(clone)
    stats = server.end()
    assert found == recorded_of(tmp_path / "s0")
    assert found["from"] == "record"
    if at == "bytes":
        assert found["pages"] == 256
    else:
        assert 100 <= found["pages"] < 300
    assert stats["faults"] < stats["faulted_pages"]


def test_nobody_records(vmm, tmp_path, pager):
    """Marks that nobody waits for do no harm."""
    written = a_chain(vmm, tmp_path, 0, "--boot-timer")
    server = pager(tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", server)
    for _ in range(50):
        asked(clone, "m 0 0 0", "marked")
    for line in written.checks("s0"):
        asked(clone, line, "right")
    end(clone)
    server.end()


def test_a_damaged_record(vmm, tmp_path, pager):
    """It is a hint: who finds it damaged says so and does without."""
    written = a_chain(vmm, tmp_path, 0)
    hot = tmp_path / "s0/working-set"
    hot.write_bytes(b"x" * 4000)
    server = pager(tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", server)
    for line in written.checks("s0"):
        asked(clone, line, "right")
    end(clone)
    assert server.process.wait(LIMIT) == 0
    assert "no working set, or damaged" in server.text()


def test_restore_records(vmm, tmp_path):
    """By the commands: record, show, drop."""
    need_uffd()
    written = a_chain(vmm, tmp_path, 1)
    cli = Cli(vmm, tmp_path)
    words = [f"{name}={value}" for name, value in cli.env.items()]
    assert recorded_of(tmp_path / "s0")["from"] == "none"
    own = recorded_of(tmp_path / "s1")
    assert own["from"] == "diff" and own["pages"] > 0
    run = vmm.spawn(["env", *words, VOLT, "restore", "--name", "web",
                     "--record", "--record-limit", "1", tmp_path / "s1"])
    for line in written.checks("s1"):
        asked(run, line, "right")
    end(run)
    found = recorded_of(tmp_path / "s1")
    assert found == {"from": "record", "pages": 256, "bytes": 1 << 20}
    told = volt("working-set", tmp_path / "s1").stdout
    assert "256 pages, 1024 KiB, which were recorded" in told
    result = volt("working-set", "--drop", tmp_path / "s1")
    assert result.returncode == 0 and "of the diff itself" in result.stdout
    assert not (tmp_path / "s1/working-set").exists()
    assert "has no working set" in volt("working-set", tmp_path / "s0").stdout
    compress(tmp_path / "s1")
    assert recorded_of(tmp_path / "s1")["from"] in ("compressed", "none")


def test_what_the_balloon_takes_is_zero(vmm, tmp_path, pager):
    save_before_the_balloon(vmm, tmp_path / "s")
    compress(tmp_path / "s")
    server = pager(tmp_path / "s")
    run = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--restore",
                     tmp_path / "s", "--uffd", server.sock])
    run.send("\n")
    for step in ("inflated", "deflated", "reported"):
        run.wait_for(f"step {step}\r\n")
        run.send("\n")
    run.wait_for("step to-hint\r\n")
    text = run.whole.decode()
    assert "FAIL" not in text and "inflated-pages-read-zero" in text
    assert "reported-pages-read-zero" in text
    run.process.kill()
    assert server.end()["removed_pages"] >= 2 * (4 << 20 >> 12)


def test_a_damaged_frame_ends_the_vm(vmm, tmp_path, pager):
    """Nobody gets a byte of it."""
    written = a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0", "--frame", "64")
    memory = tmp_path / "s0/memory.snap"
    data = memory.read_bytes()
    index = int.from_bytes(data[72:80], "little")
    server = pager(tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", server)
    first, *rest = written.checks("s0")
    with open(memory, "r+b") as file:  # all frames but a few
        file.seek(index // 3)
        file.write(b"\xa5" * (index - index // 3))
    clone.send("".join(f"{line}\n" for line in (first, *rest)))
    result = clone.finish()
    assert result.code == 1
    assert "serves the guest's memory is gone" in result.log
    assert "wrong" not in clone.whole.decode()
    assert server.process.wait(LIMIT) == 1
    assert "s0/memory.snap is damaged: frame " in server.text()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_pager_that_ends(vmm, tmp_path, pager, how):
    a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0")
    server = pager(tmp_path / "s0")
    clone = clone_of(vmm, tmp_path / "s0", server)
    asked(clone, "c 0 1 1", "right")
    server.process.send_signal(how)
    server.process.wait(LIMIT)
    result = clone.finish()
    assert result.code == 1
    assert "serves the guest's memory is gone" in result.log


def test_short_of_memory(vmm, tmp_path):
    """It says so before a VM is there."""
    need_uffd()
    a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0", "--frame", "2048")
    result = subprocess.run(
        ["prlimit", f"--as={5 << 20}", PAGER, tmp_path / "sock",
         tmp_path / "s0"], text=True, capture_output=True, timeout=LIMIT,
        check=False)
    assert result.returncode == 1 and "Out of memory" in result.stderr, result
    assert not (tmp_path / "sock").exists()


def test_restore_starts_it(vmm, tmp_path):
    need_uffd()
    written = a_chain(vmm, tmp_path, 1)
    cli = Cli(vmm, tmp_path)
    compress(tmp_path / "s0")
    words = [f"{name}={value}" for name, value in cli.env.items()]
    for name, options in (("s0", ()), ("s1", ()), ("s1", ("--isolate",))):
        run = vmm.spawn(["env", *words, VOLT, "restore", "--name", "web",
                         *options, tmp_path / name])
        for line in written.checks(name):
            asked(run, line, "right")
        assert os.listdir(tmp_path / "volt") == ["web.sock"]
        end(run)
    # The reason reaches whoever restored it.
    data = bytearray((tmp_path / "s0/memory.snap").read_bytes())
    data[200:-3000] = bytes(len(data) - 3200)
    (tmp_path / "s0/memory.snap").write_bytes(data)
    run = vmm.spawn(["env", *words, VOLT, "restore", "--name", "web",
                     tmp_path / "s0"])
    result = run.finish()
    assert result.code == 1 and "memory.snap is" in result.log, result.log
    assert "damaged" in result.log


def test_without_userfaultfd(vmm, tmp_path):
    """An ordinary user is told what to do."""
    if os.geteuid() == 0:
        with open("/proc/sys/vm/unprivileged_userfaultfd",
                  encoding="ascii") as file:
            if file.read().strip() != "0":
                pytest.skip("everybody may have a userfaultfd here")
    elif os.access("/dev/userfaultfd", os.W_OK):
        pytest.skip("this user may have a userfaultfd")
    a_chain(vmm, tmp_path, 1)
    compress(tmp_path / "s0")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] \
        if os.geteuid() == 0 else []
    run_folder = tmp_path / "run"
    run_folder.mkdir(mode=0o777)
    run_folder.chmod(0o777)
    fd = os.open(tmp_path / "s0", os.O_PATH)
    for name in ("state.json", "memory.snap"):
        (tmp_path / "s0" / name).chmod(0o644)
    os.chmod(tmp_path / "s0", 0o755)
    # By descriptors: the folders above are root's alone.
    volt_fd = os.open(VOLT, os.O_PATH)
    run_fd = os.open(run_folder, os.O_PATH)
    result = subprocess.run(
        [*user, f"/proc/self/fd/{volt_fd}", "restore",
         f"/proc/self/fd/{fd}"], text=True, capture_output=True,
        timeout=LIMIT, check=False, pass_fds=(fd, volt_fd, run_fd),
        env={**os.environ, "XDG_RUNTIME_DIR": f"/proc/self/fd/{run_fd}"})
    assert result.returncode == 1, result
    assert "/dev/userfaultfd" in result.stderr, result
    assert "volt snapshot decompress" in result.stderr


MESSAGES = [b"", b"[]", b"{}", b"[{}]", b"[1", b"[" * 1000,
            b'[{"base_host_virt_addr":0,"size":4096,"offset":0}]',
            b'[{"base_host_virt_addr":4096,"size":67108864,"offset":4096}]',
            b'[{"base_host_virt_addr":18446744073709547520,'
            b'"size":67108864,"offset":0}]',
            b'[{"base_host_virt_addr":4096,"size":67108864,"offset":0,'
            b'"page_size":2097152}]',
            b'[{"base_host_virt_addr":4096,"size":67108864,"offset":0}]']


def test_a_strange_vmm(vmm, tmp_path, pager):
    """Each message comes with a descriptor that is no userfaultfd."""
    a_chain(vmm, tmp_path, 1)
    for message in MESSAGES:
        for fds in ((), (0,)) if message else ((),):
            server = pager(tmp_path / "s0")
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(server.sock))
                if message and fds:
                    with open("/dev/null", "rb") as null:
                        socket.send_fds(sock, [message],
                                        [null.fileno()] * len(fds))
                elif message:
                    sock.send(message)
                else:
                    sock.close()
                assert server.process.wait(LIMIT) == 1, message
            assert server.text().startswith("volt-pager: "), message


def test_command_line(tmp_path):
    for argv, code, words in ((["--help"], 0, "Usage: volt-pager"),
                              (["--version"], 0, "volt-pager "),
                              (["x"], 64, "it takes SOCKET DIR"),
                              (["--bad"], 64, "volt-pager: "),
                              ([tmp_path / "s", tmp_path], 1, "state.json")):
        result = subprocess.run([PAGER, *argv], text=True, check=False,
                                capture_output=True, timeout=LIMIT)
        assert result.returncode == code, result
        assert words in result.stdout + result.stderr
    assert volt("compress", tmp_path / "none").returncode == 1
