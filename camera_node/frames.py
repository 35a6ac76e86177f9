"""From a compressed picture to a Frame: its number, and the time that it stands for."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from roommood.camera_node.holding import Holding
from roommood.shared.protocol.limits import MAX_INTERVAL_US
from roommood.shared.protocol.messages import Frame, Hello

if TYPE_CHECKING:
    from roommood.shared.opencv import Pixels


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A compressed picture that is about to be sent; `captured_ms` by `boot_ms`. `glance`: where
    its worker may let those be held that look the same."""

    jpeg: bytes = field(repr=False)
    width: int
    height: int
    captured_ms: float
    glance: "Pixels | None" = field(default=None, repr=False)


class Frames:
    """Numbers what a camera sends, to whichever worker. A frame stands for the time since the one
    before it, or since the newest picture that was held: those have a number before it."""

    def __init__(self, identity: Hello, nominal_interval_us: int) -> None:
        self.holding = Holding()
        self._identity, self._nominal_interval_us = identity, nominal_interval_us
        self._seq = 0
        self._previous_ms: float | None = None

    def frame_of(self, outgoing: Outgoing, now_ms: float) -> Frame:
        """What goes out now; nothing is counted before `sent` is called with it."""
        identity, held_ms = self._identity, self.holding.held_ms
        since_ms = self._previous_ms if held_ms is None else held_ms
        return Frame(
            camera=identity.camera,
            room=identity.room,
            session_id=identity.session_id,
            seq=self._seq + (held_ms is not None),
            width=outgoing.width,
            height=outgoing.height,
            rotation=identity.rotation,
            age_ms=max(0.0, now_ms - outgoing.captured_ms),
            interval_us=self._interval_us(since_ms, outgoing.captured_ms),
            sent_ms=now_ms,
            jpeg=outgoing.jpeg,
            held_us=0 if held_ms is None else self._interval_us(self._previous_ms, held_ms),
        )

    def _interval_us(self, since_ms: float | None, captured_ms: float) -> int:
        if since_ms is None:
            return self._nominal_interval_us
        return min(max(round((captured_ms - since_ms) * 1000.0), 0), MAX_INTERVAL_US)

    def sent(self, frame: Frame, outgoing: Outgoing) -> None:
        """It went out."""
        self._seq = frame.seq + 1
        self._previous_ms = outgoing.captured_ms
        self.holding.sent(frame.seq, outgoing.captured_ms, frame.age_ms, outgoing.glance)
