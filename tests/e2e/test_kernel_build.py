# SPDX-License-Identifier: Apache-2.0
"""volt kernel build: what it asks for, and a build that is killed and goes on.

A build of Linux takes minutes, so only `make check-long` does one.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import BUILD, ROOT, in_lab, long_only, said

# What make check-long builds, and what it must then drive.
OPTIONS = "net,vsock"
DRIVEN = ("console", "interrupts", "disk", "network", "vsock", "ext4")

# Ctrl-Alt-Del for a guest that does nothing more.
KEYS = """\
"$1" --api-sock /tmp/keys --kernel "$2" --initrd "$3" --memory 128M --cmdline \
    "console=ttyS0 reboot=k quiet volt.quiet volt.end=hang" >/tmp/keys.out 2>&1 &
until grep -q VOLT-END /tmp/keys.out; do sleep 0.2; done
curl -s --unix-socket /tmp/keys -X PUT http://localhost/actions \
    -d '{"action_type": "SendCtrlAltDel"}'
wait $!
echo "code $?"
cat /tmp/keys.out
"""


def environment(folder, **env):
    return {**os.environ, "VOLT_STORE": str(folder / "store"),
            "VOLT_CACHE": str(folder / "cache"), **env}


def volt_build(folder, *words, seconds=60, **env):
    return subprocess.run(
        [BUILD / "volt", "kernel", "build", *words], text=True,
        capture_output=True, timeout=seconds, check=False,
        stdin=subprocess.DEVNULL, env=environment(folder, **env))


def fails(folder, *words, code=1, **env):
    """One sentence, and nothing is left of it."""
    run = volt_build(folder, *words, **env)
    assert run.returncode == code, run.stdout + run.stderr
    assert run.stdout == "" and len(run.stderr.splitlines()) == 1, run.stderr
    for path in ("cache/build", "store/tmp", "store/names"):
        left = list((folder / path).glob("*"))
        assert [x.name for x in left if x.name != "lock"] == [], left
    return run.stderr


def tools(folder, without):
    """A PATH with all that a build needs but one."""
    place = folder / f"without-{without}"
    place.mkdir()
    for name in ("make", "gcc", "ld", "flex", "bison", "bc", "tar", "xz"):
        if name != without:
            (place / name).symlink_to("/bin/true")
    return str(place)


def source(folder):
    """What looks like a tree of Linux, and has nothing to build."""
    tree = folder / "linux"
    (tree / "arch/x86").mkdir(parents=True)
    (tree / "Kbuild").touch()
    (tree / "Makefile").write_text(
        "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\n"
        "allnoconfig:\n\t@echo 'it.c:1: error: no such luck'; exit 1\n")
    return tree


def test_the_list_is_what_there_is(build, tmp_path):
    """Each fragment has a line, and a summary that fits in it."""
    run = subprocess.run([BUILD / "volt", "kernel", "build", "--list"],
                         text=True, capture_output=True, timeout=60,
                         check=True)
    lines = run.stdout.splitlines()
    names = [line.split()[0] for line in lines]
    there = {p.stem for p in (ROOT / "src/kernel/config").glob("*.config")}
    assert names[0] == "base" and set(names) == there
    assert names[1:] == sorted(names[1:])
    assert all(13 < len(line) < 80 for line in lines), lines


def test_wrong_options_are_said(build, tmp_path):
    text = tmp_path / "text"
    text.write_text("CONFIG_A=y\nthis is none\n")
    for words, said in (
            (["--with", "nets"], "no option 'nets' for a kernel: "),
            (["--with", "net,,fs"], "no option '' for a kernel: "),
            (["--config", tmp_path / "none"], "Cannot open"),
            (["--config", text], "Line 2 of")):
        assert said in fails(tmp_path, *words, tmp_path), words
    for words in ([], [tmp_path, "--package", "linux-source-6.1"],
                  ["--jobs", "0", tmp_path], ["--name", "../x", tmp_path]):
        run = volt_build(tmp_path, *words)
        assert run.returncode == 64, words
        assert len(run.stderr.splitlines()) == 1, words


def need_tools():
    for name in ("make", "gcc", "flex", "bison", "bc", "xz"):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")
    if not os.path.exists("/usr/include/libelf.h"):
        pytest.skip("libelf-dev is not installed")


def test_what_is_no_source_is_said(build, tmp_path):
    need_tools()
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no archive\n")
    for words, said in (
            ([tmp_path / "empty"], "no source tree of Linux"),
            ([tmp_path / "none"], "No such file"),
            ([tmp_path / "text"], "cannot be unpacked"),
            (["--package", "Bad_Name"], "no name of a package")):
        assert said in fails(tmp_path, *words), words


@pytest.mark.parametrize("tool,package", [
    ("make", "make"), ("ld", "binutils"), ("bison", "bison"), ("xz",
                                                              "xz-utils")])
def test_a_missing_tool_is_named(build, tmp_path, tool, package):
    """With the package of Debian's that has it."""
    said = fails(tmp_path, source(tmp_path), PATH=tools(tmp_path, tool))
    assert re.search(rf"needs .*\b{tool}\b.*: apt-get install.* {package}\b",
                     said), said


