"""Who comes to a bound socket and does not get in: counted, told and cut on a thread of its own."""

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from roommood.shared.clock import boot_ms
from roommood.shared.process.logs import RateLimitedLog
from roommood.shared.process.metrics import Sample
from roommood.shared.process.runtime import Deadline, Waker
from roommood.shared.protocol.limits import MAX_JPEG_BYTES
from roommood.shared.transport.connections import Connections
from roommood.shared.transport.monitors import has_events, watch
from roommood.shared.transport.port_holder import lately_gone

_log = logging.getLogger(__name__)
_LISTENER_EVENTS: Final = (
    zmq.Event.ACCEPTED
    | zmq.Event.HANDSHAKE_FAILED_AUTH
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.DISCONNECTED
)
_PROTOCOL_REASONS: Final[Mapping[int, str]] = {
    int(zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC): "not-encrypted-for-us",
    int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH): "other-security",
}
_MOST_S_TO_END_STRANGERS: Final = 0.5
_POLL_MS: Final = 10

_WORDS: Final[Mapping[str, str]] = {
    "not-encrypted-for-us": "not-encrypted-for-us: it trusts another key than ours; copy its keys "
    "again from the site's folder",
    "other-security": "other-security: keys on one side only; give --keys on both",
    "broken-off": "broken-off: it left, or fell silent, in the handshake",
    "protocol": "protocol: it does not speak ZeroMQ",
}


class ConnectionMonitor:
    """Counts, by reason, the connections to a bound socket that did not come to anything.

    `unknown-key`: not admitted. `other-security`: it has no keys, or keys where none are used.
    `not-encrypted-for-us`: it trusts another key. `broken-off`: silent too long, or gone.
    `protocol`: no ZeroMQ. `mute`, `endless`, `crowd`: cut, see `Connections`, which wants to be
    told of each message. `closed`: connections that ended, also the good ones.

    All are looked at on a thread of its own, and strangers cut: they are bounded also while the
    component waits. `wake`, safe from any thread, asks for a `tick`.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        first: int = MAX_JPEG_BYTES,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._socket = socket
        self._wake = wake
        self._monitor = watch(socket, _LISTENER_EVENTS)
        self._keyed = bool(socket.getsockopt(zmq.CURVE_SERVER))
        self.connections = Connections(keyed=self._keyed, first=first)
        self.counts: Counter[str] = Counter()
        self._failed = ""
        self._port = int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2] or 0)
        self._limited_log = RateLimitedLog(_log)
        self._waker, self._stopping = Waker(), False
        self._thread = threading.Thread(target=self._run, name="connections", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once strangers are bounded no more."""
        return self._thread.is_alive()

    def tick(self) -> None:
        """To be called after messages were received: ends who is mute or endless."""
        if not self.alive:
            self.connections.look(boot_ms(), self.connections.take_heard())  # nobody else does
        for reason in self.connections.cut(boot_ms()):
            self._note(reason)

    def stop(self) -> None:
        """To be called before the socket is closed, by the thread that uses it."""
        self._stopping = True
        self._waker.wake()
        self._thread.join()
        self._waker.close()
        if not self._keyed:
            self._end_strangers()
        self._socket.disable_monitor()
        self._monitor.close(0)

    def _end_strangers(self) -> None:
        """Without keys a peer may be taken for one of ZMTP 1.0 or 2.0, and if its first bytes come
        while the socket closes, libzmq 4.3.5 ends this process (process_routing_id_msg). So whoever
        has sent no message yet is gone before."""
        deadline = Deadline(_MOST_S_TO_END_STRANGERS)
        while self.connections.end_strangers() and not deadline.passed:
            self._monitor.poll(_POLL_MS)
            while has_events(self._monitor):
                message = recv_monitor_message(self._monitor, zmq.NOBLOCK)
                if message["event"] == zmq.Event.DISCONNECTED:
                    self.connections.closed(message["value"])
                elif message["event"] == zmq.Event.ACCEPTED:
                    self._take(message)

    def samples(self, component: str) -> Iterator[Sample]:
        """The metric of a component's connections that ended, by reason."""
        for reason, count in Counter(self.counts).items():
            name = f"roommood_{component}_connections_ended_total"
            yield Sample(name, "Connections that ended, by reason.", count, {"reason": reason})

    # Its thread

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._monitor, zmq.POLLIN)
        poller.register(self._waker.fileno(), zmq.POLLIN)
        try:
            while not self._stopping:
                poller.poll(math.ceil(self.connections.next_look_ms(boot_ms())))
                self._tick()
        except Exception:
            _log.exception("strangers are bounded no more; restart this process")

    def _tick(self) -> None:
        heard = self.connections.take_heard()
        while has_events(self._monitor):
            self._take(recv_monitor_message(self._monitor, zmq.NOBLOCK))
        for reason in self.connections.look(boot_ms(), heard):
            self._note(reason)
        if self.connections.overdue:
            self._wake()

    def _take(self, message: Mapping[str, Any]) -> None:
        event, value = message["event"], message["value"]
        if event == zmq.Event.ACCEPTED:
            for reason in self.connections.accepted(value, boot_ms()):
                self._note(reason)
            return
        if event == zmq.Event.DISCONNECTED:
            self._tell_failed(value)
            self.connections.closed(value)
        else:
            self._failed = _reason(event, value)
        self._note(_reason(event, value))

    def _tell_failed(self, fd: int) -> None:
        """libzmq tells the end of a connection right after why its handshake failed, and only then
        which it was. Who has an unknown key is logged by the authenticator."""
        failed, self._failed = self._failed, ""
        if failed and failed != "unknown-key":
            peer = self.connections.peer(fd)
            why = _WORDS.get(failed, failed)
            self._limited_log.event("connection failed", peer=lambda: self._named(peer), why=why)

    def _named(self, peer: str) -> str:
        """It may have been gone before it was looked at."""
        return peer or lately_gone(self._port) or "unknown"

    def _note(self, reason: str) -> None:
        self.counts[reason] += 1
        if reason in ("mute", "endless", "crowd"):
            self._limited_log.event("connection cut", why=reason)


def _reason(event: zmq.Event, value: int) -> str:
    if event == zmq.Event.DISCONNECTED:
        return "closed"
    if event == zmq.Event.HANDSHAKE_FAILED_AUTH:
        return "unknown-key"
    if event == zmq.Event.HANDSHAKE_FAILED_NO_DETAIL:
        return "broken-off"
    return _PROTOCOL_REASONS.get(value, "protocol")
