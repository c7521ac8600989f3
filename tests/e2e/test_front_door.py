# SPDX-License-Identifier: Apache-2.0
"""What a person meets first: make, tools/deps, the demo, the shell."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess

import pytest

from conftest import BUILD, ROOT, long_only, stock_store

# Meson writes a log into the build's folder.
its_own_build = pytest.mark.skipif(not os.access(BUILD, os.W_OK),
                                   reason="the build is another user's")
POINTS = ["process start", "start requested", "kernel loaded", "KVM ready",
          "vCPUs ready", "first instruction", "guest's first line"]


def test_make_help_has_every_target():
    text = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", text, re.M).group(1).split()
    run = subprocess.run(["make", "-C", ROOT, "-s", "help"], timeout=60,
                         capture_output=True, text=True, check=True)
    for target in set(targets) - {"all", "help", "programs"}:
        assert re.search(rf"^make {target} ", run.stdout, re.M), target
    assert max(map(len, run.stdout.splitlines())) <= 80


@its_own_build
def test_install(build, tmp_path):
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild"],
                   env={**os.environ, "DESTDIR": str(tmp_path)}, timeout=60,
                   capture_output=True, check=True)
    programs = {p.name: p for p in tmp_path.glob("**/bin/*")
                if p.suffix != ".debug"}
    assert set(programs) == {"volt", "volt-jailer", "volt-pager", "volt-pool",
                             "volt-vmm"}
    for program in programs.values():
        subprocess.run([program, "--version"], capture_output=True,
                       timeout=60, check=True)
    assert list(tmp_path.glob("**/doc/volt/LICENSE"))
    pages = list(tmp_path.glob("**/doc/volt/**/*.md"))
    assert len(pages) > 8
    for page in pages:
        text = page.read_text()
        # Nothing to open that only the source tree has.
        named = re.findall(r"(?<![\w/.-])(?:src|tests|tools|bench|build)/[\w.]+",
                           text)
        assert not named, (page.name, named)
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            assert target.startswith("http") or \
                (page.parent / target).exists(), (page.name, target)


@its_own_build
def test_debug_files(build, vmm, tmp_path):
    """Programs are stripped, and debuggers find what was in them."""
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild"],
                   env={**os.environ, "DESTDIR": str(tmp_path)}, timeout=60,
                   capture_output=True, check=True)
    for debug in tmp_path.glob("**/bin/*.debug"):
        program = debug.with_suffix("")
        shown = subprocess.run(["readelf", "--section-headers", "--wide",
                                program], capture_output=True, text=True,
                               timeout=60, check=True).stdout
        assert ".debug_info" not in shown and ".symtab" not in shown
        assert ".gnu_debuglink" in shown
        assert debug.stat().st_mode & 0o777 == 0o644
    names = {p.name for p in tmp_path.glob("**/bin/*.debug")}
    assert names == {"volt.debug", "volt-jailer.debug", "volt-pager.debug",
                     "volt-pool.debug", "volt-vmm.debug"}
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    installed = next(tmp_path.glob("**/bin/volt-vmm"))
    run = vmm.spawn([installed, "--no-api", "--kernel", vmm.guest("ticker")])
    run.wait_for("tick 1")
    shown = subprocess.run(["gdb", "-nx", "-batch", "-p", str(run.pid), "-ex",
                            "info line loop_step", "-ex", "ptype struct vcpu"],
                           stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=60, check=False).stdout
    assert re.search(r"^Line \d+ of .*src/host/loop\.c\" starts at .*"
                     r"<loop_step>", shown, re.M), shown
    assert "struct vcpus *set;" in shown


@long_only("two builds of their own")
def test_a_warning_is_no_error_in_a_users_build(tmp_path):
    """A newer compiler says more: that must not end anybody's build."""
    env = {**os.environ, "CC": "gcc -Wpadded"}
    for name, option in (("user", []), ("ci", ["-Dwerror=true"])):
        subprocess.run(["meson", "setup", tmp_path / name, ROOT, *option],
                       env=env, timeout=120, capture_output=True, check=True)
        for goal in ("src/base/libbase.a", "tests/guest/ticker.elf"):
            run = subprocess.run(["ninja", "-C", tmp_path / name, goal],
                                 timeout=120, capture_output=True, text=True,
                                 check=False)
            assert "-Wpadded" in run.stdout or "-Werror=padded" in run.stdout
            assert (run.returncode != 0) == bool(option), run.stdout


