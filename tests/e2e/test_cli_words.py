# SPDX-License-Identifier: Apache-2.0
"""What a person reads when volt run, restore or snapshot cannot do it.

One sentence: what failed, the name that was typed, what to type now. None of
Firecracker's prefixes, no "os error", no second line.
"""

import os
import subprocess

import pytest

import netns
from conftest import need_tun
from test_cli_run import VOLT, Cli

# What only a client of the API is owed.
NOT_A_PERSONS = ("os error", "Start microvm error", "Load snapshot error",
                 "Kernel Loader", "System configuration error",
                 "Failed to restore", "Failed to get", "anonymous-instance",
                 "Firecracker exiting", "Arguments parsing error", "ifreq",
                 "Could not create the network device", "bytes is not")


@pytest.fixture
def cli(vmm, tmp_path):
    return Cli(vmm, tmp_path)


def assert_sentence(done, code, words):
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert words in done.stderr, done.stderr
    for text in NOT_A_PERSONS:
        assert text not in done.stderr, done.stderr


def make_files(folder):
    (folder / "dir").mkdir()
    (folder / "text").write_text("no kernel at all, whatever it is named\n")
    (folder / "empty").write_text("")
    (folder / "odd").write_bytes(b"x" * 1000)
    os.mkfifo(folder / "fifo")


RUN = [
    (["--kernel", "./none"], 1, "Cannot open the kernel ./none: No such file"),
    (["--kernel", "none"], 1, "There is neither a kernel named none"),
    (["--kernel", "dir"], 1, "dir is a directory: give the kernel file in it"),
    (["--kernel", "text"], 1, "text is a text file; give an x86-64 Linux"),
    (["--kernel", "empty"], 1, "The kernel empty is an empty file"),
    (["--kernel", "fifo"], 1, "open the kernel fifo: it is no regular file"),
    (["--kernel", "/dev/null"], 1, "/dev/null: it is no regular file"),
    (["--memory", "8"], 1, "--memory 8 (MiB) is not possible: from 16 MiB"),
    (["--memory", "1024T"], 1, "from 16 MiB to 4 TiB"),
    (["--hotplug-memory", "200M"], 1, "a multiple of 128 MiB is, up to"),
    (["--hotplug-memory", "4096T"], 1, "a multiple of 128 MiB is, up to"),
    (["--initrd", "none"], 1, "Cannot open the initrd none: No such file"),
    (["--initrd", "dir"], 1, "dir is a directory: give the initrd file in it"),
    (["--initrd", "fifo"], 1, "open the initrd fifo: it is no regular file"),
    (["--disk", "fifo"], 1, "Cannot open the disk fifo: Block device"),
    (["--disk", "none"], 1, "Cannot open the disk none: No such file"),
    (["--disk", "dir"], 1, "Cannot open the disk dir: Is a directory"),
    (["--disk", "/dev/null"], 1, "Cannot open the disk /dev/null"),
    (["--disk", "odd", "--disk", "odd"], 1, "odd is in use by drive disk0"),
    (["--disk", "odd,id=a", "--disk", "text,id=a"], 1, "two drives a"),
    (["--disk", "odd,ro,zzz"], 1, "unknown word 'zzz'"),
    (["--disk", "odd,ro,ro"], 1, "--disk odd,ro,ro: 'ro' is given twice"),
    (["--disk", "odd,id=a,ro,id=b"], 1, "'id' is given twice"),
    (["--disk", "odd,cache=unsafe,cache=writeback"], 1, "'cache' is given tw"),
    (["--net", "tap=a,tap=b"], 1, "--net tap=a,tap=b: 'tap' is given twice"),
    (["--net", "tap=a,vhost,vhost"], 1, "'vhost' is given twice"),
    (["--net", "tap=a,mtu=99,mtu=99"], 1, "'mtu' is given twice"),
    (["--net", "tap=nope0"], 1, "there is no tap nope0: `sudo volt net add "
                                  "nope0` makes one"),
    (["--net", "tap=" + "x" * 16], 1, "at most 15 characters"),
    (["--net", "tap=lo"], 1, "lo is no tap"),
    (["--net", "tap="], 1, "no tap in"),
    (["--vsock", "cid=1,path=v"], 1, "it takes path=SOCKET and cid=N"),
    (["--vsock", "path=none/v"], 1, "cannot listen at none/v: No such file"),
    (["--vsock", "path=text"], 1, "cannot listen at text: Address already"),
    (["--cmdline", "x" * 3000], 1, "3000 characters; 2047 is the most"),
    (["--cpus", "0"], 64, "--cpus takes a number from 1 to 32, not '0'"),
    (["--kernel", "a", "--kernel", "b"], 64, "--kernel is given more than"),
    (["--cmdline"], 64, "--cmdline needs a value"),
    (["--", "--nope"], 153, "there is no option '--nope'"),
    (["--", "--level"], 153, "--level needs a value: --level LEVEL"),
    (["--", "--level", "loud"], 152, "loud"),
    (["--", "--id", "web"], 153, "--id is given more than once"),
    (["--", "--start-time-us", "soon"], 153, "takes a number, not 'soon'"),
]


