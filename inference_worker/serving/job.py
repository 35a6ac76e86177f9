"""A frame that a worker has taken in."""

from dataclasses import dataclass

from roommood.inference_worker.serving.camera_session import CameraSession
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.protocol.messages import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A frame that waits for a thread; `age_ms` is its age when it arrived at `arrived_ms`.

    `reference`: what it is to be compared with, where it may repeat a look that showed nobody.
    `is_alone`: no other frame waits, is asked for or could be, so that nothing follows from its
    start.
    """

    session: CameraSession
    frame: Frame
    age_ms: float
    arrived_ms: float
    reference: Picture | None = None
    is_alone: bool = False

    @property
    def captured_ms(self) -> float:
        return self.arrived_ms - self.age_ms

    def age_at(self, now_ms: float) -> float:
        """Milliseconds since capture, at `now_ms`."""
        return self.age_ms + now_ms - self.arrived_ms
