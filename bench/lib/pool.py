# SPDX-License-Identifier: Apache-2.0
"""Leases from a pool: how soon the guest runs, how many a second, what waits.

The guest remembers its generation ID and prints a mark as soon as that is
another one: its first instructions in a VM that was restored. When the very
first one ran, the VM tells. All clones print to one FIFO, which the snapshot
names, so that a mark is seen when it is made. Then it stands still, and is given
back when its time was taken: a VM that ends takes the host longer than a lease.
Where leases a second are counted it resets, and the VM ends by itself. The
figures beside it are a restore by a process of its own, and what it takes that
one process that waits is woken by another one: a lease wakes four, the daemon,
both halves of the VM and a vCPU, and its mark two more.
"""

import array
import contextlib
import json
import os
import select
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import stats
from .part import Table
from .proc import rollup
from .snapshot import call

NAME = "pool"
WAKE_UP = "one process wakes another"
LEASES = 100
IDLE_SECONDS = 10
RATE_SECONDS = 5
AT_ONCE = 64
BARE = 2000
SECONDS = 120


def options(arg):
    arg.add_argument("--clones", type=int, default=100,
                     help="idle clones of the pool's memory figures")
    arg.add_argument("--idle-minutes", type=float, default=0,
                     help="leave the pool's idle clones for so long, and "
                          "measure no leases")


