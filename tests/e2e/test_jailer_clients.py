# SPDX-License-Identifier: Apache-2.0
"""Clients that call a jailer, as each of them does: words, order, files.

go-sdk's JailerConfig (and with it Nomad), Kata's two runtimes, scripts of
people. Each boots a guest, saves it in the jail, stops it and cleans up; what
is saved goes on in the next jail.
"""

import json
import os
import shutil
import signal
import subprocess

import pytest

from conftest import BUILD, need_tun
from jail import GID, UID, ended, jails  # noqa: F401
from netns import Namespace
from test_firecracker_clients import Sdk
from test_jailer import TICKER, hierarchy, remove_groups

# pylint: disable=redefined-outer-name

MACHINE = {"vcpu_count": 1, "mem_size_mib": 128}
SNAPSHOT = {"snapshot_path": "snap.state", "mem_file_path": "snap.mem"}


class GoSdk:
    """A Machine with a JailerCfg and the NaiveChrootStrategy."""

    def __init__(self, jail, netns=None, node=None, version="", **config):
        self.jail = jail
        self.words = ["--id", jail.id, "--uid", str(UID), "--gid", str(GID),
                      "--exec-file", str(jail.program)]
        if node is not None:  # as it is where the node has CPUs
            with open(f"/sys/devices/system/node/node{node}/cpulist") as f:
                self.words += ["--cgroup", f"cpuset.mems={node}", "--cgroup",
                               f"cpuset.cpus={f.read().strip()}"]
        if version:
            self.words += ["--cgroup-version", version]
        self.words += ["--chroot-base-dir", str(jail.jails.base)]
        if netns:
            self.words += ["--netns", netns]
        if config.get("daemonize"):
            self.words.append("--daemonize")
        self.words += ["--", "--no-seccomp", "--api-sock",
                       "/run/firecracker.socket"]
        self.client = None

    def start(self):
        """Start, poll for the API, then link the files: in that order."""
        binary = self.jail.jails.folder / "jailer"
        if not binary.exists():
            shutil.copy(BUILD / "volt-jailer", binary)
        self.jail.run = self.jail.jails.spawn([binary, *self.words])
        self.jail.pid()
        self.jail.api()
        self.client = Sdk(self.jail.root / "run/firecracker.socket")
        self.client.get("/machine-config")

    def link(self, path):
        """A hard link in the jail, of a file that root has; its name."""
        os.link(path, self.jail.root / path.name)
        return path.name

    def stop(self):
        """SIGTERM, wait; then the user's own clean-up."""
        os.kill(self.jail.pid(), signal.SIGTERM)
        if self.jail.run.process.poll() is None:
            assert self.jail.run.process.wait(60) == -signal.SIGTERM
        ended(self.jail.pid())
        shutil.rmtree(self.jail.folder)


def files_of_go_sdk(jails):
    """Kernel and drive where the jail's base is: hard links reach them."""
    kernel, drive = jails.folder / "vmlinux", jails.folder / "data"
    shutil.copy(TICKER, kernel)
    drive.write_bytes(bytes(1 << 20))
    os.chmod(kernel, 0o644)
    os.chown(drive, UID, GID)
    return kernel, drive


def boot_go_sdk(sdk, jails, tap=None):
    kernel, drive = files_of_go_sdk(jails)
    fifo = jails.folder / f"{sdk.jail.id}.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    sdk.start()
    names = [sdk.link(x) for x in (kernel, drive, fifo)]
    os.chown(sdk.jail.root / fifo.name, UID, GID)
    client = sdk.client
    client.set("PUT", "/logger", {"log_path": names[2], "level": "Debug",
                                  "show_level": True,
                                  "show_log_origin": False})
    client.set("PUT", "/machine-config", {**MACHINE, "smt": False})
    client.set("PUT", "/boot-source", {"kernel_image_path": names[0],
                                       "boot_args": "none"})
    client.set("PUT", "/drives/1", {
        "drive_id": "1", "path_on_host": names[1], "is_root_device": False,
        "is_read_only": False})
    if tap:
        client.set("PUT", "/network-interfaces/1", {
            "iface_id": "1", "host_dev_name": tap,
            "guest_mac": "06:00:ac:10:00:02"})
    client.set("PUT", "/vsock", {"vsock_id": "agent", "guest_cid": 3,
                                 "uds_path": "./v.sock"})
    client.set("PUT", "/actions", {"action_type": "InstanceStart"})
    return reader


