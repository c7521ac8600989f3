# SPDX-License-Identifier: Apache-2.0
"""The metadata service under Linux's own network, in the lab.

All that a Linux guest said to a real Firecracker (tests/conformance) is said
again, from a stock kernel by mmdsguest.c, and what busybox's wget gets.
"""

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from conftest import (BUILD, ROOT, debian_tar, guest_image, guest_kernel,
                      in_lab, long_only, need_lab, said)
from test_images import Images

ROWS = ROOT / "tests/conformance/mmds.jsonl"
DOCUMENT = {"latest": {"meta-data": {
    "ami-id": "ami-1", "n": 1, "f": 1.5, "arr": [1, "two"], "bool": True,
    "nul": None, "obj": {"k": "v"}, "sp ace": "v", "multi": "line1\nline2",
    "quote": 'a"b', "empty": "", "eobj": {}, "earr": []},
    "user-data": "hello"}, "top": "t", "uni": "é中"}
SCRIPT = """\
ip link set eth0 up
ip addr add 169.254.0.2/16 dev eth0
echo "wget $(wget -q -O - http://169.254.169.254/latest/user-data)"
exec mmdsguest /lib/volt/rows
"""
# Programs that people use, as they use them: with a session, over one connection
# for two questions, and what they make of a refusal. "get" is GNU's wget: the shell
# takes its own for that name.
CLIENTS = """\
ip link set eth0 up
ip addr add 169.254.0.2/16 dev eth0
at=http://169.254.169.254/latest
echo "curl-none $(curl -s -o /dev/null -w '%{http_code}' $at/user-data)"
get -q -O - $at/user-data
echo "wget-none $?"
token=$(curl -sf -X PUT $at/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
t="X-aws-ec2-metadata-token: $token"
echo "curl-two $(curl -sf -H "$t" $at/user-data $at/meta-data/ami-id -w ' %{num_connects} ')"
echo "curl-json $(curl -sf -H "$t" -H 'Accept: application/json' $at/meta-data/obj)"
echo "curl-list $(curl -sf -H "$t" $at/meta-data/ | tr '\\n' ' ')"
echo "curl-missing $(curl -s -o /dev/null -w '%{http_code}' -H "$t" $at/none)"
echo "wget-two $(get -q -O - --header "$t" $at/user-data $at/meta-data/ami-id)"
token=$(get -q -O - --method=PUT --header 'X-metadata-token-ttl-seconds: 60' $at/api/token)
echo "wget-own $(get -q -O - --header "X-metadata-token: $token" $at/user-data)"
"""
SAID = ["curl-none 401", "wget-none 6", "curl-two hello 1 ami-1 0 ",
        'curl-json {"k":"v"}', "curl-missing 404", "wget-two helloami-1",
        "wget-own hello"]
# Where EC2's data source looks for it. It asks for no session where nothing but
# the address says that this is EC2.
CLOUD = {"2009-04-04": {
    "meta-data": {"instance-id": "i-0123", "local-hostname": "from-metadata"},
    "user-data": "#cloud-config\nwrite_files:\n- path: /root/said\n"
                 "  content: from-user-data\n"}}
CLOUD_CFG = b"""\
datasource_list: [Ec2]
datasource:
  Ec2: {strict_id: false, metadata_urls: ["http://169.254.169.254"]}
network: {config: disabled}
cloud_init_modules: [set_hostname, write_files]
"""
CLOUD_INIT = """\
set -e
ip link set eth0 up
ip addr add 169.254.0.2/16 dev eth0
mkdir /debian
mount -t ext4 /dev/vda /debian
for name in proc sys dev; do mount --bind /$name /debian/$name; done
mount -t tmpfs none /debian/run
chroot /debian cloud-init init
echo "instance $(chroot /debian cloud-init query instance_id)"
echo "platform $(chroot /debian cloud-init query platform)"
echo "hostname $(cat /debian/etc/hostname)"
echo "user-data $(cat /debian/root/said)"
echo "client $(chroot /debian ec2metadata --instance-id)"
"""
LAB = """\
set -eu
ip tuntap add t0 mode tap
ip link set t0 up
exec "$1" --no-api --config-file "$2" --metadata "$3"
"""


def rows_of(version, compat):
    text = b""
    for line in ROWS.read_text().splitlines():
        row = json.loads(line)
        if (row["version"], row["imds_compat"]) == (version, compat):
            sent, got = (row[x].encode("latin-1") for x in ("send", "receive"))
            text += struct.pack("<III", row["token"], len(sent), len(got))
            text += sent + got
    return text


