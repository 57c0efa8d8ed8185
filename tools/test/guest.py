# SPDX-License-Identifier: MIT
"""Tests inside the booted system: each file of tests/scenario names what to boot and what it says.

    name      of the scenario                       system    folder under system/
    kernel    variant, or a list of variants        cpus      list of CPU counts (default [1, 2])
    memory    MiB (256)                             append    kernel command line
    network   true: the machine has a network card  devices   more of QEMU's devices
    icount    true: deterministic, one CPU, run twice, and both runs must be the same
    expect    suites that must end                  checks    monitor checks that must be asked for
    script    list of {"wait": regular expression, "send": text}: a talk on the console
              (lines end in \\n alone); {"clients": "pages"} waits for clients on the host;
              "at_most": {name of a group of the expression: the largest number allowed}
    clients   a kind of HostClients.kinds: clients on the host use ports of the
              guest (web.py), through free ones of the host, when all expected suites and the
              script are done; "first" asks from the moment of power-on
    best      {name of a counter of the clients: the largest number that its smallest value, over
              all boots in a row, may have}
    timeout   seconds for the boot (120)            exit      "clean" (default), "failed": the
    repeat    boots in a row (1)                              guest says so, "panicked": once, or
                                                              "serves": is ended when all else has
                                                              happened
"""

import dataclasses
import json
import os
import re
import selectors
import socket
import subprocess
import tempfile
import threading
import time

import emulator
import jobs
import monitor
import project
import transcript
import web
import web_load

silence_limit = 20  # Seconds without a byte on the serial port.
exit_limit = 20  # Seconds for powering off after the last expected line.


@dataclasses.dataclass
class Boot:
    """One boot of a scenario."""

    scenario: dict
    variant: str
    cpus: int

    @property
    def name(self):
        how = "icount" if self.icount else f"{self.cpus}cpu"
        return f"{self.scenario['name']}-{self.variant}-{how}"

    @property
    def icount(self):
        return self.scenario.get("icount", False)

    @property
    def expect(self):
        return self.scenario.get("expect", [])

    @property
    def checks(self):
        return self.scenario.get("checks", [])

    @property
    def script(self):
        return self.scenario.get("script", [])


_fields = {"name", "system", "kernel", "cpus", "memory", "append", "icount", "expect", "checks",
           "network", "clients", "best", "devices", "script", "timeout", "exit", "repeat"}


def boots(only=()):
    """Every boot of every scenario, in a fixed order."""
    found = []
    for path in project.sources(".json"):
        if path.parts[:2] != ("tests", "scenario"):
            continue
        scenario = json.loads(project.text(path))
        unknown = set(scenario) - _fields
        if unknown or "name" not in scenario or "system" not in scenario:
            raise ValueError(f"{path}: unknown fields {sorted(unknown)} or no name or system")
        if only and scenario["name"] not in only:
            continue
        variants = scenario.get("kernel", "release")
        counts = [1] if scenario.get("icount") else scenario.get("cpus", [1, 2])
        for variant in [variants] if isinstance(variants, str) else variants:
            found += [Boot(scenario, variant, count) for count in counts]
    return found


def unused(boots):
    """Test programs and systems that no boot uses, and boots that expect nothing."""
    systems = {boot.scenario["system"] for boot in boots}
    manifests = {path.parts[1]: project.text(path) for path in project.files()
                 if path.match("system/*/manifest")}
    started = " ".join(text for name, text in manifests.items() if name in systems)
    problems = [f"system/{name}: no scenario boots it" for name in sorted(set(manifests) - systems)]
    for path in project.files():
        if path.match("tests/abi/*/main.cpp") or path.match("tests/hostile/*/main.cpp"):
            program = f"test_{path.parent.name}"
            if not re.search(rf"\b{program}\b", started):
                problems.append(f"{path}: no scenario runs {program}")
    problems += [f"{boot.name}: expects nothing" for boot in boots
                 if not boot.expect and not boot.script and "clients" not in boot.scenario]
    return "\n".join(problems)


