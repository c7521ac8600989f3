# SPDX-License-Identifier: Apache-2.0
"""volt image: what archives say is in the file system, or the image is not."""

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import pytest

from conftest import BUILD, LONG

NOBODY = 65534
STEPS = ("openat", "mkdirat", "flock", "write", "pwrite64", "ftruncate",
         "fchmod", "fsync", "renameat", "unlinkat")


class Images:
    """A store of the test's own, and the command on it."""

    def __init__(self, folder, volt=BUILD / "volt"):
        self.folder = Path(folder)
        self.volt = volt

    def call(self, *words, prefix=()):
        return subprocess.run(
            [*prefix, self.volt, "image", *words], text=True,
            capture_output=True, timeout=120, check=False,
            env={**os.environ, "VOLT_IMAGES": str(self.folder)})

    def ok(self, *words):
        run = self.call(*words)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def fails(self, *words):
        """One sentence, exit code 1, and nothing is left."""
        run = self.call(*words)
        assert run.returncode == 1, run.stdout + run.stderr
        assert len(run.stderr.splitlines()) == 1, run.stderr
        assert self.left() == set()
        return run.stderr

    def names(self):
        return [x.split()[0] for x in self.ok("ls").splitlines()[1:]]

    def info(self, name):
        return json.loads(self.ok("info", "--json", name))

    def left(self):
        """Files of no image."""
        used = set()
        for name in self.names():
            info = self.info(name)
            used |= {info["sha256"], info["id"]}
        blobs = {p.name for p in (self.folder / "blobs").glob("*")}
        return (blobs - used) | {p.name
                                 for p in (self.folder / "tmp").glob("*")}


@pytest.fixture
def images(build, tmp_path):
    return Images(tmp_path / "images")


def debugfs(path, command):
    return subprocess.run(["debugfs", "-R", command, path], text=True,
                          capture_output=True, timeout=60, check=True).stdout


def stat(path, name):
    """What debugfs says of a file."""
    return debugfs(path, f"stat {name}")


def cat(path, name):
    return subprocess.run(["debugfs", "-R", f"cat {name}", path], timeout=60,
                          capture_output=True, check=True).stdout


def listing(path, name="/"):
    return {x.split()[-1] for x in debugfs(path, f"ls -l {name}").splitlines()
            if x.strip()} - {".", ".."}


def sound(path):
    """No mistake in it, as e2fsck judges."""
    run = subprocess.run(["e2fsck", "-fn", path], text=True, timeout=60,
                         capture_output=True, check=False)
    assert run.returncode == 0, run.stdout


def entry(name, data=b"", **what):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime = 1700000000
    for key, value in what.items():
        setattr(info, key, value)
    return info, data


def link(name, to, kind=tarfile.SYMTYPE):
    return entry(name, type=kind, linkname=to)


def folder(name, **what):
    return entry(name, type=tarfile.DIRTYPE, **{"mode": 0o755, **what})


