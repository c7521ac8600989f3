# SPDX-License-Identifier: Apache-2.0
"""--sandbox-first: locked, then configured or loaded, through the gate."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from apiclient import gate_of
from conftest import BUILD, Api, Vmm, looks_into
from test_gate import is_gone, until
from test_sandbox import (NOBODY, denying, needs_landlock, run, status,
                          under_filter)
from test_snapshot_diff import VOLT
from test_snapshot_state import config, taps  # noqa: F401
from test_snapshot_uffd import Handler, asked, end

VMM = BUILD / "volt-vmm"
PAGES = 256


class Locked:
    """A VM that is locked before anybody has named anything."""

    def __init__(self, vmm, folder, *flags, words=()):
        self.folder = folder
        sock = folder / f"first{len(vmm.started)}.sock"
        self.run = vmm.spawn([*words, VMM, "--api-sock", sock,
                              "--sandbox-first", *flags])
        self.api = Api(sock)
        self.api.wait()
        # In mode "off", too, it is the gate that opens.
        told = self.api.call("GET", "/volt/sandbox")[1]
        assert told["locked"] == ("off" not in flags)

    def put(self, url, **body):
        self.api.set("PUT", url, body)

    def refused(self, url, **body):
        status, answer = self.api.call("PUT", url, body)
        assert status == 400, answer
        return answer["fault_message"]

    def start(self):
        self.put("/actions", action_type="InstanceStart")

    def load(self, resume_vm=True, **body):
        self.put("/snapshot/load", resume_vm=resume_vm, **body)

    def save(self, folder, **body):
        self.api.set("PATCH", "/vm", {"state": "Paused"})
        self.put("/snapshot/create", snapshot_path=f"{folder}/", **body)

    def resume(self):
        self.api.set("PATCH", "/vm", {"state": "Resumed"})

    def kill(self):
        self.run.process.kill()
        self.run.finish()

    def terminate(self):
        self.run.process.terminate()
        self.run.finish()


@pytest.fixture
def locked(vmm, tmp_path):
    return lambda *flags, **more: Locked(vmm, tmp_path, *flags, **more)


@needs_landlock
@looks_into
def test_a_vm_is_made_ahead(locked, vmm):
    """KVM's VM waits for what it is to be, and is the one that it becomes.

    With the split chip and a vCPU; another one is made in its place."""
    one = locked()
    fds = Path(f"/proc/{one.run.process.pid}/fd")

    def of_kvm():
        return sorted(name for name in map(os.readlink, fds.iterdir())
                      if "kvm" in name)

    ahead = ["/dev/kvm", "anon_inode:kvm-vcpu:0", "anon_inode:kvm-vm"]
    assert of_kvm() == ahead
    one.put("/machine-config", vcpu_count=2, mem_size_mib=64)
    one.put("/boot-source", kernel_image_path=str(vmm.guest("spin")))
    one.start()
    assert of_kvm() == [*ahead[:2], "anon_inode:kvm-vcpu:1", ahead[2]]
    one.kill()


def test_one_clock_with_a_cpu_made_ahead(locked, vmm):
    """The others come when it has counted for more than a second."""
    one = locked("--sandbox", "off")
    time.sleep(1.5)
    boot(one, vmm, "tsc", vcpu_count=2)
    one.start()
    for _ in range(3):
        one.run.wait_for("tsc ")
    assert b"back" not in one.run.whole
    one.kill()


@pytest.mark.parametrize("flags, machine", [
    (["--irqchip", "full"], {}),
    ([], {"track_dirty_pages": True, "dirty_ring": True}),
], ids=["chips", "ring"])
def test_what_was_made_ahead_may_not_fit(locked, vmm, flags, machine):
    """Then there is another one, as if nothing had been made ahead."""
    one = locked("--sandbox", "off", *flags)
    boot(one, vmm, "ticker", **machine)
    one.start()
    one.run.wait_for("tick 2")
    one.kill()


def boot(vm, vmm, guest, args="none", memory=64, **machine):
    vm.put("/machine-config", mem_size_mib=memory,
           **{"vcpu_count": 1, **machine})
    vm.put("/boot-source", kernel_image_path=str(vmm.guest(guest)),
           boot_args=args)


USERS = [os.geteuid()] if os.geteuid() else [0, NOBODY]
MODES = ["off", pytest.param("strict", marks=needs_landlock)]


@pytest.fixture(params=USERS, ids=lambda user: f"uid-{user}")
def home(request):
    """A user's folder, and the words that make a program his."""
    folder = Path(tempfile.mkdtemp(prefix="volt-first-"))
    words = []
    if request.param != os.geteuid():
        # With a /dev/kvm of his own.
        node = folder / "kvm"
        os.mknod(node, 0o20666, os.makedev(10, 232))
        node.chmod(0o666)
        words = ["unshare", "-m", "sh", "-c",
                 "mount --make-rprivate / && mount --bind \"$0\" /dev/kvm && "
                 f"exec setpriv --reuid={request.param} "
                 f"--regid={request.param} --clear-groups \"$@\"", node]
        os.chown(folder, request.param, request.param)
    yield folder, words
    shutil.rmtree(folder)


