# SPDX-License-Identifier: Apache-2.0
"""volt-jailer in folders where somebody was before.

The rows of the launcher's table: H7 what it inherits, H8 numbers, H9 links
that are planted at every path it makes, H10 paths that lead elsewhere, H12
signals.
"""

import os
import signal
import subprocess
import time

import pytest

from jail import GID, UID, jails  # noqa: F401
from test_jailer import TICKER, snapshot_of, start_ticker

# pylint: disable=redefined-outer-name

# Where a name can be planted: below BASE; and what the jailer makes there.
FOLDERS = ["volt-vmm", "volt-vmm/vm", "volt-vmm/vm/root",
           "volt-vmm/vm/root/dev", "volt-vmm/vm/root/dev/net",
           "volt-vmm/vm/root/run"]
FILES = ["volt-vmm/vm/root/volt-vmm", "volt-vmm/vm/root/volt-vmm.pid"]
DEVICES = ["volt-vmm/vm/root/dev/kvm", "volt-vmm/vm/root/dev/net/tun",
           "volt-vmm/vm/root/dev/urandom"]


class Victim:
    """A file and a folder that the jailer has no business with."""

    def __init__(self, jails):
        self.folder = jails.folder / "victim"
        self.file = self.folder / "file"
        self.folder.mkdir()
        (self.folder / "sub").mkdir()
        self.file.write_text("precious")
        self.file.chmod(0o640)
        self.jails = jails
        self.before = self.now()

    def now(self):
        st = os.lstat(self.folder)
        return [(st.st_mode, st.st_uid, st.st_gid)] + \
            [x[:5] for x in snapshot_of(self.folder)]

    def assert_unchanged(self):
        assert self.now() == self.before


def plant(kind, path, victim):
    """@kind at @path; the folders above are as the jailer makes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link to a file":
        path.symlink_to(victim.file)
    elif kind == "link to a folder":
        path.symlink_to(victim.folder)
    elif kind == "link to nothing":
        path.symlink_to(victim.folder / "new")
    elif kind == "relative link":
        path.symlink_to(os.path.relpath(victim.folder, path.parent))
    elif kind == "magic link":
        path.symlink_to(f"/proc/{os.getpid()}/cwd")
    elif kind == "hard link":
        os.link(victim.file, path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, 0o020600, os.makedev(1, 3))
    elif kind == "folder":
        path.mkdir()
        (path / "x").write_text("")
    elif kind == "folder of others":
        path.mkdir()
        os.chown(path, 1, 1)
    elif kind == "folder for all":
        path.mkdir()
        path.chmod(0o777)
    elif kind == "file of others":
        path.write_text("theirs")
        os.chown(path, 1, 1)


LINKS = ["link to a file", "link to a folder", "link to nothing",
         "relative link", "magic link", "hard link", "fifo", "device"]
PLANTS = [(path, kind)
          for paths, kinds in (
              (FOLDERS, LINKS + ["folder of others", "folder for all"]),
              (FILES, LINKS + ["folder", "file of others"]),
              (DEVICES, LINKS + ["folder"]))
          for path in paths for kind in kinds]


def test_h9_planted_names_are_refused(jails):
    """At every path it makes: code 1, the plant and its target unchanged."""
    jails.folder.chmod(0o755)
    for number, (path, kind) in enumerate(PLANTS):
        jails.base = jails.folder / f"b{number}"
        jails.base.mkdir()
        victim = Victim(jails)
        plant(kind, jails.base / path, victim)
        victim.before = victim.now()  # one more link
        before = snapshot_of(jails.base)
        done = jails().try_it(rest=["--version"])
        assert done.returncode == 1, (path, kind, done)
        assert done.stderr.startswith("Jailer error: Failed to "), (path, kind)
        assert done.stdout == ""
        victim.assert_unchanged()
        after = snapshot_of(jails.base)
        # BASE/PROGRAM is everybody's: it may have been made.
        assert [x for x in after if x[0] != str(jails.base / "volt-vmm")] == \
            [x for x in before if x[0] != str(jails.base / "volt-vmm")], \
            (path, kind)
        subprocess.run(["rm", "-rf", victim.folder, jails.base], check=True)


def test_h9_the_jails_user_plants_them(jails):
    """In a root folder that is his, as after an earlier run."""
    for number, (path, kind) in enumerate(PLANTS):
        if "/root/" not in path or kind in ("folder of others", "device"):
            continue
        jails.base = jails.folder / f"b{number}"
        jails.base.mkdir()
        victim = Victim(jails)
        plant(kind, jails.base / path, victim)
        subprocess.run(["chown", "-hR", f"{UID}:{GID}",
                        jails.base / "volt-vmm/vm"], check=True)
        if kind == "hard link":
            os.chown(victim.file, 0, 0)
        victim.before = victim.now()
        done = jails().try_it(rest=["--version"])
        assert done.returncode == 1, (path, kind, done)
        victim.assert_unchanged()
        assert os.lstat(jails.base / path).st_uid == (
            0 if kind == "hard link" else UID)
        subprocess.run(["rm", "-rf", victim.folder, jails.base], check=True)


def exchange(root, victim):
    """As the jail's user: folders and files become links, until killed."""
    os.setgroups([])
    os.setgid(GID)
    os.setuid(UID)
    os.chdir(root)
    while True:
        for name, target in (("run", victim.folder), ("dev", victim.folder),
                             ("volt-vmm", victim.file),
                             ("volt-vmm.pid", victim.file)):
            for step in (lambda n=name: os.rmdir(n),
                         lambda n=name, t=target: os.symlink(t, n),
                         lambda n=name: os.unlink(n),
                         lambda n=name: os.mkdir(n)):
                try:
                    step()
                except OSError:
                    pass


