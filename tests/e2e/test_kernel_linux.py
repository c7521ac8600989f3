# SPDX-License-Identifier: Apache-2.0
"""Kernels of the store boot as `volt kernel check` says, or do not.

Debian's stock kernels are what tests/kernel/stock has, made a package again:
their drivers are modules, so a root on a disk takes the initramfs that `volt
run` makes. What check refuses is booted past it, by volt-vmm. All in one lab.
make check-long: Debian's generic kernels, too, and what `volt kernel build`
makes, whole and without what a guest needs. What is no kernel for this machine
never comes as far as check: it is refused when it is added, and does not boot.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import (BUILD, LONG, NO_SLIM, ROOT, Running, lab_run, long_only,
                      mkfs_ext4, need_lab, runs_linux, said, slim_kernel)

CMDLINE = "console=ttyS0 reboot=k panic=1 loglevel=4"
# Where modules are that a guest can use; all of them would be 90 MB.
PARTS = ("kernel/drivers/virtio", "kernel/drivers/block", "kernel/fs/ext4",
         "kernel/drivers/net/virtio_net*", "kernel/drivers/net/*failover*",
         "kernel/drivers/nvdimm", "kernel/drivers/dax", "kernel/net/core", "kernel/net/vmw_vsock", "kernel/lib",
         "kernel/crypto", "kernel/fs/jbd2", "kernel/fs/mbcache*")
INIT = """#!/bin/busybox sh
busybox mount -t proc proc /proc
read -r device _ type _ </proc/mounts
busybox grep ' / ' /proc/mounts
echo "ROOT pid=$$ args=$*"
busybox ls /sys/bus/virtio/drivers 2>/dev/null
echo "$0 was here" | busybox tr a-z A-Z >/mark
busybox sync
busybox reboot -f
"""
SECONDS = 200 if LONG else 50
MARK = "/SBIN/INIT WAS HERE"
NO_ROOT = "Unable to mount root fs"
NO = "# CONFIG_"
NO_DISK = "missing: disk: CONFIG_VIRTIO_BLK is a module"


@dataclass
class Boot:
    """One kernel: whether check says yes, and how it is started.

    package: (name, suite) of Debian's. lines: of a .config, which are laid on
    those of Volt's base; None: it is not built here. said: by check. shown: by
    the guest that does not get to its root, on the console; silent: it says
    nothing there at all. pmem: its root is a file as memory.
    """

    name: str
    good: bool
    long: bool = False
    package: tuple = None
    lines: tuple = None
    said: str = ""
    shown: str = NO_ROOT
    silent: bool = False
    pmem: bool = False
    store: Path = None
    disk: Path = None
    kernel: str = ""

    def argv(self, build, _folder):
        argv = ["env", f"VOLT_STORE={self.store}", f"{build}/volt", "run",
                "--timeout", str(SECONDS), "--kernel", self.name,
                *(["--pmem", f"{self.disk},root"] if self.pmem else
                  ["--disk", str(self.disk)]),
                "--cmdline", CMDLINE + " word"]
        if not self.good:  # past the check of volt run
            argv = [f"{build}/volt-vmm", "--no-api", "--memory", "256",
                    "--kernel", self.kernel, "--disk", str(self.disk),
                    "--cmdline", CMDLINE, "--timeout", str(SECONDS)]
        # Last of all, whether the root's init was there: 1 or 0.
        return ["sh", "-c", 'disk=$1; shift; "$@"; code=$?; echo; '
                'grep -aq "$0" "$disk" && echo 1 || echo 0; exit $code',
                MARK, str(self.disk), *argv]


BOOTS = [
    Boot("stock", True),
    Boot("stock-without-modules", False, said=NO_DISK),
    Boot("slim", True),
    Boot("stock-pmem", True, long=True, pmem=True),
    Boot("trixie", True, long=True),
    Boot("trixie-without-modules", False, long=True, said=NO_DISK),
    Boot("generic", True, long=True,
         package=("linux-image-amd64", "bookworm")),
    Boot("trixie-generic", True, long=True,
         package=("linux-image-amd64", "trixie")),
    Boot("seven", True, long=True,
         package=("linux-image-cloud-amd64", "trixie-backports")),
    Boot("base", True, long=True, lines=()),
    Boot("no-console", True, long=True, lines=(NO + "SERIAL_8250_CONSOLE",),
         said="console: CONFIG_SERIAL_8250_CONSOLE is not in it", silent=True),
    Boot("no-find", False, long=True,
         lines=(NO + "VIRTIO_MMIO_CMDLINE_DEVICES",),
         said="missing: finding devices: CONFIG_ACPI or "
              "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is not in it"),
    Boot("no-ext4", False, long=True, lines=(NO + "EXT4_FS",),
         said="missing: ext4: CONFIG_EXT4_FS is not in it"),
    # Linux cannot be configured so: what asks is taken out of its Kconfig.
    Boot("no-interrupts", False, long=True, lines=(NO + "X86_MPPARSE",),
         said="missing: interrupts: CONFIG_ACPI or CONFIG_X86_MPPARSE is not "
              "in it", shown=""),
    # Of another hypervisor's guests: virtio, but on PCI. Last of what
    # is built, for PCI has most files compiled again.
    Boot("no-mmio", False, long=True,
         lines=(NO + "VIRTIO_MMIO", NO + "VIRTIO_MMIO_CMDLINE_DEVICES",
                "CONFIG_PCI=y", "CONFIG_VIRTIO_PCI=y"),
         said="missing: virtio bus: CONFIG_VIRTIO_MMIO is not in it"),
]


def make_package(folder, series):
    """The stock kernel of a Debian as a .deb; and its parts."""
    argv = [ROOT / "tests/kernel/stock",
            *(["--series", series] if series else []), "--print"]
    image, config, modules = (Path(said(*argv, x))
                              for x in ("bzimage", "config", "modules"))
    tree = folder / f"deb{series}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: linux-image-test\nVersion: 1\nArchitecture: amd64\n"
        "Maintainer: me <me@example.org>\nDescription: a test\n")
    (tree / "boot").mkdir()
    shutil.copy(image, tree / f"boot/vmlinuz-{modules.name}")
    shutil.copy(config, tree / f"boot/config-{modules.name}")
    for part in PARTS:
        for path in modules.glob(part):
            target = tree / "lib/modules" / modules.name / \
                path.relative_to(modules)
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
    deb = folder / f"linux{series}.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", tree,
                    deb], check=True, capture_output=True)
    return deb, image, config


def volt(store, *words, seconds=900, prefix=()):
    return subprocess.run(
        [*prefix, BUILD / "volt", "kernel", *words], text=True,
        capture_output=True, timeout=seconds, check=False,
        env={**os.environ, "VOLT_STORE": str(store)})


# Lets the MP table of a source go without ACPI, in a mount namespace.
WITHOUT_MPTABLE = """
sed 's/bool "Enable MPS table" if ACPI/bool "Enable MPS table"/' "$1" >"$2"
mount --bind "$2" "$1"
shift 2
exec "$@"
"""


def make_variants(folder, store, boots):
    """Volt's base, and it with some lines changed: in one folder, so what a
    line does not change is compiled once."""
    if os.geteuid() != 0:
        pytest.skip("only root lays a file over another one")
    source = None
    for boot in sorted(boots, key=lambda b: bool(b.lines)):
        lines = [x if "=" in x else f"{x} is not set" for x in boot.lines]
        config = folder / f"{boot.name}.config"
        config.write_text("\n".join(lines) + "\n")
        prefix = ()
        if NO + "X86_MPPARSE" in boot.lines:
            prefix = ("unshare", "--mount", "sh", "-euc", WITHOUT_MPTABLE,
                      "sh", source / "arch/x86/Kconfig", folder / "Kconfig")
        run = volt(store, "build", "--package", "linux-source-6.1", "--suite",
                   "bookworm", "--name", boot.name, "--keep", "--config",
                   config, seconds=6000, prefix=prefix)
        assert run.returncode == 0, (boot.name, run.stderr[-2000:])
        tree = Path(run.stdout.splitlines()[-1])
        made = (tree / ".config").read_text()
        for line in lines:
            assert (f"\n{line}\n" in made if "=" in line else
                    f"\n{line.split()[1]}=" not in made), (boot.name, line)
        source = Path(next(
            x.split()[1] for x in (tree / "Makefile").read_text().splitlines()
            if x.startswith("include "))).parent


def add(store, name, *words):
    run = volt(store, "add", "--name", name, *words)
    assert run.returncode == 0, run.stderr


def why_not(boot):
    if boot.name == "slim" and not slim_kernel():
        return NO_SLIM
    return "make check-long" if boot.long and not LONG else None


@pytest.fixture(scope="module")
def booted(build, tmp_path_factory):
    """(check's exit code, its output, the boot) of each, by name."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed")
    folder = tmp_path_factory.mktemp("kernels")
    store = folder / "store"
    tree = folder / "tree"
    for name in ("sbin", "bin", "dev", "proc"):
        (tree / name).mkdir(parents=True)
    (tree / "sbin/init").write_text(INIT)
    (tree / "sbin/init").chmod(0o755)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    boots = [b for b in BOOTS if not why_not(b)]
    for name, series in (("stock", ""), ("trixie", "6.12")):
        if name in {b.name for b in boots}:
            deb, image, config = make_package(folder, series)
            add(store, name, deb)
            if name == "stock":
                add(store, "stock-pmem", deb)
            add(store, f"{name}-without-modules", image, "--config", config)
    if slim_kernel():
        add(store, "slim", slim_kernel())
    for boot in boots:
        if boot.package:
            add(store, boot.name, "--package", boot.package[0], "--suite",
                boot.package[1])
    variants = [b for b in boots if b.lines is not None]
    if variants:
        make_variants(folder, store, variants)
    checked = {}
    for boot in boots:
        boot.store, boot.kernel = store, said(
            "env", f"VOLT_STORE={store}", BUILD / "volt", "kernel", "path",
            boot.name)
        boot.disk = mkfs_ext4(tree, folder / f"{boot.name}.img", "16M")
        checked[boot.name] = volt(store, "check", "--any-host",
                                  "--pmem" if boot.pmem else "--disk",
                                  boot.disk, boot.name)
    if runs_linux():
        results = {}
        for boot in boots:
            run = Running(boot.argv(BUILD, folder), folder / boot.name)
            run.process.stdin.close()
            results[boot.name] = run.finish(SECONDS + 60)
    else:
        need_lab()
        results = lab_run(boots, folder, 4000 if LONG else 500)
    return checked, results


@pytest.mark.lab
@pytest.mark.parametrize("boot", BOOTS, ids=[b.name for b in BOOTS])
def test_check_is_right(booted, boot):
    if why_not(boot):
        pytest.skip(why_not(boot))
    checked, results = booted
    assert boot.name in results, "the lab ended before this boot"
    result, check = results[boot.name], checked[boot.name]
    text = f"{check.stdout}\n{result.out[-2000:]}\n{result.log[-1000:]}"
    assert check.returncode == (0 if boot.good else 1), text
    assert boot.said in check.stdout, text
    if boot.silent:
        assert result.out.split() == ["1"] and result.code == 0, text
    elif boot.good:
        assert " / ext4 rw" in result.out, text
        assert "ROOT pid=1 args=word" in result.out, text
        assert "volt-init" not in result.out and result.code == 0, text
    else:
        assert boot.shown in result.out, text
        assert "ROOT pid=1" not in result.out, text
    # What a guest without a console tells of itself.
    assert result.out.split()[-1] == ("1" if boot.good else "0"), text


# Kernels of Debian's for other machines; what the store says of them, and what
# volt-vmm does.
OTHERS = {"i386": ("linux-image-686", "a 32-bit ELF file", "no 64-bit entry"),
          "arm64": ("linux-image-cloud-arm64", "arm64", "arm64")}
FETCH = r"""
. "$1/tests/common.sh"
arch=$2
open_suites bookworm || die "apt cannot fetch the list"
name=$(suite_apt apt-cache depends -i "$3" |
	sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
suite_apt apt-get -qq download "$name"
dpkg-deb -x linux-image-*.deb .
"""


@long_only("downloads of 130 MB from Debian")
@pytest.mark.parametrize("arch", OTHERS)
def test_a_kernel_for_another_machine(build, tmp_path, arch):
    """Neither comes it into the store, nor does it boot."""
    if not shutil.which("apt-get"):
        pytest.skip("apt-get is not installed")
    package, *said_so = OTHERS[arch]
    run = subprocess.run(
        ["sh", "-eu", "-c", FETCH, "sh", ROOT, arch, package], cwd=tmp_path,
        text=True, capture_output=True, timeout=900, check=False)
    if "apt cannot fetch the list" in run.stderr:
        pytest.skip(run.stderr.splitlines()[-1])
    assert run.returncode == 0, run.stderr
    deb, = tmp_path.glob("linux-image-*.deb")
    kernel, = (tmp_path / "boot").glob("vmlinuz-*")
    for path, words in ((deb, f"is a package for {arch}"),
                        (kernel, said_so[0])):
        refused = volt(tmp_path / "store", "add", "--name", "x", path)
        assert refused.returncode == 1 and words in refused.stderr, refused
        # Before it, what is going on, where that takes long.
        assert "kernel add: /" in refused.stderr.splitlines()[-1], refused
    run = subprocess.run(
        [BUILD / "volt-vmm", "--no-api", "--memory", "256", "--kernel",
         kernel], capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL)
    assert run.returncode == 1 and said_so[1] in run.stderr, run.stderr


@long_only("the kernel is 14 MB")
def test_a_kernel_that_is_cut_or_too_old(build, tmp_path):
    """Debian's bzImage: at any length, and with the header of Linux 2.6.21."""
    image = Path(said(ROOT / "tests/kernel/stock", "--print", "bzimage"))
    whole = image.read_bytes()
    old = whole[:0x206] + b"\x05\x02" + whole[0x208:]
    for data, said_so in ((old, "is too old"), *(
            (whole[:n], "is cut off") for n in
            (len(whole) // 100, len(whole) // 2, len(whole) - 4096))):
        path = tmp_path / "kernel"
        path.write_bytes(data)
        refused = volt(tmp_path / "store", "add", "--name", "x", path)
        assert refused.returncode == 1 and said_so in refused.stderr, refused
        # Before it, what is going on, where that takes long.
        assert "kernel add: /" in refused.stderr.splitlines()[-1], refused
        run = subprocess.run(
            [BUILD / "volt-vmm", "--no-api", "--memory", "256", "--kernel",
             path], capture_output=True, text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL)
        assert run.returncode == 1 and str(path) in run.stderr, run.stderr


@long_only("a download of 30 MB from Debian")
@pytest.mark.parametrize("suite", [[], *(
    ["--suite", x] for x in ("bookworm", "trixie", "bookworm-backports"))])
def test_a_package_of_debians(build, tmp_path, suite):
    """By apt, as whoever runs this; nothing is left of it."""
    if not shutil.which("apt-get"):
        pytest.skip("apt-get is not installed")
    folder = tmp_path / "tmp"
    folder.mkdir()
    run = subprocess.run(
        [BUILD / "volt", "kernel", "add", "--name", "k", "--package",
         "linux-image-cloud-amd64", *suite], text=True, capture_output=True,
        timeout=900, check=False, env={**os.environ, "TMPDIR": str(folder),
                                       "VOLT_STORE": str(tmp_path / "store")})
    if "apt cannot fetch the list" in run.stderr:
        pytest.skip(run.stderr.splitlines()[-1])
    assert run.returncode == 0, run.stderr
    assert "k: added" in run.stdout and "with modules" in run.stdout
    assert list(folder.iterdir()) == []
