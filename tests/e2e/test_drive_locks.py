# SPDX-License-Identifier: Apache-2.0
"""Drives whose files others use: volt refuses, the API's log warns by name."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import BUILD, Api, Case, looks_into
from test_cli_run import VOLT, Cli

MIB = 1 << 20
VMM = BUILD / "volt-vmm"
WRITES = "and this VM would write to it"
READS = "which is written to"
SBIN = os.environ["PATH"] + ":/usr/sbin:/sbin"


@pytest.fixture
def cli(vmm, tmp_path):
    return Cli(vmm, tmp_path)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    return path


def run(cli, name, disk, *args):
    """A VM that has started, with its drive."""
    vm = cli.start("ticker", "--name", name, "--disk", disk, *args)
    vm.wait_for("tick")
    return vm


def whom(vm, name="first"):
    """As a drive's lock names it to root; others may not look into it."""
    if os.geteuid() != 0:
        return "another process"
    return (f"VM {name} (process {vm.pid})" if name else
            f"process {vm.pid} (firecracker)")


def refused(cli, disk):
    """What volt says where it refuses."""
    result = cli.start("ticker", "--name", "late", "--disk", disk).finish()
    assert result.code == 1 and result.out == "", result
    assert "late.sock" not in cli.sockets()
    return result.log


@pytest.mark.parametrize("first, second, why", [
    ("", "", WRITES), (",ro", "", WRITES), ("", ",ro", READS)])
def test_volt_run_refuses(cli, disk, first, second, why):
    vm = run(cli, "first", f"{disk}{first}")
    said = refused(cli, f"{disk}{second}")
    assert (f"Drive disk0: {disk} is in use by {whom(vm)}, "
            f"{why}; give each VM a copy of its own") in said


def test_readers_share(cli, disk):
    for name in ("first", "second", "third"):
        vm = run(cli, name, f"{disk},ro")
        assert "shared" not in vm.log()


def test_a_person_may_insist(cli, disk):
    first = run(cli, "first", disk)
    second = run(cli, "second", disk, "--share-drives")
    assert (f"Drive disk0: {disk} is shared: it is in use by {whom(first)}"
            in second.log())


def test_the_lock_goes_with_its_vm(cli, disk):
    vm = run(cli, "first", disk)
    vm.process.send_signal(signal.SIGKILL)
    vm.process.wait()
    run(cli, "second", disk)


@pytest.mark.parametrize("engine", ["sync", "async"])
def test_the_lock_is_there_with_both_engines(cli, disk, engine):
    vm = run(cli, "first", f"{disk},engine={engine}")
    assert f"in use by {whom(vm)}" in refused(cli, disk)


def test_two_drives_of_one_vm(cli, disk, tmp_path):
    link = tmp_path / "link.img"
    link.hardlink_to(disk)
    vm = cli.start("ticker", "--disk", disk, "--disk", link)
    result = vm.finish()
    assert result.code == 1
    assert f"Drive disk1: {link} is in use by drive disk0 of this VM" in \
        result.log


def test_another_program(cli, disk):
    """QEMU's kind of lock; a name that would move a cursor does not."""
    code = ("import fcntl, os, struct, sys, time\n"
            "open('/proc/self/comm', 'w').write('e\\033[2Jvil')\n"
            "fd = os.open(sys.argv[1], os.O_RDWR)\n"
            "fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', 1, 0, 0, 0, 0))\n"
            "print('locked', flush=True)\n"
            "time.sleep(100)\n")
    with subprocess.Popen(["python3", "-c", code, disk], text=True,
                          stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == "locked\n"
            vm = cli.start("ticker", "--disk", disk)
            assert f"in use by process {other.pid} (e?[2Jvil)" in \
                vm.finish().log
        finally:
            other.kill()


def test_another_users_vm(vmm):
    """An ordinary user may not see who has it, and is refused all the same."""
    if os.geteuid() != 0:
        pytest.skip("only root has another user to become")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        theirs = folder / "disk.img"
        theirs.write_bytes(bytes(MIB))
        theirs.chmod(0o666)
        vmm.start("ticker", devices={"drives": [drive("a", theirs)]}).wait_for(
            "tick")
        shutil.copy(vmm.guest("ticker"), folder / "kernel")
        (folder / "kernel").chmod(0o644)
        fd = os.open(VMM, os.O_RDONLY)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             f"/proc/self/fd/{fd}", "--no-api", "--kernel", folder / "kernel",
             "--disk", theirs, "--lock-drives"],
            cwd=folder, text=True, capture_output=True, check=False,
            pass_fds=[fd], timeout=60)
        os.close(fd)
    assert done.returncode == 1
    assert f"{theirs} is in use by another process, {WRITES}" in done.stderr


