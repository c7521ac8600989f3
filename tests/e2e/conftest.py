# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests.

The binaries come from $VOLT_BUILD (default: build). Guests run on this host's
KVM where there is one, and in the lab (tests/lab/run), which is a whole
emulated host. Booting the lab takes seconds, so all of a module's lab cases
run in one go: see lab_results().
"""

import functools
import http.client
import json
import os
import re
import select
import shlex
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("VOLT_BUILD", "build")).resolve()
LAB = ROOT / "tests/lab/run"

# No test depends on the kernels and images that this machine has.
os.environ["VOLT_STORE"] = "/nonexistent"
os.environ["VOLT_IMAGES"] = "/nonexistent"

# A test that can do more, given hours, does so in `make check-long`.
LONG = os.environ.get("VOLT_TEST_LONG") == "1"


def long_only(what):
    """A mark for a test that always takes long; @what does."""
    return pytest.mark.skipif(not LONG, reason=f"{what}: make check-long")


# A locked VM is not dumpable: its /proc is closed to its own user, too.
looks_into = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root looks into a process that is locked")


# The most that one guest may take in the lab; most take one second.
CASE_SECONDS = 60

# The most that a test with the lab may take, with all cases of its module:
# longer than what in_lab() and lab_run() give them. Others: tools/ci/check.
LAB_SECONDS = 1800


@dataclass
class Result:
    """How a VM ended: exit code, console, and what the VMM itself said."""

    code: int
    out: str
    log: str

    def lines(self):
        return self.out.replace("\r", "").splitlines()

    def failures(self):
        return [x for x in self.lines() if x.startswith("FAIL")]

    def passes(self):
        return [x[3:] for x in self.lines() if x.startswith("ok ")]

    def done(self):
        """The (ok, failed) of the last line, or None when it is missing."""
        for line in reversed(self.lines()):
            words = line.split()
            if len(words) == 3 and words[0] == "done":
                return int(words[1]), int(words[2])
        return None

    def assert_passed(self):
        """All checks ok, none lost, and a reset at the end."""
        text = f"exit code {self.code}\n{self.out[-2500:]}\n{self.log[-2500:]}"
        assert not self.failures(), "\n".join(self.failures()) + "\n" + text
        assert self.done() is not None, "no last line\n" + text
        assert self.done() == (len(self.passes()), 0), text
        assert self.done()[0] > 0, text
        assert self.code == 0, text


@dataclass
class Case:
    """One guest with its options; name is its test's id.

    devices: keys of the config file, such as "entropy" and "drives".
    """

    guest: str
    cmdline: str = ""
    cpus: int = 1
    memory: int = 128
    irqchip: str = "split"
    extra: tuple = ()
    name: str = ""
    devices: dict = field(default_factory=dict)

    def __post_init__(self):
        words = [self.guest, self.cmdline.replace(" ", "+"),
                 f"{self.cpus}cpus" if self.cpus != 1 else "",
                 f"{self.memory}MiB" if self.memory != 128 else "",
                 "full" if self.irqchip == "full" else ""]
        self.name = self.name or "-".join(w for w in words if w)

    def write_config(self, folder):
        """The config file of a case with devices."""
        path = Path(folder) / (re.sub(r"[^\w.=-]", "_", self.name) + ".json")
        path.write_text(json.dumps({
            "boot-source": {
                "kernel_image_path": str(BUILD / f"tests/guest/{self.guest}.elf"),
                "boot_args": self.cmdline or "none"},
            "machine-config": {"vcpu_count": self.cpus,
                               "mem_size_mib": self.memory},
            "drives": [], **self.devices}))
        return path

    def argv(self, build, folder):
        argv = [f"{build}/volt-vmm", "--no-api", "--irqchip", self.irqchip]
        if self.devices:
            argv += ["--config-file", str(self.write_config(folder))]
            return argv + list(self.extra)
        argv += ["--kernel", f"{build}/tests/guest/{self.guest}.elf",
                 "--memory", str(self.memory), "--cpus", str(self.cpus)]
        if self.cmdline:
            argv += ["--cmdline", self.cmdline]
        return argv + list(self.extra)


class Running:
    """A VMM that runs beside the test, with its console at hand."""

    def __init__(self, argv, log):
        self.log_path = log
        self.seen = b""  # not yet waited for
        self.whole = b""
        with open(log, "wb") as errors:
            # A shell's background job, which these tests may be, ignores two
            # signals, and a child of it would too.
            self.process = subprocess.Popen(
                ["env", "--default-signal=INT,QUIT", *argv],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return Path(self.log_path).read_text(errors="replace")

    def read_some(self, seconds):
        """Whatever the console has within the time; b"" at its end."""
        out = self.process.stdout.fileno()
        if not select.select([out], [], [], seconds)[0]:
            return None
        data = os.read(out, 65536)
        self.seen += data
        self.whole += data
        return data

    def wait_for(self, text, seconds=PATIENCE):
        """Read until @text has come since the last call; what came."""
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            data = self.read_some(max(0, end - time.monotonic()))
            assert data, (f"no {text!r} on the console, but "
                          f"{self.seen[-500:]!r}\n{self.log()[-2000:]}")
        before, _, self.seen = self.seen.partition(text.encode())
        return before.decode(errors="replace")

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def finish(self, seconds=PATIENCE):
        """Its end, with all of the console."""
        end = time.monotonic() + seconds
        while self.read_some(max(0, end - time.monotonic())):
            pass
        code = self.process.wait(timeout=max(1, end - time.monotonic()))
        return Result(code, self.whole.decode(errors="replace"), self.log())


class UnixHttp(http.client.HTTPConnection):
    """HTTP over the API's Unix socket, one request a connection."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """The API of one VMM."""

    def __init__(self, path):
        self.path = path

    def call(self, method, url, body=None):
        """(status, decoded body or None)"""
        conn = UnixHttp(self.path)
        try:
            conn.request(method, url,
                         None if body is None else json.dumps(body),
                         {"Content-Type": "application/json"})
            answer = conn.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if data else None
        finally:
            conn.close()

    def set(self, method, url, body):
        """A call that has to succeed without content."""
        status, answer = self.call(method, url, body)
        assert status == 204, f"{method} {url} {body}: {status} {answer}"

    def wait(self, seconds=PATIENCE):
        """Until the socket answers."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.call("GET", "/")
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < end, "the API never answered"
                time.sleep(0.01)


class Vmm:
    """Starts volt-vmm on this host; ends what a test leaves behind."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def guest(self, name):
        return BUILD / f"tests/guest/{name}.elf"

    def spawn(self, argv):
        log = self.folder / f"log{len(self.started)}"
        self.started.append(Running([str(a) for a in argv], log))
        return self.started[-1]

    def start(self, *args, **fields):
        """A Case's fields; the VMM goes on beside the test."""
        return self.spawn(Case(*args, **fields).argv(BUILD, self.folder))

    def start_api(self, case):
        """A VM that is configured and started over the API."""
        sock = self.folder / f"api{len(self.started)}.sock"
        run = self.spawn([BUILD / "volt-vmm", "--api-sock", sock])
        api = Api(sock)
        api.wait()
        api.set("PUT", "/machine-config",
                {"vcpu_count": case.cpus, "mem_size_mib": case.memory})
        api.set("PUT", "/boot-source",
                {"kernel_image_path": str(self.guest(case.guest)),
                 "boot_args": case.cmdline or "none"})
        for key, body in case.devices.items():
            api.set("PUT", f"/{key}", body)
        api.set("PUT", "/actions", {"action_type": "InstanceStart"})
        return run, api

    def run(self, case, seconds=120):
        vmm = self.spawn(case.argv(BUILD, self.folder))
        vmm.process.stdin.close()
        return vmm.finish(seconds)

    def forget_ended(self):
        """Close the pipes of those that have: a test may start hundreds."""
        for vmm in self.started:
            if vmm.process.poll() is not None:
                vmm.process.stdout.close()
                try:
                    vmm.process.stdin.close()
                except BrokenPipeError:
                    pass

    def close(self):
        for vmm in self.started:
            if vmm.process.poll() is None:
                vmm.process.kill()
                vmm.process.wait()
        self.forget_ended()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("lab") and not LONG:
            item.add_marker(pytest.mark.timeout(LAB_SECONDS))


