# SPDX-License-Identifier: Apache-2.0
"""`volt run IMAGE` and `volt exec` with a stock kernel, in the lab.

The image is an ext4 with busybox; image_linux.py on the lab's host. One VM is
booted for all. make check-long: 100 MiB through a command, more VMs, images of
many layers and a Debian.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import (BUILD, LONG, ROOT, debian_tar, in_lab, long_only, mkfs_ext4,
                      need_lab, runs_linux, said, stock_store)
from test_images import Images, entry, folder, layout, packed, tar

CASES = ["up", "as-it-says", "ends", "streams", "users", "transfer", "reader",
         "terminal", "signals", "killed", "copies", "warm", "attached", "end",
         "interrupted",
         "background"] + \
    (["cold", "memory", "run-killed", "ended", "no-root", "layer",
      "ten"] if LONG else [])
HERE = Path(__file__).parent
LINKS = ("sh", "cat", "dd", "echo", "env", "false", "grep", "id", "kill", "ls",
         "ps", "rm", "date", "hostname", "sleep", "sort", "stty", "tail", "true",
         "tty")


def make_tree(place):
    tree = place / "tree"
    for name in ("bin", "etc", "root", "tmp"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for name in LINKS:
        (tree / "bin" / name).symlink_to("busybox")
    (tree / "bin/noexec").write_text("words\n")
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n"
                                     "web:x:33:34::/tmp:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\nweb:x:34:\nlog:x:40:web\n")
    return tree


def make_image(place):
    return mkfs_ext4(make_tree(place), place / "root.img", "16M")


def make_stored(place, tree):
    """An image of two layers that says how it is run; its store."""
    images = Images(place / "images")
    layers = [packed(tree, place / "tree.tar").read_bytes(),
              tar(folder("srv", mode=0o1777))]
    images.ok("add", str(layout(
        place / "layout", layers, "team/app:1", Entrypoint=["sh", "-c"],
        Cmd=["echo up; pwd >/srv/said; echo $A$B >>/srv/said; cat >/kept; "
             "exit 42"], Env=["PATH=/bin", "A=image", "B=image"],
        WorkingDir="/srv")))
    return images


@pytest.fixture(scope="module")
def said_in_lab(build, tmp_path_factory):
    need_lab()
    place = tmp_path_factory.mktemp("image")
    said(ROOT / "tests/kernel/stock", "--print", "vmlinux")
    image = make_image(place)
    images = make_stored(place, place / "tree")
    out, log = in_lab(
        ["env", f"VOLT_STORE={stock_store()}",
         f"VOLT_IMAGES={images.folder}", "VOLT_CACHE=/tmp/cache", sys.executable,
         HERE / "image_linux.py", BUILD / "volt", "debian", "team/app:1",
         images.info("team/app:1")["file"], image,
         *(["100", "long"] if LONG else ["4"])],
        place, 1700 if LONG else 600)
    return out.splitlines(), log[:1500] + log[-1500:]


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES)
def test_image(said_in_lab, case):
    lines, log = said_in_lab
    assert f"ok {case}" in lines, "\n".join(lines) + "\n" + log


def layers_on(base, count):
    """Each adds a file, takes one of its like away and has the last word."""
    yield base
    for n in range(1, count):
        gone = [entry(f"l/.wh.{n - 1}")] if n % 3 == 2 else []
        yield tar(folder("l"), *gone, entry(f"l/{n}", b"x"),
                  entry("last", b"%d\n" % n))


@pytest.mark.lab
@long_only("a Debian is made, and three guests boot")
def test_images_of_all_kinds(build, tmp_path):
    """Of 12 and of 60 layers, and a whole Debian."""
    need_lab()
    said(ROOT / "tests/kernel/stock", "--print", "vmlinux")
    images = Images(tmp_path / "images")
    base = packed(make_tree(tmp_path), tmp_path / "tree.tar").read_bytes()
    for count in 12, 60:
        images.ok("add", str(layout(tmp_path / f"l{count}",
                                    list(layers_on(base, count)),
                                    f"layers:{count}")))
    images.ok("add", "--name", "debian", str(debian_tar(tmp_path)))
    script = tmp_path / "script"
    script.write_text("".join(
        f"{BUILD}/volt run --kernel debian --memory 256M {words}; echo code $?\n"
        for words in (
            "layers:12 sh -c 'ls /l | sort -n; cat /last; exit 12'",
            "layers:60 sh -c 'ls /l | sort -n; cat /last; exit 60'",
            "debian sh -c 'dpkg -s dpkg | head -n 1; ls -l /dev/null'")))
    out, log = in_lab(["env", f"VOLT_STORE={stock_store()}",
                       f"VOLT_IMAGES={images.folder}", "VOLT_CACHE=/tmp/cache",
                       "sh", script], tmp_path, 900)
    wish = [line for count in (12, 60) for line in (
        *(str(n) for n in range(1, count) if n % 3 != 1 or n == count - 1),
        str(count - 1), f"code {count}")]
    lines = out.splitlines()
    assert lines[:len(wish)] == wish, out + log[-3000:]
    package, null, code = lines[len(wish):]
    assert (package, code) == ("Package: dpkg", "code 0"), out
    assert null.startswith("crw-rw-rw- 1 root root 1, 3 "), out


def volt_run(*words, store="/nonexistent"):
    return subprocess.run(
        [BUILD / "volt", "run", *words], timeout=60, check=False, text=True,
        capture_output=True, env={**os.environ, "VOLT_STORE": store,
                                  "VOLT_IMAGES": "/nonexistent"})


@pytest.mark.parametrize("words, code, said_so", [
    (["./x"], 125, "The image does not say what to run"),
    (["-i"], 64, "--interactive is of an IMAGE"),
    (["--initrd", "x", "./x", "true"], 64, "--initrd does not go with"),
    (["-it", "./x", "true"], 64, "standard input is no terminal"),
    (["-z", "./x", "true"], 64, "there is no option '-z'"),
    (["x", "true"], 125, "There is no image x"),
    (["not/there", "true"], 125, "There is no image not/there"),
    (["./x", "true"], 125, "There is no kernel yet"),
    (["--kernel", "./k", "./x", "true"], 125, "a kernel that has a name"),
], ids=str)
def test_what_is_no_command(build, words, code, said_so):
    run = volt_run(*words)
    assert (run.returncode, run.stdout) == (code, ""), run
    assert said_so in run.stderr and run.stderr.count("\n") == 1, run


def test_a_host_without_linux(build, tmp_path):
    """A sentence, and the two ways on."""
    if runs_linux():
        pytest.skip("this host's KVM runs Linux")
    said(ROOT / "tests/kernel/stock", "--print", "vmlinux")
    run = volt_run("--kernel", "debian", make_image(tmp_path), "true",
                   store=stock_store())
    assert (run.returncode, run.stdout) == (125, ""), run
    assert "another host runs this image, and so does the lab" in run.stderr


def test_the_agent_is_small(build):
    """It is in memory of each such guest, twice while that boots."""
    data = (BUILD / "src/agent/volt-agent").read_bytes()
    if b"GNU C Library" in data:
        pytest.skip("this build has no musl, whose agent ships")
    assert len(data) <= 256 << 10
