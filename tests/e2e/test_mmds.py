# SPDX-License-Identifier: Apache-2.0
"""The metadata service, as a bare-metal guest and a client of the API see it."""

import json

import pytest

from conftest import BUILD, Api, Case, need_tun
from netns import Namespace

DOCUMENT = {"latest": {"meta-data": {"ami-id": "ami-1"}, "user-data": "hi"}}
NET = {"network-interfaces": [{"iface_id": "n0", "host_dev_name": "vt0",
                               "guest_mac": "06:00:00:00:00:07"}]}


class World:
    """A namespace with a tap, a document in a file, and metrics."""

    def __init__(self, ns, vmm, folder):
        self.ns, self.vmm, self.folder = ns, vmm, folder
        ns.run("ip", "tuntap", "add", "vt0", "mode", "tap")
        ns.run("ip", "link", "set", "vt0", "up")
        self.file = folder / "metadata.json"
        self.file.write_text(json.dumps(DOCUMENT))
        self.sock = folder / "api.sock"
        self.lines = folder / "metrics"

    def config(self, *words, **mmds):
        case = Case("mmds", " ".join(words), devices={
            **NET, "mmds-config": {"network_interfaces": ["n0"], **mmds}})
        return case.write_config(self.folder)

    def start(self, *args):
        return self.vmm.spawn([*self.ns.join, BUILD / "volt-vmm",
                               "--metrics-path", self.lines, *args])

    def boot(self, *words, **mmds):
        return self.start("--no-api", "--metadata", self.file,
                          "--config-file", self.config(*words, **mmds))

    def metrics(self):
        lines = [json.loads(x)["mmds"]
                 for x in self.lines.read_text().splitlines()]
        return {k: sum(x[k] for x in lines) for k in lines[0]}


@pytest.fixture
def world(vmm, tmp_path):
    need_tun()
    namespace = Namespace()
    yield World(namespace, vmm, tmp_path)
    vmm.close()
    namespace.close()


def test_the_file_of_the_command_line(world):
    """What --metadata has, by version 1 and 2, at an address of choice."""
    result = world.boot("get=/latest/user-data", "get=/missing").finish()
    result.assert_passed()
    assert 'status 200 body "hi"' in result.out
    assert "status 404 body Resource not found: /missing." in result.out
    numbers = world.metrics()
    assert numbers["connections_created"] == 2
    assert numbers["connections_destroyed"] == 2
    assert numbers["rx_no_token"] == 2
    assert numbers["tx_count"] > 4
    world.lines.unlink()
    result = world.boot("get=/latest/user-data", "token",
                        version="V2").finish()
    result.assert_passed()
    assert 'status 200 body "hi"' in result.out
    result = world.boot("get=/latest/user-data", version="V2",
                        imds_compat=True).finish()
    result.assert_passed()
    assert "status 401 body No MMDS token provided." in result.out


@pytest.mark.parametrize("text, sentence", [
    ("{bad", "Populating MMDS from file failed: key must be a string"),
    (json.dumps({"a": "x" * 100}),
     "Populating MMDS from file failed: The MMDS patch request doesn't fit."),
    (None, "Unable to open or read from the mmds content file"),
], ids=["json", "large", "missing"])
def test_a_file_that_is_no_document(world, text, sentence):
    world.file.unlink()
    if text:
        world.file.write_text(text)
    result = world.start("--no-api", "--metadata", world.file,
                         "--mmds-size-limit", "50", "--config-file",
                         world.config("get=/")).finish()
    assert result.code == 1
    assert sentence in result.log


def test_the_document_changes_while_the_guest_runs(world):
    """PUT and PATCH; a snapshot has the service, not its document or tokens."""
    run = world.start("--api-sock", world.sock, "--metadata", world.file,
                      "--config-file",
                      world.config("get=/latest/user-data", "token", "again",
                                   version="V2"))
    api = Api(world.sock)
    run.wait_for("again")
    assert api.call("GET", "/mmds") == (200, DOCUMENT)
    api.set("PATCH", "/mmds", {"latest": {"user-data": "other"}})
    api.set("PATCH", "/vm", {"state": "Paused"})
    api.set("PUT", "/snapshot/create", {
        "snapshot_path": str(world.folder / "state"),
        "mem_file_path": str(world.folder / "mem")})
    api.set("PATCH", "/vm", {"state": "Resumed"})
    run.send("x")
    result = run.finish()
    result.assert_passed()
    assert 'status 200 body "other"' in result.out

    run = world.start("--api-sock", world.sock)
    api.wait()
    api.set("PUT", "/mmds", DOCUMENT)
    api.set("PUT", "/snapshot/load", {
        "snapshot_path": str(world.folder / "state"), "resume_vm": True,
        "mem_backend": {"backend_type": "File",
                        "backend_path": str(world.folder / "mem")}})
    config = api.call("GET", "/vm/config")[1]["mmds-config"]
    assert config == {"version": "V2", "network_interfaces": ["n0"],
                      "ipv4_address": "169.254.169.254", "imds_compat": False}
    run.send("x")
    result = run.finish()
    assert "status 401 body MMDS token not valid." in result.out


def test_with_vhost_it_is_refused(world):
    config = json.loads(world.config("get=/").read_text())
    config["network-interfaces"][0]["vhost"] = True
    path = world.folder / "vhost.json"
    path.write_text(json.dumps(config))
    result = world.start("--no-api", "--config-file", path).finish()
    assert result.code == 1
    assert "vhost" in result.log