class HostClients:
    """Programs on the host that use ports of the guest, in a thread of their own."""

    kinds = {"web": web.Clients, "pages": web.Pages, "guarded": web.Guarded, "first": web.First,
             "keep": web.Keep, "kept": web.Kept, "load": web_load.Load, "loaded": web_load.Loaded,
             "calm": web_load.Calm, "unbroken": web_load.Unbroken,
             "refused": web_load.Refused}

    def __init__(self, kind, ports):
        """`ports`: port of the guest -> port of the host that leads there; filled in."""
        clients = self.kinds[kind]
        own = [ports.setdefault(port, _free_port()) for port in clients.guest_ports]
        self._clients = clients(*own)
        self.at_once = clients is web.First
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.cases = []  # (case, problem or None)
        self.begun = False
        self.done = False

    def start(self):
        if not self.begun:
            self.begun = True
            self._thread.start()

    @property
    def counters(self):
        return self._clients.counters

    def _work(self):
        try:
            for case in self._clients.cases():
                self.cases.append(case)
        except Exception as error:  # A connection that breaks is a result as any other.
            self.cases.append(("clients come to their end", f"{type(error).__name__}: {error}"))
        self.done = True


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Run:
    """One run of one boot: starts QEMU, follows the serial port, ends QEMU."""

    def __init__(self, boot, folder):
        self.boot = boot
        self.said = transcript.Transcript()
        self.problem = None
        self.status = None
        self.checked = {}  # check -> (problem, counters)
        self.steps_done = 0
        self.figures = []  # (name, number, the largest allowed), as the script's steps ask
        self._ports = {}
        self.step_clients = {number: HostClients(step["clients"], self._ports)
                             for number, step in enumerate(boot.script) if "clients" in step}
        self.clients = list(self.step_clients.values())  # in the order in which they start
        if "clients" in boot.scenario:
            self.clients.append(HostClients(boot.scenario["clients"], self._ports))
        self._socket = f"{folder}/monitor"
        self._pending = ""  # The line that has not ended yet.
        self._unmatched = ""  # What the script's next step has not matched yet.

    def machine(self):
        scenario = self.boot.scenario
        return emulator.Machine(
            kernel=project.target / "kernel" / f"kernel-{self.boot.variant}.elf",
            image=project.target / "images" / f"{scenario['system']}.img",
            cpus=self.boot.cpus, memory=scenario.get("memory", 256),
            append=scenario.get("append", ""), icount=self.boot.icount,
            network=scenario.get("network", False), devices=tuple(scenario.get("devices", ())),
            forwards=tuple((host, guest) for guest, host in self._ports.items()),
            monitor=None if self.boot.icount else self._socket)

    def complete(self):
        """Whether everything expected has happened, apart from powering off."""
        return self._guest_complete() and all(clients.done for clients in self.clients)

    def _guest_complete(self):
        return (self.said.ended(self.boot.expect) and
                self.steps_done == len(self.boot.script) and
                all(check in self.checked for check in self.boot.checks))

    def run(self):
        machine = self.machine()
        for path in (machine.kernel, machine.image):
            if not path.exists():
                self.problem = f"{path.relative_to(project.root)} was not built"
                return
        with jobs.heavy(1 if self.boot.cpus == 1 else jobs.slots):
            process = jobs.start(machine.arguments(), stdin=subprocess.PIPE, bufsize=0,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for clients in self.clients:
                if clients.at_once:
                    clients.start()
            try:
                self._follow(process)
                if self.problem:
                    self.problem += f"\n{self._places(machine.kernel)}"
            finally:
                jobs.stop(process)
                process.stdin.close()
                process.stdout.close()
        self.status = process.returncode
        if self._pending:
            self.said.add(self._pending)

    def _follow(self, process):
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        begun = time.monotonic()
        heard = begun
        timeout = self.boot.scenario.get("timeout", 120)
        self._talk(process)
        while True:
            ready = selector.select(0.2)
            now = time.monotonic()
            if self._guest_complete() and self.clients:
                self.clients[-1].start()
            if any(clients.begun and not clients.done for clients in self.clients):
                heard = now  # Serving, the guest has nothing to say.
            if ready:
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    process.wait(10)
                    return
                self._take(data.decode(errors="replace"))
                heard = time.monotonic()
            elif self.complete() and self.boot.scenario.get("exit") == "serves":
                return
            elif now - heard > (exit_limit if self.complete() else silence_limit):
                self.problem = f"nothing on the serial port for {now - heard:.0f} s"
                return
            self._talk(process)
            if now - begun > timeout:
                self.problem = f"not done after {timeout} s"
                return

    def _take(self, text):
        text = text.replace("\r", "")
        self._pending += text
        self._unmatched += text
        *lines, self._pending = self._pending.split("\n")
        for line in lines:
            check = self.said.add(line)
            if check:
                self._check(check)

    def _talk(self, process):
        """Takes the steps of the script for which it is time."""
        while self.steps_done < len(self.boot.script):
            step = self.boot.script[self.steps_done]
            clients = self.step_clients.get(self.steps_done)
            if clients:
                clients.start()
                if not clients.done:
                    return
            match = re.search(step.get("wait", ""), self._unmatched, re.M)
            if not match:
                return
            self.figures += [(name, float(match[name]), most)
                             for name, most in step.get("at_most", {}).items()]
            self._unmatched = self._unmatched[match.end():]
            self.steps_done += 1
            os.write(process.stdin.fileno(), step.get("send", "").encode())

    def _check(self, name):
        if name not in monitor.checks:
            self.said.problems.append(f"there is no check {name}")
        elif name in self.boot.checks:  # Other boots of the same program skip it.
            self.checked[name] = monitor.run(self._socket, name)

    def _places(self, kernel):
        try:
            return monitor.places(self._socket, kernel)
        except (OSError, ValueError) as error:
            return f"(where the CPUs are is not known: {error})"

    def tail(self):
        return "\n".join(f"| {line}" for line in self.said.lines[-25:])


def judge(run, suite):
    """Turns what one run said into cases."""
    boot = run.boot
    for name, part in run.said.suites.items():
        for case, (sentence, detail) in part.cases.items():
            suite.check(f"{name}.{case} {sentence}", detail)
        for counter, number in part.counters.items():
            suite.counters[f"{name} {counter}"] = number
        if name not in boot.expect:
            suite.fails(name, "the scenario does not expect this suite")
    for name in boot.expect:
        ended = name in run.said.suites and run.said.suites[name].end
        suite.check(f"{name} ends", None if ended else f"no END of {name}")
    for name in boot.checks:
        problem, counters = run.checked.get(name, ("the guest did not ask for it", {}))
        suite.check(f"monitor.{name}", problem)
        suite.counters.update({f"{name} {key}": value for key, value in counters.items()})
    for clients in run.clients:
        for case, problem in clients.cases:
            suite.check(f"clients: {case}", problem)
        suite.check("clients finish", None if clients.done else "they did not")
        suite.counters.update(clients.counters)
    for number, step in enumerate(boot.script):
        suite.check(f"step {number}: {step.get('wait', 'clients')}",
                    None if number < run.steps_done else "was not seen")
    for name, number, most in run.figures:
        suite.check(f"{name} is at most {most}", None if number <= most else f"it is {number}")
        suite.counters[name] = number
    for problem in run.said.problems:
        suite.fails("serial", problem)
    how = boot.scenario.get("exit", "clean")
    if how == "panicked":
        panics = len(run.said.panics)
        suite.check("panics once", None if panics == 1 else f"{panics} reports")
    else:
        for panic in run.said.panics:
            suite.fails("serial", panic)
    exit_status = {"clean": emulator.status_clean, "failed": emulator.status_failed,
                   "panicked": emulator.status_panic}
    wanted = exit_status.get(how)
    if wanted is not None:
        as_wanted = run.problem is None and run.status == wanted
        suite.check("powers off", None if as_wanted else f"QEMU's status is {run.status}")
    if run.problem:
        suite.fails("progress", run.problem)
    if suite.failed:
        case, detail = suite.failed.pop()
        suite.fails(case, f"{detail}\nlast lines:\n{run.tail()}")


def _execute(boot, log_name):
    # A socket's path must be short, so the folder is not below the project.
    with tempfile.TemporaryDirectory(prefix="annulus-") as folder:
        run = Run(boot, folder)
        run.run()
    log = project.results / "serial" / f"{log_name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(run.said.lines) + "\n")
    return run


def judge_best(scenario, runs, suite):
    """The clients' counters over boots in a row, as the scenario's `best` asks."""
    for name, most in scenario.get("best", {}).items():
        numbers = [clients.counters[name] for run in runs for clients in run.clients
                   if name in clients.counters]
        best = min(numbers, default=None)
        suite.counters[name] = best
        fine = best is not None and best <= most
        suite.check(f"{name}: the best of {len(numbers)} is at most {most}",
                    None if fine else f"it is {best}")


def run(report, boot):
    """Runs one boot, or its boots in a row; returns its measurements when they can be trusted."""
    with report.suite(f"guest-{boot.name}") as suite:
        runs = []
        while len(runs) < boot.scenario.get("repeat", 1) and not suite.failed:
            runs.append(_execute(boot, boot.name))
            judge(runs[-1], suite)
        suite.counters["boots"] = len(runs)
        judge_best(boot.scenario, runs, suite)
        first = runs[0]
        if boot.icount:
            second = _execute(boot, f"{boot.name}-again")
            differ = next((f"first  {one}\nsecond {two}" for one, two in
                           zip(first.said.lines, second.said.lines) if one != two), None)
            if differ is None and len(first.said.lines) != len(second.said.lines):
                differ = "one run said more than the other"
            suite.check("a second run says exactly the same", differ)
        return first.said.measurements if boot.icount and not first.said.problems else []
    return []
