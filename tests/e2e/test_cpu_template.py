# SPDX-License-Identifier: Apache-2.0
"""CPU templates: what a guest reads is what a client asked for.

Which bits the templates with names change, tests/unit/test_template.c knows:
no one host has the CPUs that they are for.
"""

import json

import pytest

from conftest import BUILD, Api, Case

VMM = BUILD / "volt-vmm"
KVM_FEATURES = 0x40000001  # EAX: its clocks are bits 0 and 3
PAT = 0x277
WATCH = f"leaf={KVM_FEATURES} msr={PAT}"


def template(cpuid="", msr="", **fields):
    """One register of a leaf that no hardware adds to, and one MSR."""
    return {"cpuid_modifiers": [{
        "leaf": hex(KVM_FEATURES), "subleaf": "0x0", "flags": 0,
        "modifiers": [{"register": "eax", "bitmap": cpuid}]}],
        "msr_modifiers": [{"addr": hex(PAT), "bitmap": msr}], **fields}


def line(run):
    """(eax, ebx, ecx, edx, msr) of the next line."""
    run.wait_for("cpu ")
    words = run.wait_for("\n").split()
    return [int(word, 16) for word in words[-5:]]


def ask(run):
    run.send("x")
    return line(run)


@pytest.fixture
def plain(vmm):
    """What this host's guests read without a template."""
    return line(vmm.start("cpu", WATCH))


def want(plain):
    """Bits 0 and 1 of the leaf are 0 and 1; entry 7 of the PAT is 6 (WB)."""
    eax, *others, msr = plain
    return [eax & ~1 | 2, *others, msr & ~(0xff << 56) | 6 << 56]


CHANGES = {"cpuid": "0b10", "msr": "0b00000110" + "x" * 56}


def test_a_guest_reads_it_also_after_a_snapshot(vmm, tmp_path, plain):
    assert plain[0] & 1 and plain != want(plain)
    run, api = vmm.start_api(Case("cpu", WATCH, cpus=2, devices={
        "cpu-config": template(**CHANGES)}))
    assert line(run) == want(plain)
    for folder in "one", "two":
        api.set("PATCH", "/vm", {"state": "Paused"})
        api.set("PUT", "/snapshot/create",
                {"snapshot_path": f"{tmp_path}/{folder}/"})
        run.process.kill()
        run.process.wait()
        sock = tmp_path / f"{folder}.sock"
        run = vmm.spawn([VMM, "--restore", tmp_path / folder, "--api-sock",
                         sock])
        api = Api(sock)
        api.wait()
        assert ask(run) == want(plain)
        assert api.call("GET", "/vm/config")[1]["cpu-config"] is None


@pytest.mark.parametrize("named", [False, True])
def test_in_a_config_file(vmm, tmp_path, plain, named):
    """As an object, or as the path of a file with one."""
    value = template(**CHANGES)
    (tmp_path / "cpu.json").write_text(json.dumps(value))
    (tmp_path / "vm.json").write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(vmm.guest("cpu")),
                        "boot_args": WATCH},
        "drives": [],
        "cpu-config": f"{tmp_path}/cpu.json" if named else value}))
    run = vmm.spawn([VMM, "--no-api", "--config-file", tmp_path / "vm.json"])
    assert line(run) == want(plain)


def test_a_config_file_names_what_is_not_there(vmm, tmp_path):
    (tmp_path / "vm.json").write_text(json.dumps({
        "boot-source": {"kernel_image_path": str(vmm.guest("cpu"))},
        "drives": [], "cpu-config": f"{tmp_path}/none.json"}))
    result = vmm.spawn([VMM, "--no-api", "--config-file",
                        tmp_path / "vm.json"]).finish()
    assert result.code != 0 and f"{tmp_path}/none.json" in result.log


def started(vmm, tmp_path, *calls):
    """The answer to the start, after @calls of (method, path, body)."""
    sock = tmp_path / "api.sock"
    run = vmm.spawn([VMM, "--api-sock", sock])
    api = Api(sock)
    api.wait()
    api.set("PUT", "/boot-source", {
        "kernel_image_path": str(vmm.guest("cpu")), "boot_args": WATCH})
    for call in calls:
        api.set(*call)
    return run, api.call("PUT", "/actions", {"action_type": "InstanceStart"})


@pytest.mark.parametrize("body, said", [
    ({"kvm_capabilities": ["4000000000"]}, "Missing KVM capability: 4000000000"),
    ({"cpuid_modifiers": [{"leaf": "0x7fff", "subleaf": "0x1", "flags": 0,
                           "modifiers": []}]},
     "not supported by KVM: Leaf: 0x7fff, Subleaf: 0x1"),
    ({"msr_modifiers": [{"addr": "0xdeadbeef", "bitmap": "0b1"}]},
     "not supported by KVM: Register Address: 0xdeadbeef"),
])
def test_what_this_host_cannot(vmm, tmp_path, body, said):
    _, (status, answer) = started(vmm, tmp_path, ("PUT", "/cpu-config", body))
    assert status == 400 and said in answer["fault_message"]


def test_one_template_at_a_time(vmm, tmp_path, plain):
    """The last one is it, of whichever kind; None takes a custom one away."""
    machine = {"vcpu_count": 1, "mem_size_mib": 128}
    calls = [("PUT", "/machine-config", {**machine, "cpu_template": "T2"}),
             ("PUT", "/cpu-config", template(**CHANGES))]
    run, (status, _) = started(vmm, tmp_path, *calls)
    assert status == 204 and line(run) == want(plain)
    (tmp_path / "b").mkdir()
    calls.append(("PUT", "/machine-config", machine))  # keeps it
    run, (status, _) = started(vmm, tmp_path / "b", *calls)
    assert status == 204 and line(run) == want(plain)
    (tmp_path / "c").mkdir()
    calls.append(("PATCH", "/machine-config", {"cpu_template": "None"}))
    run, (status, _) = started(vmm, tmp_path / "c", *calls)
    assert status == 204 and line(run) == plain


def test_a_template_for_another_vendor(vmm, tmp_path):
    with open("/proc/cpuinfo", encoding="ascii") as info:
        name = "T2" if "AuthenticAMD" in info.read() else "T2A"
    _, (status, answer) = started(
        vmm, tmp_path, ("PUT", "/machine-config", {
            "vcpu_count": 1, "mem_size_mib": 128, "cpu_template": name}))
    assert status == 400
    assert "CPU vendor mismatched between actual CPU and CPU template." in \
        answer["fault_message"]
