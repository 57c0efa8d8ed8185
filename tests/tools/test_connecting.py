# SPDX-License-Identifier: MIT
"""Clients on the host wait until what listens has taken their connection."""

import pathlib
import socket
import threading
import time
import unittest

import support  # noqa: F401
import connecting

table = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:1F92 0100007F:1F90 01 00000000:00000005 00:00000000 00000000     0        0 3 1
"""


class Waiting(unittest.TestCase):
    def test_the_queue_of_the_listener_of_the_port_counts(self):
        self.assertEqual([connecting.waiting(port, table) for port in (8080, 8081, 8082, 8083)],
                         [2, 0, 0, 0])


class Connect(unittest.TestCase):
    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]

    def test_many_at_once_come_through_a_queue_of_one(self):
        count = 40
        made = []
        threads = [threading.Thread(target=lambda: made.append(connecting.connect(self.port, 20)))
                   for _ in range(count)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        taken = []
        while len(taken) < count:
            taken.append(self.listener.accept()[0])
            most = connecting.waiting(self.port, pathlib.Path("/proc/net/tcp").read_text())
            self.assertLessEqual(most, 1)
        for thread in threads:
            thread.join()
        # One that was dropped would have come a second later.
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(len(made), count)
        for connection in made + taken:
            connection.close()

    def test_nobody_accepts(self):
        with self.assertRaises(TimeoutError):
            connecting.connect(self.port, 0.05)


if __name__ == "__main__":
    unittest.main()