class Client:
    """A connection to volt-pool."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(path))

    def send(self, what, **members):
        self.sock.sendall(json.dumps({"v": 1, what: members}).encode())

    def receive(self):
        text, extra, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(8))
        fds = array.array("i")
        for _, _, data in extra:
            fds.frombytes(data)
        for fd in fds:
            os.close(fd)
        return json.loads(text)

    def call(self, what, **members):
        self.send(what, **members)
        answer = self.receive()
        if "error" in answer:
            raise RuntimeError(f"bench/run: pool: {answer['error']['text']}")
        return answer

    def ready(self, pool, number):
        """Wait for so many members that are ready, and for nothing else."""
        end = time.monotonic() + SECONDS
        while True:
            row = next(r for r in self.call("ls")["ls"]["pools"]
                       if r["pool"] == pool)
            if row["ready"] >= number and not row["starting"]:
                return
            if time.monotonic() > end:
                raise RuntimeError(f"bench/run: pool: {row}")
            time.sleep(0.01)

    def members(self):
        rows, more = [], {}
        while True:
            ls = self.call("ls", members=True, **more)["ls"]
            rows += ls["members"]
            if not ls.get("more"):
                return rows
            more = {"after": rows[-1]["id"]}


class World:
    """A snapshot, the FIFO that its clones print to, and a daemon."""

    def __init__(self, tree, folder):
        self.tree, self.folder = tree, folder
        self.fifo = folder / "console"
        os.mkfifo(self.fifo)
        self.marks = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        self.snap = self.snapshot("remarkstay")
        self.snap_that_ends = self.snapshot("remark")
        self.daemon = subprocess.Popen(
            [tree.vmm.with_name("volt-pool"), "--socket", folder / "s",
             "--dir", folder / "p"], stdin=subprocess.DEVNULL)
        end = time.monotonic() + SECONDS
        while not (folder / "s").exists() and time.monotonic() < end:
            time.sleep(0.002)
        self.client = Client(folder / "s")

    def snapshot(self, guest):
        sock, snap = self.folder / "api", self.folder / guest
        with subprocess.Popen([self.tree.vmm, "--api-sock", sock],
                              stdin=subprocess.DEVNULL) as vmm:
            while not sock.exists():
                time.sleep(0.002)
            time.sleep(0.05)
            for path, body in (
                    ("/serial", {"serial_out_path": str(self.fifo)}),
                    ("/boot-source", {"kernel_image_path":
                                      str(self.tree.guest(guest))}),
                    ("/machine-config", {"vcpu_count": 1, "mem_size_mib": 32}),
                    ("/actions", {"action_type": "InstanceStart"})):
                call(sock, "PUT", path, body)
            self.wait_marks(1, b".")
            call(sock, "PUT", "/snapshot/create",
                 {"snapshot_path": f"{snap}/"})
            vmm.kill()
        sock.unlink(missing_ok=True)
        return str(snap)

    def wait_marks(self, number, mark=b"@"):
        """When each of @number marks came."""
        times = []
        while len(times) < number:
            if not select.select([self.marks], [], [], SECONDS)[0]:
                raise RuntimeError("bench/run: pool: no mark of a guest")
            data = os.read(self.marks, 4096)
            times += [time.monotonic()] * data.count(mark)
        return times

    def close(self):
        self.daemon.terminate()
        self.daemon.wait(SECONDS)
        os.close(self.marks)


@contextlib.contextmanager
def world(tree):
    # As /run, where its folder is as a rule: no disk.
    with tempfile.TemporaryDirectory(dir="/dev/shm",
                                     prefix="volt-bench-") as name:
        one = World(tree, Path(name))
        try:
            yield one
        finally:
            one.close()


def timed(w, runs, argv, prepare):
    """us from a request to the first instruction and to the mark, pairs, one
    after the other, by bench/lease."""
    times = []
    with subprocess.Popen([w.tree.find("bench/lease"), w.fifo, *argv],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as lease:
        for _ in range(runs):
            prepare()
            lease.stdin.write("\n")
            lease.stdin.flush()
            began, mark = lease.stdout.readline().split()
            times.append((int(began) / 1000, int(mark) / 1000))
        lease.stdin.close()
    return times


def alone(w, kind, runs):
    w.client.call("create", pool=kind, kind=kind, size=4,
                  snapshot=w.snap)
    times = timed(w, runs, [w.folder / "s", kind],
                  lambda: w.client.ready(kind, 4))
    w.client.call("rm", pool=kind)
    return times


def restored(w, runs):
    """The same for a volt-vmm that is started for it."""
    return timed(w, runs, ["--", w.tree.vmm, "--no-api", "--restore",
                           w.snap], lambda: None)


def wake_ups(runs):
    """us until a process that waits goes on, by a byte from another one."""
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        here.close()
        while there.recv(1):
            there.send(b".")
        os._exit(0)
    there.close()
    times = []
    for _ in range(runs):
        time.sleep(0.005)
        begin = time.monotonic_ns()
        here.send(b".")
        here.recv(1)
        times.append((time.monotonic_ns() - begin) / 2000)
    here.close()
    os.waitpid(pid, 0)
    return times


def together(w, kind):
    """us to each of LEASES marks, of leases that were asked for at once."""
    w.client.call("create", pool=kind, kind=kind, size=LEASES,
                  snapshot=w.snap)
    w.client.ready(kind, LEASES)
    begin = time.monotonic()
    for _ in range(LEASES):
        w.client.send("lease", pool=kind)
    times = [(t - begin) * 1e6 for t in w.wait_marks(LEASES)]
    leases = [w.client.receive()["lease"]["name"] for _ in range(LEASES)]
    for name in leases:
        w.client.call("release", name=name)
    w.client.call("rm", pool=kind)
    return times


def sustained(w):
    """Leases a second while the pool refills."""
    w.client.call("create", pool="rate", kind="clone", size=AT_ONCE,
                  snapshot=w.snap_that_ends, wait_ms=60000)
    w.client.ready("rate", AT_ONCE)
    begin, before = time.monotonic(), cpu_ns(w.daemon.pid)
    for _ in range(AT_ONCE):
        w.client.send("lease", pool="rate")
    done = 0
    while time.monotonic() < begin + RATE_SECONDS:
        w.client.receive()
        w.client.send("lease", pool="rate")
        done += 1
        with contextlib.suppress(BlockingIOError):
            os.read(w.marks, 65536)
    took = time.monotonic() - begin
    spent = cpu_ns(w.daemon.pid) - before
    for _ in range(AT_ONCE):
        w.client.receive()
    w.client.call("rm", pool="rate")
    with contextlib.suppress(BlockingIOError):
        os.read(w.marks, 65536)
    return {"leases_s": done / took, "daemon_us": spent / done / 1000}


def bare(w):
    """VMs a second that are nothing but what runs a guest, a process each of
    bench/probe, and which nobody asks for: twice as many at a time as there are
    CPUs."""
    argv = ["xargs", "-P", str(2 * os.cpu_count()), "-n", "1", w.tree.probe,
            w.tree.guest("mark")]
    begin = time.monotonic()
    subprocess.run(argv, input="32\n" * BARE, text=True, check=True,
                   stdout=subprocess.DEVNULL, timeout=SECONDS)
    return BARE / (time.monotonic() - begin)


def cpu_ns(pid):
    """Of all its threads."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def child(pid):
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def idle(w, clones, seconds):
    """What so many clones and the daemon take while nothing happens."""
    w.client.call("create", pool="idle", kind="clone", size=clones,
                  snapshot=w.snap)
    w.client.ready("idle", clones)
    members = sorted(row["pid"] for row in w.client.members())
    pids = members + [child(pid) for pid in members]

    def private(pid):
        fields = rollup(pid)
        return fields["Private_Clean"] + fields["Private_Dirty"]
    each = [sum(map(private, pids)) / clones]
    before = sum(map(cpu_ns, [*pids, w.daemon.pid]))
    begin = time.monotonic_ns()
    time.sleep(seconds)
    spent = sum(map(cpu_ns, [*pids, w.daemon.pid])) - before
    share = spent / (time.monotonic_ns() - begin)
    # Also at the end: a leak shows after an hour. A member that was replaced
    # is a fault, not a smaller figure.
    if sorted(row["pid"] for row in w.client.members()) != members:
        raise RuntimeError("bench/run: pool: idle members were replaced")
    each.append(sum(map(private, pids)) / clones)
    own = rollup(w.daemon.pid)
    w.client.call("rm", pool="idle")
    return {"clones": clones, "seconds": seconds,
            "clone_private_kib": max(each),
            "daemon_rss_kib": own["Rss"],
            "daemon_private_kib": own["Private_Clean"] + own["Private_Dirty"],
            "cpu_percent": share * 100}


