# SPDX-License-Identifier: Apache-2.0
"""All parts as one text, and as Markdown; and what was promised of them."""

from .part import Table


def host_line(host):
    return (f"host: {host['kind']}, Linux {host['kernel']}, "
            f"{host['cpu']} x {host['cpus']}, load {host['load']:.1f}")


def targets(parts, results):
    """The limits next to what was measured."""
    rows = []
    for part in parts:
        found = results.get(part.NAME)
        for name, limit, unit, value in getattr(part, "TARGETS", ()):
            got = value(found) if found else None
            if got is not None:
                rows.append({"name": name, "limit": limit, "unit": unit,
                             "value": round(got, 3), "met": got <= limit})
    return rows


def target_table(rows):
    return Table(["target", "measured", "at most", "", ""],
                 [[t["name"], f"{t['value']:g}", f"{t['limit']:g}", t["unit"],
                   "met" if t["met"] else "MISSED"] for t in rows])


def part_text(part, results):
    """What one part found, or that it found nothing."""
    found = results[part.NAME]
    shown = part.show(found) if found else [f"{part.NAME}: not measured"]
    return "\n" + "\n\n".join(as_text(b) for b in shown)


def as_text(block):
    return block.text() if isinstance(block, Table) else block


def blocks(parts, results):
    """Tables and lines, in the order of the parts."""
    shown = [host_line(results["host"])]
    for part in parts:
        if results.get(part.NAME):
            shown += part.show(results[part.NAME])
    if results["targets"]:
        shown.append(target_table(results["targets"]))
    return shown


def text(parts, results):
    return "\n\n".join(map(as_text, blocks(parts, results))) + "\n"


def markdown(parts, results):
    """As docs/bench has it; the charts first, where there are any."""
    head = [f"# Results of {results['time']}",
            f"Made by `bench/run`; {results['runs']} runs of each."]
    head += [f"![{name}]({name})" for name in results["charts"]]
    return "\n\n".join(
        head + [b.markdown() if isinstance(b, Table) else b
                for b in blocks(parts, results)]) + "\n"