def test_h9_names_change_while_it_works(jails):
    """The jail's user exchanges names for links, over and over."""
    victim = Victim(jails)
    jails.folder.chmod(0o755)
    jails.base.chmod(0o755)
    jail = jails()
    codes = set()
    for _ in range(30):
        (jail.root / "run").mkdir(parents=True)
        subprocess.run(["chown", "-R", f"{UID}:{GID}", jail.root], check=True)
        racer = os.fork()
        if racer == 0:
            exchange(jail.root, victim)
        time.sleep(0.01)
        codes.add(jail.try_it(rest=["--version"]).returncode)
        os.kill(racer, signal.SIGKILL)
        os.waitpid(racer, 0)
        victim.assert_unchanged()
        subprocess.run(["rm", "-rf", jail.root], check=True)
    assert codes <= {0, 1}


def test_h9_what_a_launcher_prepares_is_taken(jails):
    """Folders of root's or of the user's, an old copy of the program."""
    for number, owner in enumerate((0, UID)):
        jail = jails(f"p{number}")
        (jail.root / "run").mkdir(parents=True)
        (jail.root / "dev/net").mkdir(parents=True)
        (jail.root / "volt-vmm").write_text("old")
        subprocess.run(["chown", "-R", f"{owner}:{owner and GID}",
                        jail.folder], check=True)
        os.chown(jail.root / "volt-vmm", 0, 0)
        done = jail.try_it(rest=["--version"])
        assert done.returncode == 0, done.stderr
        assert os.stat(jail.root / "run").st_uid == UID


def test_h10_paths_that_lead_elsewhere(jails):
    """`..`, absolute, prefix twins, links, through every field with a path."""
    jail = jails()
    twin = jails.folder / "b2"  # the base is "b"
    twin.mkdir()
    for field in ("id", "parent-cgroup", "cgroup"):
        for value in ("..", "../b2", "a/../../b2", str(twin), "./a", "/"):
            text = value + "/x.y=1" if field == "cgroup" else value
            done = jail.try_it(rest=["--version"], **{field: text})
            assert done.returncode == 1, (field, value)
            assert "Jailer error: " in done.stderr
    assert not list(twin.iterdir()) and not list(jails.base.iterdir())
    # A base behind a link is the operator's: its target is used, and named.
    link = jails.folder / "link"
    link.symlink_to(jails.base)
    jail.try_it(rest=["--version"], **{"chroot-base-dir": link})
    assert (jails.base / "volt-vmm/vm/root/dev/kvm").exists()
    # The program of a magic link has the name of the file behind it.
    with open(jails.firecracker, "rb") as program:
        os.set_inheritable(program.fileno(), True)
        done = jails("magic").try_it(
            rest=["--version"],
            **{"exec-file": f"/proc/{os.getpid()}/fd/{program.fileno()}"})
    assert done.returncode == 0, done.stderr
    assert (jails.base / "firecracker/magic/root/firecracker").exists()


