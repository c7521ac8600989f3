# SPDX-License-Identifier: Apache-2.0
"""`volt run IMAGE` when no agent ever comes: bare-metal guests as its kernel.

What it says, its exit code, and that nothing stays: no VM, no file.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BUILD
from patience import PATIENCE


class World:
    """A store with a bare-metal guest, a folder of sockets, an image."""

    def __init__(self, folder, guest):
        self.run = folder / "run"
        self.run.mkdir(mode=0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.run),
                    "VOLT_STORE": str(folder / "store")}
        self.image = folder / "root.img"
        self.image.write_bytes(bytes(1 << 16))
        self.process = None
        subprocess.run([BUILD / "volt", "kernel", "add", "--name", "guest",
                        BUILD / f"tests/guest/{guest}.elf"], env=self.env,
                       check=True, capture_output=True, timeout=PATIENCE)

    def start(self, *options, words=None):
        words = [self.image, "true"] if words is None else words
        self.process = subprocess.Popen(
            ["env", "--default-signal=INT,TERM,HUP",  # one may be ignored here
             BUILD / "volt", "run", "--kernel", "guest", "--memory", "32",
             "--name", "box", *options, *words], env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        return self.process

    def end(self):
        out, errors = self.process.communicate(timeout=PATIENCE)
        assert out == ""
        return self.process.returncode, errors

    def files(self):
        return sorted(p.name for p in (self.run / "volt").glob("*"))

    def wait_for(self, what):
        end = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < end, self.files()
            time.sleep(0.02)


@pytest.fixture
def world(build, tmp_path, request):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")
    made = World(tmp_path, request.param)
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait(PATIENCE)


def console(world):
    path = world.run / "volt/box.sock.console"
    return path.exists() and b"spinning" in path.read_bytes()


@pytest.mark.parametrize("world", ["hello"], indirect=True)
def test_the_guest_ends(world):
    world.start()
    code, errors = world.end()
    assert code == 125
    lines = errors.splitlines()
    assert "volt run: the VM ended by itself" in lines[-1], errors
    assert all(x.startswith("volt: console: ") for x in lines[:-1]), errors
    assert len(lines) > 1
    world.wait_for(lambda: not world.files())


@pytest.mark.parametrize("world", ["spin"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM,
                                    signal.SIGHUP], ids=lambda x: x.name)
def test_a_signal_before_the_command(world, number):
    run = world.start()
    world.wait_for(lambda: console(world))
    run.send_signal(number)
    assert world.end()[0] == -number
    world.wait_for(lambda: not world.files())


@pytest.mark.parametrize("world", ["spin"], indirect=True)
def test_it_is_killed(world):
    run = world.start()
    world.wait_for(lambda: console(world))
    run.kill()
    assert world.end()[0] == -signal.SIGKILL
    world.wait_for(lambda: not world.files())


@pytest.mark.parametrize("world", ["spin"], indirect=True)
def test_its_time_is_over(world):
    world.start("--timeout", "1")
    code, errors = world.end()
    assert code == 125, errors
    assert errors.endswith("volt run: the time of --timeout is over\n")
    world.wait_for(lambda: not world.files())


@pytest.mark.parametrize("world", ["spin"], indirect=True)
def test_its_console_is_kept_where_asked(world, tmp_path):
    log = tmp_path / "console.log"
    run = world.start("--console-log", str(log))
    world.wait_for(lambda: log.exists() and b"spinning" in log.read_bytes())
    run.terminate()
    assert world.end()[0] == -signal.SIGTERM
    world.wait_for(lambda: not world.files())
    assert b"spinning" in Path(log).read_bytes()


@pytest.mark.parametrize("world", ["spin"], indirect=True)
def test_exec_without_an_agent(world, tmp_path):
    """Of a VM that runs no image."""
    log = tmp_path / "console.log"
    world.start("--console-log", str(log), words=[])
    world.wait_for(lambda: log.exists() and b"spinning" in log.read_bytes())
    run = subprocess.run([BUILD / "volt", "exec", "box", "true"],
                         env=world.env, timeout=PATIENCE, check=False,
                         capture_output=True, text=True)
    assert run.returncode == 125
    assert "VM box has no agent" in run.stderr
