# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, many, greedy or die in the middle."""

import os
import resource
import shutil
import socket
import subprocess
import threading
import time

import apiclient
import pytest

CONFIG = {"vcpu_count": 1, "mem_size_mib": 128}


@pytest.fixture
def api(build, tmp_path):
    with apiclient.Api(build, tmp_path) as vmm:
        yield vmm


def test_client_dies_after_each_byte(api):
    """Every prefix of every request: no leak, nothing half applied."""
    requests = [
        b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n",
        apiclient.put("/machine-config", {"vcpu_count": 7,
                                          "mem_size_mib": 64}),
        b"PATCH /machine-config HTTP/1.1\r\nContent-Length: 16\r\n"
        b"Expect: 100-continue\r\n\r\n{\"vcpu_count\": 5}"[:-1],
    ]
    before = api.ok("GET", "/machine-config")
    fds = api.idle_fds()
    for request in requests:
        for cut in range(len(request)):
            api.send(request[:cut]).close()
    assert api.ok("GET", "/machine-config") == before
    api.wait_for_fds(fds)


def test_client_dies_before_it_reads(api):
    """A whole request counts, whoever reads the answer."""
    fds = api.idle_fds()
    for cpus in (2, 3, 4):
        api.send(apiclient.put("/machine-config", {
            "vcpu_count": cpus, "mem_size_mib": 64})).close()
    assert api.ok("GET", "/machine-config")["vcpu_count"] == 4
    api.wait_for_fds(fds)


def test_half_closed_client_gets_its_answer(api):
    sock = api.send(b"GET /version HTTP/1.1\r\n\r\n")
    sock.shutdown(socket.SHUT_WR)
    assert apiclient.read_response(sock)[0] == 200
    assert sock.recv(1) == b""


def test_every_way_to_cut_a_request_in_two(api):
    request = apiclient.put("/machine-config", CONFIG)
    sock = api.connect()
    for cut in range(1, len(request)):
        sock.sendall(request[:cut])
        sock.sendall(request[cut:])
        assert apiclient.read_response(sock) == (204, "")


def test_keep_alive_and_pipelining(api):
    """One connection, many requests, answers in order."""
    sock = api.connect()
    for _ in range(100):
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert apiclient.read_response(sock)[0] == 200
    many = b"".join(apiclient.put("/machine-config", {
        "vcpu_count": 1 + i % 32, "mem_size_mib": 64})
        + b"GET /machine-config HTTP/1.1\r\n\r\n" for i in range(50))
    sock.sendall(many)
    data = b""
    while data.count(b"HTTP/1.1 ") < 100 or not data.endswith(b"}"):
        data += sock.recv(65536)
    counts = [int(x.split(b",")[0]) for x in data.split(b'"vcpu_count":')[1:]]
    assert counts == [1 + i % 32 for i in range(50)]


def test_expect_100_continue(api):
    text = b'{"vcpu_count":1,"mem_size_mib":128}'
    sock = api.send(b"PUT /machine-config HTTP/1.1\r\n"
                    b"Expect: 100-continue\r\nContent-Length: 35\r\n\r\n")
    assert apiclient.read_response(sock) == (100, "")
    sock.sendall(text)
    assert apiclient.read_response(sock) == (204, "")


def test_ten_clients_at_once(api):
    """Ten threads, each with a connection of its own and 200 requests."""
    failures = []

    def work():
        sock = api.connect()
        for _ in range(200):
            sock.sendall(b"GET /version HTTP/1.1\r\n\r\n")
            if apiclient.read_response(sock)[0] != 200:
                failures.append(sock)
        sock.close()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_eleventh_client_is_told(api):
    """503 for the eleventh, and room when one of the ten leaves."""
    socks = [api.send(b"GET /version HTTP/1.1\r\n\r\n") for _ in range(10)]
    for sock in socks:
        assert apiclient.read_response(sock)[0] == 200
    for _ in range(3):
        late = api.connect()
        assert apiclient.read_response(late)[0] == 503
        assert late.recv(1) == b""
    socks.pop().close()
    assert api.alive()
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert apiclient.read_response(sock)[0] == 200


def test_idle_place_is_given_away(api):
    """Ten that say nothing for long do not keep others out."""
    socks = [api.connect() for _ in range(10)]
    assert apiclient.read_response(api.connect())[0] == 503
    end = time.monotonic() + 60
    while time.monotonic() < end:
        sock = api.connect()
        try:
            sock.sendall(b"GET /version HTTP/1.1\r\n\r\n")
        except BrokenPipeError:
            pass
        if apiclient.read_response(sock)[0] == 200:
            break
        time.sleep(0.2)
    assert time.monotonic() < end
    assert apiclient.read_response(socks[0]) is None


def test_slow_loris_loses_its_place(api):
    """Ten clients that never finish their headers: their places come back."""
    socks = [api.send(b"GET / HTTP/1.1\r\nX: ") for _ in range(10)]
    assert apiclient.read_response(api.connect())[0] == 503
    end = time.monotonic() + 60
    open_ = list(socks)
    while open_ and time.monotonic() < end:
        time.sleep(0.5)
        for sock in list(open_):
            try:
                sock.sendall(b"a")
            except OSError:
                open_.remove(sock)
    assert not open_
    assert api.alive()
    assert "slow API connection" not in api.fault("PUT", "/nope", {})


def test_slow_body_loses_its_place(api):
    sock = api.send(b"PUT /machine-config HTTP/1.1\r\n"
                    b"Content-Length: 35\r\n\r\n{\"vcpu")
    sock.settimeout(60)
    assert apiclient.read_response(sock) is None
    assert api.alive()


