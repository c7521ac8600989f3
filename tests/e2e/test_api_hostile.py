# SPDX-License-Identifier: Apache-2.0
"""Requests that want to do harm (the rows of the threat list by name)."""

import json
import os
import random
import socket

import apiclient
import pytest

INTEGERS = ["-1", "0", "1", "255", "256", "4294967295", "4294967296",
            "9007199254740992", "9223372036854775807", "9223372036854775808",
            "17592186044415", "17592186044416", "18446744073709551615",
            "18446744073709551616", "1e400", "-1e400", "1.5", "1e2", "-0",
            "NaN", "Infinity", "0x10", "01", "+1"]


@pytest.fixture
def api(build, tmp_path):
    with apiclient.Api(build, tmp_path) as vmm:
        yield vmm


@pytest.mark.parametrize("header", [
    "Content-Length: -1", "Content-Length: +1", "Content-Length: 1,1",
    "Content-Length: 1\r\nContent-Length: 1",
    "Content-Length: 1\r\nContent-Length: 2",
    "Content-Length: 9223372036854775808",
    "Content-Length: 18446744073709551617",
    "Content-Length: 1\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 1",
    "Transfer-Encoding: chunked",
])
def test_h6_content_length(api, header):
    """H6: a length that lies never reaches a handler."""
    sock = api.send(f"PUT /machine-config HTTP/1.1\r\n{header}\r\n\r\n"
                    "{\"vcpu_count\":9,\"mem_size_mib\":64}".encode())
    status, body = apiclient.read_response(sock)
    assert status == 400
    assert "error" in json.loads(body)
    assert api.ok("GET", "/machine-config")["vcpu_count"] == 1


def test_socket_paths_that_are_empty(api):
    """An empty path would bind an abstract socket, open to every user."""
    body = '{"guest_cid":3,"uds_path":""}'
    status, answer = api.call("PUT", "/vsock", body)
    assert status == 400
    assert answer["fault_message"] == (
        "Vsock config error: Cannot create backend for vsock device: Error "
        "binding to the host-side Unix socket: the path is empty")
    with open("/proc/net/unix", encoding="ascii", errors="replace") as table:
        assert not [x for x in table if x.endswith(" " + "@" * 108 + "\n")]


@pytest.mark.parametrize("field", ["vcpu_count", "mem_size_mib"])
def test_h8_integers_of_machine_config(api, field):
    """H8: each integer at its edges: refused, or stored as it was sent."""
    for value in INTEGERS:
        other = {"vcpu_count": '"mem_size_mib":64',
                 "mem_size_mib": '"vcpu_count":1'}[field]
        body = f'{{"{field}":{value},{other}}}'
        status, answer = api.call("PUT", "/machine-config", body)
        if status == 204:
            stored = api.ok("GET", "/machine-config")[field]
            assert str(stored) == value
            assert stored > 0 and stored << 20 < 1 << 64
        else:
            assert status == 400, (value, answer)
            assert set(answer) == {"fault_message"}


def test_h8_integers_of_a_token_bucket(api):
    for field in ("size", "refill_time", "one_time_burst"):
        for value in INTEGERS:
            bucket = {"size": "1", "refill_time": "1"}
            bucket[field] = value
            text = ",".join(f'"{k}":{v}' for k, v in bucket.items())
            status, _ = api.call("PUT", "/serial",
                                 f'{{"rate_limiter":{{{text}}}}}')
            fits = value.isdigit() and value == str(int(value)) and \
                int(value) < 1 << 64
            assert status == (204 if fits else 400), (field, value)


def test_memory_beyond_any_host(api, tmp_path):
    """2^40 MiB are accepted as Firecracker does, and refused at the start."""
    kernel = tmp_path / "kernel.elf"
    kernel.write_bytes(apiclient.conformance.make_kernel())
    api.ok("PUT", "/boot-source", {"kernel_image_path": str(kernel)})
    api.ok("PUT", "/machine-config",
           {"vcpu_count": 1, "mem_size_mib": 1 << 40})
    fault = api.fault("PUT", "/actions", {"action_type": "InstanceStart"})
    assert fault.startswith("Start microvm error: ")
    assert api.ok("GET", "/")["state"] == "Not started"


