# SPDX-License-Identifier: Apache-2.0
"""volt snapshot, restore and inspect, with bare-metal guests."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import Api
from patience import killed_at_last
from test_cli_run import VOLT, Cli


@pytest.fixture
def cli(vmm, tmp_path):
    return Cli(vmm, tmp_path)


@pytest.fixture
def saved(cli, tmp_path):
    """A VM that ticks, saved while it ran."""
    run = cli.start("ticker", "--name", "first")
    run.wait_for("tick")
    done = cli("snapshot", "first", tmp_path / "snap")
    assert (done.returncode, done.stderr) == (0, "")
    run.wait_for("tick")  # it goes on
    return tmp_path / "snap"


def restore(cli, folder, name, *args):
    words = [f"{key}={value}" for key, value in cli.env.items()]
    return cli.vmm.spawn(["env", *words, VOLT, "restore", "--name", name,
                          *args, folder])


def test_clones_go_on_and_are_listed(cli, saved):
    clones = [restore(cli, saved, name) for name in ("second", "third")]
    for clone in clones:
        clone.wait_for("tick")
    assert {row[0] for row in cli.rows()} == {"first", "second", "third"}
    assert cli("stop", "--wait", "0", "second").returncode == 0
    clones[1].wait_for("tick")


def test_inspect(cli, saved):
    done = cli("snapshot", "inspect", saved)
    assert done.returncode == 0, done.stdout
    for word in ("1 vCPU", "32 MiB", "serial", "CRC-64", "right"):
        assert word in done.stdout
    facts = json.loads(cli("snapshot", "inspect", "--json", saved).stdout)
    assert facts["crc_ok"] and facts["memory_ok"]
    assert facts["memory_bytes"] == facts["memory_file_bytes"] == 32 << 20
    assert facts["memory_file_stored_bytes"] < 8 << 20  # what it used
    assert "serial" in facts["devices"].split()


@pytest.fixture
def two_files(cli, tmp_path):
    """As a client saves it, of a VM with a drive by a relative path."""
    (tmp_path / "a.img").write_bytes(bytes(1 << 20))
    words = [f"{key}={value}" for key, value in cli.env.items()]
    run = cli.vmm.spawn(["env", "-C", tmp_path, *words, VOLT, "run", "--name",
                         "first", "--kernel", cli.vmm.guest("ticker"),
                         "--memory", "32", "--disk", "a.img"])
    run.wait_for("tick")
    api = Api(cli.folder / "volt/first.sock")
    assert api.call("PATCH", "/vm", {"state": "Paused"})[0] == 204
    assert api.call("PUT", "/snapshot/create", {
        "snapshot_path": f"{tmp_path}/vm.state",
        "mem_file_path": f"{tmp_path}/vm.mem",
        "memory_checksum": True})[0] == 204
    # Clients read what they gave.
    drives = api.call("GET", "/vm/config")[1]["drives"]
    assert [drive["path_on_host"] for drive in drives] == ["a.img"]
    assert cli("stop", "--wait", "0", "first").returncode == 0
    return tmp_path / "vm.state", tmp_path / "vm.mem"


def test_two_files_of_the_api(cli, two_files):
    state, memory = two_files
    done = cli("snapshot", "inspect", "--verify", state, memory)
    assert done.returncode == 0, done.stdout
    assert f"memory    {memory}: 32768 KiB" in done.stdout
    assert "size right\n" in done.stdout and ": right" in done.stdout
    done = cli("snapshot", "inspect", state)
    assert done.returncode == 0, done.stdout
    assert "memory    not looked at: give its file, too" in done.stdout
    facts = json.loads(cli("snapshot", "inspect", "--json", state).stdout)
    assert facts["crc_ok"] and facts["memory_ok"] is None
    assert facts["memory_file"] is None
    done = cli("snapshot", "inspect", "--verify", state)
    assert done.returncode == 1 and "--verify reads the memory" in done.stderr
    words = [f"{key}={value}" for key, value in cli.env.items()]
    clone = cli.vmm.spawn(["env", "-C", "/", *words, VOLT, "restore", "--name",
                           "third", state, memory])
    clone.wait_for("tick")
    assert config_of(cli, "third")["drives"][0]["path_on_host"] == \
        f"{state.parent}/a.img"


def test_state_of_two_files_that_is_damaged(cli, two_files):
    state, memory = two_files
    text = state.read_text()
    state.write_text(text.replace('"vcpu_count":1', '"vcpu_count":2'))
    for words in ([state], [state, memory]):
        done = cli("snapshot", "inspect", *words)
        assert done.returncode == 1 and "WRONG, the file was" in done.stdout
    state.write_text(text)
    os.truncate(memory, 1 << 20)
    done = cli("snapshot", "inspect", state, memory)
    assert done.returncode == 1 and "WRONG size" in done.stdout


def test_inspect_sees_damage(cli, saved):
    state = saved / "state.json"
    text = state.read_text()
    state.write_text(text.replace('"vcpu_count":1', '"vcpu_count":2'))
    done = cli("snapshot", "inspect", saved)
    assert done.returncode == 1 and "WRONG, the file was changed" in done.stdout
    state.write_text(text)
    with open(saved / "memory.snap", "r+b") as memory:
        memory.truncate(1 << 20)
    done = cli("snapshot", "inspect", saved)
    assert done.returncode == 1 and "WRONG size" in done.stdout
    state.write_text(text[:1000])
    done = cli("snapshot", "inspect", saved)
    assert done.returncode == 1 and "damaged" in done.stderr


@pytest.fixture
def with_devices(cli, tmp_path):
    """A saved VM with two drives and a vsock device."""
    for name in ("a.img", "b.img", "c.img"):
        (tmp_path / name).write_bytes(bytes(1 << 20))
    run = cli.start("ticker", "--name", "first", "--disk",
                    tmp_path / "a.img", "--disk",
                    f"{tmp_path}/b.img,ro,id=data", "--vsock",
                    f"cid=3,path={tmp_path}/v1.sock")
    run.wait_for("tick")
    assert cli("snapshot", "first", tmp_path / "snap").returncode == 0
    return tmp_path / "snap"


def config_of(cli, name):
    return Api(cli.folder / f"volt/{name}.sock").call("GET", "/vm/config")[1]


def state_of(cli, name):
    return Api(cli.folder / f"volt/{name}.sock").call("GET", "/")[1]["state"]


def test_pause_and_resume(cli):
    run = cli.start("ticker", "--name", "web")
    run.wait_for("tick")
    for _ in range(2):  # twice is no error
        done = cli("pause", "web")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert state_of(cli, "web") == "Paused"
    while run.read_some(0.2):
        pass  # what was on its way
    assert run.read_some(0.5) is None
    for _ in range(2):
        done = cli("resume", "web")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert state_of(cli, "web") == "Running"
    run.wait_for("tick")


def test_pause_and_resume_of_whom(cli):
    for command in "pause", "resume":
        done = cli(command, "nobody")
        assert done.returncode == 1 and "no VM named nobody" in done.stderr
        for args in (), ("a", "b"), ("../x",), ("--frob", "a"):
            assert cli(command, *args).returncode == 64
        assert cli(command, "--help").stdout.startswith(
            f"Usage: volt {command} NAME")


def test_a_snapshot_that_fails_pauses_nobody(cli, tmp_path):
    """With --pause too, unless the VM was paused before."""
    run = cli.start("ticker", "--name", "web")
    run.wait_for("tick")
    (tmp_path / "snap/state.json").mkdir(parents=True)
    for args in (), ("--pause",):
        done = cli("snapshot", *args, "web", tmp_path / "snap")
        assert done.returncode == 1 and "the VM cannot be saved: " in done.stderr
        assert state_of(cli, "web") == "Running"
    assert cli("pause", "web").returncode == 0
    assert cli("snapshot", "--pause", "web", tmp_path / "snap").returncode == 1
    assert state_of(cli, "web") == "Paused"


def test_a_snapshot_of_nobody_leaves_nothing(cli, tmp_path):
    assert cli("snapshot", "nobody", tmp_path / "x").returncode == 1
    assert not (tmp_path / "x").exists()


def test_a_snapshot_that_takes_long(cli, tmp_path):
    """There is no limit, and somebody who waits is told."""
    run = cli.start("ticker", "--name", "web")
    run.wait_for("tick")
    words = [f"{key}={value}" for key, value in cli.env.items()]
    vmm = Api(cli.folder / "volt/web.sock")
    os.kill(run.pid, signal.SIGSTOP)
    with killed_at_last(subprocess.Popen(
            ["env", *words, VOLT, "snapshot", "web", tmp_path / "snap"],
            text=True, stderr=subprocess.PIPE)) as saving:
        line = saving.stderr.readline()  # after ten seconds, and it goes on
        os.kill(run.pid, signal.SIGCONT)
        assert line == "volt snapshot: saving, 10 s, 0 MiB\n"
        assert saving.wait(60) == 0
    assert vmm.call("GET", "/")[1]["state"] == "Running"
    assert cli("snapshot", "inspect", tmp_path / "snap").returncode == 0


def test_a_clone_with_back_ends_of_its_own(cli, with_devices, tmp_path):
    shown = cli("snapshot", "inspect", with_devices).stdout
    for line in (f"drive     disk0={tmp_path}/a.img",
                 f"drive     data={tmp_path}/b.img (read only)",
                 f"vsock     {tmp_path}/v1.sock"):
        assert line in shown.splitlines()
    clone = restore(cli, with_devices, "second", "--disk",
                    f"data={tmp_path}/c.img", "--vsock", tmp_path / "v2.sock",
                    "--clock", "realtime", "--share-drives")
    clone.wait_for("tick")
    config = config_of(cli, "second")
    assert [d["path_on_host"] for d in config["drives"]] == [
        str(tmp_path / "a.img"), str(tmp_path / "c.img")]
    assert config["vsock"]["uds_path"] == str(tmp_path / "v2.sock")
    assert (tmp_path / "v2.sock").is_socket()


def test_a_clone_that_waits(cli, saved):
    clone = restore(cli, saved, "second", "--paused")
    api = Api(cli.folder / "volt/second.sock")
    api.wait()
    assert api.call("GET", "/")[1]["state"] == "Paused"
    assert api.call("GET", "/volt/vm") == (200, {
        "waits": True, "leased": False, "began_ns": 0})
    asked = time.monotonic_ns()
    api.set("PATCH", "/vm", {"state": "Resumed"})
    clone.wait_for("tick")
    api.set("PATCH", "/vm", {"state": "Paused"})
    told = api.call("GET", "/volt/vm")[1]
    assert told["waits"] is False
    assert asked < told["began_ns"] < time.monotonic_ns()


@pytest.mark.parametrize("args, code, text", [
    (["--disk", "x=/dev/null"], 1, "Unknown Drive x; those of the snapshot: "
                                   "disk0 data"),
    (["--disk", "data"], 1, "with --restore it takes ID=PATH, the id that "
                              "the snapshot knows it by, not 'data'"),
    (["--disk", "data=/none"], 1, "No such file or directory"),
    (["--net", "net0=vt9"], 1, "Unknown Network Device"),
    (["--vsock", "/none/v.sock"], 1, "No such file or directory"),
    (["--clock", "now"], 64, "--clock takes snapshot|realtime, not 'now'"),
])
def test_a_clone_that_cannot_be(cli, with_devices, args, code, text):
    result = restore(cli, with_devices, "second", "--share-drives",
                     *args).finish()
    assert result.code == code
    assert text in result.log


def test_contents_of_the_memory(cli, saved, tmp_path):
    """A checksum finds a byte that changed where the size did not."""
    done = cli("snapshot", "inspect", "--verify", saved)
    assert done.returncode == 2, done.stdout  # not 1: it is not damaged
    assert ": size right, contents not checked\n" in done.stdout
    assert "WRONG" not in done.stdout
    assert ("contents  cannot be checked: the snapshot was saved without "
            "--checksum") in done.stdout
    folder = tmp_path / "sealed"
    done = cli("snapshot", "--checksum", "first", folder)
    assert (done.returncode, done.stderr) == (0, "")
    done = cli("snapshot", "inspect", "--verify", folder)
    assert done.returncode == 0, done.stdout
    assert re.search("contents  CRC-64 [0-9a-f]{16}: right", done.stdout)
    facts = json.loads(cli("snapshot", "inspect", "--json", "--verify",
                           folder).stdout)
    assert facts["memory_crc_ok"] is True
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", "--sparse=never", folder, copy], check=True)
    assert cli("snapshot", "inspect", "--verify", copy).returncode == 0
    with open(copy / "memory.snap", "r+b") as memory:
        memory.seek(20 << 20)
        memory.write(b"x")
    assert cli("snapshot", "inspect", copy).returncode == 0  # not looked at
    done = cli("snapshot", "inspect", "--verify", copy)
    assert done.returncode == 1
    assert "WRONG, the file was changed" in done.stdout
    clone = restore(cli, folder, "second")
    clone.wait_for("tick")


def test_pause(cli, tmp_path):
    run = cli.start("ticker", "--name", "still")
    run.wait_for("tick")
    assert cli("snapshot", "--pause", "still", tmp_path / "s").returncode == 0
    row = next(row for row in cli.rows() if row[0] == "still")
    assert "Paused" in row


def test_errors_say_what_is_wrong(cli, tmp_path):
    done = cli("snapshot", "nobody", tmp_path / "x")
    assert done.returncode == 1 and "nobody" in done.stderr
    assert not (tmp_path / "x").exists()
    (tmp_path / "file").write_text("")
    run = cli.start("ticker", "--name", "web")
    run.wait_for("tick")
    for where, words in (("file", "no directory"), ("none/x", "cannot find"),
                         ("file/x", "cannot find")):
        done = cli("snapshot", "web", tmp_path / where)
        assert done.returncode == 1 and words in done.stderr
    # What was made for a save that fails is not left behind.
    limit = ["prlimit", f"--pid={run.pid}"]
    subprocess.run([*limit, "--fsize=1024:"], check=True)
    done = cli("snapshot", "web", tmp_path / "d")
    assert done.returncode == 1 and "File too large" in done.stderr
    assert not (tmp_path / "d").exists()
    subprocess.run([*limit, "--fsize=unlimited:"], check=True)
    done = cli("snapshot", "web", tmp_path / "s")
    assert done.returncode == 0
    assert re.fullmatch(r"saved web into \S+: 32 MiB of memory, \d+ KiB on the "
                        r"disk\n", done.stdout)
    done = cli("restore", tmp_path / "file")
    assert done.returncode == 1 and "no directory" in done.stderr
    done = cli("snapshot", "inspect", tmp_path / "nothing")
    assert done.returncode == 1 and "directory of a snapshot" in done.stderr
    assert cli("snapshot", "inspect").returncode == 64
    assert cli("restore").returncode == 64
    done = cli("restore", tmp_path / "nothing")
    assert done.returncode == 1 and "nothing" in done.stderr


def test_a_new_directory(cli, tmp_path, monkeypatch):
    """Of any spelling; a snapshot that fails leaves none."""
    run = cli.start("ticker", "--name", "first")
    run.wait_for("tick")
    monkeypatch.chdir(tmp_path)
    for name in ("a", "./b/", f"{tmp_path}/c"):
        done = cli("snapshot", "first", name)
        assert (done.returncode, done.stderr) == (0, "")
        assert cli("snapshot", "inspect", name).returncode == 0
    subprocess.run(["prlimit", f"--pid={run.pid}", "--fsize=65536:"],
                   check=True)
    assert cli("snapshot", "first", "d").returncode == 1
    assert cli("snapshot", "first", "none/e").returncode == 1
    assert cli("snapshot", "nobody", "f").returncode == 1
    for name in ("d", "none", "f"):
        assert not (tmp_path / name).exists()


def test_help_teaches(cli):
    for command in ("snapshot", "restore"):
        done = cli(command, "--help")
        assert done.returncode == 0 and "DIR" in done.stdout
