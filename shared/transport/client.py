"""Connections that are dialled: a socket to one peer, by the name under which people know it.

libzmq is given numbers only. The addresses of a name are tried in turn, and looked up again while
the peer is away, and now and then in any case: where the name leads elsewhere, the connection
moves there.
"""

import logging
import shlex
import socket
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Final, Protocol

import zmq

from roommood.shared.process.logs import event
from roommood.shared.process.runtime import ConnectionLog
from roommood.shared.protocol.limits import (
    LOOKUP_AGAIN_MAX_MS,
    LOOKUP_AGAIN_MS,
    MAX_ADDRESSES,
    PROBE_EVERY_MS,
    UNREACHED_AGAIN_MS,
    UNREACHED_MS,
)
from roommood.shared.security.keys import ClientKeys
from roommood.shared.transport import resolver, sockets
from roommood.shared.transport.addresses import host_of, is_loopback
from roommood.shared.transport.monitors import (
    BROKEN_OFF_WITHOUT_KEYS,
    WHY_NOT,
    ConnectionEvent,
    Monitor,
    Reconnector,
)
from roommood.shared.transport.reachability import MUTE, NO_ANSWER, Reachability, why_not_connected
from roommood.shared.transport.sockets import Dealer

_log = logging.getLogger(__name__)
_PROBE_TIMEOUT_S: Final = 2.0
# The part of the time away after which a name is looked up again.
_AGAIN_AFTER: Final = 0.1


class Connect(Protocol):
    """`shared.transport.sockets.connect_frames` or `connect_reports`."""

    def __call__(
        self,
        context: zmq.Context[Dealer],
        address: str,
        *,
        insecure: bool,
        keys: ClientKeys | None = None,
    ) -> tuple[Dealer, Monitor]: ...


class Dialer:
    """What the connections of a component to one kind of peer have in common.

    `kind` is how logs call such a peer; `advice` says what to do about an address that was never
    reached, as a command where there is one.
    """

    def __init__(
        self,
        kind: str,
        context: zmq.Context[Dealer],
        poller: zmq.Poller,
        connect: Connect,
        advice: Callable[[str], str],
        *,
        insecure: bool,
        keys: ClientKeys | None,
    ) -> None:
        self.kind = kind
        self.advice = advice
        self.poller = poller
        self.insecure = insecure
        self.keys = keys
        self.log = ConnectionLog(kind)
        self.resolver = resolver.Resolver()
        self._context = context
        self._connect = connect
        self._told_ms: dict[str, float] = {}
        poller.register(self.resolver.fileno(), zmq.POLLIN)

    def open(self, address: str) -> tuple[Dealer, Monitor]:
        """A socket for this peer, connected if the address is a number. Raises ConfigError."""
        return self._connect(self._context, address, insecure=self.insecure, keys=self.keys)

    def tick(self, ready: Container[object] | None) -> None:
        """To be called first in each tick; `ready` is what a poll found readable, None: look."""
        if ready is None or self.resolver.fileno() in ready:
            self.resolver.drain()

    def may_tell(self, address: str, now_ms: float) -> bool:
        """False if it was told a short time ago that this one is away, by whatever connection."""
        told_ms = self._told_ms.get(address)
        if told_ms is not None and now_ms - told_ms < UNREACHED_AGAIN_MS:
            return False
        self._told_ms[address] = now_ms
        if len(self._told_ms) > MAX_ADDRESSES:
            del self._told_ms[next(iter(self._told_ms))]
        return True

    def close(self) -> None:
        """After all of its connections; once more does nothing."""
        if not self.resolver.closed:
            self.poller.unregister(self.resolver.fileno())
            self.resolver.close()


