# SPDX-License-Identifier: Apache-2.0
"""Bodies that are wrong in one way each, made from Firecracker's contract.

tests/conformance/contract.json has the fields, types and limits of its API as
its swagger file states them. What it does not state is here: which fields take
null, which objects ignore what they do not know, and what else a field wants.
Nothing is compared with a recorded row: what a parser complains of follows
from the kind of fault, and of two faults the first in the text is told.
"""

import json

import pytest

import apiclient
from conftest import BUILD, ROOT

FILE = json.loads((ROOT / "tests/conformance/contract.json").read_text())
CONTRACT = FILE["definitions"]
PARSER = "An error occurred when deserializing the json body of a request: "

# (method, path, definition), and a body that is right but for what it names.
BEFORE = {
    ("PUT", "/machine-config", "MachineConfiguration"): {
        "vcpu_count": 1, "mem_size_mib": 128, "smt": False,
        "cpu_template": "None", "track_dirty_pages": False,
        "huge_pages": "None"},
    ("PATCH", "/machine-config", "MachineConfiguration"): {
        "vcpu_count": 1, "mem_size_mib": 128, "smt": False,
        "cpu_template": "None", "track_dirty_pages": False,
        "huge_pages": "None"},
    ("PUT", "/cpu-config", "CpuConfig"): {
        "kvm_capabilities": ["!1"],
        "cpuid_modifiers": [{"leaf": "0x1", "subleaf": "0x0", "flags": 0,
                             "modifiers": [{"register": "eax",
                                            "bitmap": "0bx"}]}],
        "msr_modifiers": [{"addr": "0x10", "bitmap": "0bx"}]},
    ("PUT", "/boot-source", "BootSource"): {
        "kernel_image_path": "{kernel}", "initrd_path": "{file}",
        "boot_args": "console=ttyS0"},
    ("PUT", "/drives/a", "Drive"): {
        "drive_id": "a", "partuuid": "x", "is_root_device": False,
        "cache_type": "Unsafe", "is_read_only": True,
        "path_on_host": "{file}", "io_engine": "Sync",
        "rate_limiter": {"bandwidth": {"size": 1, "refill_time": 1,
                                       "one_time_burst": 1}}},
    ("PUT", "/pmem/p", "Pmem"): {
        "id": "p", "path_on_host": "{file}", "root_device": False,
        "read_only": True,
        "rate_limiter": {"ops": {"size": 1, "refill_time": 1}}},
    ("PUT", "/hotplug/memory", "MemoryHotplugConfig"): {
        "total_size_mib": 1024, "block_size_mib": 2, "slot_size_mib": 128},
    ("PUT", "/entropy", "EntropyDevice"): {
        "rate_limiter": {"ops": {"size": 1, "refill_time": 1}}},
    ("PUT", "/serial", "SerialDevice"): {
        "serial_out_path": "{file}",
        "rate_limiter": {"size": 1, "refill_time": 1}},
    ("PUT", "/balloon", "Balloon"): {
        "amount_mib": 1, "deflate_on_oom": True,
        "stats_polling_interval_s": 1, "free_page_hinting": False,
        "free_page_reporting": False},
    ("PUT", "/vsock", "Vsock"): {
        "guest_cid": 3, "uds_path": "{folder}/v.sock", "vsock_id": "v"},
    ("PUT", "/mmds/config", "MmdsConfig"): {
        "version": "V2", "network_interfaces": [],
        "ipv4_address": "169.254.1.1", "imds_compat": False},
    ("PUT", "/logger", "Logger"): {
        "level": "Info", "show_level": False, "show_log_origin": False,
        "module": "x"},
    ("PUT", "/actions", "InstanceActionInfo"): {"action_type": "FlushMetrics"},
}
AFTER = {
    ("PATCH", "/vm", "Vm"): {"state": "Resumed"},
    ("PATCH", "/balloon", "BalloonUpdate"): {"amount_mib": 0},
    ("PATCH", "/balloon/statistics", "BalloonStatsUpdate"): {
        "stats_polling_interval_s": 1},
    ("PATCH", "/balloon/hinting/start", "BalloonStartCmd"): {
        "acknowledge_on_stop": True},
    ("PATCH", "/hotplug/memory", "MemoryHotplugSizeUpdate"): {
        "requested_size_mib": 0},
    ("PATCH", "/drives/a", "PartialDrive"): {
        "drive_id": "a", "path_on_host": "{file}",
        "rate_limiter": {"ops": {"size": 1, "refill_time": 1}}},
    ("PATCH", "/pmem/p", "PartialPmem"): {
        "id": "p", "rate_limiter": {"ops": {"size": 1, "refill_time": 1}}},
    ("PATCH", "/network-interfaces/n", "PartialNetworkInterface"): {
        "iface_id": "n",
        "rx_rate_limiter": {"ops": {"size": 1, "refill_time": 1}}},
    ("PUT", "/snapshot/create", "SnapshotCreateParams"): {
        "snapshot_path": "{folder}/s", "mem_file_path": "{folder}/m",
        "snapshot_type": "Full"},
}

