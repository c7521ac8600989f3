# SPDX-License-Identifier: Apache-2.0
"""A guest that has taken over its process says to the gate what it likes.

The guest process of a running VM is stopped, and the test has its end of the
wire to the gate: what the test sends is what a guest with every thread of that
process could send. The gate answers, or ends and the VM with it. What it does
meanwhile is seen by strace: it opens, calls, makes and removes nothing but what
a client has named.

tests/unit/test_gate.c has more of what may not be said; fuzz_gate, too.
"""

import contextlib
import ctypes
import errno
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

import apiclient
from conftest import ROOT, Case, looks_into
from patience import PATIENCE, killed_at_last, next_line
from test_gate import is_gone, links, until

pytestmark = looks_into

PIDFD_GETFD = 438  # the same on every architecture


# ---- what the halves say, from the headers ----

def source(name):
    return (ROOT / "src" / name).read_text()


def names_of(text, enum):
    """The names of an enum that counts from 0."""
    body = re.search(rf"enum {enum} \{{(.*?)\n\}};", text, re.S)[1]
    return re.findall(r"^\t([A-Z]\w*)", body, re.M)


def number(text, name):
    return int(re.search(rf"#define {name}\s+(\d+)", text)[1])


WIRE = source("gate/wire.h")
KINDS = names_of(WIRE, "wire_kind")
TOLD = names_of(WIRE, "wire_handover")  # from 1
PIECE = number(WIRE, "WIRE_PIECE")
FDS_MAX = number(WIRE, "WIRE_FDS_MAX")
ROLES = names_of(source("host/path.h"), "path_role")
ROLE_BITS = number(source("gate/need.h"), "NEED_ROLE_BITS")
NEEDS_MAX = number(source("gate/need.h"), "NEEDS_MAX")
DIALS_MAX = number(source("gate/open.c"), "DIALS_MAX")
DIALS_NS = number(source("gate/open.c"), "DIALS_NS")
# Behind SAVED: struct memory_proof, all zero that of no memory.
NO_PROOF = bytes(8 + 4 + 4 + 16 * number(source("image/proof.h"),
                                         "MEMORY_SAMPLES"))

FIELDS = dict(reversed(x) for x in re.findall(
    r"^\t(u?int\d+_t) (\w+);", re.search(
        r"struct wire_message \{(.*?)\};", WIRE, re.S)[1], re.M))
HEAD = struct.Struct("=" + "".join(
    {"uint32_t": "I", "int32_t": "i", "uint64_t": "Q"}[kind]
    for kind in FIELDS.values()))


def kind_of(name):
    """The number of a kind; some are none."""
    return KINDS.index(name) if name in KINDS else int(name, 0)


def message(kind, tail=b"", **fields):
    assert not fields.keys() - FIELDS.keys()
    fields["kind"] = kind_of(kind)
    return HEAD.pack(*(fields.get(name, 0) for name in FIELDS)) + tail


def test_the_headers_are_understood():
    """Else the messages below are malformed for another reason."""
    assert list(FIELDS)[:4] == ["kind", "serial", "value", "rc"]
    assert f"sizeof(struct wire_message) == {HEAD.size}," in WIRE
    assert KINDS[0] == "WIRE_NONE" and KINDS[-1] == "WIRE_NR_KINDS"
    assert TOLD[0] == "WIRE_VSOCK" and "WIRE_VSOCK = 1," in WIRE
    assert {"PATH_KERNEL", "PATH_PLACE", "PATH_TTY"} < set(ROLES)


# ---- a guest process in other hands ----

def fetch(pidfd, fd):
    """Descriptor @fd of another process."""
    libc = ctypes.CDLL(None, use_errno=True)
    ours = libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
    why = ctypes.get_errno()
    if ours < 0 and why in (errno.ENOSYS, errno.EPERM):
        pytest.skip(f"no descriptors of others here: {os.strerror(why)}")
    assert ours >= 0, os.strerror(why)
    return ours


def fetch_wire(pid):
    """The guest process's end of it: its only socket of that type."""
    found = []
    with os.fdopen(os.pidfd_open(pid), "rb", buffering=0) as pidfd:
        for fd, text in links(pid).items():
            if text.startswith("socket:"):
                found.append(socket.socket(fileno=fetch(pidfd.fileno(), fd)))
    for sock in found:
        if sock.type != socket.SOCK_SEQPACKET:
            sock.close()
    wire, = (sock for sock in found if sock.fileno() >= 0)
    return wire