@pytest.fixture(scope="session")
def build():
    """The build directory; there is nothing to test without binaries."""
    if not (BUILD / "volt-vmm").exists():
        pytest.fail(f"{BUILD}/volt-vmm is not there: build first")
    return BUILD


@pytest.fixture
def vmm(build, tmp_path):
    """Runs guests on this host's KVM."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host; the lab runs the same")
    runner = Vmm(tmp_path)
    yield runner
    runner.close()


def said(*argv):
    """What a command that has to succeed prints."""
    return subprocess.run([str(a) for a in argv], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def stock_store():
    """The store of tests/kernel/stock, for whoever looks for its kernel."""
    cache = os.environ.get("VOLT_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
        "volt")
    return os.path.join(cache, "store")


def guest_kernel(kind):
    """A test guest's: VOLT_TEST_KERNEL, or the stock kernel as @kind."""
    return os.environ.get("VOLT_TEST_KERNEL") or said(
        ROOT / "tests/kernel/stock", "--print", kind)


NO_SLIM = "no slim kernel in the cache: tests/kernel/slim makes one"


@functools.cache
def slim_kernel():
    """The vmlinux in the cache's store, or None: building it takes minutes."""
    run = subprocess.run([ROOT / "tests/kernel/slim", "--there"], text=True,
                         capture_output=True, timeout=120, check=False)
    return run.stdout.strip() if run.returncode == 0 else None


