# SPDX-License-Identifier: Apache-2.0
"""A bar chart as SVG, written by hand: bars, numbers, and where they hold."""

import math
from html import escape

WIDTH = 820
LABEL = 190
VALUE = 100  # room for the number behind the longest bar
BAR = 16
GAP = 18
TOP = 84
COLOURS = ("#1f6f8b", "#d08c4a", "#7a8f3c")
INK, FAINT, GRID = "#1b1f24", "#5b6470", "#e4e7eb"


def text(x, y, words, size=13, anchor="start", colour=INK, more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
            f'text-anchor="{anchor}" fill="{colour}"{more}>{escape(words)}'
            "</text>")


def unit_of(longest_us):
    """(microseconds of a unit, its short and its long name)."""
    if longest_us >= 2e6:
        return 1e6, "s", "seconds"
    return 1e3, "ms", "milliseconds"


def number(value, unit):
    """Three digits that matter."""
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def nice_step(longest):
    """The smallest round distance of grid lines that leaves ten at most."""
    power = 10.0 ** math.floor(math.log10(longest / 10))
    return next(power * part for part in (1, 2, 5, 10)
                if longest / (power * part) <= 10)


def grid(scale, longest, bottom):
    """Vertical lines with their numbers."""
    step, parts, at = nice_step(longest), [], 0.0
    while at <= longest:
        x = LABEL + at * scale
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" '
                     f'y2="{bottom}" stroke="{GRID}"/>')
        parts.append(text(x, bottom + 14, f"{at:g}", 11, "middle", FAINT))
        at += step
    return parts


def bar(y, colour, summary, scale, unit):
    """The median, and a thin line up to the 95th percentile."""
    size, short, _ = unit
    median = summary["median"] / size
    width = max(1.5, median * scale)
    tail = LABEL + summary["p95"] / size * scale
    middle = y + (BAR - 2) / 2
    return [
        f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR - 2}" '
        f'rx="1.5" fill="{colour}"/>',
        f'<line x1="{LABEL + width:.1f}" y1="{middle}" x2="{tail:.1f}" '
        f'y2="{middle}" stroke="{colour}" stroke-width="1.5"/>',
        text(max(tail, LABEL + width) + 6, y + 11.5,
             number(median, short), 12),
    ]


def legend(y, names):
    parts, x = [], LABEL
    for colour, name in zip(COLOURS, names):
        parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" rx="1.5" '
                     f'fill="{colour}"/>')
        parts.append(text(x + 18, y + 10.5, name, 12))
        x += 40 + 7 * len(name)
    return parts


def bars(title, results, how, rows, names):
    """Rows of (label, summaries or None); one bar for each summary."""
    host = results["host"]
    longest = max(s["p95"] for _, found in rows for s in found if s)
    unit = unit_of(longest)
    longest /= unit[0]
    scale = (WIDTH - LABEL - VALUE) / longest
    parts, y = [], TOP
    for label, found in rows:
        found = [(c, s) for c, s in zip(COLOURS, found) if s]
        parts.append(text(
            LABEL - 10, y + BAR * len(found) / 2 + 4, label, 13, "end",
            more=' font-weight="600"' if label.startswith("volt") else ""))
        for colour, summary in found:
            parts += bar(y, colour, summary, scale, unit)
            y += BAR
        y += GAP
    bottom = y - GAP + 8
    height = bottom + 62
    day = results["time"].partition("T")[0]
    head = [
        text(16, 28, title, 17, more=' font-weight="600"'),
        text(16, 48, f"{host['kind']}, Linux {host['kernel']}, {host['cpu']}, "
             f"{host['cpus']} CPUs, {day}", 12, colour=FAINT),
        text(16, 64, how, 12, colour=FAINT),
        *grid(scale, longest, bottom),
        text(WIDTH - 16, bottom + 14, unit[2], 11, "end", FAINT),
    ]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *head, *parts, *legend(bottom + 34, names), "</svg>", ""])
