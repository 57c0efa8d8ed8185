# SPDX-License-Identifier: MIT
"""What the running machine looks like from outside, through QEMU's monitor (QMP on a Unix socket).

A guest asks for a check by printing `MONITOR <check>`; the machine stands still meanwhile.
"""

import array
import bisect
import json
import os
import re
import socket
import subprocess
import tempfile

present, writable, user, huge = 1 << 0, 1 << 1, 1 << 2, 1 << 7
no_execute = 1 << 63
address_mask = 0x000F_FFFF_FFFF_F000

cr0_write_protect = 1 << 16
cr4_umip, cr4_la57, cr4_smep, cr4_smap = 1 << 11, 1 << 12, 1 << 20, 1 << 21
efer_no_execute = 1 << 11


class Monitor:
    """A connection to one machine."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        json.loads(self._stream.readline())  # The greeting.
        self.execute("qmp_capabilities")

    def close(self):
        self._stream.close()
        self._socket.close()

    def execute(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        while True:
            answer = json.loads(self._stream.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            # Anything else is an event.

    def registers(self):
        """The control registers of each virtual CPU."""
        found = []
        for cpu in self.execute("query-cpus-fast"):
            text = self.execute("human-monitor-command", **{
                "command-line": "info registers", "cpu-index": cpu["cpu-index"]})
            found.append({name: int(value, 16) for name, value in
                          re.findall(r"\b(CR[034]|EFER)=([0-9a-f]+)", text)})
        return found

    def page(self, address):
        """The 512 words of one page of physical memory."""
        with tempfile.NamedTemporaryFile() as file:
            self.execute("pmemsave", val=address, size=4096, filename=file.name)
            with open(file.name, "rb") as content:
                return array.array("Q", content.read(4096))


def mappings(read_page, root, levels=4):
    """The leaves below one root table: (address, size, writable, executable, user, physical).

    Rights are those of the whole path: a page can be written only if every level allows it.
    """
    def walk(table, level, base, may_write, may_execute, may_user):
        shift = 12 + 9 * (level - 1)
        for index, entry in enumerate(read_page(table)):
            if not entry & present:
                continue
            address = base | index << shift
            write = may_write and bool(entry & writable)
            execute = may_execute and not entry & no_execute
            reach = may_user and bool(entry & user)
            if level == 1 or (level <= 3 and entry & huge):
                if address >> (12 + 9 * levels - 1) & 1:
                    address |= -1 << (12 + 9 * levels) & (1 << 64) - 1  # Canonical form.
                physical = entry & address_mask & -1 << shift
                yield address, 1 << shift, write, execute, reach, physical
            else:
                yield from walk(entry & address_mask, level - 1, address, write, execute, reach)
    yield from walk(root & address_mask, levels, 0, True, True, True)


def written_code(leaves):
    """The kernel's code pages that another mapping makes writable, as texts."""
    code = sorted((physical, size, address) for address, size, _, execute, reach, physical in leaves
                  if execute and not reach)
    starts = [physical for physical, _, _ in code]
    found = set()
    for address, size, write, _, _, physical in leaves:
        if not write:
            continue
        first = max(bisect.bisect_right(starts, physical) - 1, 0)
        for begin, length, at in code[first:bisect.bisect_left(starts, physical + size)]:
            if begin < physical + size and physical < begin + length:
                found.add(f"{at:#018x}: kernel code, writable through {address:#018x}")
    return sorted(found)


def check_wx(monitor):
    """No page of an address space that a CPU uses now is both writable and executable.

    Nor is a page of the kernel's code writable at a second address.
    """
    pages = {}

    def read_page(address):
        if address not in pages:
            pages[address] = monitor.page(address)
        return pages[address]

    counters = {"leaves": 0, "executable": 0}
    problems = []
    walked = set()
    for number, cpu in enumerate(monitor.registers()):
        if not cpu["CR0"] & cr0_write_protect:
            problems.append(f"CPU {number}: the kernel may write read-only pages (CR0.WP is clear)")
        if not cpu["EFER"] & efer_no_execute:
            problems.append(f"CPU {number}: every page is executable (EFER.NXE is clear)")
        if cpu["CR3"] & address_mask in walked:
            continue
        walked.add(cpu["CR3"] & address_mask)
        levels = 5 if cpu["CR4"] & cr4_la57 else 4
        leaves = list(mappings(read_page, cpu["CR3"], levels))
        problems += written_code(leaves)
        for address, size, write, execute, _, _ in leaves:
            counters["leaves"] += 1
            counters["executable"] += execute
            if write and execute:
                problems.append(f"{address:#018x}: {size >> 10} KiB writable and executable")
    if not counters["executable"]:
        problems.append("no executable page found: the walk saw nothing")
    return "\n".join(problems[:20]), counters


def check_protections(monitor):
    """Every CPU keeps the kernel from running or reading user memory by accident."""
    problems = []
    registers = monitor.registers()
    for number, cpu in enumerate(registers):
        for name, bit in (("SMEP", cr4_smep), ("SMAP", cr4_smap), ("UMIP", cr4_umip)):
            if not cpu["CR4"] & bit:
                problems.append(f"CPU {number}: {name} is off")
    return "\n".join(problems), {"cpus": len(registers)}


kernel_text = 0xFFFF_FFFF_8000_0000


def _frames(command, text):
    """Return addresses of one CPU's kernel stack, innermost first, by its frame pointers.

    `command` executes a line of the human monitor on that CPU, `text` is its registers.
    """
    found = [int(re.search(r"RIP=([0-9a-f]+)", text)[1], 16)]
    frame = int(re.search(r"RBP=([0-9a-f]+)", text)[1], 16)
    while found[-1] >= kernel_text and frame >> 47 == 0x1FFFF and len(found) < 16:
        words = re.findall(r"0x([0-9a-f]{16})", command(f"x/2gx {frame:#x}"))
        if len(words) < 2:
            break
        above = int(words[0], 16)
        found.append(int(words[1], 16))
        if above <= frame:
            break
        frame = above
    return [address for address in found if address >= kernel_text] or found[:1]


def places(path, kernel):
    """Where each virtual CPU is, as lines: for a guest that makes no progress."""
    monitor = Monitor(path)
    try:
        monitor.execute("stop")
        lines = []
        for cpu in monitor.execute("query-cpus-fast"):
            def command(line, index=cpu["cpu-index"]):
                return monitor.execute("human-monitor-command",
                                       **{"command-line": line, "cpu-index": index})
            text = command("info registers")
            lines.append(f"CPU {cpu['cpu-index']}{' (halted)' if 'HLT=1' in text else ''}:")
            lines += [f"  {address:016x} {_name(kernel, address)}"
                      for address in _frames(command, text)]
        return "\n".join(lines)
    finally:
        monitor.close()


def _name(kernel, address):
    if address < kernel_text:
        return "in a program"
    answer = subprocess.run(["llvm-symbolizer-19", f"--obj={kernel}", "--no-inlines",
                             "--basenames", f"{address:#x}"], capture_output=True, text=True)
    return " ".join(answer.stdout.split("\n")[:2])


checks = {"wx": check_wx, "protections": check_protections}


def run(path, name):
    """Runs one check on a standing machine: (problem or an empty text, counters)."""
    if not os.path.exists(path):
        return "QEMU has no monitor socket", {}
    monitor = Monitor(path)
    try:
        monitor.execute("stop")
        problem, counters = checks[name](monitor)
        monitor.execute("cont")
        return problem, counters
    finally:
        monitor.close()