def runs_linux():
    """This host's KVM runs Linux kernels; else the lab does."""
    run = subprocess.run([BUILD / "volt", "doctor", "--json"], text=True,
                         capture_output=True, timeout=60, check=False)
    try:
        return json.loads(run.stdout)["guests"] == "linux"
    except (ValueError, KeyError):
        return False


def lab_script(cases, folder):
    """A shell script for the lab: each case between two marker lines."""
    lines = []
    for number, case in enumerate(cases):
        argv = shlex.join(case.argv("$B", folder)).replace("'$B/", "$B/'")
        lines += [f"echo; echo '=== begin {number}'",
                  f"timeout -k 5 {getattr(case, 'seconds', CASE_SECONDS)} "
                  f"{argv} </dev/null 2>/tmp/log",
                  "code=$?",
                  f"echo; echo '=== log {number}'; cat /tmp/log",
                  f"echo; echo '=== end {number}' $code"]
    return "\n".join(lines) + "\n"


def parse_lab(output, cases):
    """The results by case name; a case that never ended is missing."""
    results, part, out, log = {}, None, [], []
    for line in output.replace("\r", "").splitlines():
        if line.startswith("=== begin "):
            part, out, log = "out", [], []
        elif line.startswith("=== log "):
            part = "log"
        elif line.startswith("=== end ") and part:
            number, code = line.split()[2:4]
            results[cases[int(number)].name] = Result(
                int(code), "\n".join(out), "\n".join(log))
            part = None
        elif part:
            (out if part == "out" else log).append(line)
    return results


def need_tun():
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/net/tun on this host")


def need_lab():
    """Skips where there is none."""
    if os.environ.get("VOLT_TEST_LAB") == "0":
        pytest.skip("the lab is switched off by VOLT_TEST_LAB=0")
    if not LAB.exists():
        pytest.skip("no lab in this tree")


def mkfs_ext4(tree, image, size, *options):
    """A file system with the files of a folder, made without root."""
    program = shutil.which("mkfs.ext4",
                           path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not program:
        pytest.skip("mkfs.ext4 is missing: package e2fsprogs")
    subprocess.run([program, "-q", *options, "-d", tree, image, size],
                   check=True)
    return image


def guest_image(folder, program, name, text, *files, options=()):
    """The test guests' initramfs, and behind it PROGRAM.c and a script.

    The script is what volt.run=NAME runs; files: "path=what is there"; options:
    more of tests/initramfs/build.
    """
    binary, script, more = (folder / x for x in ("g", "s", "more.cpio"))
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-static", "-O2", "-o", binary,
                    ROOT / f"tests/e2e/{program}.c"], check=True)
    script.write_text(text)
    subprocess.run([ROOT / "tests/initramfs/pack", "-o", more,
                    f"bin/{program}={binary}", f"lib/volt/{name}={script}",
                    *files], check=True)
    base = Path(said(ROOT / "tests/initramfs/build", "--modules", *options))
    image = folder / "guest.cpio"
    image.write_bytes(base.read_bytes() + more.read_bytes())
    return image


def debian_tar(folder, *packages):
    """A Debian with these beside what is essential, as mmdebstrap writes it."""
    out = folder / "debian.tar"
    run = subprocess.run(
        ["sh", "-c", ". tests/common.sh; for mirror in $(debian_mirrors); do "
         'mmdebstrap "$@" "$mirror" && exit 0; done; exit 1', "sh", "--quiet",
         "--variant=essential", f"--include={','.join(packages)}",
         "--format=tar", "bookworm", out], cwd=ROOT, timeout=900,
        capture_output=True, text=True, check=False)
    if run.returncode and os.geteuid():
        pytest.skip("an ordinary user cannot make a Debian here: "
                    f"{run.stderr.strip()[-300:]}")
    assert run.returncode == 0, run.stderr
    return out


def in_lab(argv, folder, seconds, user=0):
    """What a command printed in the lab, and what it said on stderr.

    A command that hangs leaves what it printed until then.
    """
    need_lab()
    out, log = folder / "lab.out", folder / "lab.log"
    with open(out, "wb") as output, open(log, "wb") as errors:
        try:
            subprocess.run([LAB, "--user", str(user), *argv], check=False,
                           timeout=seconds, stdin=subprocess.DEVNULL,
                           stdout=output, stderr=errors)
        except subprocess.TimeoutExpired:
            load = Path("/proc/loadavg").read_text(encoding="ascii")
            errors.write(f"ended after {seconds} s, load {load}".encode())
    return out.read_text(errors="replace"), log.read_text(errors="replace")


def lab_run(cases, folder, seconds):
    """All cases in one lab: Results by case name.

    A case that hangs costs its own time limit; one that hangs the lab costs
    the results from there on.
    """
    script = folder / "cases.sh"
    script.write_text("B=$1\n" + lab_script(cases, folder))
    return parse_lab(in_lab(["sh", script, BUILD], folder, seconds)[0], cases)
