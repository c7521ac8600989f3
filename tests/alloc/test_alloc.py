# SPDX-License-Identifier: Apache-2.0
"""No memory: each allocation of a VM's life fails once, one after the other.

volt-vmm-alloc (tests/alloc) counts its allocations and makes one fail. Each
test here plays one scene, and plays it again for every allocation in it. What
must hold each time: the process ends by itself or does as it is told, and says
what failed; a request that failed has changed nothing and works when it is
sent again; nothing leaks. In the asan lane the sanitizers watch as well.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from conftest import BUILD, Api, build, vmm  # noqa: E402,F401
from netns import Namespace  # noqa: E402

PROGRAM = BUILD / "tests/alloc/volt-vmm-alloc"
SANITIZER = 99  # its exit code
BEYOND = 8  # more calls in a scene than it had when all went well, at most


@pytest.fixture(name="stage")
def make_stage(vmm, tmp_path):  # noqa: F811
    """A folder with disks, and a namespace with a tap where one can be."""
    if not PROGRAM.exists():
        pytest.fail(f"{PROGRAM} is not there: build first")
    stage = Stage(vmm, tmp_path)
    yield stage
    stage.close()


class Stage:
    """Where the scenes are played, several at a time."""

    def __init__(self, vmm, folder):
        self.vmm, self.folder = vmm, folder
        self.taps = os.access("/dev/net/tun", os.R_OK | os.W_OK)
        self.namespace = Namespace() if self.taps else None
        (folder / "disk.img").write_bytes(bytes(1 << 20))

    def close(self):
        if self.namespace:
            self.namespace.close()

    def config(self, scene):
        """Every device there is; all that a VM has to itself in @scene."""
        limit = {"bandwidth": {"size": 1 << 30, "refill_time": 100},
                 "ops": {"size": 1000, "one_time_burst": 10,
                         "refill_time": 100}}
        disk = str(self.folder / "disk.img")
        parts = {
            "boot-source": {"kernel_image_path": str(self.vmm.guest("devices")),
                            "boot_args": "none"},
            "machine-config": {"vcpu_count": 1, "mem_size_mib": 32},
            "drives": [{"drive_id": "a", "path_on_host": disk,
                        "is_root_device": True, "is_read_only": True,
                        "rate_limiter": limit},
                       {"drive_id": "b", "path_on_host": disk,
                        "is_root_device": False, "is_read_only": True,
                        "io_engine": "Async"}],
            "pmem": [{"id": "p", "path_on_host": disk, "read_only": True,
                      "rate_limiter": limit}],
            "vsock": {"guest_cid": 42, "uds_path": str(scene / "v.sock")},
            "entropy": {"rate_limiter": limit},
            "balloon": {"amount_mib": 0, "deflate_on_oom": True,
                        "stats_polling_interval_s": 1,
                        "free_page_hinting": True,
                        "free_page_reporting": True}}
        if self.taps:
            parts["network-interfaces"] = [
                {"iface_id": "n0", "host_dev_name": scene.name,
                 "guest_mac": "06:00:ac:10:00:02", "rx_rate_limiter": limit}]
        return parts

    def start(self, scene, number, *flags):
        """A VMM whose allocation @number fails.

        Not locked: for its report on leaks the sanitizer traces the process
        from a child of its own, at the end.
        """
        env = {**os.environ, "VOLT_ALLOC_FAIL": str(number),
               "VOLT_ALLOC_COUNT": str(scene / "count"),
               "ASAN_OPTIONS": f"detect_leaks=1:exitcode={SANITIZER}"
                               ":allocator_may_return_null=1",
               "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
        join = self.namespace.join if self.taps else []
        with open(scene / "log", "ab") as log:
            return subprocess.Popen(
                [*join, str(PROGRAM), "--sandbox", "off", *map(str, flags)],
                env=env,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)

    def play(self, act, number):
        """One scene in a folder of its own; how many allocations it made."""
        scene = self.folder / f"s{number}"
        scene.mkdir()
        try:
            if self.taps:
                self.namespace.run("ip", "tuntap", "add", scene.name,
                                   "mode", "tap")
            act(self, scene, number)
            return int.from_bytes((scene / "count").read_bytes(), "little")
        except Exception as failure:
            log = (scene / "log").read_text(errors="replace")
            raise AssertionError(
                f"allocation {number}: {failure}\n{log[-3000:]}") from failure
        finally:
            if self.taps:
                self.namespace.run("ip", "link", "del", scene.name, ok=False)
            shutil.rmtree(scene)

    def play_all(self, act):
        """The scene as it should be, then once for each allocation in it."""
        calls = self.play(act, 0)
        assert calls > 20, "the program does not count"
        failures = []

        def one(number):
            try:
                self.play(act, number)
            except AssertionError as failure:
                failures.append(str(failure))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(one, range(1, calls + BEYOND)))
        assert not failures, "\n\n".join(failures)


def ended(process, scene, number, typed=None):
    """The process ends, and as it may."""
    out, _ = process.communicate(typed, timeout=20)
    code = process.returncode
    log = (scene / "log").read_text(errors="replace")
    assert code in (0, -signal.SIGTERM) or 0 < code != SANITIZER, \
        f"ended with {code}"
    assert "Sanitizer" not in log and "runtime error" not in log
    if code > 0:
        assert number, f"ended with {code}"
        assert log.strip(), "ended without a word"
    return code, out.decode(errors="replace")


def no_api(stage, scene, number):
    """From a config file to the guest's own end."""
    (scene / "vm.json").write_text(json.dumps(
        {"drives": [], **stage.config(scene)}))
    process = stage.start(scene, number, "--no-api", "--config-file",
                          scene / "vm.json")
    code, out = ended(process, scene, number, b"x")
    if number == 0:
        assert code == 0 and "done " in out, out


