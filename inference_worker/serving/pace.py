"""How often each camera is looked at: by what it shows, over all of its workers.

A frame stands for the time since the one before it, so a lower rate changes no statistic by more
than what happens between two looks. Time is an argument.
"""

from typing import Final

from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.serving.repeats import Hold, early_ms
from roommood.shared.protocol.limits import MAX_WORKERS_PER_CAMERA

# Weight of the newest gap in the moving average; how much of its error the next one makes good;
# and by how much a period grows or shrinks at most from one frame to the next.
_ALPHA: Final = 0.3
_GAIN: Final = 0.3
_MOST: Final = 1.4
# How much more than its part a worker leaves to the others.
_LEEWAY: Final = 1.25
# So many frames of a camera in a row without one for another worker: there is none any more.
_ALONE_AFTER: Final = 2
# A gap is the same as the time since this worker's own last frame where nobody came between.
_SAME: Final = 0.9


class Pace:
    """Says when a camera is due: at `rate_hz` while faces are seen or nothing is known yet, at
    `empty_rate_hz` while there are none.

    The rate is the camera's, over all its workers, who do not know of each other. Each sees from a
    frame's interval how long before it the camera was looked at by whomever, and asks later next
    time where that was too short ago, earlier where it was too long: so the looks of any number of
    workers come to stand evenly, as oscillators that keep their distance from the one before do
    (desynchronisation: Degesys et al. 2007, IPSN).
    """

    def __init__(self, rate_hz: float, empty_rate_hz: float) -> None:
        self._faces_ms = 1000.0 / rate_hz
        self._empty_ms = 1000.0 / min(empty_rate_hz, rate_hz)
        self._most = 1.0

    def share_with(self, workers: int) -> None:
        """So many workers are alive: this one leaves to the others no more than their part."""
        self._most = _LEEWAY * min(max(workers, 1), MAX_WORKERS_PER_CAMERA)

    def came(self, session: CameraSession, interval_us: int, now_ms: float) -> None:
        """A frame came, `interval_us` after the camera's last one to whichever worker."""
        gap_ms, target_ms = max(1.0, interval_us / 1000.0), self._target_ms(session)
        if session.came_ms is not None:
            own_ms = max(gap_ms, now_ms - session.came_ms)
            session.alone = session.alone + 1 if gap_ms >= _SAME * own_ms else 0
            session.gap_ms += _ALPHA * (gap_ms - session.gap_ms)
            scale = min(max(target_ms / session.gap_ms, 1 / _MOST), _MOST)
            session.period_ms = own_ms * scale + _GAIN * (session.gap_ms - gap_ms)
        else:
            session.gap_ms = gap_ms
        if session.alone >= _ALONE_AFTER:
            session.period_ms = session.gap_ms = target_ms
        session.came_ms = now_ms
        session.due_ms = self.next_due_ms(session, session.asked_ms or now_ms)

    def held(self, session: CameraSession, now_ms: float) -> None:
        """A frame came whose camera had chosen when: it tells nothing of other workers."""
        session.came_ms = now_ms
        session.due_ms = self.next_due_ms(session, now_ms)

    def hold(self, session: CameraSession) -> Hold | None:
        """What the camera may do with a credit that it is given now."""
        last = session.empty_look
        if last is None or not session.hello.holds:
            return None
        return Hold(last.seq, last.hold_ms, self._target_ms(session))

    def next_due_ms(self, session: CameraSession, now_ms: float) -> float:
        """When the camera is to be asked again, if it is asked now."""
        target_ms = self._target_ms(session)
        longest_ms = self._most * target_ms
        # The camera's own frames come in steps: half of one early is as near as can be.
        step_ms = _step_ms(session)
        early = step_ms / 2 + early_ms(session.empty_look, step_ms)
        return now_ms + min(max(session.period_ms, target_ms), longest_ms) - early

    def latest_next_ms(self, session: CameraSession, now_ms: float) -> float:
        """When the look after one at `now_ms` comes at the latest, where nothing holds it up."""
        return self.next_due_ms(session, now_ms) + 2 * _step_ms(session)

    def seen(self, session: CameraSession, faces: int) -> bool:
        """What an analysis found; True if that makes the camera due earlier than it was."""
        before_ms = self._target_ms(session)
        session.has_faces = faces > 0
        change = self._target_ms(session) / before_ms
        session.period_ms *= change
        session.gap_ms *= change
        if change >= 1.0 or session.asked_ms is None:
            return False
        session.due_ms = self.next_due_ms(session, session.asked_ms)
        return True

    def _target_ms(self, session: CameraSession) -> float:
        return self._faces_ms if session.has_faces else self._empty_ms


def _step_ms(session: CameraSession) -> float:
    return 1000.0 / max(1.0, session.hello.rate_hz)


def full_pace() -> Pace:
    """As often as there are frames and threads."""
    return Pace(1e6, 1e6)
