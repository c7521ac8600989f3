# SPDX-License-Identifier: Apache-2.0
"""volt doctor and the front door of volt, black box."""

import json
import os
import re
import shlex
import subprocess

import pytest

from conftest import BUILD, LAB, ROOT

VOLT = BUILD / "volt"
TOPICS = ["host", "kvm", "cpu", "instructions", "capability", "sandbox",
          "memory", "io", "network", "verdict"]
EXIT_CODES = {"linux": 0, "bare-metal": 1, "none": 2}


def volt(*args, **kwargs):
    return subprocess.run([VOLT, *args], capture_output=True, text=True,
                          timeout=60, check=False, **kwargs)


def doctor(**kwargs):
    run = volt("doctor", "--json", **kwargs)
    assert run.stderr == ""
    facts = json.loads(run.stdout)
    assert run.returncode == facts["exit_code"] == EXIT_CODES[facts["guests"]]
    return facts


def documented_keys():
    """The keys in the table of docs/doctor.md."""
    text = (ROOT / "docs/doctor.md").read_text().split("## --json")[1]
    rows = re.findall(r"^\| ([^|]*) \|", text, re.M)[1:]
    return {k for row in rows for k in re.findall(r"`([^`]*)`", row)}


def keys_of(value, prefix=""):
    """Dotted names of all leaves; maps that only have names are leaves."""
    leaves = {"kvm.capabilities", "kvm.probe.instructions"}
    if not isinstance(value, dict) or prefix in leaves:
        return {prefix}
    return {k for name, v in value.items()
            for k in keys_of(v, f"{prefix}.{name}" if prefix else name)}


def test_help_lists_commands():
    run = volt("--help")
    assert run.returncode == 0
    for command in re.findall(r"^  ([a-z]+) ", run.stdout, re.M):
        shown = volt(command, "--help")
        assert shown.returncode == 0 and shown.stderr == ""
        assert shown.stdout.startswith(f"Usage: volt {command}")
    assert "doctor" in run.stdout


def test_version():
    run = volt("--version")
    assert re.fullmatch(r"volt \d+\.\d+\.\d+\n", run.stdout)


@pytest.mark.parametrize("args", [[], ["frobnicate"], ["doctor", "--nope"],
                                  ["doctor", "word"]])
def test_bad_usage(args):
    run = volt(*args)
    assert run.returncode == 64
    assert run.stdout == "" and "--help" in run.stderr


def test_report_has_one_line_a_topic():
    run = volt("doctor")
    lines = [x for x in run.stdout.splitlines() if not x.startswith(" ")]
    assert [x.split()[0] for x in lines] == TOPICS
    for line in run.stdout.splitlines():
        if line.startswith(" "):
            assert line.strip().startswith("-> ")


def test_json_is_documented():
    facts = doctor()
    documented = documented_keys()
    if facts["kvm"]["probe"] is None:
        documented = {k for k in documented
                      if not k.startswith("kvm.probe.")}
    else:
        documented.discard("kvm.probe")
    assert keys_of(facts) == documented


def test_facts_are_this_host():
    facts = doctor()
    assert facts["host"]["kernel"] == os.uname().release
    assert facts["host"]["cpus"] == os.cpu_count()
    assert facts["host"]["memory_bytes"] == (
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def test_kvm_state_follows_the_device():
    state = doctor()["kvm"]["state"]
    if not os.path.exists("/dev/kvm"):
        assert state == "absent"
    elif not os.access("/dev/kvm", os.R_OK | os.W_OK):
        assert state == "denied"
    else:
        assert state in ("usable", "broken")


def test_probe_is_consistent():
    facts = doctor()
    if facts["kvm"]["state"] != "usable":
        pytest.skip("no usable /dev/kvm on this host; the lab runs the same")
    probe = facts["kvm"]["probe"]
    refused = "refused" in probe["instructions"].values()
    software = facts["kvm"]["assisted_by"] == "software"
    assert software == (refused or probe["ratio"] > 20)
    # Neither kind of host leaves the probe without an answer.
    assert not {"lost", "faults"} & set(probe["instructions"].values())
    assert (facts["guests"] == "linux") == (not software)


def in_mount_namespace(script):
    """Run a shell script as root of a user and mount namespace."""
    return subprocess.run(["unshare", "-Urm", "sh", "-c", script],
                          capture_output=True, text=True, timeout=60,
                          check=False)


def hide_device(path):
    """A report in a namespace where an empty directory hides @path's one."""
    folder = os.path.dirname(path)
    run = in_mount_namespace(
        f"mount -t tmpfs none {folder} && {shlex.quote(str(VOLT))} doctor "
        f"--json")
    if not run.stdout:
        pytest.skip(f"no mount namespace for this user: {run.stderr}")
    return json.loads(run.stdout), run.returncode


def test_without_dev_kvm():
    facts, code = hide_device("/dev/kvm")
    assert code == 2
    assert facts["kvm"]["state"] == "absent"
    assert facts["kvm"]["probe"] is None
    assert facts["tun"] == "absent"
    assert "/dev/kvm" in facts["kvm"]["error"]
    assert [a for a in facts["advice"] if a["topic"] == "kvm"]


def test_without_permission():
    """An ordinary user and a /dev/kvm of mode 0600."""
    if os.geteuid() != 0 or not os.path.exists("/dev/kvm"):
        pytest.skip("needs root and /dev/kvm to try as another user")
    if os.stat("/dev/kvm").st_mode & 0o006:
        pytest.skip("/dev/kvm is open to everyone here")
    # The build may lie where that user cannot go: hand the program over open.
    fd = os.open(VOLT, os.O_RDONLY)
    try:
        run = subprocess.run([f"/proc/self/fd/{fd}", "doctor", "--json"],
                             capture_output=True, text=True, timeout=60,
                             check=False, user=65534, group=65534,
                             extra_groups=[], pass_fds=[fd])
    finally:
        os.close(fd)
    facts = json.loads(run.stdout)
    assert run.returncode == 2
    assert facts["kvm"]["state"] == "denied"
    assert "usermod -aG" in facts["advice"][0]["text"]


def test_output_that_cannot_be_written():
    with open("/dev/full", "w", encoding="ascii") as full:
        for args in [], ["--json"]:
            run = subprocess.run([VOLT, "doctor", *args], stdout=full,
                                 stderr=subprocess.PIPE, timeout=60,
                                 check=False)
            assert run.returncode == 74
            assert b"cannot write" in run.stderr


@pytest.mark.lab
def test_lab_runs_linux():
    """A whole emulated host: slow on both sides, but nothing is refused."""
    if os.environ.get("VOLT_TEST_LAB") == "0":
        pytest.skip("the lab is switched off by VOLT_TEST_LAB=0")
    if not LAB.exists():
        pytest.skip("no lab in this tree")
    run = subprocess.run([LAB, VOLT, "doctor", "--json"],
                         stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    facts = json.loads(run.stdout[run.stdout.index("{"):])
    assert facts["guests"] == "linux"
    assert facts["kvm"]["assisted_by"] == "hardware"
    assert facts["kvm"]["modules"] == ["kvm_amd"]
    assert facts["kvm"]["probe"]["ratio"] < 20
    assert facts["landlock_abi"] >= 2
    assert facts["tun"] == "usable"
