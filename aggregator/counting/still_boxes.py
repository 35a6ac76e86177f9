"""Boxes that never move: a poster, a picture on a shelf, a thing that a detector takes for a face.

Told from boxes alone, in memory: no picture, nothing about who is seen, and nothing is kept of a
box that moves. Measured with the shipped detector on a photograph under a camera's noise: the means
of twenty looks at a thing differ by 0.1 to 0.3 % of its side at 100 px, up to 1.3 % at 22 px. How
still a living head can lie is not measured here; so the bar is an hour.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from roommood.aggregator.counting.buckets import Delivery
from roommood.shared.protocol.messages import Face

# Milliseconds for which a box must have kept its place, and between two looks at whether it has.
STILL_AFTER_MS: Final = 3_600_000.0
WINDOW_MS: Final = 60_000.0
# Looks that one mean is made of, at least: a slow camera takes longer than a minute for them.
LOOKS: Final = 10
# Parts of a box's side: between the means of two windows; and of one look, which jitters, from
# those.
MOST_DRIFT: Final = 0.015
MOST_JITTER: Final = 0.10
# Milliseconds for which a thing is remembered though it is hidden, or in the dark.
REMEMBERED_MS: Final = 24 * 3_600_000.0
MAX_PLACES: Final = 16
MAX_CAMERAS: Final = 4_096

# Centre x and y, and side: half of width and height.
_Shape = tuple[float, float, float]


class StillBoxes:
    """What one aggregator remembers of boxes that stay. Time is an argument (`boot_ms`)."""

    __slots__ = ("_cameras",)

    def __init__(self) -> None:
        self._cameras: OrderedDict[tuple[str, str], _Camera] = OrderedDict()

    def left_out(self, delivery: Delivery, seen_ms: float) -> Delivery:
        """The delivery without the faces that never move; `seen_ms` is when its frame was captured,
        by `boot_ms`."""
        result = delivery.result
        if result.repeated:
            return delivery  # nobody looked
        name = (result.room, result.camera)
        camera = self._cameras.get(name)
        if camera is None:
            camera = self._cameras[name] = _Camera()
            if len(self._cameras) > MAX_CAMERAS:
                self._cameras.popitem(last=False)
        self._cameras.move_to_end(name)
        living = tuple(face for face in result.faces if not camera.look(face, seen_ms))
        camera.end_look(seen_ms)
        still = len(result.faces) - len(living)
        if not still:
            return delivery
        return replace(delivery, result=replace(result, faces=living), still=still)

    def forget(self, room: str) -> None:
        """Nothing is remembered of a room that was forgotten."""
        for name in [name for name in self._cameras if name[0] == room]:
            del self._cameras[name]


@dataclass(slots=True)
class _Window:
    """The sums of one window's looks at a place."""

    began_ms: float
    looks: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def add(self, shape: _Shape) -> None:
        self.looks += 1
        for axis in range(3):
            self.sums[axis] += shape[axis]

    @property
    def mean(self) -> _Shape:
        x, y, side = (total / self.looks for total in self.sums)
        return x, y, side


@dataclass(slots=True)
class _Place:
    """Where a box is, and since when it has been exactly there: `low` and `high` are the least and
    the greatest mean so far, None before the first."""

    at: _Shape
    since_ms: float
    seen_ms: float
    window: _Window
    low: _Shape | None = None
    high: _Shape | None = None
    is_still: bool = False

    def is_at(self, shape: _Shape) -> bool:
        near = MOST_JITTER * self.at[2]
        return all(abs(value - other) <= near for value, other in zip(shape, self.at, strict=True))

    def end_window(self, now_ms: float) -> None:
        """Goes on, or begins anew where the box now is."""
        mean = self.window.mean
        low, high = _least(self.low or mean, mean), _greatest(self.high or mean, mean)
        drift = max(h - lowest for h, lowest in zip(high, low, strict=True))
        if drift > MOST_DRIFT * mean[2]:
            low = high = mean
            self.since_ms, self.is_still = self.window.began_ms, False
        self.at, self.low, self.high = mean, low, high
        self.is_still = self.is_still or now_ms - self.since_ms >= STILL_AFTER_MS
        self.window = _Window(now_ms)


class _Camera:
    """The places of one camera's boxes."""

    __slots__ = ("_looks", "_places", "_window_ms")

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._looks = 0
        self._window_ms = float("-inf")

    def look(self, face: Face, seen_ms: float) -> bool:
        """Whether a box is one that never moves."""
        shape = _shape(face)
        place = next((place for place in self._places if place.is_at(shape)), None)
        if place is None:
            if len(self._places) < MAX_PLACES:
                self._places.append(self._new(shape, seen_ms))
            return False
        place.seen_ms = max(place.seen_ms, seen_ms)
        place.window.add(shape)
        return place.is_still

    def _new(self, shape: _Shape, seen_ms: float) -> _Place:
        place = _Place(shape, seen_ms, seen_ms, _Window(seen_ms))
        place.window.add(shape)
        return place

    def end_look(self, seen_ms: float) -> None:
        """To be told after the boxes of one frame."""
        if self._looks == 0:
            self._window_ms = seen_ms
        self._looks += 1
        if seen_ms - self._window_ms >= WINDOW_MS and self._looks >= LOOKS:
            self._places = list(self._that_stay(seen_ms))
            self._looks = 0

    def _that_stay(self, now_ms: float) -> Iterator[_Place]:
        """Those seen in half of the window's looks; and things, for a day after they were seen."""
        for place in self._places:
            if place.window.looks * 2 >= self._looks:
                place.end_window(now_ms)
                yield place
            elif place.is_still and now_ms - place.seen_ms < REMEMBERED_MS:
                place.window = _Window(now_ms)
                yield place


def _shape(face: Face) -> _Shape:
    x, y, width, height = face.box
    return x + width / 2, y + height / 2, (width + height) / 2


def _least(first: _Shape, other: _Shape) -> _Shape:
    return min(first[0], other[0]), min(first[1], other[1]), min(first[2], other[2])


def _greatest(first: _Shape, other: _Shape) -> _Shape:
    return max(first[0], other[0]), max(first[1], other[1]), max(first[2], other[2])
