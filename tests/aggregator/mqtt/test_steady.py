"""Which changes of a figure are told, and which only waver."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roommood.aggregator.mqtt.steady import Steady
from roommood.shared.protocol.emotions import EXPRESSIONS


def seen(**figures: Any) -> dict[str, Any]:
    shares = {f"share_{expression}": 0.0 for expression in EXPRESSIONS}
    usual = {"up": "ON", "people": 1.0, "dominant": "happiness", "valence": 0.8, "coverage": 100.0}
    return {**usual, **shares, "share_happiness": 100.0, **figures}


@pytest.mark.parametrize(
    ("key", "values", "shown"),
    [
        ("people", [0.0, 0.55, 0.7, 0.5, 0.3], [0, 0, 1, 1, 0]),
        ("share_anger", [0.0, 5.9, 6.2, 4.5, 3.9, 100.0, 95.0], [0, 0, 10, 10, 0, 100, 100]),
        ("valence", [0.31, 0.35, 0.37, -0.04], [0.3, 0.3, 0.4, 0.0]),
        ("coverage", [None, 98.0, None], [None, 100, None]),
    ],
)
def test_what_wavers_by_less_than_a_step_is_told_as_before(
    key: str, values: list[float | None], shown: list[float | None]
) -> None:
    steady = Steady(change_every_s=0)
    assert [steady.take(seen(**{key: value}), n)[key] for n, value in enumerate(values)] == shown


def test_another_expression_is_told_once_it_leads_by_more_than_shares_waver() -> None:
    steady = Steady(change_every_s=0)
    mixed = {"share_happiness": 46.0, "share_sadness": 54.0}
    clear = {"share_happiness": 44.0, "share_sadness": 56.0}
    looks = [seen(), seen(dominant="sadness", **mixed), seen(dominant="sadness", **clear)]
    shown = [steady.take(look, n)["dominant"] for n, look in enumerate(looks)]
    assert shown == ["happiness", "happiness", "sadness"]


def test_a_first_change_is_told_at_once_and_the_next_when_its_time_has_come() -> None:
    steady = Steady(change_every_s=30)
    people = [(0, 1.0), (31, 2.0), (36, 3.0), (60, 4.0), (61, 5.0)]
    assert [steady.take(seen(people=n), t)["people"] for t, n in people] == [1, 2, 2, 2, 5]


def test_a_room_that_falls_silent_shows_no_figure_from_that_moment_on() -> None:
    steady = Steady(change_every_s=30)
    steady.take(seen(), 0)
    silent = dict.fromkeys(seen()) | {"up": "OFF"}
    assert steady.take(silent, 1) == silent
    assert steady.take(seen(), 2)["up"] == "ON"


@given(st.lists(st.tuples(st.floats(0.1, 20), st.floats(0, 100)), min_size=2, max_size=60))
def test_no_figure_changes_more_often_than_it_may(looks: list[tuple[float, float]]) -> None:
    shown = list(_shown(looks))
    changes = [now_s for (_, before), (now_s, this) in pairwise(shown) if this != before]
    assert all(later - earlier >= 30 for earlier, later in pairwise(changes))


def _shown(looks: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    steady, now_s = Steady(change_every_s=30), 0.0
    for wait_s, share in looks:
        now_s += wait_s
        yield now_s, steady.take(seen(share_anger=share), now_s)["share_anger"]


@pytest.mark.parametrize("key", ["up", "paused", "quiet", "run"])
def test_what_people_have_set_is_told_at_once(key: str) -> None:
    """A figure that changes as fast is the control: it waits."""
    steady = Steady(change_every_s=30)
    words = ["ON", "OFF", "ON", "OFF"]
    each = [steady.take({key: word, "state": word}, n) for n, word in enumerate(words)]
    assert [shown[key] for shown in each] == words
    assert key == "up" or {shown["state"] for shown in each} == {"ON"}


def test_that_redis_is_away_or_back_is_shown_at_once() -> None:
    steady = Steady(change_every_s=3_600.0)
    shown = [steady.take({"redis": state, "workers": 2}, n)["redis"] for n, state in
             enumerate(("ON", "OFF", "ON"))]  # fmt: skip
    assert shown == ["ON", "OFF", "ON"]
