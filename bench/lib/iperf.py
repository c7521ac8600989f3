# SPDX-License-Identifier: Apache-2.0
"""TCP of a Linux guest over a tap, both ways: bytes for a CPU-second.

iperf3 runs in the guest and on this host, in a network namespace of the
benchmark's own. CPU time is that of the whole VMM process, guest included, and
of the kernel thread that works for it under vhost; not that of iperf3 here.
The VMMs take turns. Where this host's KVM does not run Linux, this part alone
runs in the lab.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from . import host, kvmstat, lab, linux, network, proc, report
from .part import Table

NAME = "iperf"
GUEST = "10.2.0.2"
WAYS = {"to the guest": (), "from the guest": ("-R",)}
CMDLINE = (linux.CMDLINE + f" volt.run=net volt.ip={GUEST} volt.mtu=1500")
MIB = 1 << 20


def options(arg):
    arg.add_argument("--iperf-seconds", type=int, default=4,
                     help="length of each run of iperf3")
    arg.add_argument("--iperf-rounds", type=int, default=3,
                     help="runs of each VMM; the median counts")
    arg.add_argument("--iperf-kernel", type=Path, help="the guest's kernel")
    arg.add_argument("--iperf-initrd", type=Path, help="its initramfs")


def volt(tree, more=""):
    return [str(tree.vmm), "--no-api", "--kernel", "{kernel}", "--initrd",
            "{initrd}", "--memory", "256", "--net",
            f"tap={network.TAP}{more}", "--cmdline", CMDLINE]


def qemu(more=""):
    machine = linux.qemu(
        "microvm,pit=off,pic=off,rtc=off,acpi=on",
        "-global", "virtio-mmio.force-legacy=false", "-netdev",
        f"tap,id=n0,ifname={network.TAP},script=no,downscript=no{more}",
        "-device", "virtio-net-device,netdev=n0")
    return [a.replace("{memory}", "256").replace("{cmdline}", CMDLINE)
            for a in machine.argv]


def field(tree):
    rows = {"volt-vmm": volt(tree)}
    has_vhost = os.access("/dev/vhost-net", os.W_OK)
    if has_vhost:
        rows["volt-vmm, vhost"] = volt(tree, ",vhost")
    if shutil.which("qemu-system-x86_64"):
        rows["QEMU microvm"] = qemu()
        if has_vhost:
            rows["QEMU microvm, vhost"] = qemu(",vhost=on")
    return rows


def cpu_seconds(pid):
    """Of the process, and of a kernel thread that is named after it."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        head, _, fields = stat.rpartition(")")
        if int(folder.name) == pid or head.endswith(f"(vhost-{pid}"):
            total += sum(int(x) for x in fields.split()[11:13])
    return total / os.sysconf("SC_CLK_TCK")


def transfer(space, vmm, vm, seconds, way):
    """One run of iperf3; None when it failed."""
    exits, cpu = vm and vm.count(), cpu_seconds(vmm.pid)
    run = subprocess.run(
        [*space.join, "iperf3", "-J", "-t", str(seconds), "-c", GUEST, *way],
        stdout=subprocess.PIPE, timeout=60 + 20 * seconds, check=False)
    cpu = cpu_seconds(vmm.pid) - cpu
    if run.returncode:
        return None
    moved = json.loads(run.stdout)["end"]["sum_received"]
    found = {"mib_per_cpu_s": moved["bytes"] / MIB / max(cpu, 0.01),
             "mbit_per_s": moved["bits_per_second"] / 1e6}
    if exits is not None:
        found["exits_per_mib"] = (vm.count() - exits) / (moved["bytes"] / MIB)
    return found


def one_vmm(space, argv, seconds, debugfs):
    """Both ways of one VMM that is started for it."""
    with proc.running([*space.join, *argv], "VOLT-NET serving", 300) as vmm:
        vm = kvmstat.Vm(vmm, debugfs) if debugfs else None
        transfer(space, vmm, None, 1, ())  # memory that nobody has touched
        found = {name: transfer(space, vmm, vm, seconds, way)
                 for name, way in WAYS.items()}
        if vm:
            vm.close()
    return found


def median(runs):
    """Figure by figure; None when a run failed."""
    if not runs or None in runs:
        return None
    return {key: statistics.median(x[key] for x in runs) for key in runs[0]}


def rounds(ctx, kernel, initrd):
    rows = field(ctx.tree)
    runs = {name: {way: [] for way in WAYS} for name in rows}
    with network.Namespace() as space:
        if not space.works:
            return None
        for line in (f"link set {network.TAP} mtu 1500",
                     f"addr add 10.2.0.1/24 dev {network.TAP}"):
            subprocess.run([*space.join, "ip", *line.split()], check=True)
        debugfs = kvmstat.mount()
        for _ in range(ctx.iperf_rounds):
            for name, argv in rows.items():
                argv = [a.replace("{kernel}", str(kernel))
                        .replace("{initrd}", str(initrd)) for a in argv]
                found = one_vmm(space, argv, ctx.iperf_seconds, debugfs)
                for way, run in found.items():
                    runs[name][way].append(run)
    return [{"name": name, **{way: median(r) for way, r in ways.items()}}
            for name, ways in runs.items()]


def measure(ctx):
    kernel, initrd = ctx.iperf_kernel, ctx.iperf_initrd
    if not kernel:
        kernel = lab.made_by("tests/kernel/stock", "--print", "vmlinux")
        initrd = lab.made_by("tests/initramfs/build", "--modules", "--iperf")
    if not kernel or not initrd or not shutil.which("iperf3"):
        print("no guest kernel, initramfs or iperf3: no TCP figures",
              file=sys.stderr)
        return None
    if not host.runs_linux():
        return lab.measure(ctx, NAME, "--iperf-kernel", kernel,
                           "--iperf-initrd", initrd, "--iperf-seconds",
                           ctx.iperf_seconds, "--iperf-rounds",
                           ctx.iperf_rounds)
    rows = rounds(ctx, kernel, initrd)
    return {"host": host.describe(), "rows": rows} if rows else None


def cell(run, key, digits):
    return f"{run[key]:.{digits}f}" if run and key in run else "-"


def show(found):
    tables = [Table(
        [f"TCP {way}", "MiB a CPU-second", "Mbit/s", "exits a MiB"],
        [[row["name"], cell(row[way], "mib_per_cpu_s", 1),
          cell(row[way], "mbit_per_s", 0), cell(row[way], "exits_per_mib", 1)]
         for row in found["rows"]]) for way in WAYS]
    return [*tables, "TCP figures' " + report.host_line(found["host"])]


def against(found, way, more):
    """QEMU's bytes for a CPU-second over ours."""
    both = [row[way] for who in ("QEMU microvm", "volt-vmm")
            for row in found["rows"] if row["name"] == who + more]
    if len(both) != 2 or None in both:
        return None
    return both[0]["mib_per_cpu_s"] / both[1]["mib_per_cpu_s"]


TARGETS = tuple(
    (f"TCP {way} per CPU-s{more}, QEMU's over ours", 1.0, "x",
     lambda found, way=way, more=more: against(found, way, more))
    for more in ("", ", vhost") for way in WAYS)
