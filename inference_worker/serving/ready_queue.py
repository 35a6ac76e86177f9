"""Whose turn it is: cameras that are due and have no frame in flight. Time is an argument."""

import heapq
from collections import OrderedDict
from collections.abc import Iterator

from roommood.inference_worker.serving.camera_session import CameraSession, SessionKey


class ReadyQueue:
    """Sessions that may be asked for a frame, the least recently served first; those that are not
    due yet rest until `wake` is called with a later time."""

    def __init__(self) -> None:
        self._ready: OrderedDict[SessionKey, CameraSession] = OrderedDict()
        self._resting: dict[SessionKey, CameraSession] = {}
        self._alarms: list[tuple[float, SessionKey]] = []
        self._now_ms = 0.0

    def __len__(self) -> int:
        return len(self._ready)

    def __iter__(self) -> Iterator[CameraSession]:
        return iter(self._ready.values())

    def __contains__(self, session: CameraSession) -> bool:
        return session.key in self._ready

    @property
    def first(self) -> CameraSession | None:
        return next(iter(self._ready.values()), None)

    def put(self, session: CameraSession) -> None:
        """An eligible session, at the end, or to rest; nothing while a frame is in flight."""
        if session.account.in_flight:
            return
        if session.due_ms > self._now_ms:
            self._rest(session)
        else:
            self._ready.setdefault(session.key, session)

    def remove(self, session: CameraSession) -> None:
        self._ready.pop(session.key, None)
        self._resting.pop(session.key, None)

    def _rest(self, session: CameraSession) -> None:
        """Not due before its `due_ms`, which may have changed."""
        if session.account.in_flight == 0 and session not in self:
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
                self._ready.setdefault(key, session)
        return None
