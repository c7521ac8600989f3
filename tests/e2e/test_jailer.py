# SPDX-License-Identifier: Apache-2.0
"""volt-jailer: the jail that it makes, and what runs in it."""

import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BUILD
from jail import GID, JAILER, UID, ended, jails  # noqa: F401
from netns import Namespace

TICKER = BUILD / "tests/guest/ticker.elf"
# pylint: disable=redefined-outer-name


def start_ticker(jail, *options, sock="/run/firecracker.socket", **changes):
    """A guest that runs in the jail, with an API."""
    kernel = jail.put(TICKER)
    jail.start(*options, rest=["--api-sock", sock, "--kernel", kernel],
               **changes)
    jail.pid()
    return jail.api(sock.lstrip("/"))


def assert_mode(path, kind, mode, uid, gid):
    st = os.lstat(path)
    assert (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_uid,
            st.st_gid) == (kind, mode, uid, gid), path


def test_layout(jails):
    """Folders, devices, program, pid file: names, owners, modes, numbers."""
    jail = jails(program=jails.firecracker)
    start_ticker(jail)
    root = jail.root
    for name in ("", "dev", "dev/net", "run"):
        assert_mode(root / name, stat.S_IFDIR, 0o700, UID, GID)
    devices = {"dev/kvm": (10, 232), "dev/net/tun": (10, 200),
               "dev/urandom": (1, 9)}
    for line in Path("/proc/misc").read_text().splitlines():
        if line.split()[1] == "userfaultfd":
            devices["dev/userfaultfd"] = (10, int(line.split()[0]))
    for name, number in devices.items():
        assert_mode(root / name, stat.S_IFCHR, 0o600, UID, GID)
        device = os.stat(root / name).st_rdev
        assert (os.major(device), os.minor(device)) == number
    assert_mode(root / "firecracker", stat.S_IFREG, 0o755, 0, 0)
    assert (root / "firecracker").read_bytes() == \
        jails.firecracker.read_bytes()
    assert jail.pid_file.read_text() == str(jail.run.pid)
    names = {str(p.relative_to(root)) for p in root.rglob("*")}
    assert names == {"dev", "dev/net", "run", "firecracker", "ticker.elf",
                     "firecracker.pid", "run/firecracker.socket", *devices}
    for name in (jail.folder, jail.folder.parent):
        assert_mode(name, stat.S_IFDIR, 0o755, 0, 0)


def test_process(jails):
    """The process is the program: root, mounts, user, words, environment."""
    jail = jails()
    read, write = os.pipe()
    os.set_inheritable(write, True)
    os.environ["VOLT_TEST_LEAK"] = "yes"
    try:
        kernel = jail.put(TICKER)
        argv = jail.argv(rest=["--api-sock", "/run/a.sock", "--kernel", kernel])
        process = subprocess.Popen(argv, pass_fds=[write, read],
                                   stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        jail.pid()
        api = jail.api("run/a.sock")
        os.close(write)
        assert os.read(read, 1) == b""  # nobody else has its other end
    finally:
        del os.environ["VOLT_TEST_LEAK"]
        os.close(read)
    assert jail.pid() == process.pid
    assert api.call("GET", "/")[1]["id"] == "vm"
    # By what it is: its name is not "/" where these tests are in a chroot.
    assert os.path.samefile(f"/proc/{process.pid}/root", jail.root)
    mounts = [x.split() for x in jail.proc("mountinfo").splitlines()]
    assert [m[4] for m in mounts] == ["/"] and \
        mounts[0][3].endswith("/volt-vmm/vm/root")
    assert jail.status("Uid") == [str(UID)] * 4
    assert jail.status("Gid") == [str(GID)] * 4
    assert jail.status("Groups") == []
    for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert jail.status(key) == ["0" * 16]
    assert jail.proc("environ") == ""
    words = jail.proc("cmdline").split("\0")[:-1]
    assert words[0] == "/volt-vmm" and words[1:3] == ["--id", "vm"]
    assert words[3:9:2] == ["--start-time-us", "--start-time-cpu-us",
                            "--parent-cpu-time-us"]
    assert all(x.isdigit() for x in words[4:10:2])
    assert words[9:] == ["--api-sock", "/run/a.sock", "--kernel", kernel]
    for fd in Path(f"/proc/{process.pid}/fd").iterdir():
        # No directory: none leads out, /proc's least of all.
        assert not stat.S_ISDIR(os.stat(fd).st_mode), os.readlink(fd)
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM
    process.stdout.close()


def test_a_locked_program(jails):
    """--sandbox strict works in a jail: every thread has its filter."""
    jail = jails()
    kernel = jail.put(TICKER)
    jail.start("--new-pid-ns", rest=["--no-api", "--sandbox", "strict",
                                     "--kernel", kernel])
    jail.run.wait_for("tick 2")
    assert jail.status("NoNewPrivs") == ["1"]
    for tid in os.listdir(f"/proc/{jail.pid()}/task"):
        assert "Seccomp:\t2" in jail.proc(f"task/{tid}/status"), tid
    os.kill(jail.pid(), signal.SIGTERM)
    ended(jail.pid())


def test_default_base(jails):
    """/srv/jailer, here one of a mount namespace of the test's own."""
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         "mount -t tmpfs none /srv && mkdir /srv/jailer && "
         '"$0" --id d --uid 1 --gid 1 --exec-file "$1" -- --version && '
         "cd /srv/jailer/volt-vmm/d/root && ls volt-vmm.pid",
         JAILER, BUILD / "volt-vmm"], text=True, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Firecracker v")
    assert run.stdout.endswith("volt-vmm.pid\n")


