# SPDX-License-Identifier: Apache-2.0
"""`volt run -d` and what is kept of it, with bare-metal guests.

Commands of images in the background are image_linux.py's, in the lab. make
check-long: ten minutes of kills at random.
"""

import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import time

import pytest

from conftest import BUILD, LONG
from patience import PATIENCE

VOLT = BUILD / "volt"
STORM_SECONDS = 600 if LONG else 4


class World:
    """A user's folders, empty at first."""

    def __init__(self, folder):
        self.run, self.state = folder / "run", folder / "state"
        self.run.mkdir(mode=0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.run),
                    "VOLT_STATE": str(self.state),
                    "VOLT_CACHE": str(folder / "cache")}

    def words(self, name, guest, *options):
        return ["run", "-d", "--name", name, "--memory", "32", "--kernel",
                BUILD / f"tests/guest/{guest}.elf", *options]

    def popen(self, *args):
        return subprocess.Popen([VOLT, *args], env=self.env, text=True,
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __call__(self, *args):
        return subprocess.run([VOLT, *args], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE, check=False)

    def ok(self, *args):
        done = self(*args)
        assert done.returncode == 0, done
        return done.stdout

    def start(self, name, guest="spin", *options):
        # Also: its streams are not held open by what stays.
        assert self.ok(*self.words(name, guest, *options)) == f"{name}\n"

    def known(self, name):
        return json.loads(self.ok("inspect", name))

    def kept(self):
        """The table of ps -a: {name: (state, code)}."""
        table = self.ok("ps", "-a").partition("\nIn the background:\n")[2]
        rows = [row.split() for row in table.splitlines()[1:]]
        return {row[0]: (row[1], row[2]) for row in rows}

    def running(self):
        """The names that answer."""
        rows = self.ok("ps").partition("\n\n")[0].splitlines()[1:]
        return {row.split()[0] for row in rows if " Running " in row}

    def wait_for(self, what):
        end = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < end, self.ok("ps", "-a")
            time.sleep(0.05)

    def events(self):
        return [(line["event"], line["name"]) for line in
                map(json.loads, self.ok("events").splitlines())]

    def left(self):
        """Of VMs: no record, no process."""
        folders = [p.name for p in self.state.glob("[!.]*")]
        return sorted(folders) + sorted(self.running())


@pytest.fixture
def world(build, tmp_path):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")
    made = World(tmp_path)
    yield made
    for name in made.kept():
        made("rm", "-f", name)
    assert made.left() == []


def test_a_life(world):
    world.start("web")
    assert world.kept() == {"web": ("running", "-")}
    assert world.running() == {"web"}
    known = world.known("web")
    assert known["state"] == "running" and known["vm"]["id"] == "web"
    assert os.stat(world.state).st_mode & 0o77 == 0
    again = world(*world.words("web", "spin"))
    assert again.returncode != 0 and "runs already" in again.stderr
    assert "volt stop web" in world("rm", "web").stderr
    world.wait_for(lambda: world.ok("logs", "web") == "spinning\n")
    stamped = world.ok("logs", "--timestamps", "web")
    assert stamped.endswith("Z spinning\n") and stamped.startswith("20")
    follower = world.popen("logs", "-f", "web")
    waiter = world.popen("wait", "web")
    world.ok("stop", "--wait", "0", "web")
    # What was true of it is on the disk when `stop` has ended.
    assert world.kept() == {"web": ("exited", "143")}
    assert follower.communicate(timeout=PATIENCE)[0] == "spinning\n"
    assert waiter.communicate(timeout=PATIENCE)[0] == "143\n"
    assert world.ok("wait", "web") == "143\n"
    for words in (world.words("web", "spin"),
                  ["run", "--name", "web", "--kernel", "none"]):
        again = world(*words)
        assert again.returncode != 0, again
    assert "is kept: `volt rm web`" in world(*world.words("web",
                                                          "spin")).stderr
    world.ok("rm", "web")
    assert world("rm", "web").returncode == 1
    assert world.kept() == {}
    assert world.events() == [("start", "web"), ("stop", "web"),
                              ("die", "web"), ("rm", "web")]
    assert world.ok("events", "--since", "1000000") == world.ok("events")


def test_attached(world):
    """Its console as it comes; signals are its own, or who attached is."""
    assert "no VM web in the background" in world("attach", "web").stderr
    world.start("web", "ticker")
    one, two = (world.popen("attach", *more, "web")
                for more in ([], ["--no-signals"]))
    assert all(p.stdout.readline() for p in (one, two))
    two.send_signal(signal.SIGTERM)
    two.communicate(timeout=PATIENCE)
    assert two.returncode == -signal.SIGTERM
    assert one.stdout.readline() and world.running() == {"web"}
    one.send_signal(signal.SIGTERM)
    _, errors = one.communicate(timeout=PATIENCE)
    assert (one.returncode, errors) == (143, "")
    assert world.kept() == {"web": ("exited", "143")}
    assert "does not run" in world("attach", "web").stderr
    assert world("cp", "web:/x", ".").returncode == 1


def test_who_attaches_and_speaks_nonsense(world):
    """Its connection ends, and nothing else."""
    world.start("web", "ticker")
    hello = struct.pack("<IIIHH", 1, 8, 0x544c4f56, 2, 2)
    attach = struct.pack("<IIII", 20, 8, 0, 0)
    for said in (b"GET / HTTP/1.1\r\n\r\n", hello + attach + attach,
                 hello + attach + struct.pack("<II", 4, 1) + b"x",
                 hello + struct.pack("<II", 4, 1) + b"x",
                 hello + attach + struct.pack("<IIII", 12, 8, 16, 1 << 31),
                 struct.pack("<II", 3, 0xffffffff)):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(world.run / "volt/web.sock.ctl"))
            s.sendall(said)
            while s.recv(4096):
                pass
    idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for s in idle:
        s.connect(str(world.run / "volt/web.sock.ctl"))
    for s in idle:
        s.close()
    with world.popen("attach", "web") as good:
        assert good.stdout.readline()
        good.kill()
    world.ok("kill", "web")