def test_go_sdk(jails):
    """JailerConfig with stdio: boot, snapshot, stop, clean up, restore."""
    sdk = GoSdk(jails("551e7604-e35c-42b3-b825-416853441234",
                      program=jails.firecracker))
    reader = boot_go_sdk(sdk, jails)
    sdk.jail.run.wait_for("tick 2")
    sdk.client.set("PATCH", "/vm", {"state": "Paused"})
    sdk.client.set("PUT", "/snapshot/create", SNAPSHOT)
    sdk.client.set("PATCH", "/vm", {"state": "Resumed"})
    assert b"/snapshot/create" in os.read(reader, 1 << 20)
    kept = jails.folder / "kept"
    kept.mkdir()
    for name in SNAPSHOT.values():
        shutil.copy(sdk.jail.root / name, kept)
    sdk.stop()
    os.close(reader)
    again = GoSdk(jails("again", program=jails.firecracker))
    again.start()
    for name in (*SNAPSHOT.values(), "data"):
        source = kept / name if (kept / name).exists() else \
            jails.folder / name
        os.chown(source, UID, GID)
        again.link(source)
    again.client.set("PUT", "/snapshot/load", {
        "snapshot_path": SNAPSHOT["snapshot_path"], "mem_backend": {
            "backend_type": "File",
            "backend_path": SNAPSHOT["mem_file_path"]},
        "enable_diff_snapshots": False, "resume_vm": True})
    again.jail.run.wait_for("tick ")
    again.stop()


def test_go_sdk_on_a_numa_node(jails):
    """NumaNode: both files of a cpuset, in the words of cgroup v1."""
    cpus = hierarchy("cpuset")
    program = jails.folder / "vjnuma"
    shutil.copy(BUILD / "volt-vmm", program)
    sdk = GoSdk(jails("numa", program=program), node=0, version="1")
    sdk.start()
    assert (cpus / "vjnuma/numa/cpuset.mems").read_text() == "0\n"
    sdk.stop()
    remove_groups(cpus / "vjnuma/numa", cpus / "vjnuma")


def test_nomad(jails):
    """go-sdk once more: a network namespace with a tap, a daemon."""
    need_tun()
    ns = Namespace()
    ns.run("ip", "tuntap", "add", "vt0", "mode", "tap", "user", str(UID))
    ns.run("ip", "link", "set", "vt0", "up")
    sdk = GoSdk(jails("nomad-0aaf", program=jails.firecracker),
                netns=f"/proc/{ns.holder.pid}/ns/net", daemonize=True)
    reader = boot_go_sdk(sdk, jails, tap="vt0")
    assert sdk.client.get("/")["state"] == "Running"
    assert os.readlink(f"/proc/{sdk.jail.pid()}/ns/net") == \
        os.readlink(f"/proc/{ns.holder.pid}/ns/net")
    sdk.client.set("PATCH", "/vm", {"state": "Paused"})
    sdk.client.set("PUT", "/snapshot/create", SNAPSHOT)
    sdk.stop()
    os.close(reader)
    ns.close()


def kata_script(jail, words, more):
    """Kata's own mounts: its jail is bound on itself, its files into it."""
    return f"""
        set -e
        R={jail.root}
        mkdir -p "$R"
        mount --bind "$R" "$R"
        mount -o remount,bind,exec,dev "$R"
        {more}
        touch "$R/vmlinux"
        mount --bind {TICKER} "$R/vmlinux"
        mount -o remount,bind,ro "$R/vmlinux"
        {' '.join(map(str, words))} &
        until [ -s "$R/firecracker.pid" ]; do sleep 0.05; done
        echo pid "$(cat "$R/firecracker.pid")"
        read x
        umount "$R/vmlinux"
        umount -l "$R"
    """


@pytest.fixture
def kata(jails):
    """Runs a Kata script beside the test; it ends with the test."""
    started = []

    def run(jail, words, more=""):
        script = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c",
             kata_script(jail, words, more)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        started.append(script)
        line = script.stdout.readline()
        assert line.startswith("pid "), line + script.stdout.read()
        pid = int(line.split()[1])
        jails.pids.add(pid)
        # Its mounts are of another namespace: the way in is the process.
        jail.root = jail.root.__class__(f"/proc/{pid}/root")
        return pid
    yield run
    for script in started:
        script.communicate("\n", timeout=60)
        assert script.returncode == 0