def test_a_start(stage):
    stage.play_all(no_api)


class Client:
    """An API client that sends again what failed."""

    def __init__(self, process, scene, number):
        self.process, self.scene, self.number = process, scene, number
        self.path = scene / "api.sock"
        self.failed = []

    def wait(self):
        """True once the API answers, False when the process has ended."""
        end = time.monotonic() + 60
        while self.process.poll() is None:
            try:
                Api(self.path).call("GET", "/")
                return True
            except OSError:
                assert time.monotonic() < end, "the API never answered"
                time.sleep(0.002)
        return False

    def call(self, method, url, body=None):
        """The answer's body; one failure in a scene is allowed for."""
        for _ in range(2):
            try:
                status, answer = Api(self.path).call(method, url, body)
            except (OSError, EOFError) as failure:
                status, answer = 0, str(failure)
            if status in (200, 204):
                return answer
            self.failed.append(f"{method} {url}: {status} {answer}")
            assert self.process.poll() is None, "ended at a request"
            assert self.number and len(self.failed) == 1, \
                "\n".join(self.failed)
            if status:
                assert answer["fault_message"], answer
        return None

    def start(self):
        """Starts; False when that failed behind the lock. A process that is
        locked cannot start another VM, so it ends."""
        body = {"action_type": "InstanceStart"}
        try:
            status, answer = Api(self.path).call("PUT", "/actions", body)
        except (OSError, EOFError) as failure:
            status, answer = 0, str(failure)
        if status == 204:
            return True
        assert self.number and not self.failed, (status, answer, self.failed)
        self.failed.append(f"start: {status} {answer}")
        if "Cannot start the thread of vCPU" in str(answer):
            assert self.process.wait(20) == 1
            return False
        assert self.process.poll() is None, "ended at a start"
        assert Api(self.path).call("PUT", "/actions", body)[0] == 204
        return True

    def load(self, body):
        """Restores. A load that failed has ended the process, as with
        Firecracker, or was refused before it changed anything."""
        for _ in range(2):
            try:
                status, answer = Api(self.path).call(
                    "PUT", "/snapshot/load", body)
            except (OSError, EOFError) as failure:
                status, answer = 0, str(failure)
            if status == 204:
                return
            self.failed.append(f"load: {status} {answer}")
            assert self.number, "\n".join(self.failed)
        # The second came while the first ended the process, however slowly.
        assert status == 0, "\n".join(self.failed)
        self.process.wait(20)


