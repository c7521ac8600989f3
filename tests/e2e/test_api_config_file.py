# SPDX-License-Identifier: Apache-2.0
"""--config-file: the files in config/, and what the file shares with the API.

config/pass-*.json have to be accepted; config/fail-*.json hold an extra
top-level key "expect" (unknown keys are ignored) with a part of the message.
"""

import json
import shutil
import subprocess
from pathlib import Path

import apiclient
import pytest

CONFIGS = Path(__file__).resolve().parent / "config"
EMPTY = {"boot-source": {"kernel_image_path": "kernel.elf"}, "drives": []}


@pytest.fixture
def folder(tmp_path):
    apiclient.conformance.make_files(tmp_path)
    return tmp_path


def run(build, folder, *args, seconds=60):
    """A VMM that is expected to end by itself."""
    return subprocess.run([build / "volt-vmm", *args], cwd=folder,
                          capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("pass-*.json")),
                         ids=lambda p: p.stem)
def test_file_is_accepted(build, folder, path):
    shutil.copy(path, folder / "vm.json")
    with apiclient.Api(build, folder, "--config-file", "vm.json") as api:
        assert api.ok("GET", "/")["state"] == "Running"
        assert "configured from one single json" in api.log_text()
        config = json.loads(path.read_text())
        ours = api.ok("GET", "/vm/config")
        for key, value in config.items():
            if key in ("logger", "metrics"):
                assert ours[key] is None
            elif key in ours:
                assert apiclient.conformance.rules.contains(ours[key], value)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("fail-*.json")),
                         ids=lambda p: p.stem)
def test_file_is_refused(build, folder, path):
    text = path.read_text()
    expect = text.split('"expect": "')[1].split('"')[0].replace("\\", "")
    (folder / "vm.json").write_text(text)
    for mode in (["--no-api"], ["--api-sock", "api.sock"]):
        ended = run(build, folder, *mode, "--config-file", "vm.json")
        assert ended.returncode == 1
        assert "Configuration for VMM from one single json failed" in \
            ended.stderr
        assert "Failed to build MicroVM from Json" in ended.stderr
        assert expect in ended.stderr
        assert not (folder / "api.sock").exists()


@pytest.mark.parametrize("name", ["missing.json", "folder"])
def test_file_that_cannot_be_read(build, folder, name):
    (folder / "folder").mkdir()
    ended = run(build, folder, "--no-api", "--config-file", name)
    assert ended.returncode == 1
    assert f"configuration file {name}" in ended.stderr


def test_huge_file(build, folder):
    (folder / "vm.json").write_text(" " * (5 << 20))
    ended = run(build, folder, "--no-api", "--config-file", "vm.json")
    assert ended.returncode == 1
    assert "larger than 4 MiB" in ended.stderr


def test_same_words_as_the_api(build, folder):
    """One schema: a body is refused by the file as it is by the API."""
    bodies = {
        "machine-config": [{"vcpu_count": 300, "mem_size_mib": 1},
                           {"vcpu_count": 3, "mem_size_mib": 1, "smt": True},
                           {"vcpu_count": 1}, {"x": 1}, 5, []],
        "boot-source": [{"kernel_image_path": "nope"}, {},
                        {"kernel_image_path": "kernel.elf",
                         "boot_args": "x" * 2048}],
        "logger": [{"level": "Nope"}, {"log_path": "no/such"}],
        "metrics": [{}, {"metrics_path": "."}],
    }
    with apiclient.Api(build, folder) as api:
        for key, values in bodies.items():
            for value in values:
                fault = api.fault("PUT", "/" + key, value)
                (folder / "vm.json").write_text(
                    json.dumps({**EMPTY, key: value}, separators=(",", ":")))
                ended = run(build, folder, "--no-api", "--config-file",
                            "vm.json")
                assert ended.returncode == 1
                assert fault.rstrip(".") in ended.stderr


def test_what_the_api_shows_can_be_loaded(build, folder):
    """GET /vm/config gives a config file."""
    (folder / "vm.json").write_text(json.dumps({
        **EMPTY, "machine-config": {"vcpu_count": 2, "mem_size_mib": 64}}))
    with apiclient.Api(build, folder, "--config-file", "vm.json") as api:
        shown = api.ok("GET", "/vm/config")
    (folder / "vm.json").write_text(json.dumps(shown))
    with apiclient.Api(build, folder, "--config-file", "vm.json") as api:
        assert api.ok("GET", "/vm/config") == shown


def test_kernel_that_is_none(build, folder):
    (folder / "vm.json").write_text(json.dumps({
        **EMPTY, "boot-source": {"kernel_image_path": "disk.img"}}))
    ended = run(build, folder, "--no-api", "--config-file", "vm.json")
    assert ended.returncode == 1
    assert "Could not Start MicroVM from one single json" in ended.stderr


def test_post_boot_api_after_a_file(build, folder):
    (folder / "vm.json").write_text(json.dumps(EMPTY))
    with apiclient.Api(build, folder, "--config-file", "vm.json") as api:
        assert "not supported after starting" in api.fault(
            "PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 64})
        api.ok("PATCH", "/vm", {"state": "Paused"})
        assert api.ok("GET", "/")["state"] == "Paused"
        api.ok("PATCH", "/vm", {"state": "Paused"})
        api.ok("PATCH", "/vm", {"state": "Resumed"})
        assert api.ok("GET", "/")["state"] == "Running"