# Fields that may be null, by definition; all of a PATCH of the machine.
NULL = {
    "MachineConfiguration": {"cpu_template"},
    "BootSource": {"initrd_path", "boot_args"},
    "Drive": {"partuuid", "is_read_only", "path_on_host", "io_engine",
              "rate_limiter", "socket"},
    "EntropyDevice": {"rate_limiter"},
    "Pmem": {"rate_limiter"},
    "PartialPmem": {"rate_limiter"},
    "SerialDevice": {"serial_out_path", "rate_limiter"},
    "Vsock": {"vsock_id"},
    "MmdsConfig": {"ipv4_address"},
    "Logger": {"level", "show_level", "show_log_origin", "module",
               "log_path"},
    "PartialDrive": {"path_on_host", "rate_limiter"},
    "PartialNetworkInterface": {"rx_rate_limiter", "tx_rate_limiter"},
    "TokenBucket": {"one_time_burst"},
    "RateLimiter": {"bandwidth", "ops"},
}
# When each request is for: before the start, after it, always.
WHEN = {
    "before": ["PUT /balloon", "PUT /boot-source", "PUT /cpu-config",
               "PUT /entropy", "PUT /hotplug/memory", "PUT /logger",
               "PUT /machine-config", "PATCH /machine-config",
               "PUT /metrics", "PUT /mmds/config", "PUT /serial",
               "PUT /snapshot/load", "PUT /vsock"],
    "after": ["PATCH /balloon", "GET /balloon/statistics",
              "PATCH /balloon/statistics", "PATCH /balloon/hinting/start",
              "GET /balloon/hinting/status", "PATCH /balloon/hinting/stop",
              "PATCH /drives/a", "PATCH /hotplug/memory",
              "GET /hotplug/memory", "PATCH /network-interfaces/n",
              "PATCH /pmem/p", "PUT /snapshot/create", "PATCH /vm",
              "PUT /actions"],
    "always": ["GET /", "GET /balloon", "PUT /drives/a",
               "GET /machine-config", "GET /mmds", "PUT /mmds",
               "PATCH /mmds", "PUT /network-interfaces/n", "PUT /pmem/p",
               "GET /version", "GET /vm/config"],
}
# Bodies of requests that have none above.
MORE = {
    "PUT /metrics": {"metrics_path": "{folder}/metrics"},
    "PUT /mmds": {}, "PATCH /mmds": {},
    "PUT /network-interfaces/n": {"iface_id": "n",
                                  "host_dev_name": "no-such"},
    "PUT /pmem/p": {"id": "p", "path_on_host": "{folder}/none"},
    "PATCH /pmem/p": {"id": "p"},
    "PUT /snapshot/load": {"snapshot_path": "{folder}/none",
                           "mem_file_path": "{folder}/none"},
}
# Objects that do not mind what they do not know.
OPEN = {"TokenBucket", "BalloonStartCmd", "CpuidLeafModifier",
        "CpuidRegisterModifier", "MsrModifier"}
# Ours is optional: a path alone names a directory.
OPTIONAL = {("SnapshotCreateParams", "mem_file_path")}
# One value of each JSON type.
WRONG = {"string": "a", "integer": 7, "boolean": True, "array": [],
         "object": {}, "number": 1.5}


