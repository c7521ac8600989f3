# SPDX-License-Identifier: Apache-2.0
"""--allow: the gate opens below these directories only, whoever started it."""

import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from conftest import BUILD, PATIENCE, Api, Running
from test_sandbox import NOBODY, denying, needs_landlock, run, under_filter

USERS = [os.geteuid()] if os.geteuid() else [0, NOBODY]
MODES = ["off", pytest.param("strict", marks=needs_landlock)]
OUTSIDE = "Outside of what --allow permits"


class World:
    """in/, ro/ and out/, each with a disk, and a VM that may name two."""

    def __init__(self, folder, user, mode):
        self.folder, self.user, self.mode = folder, user, mode
        for name in ("in", "ro", "out"):
            (folder / name).mkdir()
            (folder / name / "disk").write_bytes(bytes(4096))
        (folder / "in/escape").symlink_to("../out")
        (folder / "in/link").symlink_to("../out/disk")
        shutil.copy(BUILD / "tests/guest/ticker.elf", folder / "kernel")
        if user != os.geteuid():
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user, user, follow_symlinks=False)
        self.vmm = None
        self.api = None
        self.prefix = []
        if user != os.geteuid():
            # With a /dev/kvm of his own.
            node = folder / "kvm"
            os.mknod(node, 0o20666, os.makedev(10, 232))
            node.chmod(0o666)
            self.prefix = [
                "unshare", "-m", "sh", "-c",
                "mount --make-rprivate / && mount --bind \"$0\" /dev/kvm && "
                f"exec setpriv --reuid={user} --regid={user} --clear-groups "
                "\"$@\"", str(node)]

    def start(self, *flags, **devices):
        cwd = os.getcwd()
        os.chdir(self.folder)
        try:
            self.vmm = Running(
                [*self.prefix, str(BUILD.resolve() / "volt-vmm"), "--api-sock", "s",
                 "--sandbox", self.mode, "--allow", f"{self.folder}/in",
                 "--allow", "ro:ro", *flags], self.folder / "log")
        finally:
            os.chdir(cwd)
        self.api = Api(self.folder / "s")
        self.api.wait(20)
        self.api.set("PUT", "/machine-config",
                     {"vcpu_count": 1, "mem_size_mib": 32})
        self.api.set("PUT", "/boot-source", {
            "kernel_image_path": str(self.folder / "kernel"),
            "boot_args": "period=10"})
        for name, read_only in (("rw", False), ("ro", True)):
            self.api.set("PUT", f"/drives/{name}", {
                "drive_id": name, "is_root_device": False,
                "is_read_only": read_only,
                "path_on_host": str(self.folder / "out/disk")})
        for key, body in devices.items():
            self.api.set("PUT", f"/{key}", body)
        self.api.set("PUT", "/actions", {"action_type": "InstanceStart"})
        self.vmm.wait_for("tick 3")

    def patch(self, drive, path):
        """The fault, or None."""
        status, body = self.api.call("PATCH", f"/drives/{drive}", {
            "drive_id": drive, "path_on_host": str(path)})
        assert status == (400 if body else 204)
        return body and body["fault_message"]

    def save(self, state, memory=None, kind="Full"):
        self.api.set("PATCH", "/vm", {"state": "Paused"})
        body = {"snapshot_path": str(state), "snapshot_type": kind}
        if memory:
            body["mem_file_path"] = str(memory)
        status, body = self.api.call("PUT", "/snapshot/create", body)
        assert status == (400 if body else 204)
        self.api.set("PATCH", "/vm", {"state": "Resumed"})
        return body and body["fault_message"]

    def end(self):
        if not self.vmm:
            return
        self.vmm.process.terminate()
        self.vmm.finish()


@pytest.fixture(params=USERS, ids=lambda user: f"uid-{user}")
def user(request):
    return request.param


