# SPDX-License-Identifier: MIT
"""How QEMU is started: the one place that knows its options, for `make run` and for the tests."""

import dataclasses
import os
import pathlib
import shutil
import signal

root = pathlib.Path(__file__).resolve().parent.parent
target = root / "build" / "target"
program = "qemu-system-x86_64"

# What the kernel's use of the debug-exit device makes of QEMU's exit status (2 * value + 1).
status_clean = 33
status_panic = 35
status_failed = 37


@dataclasses.dataclass
class Machine:
    """One virtual machine. Paths of kernel and image; memory in MiB."""

    kernel: pathlib.Path
    image: pathlib.Path
    cpus: int = 2
    memory: int = 256
    append: str = ""
    # Deterministic: the time-stamp counter counts instructions, and a run repeats exactly.
    icount: bool = False
    # The first serial port, as QEMU's -serial takes it.
    serial: str = "stdio"
    # A path for QEMU's machine protocol (QMP) on a Unix socket.
    monitor: pathlib.Path | None = None
    # A network card, on a network of QEMU's own that leads nowhere else.
    network: bool = False
    # A port of the host's loopback that leads to the guest's port 80.
    forwards: tuple = ()  # (port of the host's loopback address, port of the guest), TCP

    # More devices, as QEMU's -device takes them.
    devices: tuple = ()

    def arguments(self):
        line = [program, "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none",
                "-machine", "q35", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
                "-m", str(self.memory), "-serial", self.serial,
                "-kernel", str(self.kernel), "-initrd", str(self.image)]
        if self.append:
            line += ["-append", self.append]
        if self.icount:
            line += ["-accel", "tcg", "-cpu", "max,-erms,-fsrm",
                     "-icount", "shift=0,sleep=off", "-rtc", "base=2020-01-01,clock=vm",
                     "-seed", "1", "-smp", "1"]
        else:
            line += ["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(self.cpus)]
        if self.monitor:
            line += ["-chardev", f"socket,id=monitor,path={self.monitor},server=on,wait=off",
                     "-mon", "chardev=monitor,mode=control"]
        if self.network:
            forward = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}"
                              for host, guest in self.forwards)
            line += ["-netdev", f"user,id=net,restrict=on{forward}",
                     "-device", "virtio-net-pci,netdev=net,disable-legacy=on,romfile=,"
                     "mac=52:54:00:12:34:56"]
        for device in self.devices:
            line += ["-device", device]
        return line


def missing():
    """Why QEMU cannot be started, or None."""
    if shutil.which(program) is None:
        return f"{program} is missing: run tools/setup run"
    return None


def end(process):
    """Ends a running QEMU: politely, then by force."""
    for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        if process.poll() is not None:
            return
        os.kill(process.pid, number)
        try:
            process.wait(seconds)
        except Exception:  # subprocess.TimeoutExpired; the next signal is stronger
            continue
