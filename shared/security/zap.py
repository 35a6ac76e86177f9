"""Asks for each new connection whether its key may come in (ZAP, rfc.zeromq.org/spec/27).

libzmq lets anyone in if nobody answers, unless ZAP_ENFORCE_DOMAIN is set, as `transport.sockets`
does; so where this thread has not been started, or has died, nobody new gets in.
"""

import logging
import threading
from typing import Any, Final

import zmq
from zmq.utils import z85

from roommood.shared.clock import boot_ms
from roommood.shared.process.logs import RateLimitedLog
from roommood.shared.process.runtime import Waker
from roommood.shared.security.allow_list import AccessPolicy
from roommood.shared.security.keys import fingerprint

_ENDPOINT: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_REQUEST_PARTS: Final = 7
# Milliseconds between two looks at who is allowed, while nobody knocks.
_LOOK_MS: Final = 1_000
# Milliseconds without a look after which the thread hangs: at a list on a disk that is gone, say.
_HUNG_MS: Final = 10_000.0
_log = logging.getLogger(__name__)


class Authenticator:
    """A thread that answers for the bound socket of one context.

    Who is let in is known by its public key from then on: `transport.sockets.receive_from` tells
    it with each message. Start it before anything is bound and stop it after all is closed.
    """

    def __init__(self, context: zmq.Context[Any], policy: AccessPolicy) -> None:
        self._policy = policy
        self._limited_log = RateLimitedLog(_log)
        self._waker = Waker()
        self._stopping = False
        self._looked_ms = boot_ms()
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ENDPOINT)
        self._thread = threading.Thread(target=self._run, name="authenticator", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once nobody new can get in any more."""
        return self._thread.is_alive()

    @property
    def fault(self) -> str:
        """What to say of it once it is dead, or as long as it hangs; "" while it works."""
        if not self.alive:
            return "the authenticator has ended: nobody new gets in; restart"
        hung_s = (boot_ms() - self._looked_ms) / 1000
        if hung_s * 1000 < _HUNG_MS:
            return ""
        return (
            f"the authenticator hangs for {hung_s:.0f} s: nobody new gets in, and a key that is "
            "revoked serves on; can the list of keys be read? If so, restart"
        )

    def stop(self) -> None:
        """Ends the thread; nobody new gets in from now on."""
        self._stopping = True
        self._waker.wake()
        self._thread.join()
        self._waker.close()

    def _run(self) -> None:
        try:
            poller = zmq.Poller()
            poller.register(self._socket, zmq.POLLIN)
            poller.register(self._waker.fileno(), zmq.POLLIN)
            while not self._stopping:
                poller.poll(_LOOK_MS)
                self._looked_ms = boot_ms()
                self._tick()
        except Exception:
            _log.exception("the authenticator ended: nobody new gets in; restart this process")
        finally:
            self._socket.close(0)

    def _tick(self) -> None:
        self._policy.refresh()
        while self._socket.poll(0):
            self._answer(self._socket.recv_multipart())

    def _answer(self, request: list[bytes]) -> None:
        key = self._admitted(request)
        status, text = (b"200", b"OK") if key else (b"400", b"this key may not come in")
        number = request[1] if len(request) > 1 else b""
        self._socket.send_multipart([_VERSION, number, status, text, key.encode(), b""])

    def _admitted(self, request: list[bytes]) -> str:
        """The public key of who may come in, "" for all others."""
        if len(request) != _REQUEST_PARTS or request[0] != _VERSION or request[5] != b"CURVE":
            return ""
        address, data = request[3].decode(errors="replace").removeprefix("::ffff:"), request[6]
        key = z85.encode(data).decode() if len(data) == 32 else ""
        if key and self._policy.authorizes(key):
            return key
        self._limited_log.event("key not allowed", peer=address, key=fingerprint(key))
        return ""