# ---- over the API ----


def drive(name, path, **fields):
    return {"drive_id": name, "path_on_host": str(path),
            "is_root_device": False, **fields}


def start_api(vmm, *drives):
    return vmm.start_api(Case("ticker", devices={
        f"drives/{d['drive_id']}": d for d in drives}))


def test_the_log_warns_and_serves(vmm, disk):
    first, _ = start_api(vmm, drive("a", disk))
    second, _ = start_api(vmm, drive("b", disk))
    first.wait_for("tick")
    second.wait_for("tick")
    assert "shared" not in first.log()
    assert (f"Drive b: {disk} is shared: it is in use by {whom(first, None)}, "
            "and this VM may write to it") in second.log()


def test_put_again_is_no_conflict(vmm, disk, tmp_path):
    other = tmp_path / "other.img"
    other.write_bytes(bytes(MIB))
    sock = tmp_path / "api.sock"
    run = vmm.spawn([VMM, "--api-sock", sock])
    api = Api(sock)
    api.wait()
    for body in (drive("a", disk), drive("a", disk),
                 drive("a", disk, is_read_only=True), drive("a", disk)):
        api.set("PUT", "/drives/a", body)
    # Refused, for another reason: the lock of before is there.
    status, _ = api.call("PUT", "/drives/a", drive("a", tmp_path / "none"))
    assert status == 400
    assert "shared" not in run.log()
    assert locked(disk)
    api.set("PUT", "/drives/a", drive("a", other))
    assert locked(other) and not locked(disk)


def locked(path):
    """Whether somebody has a lock on a file, asked as volt-vmm does."""
    done = subprocess.run(
        [VMM, "--no-api", "--lock-drives", "--kernel",
         BUILD / "tests/guest/hello.elf", "--disk", path], text=True,
        capture_output=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL)
    assert done.returncode == 1 or "done" in done.stdout, done
    return done.returncode == 1


@looks_into
def test_patch_takes_the_lock_over(vmm, disk, tmp_path):
    other = tmp_path / "other.img"
    other.write_bytes(bytes(2 * MIB))
    run, api = start_api(vmm, drive("a", disk))
    for _ in range(3):
        api.set("PATCH", "/drives/a", drive_path("a", disk))
        assert locked(disk)
    fds = len(os.listdir(f"/proc/{run.pid}/fd"))
    api.set("PATCH", "/drives/a", drive_path("a", disk))
    assert len(os.listdir(f"/proc/{run.pid}/fd")) == fds
    status, _ = api.call("PATCH", "/drives/a", drive_path("a", tmp_path))
    assert status == 400 and locked(disk)
    api.set("PATCH", "/drives/a", drive_path("a", other))
    assert locked(other) and not locked(disk)
    api.set("PATCH", "/drives/a", drive_path("a", disk))
    assert locked(disk) and not locked(other)
    assert "shared" not in run.log()


def drive_path(name, path):
    return {"drive_id": name, "path_on_host": str(path)}


def test_patch_to_a_file_of_another_vm(vmm, disk, tmp_path):
    other = tmp_path / "other.img"
    other.write_bytes(bytes(MIB))
    first, _ = start_api(vmm, drive("a", disk))
    second, api = start_api(vmm, drive("b", other))
    api.set("PATCH", "/drives/b", drive_path("b", disk))
    assert f"Drive b: {disk} is shared: it is in use by" in second.log()
    assert not locked(other)
    # And when that one is gone, the next PATCH has the file for itself.
    first.process.kill()
    first.process.wait()
    api.set("PATCH", "/drives/b", drive_path("b", disk))
    assert locked(disk)


def test_patch_is_refused_with_the_flag(vmm, cli, disk, tmp_path):
    other = tmp_path / "other.img"
    other.write_bytes(bytes(MIB))
    run(cli, "first", disk)
    run(cli, "second", other)
    api = Api(tmp_path / "volt/second.sock")
    status, answer = api.call("PATCH", "/drives/disk0",
                              drive_path("disk0", disk))
    assert status == 400
    # By whom, neither half can look up any more.
    assert f"{disk} is in use by another process" in answer["fault_message"]
    assert api.call("GET", "/vm/config")[1]["drives"][0]["path_on_host"] == \
        str(other)
    assert locked(other)


# ---- snapshots ----


