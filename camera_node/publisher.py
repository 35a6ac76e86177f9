"""Sends the newest frame to the worker that asked for one and will be served soonest."""

import dataclasses
import logging
import math
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import zmq

from roommood.camera_node.deliveries import Refusals, unreached
from roommood.camera_node.frames import Frames, Outgoing
from roommood.camera_node.hellos import Hellos
from roommood.camera_node.membership import Membership
from roommood.camera_node.worker_connection import Pause, WorkerConnection, all_say, soonest
from roommood.shared.clock import boot_ms
from roommood.shared.errors import ConfigError, WireError
from roommood.shared.process.logs import RateLimitedLog, event
from roommood.shared.protocol import wire
from roommood.shared.protocol.limits import CREDIT_VOID_MS, MAX_STATUS_CHARS
from roommood.shared.protocol.messages import CameraHealth, Credit, Hello
from roommood.shared.security.keys import ClientKeys
from roommood.shared.transport import sockets
from roommood.shared.transport.client import Dialer, doctor_command
from roommood.shared.transport.monitors import ConnectionEvent
from roommood.shared.transport.sockets import Dealer

if TYPE_CHECKING:
    from roommood.shared.opencv import Pixels

_log = logging.getLogger(__name__)
_MEMBERSHIP_EVERY_MS: Final = 500.0
# Whom a discovered address is heard from: not this machine, so loopback ones are left out.
_LOCAL_NETWORK: Final = "tcp://local-network:0"
# Milliseconds that the last words may take to leave when a socket is closed.
_LINGER_MS: Final = 200