def test_client_that_does_not_read(api):
    """Its answers do not pile up, others are served, memory stays flat."""
    api.alive()
    before = api.rss_kib()
    sock = api.connect()
    sock.setblocking(False)
    sent = 0
    request = b"GET /vm/config HTTP/1.1\r\n\r\n" * 1000
    try:
        while sent < 64 << 20:
            sent += sock.send(request)
    except BlockingIOError:
        pass
    assert sent < 64 << 20
    assert api.alive()
    assert api.rss_kib() < before + 512
    # It is dropped in the end, not kept for ever.
    sock.settimeout(60)
    try:
        while True:
            time.sleep(0.2)
            sock.sendall(request)
    except OSError:
        pass
    assert api.alive()


def test_accept_does_not_spin_without_descriptors(build, tmp_path):
    """EMFILE: the API waits, and goes on when there is room again."""
    with apiclient.Api(build, tmp_path) as api:
        api.idle_fds()
        gate = api.gate()
        limits = resource.prlimit(gate, resource.RLIMIT_NOFILE)
        resource.prlimit(gate, resource.RLIMIT_NOFILE,
                         (len(os.listdir(f"/proc/{gate}/fd")), limits[1]))
        sock = api.send(b"GET /version HTTP/1.1\r\n\r\n")
        ticks = api.cpu_ticks()
        time.sleep(2)
        assert api.cpu_ticks() - ticks < 50  # of the 200 that spinning takes
        resource.prlimit(gate, resource.RLIMIT_NOFILE, limits)
        assert apiclient.read_response(sock)[0] == 200


def test_curl(api):
    """The client that people use, with its own ideas of HTTP."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")

    def curl(*args):
        run = subprocess.run(
            ["curl", "-s", "-S", "--unix-socket", api.socket, "-w",
             " %{http_code}", *args], capture_output=True, text=True,
            timeout=60, check=True)
        return run.stdout

    assert curl("http://localhost/version").endswith("} 200")
    assert curl("-X", "PUT", "http://localhost/machine-config", "-d",
                '{"vcpu_count": 2, "mem_size_mib": 64}') == " 204"
    assert '"vcpu_count":2' in curl("http://localhost/machine-config")
    assert "Empty PUT request" in curl("-X", "PUT",
                                       "http://localhost/actions")
    # More than 1 KiB: curl asks with Expect: 100-continue.
    big = '{"boot_args": "%s"}' % ("x" * 2000)
    assert "missing field `kernel_image_path`" in curl(
        "-X", "PUT", "-H", "Expect: 100-continue",
        "http://localhost/boot-source", "-d", big)
    # Two requests on one connection.
    assert curl("http://localhost/version",
                "http://localhost/version").count("200") == 2


def test_socket_belongs_to_the_process(build, tmp_path):
    """A path in use is refused and left alone; the owner removes its own."""
    with apiclient.Api(build, tmp_path) as api:
        second = subprocess.run(
            [build / "volt-vmm", "--api-sock", api.socket, "--level", "warn"],
            capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert (f"Failed to open the API socket at: {api.socket}. Check that "
                "it is not already used.") in second.stderr
        assert api.alive()
        api.process.terminate()
        api.process.wait(60)
        assert not api.socket.exists()


def test_socket_of_another_vm_stays(build, tmp_path):
    """A path that was taken over meanwhile is not removed at the end."""
    with apiclient.Api(build, tmp_path) as first:
        first.socket.unlink()
        (tmp_path / "second").mkdir()
        with apiclient.Api(build, tmp_path / "second") as second:
            (tmp_path / "second/api.sock").rename(first.socket)
            first.process.terminate()
            first.process.wait(60)
            second.socket = first.socket
            assert second.alive()


def test_closed_descriptors_get_dev_null(build, tmp_path):
    """The API's socket is not where a message for stderr goes."""
    vmm = subprocess.Popen(
        ["sh", "-c", 'exec "$0" --api-sock api.sock --level Debug '
         '<&- >&- 2>&-', build / "volt-vmm"], cwd=tmp_path)
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "api.sock").exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        for fd in range(3):
            assert os.readlink(f"/proc/{vmm.pid}/fd/{fd}") == "/dev/null"
    finally:
        vmm.terminate()
        vmm.wait(60)


def test_socket_path_that_is_too_long(build, tmp_path):
    run = subprocess.run(
        [build / "volt-vmm", "--api-sock", "x" * 200], cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert "1 to 107 characters" in run.stderr


def test_discard_of_a_drive(build, tmp_path):
    """Firecracker 1.17.0 knows it: taken, shown where it was given."""
    apiclient.conformance.make_files(tmp_path)
    drive = {"drive_id": "d", "path_on_host": "disk.img",
             "is_root_device": False}
    with apiclient.Api(build, tmp_path) as api:
        for given in ({"discard": True}, {"discard": False},
                      {"discard": True, "io_engine": "Async"},
                      {"discard": False, "is_read_only": True},
                      {"discard": None}, {}):
            api.ok("PUT", "/drives/d", {**drive, **given})
            shown = api.ok("GET", "/vm/config")["drives"][0]
            assert shown.get("discard") == given.get("discard"), given
        assert "read only" in api.fault(
            "PUT", "/drives/d", {**drive, "discard": True,
                                 "is_read_only": True})
        assert "Invalid block config" in api.fault(
            "PUT", "/drives/d", {"drive_id": "d", "is_root_device": False,
                                 "socket": "s", "discard": True})