def test_a_build_that_fails_names_its_log(build, tmp_path):
    """And the first thing that went wrong; its folder stays."""
    need_tools()
    tree = source(tmp_path)
    before = sorted(tree.rglob("*"))
    run = volt_build(tmp_path, tree)
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1
    assert "it.c:1: error: no such luck" in run.stderr
    log = re.search(r"its log is (.*/build\.log)", run.stderr).group(1)
    assert "no such luck" in open(log, encoding="utf-8").read()
    assert sorted(tree.rglob("*")) == before
    gc = subprocess.run([BUILD / "volt", "kernel", "gc"], text=True,
                        capture_output=True, timeout=60, check=True,
                        env=environment(tmp_path))
    assert "1 folders of builds removed" in gc.stdout
    assert not os.path.exists(log)


# As Linux' make answers what a build asks of it, with three files to compile,
# each of which takes as long as its file `wait` is there.
MAKEFILE = """VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 9
allnoconfig:
\tcp "$$KCONFIG_ALLCONFIG" $(O)/.config
prepare:
vmlinux: $(O)/a.o $(O)/b.o $(O)/c.o
\t@echo "  LD      vmlinux"
\tcp KERNEL $(O)/vmlinux
$(O)/%.o:
\t@echo "  CC      $*.o"
\techo half >$@
\t@while [ -e WAIT-$* ]; do sleep 0.02; done
\techo $* >>built && echo done >$@ && touch $(O)/.$*.o.cmd
"""


def tree_to_build(folder):
    tree = source(folder)
    kernel = BUILD / "tests/guest/hello.elf"
    (tree / "Makefile").write_text(
        MAKEFILE.replace("KERNEL", str(kernel))
        .replace("WAIT", str(folder / "wait"))
        .replace(">>built", f">>{folder}/built"))
    return tree


def kill_at(folder, tree, name):
    """A build that is killed while it compiles the file @name."""
    wait = folder / f"wait-{name}"
    wait.touch()
    run = subprocess.Popen(
        [BUILD / "volt", "kernel", "build", "--jobs", "1", tree],
        stderr=subprocess.DEVNULL, env=environment(folder))
    end = time.monotonic() + 60
    while not list(folder.glob(f"cache/build/build-*/{name}.o")):
        assert time.monotonic() < end
        time.sleep(0.02)
    run.kill()
    run.wait(timeout=60)
    wait.unlink()