def test_exit_code_and_output_are_the_programs(jails):
    jail = jails()
    done = jail.try_it(rest=["--version"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Firecracker v")
    done = jails("two").try_it(rest=["--nonsense"])
    assert done.returncode == 153 and "nonsense" in done.stderr
    done = jails("three").try_it(
        rest=["--no-api", "--kernel",
              jails("three").put(BUILD / "tests/guest/hello.elf")])
    assert done.returncode == 0 and "done 32 0" in done.stdout, done.stderr


def test_a_program_that_its_user_could_not_read(jails):
    """The copy can be read and run by all; set-user-ID bits stay behind."""
    program = jails.folder / "vmm"
    shutil.copy(BUILD / "volt-vmm", program)
    program.chmod(0o6700)
    jail = jails(program=program)
    done = jail.try_it(rest=["--version"])
    assert done.returncode == 0, done.stderr
    assert_mode(jail.root / "vmm", stat.S_IFREG, 0o755, 0, 0)


def test_symbolic_link_to_the_program(jails):
    """Its target names the folder, as with Firecracker's jailer."""
    link = jails.folder / "link"
    link.symlink_to(jails.firecracker)
    done = jails(program=link).try_it(rest=["--version"])
    assert done.returncode == 0
    assert (jails.base / "firecracker/vm/root/firecracker").exists()


# ---- limits ----

@pytest.mark.parametrize("options", [[], ["--new-pid-ns"], ["--daemonize"]],
                         ids=lambda o: (o or ["plain"])[0])
def test_resource_limits(jails, options):
    for name, limits, files, size in (
            ("a", [], "2048", "unlimited"),
            ("b", ["no-file=1024", "fsize=2097151"], "1024", "2097151"),
            ("c", ["no-file=8192", "no-file=512"], "512", "unlimited")):
        jail = jails(name)
        start_ticker(jail, *options, *(x for limit in limits
                                       for x in ("--resource-limit", limit)))
        assert jail.limits("Max open files") == (files, files)
        assert jail.limits("Max file size") == (size, size)
        os.kill(jail.pid(), signal.SIGTERM)
        ended(jail.pid())


def test_limits_do_not_bind_the_jailer(jails):
    """It writes the program and the pid file under none."""
    jail = jails()
    done = jail.try_it("--resource-limit", "fsize=0", "--resource-limit",
                       "no-file=3", rest=["--version"])
    assert done.stdout.startswith("Firecracker v"), done.stderr
    assert jail.pid_file.read_text().isdigit()


# ---- namespaces ----

def test_new_pid_namespace(jails):
    jail = jails()
    start_ticker(jail, "--new-pid-ns")
    assert jail.run.process.wait(60) == 0  # the jailer's own end
    assert jail.status("NStgid") == [str(jail.pid()), "1"]
    os.kill(jail.pid(), signal.SIGTERM)
    ended(jail.pid())


def test_kill_by_the_pid_file(jails):
    for number, options in enumerate(([], ["--new-pid-ns"], ["--daemonize"],
                                      ["--daemonize", "--new-pid-ns"])):
        jail = jails(f"k{number}")
        start_ticker(jail, *options)
        os.kill(jail.pid(), signal.SIGKILL)
        if not options:
            jail.run.process.wait(60)
        ended(jail.pid())


@pytest.mark.parametrize("more", [[], ["--new-pid-ns"]],
                         ids=["", "new-pid-ns"])
def test_daemon(jails, more):
    """It runs, with its pid file, when the jailer has ended with 0."""
    jail = jails()
    kernel = jail.put(TICKER)
    done = jail.try_it("--daemonize", *more,
                       rest=["--api-sock", "/run/a.sock", "--kernel", kernel])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int(jail.pid_file.read_text())
    jail.pid()
    stat_words = jail.proc("stat").rsplit(") ", 1)[1].split()
    # Session: of another; no terminal.
    assert stat_words[3] not in (str(pid), str(os.getsid(0)))
    assert stat_words[4] == "0"
    for fd in range(3):
        device = os.stat(f"/proc/{pid}/fd/{fd}").st_rdev
        assert (os.major(device), os.minor(device)) == (1, 3)
    assert jail.api("run/a.sock").call("GET", "/")[1]["state"] == "Running"
    os.kill(pid, signal.SIGTERM)
    ended(pid)


@pytest.mark.parametrize("options", [[], ["--daemonize"], ["--new-pid-ns"],
                                     ["--daemonize", "--new-pid-ns"]],
                         ids="+".join)
def test_a_program_that_cannot_run(jails, options):
    """The exit code says so, whoever was to become it."""
    program = jails.folder / "text"
    program.write_text("no program\n")
    jail = jails(program=program)
    done = jail.try_it(*options)
    assert done.returncode == 1
    assert done.stderr == ("Jailer error: Failed to exec into Firecracker: "
                           "Exec format error (os error 8)\n")


def test_network_namespace(jails):
    ns = Namespace()
    jail = jails()
    path = f"/proc/{ns.holder.pid}/ns/net"
    start_ticker(jail, netns=path)
    assert os.readlink(f"/proc/{jail.pid()}/ns/net") == os.readlink(path)
    assert os.readlink(f"/proc/{jail.pid()}/ns/net") != \
        os.readlink("/proc/self/ns/net")
    ns.close()


def test_a_launcher_mounts_later(jails):
    """Mounts that the host makes in the jail's folder reach the jail."""
    jail = jails("m")
    script = """
        set -e
        mount -t tmpfs none "$BASE"
        mount --make-shared "$BASE"
        mkdir -p "$BASE/volt-vmm/m/root/data"
        cp "$KERNEL" "$BASE/volt-vmm/m/root/k"
        "$@" &
        until [ -S "$BASE/volt-vmm/m/root/run/a.sock" ]; do sleep 0.05; done
        mount -t tmpfs none "$BASE/volt-vmm/m/root/data"
        echo there >"$BASE/volt-vmm/m/root/data/file"
        cat /proc/$!/root/data/file
        kill $!
        wait $! || true
    """
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh",
         *jail.argv(rest=["--api-sock", "/run/a.sock", "--kernel", "/k"])],
        env={**os.environ, "BASE": str(jails.base), "KERNEL": str(TICKER)},
        text=True, capture_output=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL)
    assert "there\n" in run.stdout, run.stderr