def tar(*entries, how=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=how) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def layout(path, layers, ref="web:1", diff_ids=None, **config):
    """An OCI layout of these tar archives, each second one compressed."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data, kind):
        (blobs / sha256(data)).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}",
                "digest": "sha256:" + sha256(data), "size": len(data)}
    about = json.dumps({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids or [
            "sha256:" + sha256(x) for x in layers]}}).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "config": blob(about, "config.v1+json"),
        "layers": [blob(gzip.compress(x, 1), "layer.v1.tar+gzip") if i % 2
                   else blob(x, "layer.v1.tar")
                   for i, x in enumerate(layers)]}).encode()
    named = {**blob(manifest, "manifest.v1+json"), "annotations":
             {"org.opencontainers.image.ref.name": ref}}
    (path / "index.json").write_text(json.dumps(
        {"schemaVersion": 2, "manifests": [named]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return path


def packed(path, to):
    """A folder as a tar archive."""
    with tarfile.open(to, "w") as archive:
        for name in sorted(os.listdir(path)):
            archive.add(path / name, name)
    return to


def test_an_archive_is_what_it_says(images, tmp_path):
    """Types, owners, times, links, devices, attributes, long names."""
    long = "/".join(["n" * 200] * 4)
    pax = {"SCHILY.xattr.user.note": "kept", "mtime": "1700000000.25"}
    for how in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        data = tar(
            folder("etc", mode=0o750, uid=3, gid=4),
            entry("etc/shadow", b"root::", mode=0o640, gid=42, uid=70000),
            link("etc/link", "/outside/of/it"), link("long-link", "x" * 300),
            link("hard", "etc/shadow", tarfile.LNKTYPE),
            entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
            entry("disk", type=tarfile.BLKTYPE, devmajor=259, devminor=700),
            entry("pipe", type=tarfile.FIFOTYPE),
            entry("su", b"#!", mode=0o4755, pax_headers=pax),
            entry(long, b"deep"), entry("README", b"1"), entry("readme", b"2"),
            entry("./twice", b"first"), entry("twice", b"second"), how=how)
        source = tmp_path / f"tree{how}.tar"
        source.write_bytes(data)
        assert "added" in images.ok("add", "--name", "t", "--replace", source)
        path = images.info("t")["file"]
        sound(path)
        assert cat(path, "/etc/shadow") == b"root::" == cat(path, "/hard")
        assert cat(path, "/" + long) == b"deep"
        assert cat(path, "/twice") == b"second"
        assert cat(path, "/README") + cat(path, "/readme") == b"12"
        said = stat(path, "/etc/shadow")
        assert "Mode:  0640" in said and "Links: 2" in said
        assert "User: 70000" in said and "Group:    42" in said
        assert "mtime: 0x6553f100" in said
        assert 'Fast link dest: "/outside/of/it"' in stat(path, "/etc/link")
        assert "Size: 300" in stat(path, "/long-link")
        assert "number: 259:700" in stat(path, "/disk")
        assert "number: 01:03" in stat(path, "/null")
        assert "Type: FIFO" in stat(path, "/pipe")
        assert "Mode:  04755" in stat(path, "/su")
        if how == tarfile.PAX_FORMAT:
            assert 'user.note (4) = "kept"' in debugfs(path, "ea_list /su")
            assert "mtime: 0x6553f100:3b9aca00" in stat(path, "/su")
    assert images.left() == set()


def test_a_folder_is_as_its_archive(images, tmp_path):
    """Holes, capabilities, hard links; the same folder has the same bytes."""
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(BUILD / "volt-vmm", tree / "bin/vmm")
    os.link(tree / "bin/vmm", tree / "bin/twin")
    os.symlink("/etc/passwd", tree / "out")
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tree / "socket"))
    with open(tree / "holes", "wb") as holes:
        for i in range(1500):  # more extents than one block of them has
            holes.seek(i * 16384 + i % 7 * 100)
            holes.write(b"%d" % i)
        holes.truncate(40 << 20)
    images.ok("add", "--name", "a", tree)
    images.ok("add", "--name", "b", tree)
    a, b = images.info("a"), images.info("b")
    assert a["file"] == b["file"] and a["id"] == b["id"]
    sound(a["file"])
    assert os.stat(a["file"]).st_size < 32 << 20
    assert listing(a["file"]) == {"bin", "out", "pipe", "holes"}
    assert cat(a["file"], "/bin/twin") == (tree / "bin/vmm").read_bytes()
    out = tmp_path / "out"
    debugfs(a["file"], f"dump /holes {out}")
    assert out.read_bytes() == (tree / "holes").read_bytes()
    images.ok("rm", "a")
    assert images.info("b")["file"] == b["file"] and images.left() == set()
    images.ok("rm", "b")
    assert images.names() == [] and images.left() == set()


@pytest.mark.parametrize("count", [1, 12, 60])
def test_layers(images, tmp_path, count):
    """Each adds, replaces and takes away; a layout and its archive are one."""
    layers = [tar(folder("d"), entry("base", b"0"), entry("d/0", b"0"),
                  entry("gone", b"x"), folder("usr/lib"),
                  link("lib", "usr/lib"))]
    for i in range(1, count):
        layers.append(tar(
            entry(f"d/{i}", b"%d" % i), entry("base", b"%d" % i),
            entry(f"d/.wh.{i - 1}"), entry("lib/through", b"%d" % i),
            link(f"hard{i}", "base", tarfile.LNKTYPE), entry(".wh.gone")))
    source = layout(tmp_path / "oci", layers, Entrypoint=["/e"], Cmd=["c"],
                    Env=["A=b"], User="1:2", WorkingDir="/d",
                    StopSignal="SIGINT", ExposedPorts={"80/tcp": {}})
    assert "web:1: added" in images.ok("add", source)
    info = images.info("web:1")
    assert [info[x] for x in ("entrypoint", "cmd", "env", "user", "workdir",
                              "stop_signal", "ports")] == \
        [["/e"], ["c"], ["A=b"], "1:2", "/d", "SIGINT", ["80/tcp"]]
    assert info["layers"] == ["sha256:" + sha256(x) for x in layers]
    path = info["file"]
    sound(path)
    assert listing(path, "/d") == {str(count - 1)}
    assert cat(path, "/base") == b"%d" % (count - 1)
    if count > 1:
        assert "gone" not in listing(path)
        assert cat(path, "/hard1") == b"1"
        assert cat(path, "/usr/lib/through") == b"%d" % (count - 1)
    archive = packed(source, tmp_path / "oci.tar")
    assert "was there already" in images.ok("add", archive)
    assert images.info(info["id"][:12])["name"] == "web:1"
    # Another configuration, the same layers: one file.
    other = layout(tmp_path / "other", layers, Cmd=["other"])
    images.ok("add", "--name", "other", other)
    assert images.info("other")["file"] == path
    assert "another image web:1 already" in images.fails("add", other)


def test_opaque_folders(images, tmp_path):
    """What the layer itself has stays, whatever comes first."""
    layers = [tar(entry("d/low", b"1"), entry("d/e/low", b"1"),
                  entry("f/low", b"1")),
              tar(entry("d/up", b"2"), entry("d/.wh..wh..opq"),
                  entry("f/up", b"2"), entry(".wh.f"),
                  entry(".wh..wh.plnk", type=tarfile.DIRTYPE))]
    images.ok("add", layout(tmp_path / "oci", layers))
    path = images.info("web:1")["file"]
    assert listing(path, "/d") == {"up"} and listing(path, "/f") == {"up"}
    assert listing(path) == {"d", "f"}


def test_docker_save(images, tmp_path):
    """Its old form, with a layer that is a link to another."""
    layer = tar(entry("a", b"1"))
    about = json.dumps({"config": {"Cmd": ["x"]}, "rootfs": {
        "diff_ids": ["sha256:" + sha256(layer)] * 2}}).encode()
    manifest = json.dumps([{"Config": sha256(about) + ".json",
                            "RepoTags": ["web:2"],
                            "Layers": ["1/layer.tar", "2/layer.tar"]}])
    source = tmp_path / "save.tar.gz"
    data = tar(entry("1/layer.tar", layer),
               link("2/layer.tar", "../1/layer.tar"),
               entry(sha256(about) + ".json", about),
               entry("manifest.json", manifest.encode()))
    source.write_bytes(gzip.compress(data))
    assert "web:2: added" in images.ok("add", source)
    assert images.info("web:2")["cmd"] == ["x"]
    assert images.left() == set()


def stacked(count):
    """Layers of which each replaces and takes away."""
    layers = [tar(folder("d"), entry("base", b"0"), entry("d/0", b"0"))]
    for i in range(1, count):
        layers.append(tar(entry(f"d/{i}", b"%d" % i), entry("base", b"%d" % i),
                          entry(f"d/.wh.{i - 1}")))
    return layers


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
@pytest.mark.parametrize("count", [1, 12, *([60] if LONG else [])])
def test_what_skopeo_makes(images, tmp_path, form, count):
    """Also what podman save does, whose code writes these."""
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    source = layout(tmp_path / "oci", stacked(count), Entrypoint=["/e"],
                    User="1:2", WorkingDir="/d")
    made = tmp_path / "made"
    subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy",
                    f"oci:{source}:web:1",
                    f"{form}:{made}:team/web:1"], check=True, timeout=120)
    assert "team/web:1: added" in images.ok("add", made)
    info = images.info("team/web:1" if form == "oci-archive" else
                       images.names()[0])
    assert (info["entrypoint"], info["user"], info["workdir"]) == \
        (["/e"], "1:2", "/d")
    assert info["layers"] == ["sha256:" + sha256(x) for x in stacked(count)]
    sound(info["file"])
    assert listing(info["file"], "/d") == {str(count - 1)}
    assert cat(info["file"], "/base") == b"%d" % (count - 1)
    images.ok("add", "--name", "same", source)  # the same layers, one file
    assert images.info("same")["file"] == info["file"]


def test_what_podman_builds(images, tmp_path):
    """FROM scratch, without a network; both forms of `podman save`."""
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    for path, data in (("bin/x", b"one"), ("two", b"two")):
        (tmp_path / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / path).write_bytes(data)
    (tmp_path / "in/Dockerfile").write_text(
        "FROM scratch\nCOPY bin /bin\nCOPY two /two\nENV A=b\n"
        'ENTRYPOINT ["/bin/x"]\nSTOPSIGNAL SIGINT\nEXPOSE 80\n')
    short = tempfile.mkdtemp(dir="/tmp")  # it takes 50 characters at most
    podman = ["podman", "--root", tmp_path / "root", "--runroot", short,
              "--storage-driver", "vfs"]
    subprocess.run([*podman, "build", "--isolation", "chroot", "--layers",
                    "-t", "team/made:1", tmp_path / "in"], check=True,
                   timeout=120, capture_output=True)
    for form in "docker-archive", "oci-archive":
        subprocess.run([*podman, "save", "--format", form, "-o",
                        tmp_path / form, "team/made:1"], check=True,
                       timeout=120, capture_output=True)
        said = images.ok("add", tmp_path / form)
        assert said.startswith("localhost/team/made:1: "), said
    assert "was there already" in said  # one image, in two forms
    info = images.info("localhost/team/made:1")
    assert info["entrypoint"] == ["/bin/x"] and "A=b" in info["env"]
    assert (info["stop_signal"], info["ports"]) == ("SIGINT", ["80/tcp"])
    assert cat(info["file"], "/bin/x") == b"one"
    assert cat(info["file"], "/two") == b"two"
    shutil.rmtree(short, ignore_errors=True)


def test_docker_save_since_25(images, tmp_path):
    """An OCI layout that has the old manifest as well."""
    source = layout(tmp_path / "oci", stacked(3), ref="1", Cmd=["c"])
    index = json.loads((source / "index.json").read_text())
    about = index["manifests"][0]
    about["annotations"]["io.containerd.image.name"] = \
        "docker.io/library/web:1"
    (source / "index.json").write_text(json.dumps(index))
    manifest = json.loads((source / "blobs/sha256" / about["digest"][7:]
                           ).read_text())
    (source / "manifest.json").write_text(json.dumps([{
        "Config": "blobs/sha256/" + manifest["config"]["digest"][7:],
        "RepoTags": ["web:1"],
        "Layers": ["blobs/sha256/" + x["digest"][7:]
                   for x in manifest["layers"]]}]))
    (source / "repositories").write_text('{"web":{"1":"x"}}')
    images.ok("add", packed(source, tmp_path / "save.tar"))
    info = images.info(images.names()[0])
    assert info["cmd"] == ["c"] and listing(info["file"], "/d") == {"2"}


def raw(name, kind=b"0", size=b"00000000000", mode=b"0000644"):
    """A header with a right sum, whatever it says."""
    head = (name.ljust(100, b"\0") + mode + b"\0" + b"0000000\0" * 2 +
            size.ljust(12, b"\0") + b"00000000000\0" + b" " * 8 + kind +
            bytes(100) + b"ustar\x0000").ljust(512, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


HOSTILE = {
    "up": (tar(entry("a/../../etc/passwd")), "a/../../etc/passwd has a path"),
    "absolute": (raw(b"/etc/passwd"), "entry /etc/passwd has a path"),
    "link-out": (tar(link("x", "../../etc/passwd", tarfile.LNKTYPE)),
                 "entry x is a hard link whose path is none"),
    "link-nowhere": (tar(link("x", "y", tarfile.LNKTYPE)),
                     "entry x is a hard link to what is not there"),
    "link-folder": (tar(folder("d"), link("x", "d", tarfile.LNKTYPE)),
                    "entry x is a hard link to a folder"),
    "below-file": (tar(entry("f"), entry("f/x")),
                   "entry f/x is below something that is no folder"),
    "circle": (tar(link("a", "b"), link("b", "a"), entry("a/x")),
               "entry a/x is below symbolic links that lead in a circle"),
    "root": (tar(entry("./", b"x")), "take the place of the root"),
    "deep": (tar(entry("d/" * 300 + "x")), "is more than 256 folders deep"),
    "long": (tar(entry("n" * 256)), "has a name of more than 255 bytes"),
    "path": (tar(entry("n/" * 2500)), "has a path of more than 4,095"),
    "negative": (raw(b"x", size=b"\xff" * 12), "entry x has a size that is"),
    "huge": (gzip.compress(raw(b"x", size=b"77777777777")),
             "entry x is cut off"),
    "short": (raw(b"x", size=b"00000010000"), "entry x is cut off"),
    "kind": (raw(b"x", kind=b"Z"), "entry x is of a type that is not known"),
    "mode": (raw(b"x", mode=b"nothing"), "entry x has a mode, user or group"),
    "device": (tar(entry("x", type=tarfile.CHRTYPE, devmajor=5000)),
               "entry x is a device whose number is none"),
    "sum": (b"x" * 1024, "is it a tar archive?"),
    "pax-bomb": (raw(b"x", b"x", b"00100000000"), "extended header of"),
    "pax": (raw(b"x", b"x", b"00000000014") + b"99 path=a\n\n\n".ljust(512),
            "has a damaged extended header"),
    "attribute": (tar(entry("x", pax_headers={"SCHILY.xattr.odd": "1"})),
                  "entry x: its extended attribute odd cannot be kept"),
    "attributes": (tar(entry("x", pax_headers={
        "SCHILY.xattr.user.a": "1" * 5000})), "user.a cannot be kept"),
    "gzip-bomb": (gzip.compress(tar(entry("x", bytes(3 << 20)))),
                  "unpacks to more than the 2 MiB"),
    "holes": (tar(entry("x", pax_headers={
        "GNU.sparse.major": "0", "GNU.sparse.size": str(1 << 40)})),
              "makes the image larger"),
    "gzip": (gzip.compress(tar(entry("x", os.urandom(4096))))[:-100],
             "is cut off"),
    "empty": (bytes(1024), "has nothing in it"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive(images, tmp_path, name):
    """Refused by the entry's name, and nothing is left of it."""
    data, says = HOSTILE[name]
    source = tmp_path / "x.tar"
    source.write_bytes(data)
    said = images.fails("add", "--max-size", "2", source)
    assert says in said and str(source) in said, said


