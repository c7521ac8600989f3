# SPDX-License-Identifier: Apache-2.0
"""Drives a Linux guest with loads and its clones, in the lab; see
test_linux_loads.py.

usage: loads_linux.py BUILD PLACE KERNEL INITRD DISK

PLACE is a folder of the host: snapshots lie on a disk of the lab's own in a
file there, so that what is cold comes from outside.
Prints "ok CASE" or "FAIL CASE: why", and a line for each step before it.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from conftest import Api, Running

SECONDS = 1200  # for any one step: the lab is slow, and Node slower
MIB = 384
START = time.monotonic()


def step(what):
    print(f"after {time.monotonic() - START:.0f} s: {what}", flush=True)


def values(multiply):
    """What an interpreter's rounds come to, from the first on."""
    warm = [i * multiply % 2**32 for i in range(100000)]
    x = 1
    while True:
        for i in range(20000):
            x = (x * 1664525 + warm[(x + i) % 100000]) % 2**32
        yield f"{x:08x}"


class Truth:
    """What each load has to print in each round."""

    def __init__(self):
        self.rounds = values(2654435761)
        self.known = []
        self.object = None

    def value(self, number):
        while len(self.known) < number:
            self.known.extend(itertools.islice(self.rounds, 1))
        return self.known[number - 1]

    def check(self, name, number, words):
        if name in ("python", "node"):
            assert words == [self.value(number)], (name, number, words)
        elif name == "database":
            total = number * (number + 1) // 2
            assert words == [str(total), str(total), str(number), "ok"], \
                (name, number, words)
        else:
            self.object = self.object or words
            assert len(words) == 3 and words == self.object, (number, words)


LOADS = ("database", "python", "node", "compiler")


class Vm:
    def __init__(self, world, *options):
        self.folder = Path(tempfile.mkdtemp())
        self.world = world
        self.run = Running(
            [world.build / "volt-vmm", "--api-sock", self.folder / "api",
             *map(str, options)], self.folder / "log")
        self.api = Api(self.folder / "api")
        self.api.wait(SECONDS)
        self.at = {}
        self.count = dict.fromkeys(LOADS, 0)

    def go_on(self, rounds):
        """Until each load has printed @rounds more; all of them are right."""
        want = {name: self.count[name] + rounds for name in LOADS}
        while any(self.count[name] < want[name] for name in LOADS):
            self.run.wait_for("LOAD ", SECONDS)
            name, number, *words = self.run.wait_for("\n", SECONDS).split()
            number = int(number)
            self.world.truth.check(name, number, words)
            if name in self.at:  # none is lost, none comes twice
                each = 20 if name == "database" else 1
                assert number == self.at[name] + each, (name, number, self.at)
            self.at[name] = number
            self.count[name] += 1

    def save(self, folder, kind):
        """The rounds of that moment, too."""
        self.api.set("PATCH", "/vm", {"state": "Paused"})
        self.api.set("PUT", "/snapshot/create", {
            "snapshot_path": f"{folder}/", "snapshot_type": kind})
        while self.run.read_some(0.2):  # what it had printed before
            pass
        self.api.set("PATCH", "/vm", {"state": "Resumed"})
        return folder

    def end(self):
        self.run.process.kill()
        self.run.process.wait()
        shutil.rmtree(self.folder)


class World:
    def __init__(self, build, place, kernel, initrd, disk):
        self.build = Path(build)
        self.kernel, self.initrd, self.disk = kernel, initrd, disk
        self.place = Path(tempfile.mkdtemp())
        image = Path(place) / "snapshots"
        with open(image, "wb") as file:
            file.truncate(4 << 30)
        for words in (["/usr/sbin/mkfs.ext4", "-q", image],
                      ["mount", "-o", "loop", image, self.place]):
            subprocess.run(words, check=True, timeout=SECONDS)
        self.truth = Truth()
        self.before = {}  # rounds at the moment of a snapshot

    def volt(self, *words):
        subprocess.run([self.build / "volt", "snapshot", *words], check=True,
                       timeout=SECONDS, stdout=subprocess.DEVNULL)

    def boot(self):
        return Vm(self, "--kernel", self.kernel, "--initrd", self.initrd,
                  "--disk", f"{self.disk},ro", "--memory", MIB,
                  "--track-dirty-pages", "--cmdline",
                  "console=ttyS0 reboot=k quiet volt.quiet volt.run=loads")

    @staticmethod
    def forget():
        """Nothing is in the page cache."""
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")


def original(world):
    """A full snapshot and two diffs, while all loads run."""
    vm = world.boot()
    vm.go_on(3)
    step("all loads run")
    for number, kind in enumerate(("Full", "Diff", "Diff")):
        name = f"s{number}"
        vm.save(world.place / name, kind)
        world.before[name] = dict(vm.at)
        step(f"{name}: {kind}")
        vm.go_on(2)
    vm.end()
    packed = world.place / "packed"
    packed.mkdir()
    for number in range(3):
        # With its holes: they are what a diff is.
        subprocess.run(["cp", "-a", world.place / f"s{number}", packed],
                       check=True, timeout=SECONDS)
        world.volt("compress", packed / f"s{number}")
    step("compressed")


def clone(world, folder, name, served):
    """It goes on from there: no round before, and none much later."""
    options = ["--restore", folder]
    pager = None
    if served:
        sock = folder.parent / "pager.sock"
        pager = subprocess.Popen([world.build / "volt-pager", sock, folder])
        while not sock.exists():
            assert pager.poll() is None
            time.sleep(0.1)
        options += ["--uffd", sock]
    vm = Vm(world, *options)
    vm.go_on(2)
    for load in LOADS:
        first = vm.at[load] - vm.count[load] * (
            20 if load == "database" else 1)
        assert first >= world.before[name][load], (load, vm.at, world.before)
    vm.end()
    if pager:
        assert pager.wait(SECONDS) == 0


CLONES = {"raw": ("s0", False), "chain": ("s2", False), "packed": ("s2", True)}


def main():
    world = World(*sys.argv[1:])
    cases = {"original": lambda: original(world)}
    for way, (name, served) in CLONES.items():
        folder = world.place / ("packed" if served else "") / name
        for cache in ("warm", "cold"):
            cases[f"{way}-{cache}"] = (
                lambda folder=folder, name=name, served=served, cache=cache:
                (world.forget() if cache == "cold" else None,
                 clone(world, folder, name, served)))
    for name, case in cases.items():
        try:
            case()
            print(f"ok {name}", flush=True)
        except Exception as why:
            traceback.print_exc()
            print(f"FAIL {name}: {why!r}", flush=True)
            if name == "original":
                break
        step(name)


main()
