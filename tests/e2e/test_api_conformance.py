# SPDX-License-Identifier: Apache-2.0
"""The recordings of a real Firecracker, row by row (tests/conformance)."""

import apiclient  # noqa: F401  (puts conformance on the path)
import conformance
import pytest
import rules


@pytest.fixture(scope="module")
def tallies(build):
    return conformance.play(build / "volt-vmm")


def test_api_rows(tallies):
    api, hotplug, _ = tallies
    api.report()
    assert api.total == 419
    assert not api.differing
    hotplug.report()
    assert hotplug.total == 127
    assert not hotplug.differing
    assert not hotplug.waiting


@pytest.mark.parametrize("what", [rules.A_TAP, rules.USERFAULTFD])
def test_api_rows_that_need_more(tallies, what):
    api, _, _ = tallies
    rows = [row for row in conformance.api_rows("api.jsonl")
            if rules.lacks(row, False, False) == what]
    assert rows
    assert not [row for row in api.differing if row in rows]
    if api.waiting[what]:
        pytest.skip(f"this user does not get {what}: "
                    f"{api.waiting[what]} rows wait")


def test_http_exchanges(tallies):
    _, _, http = tallies
    http.report()
    assert http.total == http.match == 54