# ---- cgroups ----

def cgroup_mounts():
    """(mount point, type, options) of each hierarchy."""
    rows = [x.split() for x in Path("/proc/mounts").read_text().splitlines()]
    return [(Path(r[1]), r[2], r[3].split(",")) for r in rows
            if r[2] in ("cgroup", "cgroup2")]


def hierarchy(controller):
    for path, kind, options in cgroup_mounts():
        if kind == "cgroup" and controller in options:
            return path
    pytest.skip(f"no cgroup v1 hierarchy with {controller} on this host")


def unified():
    """The hierarchy of version 2 and a controller that it has."""
    for path, kind, _ in cgroup_mounts():
        if kind == "cgroup2" and (path / "cgroup.type").exists():
            pytest.skip("cgroup v2 of a container: processes in its root")
        if kind == "cgroup2":
            return path, (path / "cgroup.controllers").read_text().split()
    pytest.skip("no cgroup v2 hierarchy on this host")


def remove_groups(*paths):
    """When what ran there has gone."""
    for path in paths:
        end = time.monotonic() + 10
        while path.exists():
            try:
                path.rmdir()
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)


@pytest.mark.parametrize("parent", [None, "vjtest/deep"],
                         ids=["default", "parent"])
def test_cgroup_v1(jails, parent):
    """Values, a cpuset that needs both of its files, and all in it."""
    shares, cpus = hierarchy("cpu"), hierarchy("cpuset")
    program = jails.folder / "vjcgroup"
    shutil.copy(BUILD / "volt-vmm", program)
    jail = jails(program=program)
    cpu = (cpus / "cpuset.cpus").read_text().split(",")[0].split("-")[0]
    start_ticker(jail, "--cgroup", "cpu.shares=3", "--cgroup",
                 f"cpuset.cpus={cpu.strip()}", parent_cgroup=parent)
    top = parent or "vjcgroup"
    ours = f"/{top}/vm"
    assert (shares / top / "vm/cpu.shares").read_text() == "3\n"
    assert (cpus / top / "vm/cpuset.cpus").read_text() == cpu.strip() + "\n"
    assert (cpus / top / "vm/cpuset.mems").read_text().strip()
    groups = {line.split(":")[1]: line.split(":")[2]
              for line in jail.proc("cgroup").splitlines()}
    for names, path in groups.items():
        inside = {"cpu", "cpuset"} & set(names.split(","))
        assert (path == ours) == bool(inside), (names, path)
    # All of its threads.
    tasks = (shares / top / "vm/tasks").read_text().split()
    assert set(tasks) >= set(os.listdir(f"/proc/{jail.pid()}/task"))
    jail.run.process.terminate()
    jail.run.process.wait(60)
    for mount in (shares, cpus):
        remove_groups(mount / top / "vm", mount / top)
        if parent:
            remove_groups(mount / "vjtest")