def test_a_killed_build_goes_on_where_it_was(build, tmp_path):
    """What was compiled stays, what was half compiled does not; there is no
    kernel before it is whole, and no folder after it."""
    need_tools()
    tree = tree_to_build(tmp_path)
    for name in "ab":
        kill_at(tmp_path, tree, name)
        assert list((tmp_path / "store/names").iterdir()) == []
    run = volt_build(tmp_path, "--name", "k", tree)
    assert run.returncode == 0 and "k: added" in run.stdout, run.stderr
    assert sorted((tmp_path / "built").read_text().split()) == ["a", "b", "c"]
    assert [p.name for p in (tmp_path / "cache/build").iterdir()
            if p.name != "lock"] == []
    assert list((tmp_path / "store/tmp").iterdir()) == []


def test_a_kept_build_serves_the_next_kernel(build, tmp_path):
    """Of the same source, whatever its options; one that is not kept has a
    folder of its own."""
    need_tools()
    tree = tree_to_build(tmp_path)
    more = tmp_path / "more.config"
    more.write_text("CONFIG_MORE=y\n")
    built = tmp_path / "built"
    kept = set()
    for words in ([], ["--config", more]):
        run = volt_build(tmp_path, "--name", f"k{len(words)}", "--keep",
                         *words, tree)
        assert run.returncode == 0, run.stderr
        kept.add(run.stdout.splitlines()[-1])
        assert sorted(built.read_text().split()) == ["a", "b", "c"]
    folder, = map(Path, kept)
    assert "CONFIG_MORE=y" in (folder / ".config").read_text()
    run = volt_build(tmp_path, "--name", "own", tree)
    assert run.returncode == 0, run.stderr
    assert sorted(built.read_text().split()) == sorted("abc" * 2)
    assert [p.name for p in (tmp_path / "cache/build").glob("build-*")] == \
        [folder.name]


def test_two_builds_of_the_same_kernel(build, tmp_path):
    """One waits for the other; both end well."""
    need_tools()
    tree = tree_to_build(tmp_path)
    runs = [subprocess.Popen(
        [BUILD / "volt", "kernel", "build", "--name", "k", tree], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(tmp_path)) for _ in range(3)]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert sum("k: added" in out for out, _ in said) == 1, said
    assert list((tmp_path / "cache/build").glob("build-*")) == []