def lines_of(path, text, seconds=60):
    """What is in @path once @text is."""
    until = time.monotonic() + seconds
    while text not in path.read_text():
        assert time.monotonic() < until, f"no {text} in {path}"
        time.sleep(0.01)
    return path.read_text().splitlines()


@pytest.mark.parametrize("mode", MODES)
def test_everything_is_put_and_started(build, home, mode):
    """For clients and guest there is no difference."""
    folder, words = home
    vmm = Vmm(folder)
    shutil.copy(vmm.guest("ticker"), folder / "kernel")
    for name in ("disk", "other"):
        (folder / name).write_bytes(bytes(1 << 20))
        (folder / name).chmod(0o666)
    vm = Locked(vmm, folder, "--sandbox", mode, words=words)
    try:
        vm.put("/logger", log_path=str(folder / "log"), level="Info")
        vm.put("/metrics", metrics_path=str(folder / "metrics"))
        vm.put("/serial", serial_out_path=str(folder / "nobody's"))
        vm.put("/serial", serial_out_path=str(folder / "serial"))
        assert "without kernel" in vm.refused("/actions",
                                              action_type="InstanceStart")
        assert "No such file or directory (os error 2)" in vm.refused(
            "/boot-source", kernel_image_path=str(folder / "missing"))
        vm.put("/boot-source", kernel_image_path=str(folder / "kernel"),
               initrd_path=str(folder / "disk"), boot_args="period=5")
        vm.put("/drives/a", drive_id="a", is_root_device=False,
               path_on_host=str(folder / "disk"))
        vm.put("/drives/b", drive_id="b", is_root_device=False,
               is_read_only=True, path_on_host=str(folder / "other"))
        assert "No such file or directory (os error 2)" in vm.refused(
            "/drives/c", drive_id="c", is_root_device=False,
            path_on_host=str(folder / "missing"))
        for name in ("v", "w", "w"):
            vm.put("/vsock", guest_cid=3, uds_path=str(folder / name))
        assert not (folder / "v").exists()
        vm.put("/entropy")
        vm.put("/balloon", amount_mib=0, deflate_on_oom=True)
        vm.start()
        assert lines_of(folder / "serial", "tick 3")[0] == "tick 0"
        vm.api.set("PATCH", "/drives/a", {
            "drive_id": "a", "path_on_host": str(folder / "other")})
        vm.save(folder / "s")
        assert (folder / "metrics").read_text()
        assert "executed successfully" in (folder / "log").read_text()
        vm.terminate()
        assert not (folder / "w").exists()
        assert vm.run.whole == b""
    finally:
        vmm.close()


@needs_landlock
@pytest.mark.parametrize("flags", [[], ["--isolate"]])
def test_who_ends_before_the_start_leaves_no_socket(locked, tmp_path, flags):
    vm = locked(*flags)
    vm.put("/vsock", guest_cid=3, uds_path=str(tmp_path / "v"))
    assert (tmp_path / "v").is_socket()
    vm.terminate()
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("half", ["guest process", "gate"])
def test_killing_either_half_before_the_start_ends_both(locked, half):
    """While the gate still makes what a configuration names."""
    vm = locked()
    gate = gate_of(vm.run.pid)
    os.kill(gate if half == "gate" else vm.run.pid, signal.SIGKILL)
    assert until(lambda: is_gone(vm.run.pid) and is_gone(gate))
    assert vm.run.finish().code == (1 if half == "gate" else -signal.SIGKILL)


