# SPDX-License-Identifier: Apache-2.0
"""The recordings of a real Firecracker, row by row (tests/conformance)."""

import apiclient  # noqa: F401  (puts conformance on the path)
import conformance
import pytest


@pytest.fixture(scope="module")
def tallies(build):
    return conformance.play(build / "volt-vmm")


def test_api_rows(tallies):
    api, _ = tallies
    api.report()
    assert api.total == 419
    assert not api.differing


def test_http_exchanges(tallies):
    _, http = tallies
    http.report()
    assert http.total == http.match == 54
