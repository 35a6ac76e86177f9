"""The cameras that a worker knows: a `CameraSession` for each of their sockets."""

from collections import OrderedDict
from collections.abc import Mapping

from roommood.inference_worker.serving.camera_session import CameraSession, SessionKey
from roommood.inference_worker.serving.ledger import NONE_EARLY, Account, Ledger, Outcome
from roommood.inference_worker.serving.newest_session import NewestSession
from roommood.inference_worker.serving.ready_queue import ReadyQueue
from roommood.inference_worker.serving.repeats import Hold
from roommood.shared.clock import TransitClocks
from roommood.shared.protocol.limits import CREDIT_VOID_MS, MAX_SESSIONS
from roommood.shared.protocol.messages import Hello

Names = frozenset[str]


class SessionTable:
    """Finds sessions by routing id, and keeps those in the ready queue that may be served."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.ready = ReadyQueue()
        self._by_routing: dict[bytes, CameraSession] = {}
        self._by_key: OrderedDict[SessionKey, CameraSession] = OrderedDict()
        self._newest = NewestSession()
        self._paused_rooms: frozenset[str] = frozenset()
        self._paused_cameras: frozenset[str] = frozenset()
        self._are_waiting = False
        self._clocks = TransitClocks()

    @property
    def all(self) -> list[CameraSession]:
        return list(self._by_key.values())

    def is_heard(self, camera: str) -> bool:
        """True if some session of this camera is not silent."""
        return any(session.hello.camera == camera and not session.silent for session in self.all)

    def find(self, routing_id: bytes) -> CameraSession | None:
        """The session whose present connection has this routing id."""
        return self._by_routing.get(routing_id)

    # Hello

    def hello(
        self,
        routing_id: bytes,
        hello: Hello,
        now_ms: float,
        early: Mapping[Outcome, int] = NONE_EARLY,
    ) -> CameraSession:
        """Takes a Hello: meets the camera, or sees what was lost since its last one.

        `early`: frames by the reason why they were refused before this connection's first Hello.
        """
        session = self._session_for(routing_id, hello, now_ms)
        session.newly_lost = self.ledger.reconcile(session.account, hello.sent, early)
        session.hello = hello
        session.heard_ms = now_ms
        session.silent = False
        newest = self._newest.serves(hello.camera, hello.session_id, now_ms)
        session.refused = "" if newest else Outcome.SUPERSEDED.reason
        self._by_key.move_to_end(session.key)
        if session.refused:
            self.void(session)
        self.requeue(session)
        return session

    def _session_for(self, routing_id: bytes, hello: Hello, now_ms: float) -> CameraSession:
        key = (hello.camera, hello.session_id, hello.link)
        before = self._by_routing.get(routing_id)
        if before is not None and before.key != key:
            # A connection is one camera's socket; else one peer could fill the table.
            self._forget(before)
        session = self._by_key.get(key)
        if session is None:
            return self._meet(key, routing_id, hello, now_ms)
        if session.routing_id != routing_id:
            self._rebind(session, routing_id)
        return session

    def _meet(
        self, key: SessionKey, routing_id: bytes, hello: Hello, now_ms: float
    ) -> CameraSession:
        if len(self._by_key) >= MAX_SESSIONS:
            self._forget(next(iter(self._by_key.values())))
        account = Account(hello.sent, hello.sent, hello.sent)
        clock = self._clocks.of((hello.camera, hello.session_id))
        session = CameraSession(key, routing_id, hello, account, now_ms, clock)
        self._by_key[key] = session
        self._by_routing[routing_id] = session
        return session

    def _rebind(self, session: CameraSession, routing_id: bytes) -> None:
        # A new connection: what was credited on the old one was never spent.
        self.void(session)
        self._by_routing.pop(session.routing_id, None)
        session.routing_id = routing_id
        self._by_routing[routing_id] = session

    # A frame's way

    def grant(
        self,
        session: CameraSession,
        now_ms: float,
        due_ms: float = 0.0,
        hold: Hold | None = None,
    ) -> None:
        """Allows one more frame, which may be held as `hold` says; none thereafter before
        `due_ms`."""
        self.ledger.grant(session.account, hold is not None)
        session.hold = hold
        session.asked_ms = now_ms
        session.due_ms = due_ms
        self.ready.remove(session)

    def receive(self, session: CameraSession, now_ms: float) -> bool:
        """A frame came in; False if it was not credited."""
        credited = self.ledger.receive(session.account)
        session.heard_ms = now_ms
        if session.hold is not None:
            # It was its camera's to choose when this came.
            session.asked_ms, session.hold = now_ms, None
        elif credited and session.asked_ms is not None:
            fetch_ms = now_ms - session.asked_ms
            session.fetch_ms = min(fetch_ms, session.fetch_ms * 1.5 + 1.0)
        return credited

    def begin(self, session: CameraSession, job: object, now_ms: float) -> None:
        """A thread began with a frame; the session may be ready again."""
        self.ledger.begin(session.account, job, now_ms)
        self.requeue(session)

    def refuse(self, session: CameraSession, outcome: Outcome) -> None:
        """A frame that was received is not begun with; the session may be ready again."""
        self.ledger.refuse(session.account, outcome)
        self.requeue(session)

    # Who is served

    def void(self, session: CameraSession) -> None:
        """Takes back what was credited and has not come; nothing is kept of what it looked like."""
        self.ledger.void(session.account)
        session.empty_look, session.hold, session.voided_ms = None, None, session.came_ms
        self.requeue(session)

    def requeue(self, session: CameraSession) -> None:
        """Puts it into the ready queue, or takes it out, by what is known of it now."""
        if self._by_key.get(session.key) is not session:
            return
        if self._are_waiting or session.silent or session.refused or self.is_paused(session):
            self.ready.remove(session)
        else:
            self.ready.put(session)

    def keep_waiting(self, are_waiting: bool) -> bool:
        """Whether nobody is to be served for now; returns whether that is a change."""
        is_change = self._are_waiting != are_waiting
        self._are_waiting = are_waiting
        if is_change:
            for session in self.all:
                self.requeue(session)
        return is_change

    def set_paused(
        self, rooms: Names, cameras: Names = frozenset(), *, beside: bool = False
    ) -> list[CameraSession]:
        """Rooms and cameras that are not served, beside those of before or in their place; returns
        the sessions for which this changed."""
        if beside:
            rooms, cameras = rooms | self._paused_rooms, cameras | self._paused_cameras
        if (rooms, cameras) == (self._paused_rooms, self._paused_cameras):
            return []
        before = {key for key, session in self._by_key.items() if self.is_paused(session)}
        self._paused_rooms, self._paused_cameras = rooms, cameras
        changed = [
            session
            for key, session in self._by_key.items()
            if self.is_paused(session) != (key in before)
        ]
        for session in changed:
            if self.is_paused(session):
                self.void(session)
            self.requeue(session)
        return changed

    def is_paused(self, session: CameraSession) -> bool:
        hello = session.hello
        return hello.room in self._paused_rooms or hello.camera in self._paused_cameras

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
        session.silent = True
        self.void(session)

    def _forget(self, session: CameraSession) -> None:
        """What it was asked for is void; what waits is still begun with, and counted."""
        self.void(session)
        self.ready.remove(session)
        self._by_routing.pop(session.routing_id, None)
        del self._by_key[session.key]
        camera = session.hello.camera
        self._clocks.keep((camera, session.hello.session_id), session.clock)
        if not any(other.hello.camera == camera for other in self._by_key.values()):
            self._newest.forget(camera)