def both(times):
    """Of pairs: the first instruction, and the mark."""
    began, mark = zip(*times)
    return spread(began), spread(mark)


def spread(times):
    return {"median": stats.percentile(times, 0.5),
            "p99": stats.percentile(times, 0.99), "min": min(times),
            "n": len(times)}


def measure(ctx):
    found = {}
    with world(ctx.tree) as w:
        if ctx.idle_minutes:
            return {"idle": idle(w, ctx.clones, ctx.idle_minutes * 60)}
        clone = both(alone(w, "clone", ctx.runs))
        shell = both(alone(w, "shell", ctx.runs))
        found["began"] = {"clone": clone[0], "shell": shell[0]}
        found["alone"] = {
            "clone": clone[1], "shell": shell[1],
            "a process of its own": both(restored(w, ctx.runs))[1],
            WAKE_UP: spread(wake_ups(ctx.runs))}
        found["together"] = {kind: spread(together(w, kind))
                             for kind in ("clone", "shell")}
        found["sustained"] = sustained(w)
        found["sustained"]["bare_s"] = bare(w)
        found["idle"] = idle(w, ctx.clones, IDLE_SECONDS)
    return found


def show(found):
    if "alone" in found:
        yield from show_leases(found)
    rest = found["idle"]
    yield (f"{rest['clones']} idle clones for {rest['seconds']:.0f} s: "
           f"{rest['clone_private_kib']:.0f} KiB private each; the daemon "
           f"{rest['daemon_private_kib']} KiB private of "
           f"{rest['daemon_rss_kib']}; CPU of all "
           f"{rest['cpu_percent']:.2f} %")


def show_leases(found):
    cold = found["alone"]["a process of its own"]["median"]
    yield Table(["request to the guest's first instruction", "least, us",
                 "median, us", "p99, us", "p99 / median"],
                [[kind, f"{t['min']:.0f}", f"{t['median']:.0f}",
                  f"{t['p99']:.0f}", f"{t['p99'] / t['median']:.1f}"]
                 for kind, t in found["began"].items()])
    yield Table(["request to the guest's mark", "least, us", "median, us",
                 "p99, us", "p99 / median", "/ a process"],
                [[kind, f"{t['min']:.0f}", f"{t['median']:.0f}",
                  f"{t['p99']:.0f}",
                  f"{t['p99'] / t['median']:.1f}",
                  f"{t['median'] / cold:.3f}"]
                 for kind, t in found["alone"].items()])
    yield Table([f"{LEASES} leases at once", "median, us", "p99, us",
                 "p99 / median"],
                [[kind, f"{t['median']:.0f}", f"{t['p99']:.0f}",
                  f"{t['p99'] / t['median']:.1f}"]
                 for kind, t in found["together"].items()])
    rate = found["sustained"]
    yield (f"sustained: {rate['leases_s']:.0f} leases a second, {AT_ONCE} at a "
           "time, while the pool refills; the daemon takes "
           f"{rate['daemon_us']:.0f} us of CPU for each, with its refill. Bare "
           f"VMs without a VMM (bench/probe): {rate['bare_s']:.0f} a second, "
           f"{rate['bare_s'] / rate['leases_s']:.1f} times as many")


def of_leases(value):
    """None where the clones only idled: a figure that was not measured."""
    return lambda f: value(f) if "alone" in f else None


TARGETS = (
    ("lease of a clone to its first instruction", 200, "us",
     of_leases(lambda f: f["began"]["clone"]["median"])),
    ("lease of a shell to its first instruction", 700, "us",
     of_leases(lambda f: f["began"]["shell"]["median"])),
    ("100 leases of clones at once: p99 / median", 3, "x",
     of_leases(lambda f: f["together"]["clone"]["p99"]
               / f["together"]["clone"]["median"])),
    ("time of 1,000 leases while the pool refills", 1, "s",
     of_leases(lambda f: 1000 / f["sustained"]["leases_s"])),
    ("private memory of an idle clone", 300, "KiB",
     lambda f: f["idle"]["clone_private_kib"]),
    ("memory of the daemon", 3072, "KiB",
     lambda f: f["idle"]["daemon_rss_kib"]),
    ("CPU of idle clones and the daemon", 1, "%",
     lambda f: f["idle"]["cpu_percent"]),
)
