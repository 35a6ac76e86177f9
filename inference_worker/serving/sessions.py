"""The cameras that a worker knows: a `CameraSession` for each of their sockets, and its ledger."""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from roommood.shared.clock import TransitClock, TransitClocks
from roommood.shared.protocol.limits import CREDIT_VOID_MS, MAX_SESSIONS, SESSION_SILENT_MS
from roommood.shared.protocol.messages import Hello

SessionKey = tuple[str, str, int]
SUPERSEDED: Final = "superseded"
_NONE: Final[Mapping[str, int]] = {}


@dataclass(slots=True, eq=False)
class CameraSession:
    """One camera's socket, over all its connections.

    `received`, `granted` and `started` count in the camera's own numbering of the frames it
    sent on this socket; `started` are those that are settled: begun, refused or lost;
    `newly_lost` those that the latest Hello showed to be lost on the wire. `holder` is the
    public key that the camera has proved to hold, "" without keys; `fingerprint` is that key's.
    `told` are the connection and the addresses of workers that it was last told of. `due_ms` is
    when it is to be asked again, as `Pace` says, from the fields after it.
    """

    key: SessionKey
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
    fingerprint: str = ""
    told: tuple[int, tuple[str, ...]] | None = None
    told_ms: float = 0.0
    due_ms: float = 0.0
    asked_ms: float | None = None
    came_ms: float | None = None
    gap_ms: float = 0.0
    period_ms: float = 0.0
    alone: int = 0
    has_faces: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    refused_frames: int = 0
    refused_why: str = ""

    @property
    def in_flight(self) -> int:
        """Frames credited or sent that are not settled yet."""
        return self.granted - self.started

    @property
    def waiting(self) -> int:
        """Frames received that are not settled yet."""
        return self.received - self.started