@needs_landlock
def test_the_gate_is_locked_before_its_first_client(vmm, tmp_path):
    """By a filter that has a place for sockets and taps, and by the stricter
    one besides when the guest is to run."""
    trace, sock = tmp_path / "trace", tmp_path / "api.sock"
    one = vmm.spawn(["strace", "-D", "-f", "-o", trace, "-e", "trace=accept4,"
                     "landlock_restrict_self,seccomp", VMM, "--api-sock", sock,
                     "--sandbox-first"])
    api = Api(sock)
    api.wait()
    gate = gate_of(one.pid)

    def filters():
        told = status(gate)
        assert told["NoNewPrivs"].strip() == "1"
        assert told["Seccomp"].strip() == "2"
        return int(told["Seccomp_filters"])

    before = filters()
    api.set("PUT", "/boot-source", {
        "kernel_image_path": str(vmm.guest("ticker"))})
    assert filters() == before
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})
    one.wait_for("tick 1")
    assert filters() == before + 1
    # Where another thread came between: "<... name resumed>) = 0".
    calls = [re.match(r"\d+ +(?:<\.\.\. )?(\w+)", x)[1]
             for x in trace.read_text().splitlines()
             if x.startswith(f"{gate} ") and " = " in x]
    assert calls[:calls.index("accept4")] == ["landlock_restrict_self",
                                              "seccomp"]
    assert calls.count("landlock_restrict_self") == 2
    one.process.terminate()
    one.finish()


@needs_landlock
def test_the_guest_process_names_nothing(vmm, locked, tmp_path):
    """Not a path, not a socket, from the lock to the guest's first output; and
    the gate gets its last filter before that."""
    trace = tmp_path / "trace"
    vm = locked(words=["strace", "-D", "-f", "-o", trace, "-e", "trace=open,"
                       "openat,openat2,mknod,bind,connect,unlink,"
                       "landlock_restrict_self,seccomp,ioctl"])
    vm.put("/serial", serial_out_path=str(tmp_path / "serial"))
    vm.put("/drives/a", drive_id="a", is_root_device=False, path_on_host=str(
        own_file(tmp_path / "disk")))
    vm.put("/vsock", guest_cid=3, uds_path=str(tmp_path / "v"))
    boot(vm, vmm, "ticker")
    vm.start()
    lines_of(tmp_path / "serial", "tick 1")
    calls = [x.split(maxsplit=1) for x in trace.read_text().splitlines()]
    first = next(i for i, (pid, call) in enumerate(calls)
                 if "landlock_restrict_self" in call
                 and int(pid) == vm.run.pid)
    runs = next(i for i, (_, call) in enumerate(calls) if "KVM_RUN" in call)
    named = {(int(pid) == vm.run.pid, call.split("(")[0])
             for pid, call in calls[first:runs] if "ioctl" not in call
             and "resumed" not in call}
    assert {call for own, call in named if own} == {
        "landlock_restrict_self", "seccomp"}
    assert {"bind", "seccomp"} <= {call for own, call in named if not own}
    # It has been opened before.
    assert not any("/dev/kvm" in call for _, call in calls[first:runs])
    vm.terminate()


def own_file(path, size=1 << 20):
    path.write_bytes(bytes(size))
    return path


def pages(vm, command, answer="right"):
    asked(vm.run, command, answer)


