# SPDX-License-Identifier: MIT
"""Connections to ports that QEMU forwards into the guest.

QEMU listens with a backlog of one. Of clients that connect at the same moment the host's kernel
drops some: they see a reset a second later, and nothing of them ever reached the guest. So each
waits until QEMU has taken its connection before the next one comes.
"""

import pathlib
import re
import socket
import threading
import time

_one = threading.Lock()
_sockets = pathlib.Path("/proc/net/tcp")


def waiting(port, sockets):
    """Connections that the listener of the port has not accepted, by a text like /proc/net/tcp.

    In a listener's line, the one in state 0A, the second queue is that of accept (proc_net_tcp of
    the kernel's documentation). Nobody listens: 0.
    """
    line = re.search(rf"^ *\d+: \w+:{port:04X} \w+:0000 0A \w+:(\w+) ", sockets, re.MULTILINE)
    return int(line[1], 16) if line else 0


def connect(port, within):
    """A connection to a forwarded port that QEMU has accepted. OSError when it takes longer.

    within: seconds, for this and for what is done with the connection, one operation at a time.
    """
    end = time.monotonic() + within
    with _one:
        connection = socket.create_connection(("127.0.0.1", port), within)
        while waiting(port, _sockets.read_text()) > 0:
            if time.monotonic() > end:
                connection.close()
                raise TimeoutError(f"QEMU does not accept on port {port}")
            time.sleep(0.001)
    connection.settimeout(within)
    return connection