class SessionTable:
    """Finds sessions by routing id, keeps their ledgers, and says who is to be served next.

    `ready` holds the sessions that are due and have no frame in flight, the least recently served
    first. Those that are not due yet rest until `wake` is called with a later time.
    """

    def __init__(self) -> None:
        self._by_routing: dict[bytes, CameraSession] = {}
        self._by_key: OrderedDict[SessionKey, CameraSession] = OrderedDict()
        self._newest: dict[str, tuple[str, float]] = {}
        self._retired: dict[str, set[str]] = {}
        self._paused_rooms: frozenset[str] = frozenset()
        self._forgotten: Counter[str] = Counter()
        self._clocks = TransitClocks()
        self.ready: OrderedDict[SessionKey, CameraSession] = OrderedDict()
        self._resting: dict[SessionKey, CameraSession] = {}
        self._alarms: list[tuple[float, SessionKey]] = []
        self._now_ms = 0.0
        self.in_flight = 0

    @property
    def all(self) -> list[CameraSession]:
        return list(self._by_key.values())

    def totals(self) -> Counter[str]:
        """Frames of all sessions ever met, by what became of them. From any thread."""
        totals = Counter(self._forgotten)
        for session in self.all:
            totals.update(dict(session.counts))
        return totals

    def is_heard(self, camera: str) -> bool:
        """True if some session of this camera is not silent."""
        return any(session.hello.camera == camera and not session.silent for session in self.all)

    def find(self, routing_id: bytes) -> CameraSession | None:
        """The session whose present connection has this routing id."""
        return self._by_routing.get(routing_id)

    # Hello

    def hello(
        self, routing_id: bytes, hello: Hello, now_ms: float, early: Mapping[str, int] = _NONE
    ) -> CameraSession:
        """Books a Hello: meets the camera, or sees what was lost since its last one.

        `early`: frames by the reason why they were refused before this connection's first Hello.
        """
        key = (hello.camera, hello.session_id, hello.link)
        before = self._by_routing.get(routing_id)
        if before is not None and before.key != key:
            # A connection is one camera's socket; else one peer could fill the table.
            self._forget(before)
        session = self._by_key.get(key)
        if session is None:
            session = self._meet(key, routing_id, hello, now_ms)
        else:
            if session.routing_id != routing_id:
                self._rebind(session, routing_id)
            self._take_in(session, min(sum(early.values()), max(0, hello.sent - session.received)))
        for why, frames in early.items():
            session.counts[f"refused-{why}"] += frames
            session.refused_frames += frames
            session.refused_why = why
        self._book_lost(session, hello)
        session.hello = hello
        session.heard_ms = now_ms
        session.silent = False
        session.refused = self._judge_session_id(hello, now_ms)
        self._by_key.move_to_end(key)
        if session.refused:
            self.void(session)
        self._requeue(session)
        return session

    def _meet(
        self, key: SessionKey, routing_id: bytes, hello: Hello, now_ms: float
    ) -> CameraSession:
        if len(self._by_key) >= MAX_SESSIONS:
            self._forget(next(iter(self._by_key.values())))
        sent = hello.sent
        clock = self._clocks.of((hello.camera, hello.session_id))
        session = CameraSession(key, routing_id, hello, sent, sent, sent, now_ms, clock)
        self._by_key[key] = session
        self._by_routing[routing_id] = session
        return session

    def _rebind(self, session: CameraSession, routing_id: bytes) -> None:
        # A new connection: what was credited on the old one was never spent.
        self.void(session)
        self._by_routing.pop(session.routing_id, None)
        session.routing_id = routing_id
        self._by_routing[routing_id] = session

    def _book_lost(self, session: CameraSession, hello: Hello) -> None:
        lost = session.newly_lost = max(0, hello.sent - session.received)
        if not lost:
            return
        session.counts["lost-on-wire"] += lost
        self._take_in(session, lost)

    def _take_in(self, session: CameraSession, frames: int) -> None:
        """Books frames as received and settled at once."""
        session.received += frames
        if session.received > session.granted:
            self.in_flight += session.received - session.granted
            session.granted = session.received
        self.settle(session, frames)

    def _judge_session_id(self, hello: Hello, now_ms: float) -> str:
        """ "" if this session of the camera is served, else why not: the newest one wins."""
        newest, heard_ms = self._newest.get(hello.camera, (hello.session_id, now_ms))
        retired = self._retired.setdefault(hello.camera, set())
        if newest != hello.session_id:
            if hello.session_id in retired and now_ms - heard_ms < SESSION_SILENT_MS:
                return SUPERSEDED
            if len(retired) >= 64:
                retired.clear()
            retired.add(newest)
            retired.discard(hello.session_id)
        self._newest[hello.camera] = (hello.session_id, now_ms)
        return ""

    # The ledgers

    def receive(self, session: CameraSession, now_ms: float) -> bool:
        """Books a frame that came in; False if it was not credited."""
        credited = session.received < session.granted
        session.received += 1
        session.heard_ms = now_ms
        if not credited:
            session.granted += 1
            self.in_flight += 1
        elif session.credited_ms is not None:
            fetch_ms = now_ms - session.credited_ms
            session.fetch_ms = min(fetch_ms, session.fetch_ms * 1.5 + 1.0)
            session.credited_ms = None
        return credited

    def grant(self, session: CameraSession, now_ms: float, due_ms: float = 0.0) -> None:
        """Allows one more frame, and none thereafter before `due_ms`."""
        session.granted += 1
        session.credited_ms = session.asked_ms = now_ms
        session.due_ms = due_ms
        self.in_flight += 1
        self.ready.pop(session.key, None)

    def settle(self, session: CameraSession, frames: int = 1) -> None:
        """Books frames of a session as begun, refused or lost; it may be ready again."""
        session.started += frames
        if self._by_key.get(session.key) is session:
            self.in_flight -= frames
            self._requeue(session)

    def count(self, session: CameraSession, outcome: str) -> None:
        """What became of a frame, also where its session was forgotten meanwhile."""
        known = self._by_key.get(session.key) is session
        (session.counts if known else self._forgotten)[outcome] += 1
        if outcome.startswith("refused-") and outcome != "refused-paused":
            session.refused_frames += 1
            session.refused_why = outcome.removeprefix("refused-")

    def void(self, session: CameraSession) -> None:
        """Takes back what was credited and has not come."""
        self.in_flight -= session.granted - session.received
        session.granted = session.received
        session.credited_ms = None
        self._requeue(session)

    def _requeue(self, session: CameraSession) -> None:
        eligible = not (
            session.silent or session.refused or session.hello.room in self._paused_rooms
        )
        if not eligible:
            self.ready.pop(session.key, None)
            self._resting.pop(session.key, None)
        elif session.in_flight == 0 and session.due_ms > self._now_ms:
            self.rest(session)
        elif session.in_flight == 0:
            self.ready.setdefault(session.key, session)

    # Who is served

    def rest(self, session: CameraSession) -> None:
        """Not due before its `due_ms`, which may have changed."""
        if session.in_flight == 0 and session.key not in self.ready:
            self._resting[session.key] = session
            heapq.heappush(self._alarms, (session.due_ms, session.key))

    def wake(self, now_ms: float) -> float | None:
        """Makes those ready that are due by now; when the next one is, None if none rests."""
        self._now_ms = now_ms
        while self._alarms:
            due_ms, key = self._alarms[0]
            session = self._resting.get(key)
            if session is not None and session.due_ms == due_ms and due_ms > now_ms:
                return due_ms
            heapq.heappop(self._alarms)
            if session is not None and session.due_ms == due_ms:
                del self._resting[key]
                self.ready.setdefault(key, session)
        return None

    def set_paused(self, rooms: frozenset[str]) -> list[CameraSession]:
        """Rooms that are not served; returns the sessions for which this changed."""
        changed = rooms ^ self._paused_rooms
        self._paused_rooms = rooms
        sessions = [session for session in self._by_key.values() if session.hello.room in changed]
        for session in sessions:
            if session.hello.room in rooms:
                self.void(session)
            self._requeue(session)
        return sessions

    def is_paused(self, session: CameraSession) -> bool:
        return session.hello.room in self._paused_rooms

    def excuse(self, absence_ms: float) -> None:
        """No camera was heard for so long because nobody listened."""
        for session in self._by_key.values():
            session.heard_ms += absence_ms

    def sweep(self, now_ms: float) -> list[CameraSession]:
        """Voids the credit of cameras that fell silent; returns those newly silent."""
        newly = [
            session
            for session in self._by_key.values()
            if not session.silent and now_ms - session.heard_ms > CREDIT_VOID_MS
        ]
        for session in newly:
            session.silent = True
            self.void(session)
        return newly

    def evict(self, session: CameraSession, why: str) -> None:
        """This camera may not come in any more: no credit, not a word."""
        session.refused = why
        self.unreachable(session)

    def unreachable(self, session: CameraSession) -> None:
        """The connection of a session is gone, says the socket."""
        self.void(session)
        session.silent = True
        self._requeue(session)

    def _forget(self, session: CameraSession) -> None:
        self.in_flight -= session.in_flight
        self._forgotten.update(session.counts)
        self.ready.pop(session.key, None)
        self._resting.pop(session.key, None)
        self._by_routing.pop(session.routing_id, None)
        del self._by_key[session.key]
        camera = session.hello.camera
        self._clocks.keep((camera, session.hello.session_id), session.clock)
        if not any(other.hello.camera == camera for other in self._by_key.values()):
            self._newest.pop(camera, None)
            self._retired.pop(camera, None)
