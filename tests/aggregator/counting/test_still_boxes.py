"""What never moves is no person; whoever moves, however little, is one.

Jitter and movement are made up, of the size measured with the shipped detector (see the module).
"""

import math
import random
from collections.abc import Callable, Iterator

import pytest
import redis

from roommood.aggregator.counting import still_boxes
from roommood.aggregator.counting.still_boxes import (
    LOOKS,
    MAX_PLACES,
    REMEMBERED_MS,
    STILL_AFTER_MS,
    WINDOW_MS,
    StillBoxes,
)
from roommood.aggregator.counting.store import Store
from roommood.shared.protocol.messages import Face
from tests.aggregator.made import HOUR_MS, delivery, result, stored
from tests.shared import made

MINUTE = 60_000.0
HOUR = 3_600_000.0
# Centre x and y and side of a box at a time, in pixels.
Path = Callable[[float], tuple[float, float, float]]


def box(x: float, y: float, side: float) -> Face:
    edges = (round(x - side / 2), round(y - side / 2), round(side), round(side))
    return made.face(box=edges)


def thing(side: float = 100.0, jitter: float = 0.005, seed: int = 1) -> Path:
    """A box under a camera's noise: a standard deviation of `jitter` sides."""
    dice = random.Random(seed)
    return lambda _: (
        dice.gauss(320.3, jitter * side), dice.gauss(240.4, jitter * side), side
    )  # fmt: skip


def living(path: Callable[[float], float], side: float = 100.0, jitter: float = 0.005) -> Path:
    """A head that is displaced by `path(minutes)` sides."""
    at = thing(side, jitter)

    def where(now_ms: float) -> tuple[float, float, float]:
        x, y, _ = at(now_ms)
        return x, y + path(now_ms / MINUTE) * side, side

    return where


def watched(
    boxes: StillBoxes, path: Path, minutes: float, start_ms: float = 0.0, every_ms: float = 1_000.0
) -> list[int]:
    """How many boxes each look left out."""
    looks = range(int(minutes * MINUTE / every_ms))
    people = []
    for now_ms in (start_ms + n * every_ms for n in looks):
        given = delivery(result(0, box(*path(now_ms))), now_ms)
        people.append(boxes.left_out(given, now_ms).still)
    return people


def first_left_out_min(path: Path, minutes: float = 180, every_ms: float = 1_000.0) -> float | None:
    people = watched(StillBoxes(), path, minutes, every_ms=every_ms)
    return people.index(1) * every_ms / MINUTE if 1 in people else None


@pytest.mark.parametrize(
    ("side", "jitter", "every_ms"),
    [
        (100.0, 0.005, 1_000.0),
        (100.0, 0.0, 5_000.0),
        (40.0, 0.01, 1_000.0),
        (22.0, 0.02, 200.0),
    ],
)
def test_a_thing_is_a_person_for_an_hour_and_then_no_more(
    side: float, jitter: float, every_ms: float
) -> None:
    left_out_min = first_left_out_min(thing(side, jitter), 75, every_ms)
    assert left_out_min is not None
    assert 60.0 <= left_out_min <= 63.0
    boxes = StillBoxes()
    watched(boxes, thing(side, jitter), 65, every_ms=every_ms)
    later = watched(boxes, thing(side, jitter, seed=2), 30, 65 * MINUTE, every_ms)
    assert sum(later) > 0.98 * len(later)


