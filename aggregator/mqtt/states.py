"""What rooms, cameras, workers and the site say. Null is not known. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from roommood.aggregator.mqtt.topics import Json
from roommood.aggregator.stats.figures import RoomPeriod
from roommood.aggregator.stats.health import CameraHealth, WorkerHealth
from roommood.aggregator.stats.live import RoomNow
from roommood.aggregator.stats.problems import camera_state, worker_name
from roommood.aggregator.stats.room_stats import KnownRoom
from roommood.aggregator.stats.site import CAMERA_GONE_S, is_up
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.shared.protocol.messages import DELIVERY_PROBLEMS, PICTURE_PROBLEMS

CAMERA_STATES: Final = (
    "ok", "starting", "paused", "quiet", *PICTURE_PROBLEMS, *DELIVERY_PROBLEMS, "reconnecting",
    "failed", "stopped", "ended", "revoked", "silent",
)  # fmt: skip


def room_says(room: KnownRoom, now: RoomNow, minute: RoomPeriod) -> Json:
    """A silent room has no people and no expressions."""
    return {
        "up": _on(not now.silent),
        "paused": _on(room.paused),
        "quiet": _on(room.is_quiet),
        "people": now.people,
        "dominant": now.dominant or None,
        "valence": now.valence,
        "coverage": _percent(minute.coverage),
        **{f"share_{name}": _percent(now.shares.get(name)) for name in EXPRESSIONS},
        "last_observed": room.last_seen.isoformat(timespec="seconds"),
    }


def camera_says(camera: CameraHealth) -> Json:
    """`state` is one of CAMERA_STATES; null for a word that only a later version knows."""
    state = camera_state(camera)
    return {"up": _on(is_up(camera)), "state": state if state in CAMERA_STATES else None}


def switch_says(paused: bool) -> Json:
    """Of a room or camera; by what Redis says, never by what somebody has asked for."""
    return {"run": _on(not paused)}


def workers_say(workers: Iterable[WorkerHealth]) -> dict[str, Json]:
    """By address: one that was started anew has another id and the same address."""
    alive: dict[str, bool] = {}
    for worker in workers:
        name = worker_name(worker)
        alive[name] = alive.get(name, False) or worker.silent_s < CAMERA_GONE_S
    return {name: {"up": _on(is_alive)} for name, is_alive in alive.items()}


def site_says(redis_answers: bool, workers_alive: int | None) -> Json:
    """Without Redis nothing is known of workers."""
    return {"redis": _on(redis_answers), "workers": workers_alive}


def as_payload(message: Mapping[str, Any] | list[str]) -> str:
    """Compact JSON."""
    return json.dumps(message, separators=(",", ":"))


def _on(is_so: bool) -> str:
    return "ON" if is_so else "OFF"


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100
