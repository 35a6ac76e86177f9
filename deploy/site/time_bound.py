"""A bound on what is done over one connection by ssh.

pyinfra's own (`_timeout`) waits in gevent, which paramiko's reading never lets have its turn: it
holds on this machine alone.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def bounded(connector: Any, timeout_s: float) -> Iterator[None]:
    """Raises TimeoutError where the block takes longer, and has closed the connection then.

    Raises EOFError where it has ended before. Does nothing without one, on this machine itself.
    """
    if not hasattr(connector, "client"):
        yield
        return
    client = connector.client
    transport = client.get_transport() if client else None
    if transport is None or not transport.is_active():
        raise EOFError
    has_expired = threading.Event()

    def expire() -> None:
        has_expired.set()
        client.close()

    timer = threading.Timer(timeout_s, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:  # whatever reading from what was closed under it raises
        if not has_expired.is_set():
            raise
    finally:
        timer.cancel()
    if has_expired.is_set():
        raise TimeoutError(f"no end within {timeout_s:g} s")
