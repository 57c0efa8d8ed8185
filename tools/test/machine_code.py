# SPDX-License-Identifier: MIT
"""Disassembled functions, and from where the addresses come through which they read memory.

Every 64-bit value is a root and an offset: what a register held at the function's beginning, the
result of an instruction, or a merge of several. Copies, constant additions and spills to the stack
keep the root. Two reads with equal roots and offset read the same word.
"""

import dataclasses
import re

import jobs

_registers = {}
for _family in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp"):
    _short = _family if _family[1] != "x" else _family[0]
    for _name in (f"r{_family}", f"e{_family}", _family, f"{_short}l", f"{_family[0]}h"):
        _registers.setdefault(_name, f"r{_family}")
for _number in range(8, 16):
    for _suffix in ("", "d", "w", "b"):
        _registers[f"r{_number}{_suffix}"] = f"r{_number}"
_wide = {f"%{name}" for name in set(_registers.values())}
_clobbered = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")

_memory = re.compile(r"^(?:%[fg]s:)?(-?0x[0-9a-f]+|-?\d+)?\((%\w+)?(?:,(%\w+)(?:,(\d))?)?\)$")
_line = re.compile(r"^\s*([0-9a-f]+):\s+(.*?)(?:\s+#.*)?$")
_place = re.compile(r"^; (.+):(\d+)$")
_stores_only = re.compile(r"^(mov(?!s[bwlq]?$)|set|cmov|lea)")

first_argument = frozenset({("rdi", 1)})


@dataclasses.dataclass
class Instruction:
    address: int
    text: str
    file: str
    line: int

    def __str__(self):
        return f"{self.address:x}: {' '.join(self.text.split())} ({self.file}:{self.line})"


@dataclasses.dataclass
class Function:
    name: str
    instructions: list


@dataclasses.dataclass(frozen=True)
class Read:
    instruction: Instruction
    roots: frozenset   # of (root, scale)
    address: tuple     # roots and offset


def disassemble(path):
    """The functions of a linked program, with the source line of each instruction."""
    result = jobs.run(["llvm-objdump-19", "-d", "-l", "--no-show-raw-insn", str(path)],
                      timeout=120)
    functions = []
    file, line = "", 0
    for text in result.output.splitlines():
        if text.endswith(">:"):
            functions.append(Function(text.split("<", 1)[1][:-2], []))
            file, line = "", 0
        elif place := _place.match(text):
            file, line = place[1], int(place[2])
        elif functions and (match := _line.match(text)):
            functions[-1].instructions.append(Instruction(int(match[1], 16), match[2], file, line))
    return functions


def _split(text):
    """(mnemonic, operands) of AT&T syntax; prefixes stay with the mnemonic."""
    words = text.split(None, 1)
    while len(words) > 1 and words[0] in ("rep", "repe", "repne", "lock", "notrack"):
        prefix = words[0]
        words = words[1].split(None, 1)
        words[0] = words[0] if prefix == "lock" else f"{prefix} {words[0]}"
    operands = re.split(r",\s*(?![^(]*\))", words[1]) if len(words) > 1 else []
    return words[0], [operand.strip() for operand in operands]


class _State:
    """What registers and stack slots hold: values are (root, offset)."""

    def __init__(self, values=None):
        self.values = dict(values or {})

    def get(self, place):
        return self.values.get(place, (place, 0))

    def memory(self, operand):
        """(roots, offset) of a memory operand, or None if it is relative to the program."""
        match = _memory.match(operand)
        if not match or match[2] == "%rip":
            return None
        offset = int(match[1] or "0", 0)
        roots = []
        for name, scale in ((match[2], 1), (match[3], int(match[4] or "1"))):
            if name and name != "%riz":
                root, more = self.get(_registers[name[1:]])
                roots.append((root, scale))
                offset += more * scale
        return frozenset(roots), offset

    def slot(self, operand):
        """The stack slot that an operand names, or None."""
        where = self.memory(operand)
        if where and where[0] == frozenset({("rsp", 1)}):
            return ("slot", where[1])
        return None


def _execute(state, instruction, reads):
    name, operands = _split(instruction.text)
    for operand in _read_operands(name, operands):
        where = state.memory(operand)
        if where:
            reads.append(Read(instruction, where[0], where))
    if name.startswith("rep") and "cmps" not in name and name.split()[1].startswith("movs"):
        root, offset = state.get("rsi")
        reads.append(Read(instruction, frozenset({(root, 1)}), (frozenset({(root, 1)}), offset)))
    _change(state, instruction, name, operands)


def _read_operands(name, operands):
    if name.startswith(("lea", "nop", "prefetch")) or not operands:
        return []
    if _stores_only.match(name):
        return operands[:-1]
    return operands