class Taken:
    """A running VM with drives, whose guest process is stopped."""

    def __init__(self, vmm, folder, nr=0, vsock=True):
        self.folder = folder
        self.disk = folder / "disk"
        self.vsock = folder / f"v{nr}"
        self.disk.write_bytes(bytes(4096))
        devices = {f"drives/{name}": {
            "drive_id": name, "is_root_device": False, "is_read_only": ro,
            "path_on_host": str(self.disk)}
            for name, ro in (("a", False), ("b", True))}
        if vsock:
            devices["vsock"] = {"guest_cid": 3, "uds_path": str(self.vsock)}
        self.run, self.api = vmm.start_api(
            Case("ticker", "period=10", devices=devices))
        self.run.wait_for("tick 1")
        self.gate = apiclient.gate_of(self.run.pid)
        self.gate_fd = os.pidfd_open(self.gate)
        os.kill(self.run.pid, signal.SIGSTOP)
        assert until(lambda: os.waitid(
            os.P_PID, self.run.pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG))
        self.wire = fetch_wire(self.run.pid)
        self.wire.settimeout(PATIENCE)
        self.calls, self.last = [], None

    # -- what the gate does --

    @contextlib.contextmanager
    def watched(self):
        """Behind it, @calls has what the gate did with files and sockets but
        for removing its own two, and @last how it ended."""
        log = self.folder / "trace"
        with killed_at_last(subprocess.Popen(
                ["strace", "-s", "4096", "-o", log, "-p", str(self.gate), "-e",
                 "trace=%file,%process,socket,socketpair,connect,bind,listen,"
                 "open_by_handle_at,memfd_create,userfaultfd,ioctl"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True)) as strace:
            assert "attached" in next_line(strace)
            yield
            if not self.gate_ends(0):
                strace.terminate()
            strace.wait(PATIENCE)
        own = [f'"{path}"' for path in (self.api.path, self.vsock)]
        lines = log.read_text().splitlines()
        self.last = next((x for x in lines if x.startswith("+++")), None)
        self.calls = [x for x in lines if re.match(r"\w+\(", x)
                      and not x.startswith("exit")
                      and not (re.match(r"unlink|\w*stat", x)
                               and any(path in x for path in own))]

    def named(self):
        """All paths of @calls; none is without one."""
        paths = [re.findall(r'"(.*?)"', call) for call in self.calls]
        assert all(paths), self.calls
        return {path for some in paths for path in some}

    def rss_kib(self):
        text = Path(f"/proc/{self.gate}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", text)[1])

    def nr_fds(self):
        return len(os.listdir(f"/proc/{self.gate}/fd"))

    # -- what is said --

    def tell(self, kind, tail=b"", **fields):
        self.wire.send(message(kind, tail, **fields))

    def hear(self, kind):
        """(fields, tail, descriptors) of the next message."""
        data, fds, _, _ = socket.recv_fds(self.wire, HEAD.size + PIECE, FDS_MAX)
        fields = dict(zip(FIELDS, HEAD.unpack(data[:HEAD.size])))
        assert fields["kind"] == kind_of(kind), fields
        return fields, data[HEAD.size:], fds

    @contextlib.contextmanager
    def asked(self, method, path, body=None):
        """A client's request, which the guest process has; the client."""
        text = b"" if body is None else json.dumps(body).encode()
        raw = (f"{method} {path} HTTP/1.1\r\nContent-Length: {len(text)}"
               "\r\n\r\n").encode() + text
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(self.api.path))
            client.sendall(raw)
            fields, data, _ = self.hear("WIRE_REQUEST")
            assert data == raw
            self.serial = fields["serial"]
            yield client

    def answer(self, client):
        self.tell("WIRE_ANSWER", serial=self.serial, value=204)
        assert apiclient.read_response(client)[0] == 204

    def need(self, role, index=0):
        """(rc, descriptors)"""
        role = ROLES.index(role) if isinstance(role, str) else role
        self.tell("WIRE_NEED", serial=7, value=role | index << ROLE_BITS)
        fields, _, fds = self.hear("WIRE_DESCRIPTOR")
        assert fields["serial"] == 7 and (fields["rc"] < 0) == (not fds)
        return fields["rc"], fds

    # -- ends --

    def gate_ends(self, seconds=PATIENCE):
        return bool(select.select([self.gate_fd], [], [], seconds)[0])

    def close(self):
        """Nothing of the VM is left; that the wire is open does not help."""
        self.run.process.kill()
        self.run.process.wait(PATIENCE)
        assert self.gate_ends() and until(lambda: is_gone(self.gate))
        self.wire.close()
        os.close(self.gate_fd)