def turned_every(minutes: float, by: float) -> Callable[[float], float]:
    return lambda at: by * ((at // minutes) % 2)


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("reads, and bends forward now and then", turned_every(4.0, 0.08)),
        ("sleeps, and turns a little each quarter of an hour", turned_every(15.0, 0.03)),
        ("sleeps, and slides down by 2 % of a head in an hour", lambda at: 0.02 * at / 55),
        ("sits in a meeting", lambda at: 0.05 * math.sin(at * 1.7) + 0.03 * math.sin(at * 0.21)),
        ("moves once in fifty minutes", turned_every(50.0, 0.02)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whoever_moves_is_a_person(who: str, path: Callable[[float], float]) -> None:
    assert first_left_out_min(living(path)) is None, who


def test_a_sleeper_who_moves_by_nothing_but_breath_is_left_out_after_an_hour() -> None:
    """Not told from a thing: what this cannot do, and PRIVACY.md says."""
    breathing = living(lambda at: 0.01 * math.sin(at * 2 * math.pi * 14))
    assert first_left_out_min(breathing, 70) is not None


def test_who_passes_before_a_thing_is_counted_and_the_thing_is_known_again_after() -> None:
    boxes = StillBoxes()
    watched(boxes, thing(), 65)
    passing = watched(boxes, lambda _: (380.0, 240.0, 130.0), 3, 65 * MINUTE)
    assert sum(passing) == 0
    after = watched(boxes, thing(seed=3), 2, 68 * MINUTE)
    assert sum(after) == len(after)


def test_a_thing_that_was_moved_is_a_person_until_it_has_stood_for_an_hour() -> None:
    boxes = StillBoxes()
    watched(boxes, thing(), 65)
    elsewhere = watched(boxes, lambda _: (100.0, 100.0, 60.0), 65, 65 * MINUTE)
    assert 0 < sum(elsewhere) < len(elsewhere) / 10


def test_the_expressions_of_a_person_beside_it_are_kept() -> None:
    boxes = StillBoxes()
    watched(boxes, thing(), 65)
    person = box(100.0, 100.0, 80.0)
    both = delivery(result(1, box(320.0, 240.0, 100.0), person), 65 * MINUTE)
    left = boxes.left_out(both, 65 * MINUTE)
    assert (left.still, left.result.faces) == (1, (person,))
    assert left.ticket == both.ticket


def test_cameras_and_rooms_are_told_apart_and_a_forgotten_room_is_forgotten() -> None:
    boxes = StillBoxes()
    watched(boxes, thing(), 65)
    seen = box(320.0, 240.0, 100.0)

    def still(**where: str) -> int:
        given = delivery(result(1, seen, **where), 65 * MINUTE)  # type: ignore[arg-type]
        return boxes.left_out(given, 65 * MINUTE).still

    assert [still(), still(camera="window"), still(room="hall")] == [1, 0, 0]
    boxes.forget("kitchen")
    assert still() == 0


def test_a_box_that_moved_on_is_forgotten_within_a_minute() -> None:
    boxes = StillBoxes()
    watched(boxes, lambda at: (50.0 + at / 1_000, 240.0, 40.0), 10)
    (camera,) = boxes._cameras.values()
    assert all(10 * MINUTE - place.since_ms <= WINDOW_MS for place in camera._places)


def crowd() -> Iterator[Face]:
    return (box(100.0 * n, 50.0, 30.0) for n in range(64))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still_boxes, "MAX_CAMERAS", 3)
    boxes = StillBoxes()
    for n in range(10):
        boxes.left_out(delivery(result(0, *crowd(), camera=f"cam-{n}")), 0.0)
    assert [name for _, name in boxes._cameras] == ["cam-7", "cam-8", "cam-9"]
    assert all(len(camera._places) == MAX_PLACES for camera in boxes._cameras.values())


def test_the_bar_is_one_that_a_living_face_does_not_meet_by_chance() -> None:
    assert STILL_AFTER_MS >= HOUR
    assert STILL_AFTER_MS / WINDOW_MS * LOOKS >= 600
    assert REMEMBERED_MS > STILL_AFTER_MS


# In Redis


def test_it_is_counted_apart_and_in_no_other_field(store: Store, client: redis.Redis) -> None:
    boxes, now_ms = StillBoxes(), HOUR_MS + 1_000
    watched(boxes, thing(), 65)
    row = delivery(result(0, box(320.0, 240.0, 100.0), interval_us=100_000), HOUR_MS)
    store.commit([boxes.left_out(row, 65 * MINUTE)], now_ms)
    for sums in stored(client, "kitchen").values():
        assert sums == {
            "frames:door": 1, "observed_us:door": 100_000, "still_us:door": 100_000,
        }  # fmt: skip
    assert client.hget("roommood:{kitchen}:live", "people") == "0"


def test_a_look_that_was_spared_says_nothing_of_any_box() -> None:
    boxes, spared = StillBoxes(), delivery(result(0, repeated=True))
    assert boxes.left_out(spared, 0.0) is spared
    assert not boxes._cameras