def test_cgroup_v2(jails):
    """The controller is handed down, the value set, the process in it."""
    mount, controllers = unified()
    settings = {"hugetlb": ("hugetlb.2MB.max", "2097152"),
                "pids": ("pids.max", "100"), "memory": ("memory.max",
                                                        "536870912")}
    known = [c for c in controllers if c in settings]
    if not known:
        pytest.skip(f"cgroup v2 here has only {controllers}")
    file, value = settings[known[0]]
    program = jails.folder / "vjcgroup"
    shutil.copy(BUILD / "volt-vmm", program)
    jail = jails(program=program)
    start_ticker(jail, "--cgroup-version", "2", "--cgroup", f"{file}={value}",
                 "--parent-cgroup", "vjtest/deep")
    group = mount / "vjtest/deep/vm"
    assert (group / file).read_text() == value + "\n"
    assert str(jail.pid()) in (group / "cgroup.procs").read_text().split()
    assert known[0] in (mount / "vjtest/deep/cgroup.subtree_control"
                        ).read_text().split()
    jail.run.process.terminate()
    jail.run.process.wait(60)
    remove_groups(group, group.parent, group.parent.parent)


def test_join_a_cgroup_v2(jails):
    """--parent-cgroup alone: the one that somebody has made, if any."""
    mount, _ = unified()
    jail = jails()
    group = mount / "vjjoin"
    group.mkdir()
    try:
        start_ticker(jail, "--cgroup-version", "2", "--parent-cgroup",
                     "vjjoin")
        assert "0::/vjjoin" in jail.proc("cgroup").splitlines()
        jail.run.process.terminate()
        jail.run.process.wait(60)
    finally:
        remove_groups(group)
    start_ticker(jails("other"), "--cgroup-version", "2", "--parent-cgroup",
                 "vjjoin")
    assert not group.exists()


