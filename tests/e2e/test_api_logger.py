# SPDX-License-Identifier: Apache-2.0
"""The log and the metrics: by the API, by flags, into files and FIFOs."""

import fcntl
import json
import os
import re
import signal
import subprocess
import time

import apiclient
import conftest
import pytest

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9} \[([^\]]*)\] (.*)$")

# Every flush has these groups and no other.
GROUPS = {
    "utc_timestamp_ms", "api_server", "balloon", "block", "deprecated_api",
    "get_api_requests", "i8042", "interrupts", "latencies_us", "logger",
    "memory_hotplug", "mmds", "net", "patch_api_requests", "pmem",
    "put_api_requests", "seccomp", "signals", "uart", "vcpu", "vmm", "vsock",
    "entropy", "volt_gate", "volt_memory"}  # and no "rtc", which is of other CPUs


@pytest.fixture
def folder(tmp_path):
    apiclient.conformance.make_files(tmp_path)
    return tmp_path


@pytest.fixture
def api(build, folder):
    with apiclient.Api(build, folder) as vmm:
        yield vmm


def start(api):
    api.ok("PUT", "/boot-source", {"kernel_image_path": "kernel.elf"})
    api.ok("PUT", "/actions", {"action_type": "InstanceStart"})


def metrics(path):
    """All whole lines so far, parsed."""
    return [json.loads(x) for x in path.read_text().splitlines()]


def test_log_lines_of_requests(api, folder):
    api.ok("PUT", "/logger", {"log_path": "l", "level": "info",
                              "show_level": True})
    api.ok("GET", "/machine-config")
    api.ok("PATCH", "/machine-config", {"vcpu_count": 2})
    api.fault("PUT", "/nope", {})
    api.call("PUT", "/mmds", {"secret": "of the guest"})
    lines = [LINE.match(x) for x in (folder / "l").read_text().splitlines()]
    assert all(lines)
    texts = [x.group(2) for x in lines]
    assert 'The API server received a Get request on "/machine-config".' in \
        texts
    assert ('The API server received a Patch request on "/machine-config" '
            'with body "{\\"vcpu_count\\":2}".') in texts
    assert ("Received Error. Status code: 400 Bad Request. Message: Invalid "
            "request method and/or path: PUT nope.") in texts
    assert 'The API server received a Put request on "/mmds".' in texts
    assert "secret" not in (folder / "l").read_text()
    assert {x.group(1).split(":")[2] for x in lines} == {"INFO", "ERROR"}


def test_log_of_deprecated_fields(api, folder):
    api.ok("PUT", "/logger", {"log_path": "l", "level": "warn",
                              "show_level": True})
    api.ok("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 64})
    assert (folder / "l").read_text() == ""
    api.ok("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 64,
                                      "cpu_template": "None"})
    api.ok("PATCH", "/machine-config", {"cpu_template": "None"})
    api.ok("PUT", "/vsock", {"guest_cid": 3, "uds_path": "v", "vsock_id": "v"})
    texts = [LINE.match(x) for x in (folder / "l").read_text().splitlines()]
    assert [x.group(2) for x in texts] == [
        "PUT /machine-config: cpu_template field is deprecated.",
        "PATCH /machine-config: cpu_template field is deprecated.",
        "PUT /vsock: vsock_id field is deprecated."]
    assert {x.group(1).split(":")[2] for x in texts} == {"WARN"}


def test_log_says_why_it_does_not_start(build, folder):
    """A client reads the log; stderr may be nowhere."""
    (folder / "vm.json").write_text('{"drives": [], "boot-source": 5}')
    (folder / "half.json").write_text('{"drives": [')
    (folder / "taken").write_text("")
    api_words = ("Failed to open the API socket at: taken. Check that it is "
                 "not already used.")
    file_words = "Configuration for VMM from one single json failed: "
    for flags, words in (
            (["--api-sock", "taken"], api_words),
            (["--no-api", "--config-file", "vm.json"], file_words),
            (["--no-api", "--config-file", "half.json"], file_words),
            (["--no-api", "--config-file", "missing"], file_words),
            (["--no-api", "--config-file", "."], file_words)):
        (folder / "l").unlink(missing_ok=True)
        ended = subprocess.run(
            [build / "volt-vmm", "--log-path", "l", "--level", "warn", *flags],
            cwd=folder, capture_output=True, text=True, timeout=60,
            check=False)
        assert ended.returncode == 1
        assert words in (folder / "l").read_text(), flags
        assert words in ended.stderr, flags


