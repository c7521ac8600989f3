# SPDX-License-Identifier: Apache-2.0
"""The sandbox of a running VM: modes, state, ends; as root and as nobody."""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import BUILD, Api, looks_into

NOBODY = 65534
VMM = str(BUILD / "volt-vmm")
ALLOW = 0x7fff0000
TRAP = 0x00030000
SYS = {"openat": 257, "getpid": 39, "landlock_create_ruleset": 444,
       "ioctl": 16, "accept4": 288}


def host_abi():
    """Landlock's ABI on this host; 0 for none."""
    return max(0, ctypes.CDLL(None).syscall(444, None, 0, 1))


needs_landlock = pytest.mark.skipif(
    host_abi() == 0, reason="this host has no Landlock; the lab's kernels do")


def denying(number, errno):
    """A BPF program: system call @number fails with @errno."""
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, number),
            (0x06, 0, 0, 0x00050000 | errno), (0x06, 0, 0, ALLOW)]
    return b"".join(struct.pack("<HBBI", *line) for line in code)


def under_filter(program):
    """For preexec_fn: the process starts behind a filter of its own."""
    def install():
        libc = ctypes.CDLL(None, use_errno=True)
        data = ctypes.create_string_buffer(program)
        fprog = struct.pack("<HxxxxxxQ", len(program) // 8,
                            ctypes.addressof(data))
        assert libc.prctl(38, 1, 0, 0, 0) == 0
        assert libc.prctl(22, 2, fprog, 0, 0) == 0
    return install


def status(pid, tid=None):
    """/proc's status of a thread as a dictionary."""
    path = f"/proc/{pid}/task/{tid or pid}/status"
    return dict(line.split(":", 1) for line in
                Path(path).read_text().splitlines())


