# SPDX-License-Identifier: Apache-2.0
"""A bar chart as SVG, written by hand: bars, numbers, and where they hold."""

from html import escape

WIDTH = 760
LABEL = 190
BAR = 18
GROUP = 2 * BAR + 16
TOP = 84
COLOURS = {"mark_us": "#2f6f9f", "exit_us": "#c9824a"}
NAMES = {"mark_us": "to the guest's mark", "exit_us": "to exit"}


def text(x, y, words, size=13, anchor="start", colour="#222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
            f'text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>')


def bar(y, key, summary, scale):
    """One bar with its median, and a thin line up to the 95th percentile."""
    width = max(1.0, summary["median"] * scale)
    tail = LABEL + summary["p95"] * scale
    middle = y + BAR / 2 - 1
    label = f'{summary["median"] / 1000:.2f} ms'
    return [
        f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR - 2}" '
        f'fill="{COLOURS[key]}"/>',
        f'<line x1="{LABEL + width:.1f}" y1="{middle}" x2="{tail:.1f}" '
        f'y2="{middle}" stroke="{COLOURS[key]}"/>',
        text(max(tail, LABEL + width) + 6, y + 13, label, 12),
    ]


def legend(y):
    parts, x = [], LABEL
    for key, name in NAMES.items():
        parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" '
                     f'fill="{COLOURS[key]}"/>')
        parts.append(text(x + 18, y + 11, name, 12))
        x += 180
    return parts


def start_chart(results):
    """Process start to mark and to exit: medians, p95 as a thin line."""
    host, rows = results["host"], results["start"]
    longest = max(r[k]["p95"] for r in rows for k in COLOURS if r[k])
    scale = (WIDTH - LABEL - 90) / longest
    parts = [
        text(16, 26, "Process start to the guest's first output, and to exit",
             16),
        text(16, 46, f"{host['kind']}, Linux {host['kernel']}, {host['cpu']}, "
             f"{host['cpus']} CPUs", 12, colour="#555"),
        text(16, 62, f"median of {results['runs']} interleaved runs, thin line "
             f"to p95, {results['memory_mib']} MiB, {results['time']}", 12,
             colour="#555"),
    ]
    y = TOP
    for row in rows:
        parts.append(text(LABEL - 10, y + BAR + 4, row["name"], 13, "end"))
        for key in COLOURS:
            if row[key]:
                parts += bar(y, key, row[key], scale)
            y += BAR
        y += GROUP - 2 * BAR
    parts += legend(y)
    height = y + 28
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *parts, "</svg>", ""])