def requests(config):
    """One PUT for each part of a configuration."""
    keys = {"drives": "drive_id", "network-interfaces": "iface_id",
            "pmem": "id"}
    for part, value in config.items():
        for item in value if part in keys else [value]:
            name = f"/{item[keys[part]]}" if part in keys else ""
            yield f"/{part}{name}", item


def over_the_api(stage, scene, number):
    """Configured, started, changed, saved and ended by requests."""
    process = stage.start(scene, number, "--api-sock", scene / "api.sock")
    client = Client(process, scene, number)
    try:
        if not client.wait():
            ended(process, scene, number)
            return
        client.call("PUT", "/logger", {"level": "Debug",
                                       "log_path": str(scene / "vmm.log")})
        client.call("PUT", "/metrics", {"metrics_path": str(scene / "m")})
        for url, body in requests(stage.config(scene)):
            client.call("PUT", url, body)
        config = client.call("GET", "/vm/config")
        want = stage.config(scene)
        assert config["boot-source"] | want["boot-source"] \
            == config["boot-source"]
        for part in ("drives", "network-interfaces"):
            assert len(config.get(part, [])) == len(want.get(part, []))
        if not client.start():
            return
        client.call("GET", "/balloon/statistics")
        client.call("PATCH", "/drives/a",
                    {"drive_id": "a", "path_on_host":
                     str(stage.folder / "disk.img")})
        client.call("PUT", "/actions", {"action_type": "FlushMetrics"})
        client.call("PATCH", "/vm", {"state": "Paused"})
        for mem in ("mem", "mem2"):
            client.call("PUT", "/snapshot/create",
                        {"snapshot_path": str(scene / "state"),
                         "mem_file_path": str(scene / mem)})
        client.call("PATCH", "/vm", {"state": "Resumed"})
        process.send_signal(signal.SIGTERM)
        assert ended(process, scene, 1)[0] == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


def test_requests(stage):
    stage.play_all(over_the_api)


def saved(stage):
    """A snapshot of all devices, made by a VMM to which nothing happens."""
    scene = stage.folder / "saved"
    scene.mkdir()
    config = stage.config(scene)
    if stage.taps:
        stage.namespace.run("ip", "tuntap", "add", "saved", "mode", "tap")
    process = stage.start(scene, 0, "--api-sock", scene / "api.sock")
    client = Client(process, scene, 0)
    try:
        assert client.wait()
        for url, body in requests(config):
            client.call("PUT", url, body)
        client.call("PUT", "/actions", {"action_type": "InstanceStart"})
        said = b""
        while b"ready" not in said:
            more = os.read(process.stdout.fileno(), 4096)
            assert more, said
            said += more
        client.call("PATCH", "/vm", {"state": "Paused"})
        client.call("PUT", "/snapshot/create",
                    {"snapshot_path": str(scene / "state"),
                     "mem_file_path": str(scene / "mem")})
    finally:
        process.kill()
        process.communicate()
    (scene / "v.sock").unlink(missing_ok=True)
    return scene


def test_a_restore(stage):
    origin = saved(stage)

    def restored(stage, scene, number):
        process = stage.start(scene, number, "--api-sock", scene / "api.sock")
        client = Client(process, scene, number)
        body = {"snapshot_path": str(origin / "state"),
                "mem_backend": {"backend_type": "File",
                                "backend_path": str(origin / "mem")},
                "resume_vm": True,
                "vsock_override": {"uds_path": str(scene / "v.sock")}}
        if stage.taps:
            body["network_overrides"] = [
                {"iface_id": "n0", "host_dev_name": scene.name}]
        try:
            if client.wait():
                client.load(body)
            ended(process, scene, number, b"x")
        finally:
            process.kill()
            process.communicate()

    stage.play_all(restored)
