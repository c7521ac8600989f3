# SPDX-License-Identifier: Apache-2.0
"""Every command and every option, with what nobody should give it.

Commands and options are read from docs/cli.md, which test_docs.py compares with
the tables that the programs parse by: a new option is tried without a word
here. Each try ends by itself, for something it names is not there ("none"); it
leaves an exit code that help states, one sentence, and nothing else. Root and a
real ordinary user try.
"""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import BUILD, ROOT

USER = 65534
LONG = "x" * 100_000
# Short ones: behind "=" and behind a blank.
BOTH = ["", "-1", "none", b"\xff\xfe"]
ODD = ["", " ", "-1", "0", "1e3", "0x10", "99999999999999999999999", "=", ",",
       "=,=,=", "none", "none/none", "/", ".", "%s%n", "a\x1b[2Jb\nc\x7f\x9bd",
       b"\xff\xfe", LONG]
CONTROLS = set(map(chr, [*range(32), *range(127, 160)])) - {"\n"}

# What makes a try end, and in vain: options or words, first those of volt-vmm.
BASES = {
    "volt-vmm": [["--kernel", "none"], ["--restore", "none"]],
    "volt-jailer": [["--exec-file", "none", "--id", "x", "--gid", "1",
                     "--uid", "1"]],
    "volt-pager": [["none/none", "none"]],
    "volt-pool": [["--socket", "none/none/pool.sock"]],
    "volt run": [["--kernel", "none"]],
    "volt restore": [["none"]],
    "volt exec": [["none", "none"]],
    "volt attach": [["none"]],
    "volt cp": [["none", "none:none"], ["none:none", "none"]],
    "volt stop": [["none"]],
    **{f"volt {x}": [["none"]] for x in (
        "inspect", "kill", "logs", "rm", "wait")},
    "volt events": [[]],
    "volt pause": [["none"]],
    "volt resume": [["none"]],
    "volt snapshot": [["none", "none"]],
    "volt snapshot inspect": [["none"]],
    "volt snapshot merge": [["none", "none"]],
    "volt snapshot squash": [["none"]],
    "volt snapshot compress": [["none"]],
    "volt snapshot decompress": [["none"]],
    "volt snapshot export": [["none", "none/none"]],
    "volt snapshot import": [["none", "none"]],
    "volt snapshot ls": [["none"]], "volt snapshot tree": [["none"]],
    "volt snapshot verify": [["none"]], "volt snapshot gc": [["none"]],
    "volt snapshot working-set": [["none"]],
    "volt net add": [["longer-than-a-tap"]],  # as root, too: none is made
    "volt net del": [["longer-than-a-tap"]],
    "volt net list": [[]], "volt ps": [[]], "volt stats": [["none"]],
    "volt doctor": [[]],
    "volt net": [["none"]],
    **{f"volt kernel {x}": [["none"]] for x in (
        "add", "build", "info", "check", "path", "verify", "default", "pin", "rm")},
    **{f"volt pool {x}": [["none"]] for x in (
        "lease", "release", "wait", "drain", "rm")},
    "volt pool create": [["none", "none"]], "volt pool ls": [["none"]],
    "volt pool resize": [["none", "1"]], "volt pool metrics": [[]],
    "volt pool": [["none"]],
    **{f"volt image {x}": [["none"]] for x in ("add", "info", "rm")},
    # Of no registry: it is skopeo who would ask, and the name is none.
    "volt image pull": [["none/none/"]],
    "volt image ls": [[]], "volt image gc": [[]], "volt image": [["none"]],
    "volt kernel ls": [[]], "volt kernel gc": [[]], "volt kernel": [["none"]],
}
# These do their work at once, or make the file that they are given.
PRINTS = {"--version", "--snapshot-version", "--help", "-h"}
LISTS = {"volt snapshot ls", "volt snapshot tree", "volt snapshot gc"}
MAKES = {"--log-path", "--metrics-path"}
# Some open nothing else, or need more.
OWN_BASE = {"--kernel": [[]], "--restore": [[]],
            "--config-file": [["--no-api"]], "--no-api": [["--kernel", "none"]],
            "--snapshot": [["--api-sock", "none"]],
            "--describe-snapshot": [[]]}


