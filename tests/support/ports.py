"""Ports for servers that are told which to use."""

import os
import random
import socket
from contextlib import ExitStack


def free_port() -> int:
    """Return a port of 127.0.0.1 to which nothing listens."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return ports that no client is given for its own end, and no other worker of pytest for a server.

    So they stay free until a server has started, and while it is stopped.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    # The process that starts the workers starts the servers that they share.
    first = 20_000 + 3_000 * (int(worker[2:]) % 4) if worker else 17_000
    found: list[int] = []
    with ExitStack() as probes:
        for port in random.SystemRandom().sample(range(first, first + 3_000), 3_000):
            if len(found) == count:
                break
            probe = probes.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    assert len(found) == count, f"of the ports from {first} on only {len(found)} are free"
    return found
