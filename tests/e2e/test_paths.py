# SPDX-License-Identifier: Apache-2.0
"""Each path of the API that names the wrong thing: an answer at once, in
Firecracker's words, and the VM that was there goes on.

As root and as a real ordinary user, to whom one more file is closed.
"""

import os
import shutil
import socket
from pathlib import Path

import apiclient
import pytest

USER = 65534
THINGS = ("file", "dir", "fifo", "sock", "/dev/null", "loop", "none", "closed")

NO_SUCH = "No such file or directory (os error 2)"
LOOP = "Too many levels of symbolic links (os error 40)"
DENIED = "Permission denied (os error 13)"
NO_DEVICE = "No such device or address (os error 6)"
IS_DIR = "Is a directory (os error 21)"
NOT_DIR = "Not a directory (os error 20)"
NOT_BLOCK = "Block device required (os error 15)"
IN_USE = "Address already in use (os error 98)"

BOOT = "Boot source error: "
KERNEL = BOOT + "The kernel file cannot be opened: "
INITRD = BOOT + ("The initrd file cannot be opened due to invalid path or "
                 "invalid permissions. ")
DISK = ("Drive config error: Unable to create the virtio block device: Virtio "
        "backend error: Error manipulating the backing file: ")
LOG = "Logger error: Failed to open target file: "
METRICS = ("Metrics error: Cannot initialize the metrics system due to bad "
           "user input: ")
VSOCK = ("Vsock config error: Cannot create backend for vsock device: Error "
         "binding to the host-side Unix socket: ")


def table(prefix, suffix="", **other):
    """What each thing is answered, PATH for its path; None: it is taken."""
    words = dict(dir=None, fifo=None, sock=NO_DEVICE, null=None, loop=LOOP,
                 none=NO_SUCH, closed=DENIED) | other
    return {thing: text and prefix + text + suffix
            for thing, text in words.items()}


def neither(text):
    return text + "either a regular file nor a directory"


FIELDS = {
    "kernel": ("PUT", "/boot-source", lambda path: {
        "kernel_image_path": path},
        table(KERNEL, fifo=neither("it is n"), null=neither("it is n"))),
    "initrd": ("PUT", "/boot-source", lambda path: {
        "kernel_image_path": "file", "initrd_path": path},
        table(INITRD, fifo=neither("It is n"), null=neither("It is n"))),
    "drive": ("PUT", "/drives/a", lambda path: {
        "drive_id": "a", "is_root_device": False, "path_on_host": path},
        table(DISK, " PATH", dir=IS_DIR, fifo=NOT_BLOCK, null=NOT_BLOCK)),
    "read-only drive": ("PUT", "/drives/a", lambda path: {
        "drive_id": "a", "is_root_device": False, "is_read_only": True,
        "path_on_host": path},
        table(DISK, " PATH", dir=IS_DIR, fifo=NOT_BLOCK, null=NOT_BLOCK)),
    "log": ("PUT", "/logger", lambda path: {"log_path": path},
            table(LOG, dir=IS_DIR, none=None)),
    "metrics": ("PUT", "/metrics", lambda path: {"metrics_path": path},
                table(METRICS, dir=IS_DIR, none=None)),
    "vsock": ("PUT", "/vsock", lambda path: {
        "guest_cid": 3, "uds_path": path},
        table(VSOCK, dir=IN_USE, fifo=IN_USE, sock=IN_USE, null=IN_USE,
              loop=IN_USE, none=None, closed=IN_USE, file=IN_USE)),
}


def make_things(folder):
    (folder / "file").write_bytes(b"text" * 1024)
    (folder / "dir").mkdir()
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "sock"))
    (folder / "loop").symlink_to("loop")


@pytest.fixture(params=["root", "nobody"])
def api(request, build, tmp_path, monkeypatch):
    if os.geteuid() != 0 and request.param == "root":
        pytest.skip("root's part takes root")
    make_things(tmp_path)
    if request.param == "root":
        with apiclient.Api(build, tmp_path) as vmm:
            yield vmm
        return
    if os.geteuid() == 0:
        shutil.copy(build / "volt-vmm", tmp_path)
        for path in (tmp_path, *tmp_path.iterdir()):
            os.chown(path, USER, USER, follow_symlinks=False)
        monkeypatch.setattr(
            apiclient.conformance, "own_network",
            lambda: ["setpriv", f"--reuid={USER}", f"--regid={USER}",
                     "--clear-groups", "--no-new-privs",
                     "--bounding-set=-all"])
        (tmp_path / "closed").touch(0)
    # A folder above the test's own may be closed to the user.
    binary = Path("/proc/self/cwd") if os.geteuid() == 0 else build
    with apiclient.Api(binary, tmp_path) as vmm:
        yield vmm


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_path_may_name(api, field):
    method, path, body, answers = FIELDS[field]
    for thing in THINGS:
        if thing == "closed" and not (api.folder / "closed").exists():
            continue  # root may open everything
        want = answers.get(thing.rsplit("/", 1)[-1])
        if field == "metrics" and want is None:
            continue  # once only: the second is refused
        status, answer = api.call(method, path, body(thing))
        text = answer["fault_message"] if answer else None
        if want is None:
            assert (status, text) == (204, None), thing
        else:
            assert (status, text) == (400, want.replace("PATH", thing))
        if field == "vsock" and want is None:
            os.unlink(api.folder / thing)
    assert api.alive()
    assert api.ok("GET", "/")["state"] == "Not started"


@pytest.mark.parametrize("what", ["snapshot_path", "mem_file_path"])
@pytest.mark.parametrize("thing", THINGS)
def test_what_a_snapshot_may_be(api, what, thing):
    """A load that fails ends the process, with the reason."""
    if thing == "closed" and not (api.folder / "closed").exists():
        pytest.skip("root may open everything")
    body = {"snapshot_path": "file", "mem_file_path": "file", what: thing}
    fault = api.fault("PUT", "/snapshot/load", body)
    assert fault.startswith("Load snapshot error: Failed to restore from "
                            "snapshot: Failed to get snapshot state from "
                            "file: ")
    assert api.exit_code(10) == 1


@pytest.mark.parametrize("thing", THINGS[1:-1])
def test_serial_is_opened_at_the_start(api, thing):
    """... and a start that fails leaves all as it was."""
    kernel = apiclient.conformance.make_kernel()
    (api.folder / "kernel").write_bytes(kernel)
    os.chmod(api.folder / "kernel", 0o644)
    api.ok("PUT", "/boot-source", {"kernel_image_path": "kernel"})
    api.ok("PUT", "/serial", {"serial_out_path": thing})
    if thing in ("fifo", "/dev/null", "none"):
        return  # it starts where there is a KVM: test_guest_console.py
    fault = api.fault("PUT", "/actions", {"action_type": "InstanceStart"})
    assert (f"Cannot open the serial output {thing}: " in fault
            or "/dev/kvm" in fault)
    assert api.ok("GET", "/")["state"] == "Not started"