# ---- mistakes ----

def mistakes(jails):
    """Options of the jailer, what they change, and the line that it says."""
    nothing = jails.folder / "nothing"
    return [
        ([], {"id": None}, "Failed to parse arguments: Argument 'id' "
                           "required, but not found."),
        ([], {"exec-file": None}, "Argument 'exec-file' required"),
        ([], {"uid": None}, "Argument 'uid' required"),
        ([], {"gid": None}, "Argument 'gid' required"),
        (["--node", "0"], {}, "Failed to parse arguments: Found argument "
                              "'node' which wasn't expected"),
        (["word"], {}, "Found argument 'word' which wasn't expected"),
        (["--uid", "1"], {}, "The argument 'uid' was provided more than once"),
        (["--netns"], {}, "The argument 'netns' requires a value"),
        ([], {"id": ""}, "Jailer error: Invalid instance ID: Invalid len "
                         "(0);  the length must be between 1 and 64"),
        ([], {"id": "a" * 65}, "Invalid instance ID: Invalid len (65);"),
        ([], {"id": "a/b"}, "Invalid instance ID: Invalid char (/) at "
                            "position 1"),
        ([], {"id": ".."}, "Invalid instance ID: Invalid char (.)"),
        ([], {"exec-file": nothing},
         f"Jailer error: Failed to canonicalize path {nothing}: No such file "
         "or directory (os error 2)"),
        ([], {"exec-file": jails.base}, f"{jails.base} is not a file"),
        ([], {"exec-file": "/dev/null"}, "/dev/null is not a file"),
        ([], {"chroot-base-dir": nothing},
         f"Failed to canonicalize path {nothing}"),
        ([], {"chroot-base-dir": jails.firecracker},
         f"{jails.firecracker} is not a directory"),
        ([], {"uid": "x"}, "Jailer error: Invalid uid: x"),
        ([], {"uid": "-1"}, "Invalid uid: -1"),
        ([], {"uid": "4294967295"}, "Invalid uid: 4294967295"),
        ([], {"uid": "4294967296"}, "Invalid uid: 4294967296"),
        ([], {"gid": "18446744073709551616"}, "Invalid gid: 18446744073709"),
        ([], {"gid": ""}, "Invalid gid: "),
        (["--cgroup-version", "3"], {},
         "Jailer error: 3 is an invalid cgroup version specifier"),
        (["--parent-cgroup", "/a"], {}, "Parent cgroup path is invalid. Path "
         "should not be absolute or contain '..' or '.'"),
        (["--parent-cgroup", "a/../../b"], {}, "Parent cgroup path is"),
        (["--cgroup", "cpu.shares"], {},
         "Invalid format for cgroups: cpu.shares"),
        (["--cgroup", "x=1"], {}, "Cgroup invalid file: x"),
        (["--cgroup", "../cpu.shares=1"], {},
         "Cgroup invalid file: ../cpu.shares"),
        (["--cgroup", "nothere.x=1"], {}, "Controller nothere is unavailable"),
        (["--cgroup-version", "2", "--cgroup", "nothere.x=1"], {},
         "Controller nothere is unavailable"),
        (["--cgroup", "cpu.nothere=1"], {}, "Failed to write to "),
        (["--cgroup", "cpu.shares=x"], {}, "Invalid argument (os error 22)"),
        (["--resource-limit", "no-file"], {},
         "Invalid format for resources limits: no-file"),
        (["--resource-limit", "x=1"], {}, "Invalid resource argument: x"),
        (["--resource-limit", "fsize=-1"], {},
         "Invalid limit value for resource: -1: invalid digit found in "
         "string"),
        (["--resource-limit", "no-file=18446744073709551615"], {},
         "Failed to set limit for resource: no-file"),
        (["--netns", nothing], {}, f"Failed to open file {nothing}: No such "
         "file or directory (os error 2)"),
        (["--netns", jails.firecracker], {},
         "Failed to join network namespace: netns: Invalid argument"),
    ]