@pytest.mark.parametrize("call", ["rename", "unlinkat", "unlink", "rmdir"])
def test_a_killed_gc(build, tmp_path, call):
    """A source is there whole or not at all: a build does not take the rest of
    one for a source."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    need_tools()
    (tmp_path / "t").mkdir()
    tree = tree_to_build(tmp_path / "t")
    subprocess.run(["tar", "-C", tree.parent, "-cf", tmp_path / "x.tar",
                    tree.name], check=True, timeout=60)
    for nth in range(1, 6):
        run = volt_build(tmp_path, "--name", "k", tmp_path / "x.tar")
        assert run.returncode == 0, run.stderr
        whole = {p.relative_to(tree) for p in tree.rglob("*")}
        subprocess.run(
            ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
             f"inject={call}:signal=KILL:when={nth}", BUILD / "volt",
             "kernel", "gc"], timeout=60, check=False, capture_output=True,
            env=environment(tmp_path))
        for path in (tmp_path / "cache/build").glob("source-*"):
            if path.suffix != ".part":
                assert {p.relative_to(path / "linux") for p in
                        (path / "linux").rglob("*")} == whole
    subprocess.run([BUILD / "volt", "kernel", "gc"], timeout=60, check=True,
                   capture_output=True, env=environment(tmp_path))
    assert [p.name for p in (tmp_path / "cache/build").iterdir()] == ["lock"]


FULL = """
mount -t tmpfs -o size=4m,mode=755 full "$1/cache"
exec "$2" kernel build --name k "$3"
"""


@pytest.mark.parametrize("kind", ["tarball", "tree"])
def test_a_full_disk(build, tmp_path, kind):
    """While the source is unpacked, and while it is built: one sentence, and
    the same command goes on where there is room."""
    need_tools()
    (tmp_path / "t").mkdir()
    (tmp_path / "cache").mkdir()
    tree = tree_to_build(tmp_path / "t")
    what = tree
    if kind == "tarball":
        (tree / "large").write_bytes(os.urandom(8 << 20))
        what = tmp_path / "x.tar"
        subprocess.run(["tar", "-C", tree.parent, "-cf", what, tree.name],
                       check=True, timeout=60)
    else:  # what is linked does not fit
        text = (tree / "Makefile").read_text()
        (tree / "Makefile").write_text(text.replace(
            "\tcp ", "\thead -c 8M /dev/zero >$(O)/large\n\tcp ", 2))
    run = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", FULL, "sh",
         tmp_path, BUILD / "volt", what], text=True, capture_output=True,
        timeout=120, check=False, env=environment(tmp_path))
    if "unshare" in run.stderr:
        pytest.skip("no mount namespace here: " + run.stderr.strip())
    assert run.returncode == 1 and "No space left" in run.stderr, run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    assert list((tmp_path / "store/names").glob("*")) == []
    if kind == "tarball":
        run = volt_build(tmp_path, "--name", "k", what)
        assert run.returncode == 0 and "k: added" in run.stdout, run.stderr


def objects_in(folder):
    """How many, while folders come and go (which pathlib does not bear)."""
    return sum(name.endswith(".o") for _, _, names in os.walk(folder)
               for name in names)


@long_only("a kernel is built, which takes minutes")
def test_a_killed_build_goes_on(build, tmp_path):
    """Killed twice; the kernel is not there before it is, and then whole.

    What was compiled is not compiled again: the second log begins with less to
    do than the first.
    """
    need_tools()
    if not shutil.which("apt-get"):
        pytest.skip("apt-get is not installed")
    argv = [BUILD / "volt", "kernel", "build", "--package", "linux-source-6.1",
            "--with", OPTIONS, "--name", "small"]
    todo = []
    for number, objects in enumerate((100, 300)):
        log = tmp_path / f"log{number}"
        with open(log, "wb") as file:
            run = subprocess.Popen(argv, stderr=file,
                                   env=environment(tmp_path))
        end = time.monotonic() + 3000
        try:
            while run.poll() is None and time.monotonic() < end:
                if objects_in(tmp_path / "cache/build") > objects:
                    break
                time.sleep(2)
            assert run.poll() is None, log.read_text()
        finally:
            run.kill()
            run.wait(timeout=60)
        assert list((tmp_path / "store/names").iterdir()) == []
        todo += re.findall(r"building, 0 of (\d+) files", log.read_text())
    run = volt_build(tmp_path, *argv[3:], seconds=6000)
    assert run.returncode == 0 and "small: added" in run.stdout, run.stderr
    todo += re.findall(r"building, \d+ of (\d+) files", run.stderr)[-1:]
    assert len(todo) == 3, todo
    assert int(todo[0]) > int(todo[1]) + 50 > int(todo[2]) + 50, todo
    assert list((tmp_path / "store/tmp").iterdir()) == []
    assert not list((tmp_path / "cache/build").glob("build-*"))
    info = subprocess.run([BUILD / "volt", "kernel", "info"], text=True,
                          capture_output=True, timeout=60, check=True,
                          env=environment(tmp_path)).stdout
    for what in DRIVEN:
        assert re.search(rf"{what} +built in", info), info
    # And so it does: the guests of these tests on that kernel.
    kernel = subprocess.run([BUILD / "volt", "kernel", "path"], text=True,
                            capture_output=True, timeout=60, check=True,
                            env=environment(tmp_path)).stdout.strip()
    for name in OPTIONS.split(","):
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
             ROOT / f"tests/e2e/test_linux_{name}.py"], text=True,
            capture_output=True, timeout=2400, check=False,
            env={**os.environ, "VOLT_TEST_KERNEL": kernel,
                 "VOLT_TEST_LONG": "0"})
        assert run.returncode == 0, run.stdout[-5000:]
    out, log = in_lab(["sh", "-c", KEYS, "sh", BUILD / "volt-vmm", kernel,
                       said(ROOT / "tests/initramfs/build")], tmp_path, 300)
    assert "code 0" in out and "Restarting system" in out, out + log