def test_huge_body_is_refused_unread(api):
    """The limit looks at the length that is declared: nothing is stored."""
    before = api.rss_kib()
    for length in (51201, 1 << 31, (1 << 63) - 1):
        sock = api.send(f"PUT /machine-config HTTP/1.1\r\nContent-Length: "
                        f"{length}\r\n\r\n".encode())
        assert apiclient.read_response(sock)[0] == 400
        # What still comes is thrown away; the sender finds a closed socket.
        with pytest.raises(OSError):
            for _ in range(100000):
                sock.sendall(b"x" * 65536)
    assert api.alive()
    assert api.rss_kib() < before + 512


def test_body_of_the_limit(api):
    """51200 bytes pass; a limit of one's own counts instead."""
    args = "x" * (51200 - len('{"boot_args":""}'))
    body = f'{{"boot_args":"{args}"}}'
    assert len(body) == 51200
    assert "missing field" in api.fault("PUT", "/boot-source", body)
    status, answer = api.call("PUT", "/boot-source", body + " ")
    assert status == 400 and "larger than the limit" in answer["error"]


def test_payload_limit_flag(build, tmp_path):
    with apiclient.Api(build, tmp_path, "--http-api-max-payload-size",
                       "100") as api:
        assert "missing field" in api.fault(
            "PUT", "/boot-source", '{"boot_args":"%s"}' % ("x" * 84))
        status, answer = api.call(
            "PUT", "/boot-source", '{"boot_args":"%s"}' % ("x" * 85))
        assert status == 400 and "100 allowed" in answer["error"]


def test_deep_json(api):
    """Nesting is limited, wherever it stands, and costs no memory."""
    before = api.rss_kib()
    deep = "[" * 25000 + "]" * 25000
    bodies = [deep, '{"x":' * 8000 + "1" + "}" * 8000,
              '{"vcpu_count":' + deep + "}"]
    for body in bodies:
        assert "An error occurred when deserializing" in api.fault(
            "PUT", "/machine-config", body)
    # In a place where anything is allowed:
    assert "recursion limit exceeded" in api.fault(
        "PUT", "/metrics", '{"x":' + deep + ',"metrics_path":"m"}')
    assert api.rss_kib() < before + 256


def test_wide_json(api):
    before = api.rss_kib()
    api.fault("PUT", "/metrics", '{"x":[' + "1," * 25000 + '1]}')
    api.fault("PUT", "/metrics", '{"properties":{' + ",".join(
        f'"{i}":"v"' for i in range(4000)) + "}}")
    assert api.rss_kib() < before + 1024


def test_requests_that_were_bent(api):
    """Thousands of damaged requests: an answer or a closed connection."""
    rng = random.Random(20261123)
    seeds = [apiclient.put("/machine-config",
                           {"vcpu_count": 2, "mem_size_mib": 64,
                            "smt": True, "huge_pages": "2M"}),
             apiclient.put("/serial", {"serial_out_path": "x",
                                       "rate_limiter": {"size": 1,
                                                        "refill_time": 2}}),
             b"GET /vm/config HTTP/1.1\r\nHost: a\r\n\r\n"]
    before = api.rss_kib()
    for _ in range(3000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            kind = rng.randrange(3)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at:at + rng.randrange(1, 8)]
            else:
                data[at:at] = bytes(rng.randrange(256)
                                    for _ in range(rng.randrange(1, 8)))
            if not data:
                break
        sock = api.send(bytes(data))
        sock.shutdown(socket.SHUT_WR)
        answer = apiclient.read_response_or_none(sock)
        if answer:
            assert answer[0] in (200, 204, 400)
        sock.close()
    assert api.alive()
    assert api.rss_kib() < before + 512


def test_values_with_strange_characters(api):
    """What a client sent comes back as JSON, never as something else."""
    for text in ('"', "\\", "\n", "\u0001", "é", "\U0001f600", "a\u2028b"):
        api.ok("PUT", "/serial", {"serial_out_path": text})
        message = api.fault("PUT", "/machine-config", {text: 1})
        assert message.startswith("An error occurred when deserializing")
        assert f"unknown field `{text}`" in message
    assert "NUL" in api.fault("PUT", "/serial", {"serial_out_path": "a\0b"})


def test_kernel_path_that_is_a_fifo(api, tmp_path):
    """Opening it must not wait for a writer; nor is it a kernel."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"text")
    for body in ({"kernel_image_path": "fifo"},
                 {"kernel_image_path": "file", "initrd_path": "fifo"}):
        fault = api.fault("PUT", "/boot-source", body)
        assert "either a regular file nor a directory" in fault
    assert api.alive()
    assert api.fault("PUT", "/actions", {"action_type": "InstanceStart"})
    assert api.ok("GET", "/")["state"] == "Not started"