def test_log_can_move_and_be_filtered(api, folder):
    api.ok("PUT", "/logger", {"log_path": "one"})
    api.ok("GET", "/")
    api.ok("PUT", "/logger", {"log_path": "two", "show_log_origin": True})
    api.ok("GET", "/version")
    api.ok("PUT", "/logger", {"module": "src/dev"})
    api.ok("GET", "/vm/config")
    api.ok("PUT", "/logger", {"module": "src/api", "level": "error"})
    api.fault("PUT", "/nope", {})
    one, two = ((folder / x).read_text() for x in ("one", "two"))
    assert '"/"' in one and '"/version"' not in one
    assert re.search(r":src/api/api\.c:\d+\] .*\"/version\"", two)
    assert "/vm/config" not in two
    assert "PUT nope" in two and 'Put request on "/nope"' not in two


def test_log_flags(build, folder):
    with apiclient.Api(build, folder, "--id", "vm-7", "--log-path", "l",
                       "--show-level", "--show-log-origin") as api:
        api.alive()
    first = (folder / "l").read_text().splitlines()[0]
    parts = LINE.match(first).group(1).split(":")
    assert parts[0] == "vm-7" and parts[2] == "INFO" or \
        (folder / "vmm.log").read_text()
    assert "Running Firecracker" in first


def test_bad_level_flag(build, folder):
    with pytest.raises(RuntimeError):
        apiclient.Api(build, folder, "--log-path", "l", "--module", "x",
                      "--metrics-path", "no/such")


def test_log_fifo_that_nobody_reads(api, folder):
    """It fills up, lines are lost and counted, the API goes on."""
    os.mkfifo(folder / "fifo")
    api.ok("PUT", "/metrics", {"metrics_path": "m"})
    api.ok("PUT", "/logger", {"log_path": "fifo", "level": "Debug"})
    for _ in range(2000):
        api.ok("GET", "/version")
    start(api)
    assert metrics(folder / "m")[-1]["logger"]["missed_log_count"] > 0


def test_metrics_groups(api, folder):
    """One line at the start, each with every group and no other."""
    api.ok("PUT", "/metrics", {"metrics_path": "m"})
    start(api)
    assert len(metrics(folder / "m")) == 1
    api.ok("PUT", "/actions", {"action_type": "FlushMetrics"})
    lines = metrics(folder / "m")
    assert len(lines) == 2
    for line in lines:
        assert set(line) == GROUPS
        assert abs(line["utc_timestamp_ms"] - time.time() * 1000) < 600000
        for group in set(line) - {"utc_timestamp_ms"}:
            assert line[group]


def test_metrics_count_signals(api, folder):
    api.ok("PUT", "/metrics", {"metrics_path": "m"})
    start(api)
    assert metrics(folder / "m")[0]["signals"]["sigpipe"] == 0
    os.kill(api.process.pid, signal.SIGPIPE)
    end = time.monotonic() + 60
    while sum(x["signals"]["sigpipe"] for x in metrics(folder / "m")) != 1:
        assert time.monotonic() < end
        api.ok("PUT", "/actions", {"action_type": "FlushMetrics"})
    os.kill(api.process.pid, signal.SIGHUP)
    api.process.wait(60)
    assert metrics(folder / "m")[-1]["signals"]["sighup"] == 1