def test_snapshots_of_files(vmm, locked, tmp_path):
    """Whole, with a diff on top, merged; in a directory and by two paths; while
    the memory has its other name; saved again each time."""
    first, again = tmp_path / "first", tmp_path / "again"
    memory = again / "memory.snap"
    vm = locked()
    boot(vm, vmm, "pages", track_dirty_pages=True)
    vm.start()
    vm.run.wait_for("ready\r\n")
    pages(vm, f"w 0 {PAGES} 7", "wrote")
    vm.save(first)
    vm.resume()
    pages(vm, "w 3 1 8", "wrote")
    vm.save(first, snapshot_type="Diff")
    vm.kill()

    vm = locked()
    vm.load(snapshot_path=str(first), track_dirty_pages=True)
    pages(vm, "c 3 1 8")
    pages(vm, f"c 4 {PAGES - 4} 7")
    pages(vm, "w 4 1 9", "wrote")
    vm.save(again, snapshot_type="Diff")
    assert memory.stat().st_blocks * 512 < 1 << 20
    vm.kill()
    vm = locked()  # nobody looks around for it where the base might be
    said = vm.refused("/snapshot/load", snapshot_path=str(again))
    assert f"{memory} holds only what changed since snapshot" in said
    assert "a VMM that was locked first (--sandbox-first) opens" in said
    assert "volt snapshot squash" in said
    assert vm.run.finish().code == 1
    merge = subprocess.run([VOLT, "snapshot", "merge", first, again],
                           capture_output=True, text=True, timeout=60,
                           check=False)
    assert merge.returncode == 0, merge.stderr

    name = json.loads((again / "state.json").read_text())["id"]
    vm = locked()
    memory.rename(f"{memory}.{name}")
    vm.load(snapshot_path=str(again / "state.json"),
            mem_backend={"backend_type": "File", "backend_path": str(memory)})
    pages(vm, "c 3 1 8")
    pages(vm, "c 4 1 9")
    Path(f"{memory}.{name}").rename(memory)
    vm.save(again)  # over what it runs from
    assert sorted(os.listdir(again)) == ["memory.snap", "state.json"]
    vm.kill()

    vm = locked()
    vm.load(snapshot_path=str(again / "state.json"),
            mem_file_path=str(memory))
    pages(vm, "c 4 1 9")
    end(vm.run)


def test_a_handler_serves_the_memory(vmm, locked, tmp_path):
    if not os.access("/dev/userfaultfd", os.W_OK):
        pytest.skip("no /dev/userfaultfd for this user")
    vm = locked()
    boot(vm, vmm, "pages")
    vm.start()
    vm.run.wait_for("ready\r\n")
    pages(vm, f"w 0 {PAGES} 7", "wrote")
    vm.save(tmp_path / "s")
    vm.kill()
    handler = Handler(tmp_path, tmp_path / "s/memory.snap")
    try:
        vm = locked()
        vm.load(snapshot_path=str(tmp_path / "s/state.json"),
                mem_backend={"backend_type": "Uffd",
                             "backend_path": handler.path})
        pages(vm, f"c 0 {PAGES} 7")
        vm.save(tmp_path / "again")
        vm.resume()
        end(vm.run)
    finally:
        assert handler.end().count("served") >= PAGES


def test_every_device_on_other_files(vmm, locked, taps, tmp_path):  # noqa: F811
    """Put, saved, and loaded on the drives, tap and socket of the snapshot, and
    on others, which the request names."""
    taps.run("ip", "tuntap", "add", "vt1", "mode", "tap")
    taps.run("ip", "link", "set", "vt1", "up")
    vm = locked(words=taps.join)
    body = json.loads(config(vmm, tmp_path, "split").read_text())
    for drive in body.pop("drives"):
        vm.put(f"/drives/{drive['drive_id']}", **drive)
    for net in body.pop("network-interfaces"):
        vm.put(f"/network-interfaces/{net['iface_id']}", **net)
    for name, section in body.items():
        vm.put(f"/{name}", **section)
    vm.start()
    vm.run.wait_for("ready\r\n")
    vm.save(tmp_path / "s")
    vm.terminate()
    clones = []
    own_file(tmp_path / "other.img")
    for more in ({}, {
            "network_overrides": [{"iface_id": "n0", "host_dev_name": "vt1"}],
            "vsock_override": {"uds_path": str(tmp_path / "w.sock")},
            "drive_overrides": [{"drive_id": "a", "path_on_host":
                                 str(tmp_path / "other.img")}]}):
        clones.append(locked(words=taps.join))
        clones[-1].load(snapshot_path=str(tmp_path / "s"), **more)
    now = clones[1].api.call("GET", "/vm/config")[1]
    assert now["network-interfaces"][0]["host_dev_name"] == "vt1"
    assert now["drives"][0]["path_on_host"] == str(tmp_path / "other.img")
    for clone in clones:
        clone.run.send("x")
        result = clone.run.finish()
        assert result.code == 0 and not result.failures(), result.out


@pytest.fixture
def saved(vmm, locked, tmp_path):
    """A snapshot whose state names a drive, a socket and a console."""
    vm = locked()
    boot(vm, vmm, "ticker")
    vm.put("/serial", serial_out_path=str(tmp_path / "serial"))
    vm.put("/vsock", guest_cid=3, uds_path=str(tmp_path / "v"))
    vm.put("/drives/a", drive_id="a", is_root_device=False, path_on_host=str(
        own_file(tmp_path / "disk")))
    vm.start()
    lines_of(tmp_path / "serial", "tick 1")
    vm.save(tmp_path / "s")
    vm.terminate()
    (tmp_path / "serial").unlink()
    return tmp_path / "s"