def _change(state, instruction, name, operands):
    fresh = (("result", instruction.address), 0)
    values = state.values
    if name.startswith("call"):
        for register in _clobbered:
            values[register] = ((register, instruction.address), 0)
        return
    if name.startswith(("push", "pop")):
        root, offset = state.get("rsp")
        step = -8 if name.startswith("push") else 8
        if step < 0:
            values[("slot", offset - 8)] = state.get(_registers.get(operands[0][1:], "none"))
        elif operands and operands[0][0] == "%":
            values[_registers[operands[0][1:]]] = values.get(("slot", offset), fresh)
        values["rsp"] = (root, offset + step)
        return
    for register in _implicit(name, operands):
        values[register] = ((register, instruction.address), 0)
    if not operands or name.startswith(("cmp", "test", "bt", "j")) and not name.startswith("bts"):
        return
    target = operands[-1]
    if target.startswith("%"):
        values[_registers.get(target[1:], target)] = _result(state, name, operands, fresh)
    else:
        slot = state.slot(target)
        if slot and name.startswith("mov"):
            copied = operands[0] in _wide
            values[slot] = state.get(operands[0][1:]) if copied else fresh


def _result(state, name, operands, fresh):
    """The value that the last operand, a register, gets."""
    source, target = operands[0], operands[-1]
    if target not in _wide:
        return fresh
    old = state.get(target[1:])
    if name in ("movq", "movabsq") and source in _wide:
        return state.get(source[1:])
    if name == "movq" and (slot := state.slot(source)):
        return state.values.get(slot, (slot, 0))
    if name == "leaq" and (where := state.memory(source)) and len(where[0]) == 1:
        (root, scale), = where[0]
        return (root, where[1]) if scale == 1 else fresh
    if name in ("addq", "subq") and source.startswith("$"):
        amount = int(source[1:], 0)
        return old[0], old[1] + (amount if name == "addq" else -amount)
    if name in ("incq", "decq"):
        return old[0], old[1] + (1 if name == "incq" else -1)
    return fresh


def _implicit(name, operands):
    """Registers that an instruction changes without naming them last."""
    if name.startswith("rep"):
        return ("rcx", "rsi", "rdi")
    if name.startswith(("mul", "div", "idiv", "cqto", "cltd", "cltq", "rdtsc", "cpuid", "syscall")):
        return ("rax", "rdx", "rcx", "rbx") if name == "cpuid" else ("rax", "rdx", "rcx", "r11")
    if name.startswith("imul") and len(operands) == 1:
        return ("rax", "rdx")
    if name.startswith("cmpxchg"):
        return ("rax",)
    if name.startswith("xchg") and operands[0].startswith("%"):
        return (_registers[operands[0][1:]],)
    return ()


def _blocks(function):
    """{start: (instructions, successors)}; an end has no successors."""
    inside = {one.address: index for index, one in enumerate(function.instructions)}
    targets = {}
    for one in function.instructions:
        name, operands = _split(one.text)
        if name.startswith("j") and operands and (match := re.match(r"0x([0-9a-f]+)", operands[0])):
            targets[one.address] = int(match[1], 16)
    starts = {function.instructions[0].address} | {to for to in targets.values() if to in inside}
    blocks, current = {}, None
    for index, one in enumerate(function.instructions):
        if current is None or one.address in starts:
            if current is not None:
                blocks[current][1].append(one.address)
            current = one.address
            blocks[current] = ([], [])
        blocks[current][0].append(one)
        name = _split(one.text)[0]
        if name.startswith("j") or name.startswith(("ret", "ud2", "hlt")):
            ends = [targets[one.address]] if targets.get(one.address) in inside else []
            following = index + 1 < len(function.instructions)
            if name.startswith("j") and name not in ("jmp", "jmpq") and following:
                ends.append(function.instructions[index + 1].address)
            blocks[current][1].extend(ends)
            current = None
    return blocks


def _merge(at, known, new):
    """Joins a state into the one known at a block; True if that changed it."""
    changed = False
    for place in set(known.values) | set(new.values):
        old, other = known.get(place), new.get(place)
        merged = (("merge", at, place), 0)
        if old not in (other, merged):
            known.values[place] = merged
            changed = True
    return changed


def reads(function):
    """Every read of memory beside those relative to the program, each once."""
    if not function.instructions:
        return []
    blocks = _blocks(function)
    first = function.instructions[0].address
    states = {first: _State()}
    waiting = [first]
    while True:
        while waiting:
            start = waiting.pop()
            state = _State(states[start].values)
            for one in blocks[start][0]:
                _execute(state, one, [])
            for to in blocks[start][1]:
                if to not in states:
                    states[to] = _State(state.values)
                    waiting.append(to)
                elif _merge(to, states[to], state):
                    waiting.append(to)
        # Blocks reached only through a table of jumps begin with nothing known.
        unreached = next((start for start in blocks if start not in states), None)
        if unreached is None:
            break
        states[unreached] = _jumped_to(blocks, states, unreached)
        waiting.append(unreached)
    found = []
    for start in sorted(blocks):
        state = _State(states[start].values)
        for one in blocks[start][0]:
            _execute(state, one, found)
    return found


def _jumped_to(blocks, states, unreached):
    """What holds where a computed jump leads: what held at the function's computed jumps."""
    for start in sorted(states):
        last = blocks[start][0][-1]
        if re.match(r"(notrack )?jmpq?\s+\*", last.text):
            state = _State(states[start].values)
            for one in blocks[start][0]:
                _execute(state, one, [])
            return state
    return _State()
