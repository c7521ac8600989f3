# SPDX-License-Identifier: Apache-2.0
"""Snapshot and restore: phases, whole lives, disk, memory of clones."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import peers, stats
from .part import (Table, disk_and_net, find, has_taps, ms, once, ratio,
                   watched, with_tap)
from .proc import figures, running

NAME = "snapshot"
CLONES = 10
AT_ONCE = 100
PHASE = re.compile(r"^\| (.+?) +\| +([0-9.]+) ms \|$", re.M)
KVM = re.compile(r"^KVM calls +([0-9.]+) ", re.M)


def call(sock, method, url, body):
    """One request over a Unix socket; how long it took, us."""
    conn = http.client.HTTPConnection("localhost", timeout=600)
    conn.sock = socket.socket(socket.AF_UNIX)
    conn.sock.connect(str(sock))
    begin = time.monotonic_ns()
    conn.request(method, url, json.dumps(body))
    answer = conn.getresponse()
    text = answer.read()
    took = (time.monotonic_ns() - begin) / 1000
    conn.close()
    if answer.status >= 300:
        sys.exit(f"bench/run: {method} {url}: {text.decode()}")
    return took


@contextlib.contextmanager
def paused(tree, guest, ready, memory, folder, more=()):
    """The API socket of a VM that was paused once it printed @ready.

    @more: arguments for devices, and a tap with them.
    """
    sock = Path(folder) / "sock"
    argv = [str(tree.vmm), "--api-sock", str(sock), "--kernel",
            str(tree.guest(guest)), "--memory", str(memory), *more]
    with running(with_tap(argv) if more else argv, ready):
        call(sock, "PATCH", "/vm", {"state": "Paused"})
        yield sock
    with contextlib.suppress(FileNotFoundError):
        sock.unlink()


def create(sock, folder):
    """us that creating a snapshot took."""
    return call(sock, "PUT", "/snapshot/create",
                {"snapshot_path": f"{folder}/snap/"})


def save(tree, guest, ready, memory, folder, more=()):
    """A snapshot of @guest once it printed @ready; us that creating took."""
    with paused(tree, guest, ready, memory, folder, more) as sock:
        return create(sock, folder)


def restore_argv(tree, folder, *more):
    return [str(tree.vmm), "--no-api", "--restore", f"{folder}/snap", *more]


def plain_write(folder, mib):
    """us to write and sync as many bytes to the same disk."""
    path = Path(folder) / "plain"
    block = os.urandom(1 << 20)
    begin = time.monotonic_ns()
    with open(path, "wb", buffering=0) as file:
        for _ in range(mib):
            file.write(block)
        os.fsync(file.fileno())
    return (time.monotonic_ns() - begin) / 1000


def lives(ctx, folder):
    """Spawn to mark and to exit: restored, cold, bare and QEMU, in turns."""
    tree = ctx.tree
    field = [("restored", restore_argv(tree, folder)),
             ("cold start", tree.volt(ctx.memory).command(
                 tree.guest("mark"), ctx.memory)),
             ("bare probe", [str(tree.probe), str(tree.guest("mark")),
                             str(ctx.memory)])]
    qemu = peers.qemu(tree)
    if qemu:
        field.append((qemu.name + " cold start", qemu.command(
            tree.guest("mark-pvh"), ctx.memory)))
    times = {name: ([], [], []) for name, _ in field}
    for number in range(-2, ctx.runs):
        first = number % len(field)
        for name, argv in field[first:] + field[:first]:
            mark, end, status, text, faults = watched(tree, argv)
            if mark is None:
                sys.exit(f"bench/run: {name}: no mark (status {status}): "
                         f"{text.strip()[-300:]}")
            if number >= 0:
                for kind, value in enumerate((mark, end, faults)):
                    times[name][kind].append(value)
    return [{"name": name, "mark_us": stats.summary(times[name][0]),
             "exit_us": stats.summary(times[name][1]),
             "faults": stats.summary(times[name][2])} for name, _ in field]


def phases(ctx, folder, wrap=lambda argv: argv):
    """Medians of --timing's table, ms, and the KVM calls in it."""
    argv = wrap(restore_argv(ctx.tree, folder, "--timing"))
    seen, kvm = {}, []
    for _ in range(max(5, ctx.runs // 4)):
        text = once(ctx.tree, argv)[3]
        for name, value in PHASE.findall(text):
            seen.setdefault(name, []).append(float(value))
        kvm += [float(x) for x in KVM.findall(text)]
    return {"phases": {name: stats.summary(v)["median"]
                       for name, v in seen.items()},
            "kvm_ms": stats.summary(kvm)["median"]}


def at_once(ctx, folder):
    """us to the mark when all are spawned together."""
    argv = [ctx.tree.stopwatch, "-t", "60", *restore_argv(ctx.tree, folder)]
    runs = [subprocess.Popen(argv, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
            for _ in range(AT_ONCE)]
    marks = [int(run.communicate()[0].split()[0]) / 1000 for run in runs]
    if min(marks) < 0:
        sys.exit("bench/run: a restored VM never showed its mark")
    return {"p50": stats.percentile(marks, 0.5),
            "p99": stats.percentile(marks, 0.99), "n": len(marks)}


def clones(ctx, folder):
    """Private memory of the last of CLONES of one idle guest, KiB."""
    save(ctx.tree, "ticker", "tick 3", ctx.memory, folder)
    with contextlib.ExitStack() as stack:
        for _ in range(CLONES):
            vmm = stack.enter_context(
                running(restore_argv(ctx.tree, folder), "tick"))
        return figures(vmm.pid)


def with_devices(ctx, folder):
    """phases() with a disk, a tap and a vsock; None without taps."""
    if not has_taps():
        return None
    more = [*disk_and_net(folder), "--vsock", f"cid=3,path={folder}/vsock"]
    save(ctx.tree, "remark", ".", ctx.memory, folder, more)
    Path(folder, "vsock").unlink(missing_ok=True)

    def wrap(argv):
        return with_tap(["sh", "-c", 'rm -f "$0"; exec "$@"',
                         f"{folder}/vsock", *argv])
    return phases(ctx, folder, wrap)


def creating(ctx, folder):
    """us to create snapshots of 1 GiB, idle and full, and to write as much.

    The plain write comes right before or behind the full snapshot, in turns,
    and what comes first stays: both want fresh pages of the host's cache, which
    cost much where the host is a virtual machine, and a disk's speed changes.
    """
    took = {"idle": [], "full": [], "plain": []}
    jobs = [("full", create),
            ("plain", lambda sock, folder: plain_write(folder, 1024))]
    for turn in range(4):
        took["idle"].append(save(ctx.tree, "remark", ".", 1024, folder))
        shutil.rmtree(f"{folder}/snap")
        with paused(ctx.tree, "fill", "@", 1024, folder) as sock:
            for kind, job in jobs[::1 if turn % 2 else -1]:
                took[kind].append(job(sock, folder))
        shutil.rmtree(f"{folder}/snap")
        Path(folder, "plain").unlink()
    return {f"{kind}_gib_us": stats.summary(values)
            for kind, values in took.items()}


def measure(ctx):
    with tempfile.TemporaryDirectory(dir=ctx.tree.build) as folder:
        create = save(ctx.tree, "remark", ".", ctx.memory, folder)
        found = {"create_us": create, "lives": lives(ctx, folder),
                 "restore": phases(ctx, folder),
                 "at_once": at_once(ctx, folder)}
        found["restore_devices"] = with_devices(ctx, folder)
        shutil.rmtree(f"{folder}/snap")
        found.update(creating(ctx, folder))
        found["clone"] = clones(ctx, folder)
    return found


def show(found):
    rows = [[r["name"], ms(r["mark_us"], "median"), ms(r["mark_us"], "p95"),
             ms(r["exit_us"], "median"), ms(r["exit_us"], "p95"),
             str(r["faults"]["median"])] for r in found["lives"]]
    parts = [[name, f"{value:.3f}"]
             for name, value in found["restore"]["phases"].items()]
    parts.append(["of that in KVM's calls", f"{found['restore']['kvm_ms']:.3f}"])
    devices = found["restore_devices"]
    if devices:
        parts.append(["Total with a disk, a tap and a vsock",
                      f"{devices['phases']['Total']:.3f}"])
    return [Table(["snapshot: whole life, ms", "mark", "p95", "exit", "p95",
                   "page faults"], rows),
            Table(["snapshot: restore, by phase", "ms"], parts),
            f"{found['at_once']['n']} restores at once, to the mark: p50 "
            f"{found['at_once']['p50'] / 1000:.1f} ms, p99 "
            f"{found['at_once']['p99'] / 1000:.1f} ms",
            "creating one of an idle 1 GiB guest: "
            f"{ms(found['idle_gib_us'], 'median')} ms, of a full one: "
            f"{ms(found['full_gib_us'], 'median')} ms; writing 1 GiB to that "
            f"disk: {ms(found['plain_gib_us'], 'median')} ms",
            f"the last of {CLONES} clones: {found['clone']['vmm_private_kib']} "
            "KiB private besides guest memory, "
            f"{found['clone']['private_kib']} KiB in all"]


def load_over_bare(found):
    """A restore against KVM's own price of a guest's first output."""
    bare = find(found["lives"], "bare")["mark_us"]["median"] / 1000
    return found["restore"]["phases"]["Total"] / bare


def cost_of_devices(found):
    more = found["restore_devices"]
    return more and (more["phases"]["Total"] -
                     found["restore"]["phases"]["Total"])


def restored_over_qemu(found):
    return ratio(find(found["lives"], "restored"),
                 find(found["lives"], "QEMU"), "mark_us")


TARGETS = (
    ("restore / bare probe, start to mark", 1.3, "x", load_over_bare),
    ("restore with disk, net and vsock, more", 0.5, "ms", cost_of_devices),
    ("restored mark / QEMU cold start", 0.06, "x", restored_over_qemu),
    ("snapshot of idle 1 GiB / plain write", 0.1, "x",
     lambda found: found["idle_gib_us"]["median"] /
     found["plain_gib_us"]["median"]),
    ("snapshot of full 1 GiB / plain write", 1.2, "x",
     lambda found: found["full_gib_us"]["median"] /
     found["plain_gib_us"]["median"]),
    ("clone's private memory besides the guest's", 300, "KiB",
     lambda found: found["clone"]["vmm_private_kib"]),
)
