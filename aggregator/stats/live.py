"""What a room's live hash says about this moment. Pure: a hash in, figures out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from roommood.aggregator.redis.keys import LIVE_CAMERA, LIVE_MAX_AGE_MS, LIVE_TTL_S
from roommood.aggregator.stats.figures import part_of, utc
from roommood.shared.protocol.emotions import EXPRESSIONS

# Milliseconds by which a clock may be set back without a word.
_STEP_MS: Final = 1_000.0
# More than any number that is told of a moment, and by how much sums of parts are off.
_MOST: Final = 1e15
_ROUNDING: Final = 1e-3


@dataclass(frozen=True, slots=True)
class CameraNow:
    """One camera of a room at this moment; `age_s` is that of its newest frame."""

    camera: str
    people: float | None
    frames_per_s: float
    age_s: float


@dataclass(frozen=True, slots=True)
class RoomNow:
    """A room at this moment, over about the last 4 s; each frame's weight halves in 3 s.

    A room without a frame in the last 10 s is `silent` and has no figures, never old ones. `away`
    says why nothing is known of it: its hash is damaged, or the node of a Redis Cluster that keeps
    it gives no answer.
    """

    room: str
    people: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    dominant: str = ""
    valence: float | None = None
    sure_share: float | None = None
    frames_per_s: float = 0.0
    captured: datetime | None = None
    updated: datetime | None = None
    age_s: float | None = None
    cameras: tuple[CameraNow, ...] = ()
    away: str = ""

    @property
    def silent(self) -> bool:
        return self.age_s is None


def room_now(room: str, live: Mapping[str, str], ttl_ms: float, apart: bool = False) -> RoomNow:
    """Figures of a live hash that has `ttl_ms` to live.

    Its age comes from that, so that the reader's clock does not matter. `apart`: the room's
    cameras see different people, who add up.
    """
    if not live or not is_alive(ttl_ms, LIVE_TTL_S):
        return RoomNow(room)
    try:
        return _read(room, live, ttl_ms, apart)
    except (KeyError, ValueError, OverflowError) as error:
        return RoomNow(room, away=f"its live hash in Redis is damaged ({error!r}): DEL mends it")


def is_alive(ttl_ms: float, longest_s: float) -> bool:
    """Whether a key that is given `longest_s` to live is as old as that says.

    With more time than that Redis' clock was set back since, and it may be hours old.
    """
    return 0 <= ttl_ms <= longest_s * 1000 + _STEP_MS


def _read(room: str, live: Mapping[str, str], ttl_ms: float, apart: bool) -> RoomNow:
    updated_ms = float(live["updated_ms"])
    said_ago_ms = max(0.0, LIVE_TTL_S * 1000 - ttl_ms)
    age_ms = said_ago_ms + max(0.0, updated_ms - float(live["captured_ms"]))
    if age_ms > LIVE_MAX_AGE_MS:
        return RoomNow(room)
    shares = {name: _number(live[f"share:{name}"], 0.0, 1.0) for name in EXPRESSIONS}
    has_sure_face = any(shares.values())
    cameras = tuple(_cameras_now(live, updated_ms + said_ago_ms))
    people = seen = _number(live["people"])
    if apart:
        people = sum(camera.people for camera in cameras if camera.people is not None)
    return RoomNow(
        room=room,
        people=people,
        shares=shares if has_sure_face else {},
        dominant=_expression(live["dominant"]),
        valence=_number(live["valence"], -1.0, 1.0) if has_sure_face else None,
        sure_share=_number(live["sure_share"], 0.0, 1.0) if seen > 0 else None,
        frames_per_s=_number(live["frames_per_s"]),
        captured=utc(float(live["captured_ms"]) / 1000),
        updated=utc(updated_ms / 1000),
        age_s=age_ms / 1000,
        cameras=cameras,
    )


def _number(text: str, low: float = 0.0, high: float = _MOST) -> float:
    """Raises ValueError for what is none within these bounds, allowing for rounding."""
    number = float(text)
    if not low - _ROUNDING <= number <= high + _ROUNDING:
        raise ValueError(f"{text[:40]!r} is not in {low:g} to {high:g}")
    return min(max(number, low), high)


def _expression(text: str) -> str:
    if text and text not in EXPRESSIONS:
        raise ValueError(f"{text[:40]!r} is no expression")
    return text


def _cameras_now(live: Mapping[str, str], now_ms: float) -> Iterator[CameraNow]:
    for name in sorted(live):
        if not name.startswith(LIVE_CAMERA):
            continue
        t_ms, _, obs_us, face_us, _, frames, *_ = map(_number, live[name].split())
        yield CameraNow(
            camera=name.removeprefix(LIVE_CAMERA),
            people=part_of(face_us, obs_us),
            frames_per_s=frames * 1e6 / obs_us if obs_us else 0.0,
            age_s=max(0.0, now_ms - t_ms) / 1000,
        )
