# SPDX-License-Identifier: Apache-2.0
"""Drives VMs that run an image, in the lab; see test_linux_image.py.

usage: image_linux.py VOLT KERNEL NAME FILE IMAGE MIB [long]

Prints "ok NAME" or "FAIL NAME: why" for each case. One VM runs all the while,
of image NAME of a store, whose root file system FILE is; its own command, which
the image says, reads its input and exits with 42 at its end. Others run of
IMAGE, a path.
"""

import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import traceback
from pathlib import Path

SECONDS = 240
ONLY = os.environ.get("IMAGE_CASES", "").split()  # for a person in a hurry
STEP = 100  # the most that one command in the guest may take
ENDS = [(0, ["true"]), (1, ["false"]), (42, ["sh", "-c", "exit 42"]),
        (126, ["/bin/noexec"]), (126, ["/bin"]), (127, ["no-such-program"]),
        (127, ["/no/such/program"]), (137, ["sh", "-c", "kill -9 $$"]),
        (143, ["sh", "-c", "kill $$"])]


class Beside:
    """A program beside this one; it is killed if it is still there."""

    def __init__(self, *argv, **more):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(STEP)
        self.process.stdout.close()

    def hear(self, data, seconds=STEP):
        got = b""
        while got != data:
            assert select.select([self.process.stdout], [], [], seconds)[0]
            more = os.read(self.process.stdout.fileno(), len(data) - len(got))
            assert more, got
            got += more