class Publisher:
    """The frame protocol of a camera, over any number of workers.

    `hello` is made of what only the node knows, `status` is its source's; the link's numbers are
    filled in here. Call `tick` whenever the poller says that a socket is readable, and each 500 ms.
    """

    def __init__(
        self,
        context: zmq.Context[Dealer],
        poller: zmq.Poller,
        workers: Iterable[str],
        hello: Callable[[], Hello],
        status: Callable[[], str],
        nominal_interval_us: int,
        *,
        insecure: bool = False,
        keys: ClientKeys | None = None,
        keys_at: Path | None = None,
        discovered: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._discovered = discovered
        self._dialer = Dialer(
            "worker",
            context,
            poller,
            sockets.connect_frames,
            partial(doctor_command, "worker", keys_at),
            insecure=insecure,
            keys=keys,
        )
        self._hello, self._source_status = hello, status
        self._identity = hello()
        self._membership = Membership(self._identity.camera, workers)
        self._membership_due_ms = 0.0
        self._links: dict[str, WorkerConnection] = {}
        self._limited_log = RateLimitedLog(_log)
        self._pause = Pause()
        self._next_link = self._connections = 0
        self._lost_on_closed_links = 0
        self._frames = Frames(self._identity, nominal_interval_us)
        self.sent = 0
        self.last_transit_ms: float | None = None
        self._refusals = Refusals()
        self._hellos = Hellos()
        for address in self._membership.configured:
            self._open(address)

    # What the node asks

    def may_send(self) -> bool:
        """True if a worker has asked for a frame and its socket takes one."""
        now_ms = boot_ms()
        return any(sockets.is_writable(link.socket) for link in self._asking(now_ms))

    def _asking(self, now_ms: float) -> Iterator[WorkerConnection]:
        is_due = now_ms >= self._frames.holding.due_ms()
        for link in self._links.values():
            if (is_due or not link.window.may_hold) and link.window.available(now_ms) > 0:
                yield link

    @property
    def may_hold(self) -> bool:
        """True if all who ask for a frame now let it be held where it looks as the last one did."""
        asking = list(self._asking(boot_ms()))
        return bool(asking) and all(link.window.may_hold for link in asking)

    def holds(self, captured_ms: float, glance: "Callable[[], Pixels]", step_ms: float) -> bool:
        """Whether this picture is not sent, one of those that come each `step_ms`."""
        age_ms, holding = boot_ms() - captured_ms, self._frames.holding
        return self.may_hold and holding.holds(captured_ms, age_ms, glance, step_ms)

    def until_look_ms(self) -> float:
        """Milliseconds until a picture is to be looked at, infinite where none may be held."""
        now_ms = boot_ms()
        windows = (link.window for link in self._links.values())
        if not any(window.may_hold and window.available(now_ms) > 0 for window in windows):
            return math.inf
        return max(0.0, self._frames.holding.due_ms() - now_ms)

    @property
    def paused(self) -> bool:
        return self._pause.holds(self._links.values())

    @property
    def luma_suffices(self) -> bool:
        """True if every worker that speaks to us makes nothing of colour."""
        return all_say(self._links.values(), lambda link: link.window.reads_luma)

    @property
    def unsettled(self) -> int:
        return sum(link.window.unsettled for link in self._links.values())

    @property
    def lost_with_worker(self) -> int:
        now_ms = boot_ms()
        windows = [link.window for link in list(self._links.values())]
        lost = sum(window.lost_with_worker + window.presumed_lost(now_ms) for window in windows)
        return lost + self._lost_on_closed_links

    @property
    def connected_workers(self) -> int:
        """Those that have answered on a connection that stands."""
        windows = [link.window for link in list(self._links.values())]
        return sum(window.connected and bool(window.worker_id) for window in windows)

    def counted(self, health: CameraHealth) -> CameraHealth:
        """What the node says of itself, with what this class knows of the pictures' way."""
        source, lost = self._status(health.source), self.lost_with_worker
        return dataclasses.replace(health, sent=self.sent, lost_with_worker=lost, source=source)

    def _status(self, source: str) -> str:
        if source != "ok":
            return source
        return (self._refusals.status or unreached(self.away()) or source)[:MAX_STATUS_CHARS]

    def away(self) -> dict[str, str]:
        """By address of a worker that has not answered for a while: why not."""
        now_ms, links = boot_ms(), list(self._links.values())
        return {link.address: link.reach.why for link in links if link.reach.is_away(now_ms)}

    def states(self) -> dict[str, str]:
        """By address of a worker: "reached", or why not."""
        return {link.address: link.reach.state for link in list(self._links.values())}

    # Each tick of the loop

    def tick(self, ready: Container[object] | None = None) -> None:
        """Takes in all that came, says Hello where due, keeps the membership.

        `ready` is what a poll has just found readable; None: all are looked at.
        """
        now_ms = boot_ms()
        self._dialer.tick(ready)
        for link in self._links.values():
            self._take_events(link, now_ms, ready)
            if link.tick(now_ms):
                self._note_disconnected(link)
            if ready is None or link.socket in ready:
                self._take_messages(link)
        now_ms = boot_ms()
        self._hellos.call(self._links.values(), now_ms, lambda: self._status(self._source_status()))
        for link in self._links.values():
            if link.window.connected and link.hello_due:
                self._say_hello(link, now_ms)
        self._note_silence(now_ms)
        self._keep_membership(now_ms)

    def take_messages(self, ready: Container[object] | None = None) -> None:
        """Takes in what workers have said, and does what follows from it at once."""
        for link in self._links.values():
            if ready is None or link.socket in ready:
                self._take_messages(link)
        self._keep_membership(boot_ms())

    def _take_events(
        self, link: WorkerConnection, now_ms: float, ready: Container[object] | None
    ) -> None:
        for change in link.events(now_ms, ready):
            if change is ConnectionEvent.CONNECTED:
                self._connections += 1
                link.window.connect(self._connections, boot_ms())
                self._membership.proved(link.address)
                link.hello_due = True
            elif change is ConnectionEvent.DISCONNECTED:
                self._note_disconnected(link)

    def _note_disconnected(self, link: WorkerConnection) -> None:
        link.window.disconnect()
        self._membership.lost(link.address)

    def _take_messages(self, link: WorkerConnection) -> None:
        while (parts := sockets.receive(link.socket)) is not None:
            try:
                credit = wire.decode_credit(parts[0])
            except WireError as error:
                self._limited_log.event("credit refused", worker=link.address, why=str(error))
                continue
            self._take_credit(link, credit)

    def _take_credit(self, link: WorkerConnection, credit: Credit) -> None:
        now_ms = boot_ms()
        unsettled, worker_id = link.window.unsettled, link.window.worker_id
        if not link.window.take(credit, now_ms):
            return
        if link.window.worker_id != worker_id:
            # Is it known by another address too? To be seen before it is sent a frame.
            self._membership_due_ms = 0.0
        link.answered()
        if link.window.may_hold:
            self._frames.holding.allow(credit)
        settled = unsettled - link.window.unsettled if link.window.worker_id == worker_id else 0
        refused = link.newly_refused(credit)
        if settled > 0:
            self.last_transit_ms = credit.transit_ms
        if settled > refused:
            self._membership.took_frames(link.address)
        self._refusals.note(settled, refused, credit.refused_why)
        self._note_refusal(link, credit.refused)
        link.take_pause(credit, now_ms)
        self._membership.heard(link.address, now_ms)
        self._membership.learn(credit.workers, link.address, now_ms)

    def _note_refusal(self, link: WorkerConnection, refused: str) -> None:
        if refused and refused != link.refused:
            event(_log, logging.ERROR, "refused by worker", worker=link.address, why=refused)
        link.refused = refused

    def _say_hello(self, link: WorkerConnection, now_ms: float) -> None:
        if not sockets.is_writable(link.socket):
            return
        plain = self._hello()
        hello = dataclasses.replace(
            plain,
            link=link.number,
            connection=link.window.connection,
            sent=link.window.sent,
            sent_ms=now_ms,
            health=self.counted(plain.health),
        )
        if sockets.send(link.socket, [wire.encode_hello(hello)]):
            link.hello_due, link.told_ms = False, now_ms

    def say_hello_now(self) -> None:
        """Tells every worker how things stand, for the last time before the end."""
        for link in self._links.values():
            if link.window.connected:
                self._say_hello(link, boot_ms())

    def _note_silence(self, now_ms: float) -> None:
        for link in self._links.values():
            window = link.window
            if window.connected and now_ms - window.heard_ms > CREDIT_VOID_MS:
                link.lost("silent", now_ms)

    # Sending

    def send(self, outgoing: Outgoing) -> bool:
        """Sends one frame to the worker that will be served soonest; False if none takes it."""
        now_ms = boot_ms()
        frame = self._frames.frame_of(outgoing, now_ms)
        parts = [wire.encode_frame(frame), outgoing.jpeg]
        while (link := soonest(self._asking(now_ms), now_ms)) is not None:
            if sockets.send(link.socket, parts):
                self._frames.sent(frame, outgoing)
                self._note_sent(link, now_ms)
                return True
            link.window.disconnect()
        return False

    def _note_sent(self, link: WorkerConnection, now_ms: float) -> None:
        link.window.spend()
        link.sent_ms = link.told_ms = now_ms
        self.sent += 1

    # Membership

    def _keep_membership(self, now_ms: float) -> None:
        if now_ms < self._membership_due_ms:
            return
        self._membership_due_ms = now_ms + _MEMBERSHIP_EVERY_MS
        self._give_up_twins()
        self._membership.learn(self._discovered(), _LOCAL_NETWORK, now_ms)
        addresses = self._membership.addresses(now_ms)
        for address, link in list(self._links.items()):
            link.window.is_closing = address not in addresses
            if link.window.is_closing and not (link.window.connected and link.window.unsettled):
                self._close(link)
        for address in [each for each in addresses if each not in self._links]:
            self._open_learned(address)

    def _give_up_twins(self) -> None:
        """A name and its address may lead to one worker: the learned one is not used any more."""
        first: dict[str, str] = {}
        configured = self._membership.configured
        for address in sorted(self._links, key=lambda address: address not in configured):
            window = self._links[address].window
            if window.connected and window.worker_id:
                other = first.setdefault(window.worker_id, address)
                if other != address:
                    self._membership.alias(address, other)

    def _open_learned(self, address: str) -> None:
        try:
            self._open(address, learned=True)
        except ConfigError as error:
            self._limited_log.event("learned worker not used", why=str(error))
            self._membership.reject(address)

    def _open(self, address: str, *, learned: bool = False) -> None:
        number, self._next_link = self._next_link, self._next_link + 1
        link = WorkerConnection(self._dialer, address, number, boot_ms(), learned=learned)
        self._links[address] = link

    def _close(self, link: WorkerConnection) -> None:
        link.window.write_off()
        self._lost_on_closed_links += link.window.lost_with_worker
        link.close(_LINGER_MS)
        del self._links[link.address]

    def write_off(self) -> None:
        """Books every unsettled frame as lost with its worker: nobody will ask again."""
        for link in self._links.values():
            link.window.write_off()

    def close(self) -> None:
        for link in list(self._links.values()):
            self._close(link)
        self._dialer.close()
