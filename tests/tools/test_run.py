# SPDX-License-Identifier: MIT
"""What `make run` promises of its command: how it ends, what it leaves, what it says.

Each case boots the default system, which has to be built.
"""

import contextlib
import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import support

command = str(support.root / "tools" / "run")
patience = 120  # s, on a busy machine


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(true, what):
    end = time.monotonic() + patience
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {patience} s")
        time.sleep(0.05)


def served(port):
    """Whether the page is answered."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
            return page.status == 200
    except (OSError, urllib.error.URLError):
        return False


def children(process):
    path = f"/proc/{process}/task/{process}/children"
    return [int(word) for word in pathlib.Path(path).read_text(encoding="ascii").split()]


def alive(process):
    """Whether it runs; one that waits to be reaped does not."""
    try:
        status = pathlib.Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def kill(processes):
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


@contextlib.contextmanager
def running(line=(command,)):
    """The command serving without a terminal, its port and its emulator's process."""
    port = free_port()
    process = subprocess.Popen(line, env={**os.environ, "HTTP_PORT": str(port)},
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    inner = []
    try:
        until(lambda: served(port), "a page")
        inner = children(process.pid)
        yield process, inner
    finally:
        kill([*inner, process.pid])
        process.wait()


def said(line=(command,), **environment):
    """Exit status and output of a command that ends by itself."""
    result = subprocess.run(line, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=patience, check=False)
    return result.returncode, result.stdout


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self):
        self.text = ""
        self.process, self.end = pty.fork()
        if self.process == 0:
            os.environ["HTTP_PORT"] = "0"
            os.execv(command, [command])

    def type(self, text):
        os.write(self.end, text.encode())

    def _read(self):
        """Whether there was anything within a moment. The terminal of a process that ended has
        an end (EIO)."""
        if not select.select([self.end], [], [], 0.1)[0]:
            return False
        try:
            data = os.read(self.end, 4096)
        except OSError:
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, text):
        """Reads until `text` has come; what came is used up."""
        def come():
            self._read()
            return text in self.text
        try:
            until(come, f"{text!r} on the terminal")
        except AssertionError as error:
            raise AssertionError(f"{error}; there was: {self.text[-500:]}") from None
        self.text = self.text.partition(text)[2]

    def status(self):
        """The exit status; output is read and dropped until then."""
        status = None

        def ended():
            nonlocal status
            self._read()
            ready, status = os.waitpid(self.process, os.WNOHANG)
            return ready != 0
        until(ended, "the end of the command")
        self.process = 0
        return os.waitstatus_to_exitcode(status)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            kill([*children(self.process), self.process])
            os.waitpid(self.process, 0)
        os.close(self.end)


class WithoutTerminal(unittest.TestCase):
    def end_by(self, number, *, line=(command,)):
        """The exit status after a signal, when the emulator has gone, too."""
        with running(line) as (process, inner):
            self.assertEqual(len(inner), 1)
            process.send_signal(number)
            status = process.wait(patience)
            until(lambda: not any(alive(one) for one in inner), "the emulator's end")
            return status

    def test_serves_until_a_signal_that_ends_it(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                self.assertEqual(self.end_by(number), 128 + number)

    def test_leaves_no_emulator_when_it_is_killed(self):
        self.assertEqual(self.end_by(signal.SIGKILL), -signal.SIGKILL)

    def test_ends_with_the_make_that_started_it(self):
        with tempfile.TemporaryDirectory() as folder:
            rules = pathlib.Path(folder) / "Makefile"
            rules.write_text(f"run:\n\t@exec {command}\n", encoding="utf-8")
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(number):
                    status = self.end_by(number, line=["make", "-f", str(rules), "run"])
                    self.assertNotEqual(status, 0)

    def test_a_shutdown_on_its_input_is_a_clean_end(self):
        result = subprocess.run([command], input=b"shutdown\n", capture_output=True,
                                env={**os.environ, "HTTP_PORT": "0"}, timeout=patience,
                                check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class Panics(unittest.TestCase):
    def test_the_status_tells_of_a_panic(self):
        status, text = said(KERNEL="debug", APPEND="panic=assert", HTTP_PORT="0")
        self.assertEqual(status, 1, text)
        self.assertIn("\npanic: the drill", text)
        self.assertIn("tools/run: the kernel panicked", text)


class TooLittleMemory(unittest.TestCase):
    def test_it_says_what_is_missing_and_fails(self):
        status, text = said(MEMORY="64M", HTTP_PORT="0")
        self.assertEqual(status, 1, text)
        self.assertIn("the budgets take", text)
        self.assertIn("tools/run: the system gave up", text)


class OnATerminal(unittest.TestCase):
    def test_an_interrupt_key_goes_to_the_shell(self):
        with Terminal() as terminal:
            terminal.expect("> ")
            terminal.type("no such command\x03")
            terminal.expect("> ")
            terminal.type("help\r")
            terminal.expect("shutdown")
            terminal.expect("> ")
            terminal.type("shutdown\r")
            self.assertEqual(terminal.status(), 0)

    def test_ctrl_a_x_ends_it(self):
        with Terminal() as terminal:
            terminal.expect("> ")
            inner = children(terminal.process)
            terminal.type("\x01x")
            terminal.status()
            until(lambda: not any(alive(one) for one in inner), "the emulator's end")


class Messages(unittest.TestCase):
    def test_a_port_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            status, text = said(HTTP_PORT=str(other.getsockname()[1]))
        self.assertEqual(status, 1)
        self.assertRegex(text, r"^tools/run: port \d+ of this machine cannot be used")

    def test_numbers_that_are_none(self):
        for name, value in (("HTTP_PORT", "80a"), ("HTTP_PORT", "65536"), ("CPUS", "0"),
                            ("MEMORY", "-1"), ("MEMORY", "5M"), ("MEMORY", "64G")):
            status, text = said(**{name: value})
            self.assertEqual(status, 1)
            self.assertIn(f"{name}={value} is not a number", text)

    def test_names_that_are_none(self):
        build = str(support.root / "tools" / "build")
        for name, value, right in (("SYSTEM", "nowhere", "default"), ("KERNEL", "fast", "release")):
            status, text = said([build, "run"], **{name: value})
            self.assertEqual(status, 1)
            self.assertRegex(text, f"^tools/build: .*{value}.*{right}")

    def test_a_system_that_is_not_built(self):
        status, text = said(SYSTEM="nowhere", MEMORY="512M")
        self.assertEqual(status, 1)
        self.assertIn("nowhere.img is not built", text)

    def test_a_missing_emulator(self):
        status, text = said([sys.executable, command], PATH="/nowhere")
        self.assertEqual(status, 1)
        self.assertIn("qemu-system-x86_64 is missing", text)


if __name__ == "__main__":
    unittest.main()
