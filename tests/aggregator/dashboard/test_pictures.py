"""Charts, tables and words: made from figures alone, and what comes from Redis is escaped."""

from datetime import UTC, datetime
from typing import Any

import pytest
from jinja2 import Environment, PackageLoader

from roommood.aggregator.dashboard import charts, html
from roommood.aggregator.dashboard.pages.health import current
from roommood.aggregator.dashboard.pages.heat import measured, scale_of
from roommood.aggregator.dashboard.pages.summary import estimates
from roommood.aggregator.stats.figures import RoomPeriod, room_period
from roommood.aggregator.stats.health import WorkerHealth, camera_health
from roommood.aggregator.stats.palette import COLOUR_OF
from roommood.shared.protocol.emotions import EXPRESSIONS

START = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>\"'&"


def period(start: datetime = START, seconds: int = 60, **shown_s: float) -> RoomPeriod:
    """A period in which one face was seen for all of these seconds together."""
    face_us = round(sum(shown_s.values()) * 1e6)
    counters = {"frames:door": 10, "observed_us:door": face_us, "face_us:door": face_us}
    for name in EXPRESSIONS:
        counters[f"us:net:large:{name}"] = round(shown_s.get(name, 0.0) * 1e6)
    counters["label_us:net:large:neutral"] = face_us
    begin = start.timestamp()
    used = counters if face_us else {}
    end = begin + seconds * 1.25  # a part was not seen, so that there is an interval
    return room_period("kitchen", used, begin, end, end)


EMPTY = period()
HALF_HAPPY = period(happiness=30.0, neutral=30.0)


def series(options: charts.Options, name: str) -> Any:
    return next(option for option in options["series"] if option.get("name") == name)


def test_a_period_that_was_not_observed_leaves_a_gap_and_no_zero() -> None:
    options = charts.shares_over_time([HALF_HAPPY, EMPTY], ["a", "b"], corrected=False)
    assert series(options, "happiness")["data"] == [50.0, None]
    assert series(options, "fear")["data"] == [0.0, None]
    assert series(options, "People")["data"] == [1.0, None]
    assert series(options, "Coverage")["data"] == [80.0, 0.0]


def test_what_was_not_corrected_is_not_shown_as_corrected() -> None:
    options = charts.shares_over_time([HALF_HAPPY], ["a"], corrected=True)
    assert series(options, "happiness")["data"] == [None]
    assert estimates(HALF_HAPPY, corrected=True) == []
    assert dict(estimates(HALF_HAPPY, corrected=False))["happiness"].share == 0.5


def test_many_periods_are_lines_and_few_are_bars() -> None:
    few = charts.shares_over_time([HALF_HAPPY] * 400, ["a"] * 400, corrected=False)
    many = charts.shares_over_time([HALF_HAPPY] * 401, ["a"] * 401, corrected=False)
    assert series(few, "happiness")["type"] == "bar"
    assert series(many, "happiness")["type"] == "line"


def test_the_interval_is_drawn_from_its_low_end_to_its_high_end() -> None:
    options = charts.one_over_time([HALF_HAPPY, EMPTY], ["a", "b"], "happiness", corrected=False)
    low, spread = (option["data"] for option in options["series"][:2])
    share = HALF_HAPPY.shares["happiness"]
    assert share.low is not None
    assert share.high is not None
    assert low == [round(share.low * 100, 1), None]
    assert low[0] + spread[0] == pytest.approx(share.high * 100, abs=0.1)
    assert series(options, "happiness")["data"] == [50.0, None]


def test_every_expression_has_a_colour_of_its_own() -> None:
    assert set(COLOUR_OF) == set(EXPRESSIONS)
    assert len(set(COLOUR_OF.values())) == len(EXPRESSIONS)


@pytest.mark.parametrize("name", ["valence", "people", "fear"])
def test_a_colour_stands_for_the_same_in_every_room(name: str) -> None:
    scale = scale_of(name)
    few, many = (charts.heat_map(["a"], cells, scale) for cells in ([(1, 0, 0.1)], [(1, 0, 90.0)]))
    assert few["visualMap"] == many["visualMap"]
    pieces = few["visualMap"]["pieces"]
    assert [piece["lt"] for piece in pieces[:-1]] == [piece["gte"] for piece in pieces[1:]]
    legend = html.render("scale.html", scale=scale)
    assert all(step.colour in legend and step.label in legend for step in scale)


def test_a_measure_that_is_not_known_is_none() -> None:
    for name in ("valence", "people", "fear"):
        assert measured(EMPTY, name) is None
    assert measured(HALF_HAPPY, "people") == 1.0
    assert measured(HALF_HAPPY, "happiness") == 50.0


def test_a_restarted_worker_takes_the_place_of_the_one_before() -> None:
    old = WorkerHealth(worker="old", silent_s=60.0, address="tcp://desk:5701")
    new = WorkerHealth(worker="new", silent_s=0.5, address="tcp://desk:5701")
    gone = WorkerHealth(worker="gone", silent_s=60.0, address="tcp://attic:5701")
    assert [worker.worker for worker in current([old, new, gone])] == ["new", "gone"]


def test_numbers_are_written_for_people() -> None:
    assert html.percent(0.126) == "13\N{NARROW NO-BREAK SPACE}%"
    assert html.percent(None) == html.number(None) == html.lasting(None) == "–"
    assert html.number(1234567, 0) == "1 234 567".replace(" ", "\N{NARROW NO-BREAK SPACE}")
    assert (html.ago(0.4), html.ago(61).replace("\N{NARROW NO-BREAK SPACE}", " ")) == (
        "just now",
        "1 min ago",
    )
    assert html.signed(-0.25) == "−0.25"


# Escaping


def hostile_table(templates: Environment | None = None) -> str:
    reported = {"room": HOSTILE, "source": HOSTILE, "release": HOSTILE, f"refused-{HOSTILE}@w": "3"}
    cameras = [camera_health(HOSTILE, reported, 0.0)]
    if templates is None:
        return html.render("cameras.html", cameras=cameras, away=False)
    return templates.get_template("cameras.html").render(cameras=cameras, away=False)


def test_what_a_camera_says_of_itself_is_escaped() -> None:
    table = hostile_table()
    assert "<img" not in table
    assert table.count("&lt;img") == 6  # name, room and its link, status, refusal, release


def test_without_escaping_it_would_be_markup() -> None:
    templates = Environment(loader=PackageLoader("roommood.aggregator.dashboard"), autoescape=False)
    templates.filters.update(percent=html.percent, number=html.number, lasting=html.lasting)
    templates.globals.update(html._templates.globals)
    assert "<img" in hostile_table(templates)


def test_numbers_that_are_none_do_not_break_a_page() -> None:
    odd = camera_health(
        "x", {"rate_hz": "nan", "captured": "", "sent": "inf", "analysed@w": "many"}, 1.0
    )
    assert "x" in html.render("cameras.html", cameras=[odd], away=False)