def pages():
    """{command: [(option, value or None, meaning)]}"""
    found = {}
    for title, text in re.findall(r"^##+ (volt[a-z -]*)\n(.*?)(?=^##|\Z)",
                                  (ROOT / "docs/cli.md").read_text(),
                                  re.M | re.S):
        if title != "volt":
            found[title] = [
                (flag, value or None, meaning) for flag, value, meaning in
                re.findall(r"^\| `(--[a-z-]+)(?: (.*?))?` \| (.*) \|$", text,
                           re.M)]
    return found


PAGES = pages()


def test_every_command_is_tried():
    assert set(PAGES) == set(BASES)
    assert sum(map(len, PAGES.values())) > 60


class Person:
    """Who types: root or an ordinary user, in a folder of his own."""

    def __init__(self, uid):
        self.folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="volt-table-"))
        self.bin = self.folder / "bin"
        self.here = self.folder / "here"
        self.bin.mkdir()
        self.here.mkdir()
        (self.folder / "run").mkdir(mode=0o700)
        for name in ("volt", "volt-vmm", "volt-jailer", "volt-pager",
                     "volt-pool"):
            shutil.copy(BUILD / name, self.bin)
        self.prefix = []
        if uid != os.geteuid():
            subprocess.run(["chown", "-R", f"{uid}:{uid}", self.folder],
                           check=True)
            self.prefix = ["setpriv", "--reuid", str(uid), "--regid", str(uid),
                           "--clear-groups", "--inh-caps=-all"]
        self.env = {"XDG_RUNTIME_DIR": str(self.folder / "run"), "PATH":
                    os.environ["PATH"], "HOME": str(self.folder),
                    "VOLT_STATE": str(self.folder / "state"),
                    "VOLT_STORE": str(self.folder / "store"),
                    "VOLT_IMAGES": str(self.folder / "images")}

    def left(self):
        """What is there: in the folder, and as sockets of VMs."""
        return sorted(os.listdir(os.fsencode(self.here))) + \
            sorted(os.listdir(self.folder / "run/volt")
                   if (self.folder / "run/volt").exists() else [])

    def __call__(self, command, *words, **how):
        program, *rest = command.split()
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
               "stderr": subprocess.PIPE, **how}
        return subprocess.run(
            [*self.prefix, self.bin / program, *rest, *words], cwd=self.here,
            env=self.env, timeout=60, check=False, errors="replace", text=True,
            **how)

    def tidy(self):
        for path in os.scandir(os.fsencode(self.here)):
            os.unlink(path.path)


@pytest.fixture(scope="module", params=["root", "user"])
def person(build, request):
    mine = os.geteuid()
    if request.param == "root" and mine != 0:
        pytest.skip("this is an ordinary user, who cannot become root")
    who = Person(USER if request.param == "user" and mine == 0 else mine)
    yield who
    shutil.rmtree(who.folder)


PERSONS = {"--kernel", "--restore", "--snapshot"}
CLIENTS_OWN = ("os error", "anonymous-instance", "Arguments parsing error")


def others(command):
    """What is behind a word is another command's: Volt fails to run that."""
    return {125} if command in ("volt attach", "volt exec", "volt run") else set()


def misuse(command):
    return {"volt-vmm": 153, "volt-jailer": 1}.get(command, 64)


def check(done, words, codes):
    """One of these exit codes and, but for 0, exactly one sentence.

    A client of Firecracker's is owed a line of the log, too, and its words.
    """
    jailer = "volt-jailer" in str(done.args)
    person = not jailer and ("volt-vmm" not in str(done.args) or
                             PERSONS & set(map(str, words)))
    assert done.returncode in codes, (words, done.returncode, done.stderr)
    if done.returncode == 0:
        return
    assert done.stdout == "", words
    start = r"(Jailer error|Failed to parse arguments): \S" if jailer else \
        r"volt[a-z -]*: \S"
    assert re.match(start, done.stderr), (words, done.stderr)
    said = re.sub(r"(?m)^\S+ \[anonymous-instance:firecracker\] Firecracker "
                  r"exiting with error\. exit_code=\d+\n", "",
                  done.stderr) if not person else done.stderr
    # On a busy host that takes a second, and who waits is told.
    said = re.sub(r"(?m)^volt image pull: pulling\n", "", said)
    assert said.count("\n") == 1, (words, done.stderr)
    assert said.endswith("\n"), words
    assert not set(done.stderr) & CONTROLS, (words, done.stderr)
    for text in ("(null)", "Success", *(CLIENTS_OWN if person else ())):
        assert text not in done.stderr, (words, done.stderr)


