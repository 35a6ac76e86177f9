"""Loopback ports for tests that run side by side.

They lie below those that systems give to outgoing connections, so that nothing but another test
could take one between the look and the use, and at random, so that hardly any does.
"""

import contextlib
import random
import socket

_FIRST, _LAST = 10_240, 31_999
# A node of a Redis Cluster also listens this far above its port, for its fellows.
_CLUSTER_BUS = 10_000


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    return _free(_LAST)


def free_cluster_port() -> int:
    """A port for a node of a Redis Cluster, whose second port is free as well."""
    return _free(_LAST - _CLUSTER_BUS, _CLUSTER_BUS)


def _free(last: int, *also: int) -> int:
    chance = random.SystemRandom()
    while True:
        port = chance.randint(_FIRST, last)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for offset in (0, *also):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return port
