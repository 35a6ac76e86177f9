"""What a worker says to its cameras: how each one's session stands, and what it may send."""

import math
from collections.abc import Iterable
from typing import Final

from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.credit import CreditControl
from roommood.inference_worker.serving.repeats import NO_HOLD
from roommood.inference_worker.serving.sessions import Names, SessionTable
from roommood.shared.clock import boot_ms
from roommood.shared.errors import VersionMismatch
from roommood.shared.protocol import wire
from roommood.shared.protocol.messages import Credit
from roommood.shared.transport.sockets import Router, send

# A camera forgets a learned worker that it neither uses nor is told of for a minute.
_TELL_AGAIN_MS: Final = 20_000.0
# Milliseconds from one round of answers to Hellos to the next: of a thousand cameras many go out
# together, which wakes libzmq's thread once for all of them; and after which they wait no longer
# for the loop to have something else to do. A camera waits for none but its connection's first.
_ROUND_MS: Final = 20.0
# An aggregator that is there says each second what is paused.
_PAUSES_KNOWN_MS: Final = 30_000.0
_LATEST_MS: Final = 100.0


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
        self._to_hellos: dict[CameraSession, None] = {}
        self._flushed_ms = -math.inf
        self.workers: tuple[str, ...] = ()
        self.leaving = False
        # When who knew last told what is paused, and when who does not say whether it knows.
        self._pauses_known_ms = self._pauses_guessed_ms = -math.inf

    def pause(self, rooms: Names, cameras: Names, are_unknown: bool | None, now_ms: float) -> None:
        """As an aggregator says. While one that knows has told lately, what one says that does not
        know is passed over, and one that does not say whether it knows (None) opens nothing."""
        does_another_know = self._are_pauses_unknown(now_ms) is False
        if are_unknown and does_another_know:
            return
        if are_unknown is False:
            self._pauses_known_ms = now_ms
        elif are_unknown is None:
            self._pauses_guessed_ms = now_ms
        is_beside = are_unknown or (are_unknown is None and does_another_know)
        self.tell_each(self._sessions.set_paused(rooms, cameras, beside=bool(is_beside)))

    def _are_pauses_unknown(self, now_ms: float) -> bool | None:
        """None where only who does not say whether it knows has told lately."""
        if now_ms - self._pauses_known_ms <= _PAUSES_KNOWN_MS:
            return False
        return None if now_ms - self._pauses_guessed_ms <= _PAUSES_KNOWN_MS else True

    def tell_each(self, sessions: Iterable[CameraSession]) -> None:
        """The same to those that can be heard."""
        for session in sessions:
            if not session.silent:
                self.tell(session, boot_ms(), self.workers)

    def tell(self, session: CameraSession, now_ms: float, workers: tuple[str, ...] = ()) -> None:
        """How a session stands now, at once, which answers its Hello too."""
        if session in self._to_hellos:
            del self._to_hellos[session]
            workers = workers or self._addresses_for(session, now_ms)
        self._send(session, self._credit(session, now_ms, workers))

    def _send(self, session: CameraSession, credit: list[bytes]) -> None:
        if not send(self._router, credit):
            self._sessions.unreachable(session)

    def answer_hello(self, session: CameraSession) -> None:
        """How it stands by then, with a `flush` that is due: the next one, where it is its
        connection's first."""
        self._to_hellos[session] = None
        if not _is_answered(session):
            self._flushed_ms = -math.inf

    def flush(self, now_ms: float) -> None:
        """To be called at each turn of the loop: answers Hellos, if it is time."""
        if not self._to_hellos or now_ms - self._flushed_ms < _ROUND_MS:
            return
        self._flushed_ms = now_ms
        # All are made before the first goes out: else libzmq's thread falls asleep in between.
        credits = [
            (session, self._credit(session, now_ms, self._addresses_for(session, now_ms)))
            for session in self._to_hellos
            if self._sessions.find(session.routing_id) is session and not session.silent
        ]
        self._to_hellos.clear()
        for session, credit in credits:
            self._send(session, credit)

    def next_flush_ms(self, now_ms: float) -> float:
        """Milliseconds after which `flush` is due even if nothing comes."""
        return self._flushed_ms + _LATEST_MS - now_ms if self._to_hellos else math.inf

    def until_round_ms(self, now_ms: float) -> float:
        """Milliseconds until Hellos that come now would be answered, but for first ones."""
        return max(0.0, self._flushed_ms + _ROUND_MS - now_ms)

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
            pauses_unknown=self._are_pauses_unknown(now_ms),
            empty_seq=hold.empty_seq,
            hold_ms=hold.hold_ms,
            look_ms=hold.look_ms,
        )
        return [session.routing_id, wire.encode_credit(credit)]


def _is_answered(session: CameraSession) -> bool:
    """Whether its Hello is not the first of its connection that is answered."""
    known = session.addresses_told
    return known is not None and known[0] == session.hello.connection
