# SPDX-License-Identifier: Apache-2.0
"""Bare-metal guests that drive virtio devices, on this host and in the lab."""

import json

import pytest

from conftest import BUILD, Case, lab_run

ENTROPY = {"entropy": {}}
BALLOON = {"balloon": {"amount_mib": 16, "deflate_on_oom": True,
                       "stats_polling_interval_s": 1,
                       "free_page_hinting": True,
                       "free_page_reporting": True}}

CASES = [
    Case("rng", devices=ENTROPY),
    Case("rng-pvh", devices=ENTROPY, cpus=2),
    Case("rng", irqchip="full", devices=ENTROPY),
    Case("hostile", devices=ENTROPY),
    Case("balloon", devices=BALLOON),
]


def ids(cases):
    return [c.name for c in cases]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_on_host(vmm, case):
    vmm.run(case, seconds=300).assert_passed()


@pytest.fixture(scope="module")
def lab_results(build, tmp_path_factory):
    return lab_run(CASES, tmp_path_factory.mktemp("lab"), 600)


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_in_lab(lab_results, case):
    assert case.name in lab_results, "the lab ended before this case"
    lab_results[case.name].assert_passed()


def test_entropy_is_counted(vmm, tmp_path):
    """What the guest got is in the metrics, under Firecracker's names."""
    metrics = tmp_path / "metrics"
    case = Case("rng", devices=ENTROPY,
                extra=("--metrics-path", str(metrics)))
    vmm.run(case).assert_passed()
    entropy = [json.loads(x)["entropy"]
               for x in metrics.read_text().splitlines()]
    assert sum(e["entropy_event_count"] for e in entropy) > 800
    assert sum(e["entropy_bytes"] for e in entropy) > 4 * 65536
    assert sum(e["host_rng_fails"] for e in entropy) == 0
    # Each of the five runs asks once with nothing to write to.
    assert sum(e["entropy_event_fails"] for e in entropy) == 5


@pytest.mark.parametrize("irqchip", ["split", "full"])
def test_interrupts_are_counted(vmm, tmp_path, irqchip):
    """The guest asks for some with and some without an interrupt."""
    metrics = tmp_path / "metrics"
    vmm.run(Case("rng", devices=ENTROPY, irqchip=irqchip,
                 extra=("--metrics-path", str(metrics)))).assert_passed()
    lines = [json.loads(x)["interrupts"]
             for x in metrics.read_text().splitlines()]
    assert sum(x["triggers"] for x in lines) > 100
    assert (sum(x["config_updates"] for x in lines) > 0) == \
        (irqchip == "split")  # KVM keeps its own table to itself


def test_platform_devices_are_counted(vmm, tmp_path):
    """The guest prints, and resets by the keyboard controller at the end."""
    metrics = tmp_path / "metrics"
    run = vmm.run(Case("hello", extra=("--metrics-path", str(metrics))))
    run.assert_passed()
    lines = [json.loads(x) for x in metrics.read_text().splitlines()]
    assert sum(x["uart"]["write_count"] for x in lines) == len(run.out)
    assert sum(x["i8042"]["reset_count"] for x in lines) == 1
    assert sum(x["i8042"]["write_count"] for x in lines) > 0


def test_exits_are_counted(vmm, tmp_path):
    """One for each character, and one for each register that rng reads."""
    metrics = tmp_path / "metrics"
    extra = ("--metrics-path", str(metrics))
    run = vmm.run(Case("hello", extra=extra))
    run.assert_passed()
    vcpu = [json.loads(x)["vcpu"] for x in metrics.read_text().splitlines()]
    assert sum(x["exit_io_out"] for x in vcpu) > len(run.out)
    assert sum(x["exit_io_out_agg"]["sum_us"] for x in vcpu) > 0
    assert sum(x["exit_io_in"] for x in vcpu) > 0
    assert sum(x["failures"] for x in vcpu) == 0
    metrics.unlink()
    vmm.run(Case("rng", devices=ENTROPY, extra=extra)).assert_passed()
    vcpu = [json.loads(x)["vcpu"] for x in metrics.read_text().splitlines()]
    assert sum(x["exit_mmio_read"] for x in vcpu) > 10
    assert sum(x["exit_mmio_write"] for x in vcpu) > 10


def ioeventfds(vmm, tmp_path, case):
    """How many KVM was asked for."""
    trace = tmp_path / "trace"
    run = vmm.spawn(["strace", "-f", "-e", "trace=ioctl", "-o", trace,
                     *case.argv(BUILD, tmp_path)])
    run.process.stdin.close()
    run.finish(300).assert_passed()
    return trace.read_text().count("KVM_IOEVENTFD")


def test_only_what_is_used_is_registered(vmm, tmp_path):
    """An ioeventfd makes KVM's teardown wait: none for what is never kicked."""
    assert ioeventfds(vmm, tmp_path, Case("hello", devices=ENTROPY)) == 0
    # It drives the device by both windows.
    assert ioeventfds(vmm, tmp_path, Case("rng", devices=ENTROPY)) == 2


def test_hostile_driver_cannot_flood_the_log(vmm):
    """Dozens of broken rings: ten lines, and a count of what is left out."""
    run = vmm.run(Case("hostile", devices=ENTROPY))
    run.assert_passed()
    assert run.log.count("broke the rules") <= 10


def test_entropy_is_limited(vmm):
    """Half of what is asked for in a second: it takes its time, all comes."""
    limit = {"entropy": {"rate_limiter": {
        "bandwidth": {"size": 262144, "refill_time": 1000}}}}
    run = vmm.run(Case("rng", devices=limit))
    run.assert_passed()