@pytest.fixture
def taken(vmm, tmp_path):
    vm = Taken(vmm, tmp_path)
    yield vm
    vm.close()


@contextlib.contextmanager
def ended(vm):
    """What is said in the block ends the gate, in order, and so the VM."""
    with vm.watched():
        yield
        assert vm.gate_ends()
    assert vm.last and "exited with" in vm.last, vm.last
    assert not vm.api.path.exists()
    os.kill(vm.run.pid, signal.SIGCONT)
    end = vm.run.finish()
    assert end.code == 1 and "serves the API has died" in end.log
    assert is_gone(vm.gate)


# ---- what is no message, or not at its time ----

def send_with(vm, data, count):
    """The same descriptor, so often."""
    with open(vm.disk, "rb") as disk:
        socket.send_fds(vm.wire, [data], [disk.fileno()] * count)


SHAPES = {
    "half": lambda vm, head: vm.wire.send(head[:HEAD.size // 2]),
    "a byte short": lambda vm, head: vm.wire.send(head[:-1]),
    "a byte more": lambda vm, head: vm.wire.send(head + b"\0"),
    "too long": lambda vm, head: vm.wire.send(head + bytes(PIECE + 1)),
    "every field": lambda vm, head: vm.wire.send(
        head[:4] + b"\xff" * (HEAD.size - 4)),
    "a descriptor": lambda vm, head: send_with(vm, head, 1),
    "many descriptors": lambda vm, head: send_with(vm, head, FDS_MAX + 1),
    # A dial, too, where there is no socket device.
    "not now": lambda vm, head: vm.wire.send(head),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_may_not_be_said_ends_it(vmm, tmp_path, shape):
    """Each kind of either side, and some that are none; nobody has asked for
    anything. A descriptor goes nowhere."""
    for i, kind in enumerate([*KINDS, "0xffffffff"]):
        vm = Taken(vmm, tmp_path, i, vsock=shape != "not now")
        with ended(vm):
            SHAPES[shape](vm, message(kind))
        assert vm.calls == [], (kind, vm.calls)
        vm.close()


@pytest.mark.parametrize("what", ["VSOCK", "DRIVE", "DRIVE_RO"])
def test_what_was_told_before_the_lock_stays(taken, tmp_path, what):
    """Other peers to call, or another word on a drive, end it."""
    tail = bytes(16) + bytes(tmp_path / "w") if what == "VSOCK" else b"b"
    with ended(taken):
        taken.tell("WIRE_HANDOVER", tail, value=TOLD.index(f"WIRE_{what}") + 1)
    assert taken.calls == []


@pytest.mark.parametrize("how", ["nothing", "no more"])
def test_the_end_of_what_is_said_ends_it(taken, how):
    with ended(taken):
        if how == "nothing":
            taken.wire.send(b"")
        else:
            taken.wire.shutdown(socket.SHUT_WR)
    assert taken.calls == []


@pytest.mark.parametrize("what", [
    {"serial": 1}, {"value": 500}, {"total": 1}, {"at": 1},
    {"total": 1 << 62, "tail": bytes(PIECE)}, {"tail": b"x"}],
    ids=lambda x: "-".join(x))
def test_an_answer_that_is_none_ends_it(taken, what):
    """Of another request, with a status that is none, out of its order, longer
    than any. The client gets none of it."""
    with ended(taken), taken.asked("GET", "/") as client:
        assert taken.serial > 1
        taken.tell("WIRE_ANSWER", **{"serial": taken.serial, "value": 200,
                                     **what})
        assert client.recv(1) == b""
    assert taken.calls == []


def test_half_an_answer_is_passed_to_nobody(taken):
    with taken.asked("GET", "/") as client:
        taken.tell("WIRE_ANSWER", bytes(PIECE), serial=taken.serial, value=200,
                   total=2 * PIECE)
        taken.tell("WIRE_DIAL", value=7)  # and other things go on
        assert taken.hear("WIRE_DIALED")[0]["rc"] == -errno.ENOENT
        taken.run.process.kill()
        assert client.recv(1) == b""


# ---- what is opened ----

OTHER = "other"     # the file that a request names
NOT_NAMED = -errno.EACCES

# A request, and who of all roles gets what it names.
REQUESTS = [
    ("PATCH", "/drives/a", {"drive_id": "a", "path_on_host": OTHER},
     "PATH_DISK"),
    ("PATCH", "/drives/b", {"drive_id": "b", "path_on_host": OTHER},
     "PATH_DISK_RO"),
    ("PATCH", "/drives/c", {"drive_id": "c", "path_on_host": OTHER}, None),
    ("PATCH", "/drives/a", {"drive_id": "a"}, None),
    ("PATCH", "/drives/a", {"x": {"path_on_host": OTHER}}, None),
    ("GET", "/drives/a", {"path_on_host": OTHER}, None),
    ("PUT", "/drives/a", {"drive_id": "a", "is_root_device": False,
                          "path_on_host": OTHER}, None),
    ("PUT", "/pmem/a", {"id": "a", "path_on_host": OTHER}, None),
    ("PATCH", "/pmem/a", {"id": "a", "path_on_host": OTHER}, None),
    ("PUT", "/boot-source", {"kernel_image_path": OTHER,
                             "initrd_path": OTHER}, None),
    ("PUT", "/logger", {"log_path": OTHER}, None),
    ("PUT", "/metrics", {"metrics_path": OTHER}, None),
    ("PUT", "/serial", {"serial_out_path": OTHER}, None),
    ("PUT", "/vsock", {"guest_cid": 3, "uds_path": OTHER}, None),
    ("PUT", "/network-interfaces/a", {"iface_id": "a",
                                      "host_dev_name": OTHER}, None),
    ("PUT", "/snapshot/load", {
        "snapshot_path": OTHER, "mem_file_path": OTHER, "mem_backend": {
            "backend_type": "File", "backend_path": OTHER}}, None),
    ("PUT", "/actions", {"action_type": "InstanceStart"}, None),
]


def named(body, path):
    return json.loads(json.dumps(body).replace(f'"{OTHER}"', f'"{path}"'))


def test_it_opens_what_a_client_named_and_nothing_else(taken, tmp_path):
    """Each request in turn; for each, every role that there is or may be."""
    other = tmp_path / OTHER
    other.write_bytes(bytes(8192))
    fds_before = taken.nr_fds()
    for method, url, body, opens in REQUESTS:
        with taken.watched(), taken.asked(method, url,
                                          named(body, other)) as client:
            for value in range(1 << ROLE_BITS):
                role = ROLES[value] if value < len(ROLES) else value
                rc, fds = taken.need(role)
                assert rc == (0 if role == opens else NOT_NAMED), (url, role)
                for fd in fds:
                    assert os.path.samestat(os.fstat(fd), other.stat())
                    os.close(fd)
            for role in ROLES:
                for index in (1, (1 << 32 - ROLE_BITS) - 1):
                    if role != opens:
                        assert taken.need(role, index) == (NOT_NAMED, [])
            taken.answer(client)
        assert taken.named() == ({str(other)} if opens else set())
    assert until(lambda: taken.nr_fds() == fds_before)


def test_needs_are_bounded(taken):
    """All of them of a drive that may be opened."""
    with ended(taken), taken.asked("PATCH", "/drives/a", {
            "drive_id": "a", "path_on_host": str(taken.disk)}):
        for _ in range(NEEDS_MAX):
            rc, fds = taken.need("PATH_DISK")
            assert rc == 0
            os.close(fds[0])
        taken.tell("WIRE_NEED", value=ROLES.index("PATH_DISK"))
    assert taken.named() == {str(taken.disk)}
    assert len([x for x in taken.calls if x.startswith("open")]) == NEEDS_MAX


# ---- snapshots ----

@contextlib.contextmanager
def saving(vm, folder):
    """A client asks for a snapshot in @folder, and its files are begun."""
    with vm.asked("PUT", "/snapshot/create",
                  {"snapshot_path": f"{folder}/"}) as client:
        rc, fds = vm.need("PATH_PLACE")
        assert rc == 0 and len(fds) == 2
        for fd in fds:
            assert os.readlink(f"/proc/self/fd/{fd}").startswith(f"{folder}/")
            os.close(fd)
        yield client


def place_twice(vm):
    vm.tell("WIRE_NEED", value=ROLES.index("PATH_PLACE"))


def proof_cut(vm):
    vm.tell("WIRE_SAVED", NO_PROOF[:-1])


def proof_long(vm):
    vm.tell("WIRE_SAVED", NO_PROOF + b"\0")


def proof_false(vm):
    vm.tell("WIRE_SAVED", b"\xff" * len(NO_PROOF))


def aborted_and_saved(vm):
    vm.tell("WIRE_ABORTED")
    vm.tell("WIRE_SAVED", NO_PROOF)


def aborted_twice(vm):
    vm.tell("WIRE_ABORTED")
    vm.tell("WIRE_ABORTED")


@pytest.mark.parametrize("say", [
    place_twice, proof_cut, proof_long, proof_false, aborted_and_saved,
    aborted_twice], ids=lambda x: x.__name__)
def test_a_save_out_of_order_leaves_nothing(taken, tmp_path, say):
    """Not a file nor the directory, which was made for it."""
    place = tmp_path / "place"
    with ended(taken), saving(taken, place):
        say(taken)
    assert not place.exists()
    # All else is relative to one of these.
    assert {path.rstrip("/") for path in taken.named() if path[0:1] == "/"
            } == {str(place), str(tmp_path)}
    assert all(re.search(r'"/|^\w+\(\d+, ', call) for call in taken.calls)


def test_a_save_that_is_answered_first_leaves_nothing(taken, tmp_path):
    """What comes behind the answer is of no request any more."""
    place = tmp_path / "place"
    with ended(taken):
        with saving(taken, place) as client:
            taken.answer(client)
            assert not place.exists()
        taken.tell("WIRE_SAVED", NO_PROOF)
    assert not place.exists()


def test_what_is_saved_has_the_names_that_were_asked_for(taken, tmp_path):
    """Once; whatever it is that the guest process has written there."""
    place = tmp_path / "place"
    with ended(taken), saving(taken, place):
        taken.tell("WIRE_SAVED", NO_PROOF, serial=9)
        fields, text, _ = taken.hear("WIRE_DONE")
        assert (fields["serial"], fields["rc"]) == (9, 0), text
        taken.tell("WIRE_SAVED", NO_PROOF)
    assert sorted(os.listdir(place)) == ["memory.snap", "state.json"]


# ---- floods ----

GROWTH_KIB = 8192  # a sanitizer keeps what was freed


def test_a_flood_of_dials_is_bounded(taken):
    """Answers that nobody reads make it wait, and hold nothing; of those that
    are read no more say that it has called than may be called in that time."""
    rss, fds = taken.rss_kib(), taken.nr_fds()
    taken.wire.setblocking(False)
    since, rcs, sent = time.monotonic_ns(), [], 0
    for _ in range(10):
        try:
            while True:
                taken.tell("WIRE_DIAL", value=sent % 8)
                sent += 1
        except BlockingIOError:
            pass
        assert taken.nr_fds() <= fds + 1
        taken.wire.settimeout(PATIENCE)
        while len(rcs) < sent:
            rcs.append(taken.hear("WIRE_DIALED")[0]["rc"])
        taken.wire.setblocking(False)
    windows = (time.monotonic_ns() - since) // DIALS_NS + 1
    assert set(rcs) <= {-errno.ENOENT, -errno.EAGAIN}
    assert rcs.count(-errno.ENOENT) <= windows * DIALS_MAX
    assert taken.rss_kib() <= rss + GROWTH_KIB
    os.kill(taken.run.pid, signal.SIGCONT)
    assert taken.api.call("GET", "/")[1]["state"] == "Running"


def test_dials_call_the_device_s_own_peers_only(taken):
    """Whatever the number; the descriptors go to the guest process alone."""
    fds = taken.nr_fds()
    with socket.socket(socket.AF_UNIX) as peer, taken.watched():
        peer.bind(f"{taken.vsock}_7")
        peer.listen(50)
        for port in [*range(20), 7, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]:
            taken.tell("WIRE_DIAL", value=port)
            fields, _, got = taken.hear("WIRE_DIALED")
            assert fields["value"] == port
            assert fields["rc"] == (0 if port == 7 else -errno.ENOENT)
            assert len(got) == (port == 7)
            for fd in got:
                os.close(fd)
    calls = [x for x in taken.calls if not x.startswith("socket(AF_UNIX")]
    for call in calls:
        assert re.match(rf'connect\(\d+, {{sa_family=AF_UNIX, sun_path='
                        rf'"{taken.vsock}_\d+"}}', call), call
    assert len(calls) == 24
    assert taken.nr_fds() == fds


def test_answers_that_nobody_reads_hold_nothing(taken):
    """Connected sockets among them: what is on its way is bounded by the
    wire, and gone with it."""
    rss, fds, sent = taken.rss_kib(), taken.nr_fds(), 0
    with socket.socket(socket.AF_UNIX) as peer:
        peer.bind(f"{taken.vsock}_7")
        peer.listen(4096)
        taken.wire.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                taken.tell("WIRE_DIAL", value=7)
                sent += 1
        assert sent > 10
        assert until(lambda: taken.nr_fds() <= fds + 1)
        assert taken.rss_kib() <= rss + GROWTH_KIB