def named(schema):
    """(name or None, definition) of a property."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return (name, CONTRACT[name]) if name else (None, schema)


def wrong_values(schema):
    """(value, what the parser calls the fault), for one property."""
    name, found = named(schema)
    kind = found.get("type", "object")
    for other, value in WRONG.items():
        if other == kind or (kind == "object" and name and other == "array"):
            continue  # an array may stand for a struct
        yield value, ("invalid type", "invalid value", "unknown variant",
                      "expected value")
    if "enum" in found:
        yield "no such", ("unknown variant `no such`, expected",
                          "Invalid CPUID register", "Invalid LevelFilter")
    if kind == "integer":
        yield -1, ("invalid value: integer `-1`, expected",)
        yield 1 << 64, ("invalid type: floating point", "invalid value")


def without(body, key):
    return {k: v for k, v in body.items() if k != key}


def twice(body, key):
    """The text of @body, with @key again at its end."""
    return json.dumps(body)[:-1] + f", {json.dumps(key)}: " \
        + json.dumps(body[key]) + "}"


def is_null_fine(method, name, key):
    return key in NULL.get(name, ()) or (
        method == "PATCH" and name == "MachineConfiguration")


def faults(method, name, body):
    """(body or text, words one of which is told) for each single fault."""
    definition = CONTRACT[name]
    required = set() if method == "PATCH" and name == \
        "MachineConfiguration" else set(definition.get("required") or ())
    for key in required:
        if (name, key) not in OPTIONAL:
            yield without(body, key), (f"missing field `{key}`",)
    for key, schema in definition["properties"].items():
        if key not in body:
            continue
        for value, words in wrong_values(schema):
            yield {**body, key: value}, words
        if not is_null_fine(method, name, key):
            yield {**body, key: None}, ("invalid type: null, expected",
                                        "expected value")
        yield twice(body, key), (f"duplicate field `{key}`",)
        inner, found = named(schema)
        if inner and "properties" in found and isinstance(body[key], dict):
            for text, words in faults(method, inner, body[key]):
                if not isinstance(text, str):
                    yield {**body, key: text}, words
        of, found = named(schema.get("items", {}))
        if of and "properties" in found and body[key]:
            for text, words in faults(method, of, body[key][0]):
                if not isinstance(text, str):
                    yield {**body, key: [text]}, words
    if name not in OPEN:
        yield {**body, "no_such": 1}, ("unknown field `no_such`",)
        yield {"no_such": 1, **body}, ("unknown field `no_such`",)
    yield [1], ("invalid type", "invalid value", "invalid length")
    yield "{", ("EOF while parsing",)
    yield json.dumps(body) + "x", ("trailing characters",)


def pairs(name, body):
    """Two faults: the one that stands first in the text is told."""
    required = [k for k in CONTRACT[name].get("required") or ()
                if (name, k) not in OPTIONAL and k in body]
    for key in required:
        if CONTRACT[name]["properties"][key].get("type") == "array":
            continue
        rest = without(body, key)
        if name not in OPEN:
            yield {key: [], "no_such": 1, **rest}, ("invalid type",
                                                    "expected value")
            yield {"no_such": 1, key: [], **rest}, ("unknown field",)
            # What is missing is known only at the end.
            yield {**rest, "no_such": 1}, ("unknown field",)


def fill(value, world):
    text = value if isinstance(value, str) else json.dumps(value)
    for key, path in world.items():
        text = text.replace("{" + key + "}", str(path))
    return text


@pytest.fixture(name="world")
def a_world(tmp_path):
    (tmp_path / "file").write_bytes(bytes(512))
    return {"folder": tmp_path, "file": tmp_path / "file",
            "kernel": BUILD / "tests/guest/ticker.elf"}


@pytest.fixture(name="api")
def an_api(tmp_path):
    folder = tmp_path / "vmm"
    folder.mkdir()
    with apiclient.Api(BUILD, folder) as api:
        yield api


def check(api, world, table):
    """Every fault of every body; the list of what was answered otherwise."""
    bad, nr = [], 0
    for (method, path, name), body in table.items():
        cases = list(faults(method, name, body)) + list(pairs(name, body))
        if path == "/balloon/hinting/start":
            cases = [c for c in cases if c[0] != [1]]
        for case, words in cases:
            status, answer = api.call(method, path, fill(case, world))
            said = answer["fault_message"] if answer else ""
            nr += 1
            if status != 400 or not said.startswith(PARSER) or \
                    not any(word in said for word in words):
                bad.append((method, path, case, words, status, said))
    assert not bad, f"{len(bad)} of {nr}: " + "\n".join(map(str, bad[:20]))
    return nr


def test_before_the_start(api, world):
    assert check(api, world, BEFORE) > 500
    # None of them has set anything.
    assert api.ok("GET", "/vm/config")["drives"] == []


def start(api, world):
    api.ok("PUT", "/boot-source", {"kernel_image_path": str(world["kernel"])})
    api.ok("PUT", "/drives/a", {"drive_id": "a", "is_root_device": False,
                                "path_on_host": str(world["file"])})
    api.ok("PUT", "/balloon", {"amount_mib": 0, "deflate_on_oom": True,
                               "stats_polling_interval_s": 1})
    api.ok("PUT", "/actions", {"action_type": "InstanceStart"})


def test_after_the_start(api, world):
    start(api, world)
    assert check(api, world, AFTER) > 80
    assert api.ok("GET", "/")["state"] == "Running"


@pytest.mark.parametrize("started", [False, True], ids=["before", "after"])
def test_a_body_is_read_before_the_state_is_asked(api, world, started):
    """A body that parses meets the state; one that does not never does."""
    if started:
        start(api, world)
    when = "after" if started else "before"
    for (method, path, _), body in (BEFORE if started else AFTER).items():
        if path == "/actions" or (started and path in ("/drives/a",
                                                       "/pmem/p")):
            continue  # for both; hot-plug has words of its own
        for text, want in (
                (body, "The requested operation is not supported "
                       f"{when} starting the microVM."), ("{", PARSER)):
            said = api.fault(method, path, fill(text, world))
            assert said.startswith(want), (method, path, text, said)


@pytest.mark.parametrize("started", [False, True], ids=["before", "after"])
def test_every_request_has_its_time(api, world, started):
    """Out of it each is told so, and in it none is; and none is left out."""
    known = {f"{method} {path}" for requests in WHEN.values()
             for method, path in (x.split() for x in requests)}
    ids = {"{drive_id}": "a", "{iface_id}": "n", "{id}": "p"}
    named = set()
    for path, methods in FILE["paths"].items():
        for mark, name in ids.items():
            path = path.replace(mark, name)
        named |= {f"{method.upper()} {path}" for method in methods}
    assert named == known
    bodies = {f"{m} {p}": b for (m, p, _), b in {**BEFORE, **AFTER}.items()}
    if started:
        start(api, world)
    said = "The requested operation is not supported " + (
        "after" if started else "before") + " starting the microVM."
    wrong = WHEN["before" if started else "after"]
    for request in sorted(known):
        if request == "PUT /snapshot/load" and not started:
            continue  # it ends the process: test_snapshot_errors.py
        body = {**bodies, **MORE}.get(request)
        status, answer = api.call(*request.split(), body and fill(body, world)
                                  if body != {} else "{}")
        fault = answer["fault_message"] if status == 400 else ""
        assert (said in fault) == (request in wrong), (request, answer)


LIMITS = [
    ("/machine-config", "vcpu_count", [1, 32], [0, 33, 255],
     "The number of vCPUs must be greater than 0, less than 32"),
    ("/machine-config", "mem_size_mib", [1, 4096], [0],
     "The memory size (MiB) is either 0"),
    # Of the CID, the contract's limit is not checked: rows of api.jsonl.
    ("/vsock", "guest_cid", [0, 3, 4294967295], [4294967296], PARSER),
    ("/network-interfaces/n", "mtu", [], [0, 67], "mtu"),
    ("/network-interfaces/n", "mtu", [], [65536], PARSER),
    ("/hotplug/memory", "total_size_mib", [128, 1024, 4294967168],
     [0, 127], "Total size must not be lower than slot size (128 MiB)"),
    ("/hotplug/memory", "total_size_mib", [], [129, 4294967295],
     "Total size must be a multiple of slot size (128 MiB)"),
    ("/hotplug/memory", "total_size_mib", [], [4294967296], PARSER),
    ("/hotplug/memory", "slot_size_mib", [128, 256, 1024], [0, 127],
     "Slot size must not be lower than 128 MiB"),
    ("/hotplug/memory", "slot_size_mib", [], [129],
     "Slot size must be a multiple of block size (2 MiB)"),
    ("/hotplug/memory", "slot_size_mib", [], [4294967296], PARSER),
    ("/hotplug/memory", "block_size_mib", [2, 4, 128], [0, 1],
     "Block size must not be lower than 2 MiB"),
    ("/hotplug/memory", "block_size_mib", [], [3, 4294967295],
     "Block size must be a power of 2"),
    ("/hotplug/memory", "block_size_mib", [], [4294967296], PARSER),
]


@pytest.mark.parametrize("path, field, good, bad, said", LIMITS)
def test_limits(api, world, path, field, good, bad, said):
    bodies = {p: b for (m, p, _), b in BEFORE.items() if m == "PUT"}
    body = bodies.get(path, {"iface_id": "n", "host_dev_name": "none-such"})
    for value in good:
        api.ok("PUT", path, fill({**body, field: value}, world))
    for value in bad:
        answer = api.fault("PUT", path, fill({**body, field: value}, world))
        assert said.lower() in answer.lower(), (value, answer)


def test_every_limit_is_tried():
    """Those that are 0 are: no number is less, and -1 is a wrong one."""
    tried = {field for _, field, _, _, _ in LIMITS}
    other = {"requested_size_mib"}  # test_memory_hotplug.py
    limits = {key for name, definition in CONTRACT.items()
              for key, what in (definition.get("properties") or {}).items()
              if what.get("minimum") or what.get("maximum")}
    assert limits == tried - {"mem_size_mib"} | other


def test_every_definition_with_a_body_is_tried():
    """What has none is an answer, or is tried elsewhere."""
    tried = {name for _, _, name in [*BEFORE, *AFTER]}
    other = {
        "NetworkInterface",  # wants a tap: test_api_conformance.py
        "SnapshotLoadParams",  # ends the process: test_snapshot_errors.py
        "Metrics", "MmdsContentsObject",  # any object: test_mmds.py
    }
    bodies = {p["schema"]["$ref"].rpartition("/")[2]
              for methods in FILE["paths"].values()
              for call in methods.values()
              if call for p in call.get("parameters", ()) if p["in"] == "body"}
    assert bodies == tried | other
