# SPDX-License-Identifier: Apache-2.0
"""volt kernel: what is added is there, whole, or not at all."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BUILD

NOBODY = 65534
HELLO = BUILD / "tests/guest/hello.elf"
OTHER = BUILD / "tests/guest/ticker.elf"


class Store:
    """A store of the test's own, and the command on it."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def call(self, *words, prefix=(), **env):
        return subprocess.run(
            [*prefix, BUILD / "volt", "kernel", *words], text=True,
            capture_output=True, timeout=120, check=False,
            env={**os.environ, "VOLT_STORE": str(self.folder),
                 "VOLT_CACHE": str(self.folder.with_name("cache")), **env})

    def ok(self, *words, **env):
        run = self.call(*words, **env)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def fails(self, *words, **env):
        """One sentence, exit code 1."""
        run = self.call(*words, **env)
        assert run.returncode == 1, run.stdout + run.stderr
        assert len(run.stderr.splitlines()) == 1, run.stderr
        return run.stderr

    def names(self):
        return [x.split()[0] for x in self.ok("ls").splitlines()[1:]]

    def info(self, *name):
        return json.loads(self.ok("info", "--json", *name))

    def left(self):
        """Files of no kernel."""
        used = {self.info(x)["sha256"] for x in self.names()}
        blobs = {p.name for p in (self.folder / "blobs").glob("*")}
        return (blobs - used) | {p.name
                                 for p in (self.folder / "tmp").glob("*")}


@pytest.fixture
def store(build, tmp_path):
    return Store(tmp_path / "store")


def test_a_kernel_comes_and_goes(store):
    assert "b: added" in store.ok("add", "--name", "b", HELLO)
    assert "a: added" in store.ok("add", "--name", "a", OTHER)
    assert store.names() == ["a", "b"]
    assert store.ok("default") == "b\n"
    store.ok("default", "a")
    assert store.info()["name"] == "a"
    path = Path(store.ok("path", "b").strip())
    assert path.parent == store.folder / "blobs"
    assert path.stat().st_mode & 0o777 == 0o444
    assert store.ok("verify") == "a: whole\nb: whole\n"
    assert "is the default and stays" in store.fails("rm", "a")
    store.ok("pin", "b")
    assert "is pinned and stays" in store.fails("rm", "b")
    assert store.ok("gc", "--unpinned").startswith("0 files")
    store.ok("pin", "--off", "b")
    assert "b: removed" in store.ok("gc", "--unpinned")
    store.ok("rm", "--force", "a")
    assert store.names() == [] and store.left() == set()
    assert "There is no kernel a:" in store.fails("info", "a")
    assert "no default kernel yet" in store.fails("path")


def test_what_is_kept_boots(vmm, store):
    store.ok("add", "--name", "hello", HELLO)
    run = vmm.spawn([BUILD / "volt-vmm", "--no-api", "--memory", "16",
                     "--kernel", store.ok("path").strip()])
    run.process.stdin.close()
    result = run.finish()
    assert result.done()[0] > 0 and not result.failures(), result.out
    assert result.code == 0


def test_run_takes_a_name(vmm, store, tmp_path):
    """The default without one; a file of that name where none is stored."""
    env = {**os.environ, "VOLT_STORE": str(store.folder),
           "XDG_RUNTIME_DIR": str(tmp_path), "VOLT_CACHE": str(tmp_path)}

    def run(*words):
        return subprocess.run(
            [BUILD / "volt", "run", "--timeout", "60", *words], text=True,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=120,
            check=False, env=env, cwd=BUILD / "tests/guest")

    none = run("--initrd", HELLO)
    assert none.returncode == 1 and "There is no" in none.stderr
    store.ok("add", "--name", "first", HELLO)
    for words in (["--kernel", "first"], ["--initrd", HELLO],
                  ["--kernel", "hello.elf"], ["--kernel", str(HELLO)]):
        result = run(*words)
        assert result.returncode == 0 and "done " in result.stdout, (
            words, result.stderr)
    assert run("--kernel", "second").stderr.startswith(
        "volt run: There is neither a kernel named second")
    assert "has no root" in run().stderr
    path = Path(store.ok("path").strip())
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    assert "Kernel first is damaged" in run("--kernel", "first").stderr