class Box:
    """The VM."""

    def __init__(self, volt, kernel, name, file, image):
        self.volt, self.file, self.image = volt, file, image
        self.name = name
        self.argv = [volt, "run", "--kernel", kernel, "--memory", "256M",
                     "--timeout", "1800"]
        self.process = subprocess.Popen(
            [*self.argv, "--name", "box", "-i", "-e", "B=given", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def wait_up(self):
        ready = select.select([self.process.stdout], [], [], SECONDS)[0]
        assert ready, "it says nothing"
        line = self.process.stdout.readline()
        assert line == b"up\n", line

    def run(self, *words):
        return subprocess.run([*self.argv, *words], capture_output=True,
                              timeout=SECONDS, check=False)

    def call(self, *words):
        """Any command of volt's."""
        return subprocess.run([self.volt, *words], capture_output=True,
                              timeout=SECONDS, check=False, text=True)

    def exec(self, *words, options=(), seconds=STEP, **more):
        return subprocess.run(
            [self.volt, "exec", *options, "box", *words], check=False,
            timeout=seconds, capture_output=True, **more)


def as_it_says(box):
    """Entrypoint, command, folder, environment; what is given wins."""
    run = box.exec("cat", "/srv/said")
    assert run.stdout == b"/srv\nimagegiven\n", run


def ends(box):
    for code, words in ENDS:
        run = box.exec(*words)
        assert run.returncode == code, (words, run)
        assert (code in (126, 127)) == bool(run.stderr), (words, run)


def streams(box):
    run = box.exec("sh", "-c", "echo one; echo two >&2; cat; pwd; echo $X$HOME",
                   options=["-e", "X=y", "-w", "/tmp"], input=b"not read")
    assert (run.stdout, run.stderr) == (b"one\n/tmp\ny/root\n", b"two\n"), run


def users(box):
    run = box.exec("id", options=["--user", "web"])
    assert run.stdout == b"uid=33(web) gid=34(web) groups=34(web),40(log)\n", \
        run
    run = box.exec("sh", "-c", "cat </dev/stdin >/dev/stdout; echo >/dev/stderr",
                   options=["-i", "-u", "web"], input=b"again")
    assert (run.stdout, run.stderr) == (b"again", b"\n"), run
    run = box.exec("sh", "-c", "ls -ln /dev/null; cat </dev/null",
                   options=["-u", "web"])
    assert b"1 0        0 " in run.stdout, run
    run = box.exec("true", options=["-u", "nobody"])
    assert run.returncode == 125 and b"there is no user nobody" in run.stderr


def transfer(box, mib):
    data = os.urandom(1 << 20) * mib
    run = box.exec("cat", options=["-i"], input=data,
                   seconds=STEP + 10 * mib)
    assert run.returncode == 0, run.stderr
    assert (hashlib.sha256(run.stdout).digest() ==
            hashlib.sha256(data).digest()), len(run.stdout)


def reader_goes(box):
    """As `volt exec box cat /dev/zero | head -c 100000`."""
    with Beside(box.volt, "exec", "box", "cat", "/dev/zero") as run:
        run.hear(bytes(100_000))
        run.process.stdout.close()
        assert run.process.wait(STEP) == 128 + signal.SIGPIPE


class Terminal:
    """A command with a terminal on this side, too."""

    def __init__(self, *argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.resize(0, 33, 77)
            os.execv(argv[0], argv)
        self.seen = self.heard = b""

    @staticmethod
    def resize(fd, rows, columns):
        fcntl.ioctl(fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def say(self, data):
        os.write(self.fd, data)

    def hear(self, pattern):
        end = time.monotonic() + STEP
        while not (found := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            assert left > 0, self.seen
            if select.select([self.fd], [], [], left)[0]:
                try:
                    self.seen += os.read(self.fd, 4096)
                except OSError:  # EIO: nobody has it open any more
                    raise AssertionError(self.seen) from None
        self.heard = self.seen[:found.end()]
        self.seen = self.seen[found.end():]

    def end(self):
        end = time.monotonic() + STEP
        while time.monotonic() < end:
            try:
                if (select.select([self.fd], [], [], 0.2)[0] and
                        not os.read(self.fd, 4096)):
                    break
            except OSError:  # EIO: nobody has it open any more
                break
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        while not pid and time.monotonic() < end:
            time.sleep(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        assert pid, "it goes on"
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def terminal(box):
    t = Terminal(box.volt, "exec", "-it", "box", "sh")
    t.say(b"tty; stty size\n")
    t.hear(rb"/dev/pts/\d+\r\n33 77\r\n")
    t.resize(t.fd, 44, 99)
    t.say(b"until stty size | grep '44 99'; do sleep 1; done\n")
    t.hear(rb"\r\n44 99\r\n")
    t.say(b"sh -c \"echo ge''tready; exec sleep 1000\"\n")
    t.hear(rb"getready\r\n")
    t.say(b"\x03")  # Ctrl-C
    t.say(b"echo code=$?.\n")
    t.hear(rb"code=130\.\r\n")
    t.say(b"sh -c \"echo on''ce; exec sleep 1000\"\n")
    t.hear(rb"once\r\n")
    t.say(b"\x1a")  # Ctrl-Z
    t.hear(rb"Stopped")
    t.say(b"kill -9 %1; wait; echo go''ne\n")
    t.hear(rb"gone\r\n")
    t.say(b"exit 7\n")
    assert t.end() == 7
    t = Terminal(box.volt, "exec", "-it", "box", "sh")
    t.say(b"echo he''re\n")
    t.hear(rb"here\r\n")
    t.say(b"\x04")  # Ctrl-D
    assert t.end() == 0


def signals(box):
    """What this process gets the command gets."""
    with Beside(box.volt, "exec", "box", "sh", "-c", "trap 'exit 9' TERM; "
                "echo on; while :; do sleep 1; done") as run:
        run.hear(b"on\n")
        run.process.terminate()
        assert run.process.wait(STEP) == 9


def killed(box):
    """A command ends with whoever asked for it, however that ends."""
    with Beside(box.volt, "exec", "box", "sh", "-c",
                "echo on; exec sleep 4711") as run:
        run.hear(b"on\n")
        assert b"sleep 4711" in box.exec("ps").stdout
    end = time.monotonic() + STEP
    while b"sleep 4711" in box.exec("ps").stdout:
        assert time.monotonic() < end


def the_end(box):
    before = Path(box.file).stat().st_mtime_ns
    box.process.stdin.write(b"x")
    box.process.stdin.close()
    assert box.process.wait(STEP) == 42
    assert Path(box.file).stat().st_mtime_ns == before
    end = time.monotonic() + STEP
    while list(Path("/run/volt").glob("box*")):  # its keeper may be late
        assert time.monotonic() < end, list(Path("/run/volt").glob("box*"))
        time.sleep(0.2)


def out_of_memory(box):
    run = subprocess.run(
        [*box.argv, box.image, "tail", "/dev/zero"],
        capture_output=True, timeout=SECONDS, check=False)
    assert run.returncode == 137, run
    assert b"ran out of memory" in run.stderr, run


def run_is_killed(box):
    """No VM stays behind."""
    with Beside(*box.argv, "--name", "gone", box.image, "sh", "-c",
                "echo on; sleep 1000") as run:
        run.hear(b"on\n", SECONDS)
    end = time.monotonic() + STEP
    while list(Path("/run/volt").glob("gone*")):
        assert time.monotonic() < end, list(Path("/run/volt").glob("gone*"))
        time.sleep(0.2)


def ended(box):
    """The command ends by what this process gets, and the VM with it."""
    with Beside(*box.argv, box.image, "sh", "-c",
                "echo on; exec sleep 1000") as run:
        run.hear(b"on\n", SECONDS)
        run.process.terminate()
        assert run.process.wait(STEP) == 128 + signal.SIGTERM


def interrupted(box):
    """Before there is an agent: no VM, no file stays behind."""
    with Beside(*box.argv, "--name", "short", box.image, "true") as run:
        while not Path("/run/volt/short.sock.console").exists():
            assert run.process.poll() is None
            time.sleep(0.05)
        run.process.terminate()
        assert run.process.wait(STEP) == -signal.SIGTERM
    end = time.monotonic() + STEP
    while list(Path("/run/volt").glob("short*")):
        assert time.monotonic() < end, list(Path("/run/volt").glob("short*"))
        time.sleep(0.2)


def uuid(said):
    return re.search(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", said)[0]


def warm(box):
    """Restored, as the first VM was saved; name, clock, numbers are their own.

    The kernel's address is that of the first, which no boot would draw again.
    """
    where = ["grep", "-m1", "_stext", "/proc/kallsyms"]
    address = box.exec(*where).stdout
    assert b"_stext" in address
    random = "/proc/sys/kernel/random/uuid"
    seen = {uuid(box.exec("cat", random).stdout)}
    for name in "first", "second":
        t = Terminal(*box.argv, "--name", name, "--entrypoint", "sh",
                     box.name, "-c", f"cat {random}; date +%s; hostname; "
                     + " ".join(where))
        t.hear(b"warm start; --no-warm boots")
        t.hear(b"_stext\r\n")
        end = t.heard
        seen.add(uuid(end))
        clock = int(re.search(rb"\n(\d{10})\r", end)[1])
        assert abs(clock - time.time()) < 60, end
        assert b"\n" + name.encode() + b"\r" in end, end
        assert address.strip() in end, (address, end)
        assert t.end() == 0
    assert len(seen) == 3, seen


def cold(box):
    """What is damaged is removed, and the guest boots; so it does if asked."""
    cache = Path(os.environ["VOLT_CACHE"]) / "warm"
    kept, = cache.iterdir()
    os.truncate(kept / "memory.snap", 1 << 20)
    run = box.run(box.name, "echo again")
    assert run.returncode == 0 and run.stdout == b"again\n", run
    assert b"was of no use: the guest boots" in run.stderr, run
    assert list(cache.iterdir()) == [], list(cache.iterdir())
    run = box.run("--no-warm", box.name, "echo again")
    assert run.returncode == 0 and list(cache.iterdir()) == [], run
    run = box.run(box.name, "echo again")
    assert run.returncode == 0 and run.stderr == b"", run
    assert (next(cache.iterdir()) / "state.json").exists()
    cache.chmod(0o777)  # whoever writes there would run code in our guests
    run = box.run(box.name, "echo again")
    assert run.returncode == 0 and len(list(cache.iterdir())) == 1, run
    cache.chmod(0o700)
    run = subprocess.run([box.volt, "image", "gc"], capture_output=True,
                         timeout=STEP, check=True)
    assert b"1 warm starts removed" in run.stdout, run
    assert list(cache.iterdir()) == [], list(cache.iterdir())


def ten(box):
    """At once, each with a name of its own inside."""
    volt = box.call
    names = [f"one-{n}" for n in range(10)]
    for name in names:
        run = volt(*box.argv[1:], "-d", "--rm", "--name", name, box.image, "sh",
                   "-c", "echo up; sleep 1000")
        assert run.returncode == 0, run
    run = volt("ps")
    assert set(names) <= {line.split()[0] for line in run.stdout.splitlines()
                          if " Running " in line}, run
    for name in names:
        assert volt("exec", name, "hostname").stdout == f"{name}\n"
        assert volt("kill", name).returncode == 0
    end = time.monotonic() + STEP
    while "one-" in (said := volt("ps", "-a").stdout):
        assert time.monotonic() < end, said
        time.sleep(0.2)


def layer(box):
    """What is written there is there in the next VM, and not in the image."""
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "/tmp/layer.img", "8M"],
                   check=True, timeout=STEP)
    for words, code, said in (
            ("echo kept >/note; dd if=/dev/zero of=/full bs=1M; rm /full", 0,
             b""), ("cat /note", 0, b"kept\n")):
        run = subprocess.run(
            [*box.argv, "--layer", "/tmp/layer.img", box.image, "sh", "-c",
             words], capture_output=True, timeout=SECONDS, check=False)
        assert (run.returncode, run.stdout) == (code, said), run
        assert (b"No space" in run.stderr) == (said == b""), run


def no_root(box):
    """An image that is none: a sentence, and the console's last words."""
    bad = Path("/tmp/bad.img")
    bad.write_bytes(bytes(1 << 20))
    run = subprocess.run([*box.argv, str(bad), "true"], capture_output=True,
                         timeout=SECONDS, check=False)
    assert run.returncode == 125, run
    assert b"no file system of this kernel mounts /dev/vda" in run.stderr, run


def background(box):
    """`volt run -d`: what it says, its stop signal, its code; one boot."""
    volt = box.call
    run = volt(*box.argv[1:], "-d", "--name", "back", box.image, "no-such")
    assert run.returncode == 127 and "there is no no-such" in run.stderr, run
    assert "back" not in volt("ps", "-a").stdout
    run = volt(*box.argv[1:], "-d", "--name", "back", box.image, "sh", "-c",
               "trap 'echo bye; exit 7' TERM; trap 'echo usr >&2' USR1; "
               "echo up; while :; do sleep 1; done")
    assert (run.returncode, run.stdout) == (0, "back\n"), run
    assert volt("exec", "back", "echo", "here").stdout == "here\n"
    assert "running" in volt("ps", "-a").stdout
    hook = ("d=/etc/volt/$1.d; /bin/busybox mkdir -p $d; "
            "echo '#!/bin/sh' >$d/1; echo \"$2\" >>$d/1; "
            "/bin/busybox chmod 755 $d/1")
    for kind, does in (("resume", "echo resumed >>/tmp/hooks"),
                       ("quiesce", "exit 3")):
        assert volt("exec", "back", "sh", "-c", hook, "sh", kind, does
                    ).returncode == 0
    run = volt("snapshot", "back", "/tmp/snap")
    assert run.returncode == 1, run
    assert "/etc/volt/quiesce.d/1 ended with code 3" in run.stderr, run
    assert volt("exec", "back", "sh", "-c", hook, "sh", "quiesce",
                "echo quiesced >>/tmp/hooks").returncode == 0
    run = volt("snapshot", "back", "/tmp/snap")
    assert run.returncode == 0, run
    assert volt("exec", "back", "cat", "/tmp/hooks").stdout == \
        "resumed\nquiesced\nresumed\n"
    assert volt("exec", "back", "sh", "-c", "echo thawed >/x; cat /x"
                ).stdout == "thawed\n"
    run = volt("kill", "-s", "USR1", "back")
    assert run.returncode == 0, run
    end = time.monotonic() + STEP
    # Its sleep is of the same group, and may say a word of its own.
    while not (log := volt("logs", "back")).stderr.endswith("usr\n"):
        assert time.monotonic() < end, log
        time.sleep(0.2)
    assert log.stdout == "up\n", log
    known = json.loads(volt("inspect", "back").stdout)
    assert known["image"] == box.image and known["stop_signal"] == 15, known
    run = volt("stop", "--wait", str(STEP), "back")
    assert run.stdout == "back has shut down\n", run
    assert volt("wait", "back").stdout == "7\n"
    # Which of its two pipes is read first when it ends is nobody's promise.
    log = volt("logs", "back")
    assert log.stdout == "up\nbye\n", log
    log = volt("logs", "--tail", "1", "back")
    assert len((log.stdout + log.stderr).splitlines()) == 1, log
    events = [line["event"] for line in
              map(json.loads, volt("events").stdout.splitlines())
              if line["name"] == "back" and line["event"] != "exec"]
    assert events == [
        "start", "snapshot", "kill", "stop", "die"], events
    assert volt("rm", "back").returncode == 0
    # The same guest again: it is told, and its hooks run.
    hooks = "resumed\nquiesced\nresumed\nresumed\n"
    with restored(box):
        until(volt, ["exec", "back", "cat", "/tmp/hooks"], hooks)
        assert volt("stop", "back").returncode == 0
    assert not list(Path("/run/volt").glob("back*"))
    # Paused it hears nothing; who has it run first tells it, and not again.
    with restored(box, "--paused"):
        until(volt, ["resume", "back"], "")
        until(volt, ["exec", "back", "cat", "/tmp/hooks"], hooks)
        for word in ("pause", "resume"):
            assert volt(word, "back").returncode == 0
        assert volt("exec", "back", "cat", "/tmp/hooks").stdout == hooks
        assert volt("stop", "back").returncode == 0
    leased(box, volt)


def restored(box, *words):
    return Beside(box.volt, "restore", *words, "--name", "back", "/tmp/snap",
                  stdin=subprocess.PIPE)


def until(volt, words, said):
    """The command succeeds, and says that."""
    end = time.monotonic() + STEP
    while (run := volt(*words)).returncode or run.stdout != said:
        assert time.monotonic() < end, run
        time.sleep(0.2)


def leased(box, volt):
    """Out of a pool of that guest: told before the lease is there."""
    sock = "/tmp/pool.sock"
    with Beside(Path(box.volt).with_name("volt-pool"), "--socket", sock,
                "--dir", "/tmp/pool") as daemon:
        until(volt, ["pool", "create", "--socket", sock, "--size", "1", "web",
                     "/tmp/snap"], "")
        run = volt("pool", "lease", "--socket", sock, "--wait",
                   str(STEP * 1000), "--vsock", "/tmp/web.vsock", "--agent",
                   "web", "--name", "w1")
        assert (run.returncode, run.stderr) == (0, ""), run
        assert volt("pool", "release", "--socket", sock, "w1").returncode == 0
        assert volt("pool", "rm", "--socket", sock, "web").returncode == 0
        daemon.process.terminate()
        assert daemon.process.wait(STEP) == 0


def attached(box):
    """`volt attach`: a terminal that is left and found again, and pipes."""
    def volt(*words, **more):
        return subprocess.run([box.volt, *words], capture_output=True,
                              timeout=SECONDS, check=False, **more)

    run = Terminal(*box.argv, "-d", "-it", "--rm", "--name", "tty", box.image,
                   "sh")
    assert run.end() == 0
    t = Terminal(box.volt, "attach", "tty")
    t.say(b"stty size; X=ke''pt\n")
    t.hear(rb"\n33 77\r\n")
    t.say(b"\x10\x11")  # Ctrl-P Ctrl-Q
    assert t.end() == 0
    t = Terminal(box.volt, "attach", "tty")
    t.say(b"echo $X.\n")
    t.hear(rb"\nkept\.\r\n")
    assert b"no-stdin" in volt("attach", "tty", input=b"").stderr
    t.say(b"exit 9\n")
    assert t.end() == 9
    assert volt(*box.argv[1:], "-d", "-i", "--name", "pipe", box.image, "sh",
                "-c", "trap '' TERM; read x; echo got $x >&2; cat; exit 4"
                ).returncode == 0
    data = os.urandom(1 << 20)
    with subprocess.Popen([box.volt, "attach", "pipe"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        p.stdin.write(b"one\n")
        p.stdin.flush()
        assert p.stderr.readline() == b"got one\n"
        p.kill()
    with subprocess.Popen([box.volt, "attach", "pipe"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        p.stdin.write(data)
        p.stdin.close()  # which is not the command's end
        got = p.stdout.read(len(data))
        assert got == data, len(got)
        run = volt("stop", "--wait", "1", "pipe")
        assert b"did not shut down in 1 s; ended" in run.stdout, run
        assert p.wait(STEP) == 137
    assert volt("wait", "pipe").stdout == b"137\n"
    assert volt("rm", "pipe").returncode == 0
    run = volt("attach", "box")
    assert run.returncode == 125 and b"not in the background" in run.stderr


def copies(box):
    """`volt cp` both ways; what is hostile is test_copy.c's."""
    def volt(*words):
        return subprocess.run([box.volt, "cp", *words], capture_output=True,
                              timeout=SECONDS, check=False)

    place = Path("/tmp/cp")
    (place / "tree/deep").mkdir(parents=True)
    data = os.urandom(3 << 20)
    (place / "tree/deep/data").write_bytes(data)
    (place / "tree/deep/data").chmod(0o640)
    (place / "tree/link").symlink_to("/etc/passwd")
    os.chown(place / "tree/deep/data", 33, 34)
    assert volt(place / "tree", "box:/tmp").returncode == 0
    run = box.exec("ls", "-lnR", "/tmp/tree")
    assert b" 33       34       " in run.stdout, run
    run = box.exec("cat", "/tmp/tree/deep/data")
    assert run.stdout == data
    assert volt("box:/tmp/tree", place / "back").returncode == 0
    back = place / "back/deep/data"
    assert back.read_bytes() == data
    assert back.stat().st_mode & 0o7777 == 0o640 and back.stat().st_uid == 33
    assert os.readlink(place / "back/link") == "/etc/passwd"
    assert volt("-L", "box:/tmp/tree/link", place / "who").returncode == 0
    assert (place / "who").read_bytes().startswith(b"root:x:0")
    for words, code, sentence in (
            (["box:/none", "."], 1, b"in the guest: cannot read /none"),
            ([place / "none", "box:/tmp"], 1, b"cannot read"),
            ([place / "who", "box:/none/x"], 1, b"in the guest: cannot open"),
            (["box:/dev/zero", "."], 1, b"neither file, folder nor link"),
            (["--limit", "2M", "box:/tmp/tree", place / "less"], 1,
             b"more than 2 MiB; --limit"),
            (["a", "b"], 64, b"has to be VM:PATH")):
        run = volt(*words)
        assert run.returncode == code and sentence in run.stderr, run
        assert run.stderr.count(b"\n") == 1, run
    assert not (place / "less/deep/data").exists()


def case(name, function, *args):
    if ONLY and name not in ONLY:
        return
    try:
        function(*args)
        print("ok", name, flush=True)
    except Exception as why:
        traceback.print_exc()
        print(f"FAIL {name}: {why!r}", flush=True)


def main():
    volt, kernel, name, file, image, mib = sys.argv[1:7]
    box = Box(volt, kernel, name, file, image)
    os.environ["VOLT_STATE"] = "/tmp/state"  # the lab is this machine to read
    case("up", box.wait_up)
    case("as-it-says", as_it_says, box)
    case("ends", ends, box)
    case("streams", streams, box)
    case("users", users, box)
    case("transfer", transfer, box, int(mib))
    case("reader", reader_goes, box)
    case("terminal", terminal, box)
    case("signals", signals, box)
    case("killed", killed, box)
    case("copies", copies, box)
    case("warm", warm, box)
    case("attached", attached, box)
    case("end", the_end, box)
    case("interrupted", interrupted, box)
    case("background", background, box)
    if sys.argv[7:]:
        case("cold", cold, box)
        case("memory", out_of_memory, box)
        case("run-killed", run_is_killed, box)
        case("ended", ended, box)
        case("no-root", no_root, box)
        case("layer", layer, box)
        case("ten", ten, box)
    if box.process.poll() is None:
        box.process.kill()


main()