def test_parts_that_lie(images, tmp_path):
    """A layer, a manifest or a configuration that is not what names it."""
    layer = tar(entry("a", b"1"))
    source = layout(tmp_path / "a", [layer])
    blob = source / "blobs/sha256" / sha256(layer)
    blob.write_bytes(layer[:-1] + b"x")
    assert "is not what its name says" in images.fails("add", source)
    blob.unlink()
    assert "has no blobs/sha256/" in images.fails("add", source)
    source = layout(tmp_path / "b", [layer], diff_ids=["sha256:" + "0" * 64])
    assert "is not what the configuration says" in images.fails("add", source)
    source = layout(tmp_path / "c", [layer], diff_ids=["sha256:../../etc"])
    assert "not named by its SHA-256" in images.fails("add", source)
    index = json.loads((source / "index.json").read_text())
    for digest in ("sha256:../../../etc/passwd", "md5:" + "0" * 64, ""):
        index["manifests"][0]["digest"] = digest
        (source / "index.json").write_text(json.dumps(index))
        assert "something else than its SHA-256" in images.fails("add", source)
    index["manifests"][0]["platform"] = {"architecture": "arm64"}
    (source / "index.json").write_text(json.dumps(index))
    assert "has no image for linux/amd64" in images.fails("add", source)


