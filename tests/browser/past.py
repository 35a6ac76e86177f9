"""A made-up past for the pictures: two weeks of a room, hour by hour, and its last day."""

import random
import time
from collections.abc import Iterator
from math import exp
from typing import Any, Final

from roommood.aggregator.redis import keys as redis_keys
from roommood.aggregator.redis.keys import RESOLUTIONS, Resolution
from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES

_DAYS: Final = 14
_WAKES_AT_H: Final = 6.5
_SLEEPS_AT_H: Final = 22.8
_SIZE: Final = SIZE_CLASSES[-1]
# How the shares lean by day and by night: neutral, happiness, surprise, sadness and so on.
_BRIGHT: Final = (0.36, 0.44, 0.06, 0.05, 0.03, 0.01, 0.02, 0.03)
_DULL: Final = (0.55, 0.12, 0.03, 0.16, 0.07, 0.02, 0.03, 0.02)


def make_up(client: Any, room: str, camera: str, seed: int) -> None:
    """Writes buckets that end before this minute begins.

    Somebody was there in its last hour: made up at night, the room's day ends in the evening too.
    """
    model = _model(client, room)
    now_s = int(time.time())
    later_h = 0.0 if _WAKES_AT_H + 1.5 < _hour_of(now_s) < _SLEEPS_AT_H else 20.5 - _hour_of(now_s)
    tens, minutes, hours = RESOLUTIONS
    with client.pipeline(transaction=False) as pipe:
        for span, back_s in ((tens, 3_600), (minutes, 86_400), (hours, _DAYS * 86_400)):
            newest = now_s // span.length_s * span.length_s
            for start in range(newest - back_s, newest, span.length_s):
                for field, us in _counters(seed, span, start, later_h, camera, model):
                    pipe.hincrby(redis_keys.bucket(room, span, start), field, us)
        pipe.execute()


def _model(client: Any, room: str) -> str:
    """The one that has just counted, so that its matrices are there."""
    for key in client.scan_iter(f"roommood:{{{room}}}:1h:*"):
        for field in client.hkeys(key):
            if field.startswith("us:"):
                return str(field.split(":")[1])
    raise AssertionError(f"nothing of {room} was counted yet")


def _hour_of(unix_s: int) -> float:
    local = time.localtime(unix_s)
    return local.tm_hour + local.tm_min / 60


def _counters(
    seed: int, span: Resolution, start: int, later_h: float, camera: str, model: str
) -> Iterator[tuple[str, int]]:
    hour = (_hour_of(start) + later_h) % 24
    # Moods last longer than buckets: neighbours share what is random.
    rng, mood = (random.Random(f"{seed} {start // length_s}") for length_s in (1, 600))
    if hour < _WAKES_AT_H or hour > _SLEEPS_AT_H or rng.random() < 0.02:
        return
    lunch, evening = exp(-(((hour - 12.5) / 1.8) ** 2)), exp(-(((hour - 19.5) / 2.2) ** 2))
    bright = 0.25 + 0.3 * lunch + 0.5 * evening + mood.gauss(0, 0.12) + rng.gauss(0, 0.04)
    people = max(0.1, 0.4 + 1.8 * bright + mood.gauss(0, 0.2) + rng.gauss(0, 0.08))
    length_us = span.length_s * 1_000_000
    observed = round(length_us * rng.uniform(0.9, 1.0))
    face = round(observed * people)
    unsure = round(face * rng.uniform(0.05, 0.15))
    yield f"frames:{camera}", span.length_s * 8
    yield f"observed_us:{camera}", observed
    yield f"face_us:{camera}", face
    yield f"unsure_us:{camera}", unsure
    weights = [
        max(0.002, bright * a + (1 - bright) * b) * rng.uniform(0.85, 1.15)
        for a, b in zip(_BRIGHT, _DULL, strict=True)
    ]
    for name, weight in zip(EXPRESSIONS, weights, strict=True):
        share = round((face - unsure) * weight / sum(weights))
        yield f"us:{model}:{_SIZE}:{name}", share
        yield f"label_us:{model}:{_SIZE}:{name}", share
