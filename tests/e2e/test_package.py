# SPDX-License-Identifier: Apache-2.0
"""The Debian package, and what is installed beside the programs."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import BUILD, ROOT, long_only


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    if not os.access(BUILD, os.W_OK):
        pytest.skip("the build is another user's")
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild"],
                   env={**os.environ, "DESTDIR": str(folder)}, timeout=60,
                   capture_output=True, check=True)
    return folder


def only(folder, pattern):
    found = list(folder.glob(f"**/{pattern}"))
    assert len(found) == 1, (pattern, found)
    return found[0]


def test_the_unit_is_one_that_systemd_takes(installed, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    text = only(installed, "systemd/system/volt@.service").read_text()
    assert "@bindir@" not in text and "@docdir@" not in text
    for program in set(re.findall(r"^Exec\w+=(\S+)", text, re.M)):
        assert (installed / program[1:]).exists(), program
        text = text.replace(f"={program} ", f"={installed}{program} ")
    unit = tmp_path / "volt@.service"
    unit.write_text(text)
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", unit],
                         capture_output=True, text=True, timeout=60,
                         check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    # ReadOnlyPaths=/proc/sys is no ProtectKernelTunables= to it, and has no
    # filter of system calls.
    run = subprocess.run(["systemd-analyze", "security", "--offline=yes",
                          "--threshold=53", unit], capture_output=True,
                         text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_host_gets_its_files(installed):
    assert 'GROUP="kvm"' in only(installed, "rules.d/65-volt-kvm.rules") \
        .read_text()
    assert "g kvm -" in only(installed, "sysusers.d/volt.conf").read_text()
    assert "/var/lib/volt/kernels" in only(
        installed, "tmpfiles.d/volt.conf").read_text()


def test_the_bill_of_materials(installed):
    sbom = json.loads(only(installed, "volt.spdx.json").read_text())
    assert sbom["spdxVersion"] == "SPDX-2.3"
    assert sbom["dataLicense"] == "CC0-1.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
                        sbom["creationInfo"]["created"])
    packages = {x["SPDXID"]: x for x in sbom["packages"]}
    assert len(packages) == len(sbom["packages"])
    for part in packages.values():
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", part["SPDXID"])
        for key in ("name", "versionInfo", "downloadLocation",
                    "licenseDeclared"):
            assert part[key], (part["name"], key)
    known = {*packages, "SPDXRef-DOCUMENT"}
    linked = {}
    for one in sbom["relationships"]:
        assert {one["spdxElementId"], one["relatedSpdxElement"]} <= known
        if one["relationshipType"] == "STATIC_LINK":
            linked.setdefault(packages[one["spdxElementId"]]["name"],
                              set()).add(
                packages[one["relatedSpdxElement"]]["name"])
    assert set(linked) == {"volt", "volt-jailer", "volt-pager", "volt-pool",
                           "volt-vmm"}
    assert {"jansson", "nettle", "zlib", "glibc"} <= linked["volt"]
    # A program with such a part may be passed on under the GPL alone.
    for part in packages.values():
        assert not re.match(r"GPL-(?!.* WITH )", part["licenseDeclared"])
    assert "liburing" in linked["volt-vmm"]
    assert "zstd" in linked["volt-pager"] and "zstd" in linked["volt"]
    assert "zstd" not in linked["volt-vmm"]
    assert {"llhttp", "http-parser"} & linked["volt-vmm"]
    # The library that is there is not one that was only asked for.
    assert "zlib" not in linked["volt-vmm"]


def test_an_unknown_license_ends_the_build(tmp_path):
    (tmp_path / "map").write_text(
        "Archive member included\n\n/bin/sh.a(x.o)\n"
        "\nMemory Configuration\n\nLOAD /nonexistent/x.o\n")
    run = subprocess.run([ROOT / "tools/sbom", "--version", "1",
                          tmp_path / "out", f"volt={tmp_path}/map"],
                         capture_output=True, text=True, timeout=60,
                         check=False)
    assert run.returncode == 1 and "no package has" in run.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def open_folder():
    """One that every user gets to; pytest's own are their user's."""
    with tempfile.TemporaryDirectory(prefix="volt-deb-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def need_deb():
    for program in ("dpkg-buildpackage", "dh", "lintian"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: tools/deps deb")


@long_only("two builds of the package")
def test_two_builds_give_the_same_bytes(open_folder):
    """As root and as nobody; another folder, umask, time zone, file times."""
    tmp_path = open_folder
    if os.geteuid() != 0:
        pytest.skip("only root is another user, too")
    need_deb()
    made = []
    other = tmp_path / "another"
    for user in (0, 65534):
        out = tmp_path / f"out{user}"
        temp = tmp_path / f"temp{user}"
        for folder in (out, temp, other):
            folder.mkdir(exist_ok=True)
        tree = ROOT
        if user:
            names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT,
                                   capture_output=True, timeout=60,
                                   check=True).stdout
            subprocess.run(["tar", "-cf", tmp_path / "tar", "--null",
                            "--files-from=-"], input=names, cwd=ROOT,
                           timeout=60, check=True)
            subprocess.run(["tar", "-xmf", tmp_path / "tar", "-C", other],
                           timeout=60, check=True)
            tree = other
            subprocess.run(["find", other, "-exec", "touch", "-h", "-d",
                            "2020-01-01", "{}", "+"], timeout=60, check=True)
            subprocess.run(["chown", "-R", str(user), other, out, temp],
                           timeout=60, check=True)
        subprocess.run(
            ["setpriv", "--reuid", str(user), "--regid", str(user),
             "--clear-groups", "sh", "-c",
             f'umask {"077" if user else "022"}; cd /; exec "$0" "$1"',
             tree / "tools/deb", out],
            env={"PATH": os.environ["PATH"], "HOME": str(temp),
                 "TMPDIR": str(temp), "TZ": "Asia/Tokyo" if user else "UTC",
                 "LANG": "C.UTF-8" if user else "C"},
            timeout=3600, check=True)
        made.append({x.name: x.read_bytes() for x in out.glob("*.deb")})
    assert set(made[0]) == {"volt_0.1.0_amd64.deb",
                            "volt-dbgsym_0.1.0_amd64.deb"}
    assert made[0] == made[1]


@long_only("fresh Debians")
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_package_in_a_fresh_root(suite):
    if os.geteuid() != 0:
        pytest.skip("only root makes such a root")
    need_deb()
    subprocess.run([ROOT / "tests/fresh", "--suite", suite, "deb"],
                   env={**os.environ, "VOLT_BUILD": str(BUILD)},
                   timeout=3600, check=True)