def test_metrics_count_requests(api, folder):
    api.ok("PUT", "/metrics", {"metrics_path": "m", "emit_id": True,
                               "properties": {"rack": "b\"7"}})
    for _ in range(3):
        api.ok("GET", "/")
    api.ok("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 64})
    api.fault("PUT", "/machine-config", {"vcpu_count": 0,
                                         "mem_size_mib": 64})
    api.fault("PUT", "/machine-config", {})
    api.ok("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 64,
                                      "cpu_template": "None"})
    start(api)
    line = metrics(folder / "m")[0]
    assert line["id"] == "anonymous-instance"
    assert line["properties"] == {"rack": 'b"7'}
    assert line["get_api_requests"]["instance_info_count"] == 3
    assert line["put_api_requests"]["machine_cfg_count"] == 4
    assert line["put_api_requests"]["machine_cfg_fails"] == 2
    assert line["put_api_requests"]["metrics_count"] == 1
    assert line["deprecated_api"]["deprecated_http_api_calls"] == 1
    api.ok("PATCH", "/vm", {"state": "Paused"})
    api.ok("PUT", "/actions", {"action_type": "FlushMetrics"})
    line = metrics(folder / "m")[1]
    assert line["get_api_requests"]["instance_info_count"] == 0
    assert line["put_api_requests"]["actions_fails"] == 0


def test_last_metrics_line_at_the_end(build, folder):
    with apiclient.Api(build, folder, "--metrics-path", "m") as api:
        start(api)
        api.process.send_signal(signal.SIGTERM)
        api.process.wait(60)
    assert len(metrics(folder / "m")) == 2


def test_metrics_fifo_that_nobody_reads(api, folder):
    """Whole lines as far as they fit; the rest is lost and counted."""
    os.mkfifo(folder / "m")
    reader = os.open(folder / "m", os.O_RDONLY | os.O_NONBLOCK)
    api.ok("PUT", "/metrics", {"metrics_path": "m"})
    start(api)
    for _ in range(100):
        api.ok("PUT", "/actions", {"action_type": "FlushMetrics"})
    data = b""
    while True:
        try:
            data += os.read(reader, 1 << 20)
        except BlockingIOError:
            break
    api.ok("PUT", "/actions", {"action_type": "FlushMetrics"})
    data += os.read(reader, 1 << 20)
    os.close(reader)
    lines = [json.loads(x) for x in data.splitlines()]
    missed = sum(x["logger"]["missed_metrics_count"] for x in lines)
    assert missed > 0
    assert len(lines) + missed == 102


def test_startup_time_of_a_jailer(build, folder):
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    with apiclient.Api(build, folder, "--start-time-us", str(now),
                       "--start-time-cpu-us", "0", "--parent-cpu-time-us",
                       "1000000", "--metrics-path", "m") as api:
        start(api)
        line = metrics(folder / "m")[0]["api_server"]
    assert line["process_startup_time_us"] > 0
    assert line["process_startup_time_cpu_us"] >= 1000000


def test_stderr_that_nobody_reads(build, folder):
    """A full pipe, which other processes share: the API and the guest go on,
    and the end comes within its bound, with its reason once somebody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    sock = folder / "s"
    vmm = subprocess.Popen(
        [build / "volt-vmm", "--api-sock", sock, "--level", "Debug"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=writer)
    try:
        assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
        os.close(writer)
        client = conftest.Api(sock)
        client.wait()
        for _ in range(300):
            assert client.call("GET", "/version")[0] == 200
        assert client.call("PUT", "/boot-source",
                           {"kernel_image_path": "kernel.elf"})[0] == 204
        assert client.call("PUT", "/actions",
                           {"action_type": "InstanceStart"})[0] == 204
        assert client.call("GET", "/")[0] == 200
        vmm.terminate()
        with open(reader, encoding="utf-8") as pipe:
            lines = pipe.read().splitlines()
        vmm.wait(60)
    finally:
        vmm.kill()
        vmm.wait()
    assert all(LINE.match(x) for x in lines)
    assert any(re.search(r"\] \d+ log lines were lost", x) for x in lines)
    assert "intercepting signal" in "".join(lines[-3:])
    assert "exiting" in lines[-1]