def test_what_is_no_kernel_is_refused(store, tmp_path):
    whole = HELLO.read_bytes()
    bad = {
        "text": (b"#!/bin/sh\necho no kernel here\n", "is a script"),
        "empty": (b"", "is an empty file"),
        "cut": (whole[:len(whole) // 2], "truncated"),
        "32-bit": (b"\x7fELF\x01\x01\x01" + bytes(60), "a 32-bit ELF file"),
        "arm64": (whole[:18] + b"\xb7\x00" + whole[20:], "for arm64"),
        "cut.gz": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03ab",
                   "gzip stream that is cut off"),
        "old": (bytes(0x202) + b"HdrS" + b"\x07\x02" + bytes(600),
                "is too old"),
        "deb": (b"!<arch>\ndebian-binary   0           0     0     100644  "
                b"4         `\n2.0\n", "without control.tar"),
    }
    for name, (data, words) in bad.items():
        path = tmp_path / name
        path.write_bytes(data)
        said = store.fails("add", "--name", "x", path)
        assert words in said and str(path) in said, (name, said)
        # And so it is: it does not boot.
        run = subprocess.run(
            [BUILD / "volt-vmm", "--no-api", "--memory", "64", "--kernel",
             path], capture_output=True, text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL)
        assert run.returncode != 0 and str(path) in run.stderr, run.stderr
    assert "is a directory" in store.fails("add", tmp_path)
    assert "No such file" in store.fails("add", tmp_path / "none")
    assert store.names() == [] and store.left() == set()


def test_a_file_that_was_changed_is_not_used(store):
    store.ok("add", "--name", "hello", HELLO)
    path = Path(store.ok("path").strip())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    for words in (["path"], ["verify"]):
        assert "Kernel hello is damaged" in store.fails(*words)
    store.ok("add", "--name", "hello", HELLO)
    assert store.ok("verify") == "hello: whole\n"
    # A copy of the store is another file with the same content.
    copy = Store(store.folder.with_name("copy"))
    shutil.copytree(store.folder, copy.folder)
    assert copy.ok("verify") == "hello: whole\n"
    assert Path(copy.ok("path").strip()).parent == copy.folder / "blobs"


# The calls by which a store changes.
STEPS = ("openat", "mkdirat", "flock", "write", "pwrite64", "ftruncate",
         "fchmod", "fsync", "renameat", "unlinkat")


def killed_at(store, call, nth, *words):
    """Was the command killed when it made its @nth @call?"""
    run = store.call(*words, prefix=(
        "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
        f"inject={call}:signal=KILL:when={nth}"))
    return run.returncode != 0


@pytest.mark.parametrize("call", STEPS)
def test_killed_at_any_step(store, call):
    """Of an add, a removal and a gc: the other kernel stays, this one is
    there or is not, and the next command cleans up."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    store.ok("add", "--name", "old", OTHER)
    for nth in range(1, 40):
        if not killed_at(store, call, nth, "add", "--name", "new", HELLO):
            break
        assert store.ok("verify", "old") == "old: whole\n"
        if "new" in store.names():
            assert store.ok("verify", "new") == "new: whole\n"
        store.ok("gc")
        assert store.left() == set()
        if "new" in store.names():
            killed_at(store, call, nth, "rm", "new")
            killed_at(store, call, nth, "gc")
            assert store.ok("verify", "old") == "old: whole\n"
            if "new" in store.names():
                store.ok("rm", "new")
            store.ok("gc")
            assert store.left() == set()
    assert "new" in store.names() and store.left() == set()


def test_adds_at_the_same_time(store):
    """Of one content and of two: all end well, one file a content."""
    argv = [[BUILD / "volt", "kernel", "add", "--name", f"k{i % 3}",
             HELLO if i % 3 else OTHER] for i in range(12)]
    runs = [subprocess.Popen(a, stderr=subprocess.PIPE, text=True,
                             stdout=subprocess.DEVNULL,
                             env={**os.environ,
                                  "VOLT_STORE": str(store.folder)})
            for a in argv]
    for run in runs:
        assert run.communicate(timeout=120)[1] == ""
        assert run.returncode == 0
    assert store.names() == ["k0", "k1", "k2"] and store.left() == set()
    assert len(list((store.folder / "blobs").iterdir())) == 2


FULL = """
mount -t tmpfs -o size=1m,mode=755 full "$1"
export VOLT_STORE=$1/store
"$2" kernel add --name old "$3" || exit 3
head -c 2M /dev/zero >"$1/fill" 2>/dev/null
"$2" kernel add --name new "$4"
echo "code $?"
"$2" kernel verify
find "$VOLT_STORE" -type f | wc -l
"""


def test_a_full_disk(build, tmp_path):
    """A small file system, in a mount namespace of the test's."""
    run = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", FULL, "sh",
         tmp_path, BUILD / "volt", HELLO, OTHER],
        capture_output=True, text=True, timeout=60, check=False)
    if run.returncode != 0 and "unshare" in run.stderr:
        pytest.skip("no mount namespace here: " + run.stderr.strip())
    lines = run.stdout.splitlines()
    assert lines[1:3] == ["code 1", "old: whole"], run.stdout + run.stderr
    assert "No space left on device" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    # The kernel, its record, the default, the lock.
    assert lines[3] == "4"