def threads(pid):
    """Name -> (NoNewPrivs, Seccomp mode) of each thread."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        s = status(pid, tid)
        # Threads of the kernel's own, which never leave it.
        if s["Name"].strip().startswith(("kvm-", "vhost-", "iou-")):
            continue
        found[s["Name"].strip()] = (s["NoNewPrivs"].strip(),
                                    s["Seccomp"].strip())
    return found


def run(*argv, **more):
    return subprocess.run([VMM, *map(str, argv)], text=True, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, **more)


def hello(vmm, *words):
    return ["--no-api", "--kernel", vmm.guest("hello"), "--memory", "32",
            *words]


@needs_landlock
def test_every_thread_is_locked(vmm):
    run = vmm.start("spin", cpus=2, extra=("--sandbox", "strict"))
    run.wait_for("spinning")
    found = threads(run.pid)
    assert set(found) == {"firecracker", "fc_vcpu 0", "fc_vcpu 1"}
    assert set(found.values()) == {("1", "2")}, found


def test_off_locks_nothing(vmm):
    run = vmm.start("spin", extra=("--sandbox", "off"))
    run.wait_for("spinning")
    assert set(threads(run.pid).values()) == {("0", "0")}


@needs_landlock
def test_strict_is_the_default(vmm):
    """And no other mode takes its place where it cannot be had."""
    said = run(*hello(vmm, "--level", "Info")).stderr
    assert "Sandbox: strict, Landlock ABI" in said
    install = under_filter(denying(SYS["landlock_create_ruleset"], 38))
    refused = run(*hello(vmm), preexec_fn=install)
    assert refused.returncode == 1
    assert "--sandbox best-effort" in refused.stderr


@needs_landlock
def test_no_seccomp_leaves_landlock(vmm):
    run = vmm.start("spin", extra=("--sandbox", "strict", "--no-seccomp"))
    run.wait_for("spinning")
    assert set(threads(run.pid).values()) == {("1", "0")}


@needs_landlock
def test_state_is_told(vmm, tmp_path):
    sock = tmp_path / "api.sock"
    one = vmm.spawn([VMM, "--api-sock", sock, "--sandbox", "strict",
                     "--level", "Info"])
    api = Api(sock)
    api.wait()
    code, said = api.call("GET", "/volt/sandbox")
    assert code == 200
    assert said["mode"] == "strict" and said["locked"] is False
    assert said["landlock_abi"] == min(host_abi(), 10)
    assert said["seccomp"] == "own"
    assert all("alone" in gap for gap in said["gaps"])
    assert "Sandbox: strict, Landlock ABI" in one.log()


def test_without_landlock(vmm):
    """Strict refuses and says which flag accepts that; best-effort tells."""
    install = under_filter(denying(SYS["landlock_create_ruleset"], 38))
    refused = run(*hello(vmm, "--sandbox", "strict"), preexec_fn=install)
    assert refused.returncode == 1 and refused.stdout == ""
    assert "no Landlock" in refused.stderr
    assert "--sandbox best-effort" in refused.stderr
    done = run(*hello(vmm, "--sandbox", "best-effort"), preexec_fn=install)
    assert done.returncode == 0, done
    assert re.search(r"Not in the sandbox: files: Landlock's ABI is 0",
                     done.stderr), done.stderr


@needs_landlock
def test_min_abi(vmm):
    refused = run(*hello(vmm, "--sandbox", "strict", "--sandbox-min-abi", 99))
    assert refused.returncode == 1
    assert f"ABI {host_abi()}, less than --sandbox-min-abi 99" \
        in refused.stderr
    assert run(*hello(vmm, "--sandbox", "best-effort", "--sandbox-min-abi",
                      99)).returncode == 0
    assert run(*hello(vmm, "--sandbox", "strict", "--sandbox-min-abi",
                      1)).returncode == 0
    for bad in ("0", "100", "x", ""):
        assert run(*hello(vmm, "--sandbox-min-abi", bad)).returncode == 153


@pytest.mark.parametrize("text, code", [
    ("mode off\n", 0), ("mode strict\nmin-abi 99\n", 1), ("mode x\n", 1)])
def test_host_file(vmm, tmp_path, text, code):
    """/etc/volt/sandbox, in a mount namespace of the test's own."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a mount namespace")
    (tmp_path / "sandbox").write_text(text)
    script = ("mount --make-rprivate / && mkdir -p /etc/volt && "
              "mount -t tmpfs none /etc/volt && "
              "cp \"$0\" /etc/volt/sandbox && exec \"$@\"")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, tmp_path / "sandbox", VMM,
         *map(str, hello(vmm))], text=True, capture_output=True, timeout=60,
        stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == code, done
    if code:
        assert "--sandbox-min-abi" in done.stderr \
            or "/etc/volt/sandbox, line 1" in done.stderr
    flag = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, tmp_path / "sandbox", VMM,
         *map(str, hello(vmm, "--sandbox", "off", "--sandbox-min-abi", "1"))],
        capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
        check=False)
    assert flag.returncode == (1 if "mode x" in text else 0)


# ---- filters of a client's own ----


def entry(name, *code):
    """One thread of a file of --seccomp-filter."""
    return (struct.pack("<Q", len(name)) + name.encode()
            + struct.pack("<Q", len(code))
            + b"".join(struct.pack("<HBBI", *line) for line in code))


def filter_file(path, **programs):
    path.write_bytes(struct.pack("<Q", len(programs)) + b"".join(
        entry(name, *code) for name, code in programs.items()))
    return path


ALL = [(0x06, 0, 0, ALLOW)]


def trapping(number):
    return [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, TRAP),
            (0x06, 0, 0, ALLOW)]


@needs_landlock
def test_own_filters(vmm, tmp_path):
    good = filter_file(tmp_path / "good", vmm=ALL, API=ALL, vcpu=[])
    run = vmm.start("spin", extra=("--sandbox", "strict", "--seccomp-filter",
                                   str(good)))
    run.wait_for("spinning")
    assert threads(run.pid) == {"firecracker": ("1", "2"),
                                "fc_vcpu 0": ("1", "0")}


