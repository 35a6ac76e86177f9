"""Results to the keys and the argument of `count_once.lua`. Pure: time is an argument.

A result is booked whole at its capture time by the aggregator's wall clock, which is the
only wall clock that counts: capture = received - transit - age.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.shared.protocol.emotions import EXPRESSIONS, VALENCE
from roommood.shared.protocol.limits import MAX_FACES, MAX_RESULT_AGE_MS, SEEN_BITS, SEEN_TTL_S
from roommood.shared.protocol.messages import Face, Result, TicketedResult
from roommood.shared.protocol.wire import pack_argument

# What one script call has to do at most: bounds the time for which one room holds up Redis.
MAX_RESULTS_PER_CALL: Final = 256
MAX_FACES_PER_CALL: Final = 1_024
MAX_CAMERAS_PER_CALL: Final = 32
MAX_SLOTS_PER_CALL: Final = 32
MAX_MODELS_PER_CALL: Final = 4
# So few results are too many of nothing, whatever they hold.
_ALWAYS_FIT: Final = min(
    MAX_CAMERAS_PER_CALL, MAX_SLOTS_PER_CALL, MAX_MODELS_PER_CALL, MAX_FACES_PER_CALL // MAX_FACES
)

_camera_fields = lru_cache(4096)(redis_keys.camera_fields)
_face_fields = lru_cache(256)(redis_keys.face_fields)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A result on arrival. `ticket` is whatever names it to the caller (worker and number).

    `still` boxes, which never move, were left out of the result's faces.
    """

    ticket: Hashable
    captured_ms: float
    result: Result
    still: int = 0


@dataclass(frozen=True, slots=True)
class RoomCall:
    """One call of the script: `places` are the indices of its results in the caller's batch."""

    room: str
    places: tuple[int, ...]
    keys: list[str]
    argument: bytes


def deliver(
    ticket: Hashable, result: TicketedResult, received_ms: float, transit_ms: float
) -> Delivery:
    """Put a result at its capture time, in ms since 1970 by the clock of `received_ms`."""
    return Delivery(ticket, received_ms - transit_ms - result.age_ms, result.result)


def is_too_old(delivery: Delivery, now_ms: float) -> bool:
    """Older than a seen-bitmap is sure to live; it could be counted twice, so it is refused."""
    return now_ms - delivery.captured_ms > MAX_RESULT_AGE_MS


def room_calls(
    deliveries: Sequence[Delivery], now_ms: float, min_people: int = 0
) -> list[RoomCall]:
    """Sort a batch by room into script calls of bounded work.

    In a frame with fewer than `min_people` faces only the number of faces is passed on.
    """
    by_room: dict[str, list[int]] = {}
    for place, delivery in enumerate(deliveries):
        by_room.setdefault(delivery.result.room, []).append(place)
    return [
        _room_call(room, part, deliveries, now_ms, min_people)
        for room, places in by_room.items()
        for part in _parts(places, deliveries)
    ]


def _parts(places: list[int], deliveries: Sequence[Delivery]) -> Iterator[list[int]]:
    """Cuts where one result more would be too many of something."""
    if len(places) <= _ALWAYS_FIT:
        yield places
        return
    part: list[int] = []
    work = _Work()
    for place in places:
        if part and not work.takes(deliveries[place]):
            yield part
            part, work = [], _Work()
        work.add(deliveries[place])
        part.append(place)
    if part:
        yield part


class _Work:
    """What the results of one call are made of."""

    __slots__ = ("_cameras", "_faces", "_models", "_results", "_slots")

    def __init__(self) -> None:
        self._results = self._faces = 0
        self._cameras: set[str] = set()
        self._models: set[str] = set()
        self._slots: set[int] = set()

    def takes(self, delivery: Delivery) -> bool:
        result = delivery.result
        return (
            self._results < MAX_RESULTS_PER_CALL
            and self._faces + len(result.faces) <= MAX_FACES_PER_CALL
            and _has_room(self._cameras, result.camera, MAX_CAMERAS_PER_CALL)
            and _has_room(self._models, result.model, MAX_MODELS_PER_CALL)
            and _has_room(self._slots, _start_s(delivery), MAX_SLOTS_PER_CALL)
        )

    def add(self, delivery: Delivery) -> None:
        self._results += 1
        self._faces += len(delivery.result.faces)
        self._cameras.add(delivery.result.camera)
        self._models.add(delivery.result.model)
        self._slots.add(_start_s(delivery))


def _has_room(names: set[Any], name: object, most: int) -> bool:
    return len(names) < most or name in names