def as_nobody(*argv, **env):
    return subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
         "--clear-groups", *argv], capture_output=True, text=True,
        timeout=60, check=False,
        env={"PATH": os.environ["PATH"], **env})


@pytest.fixture
def nobodys(build):
    """A folder that an ordinary user reaches, with the program in it."""
    if os.geteuid() != 0:
        pytest.skip("this is an ordinary user already")
    folder = Path(subprocess.run(["mktemp", "-d", "/tmp/volt-XXXXXX"],
                                 capture_output=True, text=True,
                                 check=True).stdout.strip())
    folder.chmod(0o755)
    shutil.copy(BUILD / "volt", folder / "volt")
    shutil.copy(HELLO, folder / "hello.elf")
    yield folder
    shutil.rmtree(folder)


def test_an_ordinary_user_reads_what_root_added(nobodys):
    """And changes nothing of it."""
    root = Store(nobodys / "store")
    # Whatever root's mask is.
    run = subprocess.run(
        ["sh", "-c", 'umask 077; exec "$@"', "sh", nobodys / "volt", "kernel",
         "add", "--name", "k", HELLO], timeout=60, check=False,
        env={**os.environ, "VOLT_STORE": str(root.folder)},
        capture_output=True)
    assert run.returncode == 0, run.stderr
    before = sorted(root.folder.rglob("*"))
    for words, code, said in (
            (["path", "k"], 0, ""), (["verify"], 0, ""), (["info"], 0, ""),
            (["rm", "k"], 1, "only root changes"),
            (["pin", "k"], 1, "only root changes"),
            (["default", "k"], 1, "only root changes"),
            (["gc"], 1, "only root changes"),
            (["add", nobodys / "hello.elf"], 1, "only root changes")):
        run = as_nobody(nobodys / "volt", "kernel", *words,
                        VOLT_STORE=str(root.folder))
        assert run.returncode == code and said in run.stderr, (words,
                                                               run.stderr)
    assert sorted(root.folder.rglob("*")) == before


def test_an_ordinary_users_own_store(nobodys):
    """It lies below XDG_DATA_HOME or HOME, and root does not look there."""
    home = nobodys / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    for env, place in (({"HOME": str(home)}, ".local/share/volt/kernels"),
                       ({"XDG_DATA_HOME": str(home / "x")}, "x/volt/kernels")):
        run = as_nobody(nobodys / "volt", "kernel", "add", "--name", "mine",
                        nobodys / "hello.elf", **env)
        assert run.returncode == 0, run.stderr
        run = as_nobody(nobodys / "volt", "kernel", "path", "mine", **env)
        assert run.stdout.startswith(str(home / place))
    # What others may write, and what another user owns, is not believed.
    for mode, uid in ((0o777, NOBODY), (0o755, 1)):
        os.chown(home / "x/volt/kernels", uid, uid)
        (home / "x/volt/kernels").chmod(mode)
        run = as_nobody(nobodys / "volt", "kernel", "ls",
                        XDG_DATA_HOME=str(home / "x"))
        assert run.returncode == 1 and "not to be believed" in run.stderr