@pytest.fixture
def folder():
    """Reachable for everybody, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="volt-allow-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def world(build, folder, user, mode):
    """A guest that runs."""
    w = World(folder, user, mode)
    try:
        w.start()
        yield w
    finally:
        w.end()


@pytest.mark.parametrize("mode", MODES)
def test_drives(world):
    f = world.folder
    assert world.patch("rw", f / "in/disk") is None
    assert world.patch("rw", "in/disk") is None
    assert world.patch("ro", f / "in/disk") is None
    assert world.patch("ro", f / "ro/disk") is None
    for path in (f / "out/disk", "out/disk", f"{f}/in/../out/disk",
                 f / "in/link", f / "in/escape/disk", "/etc/passwd",
                 "/proc/self/exe"):
        assert OUTSIDE in world.patch("rw", path), path
        assert OUTSIDE in world.patch("ro", path), path
    assert "--allow permits only reading" in world.patch("rw", f / "ro/disk")
    assert "No such file" in world.patch("rw", f / "in/none")


@pytest.mark.parametrize("mode", MODES)
def test_snapshots(world):
    """Full and diff, over what is there, and nothing of it elsewhere."""
    f = world.folder
    assert world.save(f / "in/s", f / "in/m") is None
    assert world.save("in/s", "in/m") is None
    assert world.save(f / "in/s", f / "in/m", "Diff") is None
    assert world.save(f"{f}/in/dir/") is None
    assert world.save(f / "in/dir") is None
    assert sorted(os.listdir(f / "in/dir")) == ["memory.snap", "state.json"]
    for state, memory in (("out/s", "in/m"), ("in/s", "out/m"),
                          ("in/escape/s", "in/m"), ("in/../out/s", "in/m"),
                          ("out/", None), ("out/new/", None),
                          ("out", None), ("in/escape/", None),
                          ("in/escape/new/", None)):
        fault = world.save(f"{f}/{state}", memory and f / memory)
        assert OUTSIDE in fault, (state, memory, fault)
    for state, memory in (("ro/s", "ro/m"), ("in/s", "ro/m"), ("ro/", None),
                          ("ro/new/", None)):
        fault = world.save(f"{f}/{state}", memory and f / memory)
        assert "--allow permits only reading" in fault, (state, memory)
    assert sorted(os.listdir(f / "out")) == ["disk"]
    assert sorted(os.listdir(f / "ro")) == ["disk"]
    assert not [x for x in os.listdir(f / "in") if "lock" in x or "tmp" in x]


@pytest.mark.parametrize("mode", MODES)
def test_a_whole_directory_for_snapshots(build, folder, user, mode):
    """The permitted directory itself is the place, and what is above is not;
    the socket's files are removed at the end, though nobody permitted that."""
    w = World(folder, user, mode)
    try:
        w.start(vsock={"guest_cid": 3, "uds_path": str(folder / "out/v")})
        assert w.save(folder / "in") is None
        assert (folder / "in/state.json").exists()
    finally:
        w.end()
    assert not (folder / "s").exists()
    assert not (folder / "out/v").exists()


def test_the_gate_has_the_directories_and_the_vm_not(build, folder):
    w = World(folder, os.geteuid(), "off")
    try:
        w.start()
        pid = w.vmm.pid
        child, = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        gate = [os.readlink(x) for x in Path(f"/proc/{child}/fd").iterdir()]
        vm = [os.readlink(x) for x in Path(f"/proc/{pid}/fd").iterdir()]
        assert {f"{folder}/in", f"{folder}/ro"} <= set(gate)
        assert not {f"{folder}/in", f"{folder}/ro"} & set(vm)
    finally:
        w.end()


@needs_landlock
def test_the_kernel_holds_the_gate_to_it(build, folder):
    """Its own ruleset: a rule for each directory and for the two sockets'."""
    w = World(folder, os.geteuid(), "strict")
    w.prefix = ["strace", "-D", "-f", "-e",
                "trace=landlock_add_rule,landlock_restrict_self", "-o",
                str(folder / "trace")]
    try:
        w.start(vsock={"guest_cid": 3, "uds_path": str(folder / "out/v")})
        # Its list of before the run, --allow's, and that of the run, for
        # which nobody waits. The vsock's folder has a right of its own from
        # ABI 9 only, beside that to remove its file.
        wanted = ["landlock_restrict_self", *["landlock_add_rule"] * 4,
                  "landlock_restrict_self", "landlock_restrict_self"]
        end = time.monotonic() + PATIENCE
        calls = []
        while len(calls) < len(wanted) and time.monotonic() < end:
            lines = (folder / "trace").read_text().splitlines()
            gate = {x.split()[0] for x in lines if "landlock_add_rule" in x}
            # A line that other threads cut in two has its result in the
            # second.
            calls = [re.search(r"landlock_\w+", x).group() for x in lines
                     if x.split()[0] in gate and "= 0" in x]
        assert len(gate) == 1 and gate != {str(w.vmm.pid)}
        assert calls == wanted
    finally:
        w.end()


@pytest.mark.parametrize("flags", [["--api-sock", "s"],
                                   ["--no-api", "--kernel", "k"]])
def test_a_missing_directory_is_told_at_start(build, tmp_path, flags):
    for text in ("none", "none:ro", "k"):
        (tmp_path / "k").touch()
        end = run(*flags, "--allow", text, cwd=tmp_path)
        assert end.returncode == 1
        assert f"--allow {text}: " in end.stderr
        assert not (tmp_path / "s").exists()


def test_a_kernel_without_openat2_is_told_at_start(build, tmp_path):
    end = run("--api-sock", "s", "--allow", ".", cwd=tmp_path,
              preexec_fn=under_filter(denying(437, 38)))
    assert end.returncode == 1
    assert "needs openat2()" in end.stderr