@needs_landlock
def test_trap_of_an_own_filter(vmm, tmp_path):
    """One line with call and thread, exit code 148, and the metric."""
    metrics = tmp_path / "metrics"
    bad = filter_file(tmp_path / "bad", vmm=ALL, api=ALL,
                      vcpu=trapping(SYS["ioctl"]))
    done = run(*hello(vmm, "--sandbox", "strict", "--seccomp-filter", bad,
                      "--metrics-path", metrics))
    assert done.returncode == 148, done
    lines = [x for x in done.stderr.splitlines() if "bad syscall" in x]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(
        "Shutting down VM after intercepting a bad syscall (16): ioctl")
    last = json.loads(metrics.read_text().splitlines()[-1])
    assert last["seccomp"]["num_faults"] == 1


@needs_landlock
def test_trap_on_the_gate(vmm, tmp_path):
    """The other half tells which call, and ends as for one of its own."""
    metrics, sock = tmp_path / "metrics", tmp_path / "sock"
    bad = filter_file(tmp_path / "bad", vmm=ALL, vcpu=ALL,
                      api=trapping(SYS["accept4"]))
    run = vmm.spawn([VMM, "--api-sock", sock, "--seccomp-filter", bad,
                     "--metrics-path", metrics])
    with socket.socket(socket.AF_UNIX) as client:
        end = time.monotonic() + 30
        while client.connect_ex(str(sock)) and time.monotonic() < end:
            time.sleep(0.01)
        assert run.finish().code == 148
    assert ("after intercepting a bad syscall (288): accept4 on the gate"
            in run.log())
    last = json.loads(metrics.read_text().splitlines()[-1])
    assert last["seccomp"]["num_faults"] == 1


def test_sent_sigsys_is_counted(vmm, tmp_path):
    metrics = tmp_path / "metrics"
    run = vmm.start("spin", extra=("--metrics-path", str(metrics)))
    run.wait_for("spinning")
    run.process.send_signal(signal.SIGSYS)
    assert run.finish().code == 148
    lines = [json.loads(x) for x in metrics.read_text().splitlines()]
    assert lines[-1]["seccomp"]["num_faults"] == 1


@pytest.mark.parametrize("name, content, words", [
    ("garbage", b"adassafvc", "Filter deserialization failed: "),
    ("empty", b"", "Filter deserialization failed: "),
    ("huge", b"\xff" * 200000, "Filter deserialization failed: "),
    ("strange", struct.pack("<Q", 1) + entry("thread1"),
     "Invalid thread categories: thread1"),
    ("short", struct.pack("<Q", 1) + entry("vmm"),
     "Missing thread category: api"),
], ids=["garbage", "empty", "huge", "strange", "short"])
def test_files_that_are_no_filters(vmm, tmp_path, name, content, words):
    """Firecracker's words, in the log, whatever the mode."""
    path, log = tmp_path / name, tmp_path / "log"
    path.write_bytes(content)
    for mode in ("strict", "off"):
        if mode == "strict" and not host_abi():
            continue
        log.write_text("")
        done = run(*hello(vmm, "--sandbox", mode, "--seccomp-filter", path,
                          "--log-path", log))
        assert done.returncode == 1
        assert "Seccomp error: " + words in log.read_text()
    missing = run(*hello(vmm, "--seccomp-filter", tmp_path / "none",
                         "--log-path", log))
    assert missing.returncode == 1
    assert ("Seccomp error: Filter file open error: No such file or directory "
            "(os error 2)") in log.read_text()


# ---- from outside ----


AS_NOBODY = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups"


@pytest.fixture
def nobody(tmp_path):
    """Words before a command: an ordinary user with a /dev/kvm of his own."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become nobody")
    node = tmp_path / "kvm"
    os.mknod(node, 0o20666, os.makedev(10, 232))
    node.chmod(0o666)
    return ["unshare", "-m", "sh", "-c",
            "mount --make-rprivate / && mount --bind \"$0\" /dev/kvm && "
            f"exec {AS_NOBODY} \"$@\"", str(node)]


@pytest.fixture
def spin(vmm):
    """A guest that everybody can read, whoever the tree is closed to."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="volt-s") as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(vmm.guest("spin"), folder)