@pytest.mark.parametrize("args, code, words", RUN,
                         ids=[" ".join(x[0])[:40] for x in RUN])
def test_run(cli, tmp_path, args, code, words):
    if "tap=lo" in args:
        need_tun()
    make_files(tmp_path)
    if "--kernel" not in args:
        args = ["--kernel", cli.vmm.guest("hello"), *args]
    done = cli("run", "--name", "web", *args, cwd=tmp_path)
    assert_sentence(done, code, words)
    assert cli.sockets() == []


@pytest.mark.parametrize("command", ["kernel", "pool", "net"])
def test_a_form_that_there_is_not(cli, command):
    for words, said in (([], "which of its forms?"),
                        (["chekc"], "it has no form 'chekc'")):
        done = cli(command, *words)
        assert_sentence(done, 64, said)
        assert f"see `volt {command} --help`" in done.stderr


@pytest.fixture(scope="module")
def saved(build, tmp_path_factory):
    """A snapshot of a VM with one disk."""
    from conftest import Vmm
    folder = tmp_path_factory.mktemp("saved")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")
    cli = Cli(Vmm(folder), folder)
    with open(folder / "disk", "wb") as disk:
        disk.truncate(1 << 20)
    run = cli.start("ticker", "--name", "web", "--disk", f"{folder}/disk")
    run.wait_for("tick")
    done = cli("snapshot", "web", folder / "s")
    assert done.returncode == 0, done.stderr
    assert cli("stop", "--wait", "0", "web").returncode == 0
    cli.vmm.close()
    return folder


RESTORE = [
    (["none"], 1, "cannot read none: No such file"),
    (["text"], 1, "text is no directory"),
    (["dir"], 1, "Cannot read dir/state.json: No such file or directory"),
    (["S", "--disk", "disk0=none"], 1, "drive disk0: Cannot open the disk "
                                       "none: No such file or directory; "
                                       "--disk disk0=PATH names another"),
    (["S", "--disk", "disk0=empty"], 1, "empty for drive disk0 is empty"),
    (["S", "--disk", "disk0=odd"], 1, "has 1000 bytes, which is no multiple"),
    (["S", "--disk", "disk0=a", "--disk", "disk0=b"], 1,
     "--disk: disk0 is given twice"),
    (["S", "--net", "a=b", "--net", "a=c"], 1, "--net: a is given twice"),
    (["S", "--disk", "disk0"], 1, "with --restore it takes ID=PATH"),
    (["S", "--disk", "x=odd"], 1, "those of the snapshot: disk0"),
    (["S", "--paused", "--", "--no-api"], 153, "--no-api does not go with"),
    (["S", "--", "--nope"], 153, "there is no option '--nope'"),
    (["S", "--", "--initrd", "x"], 153, "--initrd needs --kernel"),
    (["S", "--", "--cpus", "2"], 153, "--cpus does not go with --restore"),
    (["S", "T"], 1, "is a directory and has the memory in it: nothing belongs "
                    "behind it, not T"),
    (["S", "T", "U"], 64, "one word too many: 'U'"),
    (["text", "odd"], 1, "text: This is not the state of a Volt"),
    (["none", "odd"], 1, "cannot read none: No such file"),
    (["S/state.json", "none"], 1, "Cannot read none: No such file"),
    (["S/state.json", "odd"], 1, "odd"),
    ([], 64, "it takes [OPTIONS] DIR"),
]


@pytest.mark.parametrize("args, code, words", RESTORE,
                         ids=[" ".join(x[0])[:40] for x in RESTORE])
def test_restore(cli, saved, tmp_path, args, code, words):
    make_files(tmp_path)
    args = [str(saved / "s") + x[1:] if x[0] == "S" else x for x in args]
    done = cli("restore", "--name", "web", *args, cwd=tmp_path)
    assert_sentence(done, code, words)
    assert cli.sockets() == []