def test_a_file_that_was_changed_is_not_used(images, tmp_path):
    source = tmp_path / "x.tar"
    source.write_bytes(tar(entry("a", b"1")))
    images.ok("add", source)
    path = Path(images.info("x")["file"])
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.seek(2000)
        file.write(b"x")
    run = images.call("info", "x")
    assert run.returncode == 1 and "Image x is damaged" in run.stderr
    images.ok("add", source)
    sound(images.info("x")["file"])


@pytest.mark.parametrize("call", STEPS)
def test_killed_at_any_step(images, tmp_path, call):
    """The other image stays, this one is there or is not."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    old = layout(tmp_path / "old", [tar(entry("a", b"1"))], ref="old")
    new = layout(tmp_path / "new", [tar(entry("b", b"2"))] * 2, ref="new")
    images.ok("add", old)
    for nth in (1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30):
        run = images.call("add", new, prefix=(
            "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
            f"inject={call}:signal=KILL:when={nth}"))
        if run.returncode == 0:
            break
        sound(images.info("old")["file"])
        if "new" in images.names():
            sound(images.info("new")["file"])
            images.ok("rm", "new")
        images.ok("gc")
        assert images.left() == set()
    images.ok("add", new)
    sound(images.info("new")["file"])


def test_adds_at_the_same_time(images, tmp_path):
    source = layout(tmp_path / "oci", [tar(entry("a", b"1" * 100000))])
    runs = [subprocess.Popen(
        [BUILD / "volt", "image", "add", "--name", f"n{i % 3}", source],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "VOLT_IMAGES": str(images.folder)})
            for i in range(8)]
    for run in runs:
        assert run.communicate(timeout=120)[1] == ""
        assert run.returncode == 0
    assert images.names() == ["n0", "n1", "n2"] and images.left() == set()
    assert len({images.info(x)["file"] for x in images.names()}) == 1


FULL = """
mount -t tmpfs -o size=2m,mode=755 full "$1"
export VOLT_IMAGES=$1/images
"$2" image add --name old "$3" || exit 3
"$2" image add --name new "$4"
echo "code $?"
"$2" image ls
"$2" image gc
find "$VOLT_IMAGES" -type f | wc -l
"""


def test_a_full_disk(build, tmp_path):
    for name, size in (("old", 1000), ("new", 3 << 20)):
        (tmp_path / name).write_bytes(tar(entry("a", os.urandom(size))))
    (tmp_path / "disk").mkdir()
    run = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", FULL, "sh",
         tmp_path / "disk", BUILD / "volt", tmp_path / "old",
         tmp_path / "new"],
        capture_output=True, text=True, timeout=60, check=False)
    if run.returncode != 0 and "unshare" in run.stderr:
        pytest.skip("no mount namespace here: " + run.stderr.strip())
    lines = run.stdout.splitlines()
    assert lines[1] == "code 1", run.stdout + run.stderr
    assert "No space left on device" in run.stderr
    # The file system, the configuration, the record, the lock.
    assert lines[-2:] == ["0 files without an image removed, 0 MiB", "4"]


def test_an_ordinary_user(build, tmp_path):
    """Owners and devices are kept without root; root's images are read."""
    if os.geteuid() != 0:
        pytest.skip("all tests here are an ordinary user's already")
    place = Path(subprocess.run(
        ["mktemp", "-d", "/tmp/volt-XXXXXX"], capture_output=True, text=True,
        check=True).stdout.strip())
    try:
        place.chmod(0o755)
        shutil.copy(BUILD / "volt", place / "volt")
        (place / "home").mkdir()
        os.chown(place / "home", NOBODY, NOBODY)
        source = place / "x.tar"
        source.write_bytes(tar(
            entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
            entry("root", b"1", mode=0o4755)))

        def nobody(*words, **env):
            return subprocess.run(
                ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                 "--clear-groups", place / "volt", "image", *words],
                capture_output=True, text=True, timeout=60, check=False,
                env={"PATH": os.environ["PATH"], **env})
        run = nobody("add", source, HOME=str(place / "home"))
        assert run.returncode == 0, run.stderr
        own = place / "home/.local/share/volt/images"
        path = json.loads(nobody("info", "--json", "x",
                                 HOME=str(place / "home")).stdout)["file"]
        assert Path(path).parent == own / "blobs"
        sound(path)
        assert "User:     0" in stat(path, "/root")
        assert "number: 01:03" in stat(path, "/null")
        root = Images(place / "images")
        root.ok("add", "--name", "r", source)
        env = {"VOLT_IMAGES": str(root.folder)}
        assert nobody("info", "r", **env).returncode == 0
        for words in (["rm", "r"], ["gc"], ["add", source]):
            run = nobody(*words, **env)
            assert run.returncode == 1 and "only root changes" in run.stderr
        root.folder.chmod(0o777)
        assert "is not to be believed" in nobody("ls", **env).stderr
    finally:
        shutil.rmtree(place)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def registry(tmp_path):
    """A registry on loopback: its HOST:PORT."""
    if not shutil.which("docker-registry") or not shutil.which("skopeo"):
        pytest.skip("docker-registry or skopeo is not installed")
    port = free_port()
    config = tmp_path / "registry.yml"
    config.write_text(
        "version: 0.1\nstorage: {filesystem: {rootdirectory: "
        f"{tmp_path / 'registry'}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n")
    with open(tmp_path / "registry.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(["docker-registry", "serve", config],
                                  stdout=log, stderr=log)
    try:
        for _ in range(300):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.skip("the registry does not start: " +
                        (tmp_path / "registry.log").read_text()[-200:])
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(timeout=60)


def test_pull(images, tmp_path, registry):
    source = layout(tmp_path / "oci", [tar(entry("a", b"1"))], Cmd=["x"])
    subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false",
                    f"oci:{source}:web:1", f"docker://{registry}/web:1"],
                   check=True, timeout=120, capture_output=True)
    name = f"{registry}/web:1"
    assert f"{name}: added" in images.ok("pull", "--plain-http", name)
    assert images.info(name)["cmd"] == ["x"]
    sound(images.info(name)["file"])
    assert "was there already" in images.ok("pull", "--plain-http", name)
    said = images.fails("pull", "--plain-http", f"{registry}/none:1")
    assert f"Cannot pull '{registry}/none:1': skopeo says: " in said
    # It speaks no TLS.
    assert "skopeo says:" in images.fails("pull", name)


def test_no_skopeo(images, tmp_path):
    run = images.call("pull", "web:1", prefix=(
        "env", f"PATH={tmp_path}"))
    assert run.returncode == 1
    assert "install Debian's package skopeo" in run.stderr
    assert images.left() == set()