TWO_STORES = """
mount -t tmpfs -o mode=755 lib /var/lib
umask 077
volt() { env -u VOLT_STORE "$1/volt" kernel "${@:2}"; }
user() { setpriv --reuid 65534 --regid 65534 --clear-groups \\
	env -u VOLT_STORE HOME="$1/home" "$1/volt" kernel "${@:2}"; }
volt "$1" add --name system "$1/hello.elf"
volt "$1" add --name both "$1/hello.elf"
user "$1" path system
user "$1" default
user "$1" default both
user "$1" default
user "$1" add --name both "$1/ticker.elf"
user "$1" path both
user "$1" rm system
user "$1" rm --force both
user "$1" default
volt "$1" default
volt "$1" rm both
user "$1" default
"""


def test_the_stores_of_a_user_and_of_root(nobodys):
    """The user's own is looked at first; root's stays as it is."""
    shutil.copy(OTHER, nobodys / "ticker.elf")
    (nobodys / "home").mkdir()
    os.chown(nobodys / "home", NOBODY, NOBODY)
    run = subprocess.run(
        ["unshare", "--mount", "bash", "-c", TWO_STORES, "bash", nobodys],
        capture_output=True, text=True, timeout=120, check=False)
    if "unshare" in run.stderr:
        pytest.skip("no mount namespace here: " + run.stderr.strip())
    lines = [x.split(":")[0] for x in run.stdout.splitlines()]
    own = str(nobodys / "home/.local/share/volt/kernels/blobs/")
    assert lines[:3] == ["system", "both", lines[2]], run.stderr
    assert lines[2].startswith("/var/lib/volt/kernels/blobs/")
    # A default of the user's own, of root's kernels.
    assert lines[3:6] == ["system", "both", "both"], run.stdout + run.stderr
    assert lines[6].startswith(own)
    # His default went with his kernel: it is root's again.
    assert lines[7:] == ["system"] * 3, run.stdout + run.stderr
    assert "only root changes" in run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr


CONFIG = "# Linux/x86 6.1.1 Kernel Configuration\nCONFIG_VIRTIO_BLK=m\n"


def package(folder, compression, arch="amd64"):
    """A .deb with a kernel, its configuration and a module's path."""
    tree = folder / f"tree-{compression}-{arch}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: linux-image-test\nVersion: 6.1-1\nArchitecture: {arch}\n"
        "Maintainer: me <me@example.org>\nDescription: a test\n")
    (tree / "boot").mkdir()
    shutil.copy(HELLO, tree / "boot/vmlinuz-6.1-test")
    (tree / "boot/config-6.1-test").write_text(CONFIG)
    deb = folder / f"{compression}.deb"
    subprocess.run(["dpkg-deb", f"-Z{compression}", "--root-owner-group",
                    "-b", tree, deb], check=True, capture_output=True)
    return deb


@pytest.mark.parametrize("compression", ["xz", "gzip", "zstd", "none"])
def test_a_package(store, tmp_path, compression):
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed")
    deb = package(tmp_path, compression)
    store.ok("add", "--name", "deb", deb)
    info = store.info("deb")
    assert info["from"] == "linux-image-test 6.1-1" and info["config"]
    assert info["drives"]["disk"] == "module, not in the store"
    # What is in a package is what is in its files.
    assert "was there already" in store.ok("add", "--name", "deb", HELLO)
    data = deb.read_bytes()
    deb.write_bytes(data[:len(data) - 100])
    assert "is cut off" in store.fails("add", "--name", "cut", deb)
    deb = package(tmp_path, compression, "arm64")
    assert f"{deb} is a package for arm64" in store.fails("add", deb)
    assert store.names() == ["deb"]


def part(folder, kind, depends="", **files):
    """linux-KIND-7.1-test, as Debian packages Linux 7."""
    tree = folder / kind
    modules = tree / "usr/lib/modules/7.1-test"
    (tree / "DEBIAN").mkdir(parents=True)
    modules.mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: linux-{kind}-7.1-test\nVersion: 7.1-1\n"
        f"Architecture: amd64\n{depends}"
        "Maintainer: me <me@example.org>\nDescription: a test\n")
    for name, data in files.items():
        (modules / name).write_bytes(data)
    deb = folder / f"linux-{kind}-7.1-test_7.1-1_amd64.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", tree,
                    deb], check=True, capture_output=True)
    return deb


