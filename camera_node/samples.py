"""What a camera tells of itself as metrics."""

from collections.abc import Iterator
from typing import Final

from roommood.camera_node.stillness import PROBLEMS
from roommood.shared.process.metrics import Sample
from roommood.shared.process.settings import CameraSettings
from roommood.shared.protocol.messages import DELIVERY_PROBLEMS, CameraHealth

OUTCOMES: Final = ("captured", "sent", "skipped", "unchanged", "lost_with_worker")
_STATES: Final = ("ok", *PROBLEMS, *DELIVERY_PROBLEMS, "paused", "quiet", "reconnecting", "failed")


def samples_of(
    settings: CameraSettings, health: CameraHealth, rate_hz: float, connected_workers: int
) -> Iterator[Sample]:
    """The metrics of a camera that captures at `rate_hz`."""
    labels = {"camera": settings.name, "room": settings.room}
    yield Sample("roommood_camera_info", "Which camera this is.", 1, labels)
    for outcome in OUTCOMES:
        name = f"roommood_camera_frames_{outcome}_total"
        yield Sample(name, f"Frames {outcome.replace('_', ' ')}.", getattr(health, outcome))
    encode_s = (health.encode_ms or 0.0) / 1e3
    yield Sample("roommood_camera_capture_rate_hertz", "Frames captured a second.", rate_hz)
    yield Sample("roommood_camera_encode_seconds", "Time that one encoding takes.", encode_s)
    for status in _STATES:
        is_so = health.source.partition(":")[0] == status
        name = "roommood_camera_source_status"
        yield Sample(name, "1 for how its source is.", is_so, {"status": status})
    yield Sample("roommood_camera_workers", "Workers connected.", connected_workers)
    if health.temperature_c:
        name = "roommood_camera_temperature_celsius"
        yield Sample(name, "Of the board.", health.temperature_c)
