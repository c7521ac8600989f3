# SPDX-License-Identifier: Apache-2.0
"""The command line of volt-vmm: what it says and how it ends."""

import re
import subprocess

import pytest


PERSONS = {"--kernel", "--restore", "--snapshot"}


@pytest.fixture
def vmm_says(build, tmp_path):
    """Runs a VMM that ends by itself: (code, stdout, stderr)."""
    def run(*args):
        ended = subprocess.run([build / "volt-vmm", *args], cwd=tmp_path,
                               capture_output=True, text=True, timeout=60,
                               stdin=subprocess.DEVNULL, check=False)
        return ended.returncode, ended.stdout, ended.stderr
    return run


def test_version(vmm_says):
    """Line 1 is for clients: word 2 is a version."""
    code, out, err = vmm_says("--version")
    lines = out.splitlines()
    assert code == 0 and not err
    assert re.fullmatch(r"Firecracker v\d+\.\d+\.\d+", lines[0])
    assert lines[1] == ""
    assert re.fullmatch(r"Volt v\d+\.\d+\.\d+", lines[2])


def test_help(vmm_says):
    """--help wins over all else, fits 80 columns and shows every flag."""
    assert vmm_says("-h") == vmm_says("--help") == vmm_says("--hel")
    code, out, err = vmm_says("--nonsense", "--help")
    assert code == 0 and not err
    assert max(len(x) for x in out.splitlines()) <= 80
    for flag in """api-sock id config-file no-api metadata seccomp-filter
            no-seccomp log-path level module show-level show-log-origin
            metrics-path boot-timer http-api-max-payload-size mmds-size-limit
            enable-pci start-time-us start-time-cpu-us parent-cpu-time-us
            version snapshot-version describe-snapshot kernel initrd cmdline
            cpus memory hotplug-memory vsock irqchip timing entry restore snapshot paused
            clock track-dirty-pages help""".split():
        assert re.search(rf"^  --{flag}( |$)", out, re.MULTILINE), flag


@pytest.mark.parametrize("args, text", [
    (["--nonsense"], "Found argument 'nonsense' which wasn't expected, or "
                     "isn't valid in this context."),
    (["nonsense"], "Found argument 'nonsense' which wasn't expected"),
    (["-x"], "Found argument '-x' which wasn't expected"),
    (["--no-api=yes"], "--no-api takes no value"),
    (["--met", "x"], "'--met' is short for --metadata and for --metrics-path"),
    (["--nonsense=x"], "Found argument 'nonsense=x' which wasn't expected"),
    (["--=x"], "Found argument '=x' which wasn't expected"),
    (["--api-sock"], "The argument 'api-sock' requires a value, but none was "
                     "supplied."),
    (["--api-sock", "--no-api"], "The argument 'api-sock' requires a value"),
    (["--id", "a", "--id", "b"], "The argument 'id' was provided more than "
                                 "once."),
    (["--no-api"], "Argument 'config-file' required, but not found."),
    (["--no-seccomp", "--seccomp-filter", "f"],
     "Argument 'seccomp-filter' cannot be used together with argument "
     "'no-seccomp'."),
    (["--restore", "d", "--cpus", "2"],
     "Argument 'cpus' cannot be used together with argument 'restore'."),
    (["--restore", "d", "--irqchip", "full"],
     "Argument 'irqchip' cannot be used together with argument 'restore'."),
    (["--clock", "realtime"], "Argument 'restore' required, but not found."),
    (["--restore", "d", "--clock", "now"],
     "The argument 'clock' does not take 'now': expected snapshot|realtime."),
    (["--restore", "d", "--paused"],
     "Argument 'api-sock' required, but not found."),
    (["--restore", "d", "--paused", "--no-api", "--api-sock", "s"],
     "Argument 'no-api' cannot be used together with argument 'api-sock'."),
    (["--restore", "d", "--paused", "--no-api"],
     "Argument 'no-api' cannot be used together with argument 'paused'."),
    (["--restore", "d", "--no-api", "--api-sock", "s"],
     "Argument 'no-api' cannot be used together with argument 'api-sock'."),
    (["--kernel", "k", "--no-api", "--api-sock", "s"],
     "Argument 'no-api' cannot be used together with argument 'api-sock'."),
    (["--snapshot", "d", "--no-api"],
     "Argument 'no-api' cannot be used together with argument 'snapshot'."),
    (["--snapshot", "d", "--restore", "d", "--api-sock", "s"],
     "Argument 'restore' cannot be used together with argument 'snapshot'."),
    (["--restore", "d", "--config-file", "f"],
     "Argument 'restore' cannot be used together with argument"),
    (["--initrd", "x"], "Argument 'kernel' required, but not found."),
    (["--kernel", "x", "--config-file", "y"],
     "Argument 'kernel' cannot be used together with argument"),
    (["--id", ""], "Invalid instance ID"),
    (["--id", "a_b"], "Invalid instance ID"),
    (["--id", "a" * 65], "Invalid instance ID"),
    (["--cpus", "0"], "expected a number from 1 to 32"),
    (["--cpus", "33"], "expected a number from 1 to 32"),
    (["--cpus", "-1"], "expected a number from 1 to 32"),
    (["--memory", "0"], "expected a size in MiB"),
    (["--memory", "1X"], "expected a size in MiB"),
    (["--memory", "1MB"], "expected a size in MiB"),
    (["--memory", "1K"], "expected a size in MiB"),
    (["--memory", "99999999999999999999"], "expected a size in MiB"),
    (["--memory", "17592186044416"], "expected a size in MiB"),
    (["--irqchip", "both"], "expected split|full"),
    (["--entry", "x"], "expected auto|pvh|linux64"),
    (["--http-api-max-payload-size", "x"], "expected a number"),
    (["--http-api-max-payload-size", "-1"], "expected a number"),
    (["--start-time-us", "1e3"], "expected a number."),
])
def test_bad_arguments(vmm_says, args, text):
    code, out, err = vmm_says(*args)
    assert code == 153
    assert not out
    if PERSONS & set(args[::2]):  # no client gives these
        assert re.search("^volt-vmm: --[a-z-]+ (does not go with|needs|takes) ",
                         err), err
        assert len(err.splitlines()) == 1
    else:
        assert "Arguments parsing error: " in err
        assert text in err