def _start_s(delivery: Delivery) -> int:
    """Of the shortest bucket."""
    return int(delivery.captured_ms // 1000 // RESOLUTIONS[0].length_s * RESOLUTIONS[0].length_s)


def _room_call(
    room: str, places: list[int], deliveries: Sequence[Delivery], now_ms: float, min_people: int
) -> RoomCall:
    call = _Call(room, now_ms)
    each = [deliveries[place] for place in places]
    rows = [call.row(delivery, min_people) for delivery in each]
    numbered = list(enumerate(each, start=1))
    still = [(number, delivery.still) for number, delivery in numbered if delivery.still]
    repeated = [number for number, delivery in numbered if delivery.result.repeated]
    argument = pack_argument({**call.argument(rows), "still": still, "repeated": repeated})
    return RoomCall(room, tuple(places), call.keys(), argument)


class _Call:
    """Gathers the keys and field names that the rows of one call refer to, counted from 1."""

    __slots__ = (
        "_bucket_expire_s",
        "_bucket_us",
        "_buckets",
        "_camera_bases",
        "_cameras",
        "_faces",
        "_fields",
        "_now_ms",
        "_room",
        "_seen",
        "_slot_buckets",
        "_slots",
    )  # fmt: skip

    def __init__(self, room: str, now_ms: float) -> None:
        self._room = room
        self._now_ms = now_ms
        self._fields: list[str] = []
        self._cameras: dict[str, int] = {}
        self._camera_bases: list[int] = []
        self._faces: dict[tuple[str, int], int] = {}
        self._seen: dict[str, int] = {}
        self._buckets: dict[str, int] = {}
        self._bucket_expire_s: list[int] = []
        self._bucket_us: list[int] = []
        self._slots: dict[int, int] = {}
        self._slot_buckets: list[list[int]] = []

    def row(self, delivery: Delivery, min_people: int) -> list[Any]:
        """As described at the head of the script."""
        result = delivery.result
        faces = result.faces
        suppressed = len(faces) < min_people
        sure = [] if suppressed else [face for face in faces if face.sure]
        row: list[Any] = [
            self._seen_bitmap(result),
            result.seq % SEEN_BITS,
            self._slot(int(delivery.captured_ms // 1000)),
            self._camera(result.camera),
            round(delivery.captured_ms),
            result.interval_us,
            len(faces),
            len(faces) if suppressed else 0,
            0 if suppressed else len(faces) - len(sure),
        ]
        self._add_faces(row, result.model, sure)
        return row

    def _add_faces(self, row: list[Any], model: str, faces: Iterable[Face]) -> None:
        for face in faces:
            base = self._faces.get((model, face.size))
            if base is None:
                base = self._faces[model, face.size] = len(self._fields)
                self._fields += _face_fields(model, face.size)
            row.append(base)
            row += face.probabilities

    def _seen_bitmap(self, result: Result) -> int:
        key = redis_keys.seen(self._room, result.camera, result.session_id, result.seq)
        return self._seen.setdefault(key, len(self._seen) + 1)

    def _camera(self, camera: str) -> int:
        number = self._cameras.get(camera)
        if number is None:
            number = self._cameras[camera] = len(self._cameras) + 1
            self._camera_bases.append(len(self._fields))
            self._fields += _camera_fields(camera)
        return number

    def _slot(self, captured_s: int) -> int:
        start_s = captured_s - captured_s % RESOLUTIONS[0].length_s
        number = self._slots.get(start_s)
        if number is None:
            number = self._slots[start_s] = len(self._slots) + 1
            self._slot_buckets.append(self._buckets_at(captured_s))
        return number

    def _buckets_at(self, captured_s: int) -> list[int]:
        """Numbers of the buckets that hold this second and are still kept."""
        numbers = []
        for resolution in RESOLUTIONS:
            start_s = captured_s - captured_s % resolution.length_s
            expire_s = start_s + resolution.length_s + resolution.keep_s
            if expire_s * 1000 <= self._now_ms:
                continue
            key = redis_keys.bucket(self._room, resolution, start_s)
            if key not in self._buckets:
                self._buckets[key] = len(self._buckets) + 1
                self._bucket_expire_s.append(expire_s)
                self._bucket_us.append(resolution.length_s * 1_000_000)
            numbers.append(self._buckets[key])
        return numbers

    def keys(self) -> list[str]:
        room = self._room
        return [redis_keys.live(room), redis_keys.forgotten(room), *self._buckets, *self._seen]

    def argument(self, rows: list[list[Any]]) -> dict[str, Any]:
        return {
            **_CONSTANTS,
            "room": self._room,
            "channel": redis_keys.updates(self._room),
            "now_ms": round(self._now_ms),
            "bucket_expire_s": self._bucket_expire_s,
            "bucket_us": self._bucket_us,
            "slots": self._slot_buckets,
            "fields": self._fields,
            "cameras": list(self._cameras),
            "camera_bases": self._camera_bases,
            "results": rows,
        }


_CONSTANTS: Final = {
    "seen_ttl_s": SEEN_TTL_S,
    "seen_bits": SEEN_BITS,
    "labels": EXPRESSIONS,
    "valence": VALENCE,
    "live_ttl_s": redis_keys.LIVE_TTL_S,
    "ahead_ms": redis_keys.AHEAD_MS,
    "live_max_age_ms": redis_keys.LIVE_MAX_AGE_MS,
    "half_life_ms": redis_keys.LIVE_HALF_LIFE_MS,
    "margin": redis_keys.DOMINANT_MARGIN,
    "updates_every_ms": redis_keys.UPDATES_EVERY_MS,
}
