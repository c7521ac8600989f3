# SPDX-License-Identifier: Apache-2.0
"""Medians and percentiles; no means, for one slow run would move them."""


def percentile(values, share):
    """The value below which @share of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def summary(values):
    if not values:
        return None
    return {"median": percentile(values, 0.5), "p95": percentile(values, 0.95),
            "min": min(values), "n": len(values)}