def test_kata_go(jails, kata):
    """uid 0, --daemonize, --config-file with relative paths, the pid file."""
    jail = jails("kata-sandbox-1", program=jails.firecracker)
    config = {
        "boot-source": {"kernel_image_path": "vmlinux",
                        "boot_args": "acpi=off pci=off"},
        "drives": [{"drive_id": f"drive_{i}", "path_on_host": "pool",
                    "is_root_device": False, "is_read_only": False}
                   for i in range(8)],
        "machine-config": MACHINE,
        "vsock": {"guest_cid": 3, "uds_path": "kata.hvsock"},
        "logger": {"log_path": "logs.fifo", "level": "Debug"},
        "metrics": {"metrics_path": "metrics.fifo"}}
    (jails.folder / "fcConfig.json").write_text(json.dumps(config))
    pid = kata(jail, [
        BUILD / "volt-jailer", "--id", jail.id, "--exec-file", jail.program,
        "--uid", "0", "--gid", "0", "--chroot-base-dir", jails.base,
        "--daemonize", "--", "--config-file", "fcConfig.json"],
        f'cp {jails.folder}/fcConfig.json "$R/"; : >"$R/pool"; '
        'mkfifo "$R/logs.fifo" "$R/metrics.fifo"')
    api = jail.api()
    assert api.call("GET", "/")[1]["state"] == "Running"
    # A daemon's own words.
    assert jail.status("Uid") == ["0"] * 4
    api.set("PATCH", "/drives/drive_0", {"drive_id": "drive_0",
                                         "path_on_host": "pool"})
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", SNAPSHOT)
    os.kill(pid, signal.SIGTERM)
    ended(pid)


def test_kata_runtime_rs(jails, kata):
    """gid before uid, uid 0, a relative socket; all else by the API."""
    jail = jails("kata-rs", program=jails.firecracker)
    pid = kata(jail, [
        BUILD / "volt-jailer", "--id", jail.id, "--gid", "0", "--uid", "0",
        "--exec-file", jail.program, "--chroot-base-dir", jails.base, "--",
        "--api-sock", "run/fc.sock", "</dev/null >/dev/null 2>&1"],
        ': >"$R/pool"')
    api = jail.api("run/fc.sock")
    api.set("PUT", "/boot-source", {"kernel_image_path": "vmlinux",
                                    "boot_args": "acpi=off pci=off"})
    api.set("PUT", "/machine-config", MACHINE)
    api.set("PUT", "/drives/drive_0", {
        "drive_id": "drive_0", "path_on_host": "pool", "is_read_only": False,
        "is_root_device": False, "rate_limiter": {"bandwidth": None,
                                                  "ops": None}})
    api.set("PUT", "/vsock", {"vsock_id": "root", "guest_cid": 3,
                              "uds_path": "kata.hvsock"})
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})
    assert api.call("GET", "/")[1]["state"] == "Running"
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", SNAPSHOT)
    os.kill(pid, signal.SIGTERM)
    ended(pid)


def test_a_persons_script(jails):
    """Files first, all of them the user's (chown -R), a PID namespace."""
    jail = jails("ember1", program=jails.firecracker)
    (jail.root / "run").mkdir(parents=True)
    jail.put(TICKER, "vmlinux")
    subprocess.run(["chown", "-R", f"{UID}:{GID}", jail.folder], check=True)
    jail.start("--new-pid-ns", "--resource-limit", "no-file=4096",
               rest=["--api-sock", "/run/fc.sock"])
    assert jail.run.process.wait(60) == 0
    pid = int(jail.pid_file.read_text())
    api = jail.api("run/fc.sock")
    api.set("PUT", "/boot-source", {"kernel_image_path": "/vmlinux"})
    api.set("PUT", "/actions", {"action_type": "InstanceStart"})
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", {
        "snapshot_path": "/run/state", "mem_file_path": "/run/mem"})
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    shutil.rmtree(jail.folder)
    assert jail.try_it(rest=["--version"]).returncode == 0