def packages():
    """(group, package) of each line of the list."""
    lines = (ROOT / "tools/packages.txt").read_text().splitlines()
    return [x.split(None, 2) for x in lines if x and not x.startswith("#")]


def test_every_package_has_a_reason():
    for row in packages():
        assert len(row) == 3, row
    names = [tuple(row[:2]) for row in packages()]
    assert len(names) == len(set(names))


def deps(folder, missing, *groups, packaged="*"):
    """tools/deps as an ordinary user without sudo.

    @missing and @packaged, what the archive has, are patterns of the shell.
    """
    last = "for x; do :; done; case $x in"
    for name, line in {
            "dpkg-query": f"{last} {missing}) ;; *) echo installed ;; esac",
            "apt-cache": f"{last} {packaged}) echo there ;; esac",
            "id": "echo 1000",
            "apt-get": "echo apt-get was called >&2; exit 1"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    for name in ("sh", "awk", "dirname"):
        path = subprocess.run(["which", name], capture_output=True, text=True,
                              check=True).stdout.strip()
        (folder / name).symlink_to(path)
    return subprocess.run([ROOT / "tools/deps", *groups],
                          env={"PATH": str(folder)}, timeout=60,
                          capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)


def test_deps_does_nothing_when_all_is_there(tmp_path):
    run = deps(tmp_path, "nothing", *{row[0] for row in packages()})
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_deps_names_what_is_missing(tmp_path):
    run = deps(tmp_path, "meson", "build", "demo")
    assert run.returncode == 1
    assert "apt-get install --no-install-recommends meson\n" in run.stderr
    assert "apt-get was called" not in run.stderr


def test_deps_takes_what_the_release_has(tmp_path):
    old, new = "libhttp-parser-dev", "libllhttp-dev"
    for i, (missing, packaged, named) in enumerate((
            (old, "*", ""), (new, "*", ""), (f"{old}|{new}", "*", new),
            (f"{old}|{new}", old, old), (f"{old}|{new}", "none", old))):
        folder = tmp_path / str(i)
        folder.mkdir()
        run = deps(folder, missing, "build", packaged=packaged)
        assert run.returncode == (1 if named else 0), run.stderr
        assert not named or run.stderr.endswith(f"recommends {named}\n")


def test_deps_knows_its_groups(tmp_path):
    run = deps(tmp_path, "nothing", "bild")
    assert run.returncode == 2
    assert "no group 'bild'" in run.stderr


def test_quick_start_of_the_api(build, tmp_path):
    """The README's lines, pasted; any KVM runs that guest."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no usable /dev/kvm on this host")
    text = (ROOT / "README.md").read_text().split("**The API.**")[1]
    lines = text.split("```")[1]
    for old, new in (("-C build", f"-C {build}"), (" build/", f" {build}/"),
                     ("\nbuild/", f"\n{build}/"), ('"build/', f'"{build}/'),
                     ("/tmp/vm.sock", f"{tmp_path}/vm.sock")):
        lines = lines.replace(old, new)
    run = subprocess.run(["bash", "-m", "-c", lines], capture_output=True,
                         text=True, timeout=120, check=False)
    assert "tick 1" in run.stdout
    assert '"state":"Paused"' in run.stdout
    assert "fault_message" not in run.stdout


@pytest.fixture(scope="module")
def shared_lab():
    """VOLT_LAB for both tests; the lab is not used where KVM runs Linux."""
    if os.environ.get("VOLT_TEST_LAB") == "0":
        pytest.skip("the lab is switched off by VOLT_TEST_LAB=0")
    run = subprocess.run([ROOT / "tests/lab/up"], capture_output=True,
                         text=True, timeout=300, check=True)
    env = {**os.environ, "VOLT_BUILD": str(BUILD), "VOLT_LAB_QUIET": "1",
           "VOLT_LAB": run.stdout.strip().partition("=")[2],
           "VOLT_STORE": stock_store()}
    yield env
    subprocess.run([ROOT / "tests/lab/down"], env=env, timeout=60, check=True)


@pytest.mark.lab
def test_demo(build, shared_lab):
    run = subprocess.run([ROOT / "tools/demo"], env=shared_lab, text=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=600, check=False)
    text = run.stdout.replace("\r", "")
    assert run.returncode == 0, text[-2000:]
    assert re.search(r"^==> This host: .*\.$", text, re.M)
    linux = text[text.index("==> Linux "):]
    for fact in ("uname      Linux", "CPUs       2 x ", "memory     ",
                 "clock      kvm-clock", "uptime     "):
        assert f"\n  {fact}" in linux, fact
    timeline = linux[linux.index("\npoint  "):]
    order = [timeline.find(f"\n{point} ")
             for point in [*POINTS, "init (boot timer)", "end"]]
    assert -1 not in order and order == sorted(order), timeline
    if "A bare-metal guest" in text:
        bare = text[:text.index("==> Linux ")]
        assert re.search(r"\n  \d+ checks passed, 0 failed\n", bare)
        assert all(f"\n{point} " in bare for point in POINTS)
        assert re.search(r"\n==> A bare-metal guest on this host's KVM: its "
                         r"first line \d+\.\d ms after the start\n", bare)
        assert "(an emulated CPU, " in text.partition("==> Linux ")[2]
        assert "Linux boots in the lab instead" in bare


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, env)
        self.text = ""

    def read(self):
        """What it says next; "" when it has ended, or says nothing at all."""
        if not select.select([self.fd], [], [], 120)[0]:
            return ""
        try:
            data = os.read(self.fd, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            data = ""
        self.text += data
        return data

    def wait_for(self, pattern):
        while not (found := re.search(pattern, self.text)):
            assert self.read(), f"no {pattern!r} in {self.text[-2000:]!r}"
        self.text = self.text[found.end():]
        return found

    def type(self, text):
        os.write(self.fd, text.encode())

    def finish(self):
        while self.read():
            pass
        os.close(self.fd)  # hangs up on what has not ended
        pidfd = os.pidfd_open(self.pid)
        ended = select.select([pidfd], [], [], 120)[0]
        os.close(pidfd)
        if not ended:
            os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def words_of(transcript):
    """Its lines, without what is another each time."""
    transcript = re.sub(r"\b[0-9a-f]{12}\b|\b6\.\d+\.\d+-\d+\b|^20\d\d$|"
                        r"\d+ /\S+\.sock$", "*", transcript, flags=re.M)
    return [" ".join(x.split()) for x in transcript.strip().splitlines()]


@pytest.mark.lab
@long_only("a minute in the lab")
def test_first_screen(build, shared_lab):
    """What the README begins with is what happens."""
    shown = re.search(r"^```\n(\$ volt image.*?)^```$",
                      (ROOT / "README.md").read_text(), re.M | re.S).group(1)
    run = subprocess.run([ROOT / "tests/lab/run", ROOT / "tools/first-screen"],
                         env=shared_lab, stdin=subprocess.DEVNULL, text=True,
                         capture_output=True, timeout=300, check=False)
    assert words_of(run.stdout) == words_of(shown), run.stderr


@pytest.mark.lab
@pytest.mark.parametrize("end", ["exit\n", "\x01x"], ids=["exit", "escape"])
def test_shell(build, shared_lab, end):
    shell = Terminal([str(ROOT / "tools/shell")], shared_lab)
    shell.wait_for(r"/ # ")
    # Echoed as it is typed, printed as it is meant.
    shell.type("echo one$((1 + 1))three\n")
    shell.wait_for(r"one2three\r*\n")
    # One process from the word to the sleep: Ctrl-C finds it whenever it comes.
    shell.type("sh -c 'echo go$((1 + 1)); exec sleep 1000'\n")
    shell.wait_for(r"go2\r*\n")
    shell.type("\x03")
    shell.wait_for(r"/ # ")
    shell.type(end)
    assert shell.finish() == 0
