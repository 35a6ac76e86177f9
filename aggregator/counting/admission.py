"""Which results may be counted now, which later, and which never.

Each 4,096 frame numbers of a session of a camera allot a bitmap that lives for a day; each room,
camera and model allots keys and fields. So what is new is bounded by time, and by the key that the
worker saw the camera prove: what exceeds a bound waits, and is counted late. What was refused
because its room was forgotten stays refused. Time is an argument.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, TypeVar

from roommood.aggregator.counting.buckets import Delivery, is_too_old
from roommood.aggregator.counting.newcomers import Budget, Newcomers, Rate
from roommood.aggregator.redis.keys import RESOLUTIONS
from roommood.shared.protocol.limits import (
    BITMAP_EVERY_MS,
    BITMAP_IN_ALL_EVERY_MS,
    BITMAPS_AT_ONCE,
    BITMAPS_IN_ALL_AT_ONCE,
    HEALTH_AT_ONCE,
    HEALTH_EVERY_MS,
    LATE_BUCKET_EVERY_MS,
    LATE_BUCKETS_AT_ONCE,
    MODEL_EVERY_MS,
    MODELS_AT_ONCE,
    ROOM_EVERY_MS,
    ROOMS_AT_ONCE,
    SEEN_BITS,
    SENDER_EVERY_MS,
    SENDERS_AT_ONCE,
    WORKER_EVERY_MS,
    WORKERS_AT_ONCE,
)
from roommood.shared.protocol.messages import Result

# Rooms, and senders of all rooms, remembered.
MAX_ROOMS: Final = 16_384
MAX_SENDERS: Final = 16_384
# Sessions of one sender of which is remembered what was forgotten.
MAX_SESSIONS_FORGOTTEN: Final = 256
# Milliseconds after capture from which on a bucket counts as late.
LATE_MS: Final = 60_000.0

ROOMS: Final = Rate(ROOMS_AT_ONCE, ROOM_EVERY_MS, MAX_ROOMS)
MODELS: Final = Rate(MODELS_AT_ONCE, MODEL_EVERY_MS, 256)
SENDERS: Final = Rate(SENDERS_AT_ONCE, SENDER_EVERY_MS, 1_024)
BITMAPS: Final = Rate(BITMAPS_AT_ONCE, BITMAP_EVERY_MS, 512)
BITMAPS_IN_ALL: Final = Rate(BITMAPS_IN_ALL_AT_ONCE, BITMAP_IN_ALL_EVERY_MS, 0)
WORKERS: Final = Rate(WORKERS_AT_ONCE, WORKER_EVERY_MS, 1_024)
HEALTH: Final = Rate(HEALTH_AT_ONCE, HEALTH_EVERY_MS, 65_536)
LATE_BUCKETS: Final = Rate(LATE_BUCKETS_AT_ONCE, LATE_BUCKET_EVERY_MS, 65_536)

# A camera in its room, and the fingerprint of its key.
_Sender = tuple[str, str, str]
_Kept = TypeVar("_Kept")


class Admission:
    """What one aggregator remembers of rooms, cameras and models, within bounds of its own."""

    __slots__ = ("_bitmaps", "_bitmaps_in_all", "_forgotten", "_health", "_late", "_models",
                 "_rooms", "_senders", "_workers")  # fmt: skip

    def __init__(self) -> None:
        self._rooms = Newcomers(ROOMS)
        self._models = Newcomers(MODELS)
        self._workers = Newcomers(WORKERS)
        self._health = Newcomers(HEALTH)
        self._late = Newcomers(LATE_BUCKETS)
        self._bitmaps_in_all = Budget(BITMAPS_IN_ALL)
        self._senders = _Latest[str, Newcomers](MAX_ROOMS, lambda: Newcomers(SENDERS))
        self._bitmaps = _Latest[_Sender, Newcomers](MAX_SENDERS, lambda: Newcomers(BITMAPS))
        self._forgotten = _Latest[_Sender, _Forgotten](MAX_SENDERS, _Forgotten)

    def know_rooms(self, rooms: Iterable[str]) -> None:
        """Rooms that are not new: Redis holds them."""
        self._rooms.know(rooms)

    def knows_model(self, model: str, now_ms: float) -> bool:
        """Whether a model's contract may be written; a new one may within the bound."""
        return self._models.admits(model, now_ms)

    def knows_worker(self, worker_id: str, now_ms: float) -> bool:
        """The same of a worker's health."""
        return self._workers.admits(worker_id, now_ms)

    def knows_health(self, worker_id: str, camera: str, now_ms: float) -> bool:
        """The same of what a worker tells of a camera."""
        return self._health.admits((worker_id, camera), now_ms)

    def refusal(self, delivery: Delivery, wall_ms: float) -> str:
        """Why a result must never be counted: "too-old" or "forgotten"; "" if it may be."""
        if is_too_old(delivery, wall_ms):
            return "too-old"
        result = delivery.result
        forgotten = self._forgotten.find(_sender(result))
        return "forgotten" if forgotten and forgotten.covers(result) else ""

    def waits_for(self, delivery: Delivery, wall_ms: float, now_ms: float) -> str:
        """Of what the result is one too many for now: "room", "camera", "model", "bucket" or
        "bitmap"; "" if it may be counted. `now_ms` is `boot_ms`, which never steps."""
        result = delivery.result
        room, sender = result.room, _sender(result)
        if not self._rooms.admits(room, now_ms):
            return "room"
        if not self._senders.of(room).admits(sender, now_ms):
            return "camera"
        if not self._models.admits(result.model, now_ms):
            return "model"
        start = (room, delivery.captured_ms // (RESOLUTIONS[0].length_s * 1000.0))
        if wall_ms - delivery.captured_ms > LATE_MS and not self._late.admits(start, now_ms):
            return "bucket"
        bitmap = (result.session_id, result.seq // SEEN_BITS)
        bitmaps = self._bitmaps.of(sender)
        return "" if bitmaps.admits(bitmap, now_ms, self._bitmaps_in_all) else "bitmap"

    def forget(self, delivery: Delivery) -> None:
        """A result's room was forgotten after its capture: neither it nor what its camera captured
        before is let in any more, however young it may seem when it comes again."""
        self._forgotten.of(_sender(delivery.result)).add(delivery.result)


def _sender(result: Result) -> _Sender:
    return result.room, result.camera, result.key


class _Forgotten:
    """By session of one sender, the highest frame number that was forgotten."""

    __slots__ = ("_seq",)

    def __init__(self) -> None:
        self._seq = _Latest[str, list[int]](MAX_SESSIONS_FORGOTTEN, lambda: [-1])

    def covers(self, result: Result) -> bool:
        seq = self._seq.find(result.session_id)
        return seq is not None and result.seq <= seq[0]

    def add(self, result: Result) -> None:
        seq = self._seq.of(result.session_id)
        seq[0] = max(seq[0], result.seq)


_Name = TypeVar("_Name", bound=Hashable)


class _Latest(Generic[_Name, _Kept]):
    """Something for each name, made when it is first asked for; at most so many, of which the one
    not asked for longest goes first."""

    __slots__ = ("_kept", "_make", "_most")

    def __init__(self, most: int, make: Callable[[], _Kept]) -> None:
        self._most, self._make = most, make
        self._kept: OrderedDict[_Name, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, name: _Name) -> _Kept | None:
        return self._kept.get(name)

    def of(self, name: _Name) -> _Kept:
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = self._make()
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return kept