@pytest.fixture
def saved(cli, disk, tmp_path):
    """A VM that runs on, and its snapshot."""
    vm = run(cli, "first", disk)
    assert cli("snapshot", "first", tmp_path / "snap").returncode == 0
    return vm, tmp_path / "snap"


def restore(cli, folder, name, *args):
    words = [f"{key}={value}" for key, value in cli.env.items()]
    return cli.vmm.spawn(["env", *words, VOLT, "restore", "--name", name,
                          *args, folder])


def test_a_clone_needs_a_copy(cli, disk, tmp_path, saved):
    vm, snap = saved
    result = restore(cli, snap, "second").finish()
    assert result.code == 1
    assert result.log.startswith(
        f"volt-vmm: Drive disk0: {disk} is in use by {whom(vm)}, {WRITES}; ")
    shutil.copy(disk, tmp_path / "copy.img")
    clone = restore(cli, snap, "second", "--disk",
                    f"disk0={tmp_path}/copy.img")
    clone.wait_for("tick")
    assert "shared" not in clone.log()


def test_a_restore_says_what_it_shares(cli, vmm, disk, tmp_path, saved):
    vm, snap = saved
    want = f"Drive disk0: {disk} is shared: it is in use by {whom(vm)}"
    clone = restore(cli, snap, "second", "--share-drives")
    clone.wait_for("tick")
    assert want in clone.log()
    sock = tmp_path / "api.sock"
    clone = vmm.spawn([VMM, "--api-sock", sock])
    api = Api(sock)
    api.wait()
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": f"{snap}/", "resume_vm": True})
    assert want in clone.log()
    clone.wait_for("tick")


def test_one_after_the_other(cli, saved):
    vm, snap = saved
    vm.process.kill()
    vm.process.wait()
    restore(cli, snap, "second").wait_for("tick")


# ---- block devices ----


def sudo(*words):
    """What needs root and loop devices, or the reason why it cannot be."""
    done = subprocess.run([str(w) for w in words], text=True, check=False,
                          capture_output=True,
                          env={**os.environ, "PATH": SBIN})
    if done.returncode != 0:
        pytest.skip(f"{words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


@pytest.fixture
def device(tmp_path):
    """A loop device over a file of the test's own."""
    image = tmp_path / "device.img"
    with open(image, "wb") as file:
        file.truncate(8 * MIB)
    name = sudo("losetup", "-f", "--show", image)
    yield name
    subprocess.run(["losetup", "-d", name], check=False,
                   env={**os.environ, "PATH": SBIN})


@pytest.fixture(params=["mounted", "swap"])
def in_use(request, device, tmp_path):
    """A device that the host uses; and how to end that."""
    if request.param == "swap":
        sudo("mkswap", device)
        sudo("swapon", device)
        end = ["swapoff", device]
    else:
        sudo("mkfs.ext4", "-q", device)
        (tmp_path / "mnt").mkdir()
        sudo("mount", device, tmp_path / "mnt")
        end = ["umount", device]
    yield device, lambda: sudo(*end)
    subprocess.run(end, check=False, capture_output=True,
                   env={**os.environ, "PATH": SBIN})


@pytest.mark.parametrize("how", ["", ",ro"])
def test_a_device_that_the_host_uses(vmm, cli, tmp_path, in_use, how):
    device, end = in_use
    result = cli.start("ticker", "--disk", f"{device}{how}").finish()
    assert result.code == 1
    busy = ("(this host has it mounted, as swap, or in another device)")
    assert (f"Cannot open the disk {device}: Device or resource busy {busy}"
            in result.log)
    # Over the API, too, before the start and later.
    (tmp_path / "disk.img").write_bytes(bytes(MIB))
    sock = tmp_path / "api.sock"
    vmm.spawn([VMM, "--api-sock", sock])
    api = Api(sock)
    api.wait()
    status, answer = api.call("PUT", "/drives/a", drive("a", device))
    assert status == 400
    assert (f"Device or resource busy (os error 16) {device} {busy}"
            in answer["fault_message"])
    _, api = start_api(vmm, drive("a", tmp_path / "disk.img"))
    status, answer = api.call("PATCH", "/drives/a", drive_path("a", device))
    assert status == 400 and busy in answer["fault_message"]
    # And as soon as the host does not, it is a drive.
    end()
    api.set("PATCH", "/drives/a", drive_path("a", device))
    assert locked(device)


def test_a_device_of_two_vms(cli, device):
    """The look at who has claimed it claims nothing."""
    vms = [run(cli, name, f"{device},ro") for name in ("first", "second")]
    assert all("shared" not in vm.log() for vm in vms)
    assert "in use by VM" in refused(cli, device)