def bases(command, flag):
    return OWN_BASE.get(flag, BASES[command]) if command == "volt-vmm" else \
        [[]] if flag == "--kernel" else BASES[command]


def options():
    return [pytest.param(command, flag, value, meaning,
                         id=f"{command} {flag}".replace(" ", "_"))
            for command, rows in PAGES.items() for flag, value, meaning in rows]


@pytest.mark.parametrize("command, flag, value, meaning", options())
def test_option(person, command, flag, value, meaning):
    many = "several times" in meaning
    wrong = {misuse(command)}
    before = person.left()
    for base in bases(command, flag):
        def attempt(words, codes, base=base):
            done = person(command, *words, *base)
            check(done, [*words, *base], codes)
            if flag not in MAKES:
                assert person.left() == before, words
            person.tidy()

        if value is None:
            attempt([f"{flag}=1"], wrong)
            attempt([flag, flag], {0, *wrong} if flag in PRINTS else wrong)
            attempt([f"{flag}x"], wrong)
            continue
        for odd in ODD:
            tied = (os.fsencode(f"{flag}=") + odd if isinstance(odd, bytes)
                    else f"{flag}={odd}")
            for words in [[tied]] + [[flag, odd]] * (odd in BOTH):
                attempt(words, {1, misuse(command), 152} | others(command))
        attempt([flag, "--help-me"], wrong)
        attempt([f"{flag}=a"] * (17 if many else 2), wrong)
        attempt([f"{flag}x=1"], wrong)
        done = person(command, *base, flag)
        check(done, [*base, flag], wrong | others(command))


@pytest.mark.parametrize("command", PAGES)
def test_words(person, command):
    """Too many, odd ones, and options that are none."""
    before = person.left()
    base = BASES[command][0]
    for odd in ODD:
        if command.startswith("volt net") and odd == "none":
            continue  # a tap's name
        if command == "volt snapshot verify" and odd == "/":
            continue  # a sentence for each folder that may not be read
        if command == "volt image add" and odd == "/":
            continue  # an image of this machine, as far as it may be read
        done = person(command, *base[:-1], odd)
        takes_any = command in ("volt snapshot", "volt restore",
                                "volt snapshot inspect", "volt snapshot merge")
        codes = {misuse(command)} | others(command)
        if takes_any or base:
            codes |= {1}
        if command in LISTS and odd in ("/", "."):
            codes |= {0}
        check(done, [odd], codes)
        assert person.left() == before
    for words in (["a"] * 16, ["-x"], ["--nope"], ["--nope=1"], ["--=1"],
                  ["--="], ["-"] * 16):
        done = person(command, *base, *words)
        check(done, words, {misuse(command)} | others(command))
    assert person.left() == before



@pytest.mark.parametrize("command", PAGES)
def test_descriptors(person, command):
    """Closed ones are as /dev/null; what cannot be written is a failure."""
    before = person.left()
    tries = [(command, base) for base in BASES[command]] + [
        (command, ["--help"]), (command, ["--nope"])]
    for words in tries:
        plain = person(words[0], *words[1])
        for closed in itertools.chain.from_iterable(
                itertools.combinations((0, 1, 2), n) for n in (1, 2, 3)):
            shell = "exec " + " ".join(f"{fd}>&-" for fd in closed) + \
                '; exec "$@"'
            program, *rest = words[0].split()
            done = subprocess.run(
                [*person.prefix, "sh", "-c", shell, "sh",
                 person.bin / program, *rest, *words[1]], cwd=person.here,
                env=person.env, timeout=60, check=False, errors="replace",
                text=True, stdin=subprocess.DEVNULL, capture_output=True)
            assert done.returncode == plain.returncode, (words, closed)
            if 2 not in closed:
                assert bool(done.stderr) == bool(plain.stderr)
            assert person.left() == before
        for name in ("stdout", "stderr"):
            with open("/dev/full", "w") as sink:
                done = person(words[0], *words[1], **{name: sink})
            lost = name == "stdout" and plain.stdout
            assert done.returncode == (
                plain.returncode if not lost else
                74 if command.startswith("volt ") else 1), (words, name)
            if lost:
                assert done.stderr.count("\n") == 1
                assert "annot write to standard output: No space" in done.stderr