@needs_landlock
def test_nobody_else_of_this_user_can_look_in(vmm, nobody, spin):
    """The same user can neither trace it nor read its memory."""
    run = vmm.spawn([*nobody, VMM, "--no-api", "--kernel", spin, "--sandbox",
                     "strict"])
    run.wait_for("spinning")
    assert status(run.pid)["Uid"].split() == [str(NOBODY)] * 4
    assert set(threads(run.pid).values()) == {("1", "2")}
    for name in ("mem", "fd/0", "maps", "environ"):
        done = subprocess.run(
            [*AS_NOBODY.split(), "head", "-c1", f"/proc/{run.pid}/{name}"],
            capture_output=True, check=False)
        assert done.returncode != 0, name
    run.process.terminate()
    assert run.finish().code == -signal.SIGTERM


@needs_landlock
def test_ps_sees_what_is_locked(vmm, nobody, spin):
    """Its own user's `volt ps`, though /proc hides what program it is."""
    sock = f"/tmp/volt-sandbox-{os.getpid()}.sock"
    run = vmm.spawn([*nobody, VMM, "--api-sock", sock, "--id", "locked",
                     "--kernel", spin, "--sandbox", "strict"])
    run.wait_for("spinning")
    said = subprocess.run([*AS_NOBODY.split(), BUILD / "volt", "ps"],
                          text=True, capture_output=True, check=False,
                          env={"PATH": os.environ["PATH"],
                               "XDG_RUNTIME_DIR": "/nonexistent"})
    rows = [row.split() for row in said.stdout.splitlines()
            if row.startswith("locked")]
    assert rows == [["locked", "Running", "1", "128", "strict", str(run.pid),
                     sock]], said
    run.process.terminate()
    assert run.finish().code == -signal.SIGTERM


@needs_landlock
def test_a_stopped_gate_dies_with_a_locked_vm(vmm, tmp_path):
    """Landlock's scope of signals would keep the kernel's own from it."""
    sock = tmp_path / "api.sock"
    run = vmm.spawn([VMM, "--api-sock", sock, "--kernel", vmm.guest("spin"),
                     "--sandbox", "strict"])
    run.wait_for("spinning")
    gate = int(Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text())
    os.kill(gate, signal.SIGSTOP)
    run.process.kill()
    run.process.wait()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        stat = Path(f"/proc/{gate}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1][1] in "ZX":
            return
        time.sleep(0.01)
    os.kill(gate, signal.SIGKILL)
    pytest.fail("the gate lives on")


@needs_landlock
@looks_into
def test_stray_descriptors_are_closed(vmm, tmp_path):
    """But for those that the command line names."""
    log = open(tmp_path / "log", "wb")
    stray = open(tmp_path / "stray", "wb")
    process = subprocess.Popen(
        [VMM, "--no-api", "--kernel", vmm.guest("spin"), "--sandbox",
         "strict", "--level", "Info", "--log-path",
         f"/dev/fd/{log.fileno()}"],
        pass_fds=(log.fileno(), stray.fileno()), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline()
        held = {os.readlink(f"/proc/{process.pid}/fd/{fd}")
                for fd in os.listdir(f"/proc/{process.pid}/fd")}
        assert str(tmp_path / "log") in held
        assert str(tmp_path / "stray") not in held
    finally:
        process.kill()
        process.wait()
    assert "Running Firecracker-compatible Volt" in \
        (tmp_path / "log").read_text()


@needs_landlock
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_ends_by_the_signal_all_the_same(vmm, sig):
    """A locked process sets no handler; a second signal changes nothing."""
    run = vmm.start("spin", extra=("--sandbox", "strict"))
    run.wait_for("spinning")
    for _ in range(3):
        run.process.send_signal(sig)
    assert run.finish().code == -sig