@pytest.mark.parametrize("args", [
    ["--kernel", "nope"], ["--kernel=nope"], ["--ker", "nope"],
    ["--kern=nope"], ["--kernel=nope", "--mem=64", "--cpu", "2"],
    ["--kernel=nope", "--cmdline=--x", "--", "--nonsense"]])
def test_one_grammar(vmm_says, args):
    """A value after the name or behind "=", names cut short."""
    code, _, err = vmm_says(*args)
    assert code == 1
    assert "Cannot open the kernel nope: No such file" in err


def test_hostile_words_are_escaped(vmm_says):
    for word in ("--a\x1b[2Jb", "\nvolt-vmm: all is well", "--\x9b31m", b"--\xff"):
        code, _, err = vmm_says(word)
        assert code == 153
        assert len(err.splitlines()) == 1
        assert not set(err[:-1]) & set(map(chr, [*range(32), *range(127, 160)]))


def test_full_stdout(build):
    with open("/dev/full", "w") as full:
        for flag in ("--help", "--version", "--snapshot-version"):
            done = subprocess.run([build / "volt-vmm", flag], stdout=full,
                                  stderr=subprocess.PIPE, text=True,
                                  check=False)
            assert done.returncode == 1
            assert done.stderr == ("volt-vmm: Cannot write to standard output: "
                                   "No space left on device\n")


def test_bad_level(vmm_says):
    code, _, err = vmm_says("--level", "loud", "--api-sock", "s")
    assert code == 152
    assert "Invalid value for logger level: loud" in err


@pytest.mark.parametrize("flag, text", [
    ("--log-path", "Failed to open target file: No such file"),
    ("--metrics-path", "Cannot initialize the metrics system"),
])
def test_targets_that_cannot_be_opened(vmm_says, flag, text):
    code, _, err = vmm_says(flag, "no/such", "--api-sock", "s")
    assert code == 1
    assert text in err


def test_kernel_that_is_missing(vmm_says):
    code, _, err = vmm_says("--kernel", "nope")
    assert code != 0
    assert "nope" in err and "No such file" in err


@pytest.mark.parametrize("value", [
    "x", "cid=3", "path=", "cid=2,path=s", "cid=4294967295,path=s",
    "cid=-1,path=s", "cid=,path=s", "cid=3x,path=s", "path=s,color=red", "=s"])
def test_vsock_values_that_make_no_sense(vmm_says, tmp_path, value):
    code, _, err = vmm_says("--kernel", "k", "--vsock", value)
    assert code == 1
    assert f"--vsock {value}: it takes path=SOCKET and cid=N" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value, key", [
    ("cid=3,cid=4", "cid"), ("path=s,cid=4,cid=4", "cid"),
    ("path=s,path=t", "path"), ("path=s,cid=3,path=s", "path")])
def test_vsock_key_twice(vmm_says, tmp_path, value, key):
    code, _, err = vmm_says("--kernel", "k", "--vsock", value)
    assert code == 1
    assert f"--vsock {value}: there is a second {key}=" in err
    assert not list(tmp_path.iterdir())


def test_vsock_path_that_exists(vmm_says, tmp_path):
    (tmp_path / "s").write_text("mine")
    code, _, err = vmm_says("--kernel", "k", "--vsock", "path=s")
    assert code == 1
    assert "--vsock path=s: " in err and "Address already in use" in err
    assert (tmp_path / "s").read_text() == "mine"


def test_what_follows_two_dashes_is_not_ours(vmm_says):
    assert vmm_says("--version", "--", "--nonsense")[0] == 0