def test_its_last_words_and_code(world):
    """A guest that ends by itself, perhaps before anybody looked."""
    world.start("short", "hello")
    assert world.ok("wait", "short") == "0\n"
    said = world.ok("logs", "short")
    assert said.splitlines()[-1].startswith("done "), said
    assert world.ok("logs", "--tail", "2", "short").splitlines() == \
        said.splitlines()[-2:]
    assert world.ok("logs", "--tail", "0", "short") == ""
    assert world.known("short")["code"] == 0


def test_one_that_does_not_start(world):
    """It fails as in the foreground: a sentence and a code; nothing is kept."""
    run = world(*world.words("web", "spin", "--disk", "none"))
    assert (run.returncode, run.stdout) == (1, ""), run
    assert "Cannot open the disk" in run.stderr, run
    assert world.kept() == {} and world.events() == []


def test_nothing_is_kept_with_rm(world):
    world.start("web", "spin", "--rm")
    waiter = world.popen("wait", "web")
    world.wait_for(lambda: world.kept() == {"web": ("running", "-")})
    world.ok("kill", "-s", "TERM", "web")
    assert waiter.communicate(timeout=PATIENCE)[0] in ("143\n", "")
    world.wait_for(lambda: world.kept() == {})


@pytest.mark.parametrize("words", [["kill"], ["rm", "-f"]], ids=" ".join)
def test_it_is_ended(world, words):
    world.start("web")
    world.ok(*words, "web")
    assert world.kept() == ({"web": ("exited", "137")} if words == ["kill"]
                            else {})


@pytest.mark.parametrize("options", [[], ["--rm"], ["--isolate"]], ids=str)
def test_its_holder_is_killed(world, options):
    """The VM goes with it, and who looks next says so."""
    world.start("web", "spin", *options, "--sandbox", "best-effort")
    waiter = world.popen("wait", "web")
    os.kill(world.known("web")["holder"], signal.SIGKILL)
    if "--rm" in options:
        world.wait_for(lambda: world.kept() == {})
    else:
        assert world.kept() == {"web": ("died", "125")}
        assert world.ok("wait", "web") == "125\n"
        assert world("kill", "-s", "HUP", "web").returncode == 1
    waiter.communicate(timeout=PATIENCE)
    world.wait_for(lambda: not world.running())
    world("rm", "web")
    world.start("web")


def test_two_at_once(world):
    """Of some that want a name one gets it; each other one says why not."""
    many = [world.popen(*world.words("web", "spin")) for _ in range(5)]
    said = [(one.communicate(timeout=PATIENCE), one.returncode)
            for one in many]
    assert sorted(code for _, code in said)[:2] != [0, 0], said
    assert sum(out == "web\n" for (out, _), _ in said) == 1, said
    assert all("VM named web" in errors for (_, errors), code in said if code)
    assert world.running() == {"web"}


def test_a_folder_that_others_may_write(world):
    world.state.mkdir(mode=0o700)
    world.state.chmod(0o777)
    for words in (world.words("web", "spin"), ["ps", "-a"], ["rm", "web"],
                  ["logs", "web"]):
        done = world(*words)
        assert done.returncode != 0, done
        assert "is not to be believed" in done.stderr, done
    world.state.chmod(0o700)


class Storm:
    """Commands at random, each of which may be killed at any moment."""

    NAMES = ("a", "b", "c")

    def __init__(self, world, seed):
        self.world, self.random = world, random.Random(seed)
        self.running = []

    def step(self):
        name = self.random.choice(self.NAMES)
        words = self.random.choice([
            self.world.words(name, "spin"), self.world.words(name, "spin"),
            self.world.words(name, "hello"),
            self.world.words(name, "spin", "--rm"), ["ps", "-a"],
            ["rm", "-f", name], ["stop", "--wait", "0", name],
            ["kill", name], ["logs", name], ["wait", name],
            ["inspect", name], ["events"]])
        self.running.append(self.world.popen(*words))
        if self.random.random() < 0.5:
            time.sleep(self.random.random() / 20)
            with contextlib.suppress(ProcessLookupError):
                self.running[-1].kill()
        if self.random.random() < 0.2:
            self.kill_a_holder(name)
        while len(self.running) > 4:
            one = self.running.pop(0)
            one.kill()
            one.communicate(timeout=PATIENCE)

    def kill_a_holder(self, name):
        done = self.world("inspect", name)
        known = json.loads(done.stdout) if done.returncode == 0 else {}
        for who in ("holder", "process"):
            if who in known and self.random.random() < 0.5:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(known[who], signal.SIGKILL)

    def end(self):
        for one in self.running:
            one.kill()
            one.communicate(timeout=PATIENCE)


def settled(world):
    """All who are kept have ended, or run and answer."""
    kept, running = world.kept(), world.running()
    return all(state in ("exited", "died") or
               (state == "running" and name in running)
               for name, (state, _) in kept.items()) and \
        running <= {name for name, (state, _) in kept.items()
                    if state == "running"}


def test_a_storm(world):
    """Whatever was killed: what ps says is so, and rm leaves nothing."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    storm = Storm(world, seed)
    end = time.monotonic() + STORM_SECONDS
    while time.monotonic() < end:
        storm.step()
    storm.end()
    world.wait_for(lambda: settled(world))
    for name in storm.NAMES:
        world("rm", "-f", name)
    world.wait_for(lambda: not world.left())
    for name in storm.NAMES:
        world.start(name)