class ClientConnection:
    """A socket to the peer at `address`, in the poller of its dialer until it is closed.

    Of each tick: `events`, `tick`, and `answered` for each message that only such a peer sends.
    `learned` is an address that another peer passed on. Raises ConfigError.
    """

    def __init__(
        self, dialer: Dialer, address: str, now_ms: float, *, learned: bool = False
    ) -> None:
        self.address = address
        self.connected = False
        self.reach = Reachability(now_ms)
        self._dialer = dialer
        self._learned = learned
        self.socket, self._monitor = dialer.open(address)
        self._is_number = resolver.is_number(address)
        self._reconnector = Reconnector(
            self.socket, address if self._is_number else "", self._monitor
        )
        self._asked_ms, self._was_looked_up = now_ms, False
        self._probed_ms = now_ms - PROBE_EVERY_MS
        self._probed = ""
        dialer.poller.register(self.socket, zmq.POLLIN)
        dialer.poller.register(self._reconnector.descriptor, zmq.POLLIN)
        if not self._is_number:
            dialer.resolver.ask(address, learned=learned)

    def events(
        self, now_ms: float, ready: Container[object] | None = None
    ) -> Iterator[ConnectionEvent]:
        """All that has happened to the connection since; see `MonitorEvents.read`."""
        for change in self._reconnector.events(now_ms, ready):
            if change is ConnectionEvent.CONNECTED:
                self.connected = True
                self._why(NO_ANSWER)
            elif change is ConnectionEvent.DISCONNECTED:
                self.lost("connection closed", now_ms)
                self.connected = False
            elif change in WHY_NOT:
                self.lost(self._refusal(change), now_ms)
                self._why_refused(change)
            yield change

    def tick(self, now_ms: float) -> bool:
        """Dials, looks up and tells of what is due; True if a connection that stood was moved."""
        was_connected = self.connected
        moved = not self._is_number and self._take_numbers(now_ms)
        self._reconnector.tick(now_ms)
        if self.reach.away_since_ms is not None:
            self._find_out(now_ms)
        return moved and was_connected

    @property
    def own_address(self) -> str:
        """The address of this machine by which it is connected; "" while it is not."""
        return self._reconnector.own_address

    def answered(self) -> None:
        """A message came that only such a peer sends."""
        if self.reach.away_since_ms is not None:
            self.reach.answered()
            self._dialer.log.back(self.address)

    def lost(self, why: str, now_ms: float) -> None:
        """It answers no more; of one that never did, `tick` tells."""
        if self.reach.away_since_ms is None:
            self._dialer.log.lost(self.address, why)
        self.reach.lost(why, now_ms)

    def close(self, linger_ms: int) -> None:
        """Closes the socket; what is queued has `linger_ms` to leave."""
        self._dialer.poller.unregister(self.socket)
        self._dialer.poller.unregister(self._reconnector.descriptor)
        sockets.close(self.socket, self._monitor, linger_ms)
        self._dialer.log.forget(self.address)

    # Names

    def _take_numbers(self, now_ms: float) -> bool:
        """Uses what the name led to, and asks again where that is due; True if that moved it."""
        moved = False
        answer = self._dialer.resolver.answer(self.address)
        if answer is not None:
            self._asked_ms, self._was_looked_up = now_ms, True
            numbers = tuple(address for address in answer.addresses if self._is_allowed(address))
            if numbers and self._reconnector.use(numbers):
                moved = True
                self._note_move(now_ms)
            elif not self._reconnector.number:
                self._why(answer.why or f"{host_of(self.address)} leads to no usable address")
        if now_ms - self._asked_ms >= self._pause_ms(now_ms):
            self._dialer.resolver.ask(self.address, learned=self._learned)
        return moved

    def _is_allowed(self, number: str) -> bool:
        """Without keys a name leads no further than the address that was allowed."""
        dialer = self._dialer
        is_open = dialer.insecure or dialer.keys is not None
        return is_open or not is_loopback(self.address) or is_loopback(number)

    def _note_move(self, now_ms: float) -> None:
        name, number = self.address, self._reconnector.number
        event(_log, logging.INFO, f"{self._dialer.kind} name looked up", peer=name, number=number)
        if self.connected:
            self.lost("its name leads elsewhere now", now_ms)
            self.connected = False

    def _pause_ms(self, now_ms: float) -> float:
        if self.reach.away_since_ms is None:
            return LOOKUP_AGAIN_MAX_MS
        pause_ms = self.reach.away_ms(now_ms) * _AGAIN_AFTER
        return min(max(pause_ms, LOOKUP_AGAIN_MS), LOOKUP_AGAIN_MAX_MS)

    # Why it does not answer

    def _why(self, why: str) -> None:
        self.reach.why = why

    def _why_refused(self, change: ConnectionEvent) -> None:
        """An exact reason stays: who refuses may end the connection before that is read."""
        exact = (WHY_NOT[ConnectionEvent.UNSAFE], WHY_NOT[ConnectionEvent.REFUSED])
        if change is not ConnectionEvent.BROKEN_OFF or self.reach.why not in exact:
            self._why(self._refusal(change))

    def _refusal(self, change: ConnectionEvent) -> str:
        is_without_keys = self._dialer.keys is None
        if change is ConnectionEvent.BROKEN_OFF and is_without_keys:
            return BROKEN_OFF_WITHOUT_KEYS
        return WHY_NOT[change]

    def _find_out(self, now_ms: float) -> None:
        """Finds out why it is away before that is to be told, and tells it."""
        probed, self._probed = self._probed, ""
        if probed and self._reconnector.tcp_ms < self._probed_ms:
            self._why(probed)
        if self._reconnector.is_mute(now_ms):
            self._why(MUTE)
        away_ms, dialer = self.reach.away_ms(now_ms), self._dialer
        if not self._is_number and not self._was_looked_up:
            if away_ms > UNREACHED_MS / 2:
                self._why(f"no name server answers for {host_of(self.address)}")
        elif away_ms > UNREACHED_MS / 4 and now_ms - self._probed_ms >= PROBE_EVERY_MS:
            self._begin_probe(now_ms)
        if self.reach.is_due(now_ms) and dialer.may_tell(self.address, now_ms):
            self._tell(away_ms)

    def _begin_probe(self, now_ms: float) -> None:
        """libzmq does not tell why no TCP connection comes about: so it is tried beside it."""
        number, tcp_ms = self._reconnector.number, self._reconnector.tcp_ms
        if not number or now_ms - tcp_ms < PROBE_EVERY_MS:
            return
        self._probed_ms = now_ms

        def probe() -> None:
            self._probed = _probe(number)

        self._dialer.resolver.run(f"probe {self.address}", probe, learned=self._learned)

    def _tell(self, away_ms: float) -> None:
        kind, address = self._dialer.kind, self.address
        what = "still away" if self.reach.ever_answered else "never reached"
        event(
            _log,
            logging.WARNING,
            f"{kind} {what}",
            peer=address,
            why=self.reach.why,
            away_s=round(away_ms / 1000),
            todo=self._dialer.advice(address.removeprefix("tcp://")),
        )


def doctor_command(kind: str, keys_at: Path | None, address: str) -> str:
    """The command that finds out more about a peer that is not reached."""
    keys = f" --keys {shlex.quote(str(keys_at))}" if keys_at else ""
    return f"roommood doctor --{kind} {address}{keys}"


def _probe(number: str) -> str:
    """Why no connection to a number comes about; "" where one does."""
    host, port = host_of(number), int(number.rpartition(":")[2])
    try:
        socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S).close()
    except OSError as error:
        return why_not_connected(number, error)
    return ""
