# SPDX-License-Identifier: Apache-2.0
"""Two Linux guests and their host on taps: linux_net.sh says what they do.

Debian's kernel as the guest; in the lab unless this host's KVM runs Linux.
Then the bare-metal guests of vhost_guests.py under vhost. make check-long has
Linux under vhost as well, and runs of iperf3 that last 30 seconds each.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import LAB, LONG, ROOT, guest_kernel, runs_linux

SCRIPT = Path(__file__).with_name("linux_net.sh")
MODES = {"plain": ""} | ({"vhost": "vhost"} if LONG else {})
SECONDS = 30 if LONG else 0  # of iperf3
MODE_SECONDS = 600 if LONG else 300
BARE = Path(__file__).with_name("vhost_guests.py")
TALK = ["ping", "ping-large", "transfer", "transfer-under-load"] + (
    ["tcp-up", "tcp-down", "udp-up", "udp-down"] if LONG else [])

pytestmark = pytest.mark.lab


def prepare(*argv):
    run = subprocess.run([ROOT / argv[0], *argv[1:]], text=True,
                         capture_output=True, timeout=600, check=False)
    if run.returncode != 0:
        pytest.skip(run.stderr.strip() or f"{argv[0]} failed")
    return run.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def results(build, tmp_path_factory):
    """Both modes in one session: what the host said, folder by mode."""
    if os.environ.get("VOLT_TEST_LAB") == "0":
        pytest.skip("the lab is switched off by VOLT_TEST_LAB=0")
    kernel = guest_kernel("vmlinux")
    initrd = prepare("tests/initramfs/build", "--modules",
                     *(["--iperf"] if SECONDS else []))
    folder = tmp_path_factory.mktemp("net")
    lines = [f"cd {folder}"]
    for name, mode in MODES.items():
        place = folder / name
        place.mkdir()
        lines += [f"mkdir -p {place}",
                  f"timeout -k 5 {MODE_SECONDS} unshare --net {SCRIPT} {build} {kernel} {initrd} {place} "
                  f"{SECONDS} {mode} >{place}/host 2>&1",
                  f"for f in {place}/host {place}/console? {place}/log? "
                  f"{place}/metrics?; do echo \"=== $f\"; cat $f; done"]
    lines += [f"mkdir -p {folder}/bare",
              f"timeout -k 5 300 unshare --net {sys.executable} {BARE} "
              f"{build} {folder}/bare >{folder}/bare/host 2>&1",
              f"echo '=== {folder}/bare/host'; cat {folder}/bare/host"]
    script = folder / "run.sh"
    script.write_text("\n".join(lines) + "\n")
    argv = ["sh", str(script)] if runs_linux() else [LAB, "sh", script]
    run = subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                         capture_output=True, errors="replace", timeout=900,
                         check=False)
    files = {}
    for part in re.split("^=== (?=/)", run.stdout.replace("\r", ""),
                         flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        files[str(Path(name).relative_to(folder))] = text
    return files


@pytest.fixture(params=MODES)
def files(request, results):
    """The files of one mode, by name."""
    prefix = request.param + "/"
    mine = {k.removeprefix(prefix): v for k, v in results.items()
            if k.startswith(prefix)}
    mine["mode"] = request.param
    if request.param == "vhost" and "/dev/vhost-net" in mine.get("log1", ""):
        pytest.skip("no vhost-net on this host")
    return mine


@pytest.mark.parametrize("what", TALK)
def test_guests_talk(files, what):
    """Checksums of what went there and back; what iperf3 says of itself."""
    console = files["console2"]
    assert re.search(f"^VOLT-NET {what} ok", console, re.MULTILINE), (
        f"{console}\n{files['host']}\n{files['log2'][-2000:]}")


def test_host_talks(files):
    assert "HOST transfer ok" in files["host"], files["host"]
    assert "HOST end ok" in files["host"], files["host"]


def test_mac_and_mtu(files):
    for number in "12":
        assert (f"VOLT-NET mac 06:00:00:00:00:0{number} mtu 9000"
                in files["console" + number])


def test_metrics(files):
    """Frames are counted here, unless the kernel moves them."""
    lines = [json.loads(x) for x in files["metrics2"].splitlines()]
    sent = sum(x["net_net0"]["tx_packets_count"] for x in lines)
    lost = sum(x["net_net0"]["tx_malformed_frames"] for x in lines)
    assert (sent > 100) == (files["mode"] != "vhost")
    assert lost == 0


@pytest.mark.parametrize("case", ["polling", "small_buffers", "hostile",
                                  "isolated", "snapshot", "tracking",
                                  "deleted"])
def test_bare_guests_under_vhost(results, case):
    said = results["bare/host"]
    if "/dev/vhost-net" in said:
        pytest.skip("no vhost-net on this host")
    assert f"VHOST {case} ok" in said.splitlines(), said[-4000:]