def snapshot_of(folder):
    """Every name below a folder with its kind, owner, mode and contents."""
    return sorted(
        (str(p), os.lstat(p).st_mode, os.lstat(p).st_uid, os.lstat(p).st_gid,
         p.read_bytes() if p.is_file() else None)
        for p in folder.rglob("*"))


def test_mistakes(jails):
    """Code 1, one line, and the folder as it was."""
    version = {m[1] for m in cgroup_mounts()}
    jail = jails()
    jail.put(TICKER)
    (jail.root / "run").mkdir()
    os.chown(jail.root / "run", UID, GID)
    os.chown(jail.root, UID, GID)
    os.chmod(jail.root, 0o750)
    before = snapshot_of(jails.folder)
    for options, changes, words in mistakes(jails):
        text = str(options)
        needs = {"cgroup2"} if "'2'" in text else {"cgroup"} if \
            "nothere" in text or "shares=x" in text else set()
        if needs - version:
            continue
        done = jail.try_it(*options, rest=["--version"], **changes)
        assert done.returncode == 1, (options, changes, done)
        assert words in done.stderr, (options, changes)
        assert done.stdout == "" and done.stderr.count("\n") == 1
        assert snapshot_of(jails.folder) == before, (options, changes)
    for path, kind, options in cgroup_mounts():
        if kind == "cgroup" and "cpu" in options:
            remove_groups(path / "volt-vmm/vm", path / "volt-vmm")
    assert jail.try_it(rest=["--version"]).returncode == 0


def test_not_root(jails):
    """What an ordinary user is told, by a copy of the one file."""
    base, copy = jails.folder / "own", jails.folder / "jailer"
    base.mkdir()
    os.chown(base, UID, GID)
    os.chmod(jails.folder, 0o755)
    shutil.copy(JAILER, copy)
    words = jails().argv(**{"chroot-base-dir": base, "exec-file": copy})
    run = subprocess.run(
        ["setpriv", "--reuid", str(UID), "--regid", str(GID),
         "--clear-groups", copy, *words[1:]],
        text=True, capture_output=True, timeout=60, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("Jailer error: Failed to ")
    assert "Operation not permitted (os error 1)" in run.stderr
    assert not list((base / "jailer").iterdir())


@pytest.mark.parametrize("flag", ["nodev", "noexec"])
def test_a_base_that_cannot_work(jails, flag):
    """Told before anything is made, and not by a guest that does not start."""
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         f'mount -t tmpfs -o {flag} none "$0" && exec "$@"', jails.base,
         *jails().argv(rest=["--version"])], text=True, check=False,
        capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert run.returncode == 1
    assert f"mounted with {flag}: a jail there cannot work" in run.stderr


def test_a_jail_that_is_in_use(jails):
    """A second one of that name is refused; the first one does not notice."""
    jail = jails()
    api = start_ticker(jail)
    before = snapshot_of(jail.root)
    done = jail.try_it(rest=["--version"])
    assert done.returncode == 1
    assert done.stderr == ("Jailer error: Failed to create /dev/net/tun via "
                           "mknod inside the jail: File exists (os error "
                           "17)\n")
    assert snapshot_of(jail.root) == before
    assert api.call("GET", "/")[1]["state"] == "Running"


def test_help_and_version(build):
    for word, start in (("--help", "Usage: volt-jailer --id ID"),
                        ("-h", "Usage: volt-jailer --id ID"),
                        ("--version", "Jailer v1.")):
        done = subprocess.run([build / "volt-jailer", word], text=True,
                              capture_output=True, timeout=60, check=True)
        assert done.stdout.startswith(start) and done.stderr == ""
    with open("/dev/full", "w") as full:
        done = subprocess.run([build / "volt-jailer", "--help"], stdout=full,
                              stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == 1


def test_standard_descriptors_that_are_closed(jails):
    """Nothing else takes their numbers."""
    jail = jails()
    kernel = jail.put(TICKER)
    run = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh",
         *jail.argv(rest=["--api-sock", "/run/a.sock", "--kernel", kernel])])
    jail.pid()
    jail.api("run/a.sock")
    for fd in range(3):
        assert os.readlink(f"/proc/{jail.pid()}/fd/{fd}") == "/dev/null"
    run.terminate()
    run.wait(60)
