"""Results made up for tests, and what they must add up to, reckoned apart from the script."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from math import floor
from typing import Any

from roommood.aggregator.counting.buckets import Delivery
from roommood.aggregator.redis import keys as redis_keys
from roommood.shared.protocol.emotions import EXPRESSIONS, SIZE_CLASSES
from roommood.shared.protocol.messages import Face, Result

# The beginning of this hour, in ms: Redis deletes by its own clock what should have expired.
HOUR_MS = time.time() // 3600 * 3_600_000.0
SPLIT = (0.6, 0.2, 0.1, 0.05, 0.03, 0.01, 0.005, 0.005)


def only(expression: str) -> tuple[float, ...]:
    return tuple(float(other == expression) for other in EXPRESSIONS)


def face(probabilities: Sequence[float] = SPLIT, size: int = 2, sure: bool = True) -> Face:
    return Face((1, 2, 30, 40), 0.9, size, tuple(probabilities), sure)


def result(
    seq: int = 0,
    *faces: Face,
    room: str = "kitchen",
    camera: str = "door",
    session_id: str = "b00t",
    interval_us: int = 100_000,
    model: str = "net-1",
    key: str = "",
    repeated: bool = False,
) -> Result:
    return Result(camera, room, session_id, seq, interval_us, model, faces, key, repeated)


def delivery(result: Result, captured_ms: float = HOUR_MS) -> Delivery:
    return Delivery((result.camera, result.session_id, result.seq), captured_ms, result)


def stream(seed: int, count: int, rooms: Sequence[str] = ("kitchen",)) -> list[Delivery]:
    """Frames of two cameras a room over some minutes, with 0 to 3 faces each.

    They stand for no more time than there is in a bucket.
    """
    rng = random.Random(seed)
    return [
        delivery(
            result(
                seq,
                *(_any_face(rng) for _ in range(rng.randrange(4))),
                room=room,
                camera=f"{room}-{rng.randrange(2)}",
                interval_us=rng.randrange(1, 50_000),
                model=rng.choice(("net-1", "net-2")),
            ),
            HOUR_MS + rng.randrange(300_000),
        )
        for seq in range(count)
        for room in rooms
    ]


def _any_face(rng: random.Random) -> Face:
    weights = [rng.random() ** 3 for _ in EXPRESSIONS]
    shares = [weight / sum(weights) for weight in weights]
    return face(shares, rng.randrange(len(SIZE_CLASSES)), rng.random() < 0.8)


def counters(deliveries: Iterable[Delivery], min_people: int = 0) -> dict[str, dict[str, int]]:
    """What each bucket must hold, by key, when each of these is counted once."""
    buckets: dict[str, Counter[str]] = {}
    for delivery in deliveries:
        for span in redis_keys.RESOLUTIONS:
            start_s = int(delivery.captured_ms // 1000 // span.length_s * span.length_s)
            key = redis_keys.bucket(delivery.result.room, span, start_s)
            buckets.setdefault(key, Counter()).update(_fields(delivery.result, min_people))
    return {key: {f: n for f, n in sums.items() if n} for key, sums in buckets.items()}


def _fields(result: Result, min_people: int) -> Counter[str]:
    us, camera = result.interval_us, result.camera
    fields = Counter({f"frames:{camera}": 1, f"observed_us:{camera}": us})
    fields[f"face_us:{camera}"] = us * len(result.faces)
    if len(result.faces) < min_people:
        fields[f"suppressed_us:{camera}"] = us * len(result.faces)
        return fields
    for shown in result.faces:
        if not shown.sure:
            fields[f"unsure_us:{camera}"] += us
            continue
        tail = f"{result.model}:{SIZE_CLASSES[shown.size]}"
        for name, p in zip(EXPRESSIONS, shown.probabilities, strict=True):
            fields[f"us:{tail}:{name}"] += floor(us * p + 0.5)
        winner = EXPRESSIONS[shown.probabilities.index(max(shown.probabilities))]
        fields[f"label_us:{tail}:{winner}"] += us
    return fields


def stored(client: Any, *rooms: str) -> dict[str, dict[str, int]]:
    """What the buckets of these rooms hold, by key."""
    keys = [
        key
        for room in rooms
        for span in redis_keys.RESOLUTIONS
        for key in client.scan_iter(f"roommood:{{{room}}}:{span.name}:*")
    ]
    return {key: {f: int(n) for f, n in client.hgetall(key).items()} for key in keys}