def in_a_guest(tmp_path, image, version, compat, document=None, drives=()):
    """What Linux says that runs @image's script, and the log."""
    files = {"document": document or DOCUMENT, "config": {
        "boot-source": {
            "kernel_image_path": str(guest_kernel("bzimage")),
            "initrd_path": str(image),
            "boot_args": "console=ttyS0 reboot=k quiet volt.quiet "
                         "volt.end=reboot volt.run=mmds"},
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 512},
        "drives": list(drives),
        "network-interfaces": [{"iface_id": "n0", "host_dev_name": "t0"}],
        "mmds-config": {"network_interfaces": ["n0"], "version": version,
                        "imds_compat": compat}}}
    for name, what in files.items():
        (tmp_path / name).write_text(json.dumps(what))
    return in_lab(
        ["unshare", "--net", "sh", "-c", LAB, "lab", BUILD / "volt-vmm",
         tmp_path / "config", tmp_path / "document"], tmp_path, 900)


def with_libraries(name, own=None):
    """A program of this host, as @own, and what it needs, for an initramfs."""
    path = shutil.which(name)
    if not path:
        pytest.skip(f"no {name} on this host")
    libraries = re.findall(r"(/\S+) \(0x", said("ldd", path))
    return [f"bin/{own or name}={path}", *(f"{x[1:]}={x}" for x in libraries)]


@long_only("four boots of Linux")
@pytest.mark.lab
@pytest.mark.parametrize("version, compat, rows", [
    ("V1", False, 115), ("V2", False, 116), ("V1", True, 115),
    ("V2", True, 116)])
def test_every_exchange(build, tmp_path, version, compat, rows):
    need_lab()
    (tmp_path / "rows").write_bytes(rows_of(version, compat))
    image = guest_image(tmp_path, "mmdsguest", "mmds", SCRIPT,
                        f"lib/volt/rows={tmp_path / 'rows'}")
    out, log = in_a_guest(tmp_path, image, version, compat)
    assert f"{rows} of {rows} equal" in out, out + log[-3000:]
    if version == "V1":
        assert "wget hello" in out


@long_only("a boot of Linux")
@pytest.mark.lab
def test_clients(build, tmp_path):
    """curl and GNU's wget, with sessions as clients of EC2 have them."""
    need_lab()
    files = sorted({*with_libraries("curl"), *with_libraries("wget", "get")})
    image = guest_image(tmp_path, "mmdsguest", "mmds", CLIENTS, *files)
    out, log = in_a_guest(tmp_path, image, "V2", False)
    lines = out.replace("\r", "").splitlines()
    assert [x for x in SAID if x not in lines] == [], out + log[-3000:]
    (keys,) = [x for x in lines if x.startswith("curl-list ")]
    assert {"ami-id", "obj/"} <= set(keys.split())


@long_only("a Debian is made and booted")
@pytest.mark.lab
def test_cloud_init(build, tmp_path):
    """Its data source of EC2, what it does with what that has, and a client."""
    need_lab()
    images = Images(tmp_path / "images")
    images.ok("add", "--name", "debian", str(
        debian_tar(tmp_path, "cloud-init", "cloud-guest-utils")))
    disk = tmp_path / "disk"
    shutil.copy(images.info("debian")["file"], disk)
    disk.chmod(0o600)
    os.truncate(disk, disk.stat().st_size + (512 << 20))  # inodes too
    config = tmp_path / "90_test.cfg"
    config.write_bytes(CLOUD_CFG)
    for words in (["resize2fs", "-f", disk],
                  ["debugfs", "-w", "-R", f"write {config} "
                   "etc/cloud/cloud.cfg.d/90_test.cfg", disk]):
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    image = guest_image(tmp_path, "mmdsguest", "mmds", CLOUD_INIT,
                        options=["--ext4"])
    out, log = in_a_guest(tmp_path, image, "V1", False, CLOUD, [
        {"drive_id": "d", "path_on_host": str(disk), "is_root_device": False}])
    lines = out.replace("\r", "").splitlines()
    for line in ("instance i-0123", "platform ec2", "hostname from-metadata",
                 "user-data from-user-data", "client i-0123"):
        assert line in lines, out[-5000:] + log[-3000:]
