# SPDX-License-Identifier: MIT
"""What the report says of HTTP: losses, tables and plots."""

import plots

_head = """## Files over HTTP

Requests for each second that QEMU took of the host's processors, user and system, for guest, card
and user network together, from the load's beginning to its end: the median of {runs} runs of a
second (1 MiB: two; on 64 connections one run of ten), and the least and the most.
wrk asks from the host through QEMU's user network and virtio-net; one emulated CPU, in the last
lines two (thread=multi), 256 MiB, without -icount, the two machines in turn. Annulus: the default
system with the files in its boot archive, so driver, firewall, stack, files and server are five
processes. Linux: nginx of Debian's package with one worker for each CPU, sendfile and no log, the
files in memory, no firewall. A ratio above 1: Annulus serves more.
"""

_instructions_head = """Guest instructions for a request, eight connections kept alive, counted with
-icount and the plug-in of `make profile`, idle time included:
"""

_start_head = """## Power-on, memory, size

Time from the start of QEMU to the first answered request, without -icount; memory in use when
nobody asks, by the system's own account; kernel and initial files without the files to serve.
Linux's kernel is compressed, and its initial files are not; its memory is 256 MiB less MemFree.
"""


def _size(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else (
        f"{size >> 10} KiB" if size >= 1024 else f"{size} B")


def _name(load):
    kind = "kept alive" if load["keep_alive"] else "one request each"
    count = load["connections"]
    where = ", two CPUs" if load["cpus"] == 2 else ""
    return f"{_size(load['size'])}, {count} connection{'s' if count > 1 else ''}, {kind}{where}"


def ratio(load):
    """How many times more Annulus serves for the same processor time."""
    return load["annulus"]["by_cpu"]["median"] / max(0.1, load["linux"]["by_cpu"]["median"])


def _overlap(load):
    own, other = load["annulus"]["by_cpu"], load["linux"]["by_cpu"]
    return own["least"] <= other["most"] and other["least"] <= own["most"]


def losses(http):
    """A line for each load under which Linux serves more."""
    if not http:
        return []
    lines = []
    for load in http["loads"]:
        if ratio(load) < 1:
            lines.append(
                f"- HTTP, {_name(load)}: {load['annulus']['by_cpu']['median']:,} requests a "
                f"processor second against {load['linux']['by_cpu']['median']:,}"
                f"{' (the runs overlap)' if _overlap(load) else ''}.")
    for one in http.get("instructions", ()):
        if one["annulus"] > one["linux"]:
            lines.append(f"- HTTP, {_size(one['size'])}, kept alive: {one['annulus']:,} guest "
                         f"instructions a request against {one['linux']:,}.")
    return lines


def _cell(figures):
    return f"{figures['median']:,} ({figures['least']:,} - {figures['most']:,})"


def text(http):
    if not http:
        return []
    runs = http.get("runs", "several")
    lines = [_head.format(runs=runs),
             "| file | CPUs | connections | | Annulus | Linux | ratio | Annulus, a second of the "
             "clock | Linux |", "|---|---|---|---|---|---|---|---|---|"]
    for load in http["loads"]:
        own, other = load["annulus"], load["linux"]
        lines.append(" | ".join([
            f"| {_size(load['size'])}", str(load["cpus"]), str(load["connections"]),
            "kept alive" if load["keep_alive"] else "closed", _cell(own["by_cpu"]),
            _cell(other["by_cpu"]), f"{ratio(load):.2f}", _cell(own["by_wall"]),
            f"{_cell(other['by_wall'])} |"]))
    if http.get("instructions"):
        lines += ["", _instructions_head, "| file | Annulus | Linux | ratio |", "|---|---|---|---|"]
        lines += [f"| {_size(one['size'])} | {one['annulus']:,} | {one['linux']:,} | "
                  f"{one['linux'] / one['annulus']:.2f} |" for one in http["instructions"]]
    lines += ["", _start_head, "| | ms to the first answer | MiB in use | MiB of image |",
              "|---|---|---|---|"]
    for name, one in http["start"].items():
        lines.append(f"| {name.capitalize()} | {_cell(one['first_answer_ms'])} | "
                     f"{one['memory_mib']} | {one['image_mib']} |")
    return [*lines, ""]


def listed(http):
    """What report.json has under "http": a record for each load, count of instructions and start,
    which `kind` tells apart."""
    if not http:
        return []
    return [*({"kind": "load", "runs": http.get("runs"), **load} for load in http["loads"]),
            *({"kind": "instructions", **one} for one in http.get("instructions", ())),
            *({"kind": "start", "system": name, **one} for name, one in http["start"].items())]


def plots_of(http):
    if not http:
        return []
    found = []
    kinds = ((True, 1, "connections kept alive"), (False, 1, "a connection each"),
             (True, 2, "connections kept alive, two CPUs"),
             (False, 2, "a connection each, two CPUs"))
    for keep_alive, cpus, kind in kinds:
        groups = [(f"{_size(load['size'])}, {load['connections']} connections",
                   [("Annulus", round(load["annulus"]["by_cpu"]["median"])),
                    ("Linux with nginx", round(load["linux"]["by_cpu"]["median"]))])
                  for load in http["loads"]
                  if (load["keep_alive"], load["cpus"]) == (keep_alive, cpus)]
        if groups:
            found.append(plots.bars(f"HTTP requests a processor second, {kind}", groups))
    return found
