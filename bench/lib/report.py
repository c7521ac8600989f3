# SPDX-License-Identifier: Apache-2.0
"""Tables and targets."""

TARGETS = (
    # name, limit, unit, how the value is found
    ("start to mark / QEMU", 0.05, "x", ("ratio", "mark_us", "QEMU")),
    ("start to exit / QEMU", 0.08, "x", ("ratio", "exit_us", "QEMU")),
    ("start to mark / bare probe", 1.5, "x", ("ratio", "mark_us", "bare")),
    ("start to exit / bare probe", 1.5, "x", ("ratio", "exit_us", "bare")),
    ("private memory", 1024, "KiB", ("memory", "private_kib")),
    ("resident memory (peak)", 2560, "KiB", ("memory", "peak_kib")),
)


def find(rows, prefix):
    for row in rows or ():
        if row["name"].startswith(prefix):
            return row
    return None


def ratio(rows, key, prefix):
    ours, theirs = find(rows, "volt-vmm"), find(rows, prefix)
    if not ours or not theirs or not theirs[key]:
        return None
    return ours[key]["median"] / theirs[key]["median"]


def target_value(results, how):
    if how[0] == "ratio":
        return ratio(results.get("start"), how[1], how[2])
    found = results.get("memory")
    return found["volt-vmm"][how[1]] if found else None


def targets(results):
    """The issue's limits next to what was measured."""
    rows = []
    for name, limit, unit, how in TARGETS:
        value = target_value(results, how)
        if value is not None:
            rows.append({"name": name, "limit": limit, "unit": unit,
                         "value": round(value, 3), "met": value <= limit})
    return rows


def host_lines(host):
    return (f"host: {host['kind']}, Linux {host['kernel']}, "
            f"{host['cpu']} x {host['cpus']}, load {host['load']:.1f}")


def table(head, rows):
    """Columns as wide as their widest cell, numbers to the right."""
    cells = [head] + rows
    widths = [max(len(r[i]) for r in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        line = row[0].ljust(widths[0])
        for cell, width in zip(row[1:], widths[1:]):
            line += "  " + cell.rjust(width)
        lines.append(line.rstrip())
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def ms(summary, key):
    return f"{summary[key] / 1000:.2f}" if summary else "-"


def start_table(rows):
    body = []
    for row in rows:
        to = {}
        for prefix in ("QEMU", "bare"):
            peer = find(rows, prefix)
            both = peer and peer["mark_us"] and row["mark_us"]
            to[prefix] = "-" if not both else "%.3f" % (
                row["mark_us"]["median"] / peer["mark_us"]["median"])
        body.append([row["name"], ms(row["mark_us"], "median"),
                     ms(row["mark_us"], "p95"), ms(row["exit_us"], "median"),
                     ms(row["exit_us"], "p95"), to["QEMU"], to["bare"]])
    return table(["start, ms", "mark", "p95", "exit", "p95", "mark/QEMU",
                  "mark/probe"], body)


def split_table(parts):
    body = [[name, f"{p['exit_us'] / 1000:.2f}", f"{p['kvm_us'] / 1000:.2f}",
             f"{p['own_us'] / 1000:.2f}"] for name, p in parts.items()]
    return table(["start to exit, ms", "all", "in KVM", "own"], body)


def call_lines(parts):
    lines = []
    for name, part in parts.items():
        top = [f"{call[4:].lower()} {us:.0f}" for call, us in
               list(part["per_call_us"].items())[:8]]
        lines.append(f"  {name}, us in KVM calls: " + ", ".join(top))
    return "\n".join(lines)


def syscall_table(counts):
    body = []
    for name, found in counts.items():
        top = [f"{c} {n}" for c, n in list(found["calls"].items())[:6]]
        body.append([name, str(found["total"]), ", ".join(top)])
    return table(["system calls before KVM_RUN", "all", "most"], body)


def memory_table(found):
    body = [[name, str(f["rss_kib"]), str(f["peak_kib"]),
             str(f["private_kib"]), str(f["vmm_rss_kib"]),
             str(f["vmm_private_kib"]), str(f["guest_rss_kib"])]
            for name, f in found.items()]
    return table(["memory, KiB", "RSS", "peak", "private", "VMM's RSS",
                  "VMM's private", "guest's RSS"], body)


def shared_lines(shared):
    count = shared["vms"]
    return (f"{count} VMs of one kernel ({shared['kernel']}, "
            f"{shared['kernel_kib']} KiB): "
            f"RSS {shared['sum_rss_kib'] // count} KiB each, of which private "
            f"{shared['sum_private_kib'] // count} KiB; "
            f"all together {shared['sum_pss_kib']} KiB (PSS)")


def boot_table(found):
    body = [[row["name"], row["kernel"], ms(row["init_us"], "median"),
             ms(row["init_us"], "p95"), ms(row["exit_us"], "median")]
            for row in found["rows"] if row["init_us"]]
    return (table(["start to a Linux guest's init, ms", "kernel", "init",
                   "p95", "exit"], body) + "\non " +
            host_lines(found["host"]))


def target_table(rows):
    body = [[t["name"], f"{t['value']:g}", f"{t['limit']:g}", t["unit"],
             "met" if t["met"] else "MISSED"] for t in rows]
    return table(["target", "measured", "at most", "", ""], body)


def text(results):
    """Everything that was measured, as one text."""
    parts = []
    if results.get("start"):
        parts.append(start_table(results["start"]))
    if results.get("split"):
        parts.append(split_table(results["split"]) + "\n" +
                     call_lines(results["split"]))
    if results.get("syscalls"):
        parts.append(syscall_table(results["syscalls"]))
    if results.get("memory"):
        parts.append(memory_table(results["memory"]))
    if results.get("shared"):
        parts.append(shared_lines(results["shared"]))
    if results.get("boot"):
        parts.append(boot_table(results["boot"]))
    if results.get("targets"):
        parts.append(target_table(results["targets"]))
    return "\n\n".join([""] + parts) + "\n"
