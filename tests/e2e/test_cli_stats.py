# SPDX-License-Identifier: Apache-2.0
"""volt stats and GET /volt/memory, of locked VMs with bare-metal guests."""

import json

from conftest import BUILD, Api
from test_cli_snapshot import cli, restore, saved  # noqa: F401

VMM = str(BUILD / "volt-vmm")
MIB = 1 << 20
KEYS = {"private_bytes", "shared_bytes", "swapped_bytes"}


def stats(cli, *words):
    done = cli("stats", "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return {vm["name"]: vm for vm in map(json.loads, done.stdout.splitlines())}


def test_a_clone_shares_what_it_has_not_written(cli, saved):
    clone = restore(cli, saved, "second")
    clone.wait_for("tick")
    told = stats(cli)
    assert set(told) == {"first", "second"}
    first, second = (told[name]["guest"] for name in ("first", "second"))
    assert set(first) == KEYS | {"size_bytes"}
    assert first["size_bytes"] == second["size_bytes"] >= 16 * MIB
    # Its memory comes from nowhere but itself; the clone's from a file.
    assert first["shared_bytes"] == 0 < first["private_bytes"]
    assert second["shared_bytes"] > 0
    for name, vm in told.items():
        assert set(vm["process"]) == KEYS
        own = [vm[of]["private_bytes"] + vm[of]["swapped_bytes"]
               for of in ("guest", "process")]
        assert 0 < own[0] < own[1] < 16 * MIB, name


def test_what_is_printed(cli):
    cli.start("ticker", "--name", "web").wait_for("tick")
    for words in ((), ("web",)):
        done = cli("stats", *words)
        assert (done.returncode, done.stderr) == (0, "")
        head, line = done.stdout.splitlines()
        assert head.split() == ["NAME", "SIZE", "PRIVATE", "SHARED", "SWAPPED",
                                "PROCESS", "PAGER", "WAITED"]
        name, *figures, pager, waited = line.split()
        assert (name, pager, waited) == ("web", "-", "-")
        size, private, shared, swapped, process = map(float, figures)
        assert shared == 0 and private + swapped <= process < size


def test_what_a_diff_would_hold(cli, saved):
    clone = restore(cli, saved, "second")
    clone.wait_for("tick")
    told = {name: vm["dirty"] for name, vm in stats(cli, "--dirty").items()}
    assert told["first"] == {"tracked": False, "since": None,
                             "dirty_bytes": None}
    assert 0 < told["second"]["dirty_bytes"] < 16 * MIB
    head, *lines = cli("stats", "--dirty").stdout.splitlines()
    assert head.split()[-1] == "DIRTY"
    last = {line.split()[0]: line.split()[-1] for line in lines}
    assert last["first"] == "-" and float(last["second"]) > 0


def test_of_nobody(cli):
    done = cli("stats", "nobody")
    assert done.returncode == 1
    assert "no VM named nobody runs" in done.stderr
    assert cli("stats", "no/name").returncode == 64


def test_metrics(vmm, tmp_path):
    """The same figures, as of the last FlushMetrics."""
    sock, path = tmp_path / "api.sock", tmp_path / "metrics"
    run = vmm.spawn([VMM, "--api-sock", sock, "--metrics-path", path,
                     "--kernel", BUILD / "tests/guest/ticker.elf",
                     "--memory", "64"])
    run.wait_for("tick")
    api = Api(sock)
    api.set("PATCH", "/vm", {"state": "Paused"})
    told = api.call("GET", "/volt/memory")[1]["guest"]
    api.set("PUT", "/actions", {"action_type": "FlushMetrics"})
    line = json.loads(path.read_text().splitlines()[-1])["volt_memory"]
    assert {f"guest_{key}": told[key] for key in KEYS}.items() <= line.items()
    assert line["process_private_bytes"] > line["guest_private_bytes"]


def test_before_the_start(vmm, tmp_path):
    sock = tmp_path / "api.sock"
    vmm.spawn([VMM, "--api-sock", sock])
    api = Api(sock)
    api.wait()
    code, told = api.call("GET", "/volt/memory")
    assert code == 200
    assert told == {"guest": None, "process": None, "pager": None,
                    "served": None}