def test_h10_the_program_cannot_leave(jails):
    """From inside, no path and no descriptor leads to the host's files."""
    probe = jails.folder / "probe"
    source = jails.folder / "probe.c"
    source.write_text(r"""
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/stat.h>
        #include <unistd.h>
        int main(void)
        {
            struct stat root, up;
            int bad = 0;
            for (int fd = 3; fd < 1024; fd++)
                bad |= fcntl(fd, F_GETFD) >= 0;
            stat("/", &root);
            bad |= stat("/../../../..", &up) || up.st_ino != root.st_ino;
            bad |= stat(".", &up) || up.st_ino != root.st_ino;
            bad |= open("/etc/passwd", O_RDONLY) >= 0;
            bad |= open("/proc/self", O_PATH) >= 0;
            bad |= open("/volt", O_RDWR | O_CREAT, 0600) < 0; /* its own */
            bad |= chroot(".") == 0 || setuid(0) == 0;
            printf("bad %d\n", bad);
            return bad;
        }
    """)
    subprocess.run(["gcc", "-static", "-o", probe, source], check=True)
    for options in ([], ["--new-pid-ns"]):
        jail = jails(f"x{len(options)}", program=probe)
        done = jail.try_it(*options)
        assert (done.returncode, done.stdout) == (0, "bad 0\n"), done.stderr


def test_h7_descriptors_of_the_launcher(jails):
    """0, 1 and many: none reaches the program, the launcher's stay."""
    probe = jails.folder / "probe"
    source = jails.folder / "probe.c"
    source.write_text(
        "#include <fcntl.h>\n#include <stdio.h>\nint main(void)\n"
        "{ int n = 0; for (int i = 0; i < 4096; i++) n += fcntl(i, F_GETFD) "
        '>= 0; printf("%d\\n", n); }\n')
    subprocess.run(["gcc", "-static", "-o", probe, source], check=True)
    for number in (0, 1, 200):
        fds = [os.open("/", os.O_RDONLY) for _ in range(number)]
        jail = jails(f"n{number}", program=probe)
        done = subprocess.run(jail.argv("--resource-limit", "no-file=4096"),
                              pass_fds=fds, text=True, capture_output=True,
                              timeout=60, check=True)
        assert done.stdout == "3\n"
        for fd in fds:
            os.close(fd)


def test_h8_numbers(jails):
    """-1, 0, the largest, one more, more than 64 bits."""
    def code(name, *options, **changes):
        done = jails(name).try_it(*options, rest=["--version"], **changes)
        return done.returncode, done.stderr

    jail_number = iter(range(1000))
    for text, good in (("-1", False), ("0", True), ("4294967294", True),
                       ("4294967295", False), ("4294967296", False),
                       ("18446744073709551616", False), ("1e3", False)):
        for field in ("uid", "gid"):
            got = code(f"u{next(jail_number)}", **{field: text})
            assert (got[0] == 0) == good, (field, text, got)
            assert good or f"Invalid {field}: {text}" in got[1]
    for text, good in (("-1", False), ("0", True), ("1", True),
                       ("9223372036854775807", True),
                       ("18446744073709551615", True),
                       ("18446744073709551616", False), ("1e3", False)):
        got = code(f"l{next(jail_number)}", "--resource-limit",
                   f"fsize={text}")
        assert (got[0] == 0) == good, (text, got)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_h12_signals_at_any_time(jails, number):
    """Whenever the jailer is ended, the host is as it was, and the jail can
    be removed and made again."""
    mounts = len(open("/proc/self/mounts").readlines())
    jail = jails()
    for step in range(12):
        kernel = jail.put(TICKER)
        process = subprocess.Popen(
            jail.argv(rest=["--api-sock", "/run/a.sock", "--kernel", kernel]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        time.sleep(step * 0.0004)
        process.send_signal(number)
        assert process.wait(60) == -number
        subprocess.run(["rm", "-rf", jail.folder], check=True)
        assert len(open("/proc/self/mounts").readlines()) == mounts
    start_ticker(jail)


def test_hostile_text_in_messages(jails):
    """No word of a command line moves a cursor or forges a line."""
    done = jails().try_it(rest=["--version"], **{"id": "a\x1b[2J\nJailer"})
    assert done.returncode == 1
    assert "\x1b" not in done.stderr and done.stderr.count("\n") == 1


def processes_of(program):
    """Process numbers of a program with that name."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as words:
                found += [pid] if program.encode() in words.read() else []
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def test_a_daemon_that_fails_leaves_nothing(jails):
    """No process and no folder."""
    program = jails.folder / "text"
    program.write_text("no program\n")
    program.chmod(0o755)
    jail = jails(program=program)
    assert jail.try_it("--daemonize", "--new-pid-ns").returncode == 1
    assert not jail.folder.exists()
    end = time.monotonic() + 60
    while processes_of(str(program)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not processes_of(str(program))
