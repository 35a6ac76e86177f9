"""Waiting for sockets in tests: by polling with a deadline, never by sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

import zmq

from tests.ports import free_port

T = TypeVar("T")
DEADLINE_S = 60.0


def free_address() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


def until(is_so: Callable[[], T], tick: Callable[[], object], poller: zmq.Poller) -> T:
    """Turns a loop, each time something comes or 10 ms are over, until it is so; what it is."""
    end = time.monotonic() + DEADLINE_S
    while not (value := is_so()):
        assert time.monotonic() < end, f"not so after {DEADLINE_S} s"
        poller.poll(10)
        tick()
    return value
