"""The cameras that a worker knows: one `Link` for each of their sockets, and its books."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from roommood.shared.clock import TransitClock, TransitClocks
from roommood.shared.protocol.limits import BOOT_SILENT_MS, CREDIT_VOID_MS, MAX_LINKS
from roommood.shared.protocol.messages import Hello

LinkKey = tuple[str, str, int]
SUPERSEDED: Final = "superseded"
_NONE: Final[Mapping[str, int]] = {}


@dataclass(slots=True, eq=False)
class Link:
    """One camera's socket, over all its connections.

    `received`, `granted` and `started` count in the camera's own numbering of the frames it
    sent on this socket; `started` are those that are settled: begun, refused or lost;
    `newly_lost` those that the latest Hello showed to be lost on the wire. `holder` is the
    public key that the camera has proved to hold, "" without keys.
    """

    key: LinkKey
    routing_id: bytes
    hello: Hello
    received: int
    granted: int
    started: int
    heard_ms: float
    clock: TransitClock
    credited_ms: float | None = None
    fetch_ms: float = 5.0
    transit_ms: float = 0.0
    silent: bool = False
    refused: str = ""
    newly_lost: int = 0
    holder: str = ""
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def in_flight(self) -> int:
        """Frames credited or sent that are not settled yet."""
        return self.granted - self.started

    @property
    def waiting(self) -> int:
        """Frames received that are not settled yet."""
        return self.received - self.started


class LinkTable:
    """Finds links by routing id, keeps their books, and says who is to be served next.

    `hungry` holds the links without a frame in flight, the least recently served first.
    """

    def __init__(self) -> None:
        self._by_routing: dict[bytes, Link] = {}
        self._by_key: OrderedDict[LinkKey, Link] = OrderedDict()
        self._boots: dict[str, tuple[str, float]] = {}
        self._retired: dict[str, set[str]] = {}
        self._paused_rooms: frozenset[str] = frozenset()
        self._forgotten: Counter[str] = Counter()
        self._clocks = TransitClocks()
        self.hungry: OrderedDict[LinkKey, Link] = OrderedDict()
        self.in_flight = 0

    @property
    def all(self) -> list[Link]:
        return list(self._by_key.values())

    def totals(self) -> Counter[str]:
        """Frames of all links ever met, by what became of them. From any thread."""
        totals = Counter(self._forgotten)
        for link in self.all:
            totals.update(dict(link.counts))
        return totals

    def is_heard(self, camera: str) -> bool:
        """True if some link of this camera is not silent."""
        return any(link.hello.camera == camera and not link.silent for link in self.all)

    def find(self, routing_id: bytes) -> Link | None:
        """The link whose present connection has this routing id."""
        return self._by_routing.get(routing_id)

    # Hello

    def hello(
        self, routing_id: bytes, hello: Hello, now_ms: float, early: Mapping[str, int] = _NONE
    ) -> Link:
        """Books a Hello: meets the camera, or sees what was lost since its last one.

        `early`: frames by the reason why they were refused before this connection's first Hello.
        """
        key = (hello.camera, hello.boot_id, hello.link)
        before = self._by_routing.get(routing_id)
        if before is not None and before.key != key:
            # A connection is one camera's socket; else one peer could fill the table.
            self._forget(before)
        link = self._by_key.get(key)
        if link is None:
            link = self._meet(key, routing_id, hello, now_ms)
        else:
            if link.routing_id != routing_id:
                self._rebind(link, routing_id)
            self._take_in(link, min(sum(early.values()), max(0, hello.sent - link.received)))
        for why, frames in early.items():
            link.counts[f"refused-{why}"] += frames
        self._book_lost(link, hello)
        link.hello = hello
        link.heard_ms = now_ms
        link.silent = False
        link.refused = self._judge_boot(hello, now_ms)
        self._by_key.move_to_end(key)
        if link.refused:
            self.void(link)
        self._feed(link)
        return link

    def _meet(self, key: LinkKey, routing_id: bytes, hello: Hello, now_ms: float) -> Link:
        if len(self._by_key) >= MAX_LINKS:
            self._forget(next(iter(self._by_key.values())))
        sent = hello.sent
        clock = self._clocks.of((hello.camera, hello.boot_id))
        link = Link(key, routing_id, hello, sent, sent, sent, now_ms, clock)
        self._by_key[key] = link
        self._by_routing[routing_id] = link
        return link

    def _rebind(self, link: Link, routing_id: bytes) -> None:
        # A new connection: what was credited on the old one was never spent.
        self.void(link)
        self._by_routing.pop(link.routing_id, None)
        link.routing_id = routing_id
        self._by_routing[routing_id] = link

    def _book_lost(self, link: Link, hello: Hello) -> None:
        lost = link.newly_lost = max(0, hello.sent - link.received)
        if not lost:
            return
        link.counts["lost-on-wire"] += lost
        self._take_in(link, lost)

    def _take_in(self, link: Link, frames: int) -> None:
        """Books frames as received and settled at once."""
        link.received += frames
        if link.received > link.granted:
            self.in_flight += link.received - link.granted
            link.granted = link.received
        self.settle(link, frames)

    def _judge_boot(self, hello: Hello, now_ms: float) -> str:
        """ "" if this boot of the camera is served, else why not: the newest boot wins."""
        boot, heard_ms = self._boots.get(hello.camera, (hello.boot_id, now_ms))
        retired = self._retired.setdefault(hello.camera, set())
        if boot != hello.boot_id:
            if hello.boot_id in retired and now_ms - heard_ms < BOOT_SILENT_MS:
                return SUPERSEDED
            if len(retired) >= 64:
                retired.clear()
            retired.add(boot)
            retired.discard(hello.boot_id)
        self._boots[hello.camera] = (hello.boot_id, now_ms)
        return ""

    # Books

    def receive(self, link: Link, now_ms: float) -> bool:
        """Books a frame that came in; False if it was not credited."""
        credited = link.received < link.granted
        link.received += 1
        link.heard_ms = now_ms
        if not credited:
            link.granted += 1
            self.in_flight += 1
        elif link.credited_ms is not None:
            fetch_ms = now_ms - link.credited_ms
            link.fetch_ms = min(fetch_ms, link.fetch_ms * 1.5 + 1.0)
            link.credited_ms = None
        return credited

    def grant(self, link: Link, now_ms: float) -> None:
        """Allows one more frame."""
        link.granted += 1
        link.credited_ms = now_ms
        self.in_flight += 1
        self.hungry.pop(link.key, None)

    def settle(self, link: Link, frames: int = 1) -> None:
        """Books frames of a link as begun, refused or lost; it may be hungry again."""
        link.started += frames
        if self._by_key.get(link.key) is link:
            self.in_flight -= frames
            self._feed(link)

    def count(self, link: Link, outcome: str) -> None:
        """What became of a frame, also where its link was forgotten meanwhile."""
        known = self._by_key.get(link.key) is link
        (link.counts if known else self._forgotten)[outcome] += 1

    def void(self, link: Link) -> None:
        """Takes back what was credited and has not come."""
        self.in_flight -= link.granted - link.received
        link.granted = link.received
        link.credited_ms = None
        self._feed(link)

    def _feed(self, link: Link) -> None:
        eats = not (link.silent or link.refused or link.hello.room in self._paused_rooms)
        if not eats:
            self.hungry.pop(link.key, None)
        elif link.in_flight == 0:
            self.hungry.setdefault(link.key, link)

    # Who is served

    def set_paused(self, rooms: frozenset[str]) -> list[Link]:
        """Rooms that are not served; returns the links for which this changed."""
        changed = rooms ^ self._paused_rooms
        self._paused_rooms = rooms
        links = [link for link in self._by_key.values() if link.hello.room in changed]
        for link in links:
            if link.hello.room in rooms:
                self.void(link)
            self._feed(link)
        return links

    def is_paused(self, link: Link) -> bool:
        return link.hello.room in self._paused_rooms

    def excuse(self, absence_ms: float) -> None:
        """No camera was heard for so long because nobody listened."""
        for link in self._by_key.values():
            link.heard_ms += absence_ms

    def sweep(self, now_ms: float) -> list[Link]:
        """Voids the credit of cameras that fell silent; returns those newly silent."""
        newly = [
            link
            for link in self._by_key.values()
            if not link.silent and now_ms - link.heard_ms > CREDIT_VOID_MS
        ]
        for link in newly:
            link.silent = True
            self.void(link)
        return newly

    def put_out(self, link: Link, why: str) -> None:
        """This camera may not come in any more: no credit, not a word."""
        link.refused = why
        self.unreachable(link)

    def unreachable(self, link: Link) -> None:
        """The connection of a link is gone, says the socket."""
        self.void(link)
        link.silent = True
        self._feed(link)

    def _forget(self, link: Link) -> None:
        self.in_flight -= link.in_flight
        self._forgotten.update(link.counts)
        self.hungry.pop(link.key, None)
        self._by_routing.pop(link.routing_id, None)
        del self._by_key[link.key]
        camera = link.hello.camera
        self._clocks.keep((camera, link.hello.boot_id), link.clock)
        if not any(other.hello.camera == camera for other in self._by_key.values()):
            self._boots.pop(camera, None)
            self._retired.pop(camera, None)