def test_denied_to_root(cli, tmp_path):
    """Root that a container or a file system does not let pass."""
    if os.geteuid() != 0:
        pytest.skip("only root can be such a root")
    (tmp_path / "s").mkdir()
    for name in ("state.json", "memory.snap", "kernel"):
        (tmp_path / "s" / name).write_text("{}")
        (tmp_path / "s" / name).chmod(0o600)
        os.chown(tmp_path / "s" / name, 1234, 1234)
    weak = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]

    def run(*words):
        return subprocess.run([*weak, VOLT, *words], cwd=tmp_path, text=True,
                              env={**os.environ, **cli.env}, check=False,
                              capture_output=True, timeout=60)
    for words in (["restore", "s"], ["snapshot", "inspect", "s"],
                  ["snapshot", "merge", "s", "s"], ["snapshot", "squash", "s"],
                  ["run", "--kernel", "s/kernel"],
                  ["run", "--kernel", cli.vmm.guest("hello"), "--disk",
                   "s/memory.snap"]):
        assert_sentence(run(*words), 1, ": Permission denied; it is user "
                                        "1234's, mode 600: try as that user, "
                                        "or give user 0 the right, which is "
                                        "not almighty here")
    os.chown(tmp_path / "s", 1234, 1234)
    (tmp_path / "s").chmod(0o700)
    for words in (["restore", "s"], ["snapshot", "inspect", "s"]):
        assert_sentence(run(*words), 1, "s")
    assert "closed to user 0" in run("snapshot", "inspect", "s").stderr
    assert cli.sockets() == []


def test_a_folder_that_the_vm_may_not_write_to(cli, tmp_path):
    """The VM's process writes, not `volt`: whose rights it has is said."""
    if os.geteuid() != 0:
        pytest.skip("needs another user's folder")
    weak = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    words = [f"{key}={value}" for key, value in cli.env.items()]
    run = cli.vmm.spawn([*weak, "env", *words, VOLT, "run", "--name", "web",
                         "--kernel", cli.vmm.guest("ticker"), "--memory",
                         "32"])
    run.wait_for("tick")
    (tmp_path / "d").mkdir(mode=0o700)
    os.chown(tmp_path / "d", 1234, 1234)
    for folder in (tmp_path / "d", tmp_path / "d/new"):
        assert_sentence(cli("snapshot", "web", folder), 1,
                        f"the VM cannot be saved: its process ({run.pid}) may "
                        f"not write into {folder}")
    run.wait_for("tick")  # it goes on
    assert list((tmp_path / "d").iterdir()) == []


def test_one_sentence_to_each(build, tmp_path):
    """A client reads Firecracker's words of the same mistake."""
    done = subprocess.run(
        [build / "volt-vmm", "--restore", "none", "--log-path", "log"],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("volt-vmm: Cannot read none/state.json")
    log = (tmp_path / "log").read_text()
    assert ("Load snapshot error: Failed to restore from snapshot: Failed to "
            "get snapshot state from file: Failed to open snapshot file: No "
            "such file or directory (os error 2)") in log
    assert "Firecracker exiting with error. exit_code=1" in log


def test_odd_disks_are_named_in_the_log(cli, tmp_path):
    make_files(tmp_path)
    (tmp_path / "q.img").write_bytes(b"QFI\xfb" + bytes(1020))
    done = cli("run", "--kernel", cli.vmm.guest("hello"), "--disk", "q.img",
               "--disk", "odd", cwd=tmp_path)
    assert done.returncode == 0
    assert "q.img is a qcow2 image" in done.stderr
    assert "qemu-img convert -O raw q.img NEW" in done.stderr
    assert "the last 488 bytes of odd" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_taps(cli, tmp_path):
    """A tap that is down, and one that another VM has."""
    need_tun()
    ns = netns.Namespace()
    try:
        ns.run("ip", "tuntap", "add", "vtap0", "mode", "tap")
        words = ["env", *(f"{k}={v}" for k, v in cli.env.items()), VOLT, "run",
                 "--kernel", cli.vmm.guest("spin"), "--net", "tap=vtap0"]
        assert_sentence(ns.run(*words, ok=False), 1,
                        "the tap vtap0 is down: `sudo ip link set vtap0 up`")
        ns.run("ip", "link", "set", "vtap0", "up")
        first = cli.vmm.spawn([*ns.join, *words, "--name", "web"])
        first.wait_for("spinning")
        assert_sentence(ns.run(*words, ok=False), 1,
                        "the tap vtap0 is in use by VM web (process ")
    finally:
        ns.close()