@needs_landlock
@pytest.mark.parametrize("flags", [[], ["--isolate"]])
def test_a_load_by_the_names_of_the_state(saved, locked, tmp_path, flags):
    """With --isolate there is not even a root folder to look in."""
    vm = locked(*flags)
    vm.load(snapshot_path=str(saved))
    lines_of(tmp_path / "serial", "tick ")
    assert (tmp_path / "v").is_socket()
    vm.terminate()
    assert not (tmp_path / "v").exists()


def test_a_load_that_fails_ends_the_process(saved, locked, tmp_path):
    """With the words that a client knows."""
    for missing, body, said in (
            (None, {"snapshot_path": f"{tmp_path}/no/"},
             "Failed to open snapshot file: No such file or directory"),
            (saved / "memory.snap", {"snapshot_path": str(saved)},
             "Failed to load guest memory: No such file or directory"),
            (tmp_path / "disk", {"snapshot_path": str(saved)},
             "Error manipulating the backing file: No such file"),
            (None, {"snapshot_path": str(saved), "drive_overrides": [
                {"drive_id": "a", "path_on_host": str(tmp_path / "no")}]},
             "Error manipulating the backing file: No such file"),
            (None, {"snapshot_path": str(saved / "state.json"), "mem_backend":
                    {"backend_type": "Uffd", "backend_path":
                     str(tmp_path / "no")}},
             "Failed to connect to UDS Unix stream: No such file")):
        if missing:
            missing.rename(tmp_path / "aside")
        vm = locked()
        assert said in vm.refused("/snapshot/load", **body)
        assert vm.run.finish().code == 1
        if missing:
            (tmp_path / "aside").rename(missing)


def test_allow_narrows_all_that_requests_name(saved, locked, tmp_path):
    """Kernel and first drives, too; and what a state names."""
    outside = "Outside of what --allow permits"
    inside = tmp_path / "inside"
    inside.mkdir()
    shutil.copy(BUILD / "tests/guest/ticker.elf", inside / "kernel")
    vm = locked("--allow", inside)
    assert outside in vm.refused("/boot-source", kernel_image_path=str(
        BUILD / "tests/guest/ticker.elf"))
    vm.put("/boot-source", kernel_image_path=str(inside / "kernel"))
    for url, body in (("/drives/a", {"drive_id": "a", "is_root_device": False,
                                     "path_on_host": str(tmp_path / "disk")}),
                      ("/logger", {"log_path": str(tmp_path / "log")}),
                      ("/metrics", {"metrics_path": str(tmp_path / "m")}),
                      ("/serial", {"serial_out_path": str(tmp_path / "c")})):
        assert outside in vm.refused(url, **body), url
    vm.put("/serial", serial_out_path=str(inside / "console"))
    vm.start()
    lines_of(inside / "console", "tick 1")
    vm.terminate()
    vm = locked("--allow", saved)
    assert outside in vm.refused("/snapshot/load", snapshot_path=str(saved))
    assert vm.run.finish().code == 1
    vm = locked("--allow", f"{saved}:ro", "--allow", tmp_path)
    vm.load(snapshot_path=str(saved))
    lines_of(tmp_path / "serial", "tick ")
    vm.terminate()


@pytest.mark.parametrize("flags", [
    ["--kernel", "k"], ["--restore", "s"], ["--config-file", "f"],
    ["--seccomp-filter", "f"], ["--vsock", "v"], ["--no-api"]])
def test_what_it_does_not_go_with(build, tmp_path, flags):
    told = run("--api-sock", "s", "--sandbox-first", *flags, cwd=tmp_path)
    assert told.returncode == 153
    assert not (tmp_path / "s").exists()


@needs_landlock
def test_a_lock_that_fails_ends_the_start(build, tmp_path):
    """landlock_restrict_self() fails, as it does behind too many others."""
    told = run("--api-sock", "s", "--sandbox-first", cwd=tmp_path,
               preexec_fn=under_filter(denying(446, 7)))
    assert told.returncode == 1
    assert "Landlock failed" in told.stderr
    assert not (tmp_path / "s").exists()
