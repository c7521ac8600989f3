# SPDX-License-Identifier: Apache-2.0
"""volt doctor and the front door of volt, black box."""

import json
import os
import re
import shlex
import shutil
import subprocess

import pytest

from conftest import BUILD, LAB, ROOT

VOLT = BUILD / "volt"
TOPICS = ["host", "kvm", "cpu", "instructions", "capability", "sandbox",
          "cores", "sharing", "cpu-faults", "kvm-faults", "namespaces",
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


def line_of(path):
    """The first line of a file; empty when it is not there."""
    try:
        with open(path, encoding="ascii") as file:
            return file.readline().strip()
    except FileNotFoundError:
        return ""


def test_facts_for_strangers_are_this_host():
    facts = doctor()["untrusted"]
    cpu = "/sys/devices/system/cpu"
    assert facts["smt"] == (line_of(f"{cpu}/smt/active") == "1")
    assert facts["ksm"] == (line_of("/sys/kernel/mm/ksm/run") == "1")
    with open("/proc/swaps", encoding="ascii") as swaps:
        assert facts["swap"] == (len(swaps.readlines()) > 1)
    folder = f"{cpu}/vulnerabilities"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    assert set(facts["cpu_faults"]) == {
        x for x in names if line_of(f"{folder}/{x}").startswith("Vulnerable")}
    usable = subprocess.run(["unshare", "--user", "true"], check=False,
                            stderr=subprocess.DEVNULL).returncode == 0
    assert (facts["user_namespaces"] == "usable") == usable


def test_strict_starts_where_the_doctor_says_so(vmm):
    facts = doctor()["untrusted"]
    run = vmm.start("hello", extra=("--sandbox", "strict"))
    assert (run.finish().code == 0) == facts["sandbox_strict"]


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


# A host whose /dev/kvm and groups are the test's own; root of the real host,
# because an ordinary user is tried. $1: the program, open to all. The advice's
# commands run as they are typed, but sudo and udev are what is there.
HOST = r"""
set -e
own=$(mktemp -d); trap 'cd /; umount -l $own; rmdir $own' EXIT
mount -t tmpfs -o mode=755 none $own
cp -a /etc $own/etc && mount --bind $own/etc /etc
mkdir -p /etc/udev/rules.d
sed -i '/^kvm:/d; /^virt:/d' /etc/group; rm -f /etc/gshadow
getent passwd tester >/dev/null || useradd -u 54321 -M tester
export USER=tester
%(prepare)s
mknod $own/kvm c 10 232
%(door)s
touch $own/dev; mount --bind $own/kvm /dev/kvm
mkdir $own/bin; cp "$1" $own/bin/volt; chmod 755 $own/bin/volt
printf '#!/bin/sh\nexec "$@"\n' >$own/bin/sudo; chmod 755 $own/bin/sudo
export PATH=$own/bin:$PATH
as_user() { setpriv --reuid=tester --regid=54321 --init-groups \
            volt doctor --json || true; }
as_user >$own/before
python3 - $own/before >$own/commands <<'END'
import json, re, sys
for advice in json.load(open(sys.argv[1]))["advice"]:
    if advice["topic"] == "kvm" and "meanwhile" not in advice["text"]:
        print("\n".join(re.findall("`([^`]*)`", advice["text"])))
END
cat $own/commands >&2
sh -e $own/commands >/dev/null
as_user
"""

DOORS = {
    "0600 root:root": ("groupadd -g 12345 kvm",
                       "chown 0:0 $own/kvm; chmod 600 $own/kvm", "kvm"),
    "0660 root:root": ("groupadd -g 12345 kvm",
                       "chown 0:0 $own/kvm; chmod 660 $own/kvm", "kvm"),
    "no group kvm": (":", "chown 0:0 $own/kvm; chmod 600 $own/kvm", "kvm"),
    "0660 root:kvm": ("groupadd -g 12345 kvm",
                      "chown 0:12345 $own/kvm; chmod 660 $own/kvm", "kvm"),
    "0660 root:virt": ("groupadd -g 12345 virt",
                       "chown 0:12345 $own/kvm; chmod 660 $own/kvm", "virt"),
    "0660 root:disk": ("groupadd -g 12345 kvm",
                       "chown 0:6 $own/kvm; chmod 660 $own/kvm", "kvm"),
}


@pytest.mark.parametrize("name", DOORS)
def test_advice_on_dev_kvm_works(name, tmp_path):
    """Its commands, typed as they stand, let an ordinary user in."""
    prepare, door, group = DOORS[name]
    if os.geteuid() != 0 or not os.path.exists("/dev/kvm"):
        pytest.skip("needs root and /dev/kvm to try as another user")
    for program in ("useradd", "usermod", "setpriv", "unshare"):
        if not shutil.which(program):
            pytest.skip(f"{program} is missing")
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", HOST % {"prepare": prepare, "door": door},
         "sh", VOLT], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)
    assert facts["kvm"]["state"] != "denied", run.stderr
    joined = re.findall(r"usermod -aG (\S+)", run.stderr)
    assert joined == [group]


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
