"""Fakes that speak the protocol over real sockets, in the process of the component under test."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import zmq

from roommood.shared.clock import boot_ms
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Ack, Credit, Frame, Hello, Report
from roommood.shared.security.keys import ClientKeys, KeyPair
from roommood.shared.transport.sockets import (
    Router,
    bind_frames,
    bind_reports,
    close,
    connect_frames,
    receive,
    send,
)
from tests.shared.made import credit, frame, hello
from tests.shared.peers import until

Context = zmq.Context[zmq.Socket[bytes]]
T = TypeVar("T")


class Peer(Protocol):
    """Whoever a component speaks with."""

    def tick(self) -> None: ...
    def close(self) -> None: ...


class Rig:
    """A component and fakes of its peers: a tick is one of its loop and one of each of theirs."""

    def __init__(self) -> None:
        self.context: Context = zmq.Context()
        self.poller = zmq.Poller()
        self.peers: list[Peer] = []

    def tick(self) -> None:
        for peer in self.peers:
            peer.tick()

    def until(self, is_so: Callable[[], T]) -> T:
        return until(is_so, self.tick, self.poller)

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self.context.term()


class PolledCamera:
    """Says what it is told to; keeps the Credits that come."""

    def __init__(
        self,
        context: Context,
        address: str,
        poller: zmq.Poller,
        name: str,
        keys: ClientKeys | None = None,
    ) -> None:
        self.name = name
        self.socket, self.monitor = connect_frames(context, address, keys=keys)
        poller.register(self.socket, zmq.POLLIN)
        self.credits: list[Credit] = []
        self.sent = 0

    def say(self, *parts: bytes) -> None:
        assert self.socket.poll(20_000, zmq.POLLOUT)
        assert send(self.socket, list(parts))

    def hello(self, **changes: Any) -> None:
        plain = {"camera": self.name, "sent": self.sent, "sent_ms": boot_ms()}
        self.say(wire.encode_hello(hello(**plain | changes)))

    def frame(self, **changes: Any) -> None:
        plain = {"camera": self.name, "seq": self.sent, "sent_ms": boot_ms()}
        made = frame(**plain | changes)
        self.sent += 1
        self.say(wire.encode_frame(made), made.jpeg)

    def tick(self) -> None:
        while (parts := receive(self.socket)) is not None:
            self.credits.append(wire.decode_credit(parts[0]))

    @property
    def credit(self) -> Credit:
        return self.credits[-1]

    def close(self) -> None:
        close(self.socket, self.monitor)


class FakeWorker:
    """Hears Hellos and Frames; says what it is told to."""

    def __init__(
        self,
        context: Context,
        poller: zmq.Poller,
        address: str,
        name: str,
        keys: KeyPair | None = None,
    ) -> None:
        self.address, self.name = address, name
        self.router: Router = bind_frames(context, address, insecure=False, keys=keys)
        poller.register(self.router, zmq.POLLIN)
        self._poller = poller
        self.hellos: list[tuple[bytes, Hello]] = []
        self.frames: list[Frame] = []

    def tick(self) -> None:
        while (parts := receive(self.router)) is not None:
            if wire.kind_of(parts[1]) == b"H":
                self.hellos.append((parts[0], wire.decode_hello(parts[1])))
            else:
                self.frames.append(wire.decode_frame(parts[1], parts[2]))

    def say(self, **changes: Any) -> None:
        routing, heard = self.hellos[-1]
        plain = {"worker_id": self.name, "connection": heard.connection}
        assert send(self.router, [routing, wire.encode_credit(credit(**plain | changes))])

    def close(self) -> None:
        self._poller.unregister(self.router)
        close(self.router)


class FakeAggregator:
    """Hears Reports; acknowledges what it is told to."""

    def __init__(self, context: Context, poller: zmq.Poller, address: str) -> None:
        self.address = address
        self.router: Router = bind_reports(context, address, insecure=False)
        poller.register(self.router, zmq.POLLIN)
        self._poller = poller
        self.reports: list[Report] = []
        self.routing = b""

    def tick(self) -> None:
        while (parts := receive(self.router)) is not None:
            self.routing = parts[0]
            self.reports.append(wire.decode_report(parts[1]))

    @property
    def tickets(self) -> list[int]:
        return [row.ticket for report in self.reports for row in report.results]

    def ack(self, *tickets: int, **more: Any) -> None:
        ack = Ack("agg", boot_ms(), committed=tickets, **more)
        assert send(self.router, [self.routing, wire.encode_ack(ack)])

    def close(self) -> None:
        self._poller.unregister(self.router)
        close(self.router)
