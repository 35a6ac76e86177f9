"""What a worker says to its cameras: how each one's session stands, and what it may send."""

from typing import Final

from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.credit import CreditControl
from roommood.inference_worker.serving.repeats import NO_HOLD
from roommood.inference_worker.serving.sessions import SessionTable
from roommood.shared.errors import VersionMismatch
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Credit
from roommood.shared.transport.sockets import Router, send

# A camera forgets a learned worker that it neither uses nor is told of for a minute.
_TELL_AGAIN_MS: Final = 20_000.0


class Answers:
    """Sends Credit by a worker's ROUTER.

    Attributes:
        workers: the addresses of all live workers, which the answers to Hello pass on.
        leaving: whether this worker is about to end, which every message says.
    """

    def __init__(
        self,
        router: Router,
        worker_id: str,
        sessions: SessionTable,
        control: CreditControl,
        luma: bool,
    ) -> None:
        self._router, self._worker_id, self._luma = router, worker_id, luma
        self._sessions, self._control = sessions, control
        self._to_hellos: list[tuple[CameraSession, list[bytes]]] = []
        self.workers: tuple[str, ...] = ()
        self.leaving = False

    def tell(self, session: CameraSession, now_ms: float, workers: tuple[str, ...] = ()) -> None:
        """How a session stands now, at once."""
        self._send(session, self._credit(session, now_ms, workers))

    def answer_hello(self, session: CameraSession, now_ms: float) -> None:
        """How it stands now, with the next `flush`."""
        parts = self._credit(session, now_ms, self._addresses_for(session, now_ms))
        self._to_hellos.append((session, parts))

    def flush(self) -> None:
        """Sends the answers to Hellos that came together, one right after the other, so that
        libzmq's thread is woken once for all of them."""
        for session, parts in self._to_hellos:
            self._send(session, parts)
        self._to_hellos.clear()

    def other_version(self, routing_id: bytes, now_ms: float) -> None:
        """Grants nothing; the other side sees which two versions have met, and can say so."""
        why = VersionMismatch.reason
        credit = Credit(self._worker_id, 0, 0, 0, 0.0, 0.0, now_ms, refused=why)
        send(self._router, [routing_id, wire.encode_credit(credit)])

    def _addresses_for(self, session: CameraSession, now_ms: float) -> tuple[str, ...]:
        """All workers' addresses, where this connection has not been told of them lately: on a
        large site they are most of what a Hello's answer weighs."""
        addresses = (session.hello.connection, self.workers)
        is_recent = now_ms - session.addresses_told_ms < _TELL_AGAIN_MS
        if session.addresses_told == addresses and is_recent:
            return ()
        session.addresses_told, session.addresses_told_ms = addresses, now_ms
        return self.workers

    def _credit(
        self, session: CameraSession, now_ms: float, workers: tuple[str, ...]
    ) -> list[bytes]:
        account, hold = session.account, session.hold or NO_HOLD
        credit = Credit(
            worker_id=self._worker_id,
            connection=session.hello.connection,
            granted=account.granted,
            started=account.settled,
            ready_ms=self._control.ready_ms(now_ms),
            transit_ms=session.transit_ms,
            sent_ms=now_ms,
            workers=workers,
            paused=self._sessions.is_paused(session),
            leaving=self.leaving,
            refused=session.refused,
            refused_frames=account.refused_frames,
            refused_why=account.refused_why,
            luma=self._luma,
            empty_seq=hold.empty_seq,
            hold_ms=hold.hold_ms,
            look_ms=hold.look_ms,
        )
        return [session.routing_id, wire.encode_credit(credit)]

    def _send(self, session: CameraSession, parts: list[bytes]) -> None:
        if not send(self._router, parts) and parts[0] == session.routing_id:
            self._sessions.unreachable(session)