def test_a_kernel_of_several_packages(store, tmp_path):
    """They are beside the one that depends on them, which has nothing."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed")
    deb = part(tmp_path, "image", "Depends: linux-base (>= 4), "
               "linux-base-7.1-test (= 7.1-1), "
               "linux-binary-7.1-test (= 7.1-1)\n")
    said = store.fails("add", deb)
    assert "in another one, linux-binary-7.1-test: put that beside it" in said
    part(tmp_path, "binary", vmlinuz=HELLO.read_bytes())
    part(tmp_path, "base", config=CONFIG.encode())
    store.ok("add", "--name", "seven", deb)
    info = store.info("seven")
    assert info["from"] == "linux-image-7.1-test 7.1-1" and info["config"]
    binary = tmp_path / "linux-binary-7.1-test_7.1-1_amd64.deb"
    binary.write_bytes(binary.read_bytes()[:900])
    said = store.fails("add", "--name", "cut", deb)
    assert "depends on linux-binary-7.1-test, and is a package that is cut " \
        "off" in said, said


# What stands in PATH instead of apt: it leaves a package that is not whole.
APT = """#!/bin/sh
case "$*" in
*download*) head -c "$BYTES" "$PACKAGE" >linux-image-6.1-test_1_amd64.deb ;;
*depends*) exit 0 ;;
*) exit 1 ;;
esac
[ -z "$WAIT" ] || { : >"$WAIT"; exec sleep 60; }
"""


def by_apt(folder, **env):
    """The environment of an add whose apt is the one above."""
    (folder / "bin").mkdir(exist_ok=True)
    for name in ("apt-get", "apt-cache"):
        (folder / "bin" / name).write_text(APT)
        (folder / "bin" / name).chmod(0o755)
    return {"PATH": f"{folder}/bin:{os.environ['PATH']}", "WAIT": "",
            "BYTES": "1000", "PACKAGE": str(package(folder, "none")), **env}


FETCH = ("add", "--package", "linux-image-6.1-test")


def test_packages_are_kept(store, tmp_path):
    """Whole, where that was asked for, and nothing half there."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed")
    env = by_apt(tmp_path, BYTES="1000000")
    kept = tmp_path / "kept"
    assert "cannot be kept in" in store.fails(
        *FETCH, "--keep", tmp_path / "no/where", **env)
    for _ in range(2):
        store.ok(*FETCH, "--name", "a", "--keep", kept, **env)
    assert [p.name for p in kept.iterdir()] == [
        "linux-image-6.1-test_1_amd64.deb"]
    whole = (tmp_path / "none.deb").read_bytes()
    assert next(kept.iterdir()).read_bytes() == whole


@pytest.mark.parametrize("package, said", [
    ("linux-image-6.1-test", "download the package linux-image-6.1-test: "),
    ("some-kernel", "find the package some-kernel: ")])
def test_what_apt_cannot_do_is_said(store, tmp_path, package, said):
    """With the package's name; apt's own sentence often leaves it out."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed")
    env = by_apt(tmp_path)
    for name in ("apt-get", "apt-cache"):
        (tmp_path / "bin" / name).write_text(
            '#!/bin/sh\ncase "$*" in *update*) exit 0 ;; esac\n'
            "echo 'E: no such luck' >&2\nexit 100\n")
    assert f"apt cannot {said}no such luck" in store.fails(
        "add", "--package", package, **env)
    assert store.names() == [] and store.left() == set()


def test_a_truncated_download(store, tmp_path):
    """Nothing of it stays."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed")
    assert "is cut off" in store.fails(*FETCH, **by_apt(tmp_path))
    assert store.names() == [] and store.left() == set()


@pytest.mark.parametrize("after", [("gc",), ("add", "--name", "x", HELLO)])
def test_a_killed_download(store, tmp_path, after):
    """What apt had fetched goes with the next add or gc, and not before: a
    download that goes on keeps its folder."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed")
    flag = tmp_path / "waiting"
    run = subprocess.Popen(
        [BUILD / "volt", "kernel", *FETCH], stderr=subprocess.DEVNULL,
        env={**os.environ, "VOLT_STORE": str(store.folder),
             **by_apt(tmp_path, WAIT=str(flag))})
    try:
        end = time.monotonic() + 60
        while not flag.exists() and time.monotonic() < end:
            time.sleep(0.02)
        store.ok(*after)
        assert len(store.left()) == 1
    finally:
        run.kill()
        run.wait(timeout=60)
    store.ok(*after)
    assert store.left() == set()
