"""Which results may be counted at all: bounds on what a camera can make Redis store.

Each boot of a camera, and each 4,096 of its frame numbers, allots a bitmap that lives 24 h;
so new boots and leaps of the number are bounded. What was refused because its room was forgotten
stays refused. Time is an argument.
"""

from collections import OrderedDict
from typing import Final

from roommood.aggregator.counting.buckets import Delivery, is_too_old
from roommood.shared.protocol.limits import MAX_BOOTS_PER_HOUR, MAX_RESULT_AGE_MS, MAX_SEQ_JUMP

_HOUR_MS: Final = 3_600_000
# Cameras remembered; the one not heard of for longest is forgotten beyond it.
MAX_CAMERAS: Final = 16_384


class Admission:
    """What one aggregator remembers of cameras and their boots, within bounds of its own."""

    __slots__ = ("_cameras",)

    def __init__(self) -> None:
        self._cameras: OrderedDict[str, _Boots] = OrderedDict()

    def refusal(self, delivery: Delivery, now_ms: float) -> str:
        """Why a result must not be counted: "too-old", "forgotten", "boots" or "seq-jump"; "" if it
        may."""
        if is_too_old(delivery, now_ms):
            return "too-old"
        result = delivery.result
        return self._boots_of(result.camera).refusal(result.boot_id, result.seq, now_ms)

    def forget(self, delivery: Delivery) -> None:
        """A result's room was forgotten after its capture: neither it nor what its camera captured
        before is let in any more, however young it may seem when it comes again."""
        result = delivery.result
        self._boots_of(result.camera).forget(result.boot_id, result.seq)

    def __len__(self) -> int:
        return len(self._cameras)

    def _boots_of(self, camera: str) -> "_Boots":
        boots = self._cameras.get(camera)
        if boots is None:
            boots = self._cameras[camera] = _Boots()
            if len(self._cameras) > MAX_CAMERAS:
                self._cameras.popitem(last=False)
        self._cameras.move_to_end(camera)
        return boots


class _Boots:
    """The boots of one camera: when each was first and last heard of, and its highest number."""

    __slots__ = ("_first_ms", "_forgotten_seq", "_last_ms", "_top_seq")

    def __init__(self) -> None:
        self._first_ms: dict[str, float] = {}
        self._forgotten_seq: dict[str, int] = {}
        self._last_ms: dict[str, float] = {}
        self._top_seq: dict[str, int] = {}

    def refusal(self, boot_id: str, seq: int, now_ms: float) -> str:
        if seq <= self._forgotten_seq.get(boot_id, -1):
            return "forgotten"
        top_seq = self._top_seq.get(boot_id)
        if top_seq is None:
            self._drop_silent(now_ms)
            if self._new_within_hour(now_ms) >= MAX_BOOTS_PER_HOUR:
                return "boots"
            self._first_ms[boot_id] = now_ms
            top_seq = seq
        elif abs(seq - top_seq) > MAX_SEQ_JUMP:
            return "seq-jump"
        self._last_ms[boot_id] = now_ms
        self._top_seq[boot_id] = max(seq, top_seq)
        return ""

    def forget(self, boot_id: str, seq: int) -> None:
        if boot_id in self._first_ms:
            self._forgotten_seq[boot_id] = max(seq, self._forgotten_seq.get(boot_id, -1))

    def _new_within_hour(self, now_ms: float) -> int:
        return sum(now_ms - first_ms < _HOUR_MS for first_ms in self._first_ms.values())

    def _drop_silent(self, now_ms: float) -> None:
        """Forget boots of which nothing can still be under way: at most 60 an hour for 6 h stay."""
        silent = [b for b, ms in self._last_ms.items() if now_ms - ms > MAX_RESULT_AGE_MS]
        for boot_id in silent:
            del self._first_ms[boot_id], self._last_ms[boot_id], self._top_seq[boot_id]
            self._forgotten_seq.pop(boot_id, None)
